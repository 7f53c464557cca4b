"""What customers tell in dialogues: named facts, each with its purpose and its end. Owns `fact`.

The value stands in the row alone, under the customer's key: history says that something was told, what it is called and
what for, never what it says. So what is withdrawn or has ended is known to nobody any more. Whoever else reads a fact
leaves an event with its customer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from uuid_utils.compat import uuid7

from consent_service.clock import format_time
from consent_service.customers.ids import encode_id
from consent_service.customers.service import Locked, lock_many, resolve_many, unknown_customer
from consent_service.database import Connection, Database, load
from consent_service.dialogues.people import require_open
from consent_service.errors import ConsentError
from consent_service.history import service as history
from consent_service.history.model import Actor, Event
from consent_service.keyring.model import DataKey
from consent_service.keyring.service import Keyring
from consent_service.permissions.model import Scope

SQL = load("consent_service.dialogues", "facts.sql")
MOST_FACTS = 200  # that hold, of one dialogue
MOST_CUSTOMERS = 1000  # of one reading
LONGEST_NAME = 64
LONGEST_VALUE = 500
LONGEST_PURPOSE = 200
LONGEST_LIFE = timedelta(days=500)


@dataclass(frozen=True, slots=True)
class Fact:
    """What is told: what it is called, what it says, what for, until when."""

    name: str
    value: str = field(repr=False)
    purpose: str
    until: datetime

    def sealed(self, key: DataKey, fact_id: UUID) -> bytes:
        """The row's ciphertext."""
        return key.seal(orjson.dumps([self.name, self.value, self.purpose]), fact_id.bytes)


@dataclass(frozen=True, slots=True)
class Kept:
    """A fact with its row's ids and when it was told or last changed."""

    fact: Fact
    fact_id: UUID
    dialogue_id: UUID
    told_at: datetime

    def shown(self, owner: UUID) -> dict[str, Any]:
        """As answers show it."""
        return {
            "id": encode_id(owner, self.fact_id),
            "dialogue_id": encode_id(owner, self.dialogue_id),
            "name": self.fact.name,
            "value": self.fact.value,
            "purpose": self.fact.purpose,
            "until": format_time(self.fact.until),
            "told_at": format_time(self.told_at),
        }


def tell(
    conn: Connection, keyring: Keyring, actor: Actor, held: Locked, dialogue_id: UUID, fact: Fact
) -> tuple[dict[str, Any], bool]:
    """(the fact as answers show it, whether it is new): one that the dialogue has by this name is changed.

    Raises:
        ConsentError: not_found, dialogue_closed, dialogue_expired, invalid_value.
    """
    now = require_open(conn, held.customer_id, dialogue_id)
    known = _of(conn, held.key, held.customer_id, dialogue_id)
    same = next((one for one in known if one.fact.name == fact.name), None)
    if same is not None:
        return _changed(conn, keyring, actor, held, same, fact, now), False
    if len(known) >= MOST_FACTS:
        raise ConsentError("invalid_value", f"A dialogue keeps at most {MOST_FACTS} facts.")
    _check_end(fact, now)
    kept = Kept(fact, UUID(bytes=uuid7().bytes), dialogue_id, now)
    _put(conn, keyring, actor, held, kept, "fact.told")
    return kept.shown(held.customer_id), True


