"""Which names of a customer were confirmed, and when: from the name itself, or by the service desk on evidence.

A confirmation is kept with the name. What a channel with `confirm: true` asks for is met by either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from consent_service.clock import format_time
from consent_service.customers import store
from consent_service.customers.model import EMAIL, Reference
from consent_service.customers.service import Locked, require_locked
from consent_service.customers.store import SQL
from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.history import service as history
from consent_service.history.model import Actor, Event
from consent_service.keyring.model import DataKey
from consent_service.keyring.service import Keyring


@dataclass(frozen=True, slots=True)
class Name:
    """A name, and when it was first confirmed; None: it was not."""

    reference: Reference
    confirmed_at: datetime | None


def names(conn: Connection, held: Locked) -> list[Name]:
    """What names a customer, oldest first."""
    return _names(conn, held.customer_id, held.key)


def names_of(conn: Connection, keyring: Keyring, customer_id: UUID) -> list[Name]:
    """The same of a customer who need not be locked; of an erased one none."""
    key = keyring.find(conn, [customer_id]).get(customer_id)
    return _names(conn, customer_id, key) if key is not None else []


def mailbox(conn: Connection, held: Locked) -> Reference | None:
    """Where the customer is written to: the oldest confirmed e-mail address, else the oldest; None: there is none."""
    found = [one for one in names(conn, held) if one.reference.kind == EMAIL]
    return next((one.reference for one in found if one.confirmed_at), found[0].reference if found else None)


def confirm(conn: Connection, keyring: Keyring, actor: Actor, held: Locked, reference: Reference) -> datetime | None:
    """Keeps that a name of the customer was confirmed just now, and when that is.

    Returns:
        None: it was confirmed already, or is not theirs; nothing was done.
    """
    asked = {"customer_id": held.customer_id, "kind": reference.kind}
    asked["value_hash"] = store.hash_of(conn, keyring, reference)
    row = conn.run(SQL["confirm"], asked).fetchone()
    if row is None:
        return None
    confirmed_at: datetime = row["confirmed_at"]
    after = {"identifier": reference.text, "confirmed_at": format_time(confirmed_at)}
    source = actor.source or ("web" if actor.is_customer else "api")
    details = {"before": None, "after": after, "source": source}
    event = Event(held.customer_id, "identifier.confirmed", actor, confirmed_at, details)
    history.record(conn, keyring, [event], keys={held.customer_id: held.key})
    return confirmed_at


def confirm_on_evidence(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    customer_id: UUID,
    reference: Reference,
    evidence: Mapping[str, Any] | None,
) -> tuple[UUID, datetime]:
    """(the customer, when the name was first confirmed): the service desk has satisfied itself that it is theirs.

    It is the only way for names that no mail goes to. One that is confirmed already stays as it is, without an event.

    Raises:
        ConsentError: evidence_required; not_found, where the customer has no such name; unknown_customer.
    """
    if not evidence:
        raise ConsentError("evidence_required", "Name the call or letter in evidence.")
    held = require_locked(conn, keyring, customer_id, actor)
    standing = next((one for one in names(conn, held) if one.reference == reference), None)
    if standing is None:
        raise ConsentError("not_found", "The customer has no such identifier.")
    confirmed_at = standing.confirmed_at
    if confirmed_at is None:
        confirmed_at = confirm(conn, keyring, replace(actor, evidence=evidence), held, reference)
    assert confirmed_at is not None  # the customer is locked
    return held.customer_id, confirmed_at


def _names(conn: Connection, customer_id: UUID, key: DataKey) -> list[Name]:
    rows = conn.run(SQL["identifiers"], {"customer_ids": [customer_id]}).fetchall()
    return [Name(store.opened(key, row), row["confirmed_at"]) for row in rows]
