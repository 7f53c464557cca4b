"""Asks a server over HTTP and measures: in its own process, one thread, kept connections, requests made beforehand.

*Open loop*: requests go out by a fixed schedule, whatever the answers do, and each latency counts from the instant
that was planned; a stall of the server is in the figures of all requests that it kept waiting. *Closed loop*: each
connection asks again as soon as it was answered, which finds the highest rate. It knows nothing of the service: it
gets bytes to send and counts what comes back. `ask` starts it and returns what it measured.
"""

from __future__ import annotations

import json
import resource
import select
import socket
import subprocess
import sys
import tempfile
import time
from array import array
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

ANSWER_SECONDS = 10.0
RECEIVE_BYTES = 256 * 1024
FOLDER = Path(__file__).parents[1]


@dataclass(frozen=True)
class Plan:
    """What to send. `per_second` None: closed loop.

    Args:
        requests: a file of requests, each led by its length in four bytes; they are sent in turn, from `first` on.
        warm_seconds: how long to ask before measuring begins.
    """

    port: int
    requests: str
    seconds: float
    connections: int
    per_second: float | None = None
    warm_seconds: float = 0.5
    first: int = 0


@dataclass
class Measured:
    """What came back in the measured time: rates a second, latencies in milliseconds, errors by kind."""

    answered: int
    per_second: float
    statuses: dict[str, int]
    errors: dict[str, int]
    p50: float
    p95: float
    p99: float
    longest: float
    late_p99: float  # how late the driver itself sent, when a connection was free: its own error
    processor_share: float  # of one core, of the driver itself
    sent: int = 0  # all requests, those of the warm-up too
    wall_seconds: float = field(default=0.0)


def ask(
    port: int,
    requests: Sequence[bytes],
    *,
    seconds: float,
    connections: int,
    per_second: float | None = None,
    warm_seconds: float = 0.5,
    first: int = 0,
) -> Measured:
    """Runs the driver in a process of its own and waits for it."""
    with tempfile.NamedTemporaryFile(prefix="consent-bench-", suffix=".requests") as file:
        for one in requests:
            file.write(len(one).to_bytes(4, "big") + one)
        file.flush()
        plan = Plan(port, file.name, seconds, connections, per_second, warm_seconds, first)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.driver"],
            input=json.dumps(asdict(plan)),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=FOLDER,
            timeout=seconds + warm_seconds + 60,
        )
    return Measured(**json.loads(done.stdout))


class _Connection:
    """One kept connection with at most one request on its way."""

    __slots__ = ("buffer", "closes", "missing", "planned", "port", "sock", "status")

    def __init__(self, port: int) -> None:
        self.port = port
        self.planned = 0.0
        self.connect()

    def connect(self) -> None:
        self.sock = socket.create_connection(("127.0.0.1", self.port), ANSWER_SECONDS)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.missing = -1  # bytes of the answer that are still to come; -1: its head is not complete
        self.status = ""
        self.closes = False  # the server says that this answer is the last one on the connection

    def receive(self) -> bool:
        """Takes what has come; True when the answer is complete. Raises: OSError when the server closed."""
        data = self.sock.recv(RECEIVE_BYTES)
        if not data:
            raise ConnectionResetError
        if self.missing < 0:
            data = self.buffer + data if self.buffer else data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.buffer = data
                return False
            at = data.lower().find(b"content-length:", 0, end)
            length = int(data[at + 15 : data.index(b"\r\n", at)]) if at > 0 else 0
            self.status = data[9:12].decode("ascii")
            self.closes = data.lower().find(b"\r\nconnection: close\r\n", 0, end + 2) > 0
            self.missing = length - (len(data) - end - 4)
            self.buffer = b""
        else:
            self.missing -= len(data)
        if self.missing > 0:
            return False
        self.missing = -1
        return True


