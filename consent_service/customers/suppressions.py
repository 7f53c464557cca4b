"""Suppressions: hard stops on a person, or on a contact point whoever has it, known or not.

Whoever is reached is locked, so that no decision that was begun before passes after. The reason is free text
and may name people: it stands in the events of those reached, encrypted under their keys, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from uuid_utils.compat import uuid7

from consent_service.clock import format_time
from consent_service.customers import store
from consent_service.customers.ids import decode_id, encode_id
from consent_service.customers.model import ID, Reference
from consent_service.customers.service import Locked, declared_kinds, lock_many, resolve, unknown_customer
from consent_service.database import Connection, load
from consent_service.errors import ConsentError
from consent_service.history import service as history
from consent_service.history.model import Actor, Event
from consent_service.keyring.model import NOBODY
from consent_service.keyring.service import Keyring

SQL = load("consent_service.customers", "suppressions.sql")


@dataclass(frozen=True, slots=True)
class Stop:
    """What a suppression stops. `channel` None: every one; kind `marketing` spares essential topics."""

    channel: str | None
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A suppression that reaches a customer. `point` None: it stands on the person."""

    suppression_id: str
    point: Reference | None
    channel: str | None
    kind: str
    set_at: datetime


def of_customer(
    conn: Connection, keyring: Keyring, customer_id: UUID, references: Sequence[Reference]
) -> list[Standing]:
    """The stops on a person and on what of theirs are contact points, oldest first.

    Args:
        references: their identifiers.
    """
    own = conn.run(SQL["of_customer"], {"customer_id": customer_id})
    found = [Standing(encode_id(customer_id, row.pop("suppression_id")), None, **row) for row in own]
    return sorted([*found, *of_points(conn, keyring, references)], key=lambda one: one.set_at)


def of_points(conn: Connection, keyring: Keyring, references: Sequence[Reference]) -> list[Standing]:
    """The stops on contact points, whoever has them, oldest first."""
    hashes = [store.hash_of(conn, keyring, one) for one in references]
    asked = {"kinds": [one.kind for one in references], "value_hashes": hashes}
    return [
        Standing(
            encode_id(NOBODY, row["suppression_id"]),
            references[row["position"] - 1],
            row["channel"],
            row["kind"],
            row["set_at"],
        )
        for row in conn.run(SQL["of_points"], asked)
    ]


def suppress_customer(
    conn: Connection, keyring: Keyring, actor: Actor, reference: Reference, stop: Stop
) -> dict[str, Any]:
    """Sets a stop on the person whom a reference means; what answers show of it.

    Raises:
        ConsentError: unknown_customer (also for an erased one), ambiguous_customer, unknown_channel,
            unknown_identifier_kind.
    """
    _kind_of_channel(conn, stop.channel)
    found = resolve(conn, keyring, reference).customer_id
    locked = lock_many(conn, keyring, [found]).get(found) if found is not None else None
    if locked is None:
        raise unknown_customer()
    own_id, event_id = uuid4(), uuid7()
    values = {"customer_id": locked.customer_id, **_values(own_id, event_id, actor, stop)}
    set_at = store.one(conn, SQL["insert"], values)["set_at"]
    answer = _answer(locked.customer_id, own_id, stop, set_at)
    source = "web" if actor.is_customer else "api"
    details = {"before": None, "after": answer, "reason": stop.reason, "source": source}
    event = Event(locked.customer_id, "suppression.set", actor, set_at, details, event_id)
    history.record(conn, keyring, [event], keys={locked.customer_id: locked.key})
    return answer


def suppress_point(
    conn: Connection, keyring: Keyring, actor: Actor, reference: Reference, stop: Stop
) -> dict[str, Any]:
    """Sets a stop on a contact point, whoever has it now or later; what answers show of it.

    Raises:
        ConsentError: unknown_identifier_kind, unknown_channel; invalid_value when no channel, or not the one
            named, reaches people by identifiers of this kind.
    """
    if reference.kind != ID:
        declared_kinds(conn, [reference])
    used = _kind_of_channel(conn, stop.channel)
    is_used = store.one(conn, SQL["is_contact_point"], {"kind": reference.kind})["is_used"]
    if not is_used or used not in (None, reference.kind):
        raise ConsentError("invalid_value", "A contact point is an identifier of a kind that the channel uses.")
    point = {"identifier_kind": reference.kind, "value_hash": store.hash_of(conn, keyring, reference)}
    holders = _lock_holders(conn, keyring, point)
    own_id, event_id = uuid4(), uuid7()
    set_at = store.one(conn, SQL["insert_point"], point | _values(own_id, event_id, actor, stop))["set_at"]
    answer = _answer(NOBODY, own_id, stop, set_at)
    details = {
        "before": None,
        "after": {**answer, "identifier_kind": reference.kind},
        "source": "api",
    }
    nobodys = Event(NOBODY, "suppression.set", actor, set_at, details, event_id)
    theirs = [
        Event(one.customer_id, "suppression.set", actor, set_at, {**details, "reason": stop.reason}) for one in holders
    ]
    history.record(conn, keyring, [nobodys, *theirs], keys={one.customer_id: one.key for one in holders})
    return answer


