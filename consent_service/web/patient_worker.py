"""gunicorn's worker as this service runs it: one loop that waits for clients, and threads that wait for nobody.

The loop gathers requests and sends what clients are slow to take; a thread is given to a request that is whole, and
is free again when the application has answered. So no number of slow or silent clients keeps a thread, and each state
of a connection has a limit of time. Health probes have threads of their own: they answer while all others wait for a
database. The loop never runs the application, and nothing in it waits.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from queue import SimpleQueue

from gunicorn.workers.base import Worker

from consent_service.web import answering
from consent_service.web.arrival import Progress
from consent_service.web.balance import Load
from consent_service.web.connection import Connection, State

HEAD_SECONDS = 10.0  # from the first byte, or from the connection's beginning, to the end of the head
GAP_SECONDS = 10.0  # between two pieces of a body
BODY_SECONDS = 60.0  # of all of it
SEND_SECONDS = 60.0  # until the client has taken the answer
LINGER_SECONDS = 2.0  # until a client closes that was told so
# A worker that is to stop answers for so long what comes on kept connections. A proxy that closes idle ones earlier
# (deploy/nginx.conf) never sends a request into a closed one.
STOP_KEPT_SECONDS = 4.0
# A worker that is to stop goes on accepting until a younger one does, for so long.
BOOT_SECONDS = 15.0
# What all connections of a worker may hold in memory; beyond it the slowest are dropped.
HELD_BYTES = 128 * 1024 * 1024
MUCH_BYTES = 1024 * 1024
# The kernel would take megabytes for each client that does not read, and count them nowhere.
SEND_BUFFER_BYTES = 256 * 1024
# A worker with more connections than another one lets it accept first for so long.
YIELD_SECONDS = 0.004
MOST_LET_IN = 8
NO_ROOM_SECONDS = 0.05
SWEEP_SECONDS = 0.5
PROBES = (b"GET /health/live ", b"GET /health/ready ")

_READ = select.EPOLLIN | select.EPOLLONESHOT
_WRITE = select.EPOLLOUT | select.EPOLLONESHOT
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_UNTIMED = (State.ANSWERING, State.CLOSED)


class PatientWorker(Worker):  # type: ignore[misc]
    """A connection belongs to the loop, except while its state is ANSWERING: then to a thread."""

    # What the master hands over before the fork: see server.py.
    load: Load | None = None
    max_body_bytes = 16 * 1024 * 1024

    def init_process(self) -> None:
        """Loads the application and runs; returns when the worker is to end."""
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._listeners: dict[int, socket.socket] = {}
        self._keeps = True
        self._stops_at = float("inf")
        self._paused_until = 0.0
        self._lets_in = 1
        self._surplus = 0
        self._next_sweep = 0.0
        super().init_process()

    def run(self) -> None:
        """The loop, until SIGTERM or the master's end; then what is under way is finished."""
        self._lane: SimpleQueue[Connection] = SimpleQueue()
        self._probe_lanes: dict[bytes, SimpleQueue[Connection]] = {probe: SimpleQueue() for probe in PROBES}
        for lane in (*[self._lane] * self.cfg.threads, *self._probe_lanes.values()):
            threading.Thread(target=self._work, args=(lane,), daemon=True).start()
        self._epoll.register(self.PIPE[0], select.EPOLLIN)
        for listener in self.sockets:
            listener.setblocking(False)
            # Connections inherit it.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            self._listeners[listener.fileno()] = listener
            self._epoll.register(listener.fileno(), select.EPOLLIN)
        while self.alive:
            self._turn()
        self._finish()

    def _finish(self) -> None:
        began = time.monotonic()
        while self.load and self.load.successor_is_booting() and time.monotonic() < began + BOOT_SECONDS:
            self._turn()
        if self.load:
            self.load.leave()
        self._keeps = False
        self._next_sweep = 0.0
        self._stops_at = time.monotonic() + STOP_KEPT_SECONDS
        # Nobody but us may be there to take who waits now.
        for listener in self._listeners.values():
            for _ in range(self.cfg.backlog):
                if not self._let_in(listener):
                    break
            self._epoll.unregister(listener.fileno())
            listener.close()
        self._listeners.clear()
        while self._connections and time.monotonic() < began + self.cfg.graceful_timeout:
            self._turn()

    def _turn(self) -> None:
        """Waits for events, but not for long, and serves them."""
        now = time.monotonic()
        patience = min(self._next_sweep, self._paused_until or self._next_sweep) - now
        for descriptor, _ in self._epoll.poll(max(0.0, patience), 64):
            if conn := self._connections.get(descriptor):
                self._serve(conn)
            elif listener := self._listeners.get(descriptor):
                self._accept(listener)
            elif descriptor == self.PIPE[0]:
                with contextlib.suppress(BlockingIOError):
                    os.read(descriptor, 4096)  # a signal came
        now = time.monotonic()
        if self._paused_until and now >= self._paused_until:
            self._resume()
        if now >= self._next_sweep:
            self._sweep(now)

    # Connections come.

    def _accept(self, listener: socket.socket) -> None:
        """Takes a new connection, unless another worker is to have it."""
        if self.load and self.load.is_above_another(len(self._connections), time.monotonic()):
            self._pause(YIELD_SECONDS)
        else:
            self._lets_in = 1
            self._let_in(listener)

    def _resume(self) -> None:
        """After a pause: whoever still waits is for us, since the others have not come for them."""
        self._paused_until = 0.0
        for descriptor, listener in self._listeners.items():
            self._epoll.modify(descriptor, select.EPOLLIN)
            if all(self._let_in(listener) for _ in range(self._lets_in)):
                self._lets_in = min(2 * self._lets_in, MOST_LET_IN)

    def _pause(self, seconds: float) -> None:
        self._paused_until = time.monotonic() + seconds
        for descriptor in self._listeners:
            self._epoll.modify(descriptor, 0)

    def _let_in(self, listener: socket.socket) -> bool:
        """Accepts one connection; False when none waits, or there is no room."""
        if len(self._connections) >= self.cfg.worker_connections and not self._make_room():
            self._pause(NO_ROOM_SECONDS)
            return False
        try:
            sock, client = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        except OSError as error:
            # No descriptors or no memory left: the slowest clients give theirs back.
            self.log.error("cannot accept: %s", error.strerror)
            self._make_room()
            self._pause(NO_ROOM_SECONDS)
            return False
        sock.setblocking(False)
        now = time.monotonic()
        conn = Connection(sock, client, listener.getsockname(), self.max_body_bytes, now)
        conn.enter(State.COMING, now, HEAD_SECONDS)
        self._connections[conn.descriptor] = conn
        self._tell()
        self._await_request(conn)
        return True

    def _make_room(self) -> bool:
        """Drops some of those who have kept us waiting longest; False when nobody has."""
        now = time.monotonic()
        waiting = [
            conn
            for conn in list(self._connections.values())
            if conn.state in (State.COMING, State.KEPT, State.LINGERING) and now - conn.since > SWEEP_SECONDS
        ]
        # Those who never sent a whole request go before those who are known to.
        waiting.sort(key=lambda conn: (conn.state is State.KEPT, conn.since))
        for conn in waiting[: 1 + len(waiting) // 10]:
            self._close(conn)
        return bool(waiting)

    # Requests come, answers go.

    def _serve(self, conn: Connection) -> None:
        """Something happened on a connection that belongs to the loop."""
        try:
            if conn.state in (State.COMING, State.KEPT):
                self._await_request(conn)
            elif conn.state is State.SENDING:
                self._send(conn)
            elif conn.state is State.LINGERING:
                if not conn.gather():
                    self._close(conn)
                else:
                    conn.ahead.clear()
                    self._arm(conn, _READ)
        except BlockingIOError:
            self._arm(conn, _READ)
        except OSError:
            self._close(conn)
        except Exception:
            self.log.exception("a connection failed")  # and no other one
            self._close(conn)

    def _await_request(self, conn: Connection) -> None:
        """Takes what is there; a whole request goes to a thread."""
        try:
            there = conn.gather()
        except BlockingIOError:
            self._arm(conn, _READ)
            return
        except OSError:
            there = False
        if there:
            self._look(conn)
        elif conn.ahead:
            self._refuse(conn, "bad_request", "The request ended early.")
        else:
            self._close(conn)

    def _look(self, conn: Connection) -> None:
        """Decides by what has been gathered."""
        arrival = conn.arrival
        had_head = arrival.head_bytes
        progress = arrival.look(conn.ahead)
        if progress is Progress.ARRIVED:
            conn.state = State.ANSWERING
            lane = self._lane
            if conn.ahead.startswith(b"GET /health/"):
                lane = next((lane for probe, lane in self._probe_lanes.items() if conn.ahead.startswith(probe)), lane)
            lane.put(conn)
        elif progress is Progress.TOO_LARGE:
            self._refuse(conn, "head_too_large", "The head of a request has a limit.")
        else:
            now = time.monotonic()
            if conn.state is State.KEPT:
                conn.enter(State.COMING, now, HEAD_SECONDS)
            if arrival.head_bytes:
                conn.deadline = min(conn.since + BODY_SECONDS, now + GAP_SECONDS)
                if arrival.waits_for_leave and not had_head and len(conn.ahead) == arrival.head_bytes:
                    with contextlib.suppress(OSError):
                        conn.sock.send(_CONTINUE)
                if len(conn.ahead) > MUCH_BYTES:
                    self._watch_memory()
            self._arm(conn, _READ)

    def _work(self, lane: SimpleQueue[Connection]) -> None:
        """A thread's life."""
        while True:
            conn = lane.get()
            try:
                conn.keep = answering.answer(conn, self.cfg, self.wsgi, self._keeps_another)
                self._send(conn)
            except OSError:
                self._close(conn)
            except Exception:
                self.log.exception("a request failed")
                self._close(conn)

    def _keeps_another(self) -> bool:
        """Whether the connection that is being answered is kept for another request."""
        if self._surplus > 0:
            # Told to close, the client comes again, and to a worker that has fewer.
            self._surplus -= 1
            return False
        return self._keeps

    def _send(self, conn: Connection) -> None:
        """Sends what can be sent of the answer, and sees to what follows it.

        Raises:
            OSError: the client has gone.
        """
        sent = conn.flush()
        now = time.monotonic()
        if not sent:
            if conn.state is not State.SENDING:
                conn.enter(State.SENDING, now, SEND_SECONDS)
            self._arm(conn, _WRITE)
        elif not conn.keep:
            # Our side first, the rest when the client has closed, so that it reads the answer (RFC 9112, 9.6).
            conn.sock.shutdown(socket.SHUT_WR)
            conn.enter(State.LINGERING, now, LINGER_SECONDS)
            self._arm(conn, _READ)
        else:
            conn.next_request()
            conn.enter(State.KEPT, now, self.cfg.keepalive)
            if conn.ahead:
                self._look(conn)
            else:
                self._arm(conn, _READ)

    def _refuse(self, conn: Connection, code: str, detail: str) -> None:
        conn.keep = False
        try:
            answering.refuse(conn, code, detail)
            self._send(conn)
        except OSError:
            self._close(conn)

    def _arm(self, conn: Connection, events: int) -> None:
        """Lets the loop know of the next event; the last thing that a thread does with a connection."""
        with contextlib.suppress(OSError, ValueError):
            if conn.known:
                self._epoll.modify(conn.descriptor, events)
            else:
                conn.known = True
                self._epoll.register(conn.descriptor, events)

    # Limits.

    def _sweep(self, now: float) -> None:
        """Ends what has taken too long, and says that this worker lives."""
        self._next_sweep = now + (SWEEP_SECONDS if self._keeps else SWEEP_SECONDS / 10)
        self.notify()
        if os.getppid() != self.ppid:
            self.alive = False  # the master has gone
        self._tell()
        self._surplus = self.load.surplus(len(self._connections), now) if self.load and self._keeps else 0
        self._watch_memory()
        for conn in list(self._connections.values()):
            deadline = conn.deadline
            if conn.state in (State.COMING, State.KEPT):
                deadline = min(deadline, self._stops_at)
            if deadline <= now and conn.state not in _UNTIMED:
                self._expire(conn)

    def _expire(self, conn: Connection) -> None:
        if conn.state is State.COMING and conn.ahead:
            self._refuse(conn, "request_timeout", "Send the request faster.")
        else:
            self._close(conn)

    def _watch_memory(self) -> None:
        """Drops the slowest when too much is held."""
        connections = list(self._connections.values())
        held_bytes = sum(len(conn.ahead) + conn.held_bytes for conn in connections)
        if held_bytes > HELD_BYTES:
            slow = [conn for conn in connections if conn.state in (State.COMING, State.SENDING)]
            for conn in sorted(slow, key=lambda conn: conn.since):
                held_bytes -= len(conn.ahead) + conn.held_bytes
                self._close(conn)
                if held_bytes <= HELD_BYTES:
                    break

    def _close(self, conn: Connection) -> None:
        # Out of the table before its descriptor can be another one's.
        conn.state = State.CLOSED
        self._connections.pop(conn.descriptor, None)
        conn.sock.close()
        self._tell()

    def _tell(self) -> None:
        if self.load and self._keeps:
            self.load.say(len(self._connections), time.monotonic())
