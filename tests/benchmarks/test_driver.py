"""The driver tells the truth: latency from the planned instant, every answer and every failure counted."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

from benchmarks.driver import Driver, Measured, Plan

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Answer = Callable[[int, socket.socket], None]


@contextlib.contextmanager
def server(answer: Answer) -> Iterator[int]:
    """A server that gives each request, and its number, to `answer`."""
    numbers = iter(range(10**9))

    def talk(conn: socket.socket) -> None:
        with conn, contextlib.suppress(OSError):
            while conn.recv(65536):
                answer(next(numbers), conn)

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def measured(answer: Answer, *, per_second: float | None, connections: int = 1, seconds: float = 1.0) -> Measured:
    with server(answer) as port:
        plan = Plan(port, "", seconds, connections, per_second, warm_seconds=0.0)
        return Driver(plan, [REQUEST]).run()


def test_a_stall_is_in_the_latency_of_every_request_that_was_planned_meanwhile() -> None:
    def stalls_once(number: int, conn: socket.socket) -> None:
        time.sleep(0.6 if number == 10 else 0)
        conn.sendall(ANSWER)

    found = measured(stalls_once, per_second=100)
    assert found.answered == 100  # the schedule was kept
    assert found.statuses == {"200": 100}
    # Some 60 requests were planned within the stall: from the instant of sending only one of them would be slow.
    assert found.p50 > 50
    assert found.longest >= 600


def test_a_closed_loop_sends_the_next_request_when_the_last_is_answered() -> None:
    def slow(_: int, conn: socket.socket) -> None:
        time.sleep(0.05)
        conn.sendall(ANSWER)

    found = measured(slow, per_second=None, connections=2)
    assert 4 <= found.answered <= 40
    assert found.p50 >= 50


def test_answers_in_pieces_are_one_answer() -> None:
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n" + b"x" * 30

    def pieces(_: int, conn: socket.socket) -> None:
        for at in range(0, len(long), 7):
            time.sleep(0.002)
            conn.sendall(long[at : at + 7])

    found = measured(pieces, per_second=20, connections=2, seconds=0.5)
    assert found.statuses == {"200": 10}
    assert found.p50 >= 20  # of the last piece
    assert not found.errors


def test_failures_are_counted_by_kind() -> None:
    def fails(number: int, conn: socket.socket) -> None:
        if number % 3 == 1:
            conn.shutdown(socket.SHUT_RDWR)
            conn.close()
        else:
            conn.sendall(ANSWER if number % 3 else ANSWER.replace(b"200 OK", b"503 No"))

    found = measured(fails, per_second=50, seconds=0.6)
    assert found.errors == {"ConnectionResetError": 10}
    assert found.statuses == {"200": 10, "503": 10}