def lift(conn: Connection, keyring: Keyring, actor: Actor, suppression_id: str) -> None:
    """Ends a suppression, for everybody whom it reached.

    Raises:
        ConsentError: not_found, also for an id that is none.
    """
    owner, own_id = decode_id(suppression_id) or (None, None)
    if owner is None or own_id is None:
        raise _no_suppression()
    if owner == NOBODY:
        _lift_point(conn, keyring, actor, own_id)
        return
    locked = lock_many(conn, keyring, [owner]).get(owner)
    if locked is None:
        raise _no_suppression()
    place = {"customer_id": locked.customer_id, "suppression_id": own_id}
    row = conn.run(SQL["delete"], place).fetchone()
    if row is None:
        raise _no_suppression()
    stop = Stop(row["channel"], row["kind"], "")
    before = _answer(locked.customer_id, own_id, stop, row["set_at"])
    details = {"before": before, "after": None, "source": "api"}
    event = Event(locked.customer_id, "suppression.lifted", actor, row["lifted_at"], details)
    history.record(conn, keyring, [event], keys={locked.customer_id: locked.key})


def _lift_point(conn: Connection, keyring: Keyring, actor: Actor, own_id: UUID) -> None:
    point = conn.run(SQL["find_point"], {"suppression_id": own_id}).fetchone()
    if point is None:
        raise _no_suppression()
    holders = _lock_holders(conn, keyring, point)
    row = conn.run(SQL["delete_point"], {**point, "suppression_id": own_id}).fetchone()
    if row is None:  # lifted by another while we waited
        raise _no_suppression()
    stop = Stop(row["channel"], row["kind"], "")
    before = _answer(NOBODY, own_id, stop, row["set_at"])
    details = {
        "before": {**before, "identifier_kind": point["identifier_kind"]},
        "after": None,
        "source": "api",
    }
    reached = [NOBODY, *(one.customer_id for one in holders)]
    events = [Event(one, "suppression.lifted", actor, row["lifted_at"], details) for one in reached]
    history.record(conn, keyring, events, keys={one.customer_id: one.key for one in holders})


def _lock_holders(conn: Connection, keyring: Keyring, point: Mapping[str, Any]) -> list[Locked]:
    """Everybody who has the contact point, locked in the order of their ids."""
    rows = conn.run(SQL["holders"], point)
    locked = lock_many(conn, keyring, [row["customer_id"] for row in rows])
    return list({one.customer_id: one for one in locked.values()}.values())


def _kind_of_channel(conn: Connection, channel: str | None) -> str | None:
    """The kind of identifier that a channel uses; None for every channel."""
    if channel is None:
        return None
    row = conn.run(SQL["channel"], {"channel": channel}).fetchone()
    if row is None:
        raise ConsentError("unknown_channel", "The catalogue has no such channel.")
    kind: str = row["identifier_kind"]
    return kind


def _values(own_id: UUID, event_id: UUID, actor: Actor, stop: Stop) -> dict[str, Any]:
    return {
        "suppression_id": own_id,
        "channel": stop.channel,
        "kind": stop.kind,
        "role": actor.role,
        "event_id": event_id,
    }


def _answer(owner: UUID, own_id: UUID, stop: Stop, set_at: datetime) -> dict[str, Any]:
    on_a_person = owner != NOBODY
    return {
        "id": encode_id(owner, own_id),
        "scope": "customer" if on_a_person else "contact_point",
        "customer_id": str(owner) if on_a_person else None,
        "channel": stop.channel,
        "kind": stop.kind,
        "set_at": format_time(set_at),
    }


def _no_suppression() -> ConsentError:
    return ConsentError("not_found", "There is no such suppression.")
