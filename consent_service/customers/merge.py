"""Merges two customers who are one person: the one in the path survives, and of two wishes the quieter.

It must never make anybody louder than either was, and never lose a suppression or an entry of a ledger.
Source: rules.md, 5.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from consent_service.clock import format_time
from consent_service.customers import store
from consent_service.customers.model import FIELDS
from consent_service.customers.service import Locked, lock_many, require, shown, unknown_customer
from consent_service.database import Connection, load
from consent_service.errors import ConsentError
from consent_service.history import service as history
from consent_service.history.model import Actor, Event
from consent_service.keyring.model import NOBODY
from consent_service.keyring.service import Keyring
from consent_service.mail.service import hand_to_survivor

SQL = load("consent_service.customers", "merge.sql")
# In this order: identifier_owner finds its rows by those of identifier.
_MOVES = (
    "merge_dials",
    "delete_dials",
    "move_pauses",
    "forget_visits",
    "move_suppressions",
    "move_permits",
    "move_contacts",
    "move_owners",
    "move_shared_owners",
    "move_entries",
    "move_confirmations",
    "delete_identifiers",
    "point_to_survivor",
)


def merge(conn: Connection, keyring: Keyring, actor: Actor, customer_id: UUID, other_id: UUID) -> dict[str, Any]:
    """The customer that results: it has the id in the path, and the other's id leads to it.

    Raises:
        ConsentError: unknown_customer for either; same_customer, also when they were merged already.
    """
    survivor_id = require(conn, customer_id, actor)
    asked = [survivor_id, require(conn, other_id, actor)]
    locked = lock_many(conn, keyring, asked)
    if len(locked) < len(set(asked)):  # erased while we waited
        raise unknown_customer()
    survivor, other = locked[asked[0]], locked[asked[1]]
    if survivor.customer_id == other.customer_id:
        raise ConsentError("same_customer", "These two are one customer already.")
    before = _snapshots(conn, [survivor, other])
    places = {"survivor_id": survivor.customer_id, "other_id": other.customer_id}
    names = store.identifiers(conn, {one.customer_id: one.key for one in (survivor, other)})
    fields = {name: getattr(survivor, name) or getattr(other, name) for name in FIELDS}
    # The other's names are sealed anew: its key opens nothing of the survivor's.
    own_key = {survivor.customer_id: survivor.key}
    moved_names = [(survivor.customer_id, ref) for ref in names[other.customer_id]]
    if moved_names:
        store.insert_identifiers(conn, keyring, own_key, moved_names)
    _copy_dialogues(conn, survivor, other)
    for move in _MOVES:
        conn.run(SQL[move], {**places, "nobody": NOBODY})
    for one in ("pending", "people", "facts"):
        _move_sealed(conn, one, survivor, other)
    conn.run(SQL["delete_dialogues"], places)  # whatever stands in one has moved
    hand_to_survivor(conn, (survivor.customer_id, survivor.key), (other.customer_id, other.key))
    row = store.one(conn, SQL["change_survivor"], {**places, **fields})
    after = _snapshots(conn, [survivor])[survivor.customer_id] | fields
    details = {
        "survivor_id": str(survivor.customer_id),
        "other_id": str(other.customer_id),
        "before": {"survivor": before[survivor.customer_id], "other": before[other.customer_id]},
        "after": after,
        "source": "api",
    }
    history.record(
        conn,
        keyring,
        [Event(one.customer_id, "customers.merged", actor, row["merged_at"], details) for one in (survivor, other)],
        keys={one.customer_id: one.key for one in (survivor, other)},
    )
    refs = list(dict.fromkeys([*names[survivor.customer_id], *names[other.customer_id]]))
    return shown(survivor.customer_id, refs, survivor) | fields


def _move_sealed(conn: Connection, what: str, survivor: Locked, other: Locked) -> None:
    """What waits for a confirmation, whom they named, what they told: the survivor's from now on, sealed anew."""
    rows = conn.run(SQL[what], {"other_id": other.customer_id}).fetchall()
    sealed = {
        row["own_id"]: survivor.key.seal(other.key.open(row["ciphertext"], row["own_id"].bytes), row["own_id"].bytes)
        for row in rows
    }
    ids = {"survivor_id": survivor.customer_id, "other_id": other.customer_id}
    conn.run(SQL[f"move_{what}"], {**ids, "own_ids": list(sealed), "ciphertexts": list(sealed.values())})


def _copy_dialogues(conn: Connection, survivor: Locked, other: Locked) -> None:
    """The other's dialogues under the survivor, sealed anew; what hangs on them moves before the old rows go."""
    rows = conn.run(SQL["dialogues"], {"other_id": other.customer_id}).fetchall()
    sealed = {
        row["dialogue_id"]: survivor.key.seal(
            other.key.open(row["ciphertext"], row["dialogue_id"].bytes), row["dialogue_id"].bytes
        )
        for row in rows
    }
    ids = {"survivor_id": survivor.customer_id, "other_id": other.customer_id}
    conn.run(SQL["copy_dialogues"], {**ids, "dialogue_ids": list(sealed), "ciphertexts": list(sealed.values())})


def _snapshots(conn: Connection, customers: list[Locked]) -> dict[UUID, dict[str, Any]]:
    """What history keeps of each: fields, names, dials, pauses, suppressions."""
    keys = {one.customer_id: one.key for one in customers}
    names = store.identifiers(conn, keys)
    found = {
        one.customer_id: {
            **shown(one.customer_id, names[one.customer_id], one),
            "dials": [],
            "pauses": [],
            "suppressions": [],
        }
        for one in customers
    }
    for part in ("dials", "pauses", "suppressions"):
        for row in conn.run(SQL[part], {"customer_ids": list(keys)}):
            shown_row = {
                name: format_time(value) if hasattr(value, "isoformat") else value
                for name, value in row.items()
                if name != "customer_id"
            }
            found[row["customer_id"]][part].append(shown_row)
    return found
