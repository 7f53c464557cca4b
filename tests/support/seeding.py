"""Puts a made-up world of the rules' rendering into the tables, as the service would have left it there."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4, uuid5

from consent_service.catalogue import store
from consent_service.catalogue.validation import parse_catalogue
from consent_service.customers.service import Resolved
from consent_service.database import Connection
from tests.support.rules import Catalogue, Contact, Customer, Permit
from tests.support.worlds import Document

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
NO_EVENT = UUID(int=1)


def value_hash(kind: str, value: str) -> bytes:
    """Stands for the keyed hash; the decision only compares it."""
    return hashlib.sha256(f"{kind}:{value}".encode()).digest()


def put_catalogue(conn: Connection, document: Document) -> None:
    """Makes the document the catalogue."""
    store.put(conn, parse_catalogue(document), version=1, now=LONG_AGO, accepted_louder=[])


def put_customer(conn: Connection, catalogue: Catalogue, customer: Customer) -> UUID | None:
    """Makes the customer; None for one who is unknown or erased."""
    if customer.state != "active":
        return None
    one = uuid4()
    conn.execute(
        "INSERT INTO customer (customer_id, time_zone, segment, created_at) VALUES (%s, %s, %s, %s)",
        [one, customer.time_zone, customer.segment, LONG_AGO],
    )
    for kind, value in customer.identifiers:
        conn.execute(
            "INSERT INTO identifier VALUES (%s, %s, %s, '', %s)",
            [one, kind, value_hash(kind, value), LONG_AGO],
        )
    for dial in customer.dials:
        conn.execute(
            "INSERT INTO dial VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'web', 'customer', %s)",
            [
                one,
                dial.channel,
                dial.topic,
                dial.level,
                LONG_AGO,
                LONG_AGO,
                LONG_AGO,
                dial.expires_at,
                NO_EVENT,
            ],
        )
    for pause in customer.pauses:
        conn.execute(
            "INSERT INTO pause VALUES (%s, %s, %s, %s, 'web', 'customer', %s)",
            [one, pause.channel, pause.until, LONG_AGO, NO_EVENT],
        )
    for stop in customer.suppressions:
        conn.execute(
            "INSERT INTO suppression VALUES (%s, %s, %s, %s, %s, 'desk', %s)",
            [one, uuid4(), stop.channel, stop.kind, LONG_AGO, NO_EVENT],
        )
    for point in customer.point_suppressions:
        conn.execute(
            "INSERT INTO point_suppression VALUES (%s, %s, %s, %s, %s, %s, 'desk', %s)",
            [
                point.point[0],
                value_hash(*point.point),
                uuid4(),
                point.channel,
                point.kind,
                LONG_AGO,
                NO_EVENT,
            ],
        )
    _put_dialogues(conn, customer, one)
    _put_ledger(conn, catalogue, customer, one)
    return one


def own_id(one: UUID | None, what: str, place: int | None) -> UUID | None:
    """The id that a customer's dialogue or milestone at this place is given; None for none."""
    return uuid5(one, f"{what} {place}") if one is not None and place is not None else None


def _put_dialogues(conn: Connection, customer: Customer, one: UUID) -> None:
    for place, talk in enumerate(customer.dialogues):
        opened_at = LONG_AGO + timedelta(days=place)
        closed = (opened_at, "customer") if talk.closed else (None, None)
        conn.execute(
            "INSERT INTO dialogue VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'customer', 'web', NULL, %s, %s, %s, '')",
            [one, own_id(one, "dialogue", place), talk.topic, list(talk.channels), talk.until, talk.contacts,
             talk.any_time, opened_at, *closed, NO_EVENT],
        )  # fmt: skip
    if not customer.milestones:
        return
    # They belong to one that ended long ago.
    conn.execute(
        "INSERT INTO dialogue"
        " VALUES (%s, %s, 'old', '{old}', %s, 1, false, %s, 'customer', 'web', NULL, NULL, NULL, %s, '')",
        [one, one, LONG_AGO + timedelta(days=1), LONG_AGO, NO_EVENT],
    )
    for place, kept in enumerate(customer.milestones):
        occasion, milestone = own_id(one, "occasion", place), own_id(one, "milestone", place)
        conn.execute(
            "INSERT INTO occasion (customer_id, occasion_id, dialogue_id, on_date, set_at, event_id, ciphertext)"
            " VALUES (%s, %s, %s, %s, %s, %s, '')",
            [one, occasion, one, kept.due_on, LONG_AGO, NO_EVENT],
        )
        conn.execute(
            "INSERT INTO milestone VALUES (%s, %s, %s, 'reminder', %s, %s, %s, %s, %s)",
            [one, milestone, occasion, kept.topic, kept.channel, kept.due_on, kept.window_days,
             LONG_AGO if kept.dropped else None],
        )  # fmt: skip


def _taken_of(one: UUID, entry: Contact | Permit) -> list[UUID | None]:
    """The dialogue and the milestone that a contact or permit takes its room of."""
    if entry.milestone is not None:
        return [one, own_id(one, "milestone", entry.milestone)]
    return [own_id(one, "dialogue", entry.dialogue), None]


def _put_ledger(conn: Connection, catalogue: Catalogue, customer: Customer, one: UUID) -> None:
    for made in customer.contacts:
        conn.execute(
            "INSERT INTO contact"
            " VALUES (%s, %s, 'k', %s, %s, NULL, %s, %s, NULL, NULL, true, 'allowed', %s, %s, %s, %s)",
            [one, uuid4(), made.channel, made.topic, made.contacted_at, made.contacted_at,
             _counts(catalogue, made), NO_EVENT, *_taken_of(one, made)],
        )  # fmt: skip
    for permit in customer.permits:
        conn.execute(
            "INSERT INTO permit (customer_id, permit_id, key_name, channel, topic, reserved_at, valid_from, expires_at,"
            " counts, event_id, dialogue_id, milestone_id) VALUES (%s, %s, 'k', %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [one, uuid4(), permit.channel, permit.topic, LONG_AGO, LONG_AGO, permit.expires_at,
             _counts(catalogue, permit), NO_EVENT, *_taken_of(one, permit)],
        )  # fmt: skip


def _counts(catalogue: Catalogue, entry: Contact | Permit) -> bool:
    return not catalogue.topics[entry.topic].essential and entry.dialogue is None and entry.milestone is None


def as_resolved(customer: Customer, one: UUID | None, point: tuple[str, str] | None) -> Resolved:
    """What the look-up of a reference would have found."""
    kind, hashed = (point[0], value_hash(*point)) if point else (None, None)
    state = {"active": "known", "unknown": "unknown", "erased": "erased"}[customer.state]
    return Resolved(one, state, kind, hashed, None)  # type: ignore[arg-type]
