"""Compares what a history says must stand of a customer with the rows that do. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from consent_service.customers.model import FIELDS
from consent_service.fsck.grants import Reserved, Standing
from consent_service.fsck.talks import differing

Row = Mapping[str, Any]


@dataclass
class Rows:
    """What stands of one customer now: rows by table, names opened."""

    customer: Row
    names: Mapping[str, datetime | None]  # when each was confirmed
    dials: list[Row] = field(default_factory=list)
    pauses: list[Row] = field(default_factory=list)
    suppressions: list[Row] = field(default_factory=list)
    permits: list[Row] = field(default_factory=list)
    contacts: list[Row] = field(default_factory=list)
    dialogues: list[Row] = field(default_factory=list)
    entries: list[Row] = field(default_factory=list)


def differences(
    customer_id: UUID, told: Standing, told_contacts: Mapping[UUID, Row], rows: Rows
) -> Iterator[tuple[str, str]]:
    """(check, id) of each difference."""
    owner = str(customer_id)
    if told.fields != {name: rows.customer[name] for name in FIELDS} or told.names != rows.names:
        yield "customer_differs_from_events", owner
    if not _dials_agree(told, rows.dials):
        yield "dial_differs_from_events", owner
    stand = {row["channel"]: row for row in rows.pauses}
    if stand.keys() != told.pauses.keys() or any(
        stand[channel]["until"] != until or event_id not in (None, stand[channel]["event_id"])
        for channel, (until, event_id) in told.pauses.items()
    ):
        yield "pause_differs_from_events", owner
    if +told.stops != Counter((row["channel"], row["kind"], row["set_at"]) for row in rows.suppressions):
        yield "suppression_differs_from_events", owner
    permits = {row["permit_id"]: row for row in rows.permits}
    for own_id in told.permits.keys() | permits.keys():
        if not _permit_agrees(told.permits.get(own_id), permits.get(own_id)):
            yield "permit_differs_from_events", str(own_id)
    contacts = {row["contact_id"]: row for row in rows.contacts}
    for own_id in told_contacts.keys() | contacts.keys():
        if not _contact_agrees(told_contacts.get(own_id), contacts.get(own_id)):
            yield "contact_differs_from_events", str(own_id)
    for own_id in differing(told.talks, rows.dialogues, rows.entries):
        yield "dialogue_differs_from_events", str(own_id)


def _dials_agree(told: Standing, rows: Iterable[Row]) -> bool:
    spoken = {place: word for place, word in told.dials.items() if word.level is not None}
    for row in rows:
        place = row["channel"], row["topic"]
        word = told.dials.get(place)
        if row["level"] is None:
            # The row is kept for the date of the last act.
            if word is not None and word.level is not None:
                return False
        elif word is None or (word.level, word.set_at, word.expires_at) != (
            row["level"],
            row["set_at"],
            row["expires_at"],
        ):
            return False
        if word is not None and word.event_id not in (None, row["event_id"]):
            return False
        if told.last_acts is not None and told.last_acts.get(place) != row["last_act_at"]:
            return False
        spoken.pop(place, None)
    return not spoken


def _permit_agrees(told: Reserved | None, row: Row | None) -> bool:
    if told is None or row is None:
        return False
    return all(getattr(told, name) == row[name] for name in Reserved.__slots__)


def _contact_agrees(told: Row | None, row: Row | None) -> bool:
    if told is None or row is None:
        return False
    return all(
        value == row[name] or (name == "external_id" and row[name] is None)  # a merge may take it
        for name, value in told.items()
    )
