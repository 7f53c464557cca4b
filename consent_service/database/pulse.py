"""Whether the database answers: asked by a thread of its own, several times a second, on a connection of its own.

With it, requests need not find out one by one, each after waiting as long as it may: while the pulse is lost
they are refused at once, whoever waits is told, and threads stay free. A busy database still has a pulse; one
that is gone, starting, or frozen has none. It decides nothing and keeps nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psycopg

from consent_service.database.connection import Connection

BEAT_SECONDS = 0.25
LOST_BEAT_SECONDS = 0.1
SILENCE_SECONDS = 1.0  # after which a frozen server counts as lost
CONNECT_SECONDS = 2  # the shortest that libpq has


class Pulse:
    """Watches one database from the first `start` until `stop`.

    Args:
        connect: makes a connection.
        renewed: called when the database answers again after it did not, or after the connection broke: other
            connections may be broken as well.
    """

    def __init__(self, connect: Callable[[], Connection], renewed: Callable[[], None]) -> None:
        self._connect = connect
        self._renewed = renewed
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._broke = False
        self._answers = threading.Event()
        self._answers.set()

    @property
    def lost(self) -> bool:
        """True while the database does not answer."""
        return not self._answers.is_set()

    def returns_within(self, seconds: float) -> bool:
        """Waits for the database to answer again; False when it did not by then."""
        return self._answers.wait(seconds)

    def start(self) -> None:
        """Begins to watch; again: nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends it, and waits for that as long as a beat may take."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(SILENCE_SECONDS)

    def _run(self) -> None:
        conn: Connection | None = None
        while not self._stop.is_set():
            conn = self._beat(conn)
            self._stop.wait(LOST_BEAT_SECONDS if self.lost else BEAT_SECONDS)
        if conn is not None:
            conn.close()

    def _beat(self, conn: Connection | None) -> Connection | None:
        """One question; the connection for the next one."""
        if conn is not None:
            try:
                self._ask(conn)
                return conn
            except psycopg.Error:
                conn.close()
                self._broke = True
                if time.monotonic() >= (conn.until or 0.0):  # silent; a broken connection is no proof
                    self._answers.clear()
        try:
            conn = self._connect()
            self._ask(conn)
        except psycopg.Error as error:
            # A server with no connection to spare answers, and serves those who have one.
            if error.sqlstate != psycopg.errors.TooManyConnections.sqlstate:
                self._broke = True
                self._answers.clear()
            return None
        if self._broke:
            self._renewed()
        self._broke = False
        self._answers.set()
        return conn

    def _ask(self, conn: Connection) -> None:
        conn.until = time.monotonic() + SILENCE_SECONDS
        conn.execute("SELECT 1")
