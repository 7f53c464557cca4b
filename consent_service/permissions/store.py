"""Runs the SQL of this slice: rows in, rows out. Never decides and never commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from consent_service.customers.service import Resolved
from consent_service.database import Connection, load
from consent_service.errors import ConsentError
from consent_service.permissions.model import Decision, Question, Scope, row_error

DECIDE = load("consent_service.permissions", "decide.sql")["decide"]
SQL = load("consent_service.permissions", "permissions.sql")

EVERYTHING = Scope(limited=False)


class Moved(Exception):
    """A customer was merged between the look-up and the decision: look up again."""


def decide(
    conn: Connection,
    questions: Sequence[Question],
    resolved: Sequence[Resolved],
    *,
    scope: Scope = EVERYTHING,
    now: datetime | None = None,
    count_permits: bool = True,
    accept_retired: bool = False,
    bounded: bool = True,
    not_before_now: bool = False,
    explain: bool = True,
) -> list[Decision | ConsentError]:
    """One decision, or the error of its row, per question in the order asked. See decide.sql.

    Raises:
        Moved: a customer was merged meanwhile.
    """
    rows = conn.run(
        DECIDE,
        {
            "customer_ids": [who.customer_id for who in resolved],
            "erased": [who.state == "erased" for who in resolved],
            "channels": [question.channel for question in questions],
            "topics": [question.topic for question in questions],
            "ats": [question.at for question in questions],
            "value_kinds": [who.kind for who in resolved],
            "value_hashes": [who.value_hash for who in resolved],
            "milestone_ids": [question.milestone_id for question in questions],
            "dialogue_ids": [question.dialogue_id for question in questions],
            "now": now,
            "count_permits": count_permits,
            "key_topics": list(scope.topics) if scope.topics is not None else None,
            "limited": scope.limited,
            "accept_retired": accept_retired,
            "bounded": bounded,
            "not_before_now": not_before_now,
            "explain": explain,
        },
    )
    return [_answer(row) for row in rows]


def _answer(row: dict[str, Any]) -> Decision | ConsentError:
    error = row.pop("error")
    if error is None:
        return Decision(**row)
    if error == "moved":
        raise Moved
    return row_error(error)


def now(conn: Connection) -> datetime:
    """The database's clock."""
    row = conn.run(SQL["now"]).fetchone()
    assert row is not None
    at: datetime = row["now"]
    return at


def insert(conn: Connection, statement: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """A set-based write, sent with the statement that follows: each column of `rows` becomes an array of its name."""
    if rows:
        conn.queue(SQL[statement], {name: [row[name] for row in rows] for name in rows[0]})


def permits(conn: Connection, ids: Sequence[tuple[UUID, UUID]]) -> dict[UUID, dict[str, Any]]:
    """Permits by (customer, permit) id; those that are not there are missing."""
    rows = conn.run(
        SQL["find_permits"],
        {"customer_ids": [owner for owner, _ in ids], "permit_ids": [permit for _, permit in ids]},
    )
    return {row["permit_id"]: row for row in rows}


def contacts(conn: Connection, ids: Sequence[tuple[UUID, UUID]]) -> dict[UUID, dict[str, Any]]:
    """Contacts by (customer, contact) id."""
    rows = conn.run(
        SQL["find_contacts"],
        {"customer_ids": [owner for owner, _ in ids], "contact_ids": [contact for _, contact in ids]},
    )
    return {row["contact_id"]: row for row in rows}


def end_permits(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Ends open permits: rows of customer_id, permit_id, state, ended_at, contact_id."""
    insert(conn, "end_permits", rows)


def reported(
    conn: Connection, key_name: str, external: Sequence[tuple[UUID, str]]
) -> dict[tuple[UUID, str], dict[str, Any]]:
    """The first records of reports that came before, by (customer, external id)."""
    rows = conn.run(
        SQL["find_reported"],
        {
            "key_name": key_name,
            "customer_ids": [owner for owner, _ in external],
            "external_ids": [external_id for _, external_id in external],
        },
    )
    return {(row["customer_id"], row["external_id"]): row for row in rows}


def count_erased(conn: Connection, days: Sequence[datetime]) -> None:
    """Adds reports of contacts to erased people to their days' totals."""
    conn.run(SQL["count_erased"], {"days": [day.date() for day in days]})
