"""What is said in a dialogue: adds entries and reads them back. Owns `dialogue_entry`.

Entries are only ever added. What was said stands in the entry's event, under the customer's key, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from consent_service.clock import format_time
from consent_service.customers.ids import encode_id
from consent_service.customers.service import Locked, lineage
from consent_service.database import Connection
from consent_service.dialogues import store
from consent_service.dialogues.model import ENTRY_KINDS, Dialogue
from consent_service.history import service as history
from consent_service.history.model import Actor, Event
from consent_service.keyring.service import Keyring


@dataclass(frozen=True)
class Entry:
    """What is to be added.

    Args:
        type: of its event; the kind follows from it.
        details: what the event says besides dialogue and number.
        answers: the number of the proposal that it answers.
        speaks: whoever acts has spoken, so that the other side is to answer.
    """

    type: str
    details: Mapping[str, Any] = field(default_factory=dict, repr=False)
    answers: int | None = None
    speaks: bool = True
    event_id: UUID = field(default_factory=lambda: UUID(bytes=uuid7().bytes))
    said_at: datetime | None = None


def add(conn: Connection, keyring: Keyring, actor: Actor, held: Locked, dialogue_id: UUID, entry: Entry) -> int:
    """Adds an entry with its event to a dialogue of a locked customer; its number."""
    number, now = store.next_number(conn, held.customer_id, dialogue_id)
    said_at = entry.said_at or now
    details = {
        "dialogue_id": encode_id(held.customer_id, dialogue_id),
        "entry": number,
        "answers": entry.answers,
        "source": source_of(actor),
        **entry.details,
    }
    event = Event(held.customer_id, entry.type, actor, said_at, details, entry.event_id)
    store.add_entry(
        conn,
        held.customer_id,
        dialogue_id,
        number=number,
        kind=ENTRY_KINDS[entry.type],
        role=actor.role,
        answers=entry.answers,
        said_at=said_at,
        event_id=event.event_id,
    )
    if entry.speaks:
        store.spoke(conn, held.customer_id, dialogue_id, said_at if actor.is_customer else None)
    history.record(conn, keyring, [event], keys={held.customer_id: held.key})
    return number


def source_of(actor: Actor) -> str:
    """How what an actor says reached the service."""
    return actor.source or ("web" if actor.is_customer else "api")


def page(
    conn: Connection, keyring: Keyring, dialogue: Dialogue, *, after: int = 0, most: int
) -> tuple[list[dict[str, Any]], int | None]:
    """(up to so many entries after a number, in their order, as answers show them; the last one's number when there are
    more)."""
    rows = store.entries(conn, dialogue, after=after, most=most + 1)
    owners = lineage(conn, dialogue.customer_id)
    events = history.find(conn, keyring, owners, [row["event_id"] for row in rows[:most]])
    shown = [_shown(row, events.get(row["event_id"])) for row in rows[:most]]
    return shown, shown[-1]["number"] if len(rows) > most else None


def _shown(row: Mapping[str, Any], event: Mapping[str, Any] | None) -> dict[str, Any]:
    said = event["details"] if event is not None else {}
    actor = (event["actor"] if event is not None else None) or {}
    by_customer = row["role"] == "customer"
    shown: dict[str, Any] = {
        "number": row["number"],
        # What the company itself takes back is no refusal of it.
        "kind": "withdrawal" if row["kind"] == "refusal" and not by_customer else row["kind"],
        "role": row["role"],
        "by": None if by_customer else actor.get("name"),
        "said_at": format_time(row["said_at"]),
        "source": event["source"] if event is not None else None,
        "answers": row["answers"],
        "text": said.get("text"),
        "lines": said.get("lines", []),
        "terms": None,
        "state": None,
        "answered_by": row["answered_by"],
    }
    if row["kind"] == "terms" and event is not None:
        shown["terms"] = {"before": event["before"], "after": event["after"]}
    if row["kind"] == "proposal":
        shown["state"] = _state(row)
    return shown


def _state(row: Mapping[str, Any]) -> str:
    if row["answered_by"] is None:
        return "open"
    return "answered" if row["answered_by_role"] == "customer" else "withdrawn"
