"""People whom customers name in a dialogue. Owns `person` and `refused_naming`.

Being named makes nobody a customer, and lets nobody write to them: no statement of a decision or a look-up reads these
tables. Only who named them and the service desk see them, and history says that somebody was named, not who. What a
named person answers is told only if they say yes and allow it: all else looks alike, and costs the same statements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from consent_service.customers.ids import decode_id, encode_id
from consent_service.customers.model import ID, Reference, masked
from consent_service.customers.service import Locked, declared_kinds, lock_many, survivors
from consent_service.database import Connection, load
from consent_service.dialogues.persons import LONGEST_SHOWN, MOST_PEOPLE, Person
from consent_service.errors import ConsentError
from consent_service.history import service as history
from consent_service.history.model import Actor, Event
from consent_service.keyring.model import NOBODY
from consent_service.keyring.service import Keyring

SQL = load("consent_service.dialogues", "people.sql")
# Looked up where no contact detail is given, so that the same statements run: nobody's.
_NO_HASH = b""
_CLOSED = {
    "closed": ("dialogue_closed", "The dialogue is closed. Only the customer can open a new one."),
    "expired": ("dialogue_expired", "The dialogue has expired. Only the customer can open a new one."),
}


def hold(conn: Connection, keyring: Keyring, actor: Actor, encoded: str) -> tuple[Locked, UUID]:
    """(the customer, locked, whose id is in an id of a URL; the own id in it).

    Raises:
        ConsentError: not_found, also for a customer who asks about somebody else's.
    """
    owner, own_id = place(conn, actor, encoded)
    held = lock_many(conn, keyring, [owner]).get(owner)
    if held is None:  # erased while we waited
        raise ConsentError("not_found")
    return held, own_id


def place(conn: Connection, actor: Actor, encoded: str) -> tuple[UUID, UUID]:
    """The same without a lock: (the customer's id by now, the own id).

    Raises:
        ConsentError: not_found.
    """
    named = decode_id(encoded)
    if named is None:
        raise ConsentError("not_found")
    asked = [named[0], *([actor.customer_id] if actor.customer_id is not None else [])]
    active = survivors(conn, asked)
    owner = active.get(named[0])
    own = active.get(actor.customer_id) if actor.customer_id is not None else None
    if owner is None or (actor.is_customer and own != owner):
        raise ConsentError("not_found")
    return owner, named[1]


def require_open(conn: Connection, customer_id: UUID, dialogue_id: UUID) -> datetime:
    """The time, when a dialogue of the customer is open.

    Raises:
        ConsentError: not_found, dialogue_closed, dialogue_expired.
    """
    row = conn.run(SQL["place"], {"customer_id": customer_id, "dialogue_id": dialogue_id}).fetchone()
    if row is None:
        raise ConsentError("not_found")
    if row["state"] in _CLOSED:
        raise ConsentError(*_CLOSED[row["state"]])
    now: datetime = row["now"]
    return now


def name_person(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    held: Locked,
    dialogue_id: UUID,
    *,
    name: str,
    relation: str,
    contact: Reference | None,
) -> dict[str, Any]:
    """Keeps somebody whom the customer names in an open dialogue; the person as answers show them.

    Of a contact detail a part is kept, and a hash by which its owner may refuse to be named. Who has refused is kept
    without it, and the answer does not say so.

    Raises:
        ConsentError: not_found, dialogue_closed, dialogue_expired, unknown_identifier_kind, invalid_value.
    """
    _check_contact(conn, contact)
    now = require_open(conn, held.customer_id, dialogue_id)
    row = conn.run(SQL["count"], {"customer_id": held.customer_id}).fetchone()
    if row is None or row["people"] >= MOST_PEOPLE:
        raise ConsentError("invalid_value", f"A customer names at most {MOST_PEOPLE} people.")
    person = Person(
        person_id=UUID(bytes=uuid7().bytes),
        dialogue_id=dialogue_id,
        named_at=now,
        name=name,
        relation=relation,
        contact=_in_part(contact),
        naming_hash=_if_not_refused(conn, naming_hash(conn, keyring, contact)),
    )
    event = _event(actor, held, "person.named", person, now)
    values = {"named_at": now, "event_id": event.event_id, "dialogue_id": dialogue_id}
    conn.run(SQL["insert"], {**_own(held, person), **values, "ciphertext": person.sealed(held.key)})
    history.record(conn, keyring, [event], keys={held.customer_id: held.key})
    return _shown(conn, actor, held.customer_id, [person])[0]


def list_people(
    conn: Connection, keyring: Keyring, actor: Actor, customer_id: UUID, dialogue_id: UUID
) -> list[dict[str, Any]]:
    """Whom a customer named in a dialogue, in the order of naming.

    Raises:
        ConsentError: not_found.
    """
    asked = {"customer_id": customer_id, "dialogue_id": dialogue_id}
    key = keyring.find(conn, [customer_id]).get(customer_id)
    if key is None or conn.run(SQL["place"], asked).fetchone() is None:
        raise ConsentError("not_found")
    people = [Person.opened(key, row) for row in conn.run(SQL["of_dialogue"], asked)]
    return _shown(conn, actor, customer_id, people)


def change_person(
    conn: Connection, keyring: Keyring, actor: Actor, held: Locked, person_id: UUID, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Sets name or relation; the person as they are then. Another contact detail is another person.

    Raises:
        ConsentError: not_found, dialogue_closed, dialogue_expired.
    """
    person = find(conn, held, person_id)
    now = require_open(conn, held.customer_id, person.dialogue_id)
    changed = replace(person, **given)
    if changed != person:
        store(conn, held, changed)
        event = _event(actor, held, "person.changed", person, now)
        history.record(conn, keyring, [event], keys={held.customer_id: held.key})
    return _shown(conn, actor, held.customer_id, [changed])[0]


def remove_person(conn: Connection, keyring: Keyring, actor: Actor, held: Locked, person_id: UUID) -> None:
    """Forgets a person, in a closed dialogue as well; links to the invitation are none from now on.

    Raises:
        ConsentError: not_found.
    """
    person = find(conn, held, person_id)
    row = conn.run(SQL["place"], {"customer_id": held.customer_id, "dialogue_id": person.dialogue_id}).fetchone()
    assert row is not None  # by its foreign key
    conn.run(SQL["delete"], _own(held, person))
    event = _event(actor, held, "person.removed", person, row["now"])
    history.record(conn, keyring, [event], keys={held.customer_id: held.key})


def invited(
    conn: Connection, keyring: Keyring, actor: Actor, held: Locked, person_id: UUID, *, shown_as: str | None
) -> tuple[dict[str, Any], datetime]:
    """(the person, the time): keeps that the customer passes an invitation on, and as whom they are shown in it.

    Raises:
        ConsentError: not_found, dialogue_closed, dialogue_expired.
    """
    person = find(conn, held, person_id)
    now = require_open(conn, held.customer_id, person.dialogue_id)
    person = replace(person, invited_at=now, shown_as=shown_as)
    store(conn, held, person)
    event = _event(actor, held, "person.invited", person, now, shows_who_asked=shown_as is not None)
    history.record(conn, keyring, [event], keys={held.customer_id: held.key})
    return _shown(conn, actor, held.customer_id, [person])[0], now


def find(conn: Connection, held: Locked, person_id: UUID) -> Person:
    """One of whom the customer named.

    Raises:
        ConsentError: not_found.
    """
    row = conn.run(SQL["find"], {"customer_id": held.customer_id, "person_id": person_id}).fetchone()
    if row is None:
        raise ConsentError("not_found")
    return Person.opened(held.key, row)


def store(conn: Connection, held: Locked, person: Person) -> None:
    """Keeps what is known of a person by now."""
    conn.run(SQL["change"], {**_own(held, person), "ciphertext": person.sealed(held.key)})


def refuse_naming(conn: Connection, person: Person) -> None:
    """From now on nobody keeps the contact detail by which the person was named."""
    if person.naming_hash is not None:
        conn.run(SQL["refuse"], {"value_hash": person.naming_hash})


def naming_hash(conn: Connection, keyring: Keyring, contact: Reference | None) -> bytes | None:
    """A keyed hash of a contact detail that matches no other hash in the database."""
    if contact is None:
        return None
    return keyring.service(conn).identity_hash(f"naming\0{contact.kind}", contact.value)


def _if_not_refused(conn: Connection, value_hash: bytes | None) -> bytes | None:
    row = conn.run(SQL["refused"], {"value_hash": value_hash or _NO_HASH}).fetchone()
    return None if row is None or row["refused"] else value_hash


def _check_contact(conn: Connection, contact: Reference | None) -> None:
    if contact is None:
        return
    if contact.kind == ID:
        raise ConsentError("invalid_value", "A contact detail is an address or a number, not an id.")
    declared_kinds(conn, [contact])


def _in_part(contact: Reference | None) -> str | None:
    if contact is None:
        return None
    part = masked(contact.text)
    return part if len(part) <= LONGEST_SHOWN else part[: LONGEST_SHOWN - 1] + "…"


def _shown(conn: Connection, actor: Actor, owner: UUID, people: Sequence[Person]) -> list[dict[str, Any]]:
    """How they stand for whom asks; the same statement for all of them, whatever they answered."""
    asked = [one for person in people for one in person.answers] or [NOBODY]
    joined = {row["asked"]: row for row in conn.run(SQL["joined"], {"customer_ids": asked})}
    shown = []
    for person in people:
        found = next(
            (
                joined[one.customer_id]["customer_id"]
                for one in person.said_yes
                if one.tells and one.customer_id in joined and (one.known or joined[one.customer_id]["confirmed"])
            ),
            None,
        )
        body = person.shown(owner, None if actor.is_customer else found)
        shown.append({**body, "state": "joined" if found else "not_available"})
    return shown


def _event(actor: Actor, held: Locked, type_: str, person: Person, at: datetime, **more: Any) -> Event:
    """That it happened to somebody whom the customer named, by id alone: others read history as well."""
    about = {
        "dialogue_id": encode_id(held.customer_id, person.dialogue_id),
        "person_id": encode_id(held.customer_id, person.person_id),
    }
    return Event(held.customer_id, type_, actor, at, {**about, **more})


def _own(held: Locked, person: Person) -> dict[str, UUID]:
    return {"customer_id": held.customer_id, "person_id": person.person_id}
