"""Tells dialogues again from their events, and compares them with the rows. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from datetime import datetime
from typing import Any
from uuid import UUID

from consent_service.customers.ids import decode_id
from consent_service.dialogues.model import ENTRY_KINDS

Row = Mapping[str, Any]
Talks = MutableMapping[UUID, dict[str, Any]]
# After these whoever acted has spoken, and the other side is to answer.
_SPOKEN = frozenset(
    f"dialogue.{one}" for one in ("message", "proposed", "withdrawn", "accepted", "refused", "countered")
)


def hear(talks: Talks, type_: str, event_id: UUID, at: datetime, content: Row) -> None:
    """Takes the next event of a dialogue: what it makes of the dialogue, and the entry that it adds.

    Raises:
        KeyError, TypeError, ValueError: it does not say what its type has to say.
    """
    decoded = decode_id(content["dialogue_id"])
    if decoded is None:
        raise ValueError("an event names no dialogue")
    role, after = content["actor"]["role"], content.get("after")
    if type_ == "dialogue.opened":
        talks[decoded[1]] = {
            "topic": content["after"]["topic"],
            **_terms(content["after"]),
            "opened_at": at,
            "role": role,
            "source": content["source"],
            "waiting_since": at,
            "closed_at": None,
            "closed_by": None,
            "event_id": event_id,
            "entries": {},
        }
    talk = talks[decoded[1]]
    if type_ in ("dialogue.narrowed", "dialogue.widened"):
        talk.update(_terms(after or {}))
    if type_ == "dialogue.closed":
        talk.update(closed_at=at, closed_by=content["closed_by"])
    if type_ in _SPOKEN:
        talk["waiting_since"] = (talk["waiting_since"] or at) if role == "customer" else None
    entry = {"kind": ENTRY_KINDS[type_], "role": role, "answers": content["answers"], "said_at": at}
    talk["entries"][content["entry"]] = {**entry, "event_id": event_id}


def differing(talks: Talks, rows: Iterable[Row], entries: Iterable[Row]) -> Iterator[UUID]:
    """Ids of dialogues that are not as they were told."""
    stand = {row["dialogue_id"]: row for row in rows}
    said: dict[UUID, dict[int, Row]] = {}
    for row in entries:
        if row["kind"] in ENTRY_KINDS.values():
            said.setdefault(row["dialogue_id"], {})[row["number"]] = row
    for own_id in talks.keys() | stand.keys():
        both = own_id in talks and own_id in stand
        if not (both and _agrees(talks[own_id], stand[own_id], said.get(own_id, {}))):
            yield own_id


def _agrees(told: Row, row: Row, said: Mapping[int, Row]) -> bool:
    if any(row[name] != told[name] for name in told.keys() - {"entries"}) or said.keys() != told["entries"].keys():
        return False
    return all(said[number][name] == value for number, one in told["entries"].items() for name, value in one.items())


def _terms(shown: Row) -> dict[str, Any]:
    return {
        "channels": shown["channels"],
        "until": datetime.fromisoformat(shown["until"]),
        "contacts": shown["contacts"],
        "any_time": shown["any_time"],
    }
