"""A connection to look at everything as it stood at one instant, for commands that take their time.

It is none of the pool's: no statement of an inspection may end at the limits that keep requests short. It reads
and never writes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
from psycopg.rows import dict_row

from consent_service.database.connection import Connection
from consent_service.database.errors import translate

CONNECT_SECONDS = 10
WITHOUT_LIMITS = (
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
)


@contextlib.contextmanager
def inspecting(url: str, *, role: str | None = None, read_only: bool = True) -> Iterator[Connection]:
    """A connection without time limits, inside one read-only snapshot.

    Args:
        role: acts as this role; None: as the login itself.
        read_only: False: no snapshot; the caller opens transactions, and rolls them back.

    Raises:
        Unavailable: the database does not answer.
    """
    try:
        with Connection.connect(
            url, connect_timeout=CONNECT_SECONDS, autocommit=True, prepare_threshold=None, row_factory=dict_row
        ) as conn:
            for name in WITHOUT_LIMITS:
                conn.execute("SELECT set_config(%s, '0', false)", [name])
            # Sorting and hashing whole tables, once.
            conn.execute("SELECT set_config('work_mem', '64MB', false), set_config('TimeZone', 'UTC', false)")
            if role is not None:
                conn.execute("SELECT set_config('role', %s, false)", [role])
            if read_only:
                conn.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield conn
    except psycopg.Error as error:
        domain = translate(error)
        if domain is None:
            raise
        raise domain from error
