"""Records what happened and reads it back. Owns `event` and `event_content`; never changes or deletes a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from consent_service.clock import format_time
from consent_service.database import Connection, load
from consent_service.history.model import Event, open_bytes, seal_bytes
from consent_service.keyring.model import DataKey
from consent_service.keyring.service import Keyring

SQL = load("consent_service.history", "history.sql")


def record(
    conn: Connection,
    keyring: Keyring,
    events: Sequence[Event],
    *,
    keys: Mapping[UUID, DataKey] | None = None,
) -> None:
    """Adds events in the caller's transaction: the change and its history are one commit. Sent with what follows.

    Args:
        keys: data keys that the caller has already; the others are looked up.
    """
    if not events:
        return
    known = dict(keys or {})
    missing = {event.customer_id for event in events} - known.keys()
    if missing:
        known.update(keyring.find(conn, missing))
    commitments, ciphertexts = [], []
    for event in events:
        committed, clear = seal_bytes(event.content())
        commitments.append(committed)
        ciphertexts.append(known[event.customer_id].seal(clear, event.event_id.bytes))
    conn.queue(
        SQL["insert"],
        {
            "customer_ids": [event.customer_id for event in events],
            "event_ids": [event.event_id for event in events],
            "types": [event.type for event in events],
            "recorded_ats": [event.recorded_at for event in events],
            "commitments": commitments,
            "ciphertexts": ciphertexts,
        },
    )


def page(
    conn: Connection,
    keyring: Keyring,
    customer_ids: Sequence[UUID],
    *,
    most: int,
    before: tuple[datetime, UUID] | None = None,
) -> list[dict[str, Any]]:
    """Up to `most` events of a customer (all ids merged into one), newest first, after the cursor `before`."""
    before_at, before_id = before or (None, None)
    rows = conn.run(
        SQL["page"],
        {"customer_ids": list(customer_ids), "before_at": before_at, "before_id": before_id, "most": most},
    ).fetchall()
    return _shown(conn, keyring, rows)


def find(
    conn: Connection, keyring: Keyring, owners: Sequence[UUID], event_ids: Sequence[UUID]
) -> dict[UUID, dict[str, Any]]:
    """Those events that belong to one of the owners, by id."""
    rows = conn.run(SQL["find"], {"customer_ids": list(owners), "event_ids": list(event_ids)}).fetchall()
    return {UUID(event["id"]): event for event in _shown(conn, keyring, rows)}


def of_types(
    conn: Connection,
    keyring: Keyring,
    owners: Sequence[UUID],
    types: Sequence[str],
    *,
    after: datetime | None,
    most: int,
) -> list[dict[str, Any]]:
    """Up to `most` events of these types of one history, recorded after a time (None: ever), newest first."""
    asked = {"customer_ids": list(owners), "types": list(types), "after": after, "most": most}
    return _shown(conn, keyring, conn.run(SQL["of_types"], asked).fetchall())


def _shown(conn: Connection, keyring: Keyring, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    keys = keyring.find(conn, {row["customer_id"] for row in rows})
    return [_event(row, keys.get(row["customer_id"])) for row in rows]


def _event(row: Mapping[str, Any], key: DataKey | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": str(row["event_id"]),
        "customer_id": str(row["customer_id"]),
        "type": row["type"],
        "recorded_at": format_time(row["recorded_at"]),
        "erased": key is None,
        "actor": None,
        "occurred_at": None,
        "source": None,
        "before": None,
        "after": None,
        "notice": None,
        "evidence": None,
        "request_id": None,
        "details": {},
    }
    if key is not None and row["ciphertext"] is not None:
        content = open_bytes(row["commitment"], key.open(row["ciphertext"], row["event_id"].bytes))
        for name, value in content.items():
            if name in shown:
                shown[name] = value
            else:
                shown["details"][name] = value
    return shown
