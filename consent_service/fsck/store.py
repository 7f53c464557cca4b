"""Runs the SQL of this slice, in the caller's snapshot. Reads everything and writes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import psycopg

from consent_service.database import Connection, load

CHECKS = load("consent_service.fsck", "fsck.sql")
SQL = load("consent_service.fsck", "inspection.sql")
ROWS_AT_ONCE = 2000
Row = Mapping[str, Any]


def violations(conn: Connection, check: str) -> Iterator[str]:
    """The ids that a check of fsck.sql finds, a few at a time."""
    for row in _stream(conn, CHECKS[check], {}):
        yield row["id"]


def size(conn: Connection) -> tuple[int, int]:
    """(active customers, events)."""
    row = one(conn, "size")
    return row["customers"], row["events"]


def one(conn: Connection, statement: str, **values: Any) -> Row:
    """The row of a statement that always has one."""
    row = conn.run(SQL[statement], values).fetchone()
    assert row is not None
    return row


def owners(conn: Connection, most: int) -> Iterator[Sequence[Row]]:
    """Active customers in the order of their ids, a page at a time."""
    after = None
    while page := conn.run(SQL["owners"], {"after": after, "most": most}).fetchall():
        yield page
        after = page[-1]["customer_id"]


def lineages(conn: Connection, owner_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Each id that is, or was merged into, one of these customers, with the customer."""
    return {row["customer_id"]: row["owner"] for row in conn.run(SQL["lineages"], {"owners": list(owner_ids)})}


def events(conn: Connection, owned: Mapping[UUID, UUID]) -> Iterator[Row]:
    """The events of these ids, a person's together, oldest first; streamed."""
    return _stream(conn, SQL["events"], {"customer_ids": list(owned), "owners": list(owned.values())})


def rows(conn: Connection, table: str, owner_ids: Sequence[UUID]) -> dict[UUID, list[Row]]:
    """Rows of a table by customer."""
    found: dict[UUID, list[Row]] = defaultdict(list)
    for row in conn.run(SQL[table], {"owners": list(owner_ids)}):
        found[row["customer_id"]].append(row)
    return found


def everything(conn: Connection, table: str) -> list[Row]:
    """All rows of a small table."""
    return list(conn.run(SQL[table]))


def not_erased(conn: Connection, customer_ids: Sequence[UUID]) -> list[UUID]:
    """Those of these customers whom nobody has erased."""
    return [row["customer_id"] for row in conn.run(SQL["not_erased"], {"customer_ids": list(customer_ids)})]


def mismatched_indexes(conn: Connection) -> Iterator[str]:
    """Names of B-trees of the schema that do not hold what their tables hold; in the owner's own connection.

    Leans on amcheck. Where it is not installed it is created in this transaction, which is never committed.

    Raises:
        LookupError: this login may not create or use it, or the server lacks it.
    """
    try:
        # Not in the read-only snapshot: creating writes, and the checks want the indexes of now.
        with conn.transaction(force_rollback=True):
            conn.execute("CREATE EXTENSION IF NOT EXISTS amcheck")
            names = [row["name"] for row in conn.execute(_BTREES)]
            for name in names:
                try:
                    with conn.transaction():
                        conn.execute("SELECT bt_index_check(%s::text::regclass, true)", [name])
                except (psycopg.errors.IndexCorrupted, psycopg.errors.DataCorrupted):
                    yield name
    except (
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.FeatureNotSupported,
        psycopg.errors.UndefinedFile,
    ) as error:
        raise LookupError(str(error.diag.message_primary)) from error


_BTREES = """
SELECT i.indexrelid::regclass::text AS name
FROM pg_index i
JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_am a ON a.oid = x.relam
WHERE x.relnamespace = 'public'::regnamespace AND a.amname = 'btree' AND i.indisvalid AND i.indisready
ORDER BY 1
"""


def _stream(conn: Connection, statement: str, values: Row) -> Iterator[Row]:
    cursor = psycopg.ServerCursor(conn, "fsck")
    with cursor:
        cursor.itersize = ROWS_AT_ONCE
        cursor.execute(statement, values)
        yield from cursor
