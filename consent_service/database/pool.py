"""The pool of connections of one process, and the ways to use it.

The pool is opened at first use, which is after gunicorn has forked: sockets are never shared between
processes. Connections are in autocommit mode: a read is one statement, a write is one `transaction()`.
Every connection acts as the role `consent_service`, which owns nothing. Nobody waits for it longer than they
have patience: for a connection, for a lock, for an answer.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import orjson
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads
from psycopg_pool import ConnectionPool, PoolClosed

from consent_service.database.connection import Connection
from consent_service.database.errors import RolledBack, is_refusal, may_be_repeated, means_unavailable, translate
from consent_service.database.pulse import CONNECT_SECONDS, Pulse
from consent_service.errors import Unavailable
from consent_service.settings import Settings

Answer = TypeVar("Answer")

TRANSACTION_ATTEMPTS = 5
# Of a transaction whose owner has nothing to say: a process that was stopped holds customers' locks.
IDLE_SECONDS = 10.0
RESTART_SECONDS = 0.5


class Database:
    """Connections to one database.

    Args:
        url: conninfo or postgresql:// URL of a login that is, or is a member of, consent_service.
        settings: timeouts, and the size of the pool (one connection a thread).
        patience: seconds that the work of this moment may still wait for the database. With it the database is
            watched, and everybody is refused at once while it does not answer. None: a command, which may wait
            as long as the server's own limits allow.
    """

    def __init__(self, url: str, settings: Settings, patience: Callable[[], float] | None = None) -> None:
        self.url = url
        self.settings = settings
        self._patience = patience
        self._pulse: Pulse | None = None
        self._pool: ConnectionPool[Connection] | None = None
        self._opening = threading.Lock()
        self._waiting = threading.BoundedSemaphore(max(1, settings.web_threads // 2))

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection in autocommit mode: each statement sees the newest committed state.

        Raises:
            Unavailable: no connection, or the database does not answer.
        """
        try:
            with self._lent() as conn:
                yield conn
        except Exception as error:
            _raise_translated(error)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection inside one transaction (READ COMMITTED) that commits at the end of the block.

        Raises:
            Unavailable: no connection, or the database does not answer.
        """
        try:
            with self._lent() as conn, conn.transaction():
                self._extend_limits(conn)
                yield conn
                conn.send_queued()
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
            try:
                with self._lent() as conn, _whole(conn):
                    self._extend_limits(conn)
                    return work(conn)
            except Exception as error:
                if not may_be_repeated(error) or attempt + 1 == TRANSACTION_ATTEMPTS:
                    _raise_translated(error)
        raise AssertionError("not reached")

    def once(self, work: Callable[[Connection], Answer]) -> Answer:
        """Runs work in a transaction, and never again, whatever happens.

        Raises:
            RolledBack: it certainly had no effect, and may be tried in another way.
            Unavailable: no connection, or no answer; nobody knows whether it had an effect.
        """
        try:
            with self._lent() as conn:
                return _once(conn, work)
        except RolledBack:
            raise
        except Exception as error:
            _raise_translated(error)
        raise AssertionError("not reached")

    def close(self) -> None:
        """Closes the pool; a later use opens a new one."""
        pulse, self._pulse = self._pulse, None
        if pulse is not None:
            pulse.stop()
        self._drop_pool(seconds=5.0)

    @contextlib.contextmanager
    def _lent(self) -> Iterator[Connection]:
        """A connection of the pool for the block; what it holds of a transaction afterwards is rolled back."""
        if self._pulse is not None and self._pulse.lost:
            self._await_return(self._pulse)
        timeout, until = self.settings.pool_timeout_seconds, None
        if self._patience is not None:
            left = self._patience()
            timeout, until = min(timeout, left), time.monotonic() + left
        pool = self._pool or self._open()
        try:
            conn = pool.getconn(timeout)
        except PoolClosed:  # the pulse has just dropped it for a new one
            pool = self._open()
            conn = pool.getconn(timeout)
        conn.until = until
        try:
            yield conn
        finally:
            conn.until = None
            conn.forget()
            pool.putconn(conn)

    def _await_return(self, pulse: Pulse) -> None:
        """A restart is soon over: some wait for its end a moment, so that others find threads that are free."""
        if self._waiting.acquire(blocking=False):
            try:
                if pulse.returns_within(RESTART_SECONDS):
                    return
            finally:
                self._waiting.release()
        raise Unavailable

    def _extend_limits(self, conn: Connection) -> None:
        """A large batch may wait for locks, and work, longer than the connection's usual limits."""
        lock_seconds = self.settings.lock_timeout_seconds
        left = conn.until - time.monotonic() if conn.until is not None else 0.0
        if left > 2 * lock_seconds:
            conn.execute("SELECT set_config('lock_timeout', %s, true)", [_milliseconds(left)])

    def _open(self) -> ConnectionPool[Connection]:
        with self._opening:
            if self._patience is not None and self._pulse is None:
                self._pulse = Pulse(self._connect, self._drop_pool)
                self._pulse.start()
            if self._pool is None:
                self._pool = ConnectionPool(
                    self.url,
                    kwargs=_OPTIONS,
                    connection_class=Connection,
                    configure=self._configure,
                    min_size=1,
                    max_size=self.settings.web_threads,
                    timeout=self.settings.pool_timeout_seconds,
                    # A failed attempt is given up: the next request makes the next one, without growing delays.
                    reconnect_timeout=0.0,
                    open=True,
                )
            return self._pool

    def _connect(self) -> Connection:
        return Connection.connect(self.url, **_OPTIONS)

    def _configure(self, conn: Connection) -> None:
        conn.until = time.monotonic() + CONNECT_SECONDS
        conn.execute("SET ROLE consent_service")
        conn.execute(
            "SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false),"
            " set_config('idle_in_transaction_session_timeout', %s, false), set_config('jit', 'off', false),"
            # A server whose client gave up stops working for it, also while it waits for a lock.
            " set_config('client_connection_check_interval', '1s', false),"
            # A plan that is made while tables are empty would read them whole when they are full.
            " set_config('enable_seqscan', 'off', false),"
            # Planning the decision takes longer than running it, and its plan does not hang on the parameters.
            " set_config('plan_cache_mode', 'force_generic_plan', false),"
            " set_config('TimeZone', 'UTC', false)",
            [
                _milliseconds(self.settings.statement_timeout_seconds),
                _milliseconds(self.settings.lock_timeout_seconds),
                _milliseconds(IDLE_SECONDS),
            ],
        )
        set_json_loads(orjson.loads, conn)
        conn.until, conn.watch = None, self._pulse

    def _drop_pool(self, seconds: float = 0.0) -> None:
        """Closes the connections that rest; those in use are closed when they come back."""
        with self._opening:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close(seconds)


@contextlib.contextmanager
def _whole(conn: Connection) -> Iterator[None]:
    """One transaction around the block."""
    conn.begin()
    try:
        yield
        conn.end()
    except BaseException:
        conn.undo()
        raise


def _once(conn: Connection, work: Callable[[Connection], Answer]) -> Answer:
    conn.begin()
    try:
        answer = work(conn)
    except Exception as error:
        conn.undo()
        if means_unavailable(error):
            raise
        raise RolledBack from error
    try:
        conn.end()
    except Exception as error:
        conn.undo()
        if is_refusal(error):
            raise RolledBack from error
        raise Unavailable from error  # the commit was on its way: whoever tries again may do it twice
    return answer


_OPTIONS: dict[str, Any] = {
    "autocommit": True,
    # The driver prepares nothing by itself: after a rollback it forgets all, also what a connection prepared.
    "prepare_threshold": None,
    "row_factory": dict_row,
    "connect_timeout": CONNECT_SECONDS,
    "application_name": "consent-service",
}


def _milliseconds(seconds: float) -> str:
    return f"{max(1, int(seconds * 1000))}ms"


def _raise_translated(error: Exception) -> Any:
    domain = translate(error)
    if domain is None:
        raise error
    raise domain from error
