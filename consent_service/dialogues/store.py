"""Runs the SQL of dialogues, in the caller's transaction. The subject is sealed here under the customer's key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from consent_service.customers.service import Locked
from consent_service.database import Connection, load
from consent_service.dialogues.model import Dialogue, Opening, Terms
from consent_service.keyring.model import DataKey

SQL = load("consent_service.dialogues", "dialogues.sql")
Row = Mapping[str, Any]


def find(conn: Connection, key: DataKey, customer_id: UUID, dialogue_id: UUID) -> Dialogue | None:
    """One dialogue of a customer as it stands now."""
    found = _stand(conn, key, customer_id, dialogue_id=dialogue_id, most=1)
    return found[0] if found else None


def newest(conn: Connection, key: DataKey, customer_id: UUID, *, before: UUID | None, most: int) -> list[Dialogue]:
    """Up to so many of a customer's, newest first, from after one of them."""
    return _stand(conn, key, customer_id, before=before, most=most)


def count_open(conn: Connection, customer_id: UUID) -> tuple[int, datetime]:
    """(how many of a customer's are open, the time)."""
    row = _one(conn, "open_ones", customer_id=customer_id)
    return row["count"], row["now"]


def insert(conn: Connection, held: Locked, dialogue_id: UUID, opening: Opening, **how: Any) -> None:
    """Adds an open dialogue; `how`: opened_at, role, source, event_id."""
    values = {
        "customer_id": held.customer_id,
        "dialogue_id": dialogue_id,
        "topic": opening.topic,
        **_terms(opening.terms),
        "ciphertext": held.key.seal(opening.subject.encode(), dialogue_id.bytes),
    }
    conn.run(SQL["insert"], {**values, **how})


def change_terms(conn: Connection, dialogue: Dialogue, terms: Terms) -> None:
    """Sets the terms of a dialogue."""
    conn.run(SQL["change_terms"], {**_place(dialogue), **_terms(terms)})


def close(conn: Connection, dialogue: Dialogue, closed_at: datetime, closed_by: str) -> None:
    """Closes a dialogue."""
    conn.run(SQL["close"], {**_place(dialogue), "closed_at": closed_at, "closed_by": closed_by})


def spoke(conn: Connection, customer_id: UUID, dialogue_id: UUID, waiting_since: datetime | None) -> None:
    """Remembers who spoke last: the customer, who waits since then unless they did already; None: the company."""
    place = {"customer_id": customer_id, "dialogue_id": dialogue_id}
    conn.run(SQL["spoke"], {**place, "waiting_since": waiting_since})


def next_number(conn: Connection, customer_id: UUID, dialogue_id: UUID) -> tuple[int, datetime]:
    """(the number of the next entry, the time)."""
    row = _one(conn, "next_number", customer_id=customer_id, dialogue_id=dialogue_id)
    return row["number"], row["now"]


def add_entry(conn: Connection, customer_id: UUID, dialogue_id: UUID, **entry: Any) -> None:
    """Adds an entry: number, kind, role, answers, said_at, event_id."""
    conn.run(SQL["add_entry"], {"customer_id": customer_id, "dialogue_id": dialogue_id, **entry})


def entries(conn: Connection, dialogue: Dialogue, *, after: int, most: int) -> Sequence[Row]:
    """Up to so many entries after a number, in their order."""
    return conn.run(SQL["entries"], {**_place(dialogue), "after": after, "most": most}).fetchall()


def proposal(conn: Connection, dialogue: Dialogue, number: int) -> Row | None:
    """The proposal under this number, and what has answered it; None when there is none."""
    return conn.run(SQL["proposal"], {**_place(dialogue), "number": number}).fetchone()


def _stand(
    conn: Connection,
    key: DataKey,
    customer_id: UUID,
    *,
    dialogue_id: UUID | None = None,
    before: UUID | None = None,
    most: int,
) -> list[Dialogue]:
    asked = {"customer_id": customer_id, "dialogue_id": dialogue_id, "before": before, "most": most}
    return [_opened(key, dict(row)) for row in conn.run(SQL["stand"], asked)]


def _opened(key: DataKey, row: dict[str, Any]) -> Dialogue:
    subject = key.open(row.pop("ciphertext"), row["dialogue_id"].bytes).decode()
    channels = tuple(row.pop("channels"))
    terms = Terms(channels, row.pop("until"), row.pop("contacts"), row.pop("any_time"))
    return Dialogue(subject=subject, terms=terms, **row)


def _terms(terms: Terms) -> dict[str, Any]:
    return {
        "channels": list(terms.channels),
        "until": terms.until,
        "contacts": terms.contacts,
        "any_time": terms.any_time,
    }


def _place(dialogue: Dialogue) -> dict[str, UUID]:
    return {"customer_id": dialogue.customer_id, "dialogue_id": dialogue.dialogue_id}


def _one(conn: Connection, statement: str, **values: Any) -> Row:
    row = conn.run(SQL[statement], values).fetchone()
    assert row is not None  # these always have one
    return row
