"""Takes a contact detail away from a customer, and with it what waits for a confirmation from there.

Who reads a mailbox that is no longer the customer's must not confirm anything in their name.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from consent_service.confirmations import service
from consent_service.customers import profile
from consent_service.customers.model import Reference
from consent_service.database import Connection
from consent_service.history.model import Actor
from consent_service.keyring.service import Keyring


def remove(conn: Connection, keyring: Keyring, actor: Actor, customer_id: UUID, reference: Reference) -> dict[str, Any]:
    """The customer without this detail; one that is not theirs changes nothing.

    Raises:
        ConsentError: what profile.remove_identifier refuses.
    """
    customer, was_theirs = profile.remove_identifier(conn, keyring, actor, customer_id, reference)
    if was_theirs:
        owner = UUID(customer["id"])
        for one in service.open_changes(conn, keyring, owner):
            if one.asked.to == reference:
                service.drop(conn, keyring, actor, owner, one.change_id)
    return customer
