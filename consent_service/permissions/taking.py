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
from consent_service.customers.service import Locked, Resolved, lock_many, resolve_many
from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.history import service as history
from consent_service.history.model import Actor, Event
from consent_service.keyring.model import NOBODY, DataKey
from consent_service.keyring.service import Keyring
from consent_service.permissions import store
from consent_service.permissions.model import Asked, Decision, Outcome, Scope, refused
from consent_service.permissions.rounds import rounds


@dataclass
class Page:
    """What one round writes: rows of the two tables, and events."""

    permits: list[dict[str, Any]] = field(default_factory=list)
    contacts: list[dict[str, Any]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


Granted = Callable[[Page, Actor, Asked, Resolved, Decision], Mapping[str, Any]]


@dataclass(frozen=True)
class Way:
    """How room is taken. `refusal`: the type of the event of a refusal.

    `granted` adds the row and the event of one granted question to the page, and returns the answer's body.
    """

    refusal: str
    granted: Granted


@dataclass(frozen=True, slots=True)
class Claim:
    """What somebody asks for, in which way."""

    actor: Actor
    way: Way
    asked: Asked


@dataclass(frozen=True)
class Clock:
    """Where the instants of a batch come from. `instants`: replay's own clock, one per row."""

    not_before_now: bool = True
    instants: Sequence[datetime] | None = None


USUAL_CLOCK = Clock()


@dataclass(frozen=True)
class Held:
    """Who is meant by each claim that could be read, in their order, and the keys of those who are locked."""

    who: Sequence[Resolved]
    keys: Mapping[UUID, DataKey]


def take_many(
    conn: Connection,
    keyring: Keyring,
    claims: Sequence[Claim | ConsentError],
    *,
    clock: Clock = USUAL_CLOCK,
) -> list[Outcome | ConsentError]:
    """Locks all whom the claims name, asks for each claim, in order, and writes what is granted or refused."""
    readable = [claim for claim in claims if isinstance(claim, Claim)]
    found, locked = hold(conn, keyring, [claim.asked.question.customer for claim in readable])
    held = Held(found, {one.customer_id: one.key for one in locked.values()})
    return take_held(conn, keyring, claims, held, clock=clock)


def take_held(
    conn: Connection,
    keyring: Keyring,
    claims: Sequence[Claim | ConsentError],
    held: Held,
    *,
    clock: Clock = USUAL_CLOCK,
) -> list[Outcome | ConsentError]:
    """The same where the customers are locked already."""
    outcomes: dict[int, Outcome | ConsentError] = {
        place: claim for place, claim in enumerate(claims) if isinstance(claim, ConsentError)
    }
    live = [(place, claim) for place, claim in enumerate(claims) if isinstance(claim, Claim)]
    for positions in rounds([who.customer_id for who in held.who]):
        page = Page()
        batch: dict[Scope, list[_Row]] = {}
        for position in positions:
            (place, claim), who = live[position], held.who[position]
            if who.error is not None:
                outcomes[place] = who.error
            else:
                batch.setdefault(Scope.of(claim.actor), []).append((place, claim, who))
        for scope, rows in batch.items():
            for (place, claim, who), decision in zip(rows, _decide(conn, rows, scope, clock), strict=True):
                outcomes[place] = _outcome(page, claim, who, decision)
        store.insert(conn, "insert_permits", page.permits)
        store.insert(conn, "insert_contacts", page.contacts)
        history.record(conn, keyring, page.events, keys=held.keys)
    return [outcomes[place] for place in range(len(claims))]


_Row = tuple[int, Claim, Resolved]


def _decide(conn: Connection, rows: Sequence[_Row], scope: Scope, clock: Clock) -> list[Decision | ConsentError]:
    return store.decide(
        conn,
        [_at(claim.asked, clock, place) for place, claim, _ in rows],
        [who for _, _, who in rows],
        scope=scope,
        bounded=clock.instants is None,
        not_before_now=clock.not_before_now,
    )


def _outcome(page: Page, claim: Claim, who: Resolved, decision: Decision | ConsentError) -> Outcome | ConsentError:
    if isinstance(decision, ConsentError):
        return decision
    if decision.allowed:
        return Outcome(201, claim.way.granted(page, claim.actor, claim.asked, who, decision))
    shown = decision.shown()
    details = {**asked_details(claim.asked), "decision": shown}
    owner = decision.customer_id or NOBODY
    page.events.append(Event(owner, claim.way.refusal, claim.actor, decision.decided_at, details))
    return refused(shown)


def hold(conn: Connection, keyring: Keyring, references: Sequence[str]) -> tuple[list[Resolved], dict[UUID, Locked]]:
    """Looks the references up and locks whom they name until the transaction ends.

    Those who were merged or erased between the two are what they are now.
    """
    hold_catalogue(conn)
    found = resolve_many(conn, keyring, references)
    locked = lock_many(conn, keyring, {who.customer_id for who in found if who.customer_id is not None})
    return [settled(who, locked) for who in found], locked


def settled(who: Resolved, locked: Mapping[UUID, Locked | None]) -> Resolved:
    """Whom the reference means, under the lock."""
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
