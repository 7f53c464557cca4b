"""A statement's values arrive as they were given; waiting ends when it should, and only then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from consent_service.database import Connection, Statement
from consent_service.database.connection import GaveUp
from consent_service.database.errors import translate
from tests.support.cluster import TestDatabase


@pytest.fixture
def conn(database: TestDatabase) -> Iterator[Connection]:
    with Connection.connect(
        database.owner_url, autocommit=True, row_factory=dict_row, prepare_threshold=None
    ) as opened:
        yield opened


TEXTS = [
    "",
    "NULL",
    "null",
    "a,b",
    "{}",
    '"',
    "\\",
    '\\"',
    "it's",
    " space ",
    "\n\t",
    "ä\u2028\U0001f600",
    "%s %(x)s $1",
]
NEW_YORK = timezone(timedelta(hours=-5))


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("text", "NULL"),
        ("text", "\\x41"),
        ("text[]", [*TEXTS, None]),
        ("text[]", []),
        ("uuid", uuid4()),
        ("uuid[]", [uuid4(), None]),
        ("boolean", False),
        ("boolean[]", [True, None, False]),
        ("integer", -3),
        ("bigint[]", [2**62, None]),
        ("bytea", b"\x00\xff\\"),
        ("bytea[]", [b"", None, b"\x00'\"\\"]),
        ("timestamptz", datetime(2026, 2, 28, 23, 59, 59, 999999, UTC)),
        ("timestamptz[]", [datetime(1, 1, 1, tzinfo=UTC), None, datetime(9999, 12, 31, tzinfo=UTC)]),
        ("date[]", [date(2024, 2, 29), None]),
    ],
)
def test_a_value_arrives_as_it_was_given(conn: Connection, type_: str, value: Any) -> None:
    statement = Statement(f"SELECT %(value)s::{type_} AS value, pg_typeof(%(value)s::{type_})::text AS type")
    assert statement.is_typed
    for _ in range(2):  # as it is prepared, and prepared already
        row = conn.run(statement, {"value": value}).fetchone()
        assert row is not None
        assert row["value"] == value
    assert conn.run(statement, {"value": None}).fetchone() == {"value": None, "type": row["type"]}


def test_a_time_is_an_instant_whatever_its_offset(conn: Connection) -> None:
    at = datetime(2026, 3, 8, 1, 30, tzinfo=NEW_YORK)
    found = conn.run(Statement("SELECT %(at)s::timestamptz AS at"), {"at": at}).fetchone()
    assert found == {"at": at}


def test_a_nul_is_refused_and_never_cut(conn: Connection) -> None:
    for type_, value in (("text", "a\0b"), ("text[]", ["a\0b"])):
        with pytest.raises(psycopg.DataError):
            conn.run(Statement(f"SELECT %(value)s::{type_}"), {"value": value})


def test_a_statement_that_failed_first_runs_later(conn: Connection) -> None:
    statement = Statement("SELECT 1 / %(by)s::integer AS found")
    with pytest.raises(psycopg.errors.DivisionByZero), conn.transaction():
        conn.run(statement, {"by": 0})
    assert conn.run(statement, {"by": 1}).fetchone() == {"found": 1}


def test_waiting_ends_at_its_limit_and_the_connection_with_it(conn: Connection) -> None:
    conn.until = time.monotonic() + 0.3
    begin = time.monotonic()
    with pytest.raises(GaveUp) as caught, conn.transaction():
        conn.execute("SELECT pg_sleep(5)")
    assert 0.3 <= time.monotonic() - begin < 3
    assert conn.closed
    refused = translate(caught.value)
    assert refused is not None
    assert refused.code == "decision_unavailable"


def test_waiting_ends_when_the_database_is_lost(conn: Connection) -> None:
    class Lost:
        lost = True

    conn.watch = Lost()
    with pytest.raises(GaveUp):
        conn.execute("SELECT pg_sleep(5)")
    assert conn.closed


def test_a_server_that_answers_within_the_limit_is_heard_however_late_we_look(conn: Connection) -> None:
    conn.until = time.monotonic() - 1
    assert conn.execute("SELECT 1 AS one").fetchone() == {"one": 1}


def test_a_statement_whose_columns_a_migration_changed_is_a_clear_no_decision(
    conn: Connection, database: TestDatabase
) -> None:
    with database.owner() as owner:
        owner.execute("CREATE TABLE changing (one integer)")
        statement = Statement("SELECT changing.* FROM changing")
        assert conn.run(statement).fetchall() == []
        owner.execute("ALTER TABLE changing ALTER one TYPE text")
        with pytest.raises(psycopg.errors.FeatureNotSupported) as caught:
            conn.run(statement)
    assert conn.closed  # the next one prepares anew
    refused = translate(caught.value)
    assert refused is not None
    assert refused.code == "decision_unavailable"


ECHO = Statement("SELECT %(text)s::text AS text")
NUMBER = Statement("SELECT 10 / %(by)s::integer AS found")


@pytest.fixture
def waits(conn: Connection) -> list[None]:
    """Grows by one with each round trip from now on; both statements are prepared."""
    conn.run(ECHO, {"text": ""})
    conn.run(NUMBER, {"by": 1})
    seen: list[None] = []
    wait = conn.wait

    def noted(*arguments: Any, **options: Any) -> Any:
        seen.append(None)
        return wait(*arguments, **options)

    conn.wait = noted  # type: ignore[method-assign]
    return seen


def test_what_was_foreseen_comes_with_the_statement_before_it(conn: Connection, waits: list[None]) -> None:
    conn.foresee(NUMBER, {"by": 5})
    assert conn.run(ECHO, {"text": "a"}).fetchone() == {"text": "a"}
    assert conn.run(NUMBER, {"by": 5}).fetchone() == {"found": 2}
    assert len(waits) == 1
    assert conn.run(NUMBER, {"by": 5}).fetchone() == {"found": 2}
    assert len(waits) == 2  # an answer serves once


def test_an_answer_that_was_foreseen_is_no_answer_to_another_question(conn: Connection, waits: list[None]) -> None:
    conn.foresee(NUMBER, {"by": 5})
    conn.run(ECHO, {"text": "a"})
    assert conn.run(NUMBER, {"by": 2}).fetchone() == {"found": 5}
    conn.foresee(NUMBER, {"by": 5})
    conn.run(ECHO, {"text": "a"})
    conn.run(ECHO, {"text": "b"})
    assert conn.run(NUMBER, {"by": 5}).fetchone() == {"found": 2}
    conn.foresee(NUMBER, {"by": 5})
    conn.run(ECHO, {"text": "a"})
    conn.forget()
    before = len(waits)
    conn.run(NUMBER, {"by": 5})
    assert len(waits) == before + 1


def test_a_foreseen_statement_that_fails_fails_when_it_is_run(conn: Connection, waits: list[None]) -> None:
    conn.foresee(NUMBER, {"by": 0})
    assert conn.run(ECHO, {"text": "a"}).fetchone() == {"text": "a"}
    with pytest.raises(psycopg.errors.DivisionByZero):
        conn.run(NUMBER, {"by": 0})
    conn.foresee(ECHO, {"text": "a"})
    with pytest.raises(psycopg.errors.DivisionByZero):
        conn.run(NUMBER, {"by": 0})
    assert conn.run(ECHO, {"text": "a"}).fetchone() == {"text": "a"}
    assert waits


def test_a_server_that_ends_in_the_middle_of_a_flight_says_why(conn: Connection, database: TestDatabase) -> None:
    end = Statement("SELECT pg_terminate_backend(pg_backend_pid()) AS ended")
    conn.queue(end, {})
    with pytest.raises(psycopg.errors.AdminShutdown):
        conn.run(ECHO, {"text": "a"})
    assert conn.closed


def test_what_is_queued_goes_before_the_next_statement_and_fails_with_it(conn: Connection) -> None:
    conn.execute("CREATE TEMP TABLE noted (text text PRIMARY KEY)")
    note = Statement("INSERT INTO noted VALUES (%(text)s::text)")
    count = Statement("SELECT count(*) AS rows FROM noted")
    with conn.transaction():
        conn.queue(note, {"text": "a"})
        conn.queue(note, {"text": "b"})
        assert conn.run(count).fetchone() == {"rows": 2}
    conn.queue(note, {"text": "a"})
    with pytest.raises(psycopg.errors.UniqueViolation), conn.transaction():
        conn.run(count)
    with conn.transaction():
        conn.queue(note, {"text": "c"})
        conn.send_queued()
    assert conn.run(count).fetchone() == {"rows": 3}
