"""Tells a customer's history again, from the first event, and compares the end with what stands. No I/O.

Events of all ids of one person are heard together, oldest first, each under the id that it was written for: a
merge then does what the merge did. Must be told by the events alone: rows are only compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from consent_service.customers.ids import decode_id
from consent_service.customers.model import FIELDS
from consent_service.dialogues.model import ENTRY_KINDS
from consent_service.fsck.comparing import Row, Rows, differences
from consent_service.fsck.grants import Reserved, Standing, Word, judge
from consent_service.fsck.talks import hear
from consent_service.keyring.model import NOBODY

MANY_PERMITS = 100


@dataclass(frozen=True, slots=True)
class Told:
    """An opened event."""

    customer_id: UUID
    event_id: UUID
    type: str
    recorded_at: datetime
    content: Row


class Retelling:
    """One person, told by their events. `faults`: (check, id) of what the telling itself shows to be wrong.

    Args:
        hashed: a sender's own id of a contact as the ledger keeps it.
    """

    def __init__(self, owner: UUID, hashed: Callable[[str], str]) -> None:
        self.owner = owner
        self._hashed = hashed
        self.faults: list[tuple[str, str]] = []
        self._standing: dict[UUID, Standing] = {owner: Standing()}
        self._contacts: dict[UUID, dict[str, Any]] = {}

    def hear(self, told: Told) -> None:
        """Takes the next event. Types that change nothing that stands are passed over."""
        tell = _TELLERS.get(told.type)
        if tell is None or (told.type == "customers.merged" and told.content["other_id"] == str(told.customer_id)):
            return  # of a merge the survivor's own copy is heard
        tell(self, self._standing.setdefault(told.customer_id, Standing()), told)

    def _created(self, standing: Standing, told: Told) -> None:
        after = told.content["after"]
        standing.fields = {name: after[name] for name in FIELDS}
        standing.names.update(dict.fromkeys(after["identifiers"]))

    def _changed(self, standing: Standing, told: Told) -> None:
        standing.fields = dict(told.content["after"])

    def _named(self, standing: Standing, told: Told) -> None:
        standing.names[told.content["after"]["identifier"]] = None

    def _confirmed(self, standing: Standing, told: Told) -> None:
        after = told.content["after"]
        standing.names[after["identifier"]] = _time(after["confirmed_at"])

    def _unnamed(self, standing: Standing, told: Told) -> None:
        standing.names.pop(told.content["before"]["identifier"], None)

    def _turned(self, standing: Standing, told: Told) -> None:
        set_at = _time(told.content["occurred_at"])
        for one in told.content["after"]:
            place = one["channel"], one["topic"]
            standing.dials[place] = Word(one["level"], set_at, _time_or_none(one["expires_at"]), told.event_id)
            if standing.last_acts is not None:
                standing.last_acts[place] = max(set_at, standing.last_acts.get(place, set_at))

    def _paused(self, standing: Standing, told: Told) -> None:
        after = told.content["after"]
        standing.pauses[after["channel"]] = _time(after["until"]), told.event_id

    def _resumed(self, standing: Standing, told: Told) -> None:
        standing.pauses.pop(told.content["before"]["channel"], None)

    def _suppressed(self, standing: Standing, told: Told) -> None:
        self._stop(standing, told.content["after"], 1)

    def _unsuppressed(self, standing: Standing, told: Told) -> None:
        self._stop(standing, told.content["before"], -1)

    def _stop(self, standing: Standing, stop: Row, count: int) -> None:
        if stop["scope"] == "customer":
            standing.stops[stop["channel"], stop["kind"], _time(stop["set_at"])] += count

    def _reserved(self, standing: Standing, told: Told) -> None:
        content, permit = told.content, told.content["permit"]
        valid_from = _time(permit["valid_from"])
        self._judge(standing, told, valid_from, permits=True)
        reserved = Reserved(
            key_name=content["actor"]["name"],
            channel=content["channel"],
            topic=content["topic"],
            campaign=content["campaign"],
            reserved_at=told.recorded_at,
            valid_from=valid_from,
            expires_at=_time(permit["expires_at"]),
            **_taken_of(content["decision"]),
            event_id=told.event_id,
        )
        own_id = _own_id(permit["id"])
        if len(standing.open_permits) >= MANY_PERMITS:
            standing.forget_expired(told.recorded_at)
        standing.permits[own_id] = standing.open_permits[own_id] = reserved

    def _released(self, standing: Standing, told: Told) -> None:
        self._end(standing, told, "released")

    def _voided(self, standing: Standing, told: Told) -> None:
        self._end(standing, told, "void")

    def _end(self, standing: Standing, told: Told, state: str, contact_id: UUID | None = None) -> None:
        own_id = _own_id(told.content["permit_id"])
        permit = standing.open_permits.pop(own_id, None)
        if permit is None:  # not reserved, or ended before: a permit ends exactly once
            self.faults.append(("permit_differs_from_events", str(own_id)))
            return
        permit.state, permit.ended_at, permit.contact_id = state, told.recorded_at, contact_id

    def _recorded(self, standing: Standing, told: Told) -> None:
        content = told.content
        at, permit_id = _time(content["contacted_at"]), content["permit_id"]
        self._judge(standing, told, at, permits=permit_id is None)
        contact_id = self._contact(standing, told, at, permitted=True, reason=content["decision"]["reason"])
        if permit_id is not None:
            self._contacts[contact_id]["permit_id"] = _own_id(permit_id)
            self._end(standing, told, "used", contact_id)

    def _reported(self, standing: Standing, told: Told) -> None:
        content = told.content
        self._contact(
            standing, told, _time(content["contacted_at"]), permitted=content["permitted"], reason=content["reason"]
        )

    def _contact(self, standing: Standing, told: Told, at: datetime, *, permitted: bool, reason: str) -> UUID:
        content, contact_id = told.content, _own_id(told.content["contact_id"])
        taken, external_id = _taken_of(content["decision"]), content.get("external_id")
        if taken["counts"]:
            standing.count(at, content["channel"], content["topic"])
        self._contacts[contact_id] = {
            "key_name": content["actor"]["name"],
            "channel": content["channel"],
            "topic": content["topic"],
            "campaign": content["campaign"],
            "contacted_at": at,
            "recorded_at": told.recorded_at,
            "permit_id": None,
            "external_id": self._hashed(external_id) if external_id is not None else None,
            "permitted": permitted,
            "reason": reason,
            **taken,
            "event_id": told.event_id,
        }
        return contact_id

    def _judge(self, standing: Standing, told: Told, instant: datetime, *, permits: bool) -> None:
        contact = told.content["channel"], told.content["topic"]
        for check in judge(standing, contact, instant, told.content["decision"], permits=permits):
            self.faults.append((check, str(told.event_id)))

    def _merged(self, standing: Standing, told: Told) -> None:
        content = told.content
        other = self._standing.pop(UUID(content["other_id"]), Standing())
        after = content["after"]
        standing.fields = {name: after[name] for name in FIELDS}
        # The merge says which names there are; a name of both was confirmed when either was first.
        confirmed = [*standing.names.items(), *other.names.items()]
        standing.names = {
            name: min((at for one, at in confirmed if one == name and at), default=None)
            for name in after["identifiers"]
        }
        # What stands is as the merge says; it remembers more of removed dials than it says.
        standing.last_acts = None
        standing.dials = {
            (one["channel"], one["topic"]): Word(
                one["level"], _time(one["set_at"]), _time_or_none(one["expires_at"]), None
            )
            for one in after["dials"]
        }
        standing.pauses = {one["channel"]: (_time(one["until"]), None) for one in after["pauses"]}
        standing.stops = Counter((one["channel"], one["kind"], _time(one["set_at"])) for one in after["suppressions"])
        for entry in other.ledger:
            standing.count(*entry)
        standing.permits |= other.permits
        standing.open_permits |= other.open_permits
        standing.talks |= other.talks

    def _talked(self, standing: Standing, told: Told) -> None:
        hear(standing.talks, told.type, told.event_id, told.recorded_at, told.content)

    def compare(self, rows: Rows) -> Iterator[tuple[str, str]]:
        """(check, id) of each difference between what was told and what stands, after the telling's own faults."""
        yield from self.faults
        if len(self._standing) > 1:  # somebody was merged without a word
            yield "customer_differs_from_events", str(self.owner)
        yield from differences(self.owner, self._standing[self.owner], self._contacts, rows)


