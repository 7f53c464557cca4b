"""Which names of a customer were confirmed from the name itself, and when. A confirmation is kept with the name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from consent_service.clock import format_time
from consent_service.customers import store
from consent_service.customers.model import Reference
from consent_service.customers.service import Locked
from consent_service.customers.store import SQL
from consent_service.database import Connection
from consent_service.history import service as history
from consent_service.history.model import Actor, Event
from consent_service.keyring.service import Keyring


@dataclass(frozen=True, slots=True)
class Name:
    """A name, and when it was first confirmed; None: it was not."""

    reference: Reference
    confirmed_at: datetime | None


def names(conn: Connection, held: Locked) -> list[Name]:
    """What names a customer, oldest first."""
    rows = conn.run(SQL["identifiers"], {"customer_ids": [held.customer_id]}).fetchall()
    return [Name(store.opened(held.key, row), row["confirmed_at"]) for row in rows]


def confirm(conn: Connection, keyring: Keyring, actor: Actor, held: Locked, reference: Reference) -> None:
    """Keeps that a name of the customer was confirmed just now; nothing when it was already, or is not theirs."""
    asked = {"customer_id": held.customer_id, "kind": reference.kind}
    asked["value_hash"] = store.hash_of(conn, keyring, reference)
    row = conn.run(SQL["confirm"], asked).fetchone()
    if row is None:
        return
    after = {"identifier": reference.text, "confirmed_at": format_time(row["confirmed_at"])}
    details = {"before": None, "after": after, "source": "web"}
    event = Event(held.customer_id, "identifier.confirmed", actor, row["confirmed_at"], details)
    history.record(conn, keyring, [event], keys={held.customer_id: held.key})
