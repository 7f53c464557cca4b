"""Screens an audience: one answer per row, in the order given, also for rows that cannot be asked.

Without permits the rows do not compete, and all are answered as of one snapshot. With permits each customer is
answered under their lock, and what earlier rows took is gone for later ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from consent_service.clock import parse_time
from consent_service.customers.service import Resolved
from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.history.model import Actor
from consent_service.keyring.service import Keyring
from consent_service.permissions import model, permits, service, store
from consent_service.permissions.model import Asked, Decision, Outcome, Scope


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about everybody in the audience."""

    channel: str
    topic: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one row; `reason` is `error:<code>` for one that could not be asked."""

    allowed: bool
    reason: str
    next_allowed_at: datetime | None
    remaining: int | None
    decided_at: datetime | None
    permit_id: str | None = None
    expires_at: datetime | None = None


def begin(conn: Connection, question: Question, scope: Scope = store.EVERYTHING) -> datetime:
    """The instant as of which a screening answers.

    Raises:
        ConsentError: the question itself cannot be asked (unknown channel or topic, one outside the asker's
            scope, a time out of range).
    """
    asked = model.Question("", question.channel, question.topic, question.at)
    answer = store.decide(conn, [asked], [Resolved(None, "unknown")], scope=scope)[0]
    if isinstance(answer, ConsentError):
        raise answer
    return answer.decided_at


def answer(
    conn: Connection,
    keyring: Keyring,
    question: Question,
    references: Sequence[str | ConsentError],
    now: datetime,
) -> list[Answer]:
    """An answer for each reference, as of `now` and the connection's snapshot."""
    asked = [
        one if isinstance(one, ConsentError) else model.Question(one, question.channel, question.topic, question.at)
        for one in references
    ]
    decided = service.decide_many(conn, keyring, asked, explain=False, now=now)
    return [_error(one) if isinstance(one, ConsentError) else _decided(one) for one in decided]


def reserve(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    question: Question,
    references: Sequence[str | ConsentError],
) -> list[Answer]:
    """An answer for each reference, in order, with a permit where it is a yes; in the caller's transaction."""
    asked = [
        one
        if isinstance(one, ConsentError)
        else Asked(model.Question(one, question.channel, question.topic, question.at))
        for one in references
    ]
    outcomes = permits.reserve_many(conn, keyring, actor, asked)
    return [_error(one) if isinstance(one, ConsentError) else _reserved(one) for one in outcomes]


def _error(error: ConsentError) -> Answer:
    return Answer(False, f"error:{error.code}", None, None, None)


def _decided(decision: Decision) -> Answer:
    return Answer(decision.allowed, decision.reason, decision.next_allowed_at, decision.remaining, decision.decided_at)


def _reserved(outcome: Outcome) -> Answer:
    shown = outcome.body if outcome.granted else outcome.body["decision"]
    next_at = shown["next_allowed_at"]
    return Answer(
        shown["allowed"],
        shown["reason"],
        parse_time(next_at) if next_at else None,
        shown["remaining"],
        parse_time(shown["decided_at"]),
        outcome.body["id"] if outcome.granted else None,
        parse_time(outcome.body["expires_at"]) if outcome.granted else None,
    )
