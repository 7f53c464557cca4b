"""What goes to the server, counted in one place, and cut at a chosen point.

Everything that the driver sends and waits for passes `psycopg.Connection.wait`; what the service's own connection
class does in several steps is counted as the one statement that it is. Only the thread that is watched is counted:
pools and pulses have threads of their own.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from consent_service.database import Connection

GONE_SECONDS = 10.0


class Cut(Enum):
    """When the backend is killed: before the statement, after it, or so that its answer is lost."""

    BEFORE = "before"
    AFTER = "after"
    LOST = "lost"


@dataclass
class Watch:
    """One call: which statements went out, which of them were commits or stood alone, and where it is cut.

    Statements are numbered as the driver asks for them; a commit of nothing is asked for and not sent.
    `at` None: nowhere. `happened` is False when the call ended before it came to the point.
    """

    at: int | None = None
    cut: Cut = Cut.BEFORE
    asked: int = 0
    sent: list[int] = field(default_factory=list)
    commits: list[int] = field(default_factory=list)
    alone: list[int] = field(default_factory=list)
    happened: bool = False


class Wire:
    """Watches one call at a time.

    Args:
        owner: a connection of the owner, who may kill backends.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: psycopg.Connection[Any]) -> None:
        self._owner = owner
        self._watch: Watch | None = None
        self._thread = threading.get_ident()
        self._within_a_statement = False
        wait = psycopg.Connection.wait

        def watched(conn: psycopg.Connection[Any], gen: Generator[Any, Any, Any], *how: Any, **options: Any) -> Any:
            if self._is_none_of_ours(conn):
                return wait(conn, gen, *how, **options)
            counted = self._noting(gen)
            if self._within_a_statement:
                return wait(conn, counted, *how, **options)
            return self._pass(conn, lambda: wait(conn, counted, *how, **options))

        monkeypatch.setattr(psycopg.Connection, "wait", watched)
        # What the service's own connection does in several steps is one statement, whether it was prepared or not.
        for name in ("run", "foresee", "queue", "end"):
            if hasattr(Connection, name):
                monkeypatch.setattr(Connection, name, self._whole(getattr(Connection, name)))

    def _whole(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def whole(conn: Connection, *arguments: Any) -> Any:
            if self._is_none_of_ours(conn) or self._within_a_statement:
                return method(conn, *arguments)
            return self._pass(conn, lambda: method(conn, *arguments))

        return whole

    def _is_none_of_ours(self, conn: psycopg.Connection[Any]) -> bool:
        return self._watch is None or conn is self._owner or threading.get_ident() != self._thread

    @contextlib.contextmanager
    def watching(self, at: int | None = None, cut: Cut = Cut.BEFORE) -> Iterator[Watch]:
        """Counts what this thread sends in the block, and kills its backend at the statement `at` (0 is the first)."""
        self._watch = watch = Watch(at, cut)
        try:
            yield watch
        finally:
            self._watch = None

    def _pass(self, conn: psycopg.Connection[Any], send: Callable[[], Any]) -> Any:
        watch = self._watch
        assert watch is not None
        number, watch.asked = watch.asked, watch.asked + 1
        is_here = number == watch.at
        if is_here and watch.cut is Cut.BEFORE:
            self._kill(watch, conn)
        was_open = conn.info.transaction_status is TransactionStatus.INTRANS
        self._within_a_statement = True
        try:
            answer = send()
        finally:
            self._within_a_statement = False
        if number in watch.sent and conn.info.transaction_status is TransactionStatus.IDLE:
            (watch.commits if was_open else watch.alone).append(number)
        if is_here and watch.cut is not Cut.BEFORE:
            self._kill(watch, conn)
            if watch.cut is Cut.LOST:
                raise psycopg.OperationalError("the connection broke before the answer came")
        return answer

    def _noting(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """The same generator; whatever waits for the server has sent something."""
        watch = self._watch
        assert watch is not None
        try:
            wanted = next(gen)
            if watch.asked - 1 not in watch.sent:
                watch.sent.append(watch.asked - 1)
            while True:
                wanted = gen.send((yield wanted))
        except StopIteration as end:
            return end.value

    def _kill(self, watch: Watch, conn: psycopg.Connection[Any]) -> None:
        watch.happened = True
        pid, deadline = conn.info.backend_pid, time.monotonic() + GONE_SECONDS
        self._owner.execute("SELECT pg_terminate_backend(%s)", [pid])
        # Asked at once and again: the function's own waiting looks every 100 ms only.
        while self._owner.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone() is not None:
            assert time.monotonic() < deadline, "the backend does not end"