class Driver:
    """Runs one plan."""

    def __init__(self, plan: Plan, requests: Sequence[bytes]) -> None:
        self._plan = plan
        self._requests = requests
        self._next = plan.first
        self._statuses: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._latencies = array("d")
        self._lateness = array("d")
        self._epoll = select.epoll()
        self._by_number: dict[int, _Connection] = {}
        self._idle: deque[_Connection] = deque()
        self._waiting: deque[float] = deque()  # planned, and no connection was free
        self._measures_from = 0.0
        self._counts = True
        for _ in range(plan.connections):
            self._idle.append(self._connection())

    def run(self) -> Measured:
        """Asks until the time is over, then waits for the answers that are on their way."""
        begin = time.perf_counter() + 0.02
        self._measures_from = begin + self._plan.warm_seconds
        end = self._measures_from + self._plan.seconds
        before = _processor_seconds()
        if self._plan.per_second is None:
            self._closed_loop(begin, end)
        else:
            self._open_loop(begin, end, 1.0 / self._plan.per_second)
        wall = end - self._measures_from
        spent = _processor_seconds() - before
        self._drain()
        return self._measured(wall, spent / (end - begin))

    def _closed_loop(self, begin: float, end: float) -> None:
        _sleep_until(begin)
        while self._idle:
            self._send(self._idle.popleft(), time.perf_counter())
        while (now := time.perf_counter()) < end:
            for conn in self._answered(end - now):
                self._send(conn, time.perf_counter())
        self._counts = False  # what is still on its way is not part of the measured time

    def _open_loop(self, begin: float, end: float, gap: float) -> None:
        planned, count = begin, 0
        while True:
            now = time.perf_counter()
            while planned <= now and planned < end:
                if self._idle:
                    self._lateness.append(now - planned)
                    self._send(self._idle.popleft(), planned)
                else:
                    self._waiting.append(planned)
                count += 1
                planned = begin + count * gap
            if planned >= end:
                return
            for conn in self._answered(planned - now):
                self._pass_on(conn)

    def _pass_on(self, conn: _Connection) -> None:
        if self._waiting:
            self._send(conn, self._waiting.popleft())
        else:
            self._idle.append(conn)

    def _drain(self) -> None:
        deadline = time.perf_counter() + ANSWER_SECONDS
        while (left := deadline - time.perf_counter()) > 0 and len(self._idle) < self._plan.connections:
            for conn in self._answered(left):
                self._pass_on(conn)
        unanswered = self._plan.connections - len(self._idle) + len(self._waiting)
        if unanswered:
            self._errors["unanswered"] += unanswered

    def _answered(self, seconds: float) -> list[_Connection]:
        """Connections whose answer is complete by now; waits for news for at most so long."""
        # select, not epoll, waits: it counts in microseconds, and epoll in milliseconds.
        if not select.select([self._epoll], [], [], max(0.0, seconds))[0]:
            return []
        done = []
        for number, _ in self._epoll.poll(0):
            conn = self._by_number[number]
            try:
                complete = conn.receive()
            except OSError as error:
                self._errors[type(error).__name__] += 1
                done.append(self._renewed(conn))
                continue
            if complete:
                if self._counts and conn.planned >= self._measures_from:
                    self._latencies.append(time.perf_counter() - conn.planned)
                    self._statuses[conn.status] += 1
                # Workers even out their connections so: the client comes again, and nothing was lost.
                done.append(self._renewed(conn) if conn.closes else conn)
        return done

    def _send(self, conn: _Connection, planned: float) -> None:
        request = self._requests[self._next % len(self._requests)]
        self._next += 1
        conn.planned = planned
        try:
            conn.sock.sendall(request)
        except OSError:
            # Closed while it was idle: nobody has seen the request yet.
            self._errors["reopened"] += 1
            self._renewed(conn).sock.sendall(request)

    def _connection(self) -> _Connection:
        conn = _Connection(self._plan.port)
        self._by_number[conn.sock.fileno()] = conn
        self._epoll.register(conn.sock, select.EPOLLIN)
        return conn

    def _renewed(self, conn: _Connection) -> _Connection:
        self._epoll.unregister(conn.sock)
        del self._by_number[conn.sock.fileno()]
        conn.sock.close()
        conn.connect()
        self._by_number[conn.sock.fileno()] = conn
        self._epoll.register(conn.sock, select.EPOLLIN)
        return conn

    def _measured(self, wall: float, share: float) -> Measured:
        ordered = sorted(self._latencies)
        p50, p95, p99, longest = (1000 * _quantile(ordered, share) for share in (0.5, 0.95, 0.99, 1.0))
        return Measured(
            answered=len(ordered),
            per_second=len(ordered) / wall,
            statuses=dict(self._statuses),
            errors=dict(+self._errors),
            p50=p50,
            p95=p95,
            p99=p99,
            longest=longest,
            late_p99=1000 * _quantile(sorted(self._lateness), 0.99),
            processor_share=share,
            sent=self._next - self._plan.first,
            wall_seconds=wall,
        )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _sleep_until(instant: float) -> None:
    time.sleep(max(0.0, instant - time.perf_counter()))


def _read_requests(path: Path) -> list[bytes]:
    data, at, requests = path.read_bytes(), 0, []
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        requests.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return requests


def main() -> None:
    """Reads a plan from standard input and writes what was measured to standard output."""
    plan = Plan(**json.load(sys.stdin))
    json.dump(asdict(Driver(plan, _read_requests(Path(plan.requests))).run()), sys.stdout)


if __name__ == "__main__":
    main()
