"""A connection that waits for PostgreSQL only so long, and runs the statements of our files the short way.

The time limits of the server do not fire in a server that is frozen, or behind a network that is gone: so the
waiting itself has an end here. A connection whose waiting was given up is closed, because nobody knows what
the server made of it. It never repeats anything by itself.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg import abc, pq
from psycopg.adapt import Transformer
from psycopg.generators import execute, fetch_many, send
from psycopg.rows import DictRow

from consent_service.database.queries import Statement

Value = TypeVar("Value")
Values = list[bytes | None]

BEGIN, COMMIT = Statement("BEGIN"), Statement("COMMIT")
LOOK_SECONDS = 0.1  # how often the waiting looks whether it should go on


class Watch(Protocol):
    """Says whether the database as a whole still answers."""

    @property
    def lost(self) -> bool:
        """True while it does not."""


class GaveUp(psycopg.OperationalError):
    """The server was silent for too long; what it did is unknown."""


class Connection(psycopg.Connection[DictRow]):
    """A connection in autocommit mode, with rows as dictionaries.

    `until`: the instant of `time.monotonic()` at which waiting ends; None: the server's own limits are enough.
    `watch`: ends all waiting when the database as a whole is lost.
    """

    until: float | None = None
    watch: Watch | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ready: set[bytes] = set()
        self._foreseen: _Foreseen | None = None
        self._queued: list[tuple[Statement, Values]] = []
        # How the columns of each statement are read, and their names: known from its first answer on.
        self._columns: dict[bytes, tuple[abc.Transformer, list[str]]] = {}

    def wait(
        self,
        gen: Generator[Any, Any, Value],
        interval: float = LOOK_SECONDS,
        timeout: float | None = None,
    ) -> Value:
        """Runs what waits for the server, as the driver does, until `until` or while `watch` is content.

        Raises:
            GaveUp: and the connection is closed.
        """
        try:
            return super().wait(self._watched(gen), interval=min(interval, LOOK_SECONDS), timeout=timeout)
        except GaveUp:
            self.close()
            raise

    def _watched(self, gen: Generator[Any, Any, Value]) -> Generator[Any, Any, Value]:
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready:  # nothing came in the last interval
                    self._look()
                wanted = gen.send(ready)
        except StopIteration as end:
            found: Value = end.value
            return found

    def _look(self) -> None:
        if self.watch is not None and self.watch.lost:
            raise GaveUp("the database is lost")
        if self.until is not None and time.monotonic() >= self.until:
            raise GaveUp("the database is silent for too long")

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> psycopg.Cursor[DictRow]:
        """Runs any SQL as the driver does, after what is queued."""
        self.send_queued()
        return super().execute(query, *args, **kwargs)

    @contextlib.contextmanager
    def transaction(self, *args: Any, **kwargs: Any) -> Iterator[psycopg.Transaction]:
        """The driver's transaction, or savepoint inside one; what is queued in the block belongs to it."""
        self.send_queued()
        with super().transaction(*args, **kwargs) as opened:
            yield opened
            self.send_queued()

    def begin(self) -> None:
        """Begins a transaction, on the way of its first statement. `end` or `undo` has to follow."""
        self.queue(BEGIN, {})

    def end(self) -> None:
        """Commits, on one way to the server with what is queued; both are undone, or neither.

        Raises:
            psycopg.Error: with an SQLSTATE that the server gives for what it undid, or without when nobody knows.
        """
        if self._queued and self._queued[0][0] is BEGIN and len(self._queued) == 1:
            self.forget()  # nothing was asked
            return
        self._prepare(COMMIT)
        if self._run_together(COMMIT, [], None).command_status != b"COMMIT":
            raise psycopg.errors.InFailedSqlTransaction("the transaction had failed before")

    def undo(self) -> None:
        """Rolls back what is open; what was queued never was. Where that fails the connection is of no use any more."""
        self.forget()
        if self.pgconn.transaction_status in (pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR):
            with contextlib.suppress(psycopg.Error):
                self.rollback()

    def run(self, statement: Statement, params: Mapping[str, Any] | None = None) -> Rows:
        """The rows of a statement of our files, which this connection prepares once and reads without a cursor."""
        if not statement.is_typed:
            cursor = self.execute(statement, params)
            return Rows(cursor.fetchall() if cursor.description else [])
        self._prepare(statement)
        values = statement.values(params or {})
        foreseen, self._foreseen = self._foreseen, None
        if foreseen is not None and foreseen.result is not None:
            if statement is foreseen.statement and values == foreseen.values:
                return self._rows(statement, foreseen.result)
            foreseen = None
        if foreseen is not None or self._queued:
            return self._rows(statement, self._run_together(statement, values, foreseen))
        self.pgconn.send_query_prepared(statement.label, values, result_format=pq.Format.BINARY)
        return self._rows(statement, self._checked(self.wait(execute(self.pgconn))))

    def queue(self, statement: Statement, params: Mapping[str, Any]) -> None:
        """Sends this write, whose rows nobody wants, together with the next statement, and before it."""
        self._prepare(statement)
        self._queued.append((statement, statement.values(params)))

    def send_queued(self) -> None:
        """Sends what is queued and had no next statement. For whoever ends the transaction."""
        if self._queued:
            statement, values = self._queued.pop()
            self._run_together(statement, values, None)

    def foresee(self, statement: Statement, params: Mapping[str, Any]) -> None:
        """Says that this statement, which only reads, follows the next one: both go on one way to the server.

        If it then is the very next, with the same values, `run` has the answer already; else it is run as ever.
        """
        self._prepare(statement)
        self._foreseen = _Foreseen(statement, statement.values(params))

    def forget(self) -> None:
        """What was foreseen or queued and did not come about is nothing to anybody later."""
        self._foreseen = None
        self._queued.clear()

    def _run_together(self, statement: Statement, values: Values, foreseen: _Foreseen | None) -> pq.abc.PGresult:
        """One way to the server and back for what is queued, the statement, and what is foreseen."""
        flight = [*self._queued, (statement, values)]
        self._queued.clear()
        place = len(flight) - 1
        if foreseen is not None:
            flight.append((foreseen.statement, foreseen.values))
        self.pgconn.enter_pipeline_mode()
        for one, given in flight:
            self.pgconn.send_query_prepared(one.label, given, result_format=pq.Format.BINARY)
        self.pgconn.pipeline_sync()
        answers = self.wait(_answers(self.pgconn, len(flight)))
        if self.pgconn.status == pq.ConnStatus.OK:
            self.pgconn.exit_pipeline_mode()
        results = [self._checked(answer) for answer in answers[: place + 1]]
        if foreseen is not None and answers[-1] and answers[-1][0].status == pq.ExecStatus.TUPLES_OK:
            foreseen.result = answers[-1][0]
            self._foreseen = foreseen
        return results[-1]

    def _prepare(self, statement: Statement) -> None:
        if statement.label not in self._ready:
            self.pgconn.send_prepare(statement.label, statement.prepared)
            self._checked(self.wait(execute(self.pgconn)))
            self._ready.add(statement.label)

    def _rows(self, statement: Statement, result: pq.abc.PGresult) -> Rows:
        reader = self._columns.get(statement.label)
        if reader is None:
            transformer: abc.Transformer = Transformer(self)
            transformer.set_pgresult(result, format=pq.Format.BINARY)
            names = [(result.fname(place) or b"").decode() for place in range(result.nfields)]
            reader = self._columns[statement.label] = (transformer, names)
        transformer, names = reader
        transformer.set_pgresult(result, set_loaders=False)

        def row(values: Any) -> DictRow:
            return dict(zip(names, values, strict=True))

        return Rows(transformer.load_rows(0, result.ntuples, row))

    def _checked(self, results: list[pq.abc.PGresult]) -> pq.abc.PGresult:
        if not results:
            self.close()
            raise GaveUp("the server ended without an answer")
        result = results[0]  # one statement has one
        if result.status == pq.ExecStatus.FATAL_ERROR:
            error = psycopg.errors.error_from_result(result, encoding="utf-8")
            if isinstance(error, psycopg.errors.FeatureNotSupported):
                self.close()  # a migration changed columns: what is prepared here never runs again
            raise error
        return result


