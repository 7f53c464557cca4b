"""Judges anew what was granted: from the events before it, what must the decision have seen? No I/O.

The decision is kept whole in its event: which dials, defaults and policies governed it, and how much of each cap
was used. What cannot be known is whether it saw every policy of that day, for catalogues are not kept by time;
the dials, pauses and suppressions of the customer and the ledger are known exactly, and are compared.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from consent_service.clock import parse_duration

Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Word:
    """What an event said last about a place. `event_id` None: a merge did, and does not say which event it kept."""

    level: str | None
    set_at: datetime
    expires_at: datetime | None
    event_id: UUID | None


@dataclass(slots=True)
class Reserved:
    """A permit as its events tell it."""

    key_name: str
    channel: str
    topic: str
    campaign: str | None
    reserved_at: datetime
    valid_from: datetime
    expires_at: datetime
    counts: bool
    dialogue_id: UUID | None
    milestone_id: UUID | None
    event_id: UUID
    state: str = "open"
    ended_at: datetime | None = None
    contact_id: UUID | None = None


@dataclass
class Standing:
    """A customer as the events so far tell them.

    `ledger` has (contacted_at, channel, topic) of what counts, in order; `last_acts` is None after a merge, which
    does not say when places were turned that have no dial now.
    """

    dials: dict[Place, Word] = field(default_factory=dict)
    last_acts: dict[Place, datetime] | None = field(default_factory=dict)
    pauses: dict[str, tuple[datetime, UUID | None]] = field(default_factory=dict)
    stops: Counter[tuple[str | None, str, datetime]] = field(default_factory=Counter)
    fields: dict[str, Any] = field(default_factory=dict)
    names: dict[str, datetime | None] = field(default_factory=dict)  # when each was confirmed
    ledger: list[tuple[datetime, str, str]] = field(default_factory=list)
    permits: dict[UUID, Reserved] = field(default_factory=dict)
    open_permits: dict[UUID, Reserved] = field(default_factory=dict)
    talks: dict[UUID, dict[str, Any]] = field(default_factory=dict)  # dialogues, see talks.py

    def count(self, at: datetime, channel: str, topic: str) -> None:
        """Adds what takes room to the ledger."""
        insort(self.ledger, (at, channel, topic))

    def forget_expired(self, now: datetime) -> None:
        """Expired permits can neither take room nor end any more."""
        self.open_permits = {own_id: one for own_id, one in self.open_permits.items() if one.expires_at > now}

    def used(self, place: Place, since: datetime, instant: datetime | None) -> int:
        """What counts at a place after `since`, with the permits that are open at the instant (None: without)."""
        taken = 0
        for at, channel, topic in reversed(self.ledger):
            if at <= since:
                break
            taken += covers(place, channel, topic)
        if instant is not None:
            for permit in self.open_permits.values():
                taken += permit.counts and permit.expires_at > instant and covers(place, permit.channel, permit.topic)
        return taken


def covers(place: Place, channel: str, topic: str) -> bool:
    """True when a dial there covers the contact. Source: rules.md, 1."""
    return place[0] in ("*", channel) and (place[1] in ("*", topic) or topic.startswith(f"{place[1]}/"))


def judge(
    standing: Standing, contact: Place, instant: datetime, decision: Mapping[str, Any], *, permits: bool
) -> Iterator[str]:
    """Names of the checks that a grant fails.

    Args:
        contact: its channel and topic.
        permits: whether open permits took room; False where a permit of its own was used.
    """
    governed = decision["governed_by"]
    if not decision["allowed"]:
        yield "granted_against_a_dial"
    if _stopped(standing, contact[0], instant, essential=not governed):
        yield "granted_under_a_stop"
    if not governed or decision["dialogue_id"]:
        return  # no dial was asked
    stood = {(*place, word.level) for place, word in standing.dials.items() if word.level and covers(place, *contact)}
    seen = {(one["channel"], one["topic"], one["level"]) for one in governed if one["kind"] == "dial"}
    if stood != seen or any(one["mode"] in ("silent", "on_request") for one in governed):
        yield "granted_against_a_dial"
    for one in governed:
        if one["mode"] == "capped":
            since = instant - timedelta(seconds=parse_duration(one["per"]))
            used = standing.used((one["channel"], one["topic"]), since, instant if permits else None)
            if used != one["used"] or used >= one["contacts"]:
                yield "granted_over_a_cap"
                return


def _stopped(standing: Standing, channel: str, instant: datetime, *, essential: bool) -> bool:
    if any(
        count > 0 and place in (None, channel) and (kind == "all" or not essential)
        for (place, kind, _), count in standing.stops.items()
    ):
        return True
    paused = (standing.pauses.get(place) for place in ("*", channel))
    return not essential and any(one is not None and one[0] > instant for one in paused)
