"""Looks at a customer from behind: what lies in the tables, and what the service's own history tells."""

from __future__ import annotations

import http.client
import time
from datetime import UTC
from typing import Any

import psycopg

from tests.concurrency.crowd import Caller, Stage
from tests.linearizability.acts import Answer, Audit, Holdings, Settings
from tests.linearizability.model import State
from tests.linearizability.recorder import Recorder

EVENTS_AT_A_TIME = 200
RECOVERY_SECONDS = 30.0
SETTINGS = "SELECT version FROM customer WHERE customer_id = %s::uuid"
DIALS_NOW = "SELECT channel, topic, level FROM dial WHERE customer_id = %s::uuid AND level IS NOT NULL"
PAUSES_NOW = "SELECT channel, until FROM pause WHERE customer_id = %s::uuid"
CONTACTS_NOW = "SELECT channel, topic, count(*) FROM contact WHERE customer_id = %s::uuid GROUP BY 1, 2"
PERMITS_NOW = "SELECT channel, topic, state, count(*) FROM permit WHERE customer_id = %s::uuid GROUP BY 1, 2, 3"


def seen(stage: Stage, customer_id: str) -> State:
    """A new customer as the database has them."""
    with stage.database.owner() as conn:
        settings = _settings(conn, customer_id)
    return State(settings.version, settings.dials, settings.pauses)


def audit(stage: Stage, recorder: Recorder, customer_id: str) -> None:
    """Reads what there is, of one snapshot, and writes it down as the last operation."""
    since = time.monotonic_ns()
    with stage.database.owner() as conn, conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        settings = _settings(conn, customer_id)
        contacts = conn.execute(CONTACTS_NOW, [customer_id]).fetchall()
        permits = conn.execute(PERMITS_NOW, [customer_id]).fetchall()
    holdings = Holdings(
        tuple(sorted(((channel, topic), number) for channel, topic, number in contacts)),
        tuple(sorted(((channel, topic), state, number) for channel, topic, state, number in permits)),
    )
    answer = Answer(200, settings=settings, holdings=holdings)
    recorder.note(customer_id, "auditor", Audit(), since, time.monotonic_ns(), answer)


def _settings(conn: psycopg.Connection[Any], customer_id: str) -> Settings:
    found = conn.execute(SETTINGS, [customer_id]).fetchone()
    assert found is not None
    dials = conn.execute(DIALS_NOW, [customer_id]).fetchall()
    pauses = conn.execute(PAUSES_NOW, [customer_id]).fetchall()
    return Settings(
        found[0],
        tuple(sorted(((channel, topic), level) for channel, topic, level in dials)),
        tuple(sorted((channel, until.astimezone(UTC)) for channel, until in pauses)),
    )


def events(stage: Stage, customer_id: str) -> list[dict[str, Any]]:
    """The customer's history, oldest first."""
    path = f"/v1/customers/{customer_id}/history?limit={EVENTS_AT_A_TIME}"
    events: list[dict[str, Any]] = []
    cursor = ""
    while cursor is not None:
        page = _read(stage.auditor, path + (f"&cursor={cursor}" if cursor else ""))
        events += page["events"]
        cursor = page["next_cursor"]
    return events[::-1]


def _read(auditor: Caller, path: str) -> Any:
    """What is there, also when the worker behind this connection was killed."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while True:
        try:
            reply = auditor.call("GET", path)
        except (OSError, http.client.HTTPException):
            auditor.hang_up()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            assert reply.status == 200, reply
            return reply.body
