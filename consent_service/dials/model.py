"""The volume dial: places, positions, what is louder and what a louder change needs. Rules without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from consent_service.errors import ConsentError

SOURCES = (
    "web",
    "link",
    "phone",
    "letter",
    "form",
    "visit",
    "email",
    "sms",
    "store",
    "dialogue",
    "import",
    "api",
)
# These carry wishes that others wrote down: they bring a date and evidence where a person is shown a notice.
SECOND_HAND = frozenset({"import", "api"})
MOST_CHANGES = 500
LONGEST_PAUSE = timedelta(days=3653)
MOST_AHEAD = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Change:
    """One place turned to a level; `level` None removes the dial."""

    channel: str
    topic: str
    level: str | None


@dataclass(frozen=True, slots=True)
class Notice:
    """Which notice was shown, in which language."""

    id: str
    version: str
    locale: str


@dataclass(frozen=True)
class Wish:
    """What a customer said: changes that hold together, and how the wish arrived."""

    changes: tuple[Change, ...]
    source: str
    evidence: Mapping[str, Any] | None = None
    notice: Notice | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A place as it stands, with what the catalogue says of it and of the level wanted.

    `rest` is the position of the place without a dial; `standing` the position it has now; `wanted` the
    position it is turned to.
    """

    change: Change
    rest: int
    standing: int
    wanted: int
    level: str | None
    set_at: datetime | None
    last_act_at: datetime | None
    expires_at: datetime | None
    consent_lasts: timedelta | None
    retired: str | None
    # Kinds of contact points that must confirm a louder level, and of which the customer has confirmed none.
    unconfirmed: tuple[str, ...]
    ends_at_most: datetime | None = None

    @property
    def louder(self) -> bool:
        """By position of the level at this one place."""
        return self.wanted > self.standing

    @property
    def first_word(self) -> bool:
        """True for a first dial at a topic that is louder than silent and no quieter than the place was."""
        return self.level is None and self.change.topic != "*" and self.wanted > 0 and self.wanted >= self.standing

    def ends(self, said_at: datetime) -> datetime | None:
        """Until when a consent said then lasts; None without end. The silent level is no consent."""
        if self.change.level is None or self.wanted == 0 or self.consent_lasts is None:
            return None
        ends = said_at + self.consent_lasts
        return min(ends, self.ends_at_most) if self.ends_at_most is not None else ends

    def changes_at(self, said_at: datetime) -> bool:
        """False when it says the same again, unless that renews a consent that ends."""
        if self.change.level != self.level:
            return True
        ends = self.ends(said_at)
        return self.expires_at is not None and ends is not None and ends > self.expires_at


def at_second_hand(place: Place, wish: Wish) -> Place:
    """The place for a wish that others wrote down: undated, or dated before the last act, it renews no consent."""
    dated_after = (
        wish.occurred_at is not None and place.last_act_at is not None and wish.occurred_at > place.last_act_at
    )
    return place if dated_after or place.expires_at is None else replace(place, ends_at_most=place.expires_at)


def check_louder(place: Place, wish: Wish, role: str, pointer: str, *, waits: bool) -> None:
    """Refuses a louder change that lacks what the rules ask of it. Source: rules.md 5.

    Args:
        waits: for a confirmation.

    Raises:
        ConsentError: topic_retired, channel_retired, superseded, confirmation_required, occurred_at_required,
            evidence_required, notice_required.
    """
    if place.retired:
        raise _refusal(
            f"{place.retired}_retired",
            f"The {place.retired} is retired: it can only be turned down.",
            pointer,
        )
    dated_before = (
        wish.occurred_at is not None and place.last_act_at is not None and wish.occurred_at < place.last_act_at
    )
    if dated_before:
        raise _refusal("superseded", "A later act stands at this place: an earlier one never makes it louder.", pointer)
    if waits:
        raise _refusal("confirmation_required", "This is only turned up from the contact point itself.", pointer)
    if wish.source in SECOND_HAND and role != "customer":
        if wish.occurred_at is None:
            raise _refusal("occurred_at_required", "Say when the customer said so, in occurred_at.", pointer)
        if place.last_act_at is not None and wish.occurred_at <= place.last_act_at:
            raise _refusal("superseded", "An import raises a dial only when it is dated after it.", pointer)
        if not wish.evidence:
            raise _refusal("evidence_required", "Say in evidence what shows that the customer said so.", pointer)
        return
    if wish.notice is None:
        raise _refusal("notice_required", "Show a notice and name it in notice: {id, version, locale}.", pointer)
    if role != "customer" and not wish.evidence:
        raise _refusal("evidence_required", "Name the call or letter in evidence.", pointer)


def _refusal(code: str, detail: str, pointer: str) -> ConsentError:
    return ConsentError(code, detail, errors=[{"pointer": pointer, "code": code, "detail": detail}])
