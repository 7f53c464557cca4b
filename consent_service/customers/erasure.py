"""Erases a person: keyed hashes of their identifiers stay, so that they are refused, and nothing else.

History keeps its frames; its contents can never be opened again, because the key is gone. It must leave
nothing behind under an id that was merged into the person. Source: rules.md, 5; GDPR, Art. 17.
"""

from __future__ import annotations

from uuid import UUID

from consent_service.customers.service import lineage, require_locked, unknown_customer
from consent_service.database import Connection, load
from consent_service.history import service as history
from consent_service.history.model import Actor, Event
from consent_service.keyring.model import NOBODY
from consent_service.keyring.service import Keyring
from consent_service.keys import service as keys

SQL = load("consent_service.customers", "erasure.sql")


def erase(conn: Connection, keyring: Keyring, actor: Actor, customer_id: UUID) -> None:
    """Erases the person behind an id, under all ids that were ever merged into it.

    A suppression on one of their contact points stays: it stands on the address, not on the person.

    Raises:
        ConsentError: unknown_customer, also the second time.
    """
    locked = require_locked(conn, keyring, customer_id, actor)
    # Nobody merges anyone into the person while we hold it.
    everyone = lineage(conn, locked.customer_id)
    conn.run(SQL["lock"], {"customer_ids": everyone})
    rows = conn.run(SQL["erase"], {"customer_ids": everyone}).fetchall()
    if len(rows) != len(everyone):
        raise unknown_customer()
    keys.forget_answers_of(conn, everyone)
    keyring.delete(conn, everyone)
    # The person's own key is gone: what remains to be said is said under nobody's.
    events = [
        Event(NOBODY, "customer.erased", actor, row["erased_at"], {"customer_id": str(row["customer_id"])})
        for row in rows
    ]
    history.record(conn, keyring, events)
