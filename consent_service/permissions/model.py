"""What is asked and what is answered: questions, decisions, permits, contacts. No I/O.

Must never decide: that is `decide.sql`, and only there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from consent_service.clock import format_duration, format_time
from consent_service.customers.ids import encode_id
from consent_service.errors import ConsentError
from consent_service.history.model import Actor
from consent_service.keys.model import ApiKey

SHORTEST_PERMIT_SECONDS, LONGEST_PERMIT_SECONDS, USUAL_PERMIT_SECONDS = 60, 604_800, 86_400
REASONS = (
    "erased",
    "unknown_customer",
    "suppressed",
    "essential",
    "paused",
    "in_dialogue",
    "consent_expired",
    "no_consent",
    "silent",
    "on_request_only",
    "volume_reached",
    "quiet_hours",
    "allowed",
)

_ROW_ERRORS: Mapping[str, str] = {
    "unknown_channel": "The catalogue has no such channel.",
    "unknown_topic": "The catalogue has no such topic.",
    "channel_retired": "The channel is retired.",
    "topic_retired": "The topic is retired.",
    "topic_not_allowed": "This key may not use this topic.",
    "invalid_timestamp": "`at` lies from 5 minutes ago to 400 days ahead.",
    "unknown_milestone": "The customer keeps no such milestone.",
}


@dataclass(frozen=True, slots=True)
class Question:
    """May this customer be contacted through this channel about this topic, at that instant (None: now)?

    `customer` is a reference as it was sent. `milestone_id`: the milestone that a permit is asked for; `dialogue_id`:
    the dialogue in which the permit that is used was given.
    """

    customer: str = field(repr=False)
    channel: str
    topic: str
    at: datetime | None = None
    milestone_id: UUID | None = None
    dialogue_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer, as rules.md section 2 describes it."""

    customer_id: UUID | None
    allowed: bool
    reason: str
    level: str | None
    remaining: int | None
    next_allowed_at: datetime | None
    dialogue_id: UUID | None
    milestone_id: UUID | None
    decided_at: datetime
    instant: datetime
    essential: bool
    held_level: str | None
    granted: bool
    default_limits: bool | None
    places: Sequence[Sequence[Any]] | None

    def shown(self, *, explain: bool = True) -> dict[str, Any]:
        """The decision as JSON; `governed_by` only with `explain`."""
        found: dict[str, Any] = {
            "allowed": self.allowed,
            "reason": self.reason,
            "level": self.level,
            "remaining": self.remaining,
            "next_allowed_at": format_time(self.next_allowed_at) if self.next_allowed_at else None,
            "dialogue_id": self._encoded(self.dialogue_id),
            "customer_id": str(self.customer_id) if self.customer_id else None,
            "decided_at": format_time(self.decided_at),
        }
        if self.milestone_id is not None:
            found["milestone_id"] = self._encoded(self.milestone_id)
        if explain:
            found["governed_by"] = self.governed_by
        return found

    @property
    def counts(self) -> bool:
        """Whether a contact made on it takes room under dials, defaults and policies."""
        return not self.essential and self.dialogue_id is None

    def _encoded(self, own_id: UUID | None) -> str | None:
        return encode_id(self.customer_id, own_id) if self.customer_id and own_id else None

    @property
    def governed_by(self) -> list[dict[str, Any]]:
        """Every dial, default and policy over the contact as JSON, quietest first; empty when nobody asked for it."""
        found = [place for place in self.places or () if self.default_limits or place[0] != "default"]
        return [_place(*place) for place in sorted(found, key=_quietest_first)]


def _quietest_first(place: Sequence[Any]) -> tuple[object, ...]:
    kind, channel, topic, _, position, _, policy, *_ = place
    return (position is None, position, kind == "default", channel, topic, policy)


def _place(
    kind: str,
    channel: str,
    topic: str,
    level: str | None,
    _: int | None,
    mode: str,
    policy: str | None,
    contacts: int | None,
    seconds: int | None,
    used: int | None,
    room: int | None,
    set_at: str,
    role: str | None,
    source: str | None,
    expires_at: str | None,
) -> dict[str, Any]:
    return {
        "kind": kind,
        "channel": channel,
        "topic": topic,
        "level": level,
        "mode": mode,
        "name": policy,
        "contacts": contacts,
        "per": format_duration(seconds) if seconds is not None else None,
        "used": used,
        "room": room,
        "set_at": _json_time(set_at),
        "role": role,
        "source": source,
        "expires_at": _json_time(expires_at) if expires_at else None,
    }


def _json_time(text: str) -> str:
    """A time as PostgreSQL writes it in JSON, as all our times are written."""
    return format_time(datetime.fromisoformat(text)) if "." in text else text.replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Scope:
    """Which topics the asker may ask about. Not `limited`: all."""

    limited: bool
    topics: tuple[str, ...] | None = None

    @classmethod
    def of(cls, actor: Actor) -> Scope:
        """A campaign key is limited to its topics, all others ask about everything."""
        return cls(actor.role == "campaign", actor.topics)

    @classmethod
    def of_key(cls, key: ApiKey) -> Scope:
        """What the holder of a key may ask about."""
        return cls(key.role == "campaign", key.topics)


def row_error(code: str) -> ConsentError:
    """The error of a question that cannot be asked."""
    if code == "topic_not_allowed":
        return ConsentError(code, _ROW_ERRORS[code])
    pointer = {"invalid_timestamp": "/at", "unknown_milestone": "/milestone_id"}.get(
        code, "/channel" if "channel" in code else "/topic"
    )
    detail = _ROW_ERRORS[code]
    return ConsentError(code, f"{pointer}: {detail}", errors=[{"pointer": pointer, "code": code, "detail": detail}])


@dataclass(frozen=True, slots=True)
class Asked:
    """A permit or contact that is asked for."""

    question: Question
    campaign: str | None = None
    expires_in_seconds: int = USUAL_PERMIT_SECONDS


@dataclass(frozen=True, slots=True)
class Report:
    """A contact that was made already; `external_id` is the sender's own id of it."""

    customer: str = field(repr=False)
    channel: str
    topic: str
    contacted_at: datetime
    external_id: str = field(repr=False)
    campaign: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of asking for, or using, a permit or contact: a status and a body as the API shows it."""

    status: int
    body: Mapping[str, Any]

    @property
    def granted(self) -> bool:
        """True for room reserved or a contact recorded."""
        return self.status < 300


def refused(decision: Mapping[str, Any]) -> Outcome:
    """409 not_permitted with the decision, as it is shown."""
    return _decided(ConsentError("not_permitted", "The contact is not permitted: the decision says why."), decision)


def homeless(decision: Mapping[str, Any]) -> Outcome:
    """409 permit_void: the dialogue or milestone that the permit was given in has ended, whatever the dials say now."""
    return _decided(ConsentError("permit_void", "What it was given in has ended. Ask for a new one."), decision)


def _decided(error: ConsentError, decision: Mapping[str, Any]) -> Outcome:
    return Outcome(
        409,
        {
            "type": "about:blank",
            "title": error.title,
            "status": error.status,
            "code": error.code,
            "detail": error.detail,
            "decision": decision,
        },
    )


def refused_permit(code: str, detail: str) -> ConsentError:
    """409 for a permit that has ended or not begun."""
    return ConsentError(code, detail)
