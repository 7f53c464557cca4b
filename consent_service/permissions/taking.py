"""Takes room under the customers' dials: the common frame of permits and contacts.

Look up, lock, decide, write, one customer's rows in order. Whatever makes a customer quieter takes the same
lock, so it comes before or after, never within; and two callers can never both take the last room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from consent_service.catalogue.service import hold_catalogue
from consent_service.clock import format_time
from consent_service.customers.service import Locked, Resolved, foresee, lock_many, resolve_many
from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.history import service as history
from consent_service.history.model import Actor, Event
from consent_service.keyring.model import NOBODY
from consent_service.keyring.service import Keyring
from consent_service.permissions import store
from consent_service.permissions.model import Asked, Decision, Outcome, Scope, refused
from consent_service.permissions.rounds import rounds

# Of more, hashing the names twice costs more than the round trip that it saves.
FEW = 20


@dataclass
class Page:
    """What one round writes: rows of one table, and events."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


Granted = Callable[[Page, Asked, Resolved, Decision], Mapping[str, Any]]


@dataclass(frozen=True)
class Clock:
    """Where the instants of a batch come from. `instants`: replay's own clock, one per row."""

    not_before_now: bool = True
    instants: Sequence[datetime] | None = None


def take_many(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    asked: Sequence[Asked | ConsentError],
    *,
    statement: str,
    refusal: str,
    granted: Granted,
    clock: Clock | None = None,
) -> list[Outcome | ConsentError]:
    """Asks for each row, in order, and writes what is granted or refused.

    Args:
        statement: the insert for the rows that `granted` adds to the page.
        refusal: the type of the event of a refusal.
        granted: adds the row and the event of one granted question, and returns the answer's body.
    """
    clock = clock or Clock()
    outcomes: list[Outcome | ConsentError | None] = [row if isinstance(row, ConsentError) else None for row in asked]
    live = [(place, row) for place, row in enumerate(asked) if not isinstance(row, ConsentError)]
    found, locked = hold(conn, keyring, [row.question.customer for _, row in live])
    for positions in rounds([who.customer_id for who in found]):
        batch = [(*live[position], found[position]) for position in positions if found[position].error is None]
        for position in positions:
            if found[position].error is not None:
                outcomes[live[position][0]] = found[position].error
        if not batch:
            continue
        page = Page()
        decisions = store.decide(
            conn,
            [_at(row, clock, place) for place, row, _ in batch],
            [who for _, _, who in batch],
            scope=Scope.of(actor),
            bounded=clock.instants is None,
            not_before_now=clock.not_before_now,
        )
        for (place, row, who), decision in zip(batch, decisions, strict=True):
            if isinstance(decision, ConsentError):
                outcomes[place] = decision
            elif decision.allowed:
                outcomes[place] = Outcome(201, granted(page, row, who, decision))
            else:
                page.events.append(_refusal(refusal, actor, row, decision))
                outcomes[place] = refused(decision)
        store.insert(conn, statement, page.rows)
        history.record(conn, keyring, page.events, keys={one.customer_id: one.key for one in locked.values()})
    return [outcome for outcome in outcomes if outcome is not None]


def hold(conn: Connection, keyring: Keyring, references: Sequence[str]) -> tuple[list[Resolved], dict[UUID, Locked]]:
    """Looks the references up and locks whom they name until the transaction ends.

    Those who were merged or erased between the two are what they are now.
    """
    if len(references) <= FEW:
        foresee(conn, keyring, references)
    hold_catalogue(conn)
    found = resolve_many(conn, keyring, references)
    locked = lock_many(conn, keyring, {who.customer_id for who in found if who.customer_id is not None})
    return [_settled(who, locked) for who in found], locked


def _settled(who: Resolved, locked: Mapping[UUID, Locked]) -> Resolved:
    if who.customer_id is None:
        return who
    one = locked.get(who.customer_id)
    if one is None:
        return replace(who, customer_id=None, state="erased")
    return replace(who, customer_id=one.customer_id)


def _at(row: Asked, clock: Clock, place: int) -> Any:
    if clock.instants is None:
        return row.question
    return replace(row.question, at=clock.instants[place])


def _refusal(type_: str, actor: Actor, row: Asked, decision: Decision) -> Event:
    details = {**asked_details(row), "decision": decision.shown()}
    return Event(decision.customer_id or NOBODY, type_, actor, decision.decided_at, details)


def asked_details(row: Asked) -> dict[str, Any]:
    """What was asked, as an event keeps it."""
    at = row.question.at
    return {
        "channel": row.question.channel,
        "topic": row.question.topic,
        "at": format_time(at) if at else None,
        "campaign": row.campaign,
        "source": "api",
    }