_TELLERS = {
    "customer.created": Retelling._created,
    "customer.changed": Retelling._changed,
    "identifier.added": Retelling._named,
    "identifier.confirmed": Retelling._confirmed,
    "identifier.removed": Retelling._unnamed,
    "dials.changed": Retelling._turned,
    "pause.set": Retelling._paused,
    "pause.ended": Retelling._resumed,
    "suppression.set": Retelling._suppressed,
    "suppression.lifted": Retelling._unsuppressed,
    "permit.reserved": Retelling._reserved,
    "permit.released": Retelling._released,
    "permit.voided": Retelling._voided,
    "contact.recorded": Retelling._recorded,
    "contact.reported": Retelling._reported,
    "customers.merged": Retelling._merged,
    **dict.fromkeys(ENTRY_KINDS, Retelling._talked),
}


def _own_id(encoded: str) -> UUID:
    decoded = decode_id(encoded)
    return decoded[1] if decoded else NOBODY


def _taken_of(decision: Mapping[str, Any]) -> Row:
    """Of what a grant took its room: the dials, a dialogue, a milestone."""
    talk, milestone = decision["dialogue_id"], decision.get("milestone_id")
    return {
        "counts": bool(decision["governed_by"]) and talk is None,
        "dialogue_id": _own_id(talk) if talk else None,
        "milestone_id": _own_id(milestone) if milestone else None,
    }


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _time_or_none(text: str | None) -> datetime | None:
    return _time(text) if text else None
