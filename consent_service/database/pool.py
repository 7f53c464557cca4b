"""The pool of connections of one process, and the two ways to use it.

The pool is opened at first use, which is after gunicorn has forked: sockets are never shared between
processes. Connections are in autocommit mode: a read is one statement, a write is one `transaction()`.
Every connection acts as the role `consent_service`, which owns nothing.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool

from consent_service.database.errors import may_be_repeated, translate
from consent_service.settings import Settings

Connection = psycopg.Connection[DictRow]
Answer = TypeVar("Answer")

TRANSACTION_ATTEMPTS = 5


class Database:
    """Connections to one database.

    Args:
        url: conninfo or postgresql:// URL of a login that is, or is a member of, consent_service.
        settings: timeouts, and the size of the pool (one connection a thread).
    """

    def __init__(self, url: str, settings: Settings) -> None:
        self.url = url
        self.settings = settings
        self._pool: ConnectionPool[Connection] | None = None
        self._opening = threading.Lock()

    def _configure(self, conn: Connection) -> None:
        milliseconds = int(self.settings.statement_timeout_seconds * 1000)
        lock_milliseconds = int(self.settings.lock_timeout_seconds * 1000)
        conn.execute("SET ROLE consent_service")
        conn.execute(
            "SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false),"
            " set_config('idle_in_transaction_session_timeout', %s, false), set_config('jit', 'off', false),"
            # Planning the decision takes longer than running it, and its plan does not hang on the parameters.
            " set_config('plan_cache_mode', 'force_generic_plan', false),"
            " set_config('TimeZone', 'UTC', false)",
            [str(milliseconds), str(lock_milliseconds), str(2 * milliseconds)],
        )

    def _open(self) -> ConnectionPool[Connection]:
        with self._opening:
            if self._pool is None:
                self._pool = ConnectionPool(
                    self.url,
                    kwargs={
                        "autocommit": True,
                        "prepare_threshold": 0,
                        "row_factory": dict_row,
                        "connect_timeout": 2,
                        "application_name": "consent-service",
                    },
                    connection_class=psycopg.Connection[DictRow],
                    configure=self._configure,
                    min_size=1,
                    max_size=self.settings.web_threads,
                    timeout=self.settings.pool_timeout_seconds,
                    open=True,
                )
            return self._pool

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection in autocommit mode: each statement sees the newest committed state.

        Raises:
            Unavailable: no connection, or the database does not answer.
        """
        pool = self._pool or self._open()
        try:
            with pool.connection() as conn:
                yield conn
        except Exception as error:
            _raise_translated(error)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection inside one transaction (READ COMMITTED) that commits at the end of the block.

        Raises:
            Unavailable: no connection, or the database does not answer.
        """
        pool = self._pool or self._open()
        try:
            with pool.connection() as conn, conn.transaction():
                yield conn
        except Exception as error:
            _raise_translated(error)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection inside one read-only transaction in which all statements see the same state.

        Raises:
            Unavailable: no connection, or the database does not answer.
        """
        with self.transaction() as conn:
            conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield conn

    def repeatedly(self, work: Callable[[Connection], Answer]) -> Answer:
        """Runs work in a transaction; again, a few times, when the server rolled it back for another one.

        Args:
            work: is called with the connection; must have no effect outside the database.
        """
        for attempt in range(TRANSACTION_ATTEMPTS):
            pool = self._pool or self._open()
            try:
                with pool.connection() as conn, conn.transaction():
                    return work(conn)
            except Exception as error:
                if not may_be_repeated(error) or attempt + 1 == TRANSACTION_ATTEMPTS:
                    _raise_translated(error)
        raise AssertionError("not reached")

    def close(self) -> None:
        """Closes the pool; a later use opens a new one."""
        with self._opening:
            if self._pool is not None:
                self._pool.close()
                self._pool = None


def _raise_translated(error: Exception) -> Any:
    domain = translate(error)
    if domain is None:
        raise error
    raise domain from error
