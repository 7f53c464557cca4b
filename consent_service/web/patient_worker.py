"""gunicorn's threaded worker, with one change: a thread is given to a request that has arrived, not to a client.

The plain worker reads requests in its threads, without a limit of time: a handful of clients that send half a
request and wait keep every thread, and one that does not close its connection stops the worker's main loop for
two seconds. Here the main loop gathers what comes, without waiting for anybody; what is read or written in a
thread has a limit of time. It changes nothing of how a request is parsed or answered.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import re
import selectors
import socket
import time
from collections import deque
from functools import partial
from typing import Any

from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

GATHERED_BYTES = 64 * 1024  # also the limit of a request's head
ARRIVAL_SECONDS = 10.0  # of the head, and of the body as far as it is gathered
GAP_SECONDS = 5.0  # between two pieces of a larger body
READ_SECONDS = 60.0  # of all of it
SEND_SECONDS = 30.0
LINGER_SECONDS = 2.0
MAX_LINGERING = 256

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,10})[ \t]*\r\n", re.IGNORECASE)
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_EXPECT = re.compile(rb"\r\nexpect:", re.IGNORECASE)


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """Waits for requests in the main loop and for the application in threads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lingering: deque[_Connection] = deque()
        self._stops_at = 0.0

    def accept(self, listener: socket.socket) -> None:
        """Takes a new connection and what has come on it."""
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        self.nr_conns += 1
        conn = _Connection(self, _Socket(fileno=client.detach()), address, listener.getsockname())
        self._begin(conn)

    def on_client_socket_readable(self, conn: _Connection, client: socket.socket) -> None:
        """The next request begins on a connection that was kept."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._begin(conn)

    def on_pending_socket_readable(self, conn: _Connection, client: socket.socket) -> None:
        """More of a request has come."""
        state = conn.gather()
        if state is not State.COMING:
            self.poller.unregister(client)
            self.pending_conns.remove(conn)
            self._settle(conn, state)

    def murder_pending(self) -> None:
        """Drops who took too long: to send, or to notice that we have closed."""
        if not self.alive:
            # We are to stop: whoever is in the middle of a request gets as long as those who may begin one.
            soon = time.monotonic() + STOP_KEEPALIVE_LINGER
            for conn in self.pending_conns:
                conn.timeout = min(conn.timeout, self._stops_at or soon)
            self._stops_at = self._stops_at or soon
        super().murder_pending()
        while self._lingering and self._lingering[0].timeout <= time.monotonic():
            self._end_lingering(self._lingering[0])

    def linger(self, conn: _Connection) -> None:
        """Closes in the main loop: our side now, the rest when the client has, so that it reads the answer.

        Source: RFC 9112, 9.6.
        """
        if len(self._lingering) >= MAX_LINGERING:
            self._end_lingering(self._lingering[0])
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._discard, conn))
        except (OSError, ValueError):
            conn.close()
            return
        conn.timeout = time.monotonic() + LINGER_SECONDS
        self._lingering.append(conn)

    def _discard(self, conn: _Connection, client: socket.socket) -> None:
        try:
            if client.recv(GATHERED_BYTES):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._end_lingering(conn)

    def _end_lingering(self, conn: _Connection) -> None:
        self._lingering.remove(conn)
        self.poller.unregister(conn.sock)
        conn.close()

    def _begin(self, conn: _Connection) -> None:
        state = conn.gather()
        if state is not State.COMING:
            self._settle(conn, state)
            return
        conn.timeout = time.monotonic() + ARRIVAL_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _settle(self, conn: _Connection, state: State) -> None:
        if state is State.ARRIVED:
            self.enqueue_req(conn)
            return
        self.nr_conns -= 1
        if state is State.TOO_LARGE:
            with contextlib.suppress(OSError):
                conn.sock.send(_TOO_LARGE)
        conn.close(graceful=state is State.TOO_LARGE)

    def _keepalive_after(self, conn: _Connection, keepalive: bool) -> bool:
        # What the application left unread is thrown away if it is here already; nobody waits for the rest.
        conn.sock.waits = False
        try:
            return bool(super()._keepalive_after(conn, keepalive))
        finally:
            conn.sock.waits = True


class State(enum.Enum):
    """How far a request has come."""

    COMING = enum.auto()
    ARRIVED = enum.auto()  # a thread can begin
    TOO_LARGE = enum.auto()
    GONE = enum.auto()


class _Connection(TConn):  # type: ignore[misc]
    def __init__(self, worker: PatientWorker, sock: _Socket, client: Any, server: Any) -> None:
        super().__init__(worker.cfg, sock, client, server)
        self.worker = worker
        self.data_ready = True  # so that no thread waits for the first byte
        self.ahead = bytearray()  # gathered, and not yet with the parser

    def gather(self) -> State:
        """Takes what is there, without waiting."""
        try:
            data = self.sock.recv(GATHERED_BYTES)
        except BlockingIOError:
            return State.COMING
        except OSError:
            return State.GONE
        self.ahead += data
        return _state(self.ahead) if data else State.GONE

    def init(self) -> None:
        super().init()
        self.parser.unreader.unread(bytes(self.ahead))
        self.ahead.clear()

    def close(self, graceful: bool = False) -> None:
        if graceful:
            self.worker.linger(self)
        else:
            super().close()


class _Socket(socket.socket):
    """A client's socket: "blocking" means that a thread waits for it, but not for ever."""

    waits = True
    _read_until = 0.0

    def setblocking(self, flag: bool, /) -> None:
        self._read_until = time.monotonic() + READ_SECONDS
        self.settimeout(GAP_SECONDS if flag else 0.0)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        patience = self.gettimeout()
        left = self._read_until - time.monotonic() if self.waits else 0.0
        if patience and left < patience:
            self.settimeout(max(0.001, left))
        try:
            return super().recv(bufsize, flags)
        except TimeoutError:
            # To everybody above, a client that is too slow is one that has gone.
            raise ConnectionResetError(errno.ECONNRESET, "the client was too slow") from None

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        patience = self.gettimeout()
        self.settimeout(SEND_SECONDS)
        try:
            super().sendall(data, flags)
        except TimeoutError:
            raise BrokenPipeError(errno.EPIPE, "the client was too slow") from None
        self.settimeout(patience)


def _state(ahead: bytearray) -> State:
    """A request has arrived when all of it is there, or as much as is gathered, or the client waits for us."""
    head_bytes = ahead.find(b"\r\n\r\n") + 4
    if head_bytes < 4:
        return State.TOO_LARGE if len(ahead) >= GATHERED_BYTES else State.COMING
    length = _LENGTH.search(ahead, 0, head_bytes)
    if length is None or _EXPECT.search(ahead, 0, head_bytes):
        return State.ARRIVED
    whole = min(head_bytes + int(length[1]), GATHERED_BYTES)
    return State.ARRIVED if len(ahead) >= whole else State.COMING