def change(
    conn: Connection, keyring: Keyring, actor: Actor, held: Locked, fact_id: UUID, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Sets value, purpose or end of a fact that holds; also when its dialogue is closed: it is the customer's.

    Raises:
        ConsentError: not_found, invalid_value.
    """
    kept = _find(conn, held, fact_id)
    now = _now(conn, held.customer_id, kept.dialogue_id)
    return _changed(conn, keyring, actor, held, kept, replace(kept.fact, **given), now)


def withdraw(conn: Connection, keyring: Keyring, actor: Actor, held: Locked, fact_id: UUID) -> None:
    """Forgets a fact; it is given to nobody from now on.

    Raises:
        ConsentError: not_found.
    """
    kept = _find(conn, held, fact_id)
    now = _now(conn, held.customer_id, kept.dialogue_id)
    conn.run(SQL["delete"], {"customer_id": held.customer_id, "fact_id": fact_id})
    event = Event(held.customer_id, "fact.withdrawn", actor, now, _about(held, kept))
    history.record(conn, keyring, [event], keys={held.customer_id: held.key})


def list_facts(
    conn: Connection, keyring: Keyring, actor: Actor, held: Locked, dialogue_id: UUID
) -> list[dict[str, Any]]:
    """The facts of a dialogue that hold, oldest first; the desk's reading is an event of the customer's.

    Raises:
        ConsentError: not_found.
    """
    _now(conn, held.customer_id, dialogue_id)
    found = _of(conn, held.key, held.customer_id, dialogue_id)
    if found and not actor.is_customer:
        _record_reading(conn, keyring, actor, [held], {held.customer_id: found})
    return [one.shown(held.customer_id) for one in found]


def read_many(
    conn: Connection, keyring: Keyring, actor: Actor, references: Sequence[str], *, topic: str | None
) -> list[dict[str, Any] | ConsentError]:
    """What each of these customers told about topics that the reader may use, in the order asked, or an error.

    Whoever is given something leaves one event with each customer, in the same transaction. A customer who told nothing
    has an empty list, and no event.

    Args:
        topic: only what was told about it, or a topic below it.

    Raises:
        ConsentError: unknown_topic, topic_not_allowed.
    """
    scope = Scope.of(actor)
    own = list(scope.topics) if scope.topics is not None else None
    asked = {"limited": scope.limited, "key_topics": own, "topic": topic}
    _check_topic(conn, asked)
    people = resolve_many(conn, keyring, references)
    customers = {one.customer_id for one in people if one.customer_id is not None}
    rows = conn.run(SQL["having"], {"customer_ids": sorted(customers)}).fetchall()
    # What is withdrawn before this is not given out after it.
    held = lock_many(conn, keyring, [row["customer_id"] for row in rows])
    topics: dict[UUID, str] = {}
    given = _given(conn, list(held.values()), asked, topics)
    _record_reading(conn, keyring, actor, list(held.values()), given)
    answers: list[dict[str, Any] | ConsentError] = []
    for one in people:
        if one.customer_id is None:
            answers.append(one.error or unknown_customer())
            continue
        owner = held[one.customer_id].customer_id if one.customer_id in held else one.customer_id
        shown = [{**kept.shown(owner), "topic": topics[kept.fact_id]} for kept in given.get(owner, ())]
        answers.append({"customer_id": str(owner), "facts": shown})
    return answers


def forget_old(database: Database) -> None:
    """Housekeeping: what has ended."""
    with database.reading() as conn:
        conn.run(SQL["forget"])


def _check_topic(conn: Connection, asked: Mapping[str, Any]) -> None:
    if asked["topic"] is None:
        return
    row = conn.run(SQL["topic"], asked).fetchone()
    if row is None:
        raise ConsentError("unknown_topic", "The catalogue has no such topic.")
    if not row["allowed"]:
        raise ConsentError("topic_not_allowed", "This key may not use this topic.")


def _given(
    conn: Connection, held: Sequence[Locked], asked: Mapping[str, Any], topics: dict[UUID, str]
) -> dict[UUID, list[Kept]]:
    """What the reader is given, by customer; `topics` is told the topic of each."""
    keys = {one.customer_id: one.key for one in held}
    found: dict[UUID, list[Kept]] = defaultdict(list)
    for row in conn.run(SQL["read"], {**asked, "customer_ids": sorted(keys)}) if keys else ():
        found[row["customer_id"]].append(_opened(keys[row["customer_id"]], row))
        topics[row["fact_id"]] = row["topic"]
    return found


def _record_reading(
    conn: Connection, keyring: Keyring, actor: Actor, held: Iterable[Locked], given: Mapping[UUID, Sequence[Kept]]
) -> None:
    """One event with each customer of whom something was given."""
    read = {one.customer_id: one for one in held if given.get(one.customer_id)}
    if not read:
        return
    row = conn.run(SQL["now"]).fetchone()
    assert row is not None
    events = [
        Event(
            owner,
            "fact.read",
            actor,
            row["now"],
            {"facts": [{"fact_id": encode_id(owner, one.fact_id), "name": one.fact.name} for one in given[owner]]},
        )
        for owner in read
    ]
    history.record(conn, keyring, events, keys={owner: one.key for owner, one in read.items()})


def _changed(
    conn: Connection, keyring: Keyring, actor: Actor, held: Locked, kept: Kept, fact: Fact, now: datetime
) -> dict[str, Any]:
    """The fact as it is then; what says the same again changes nothing."""
    if fact == kept.fact:
        return kept.shown(held.customer_id)
    _check_end(fact, now)
    changed = replace(kept, fact=fact, told_at=now)
    _put(conn, keyring, actor, held, changed, "fact.changed")
    return changed.shown(held.customer_id)


def _put(conn: Connection, keyring: Keyring, actor: Actor, held: Locked, kept: Kept, type_: str) -> None:
    event = Event(held.customer_id, type_, actor, kept.told_at, _about(held, kept))
    own = {"customer_id": held.customer_id, "dialogue_id": kept.dialogue_id, "event_id": event.event_id}
    values = {"fact_id": kept.fact_id, "until": kept.fact.until, "told_at": kept.told_at}
    conn.run(SQL["put"], {**own, **values, "ciphertext": kept.fact.sealed(held.key, kept.fact_id)})
    if type_ == "fact.told":
        conn.run(SQL["enter"], {**own, "role": actor.role, "said_at": kept.told_at})
    history.record(conn, keyring, [event], keys={held.customer_id: held.key})


def _about(held: Locked, kept: Kept) -> dict[str, Any]:
    """What history keeps: not the value."""
    return {
        "dialogue_id": encode_id(held.customer_id, kept.dialogue_id),
        "fact_id": encode_id(held.customer_id, kept.fact_id),
        "name": kept.fact.name,
        "purpose": kept.fact.purpose,
        "until": format_time(kept.fact.until),
    }


def _check_end(fact: Fact, now: datetime) -> None:
    if not now < fact.until <= now + LONGEST_LIFE:
        detail = f"A fact ends later than now, and within {LONGEST_LIFE.days} days."
        errors = [{"pointer": "/until", "code": "invalid_value", "detail": detail}]
        raise ConsentError("invalid_value", f"/until: {detail}", errors=errors)


def _of(conn: Connection, key: DataKey, customer_id: UUID, dialogue_id: UUID) -> list[Kept]:
    asked = {"customer_id": customer_id, "dialogue_id": dialogue_id}
    return [_opened(key, row) for row in conn.run(SQL["of_dialogue"], asked)]


def _find(conn: Connection, held: Locked, fact_id: UUID) -> Kept:
    row = conn.run(SQL["find"], {"customer_id": held.customer_id, "fact_id": fact_id}).fetchone()
    if row is None:
        raise ConsentError("not_found")
    return _opened(held.key, row)


def _opened(key: DataKey, row: Mapping[str, Any]) -> Kept:
    name, value, purpose = orjson.loads(key.open(row["ciphertext"], row["fact_id"].bytes))
    return Kept(Fact(name, value, purpose, row["until"]), row["fact_id"], row["dialogue_id"], row["told_at"])


def _now(conn: Connection, customer_id: UUID, dialogue_id: UUID) -> datetime:
    """The time, when the customer has this dialogue, open or not.

    Raises:
        ConsentError: not_found.
    """
    row = conn.run(SQL["place"], {"customer_id": customer_id, "dialogue_id": dialogue_id}).fetchone()
    if row is None:
        raise ConsentError("not_found")
    now: datetime = row["now"]
    return now