@dataclass
class _Foreseen:
    """A statement that will follow, and its answer once it has one."""

    statement: Statement
    values: Values
    result: pq.abc.PGresult | None = None


def _answers(pgconn: pq.abc.PGconn, count: int) -> Generator[Any, Any, list[list[pq.abc.PGresult]]]:
    """The results of each statement of a pipeline, fewer when the server ended after it had said why."""
    yield from send(pgconn)
    found: list[list[pq.abc.PGresult]] = []
    try:
        for _ in range(count):
            results = yield from fetch_many(pgconn)
            found.append(results)
        yield from fetch_many(pgconn)  # the end of the pipeline
    except psycopg.OperationalError:
        if not any(one.status == pq.ExecStatus.FATAL_ERROR for results in found for one in results):
            raise
    return found


class Rows:
    """The rows of an answer, all here already; read once, in order."""

    __slots__ = ("_rows",)

    def __init__(self, rows: list[DictRow]) -> None:
        self._rows = iter(rows)

    def __iter__(self) -> Iterator[DictRow]:
        return self._rows

    def fetchone(self) -> DictRow | None:
        """The next row; None when there is none."""
        return next(self._rows, None)

    def fetchall(self) -> list[DictRow]:
        """The rest of the rows."""
        return list(self._rows)
