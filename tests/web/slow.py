"""Clients that are slow in one way, many at a time, while others ask: what the tests of the front drive."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator

from tests.support.cluster import WebService
from tests.support.processes import eventually

CROWD = int(os.environ.get("CONSENT_TEST_SLOW_CLIENTS", "200"))
LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
ASKED = {"customer": "email:ben@example.com", "channel": "email", "topic": "offers"}


def connect(web: WebService, *, receives: int | None = None) -> socket.socket:
    """A connection; `receives` bytes of it are buffered at our end, for one that reads slowly."""
    client = socket.socket()
    client.settimeout(20)
    if receives is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
    client.connect(("127.0.0.1", web.port))
    return client


@contextlib.contextmanager
def crowd(
    web: WebService, sent: bytes, then: Callable[[socket.socket], object] | None, *, clients: int = CROWD
) -> Iterator[None]:
    """Connections that sent this, and once a second do what follows."""
    them = [connect(web, receives=4096) for _ in range(clients)]
    ends = threading.Event()

    def go_on() -> None:
        while not ends.wait(1):
            for client in them:
                with contextlib.suppress(OSError):  # dropped by then
                    assert then is not None
                    then(client)

    driver = threading.Thread(target=go_on)
    try:
        for client in them:
            client.sendall(sent)
        if then is sip:
            # Their questions are real work, which others wait for; not reading the answers is what is tried.
            eventually(lambda: len(readable(them)) == clients)
        if then is not None:
            driver.start()
        yield
    finally:
        ends.set()
        if then is not None:
            driver.join()
        for client in them:
            client.close()


def readable(clients: list[socket.socket]) -> list[tuple[int, int]]:
    """Those to whom something has been sent, or who have been cut off."""
    poll = select.poll()
    for client in clients:
        poll.register(client, select.POLLIN | select.POLLHUP)
    return poll.poll(0)


def drip(piece: bytes) -> Callable[[socket.socket], object]:
    """Sends one more piece."""
    return lambda client: client.send(piece)


def sip(client: socket.socket) -> object:
    """Reads one more byte."""
    return client.recv(1)


def request(path: str, key: str, body: bytes, frame: str | None = None) -> bytes:
    """The head of a POST with a key, and the body."""
    frame = f"Content-Length: {len(body)}" if frame is None else frame
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    return head.encode() + frame.encode() + b"\r\n\r\n" + body


def seconds_of_others(web: WebService, key: str, *, seconds: float = 1.0) -> tuple[list[float], list[float]]:
    """How long probes and real checks took, by four clients in turn, each round on a new connection.

    Their first rounds are not counted: they wait for the requests of the crowd that came before and are real work,
    and for workers that open their connections to the database.
    """
    probes: list[float] = []
    checks: list[float] = []
    warm = threading.Barrier(4)
    body = json.dumps(ASKED)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def ask_for(seconds: float, probes: list[float], checks: list[float], *, least: int) -> None:
        ends_at = time.monotonic() + seconds
        rounds = 0
        while time.monotonic() < ends_at or rounds < least:
            rounds += 1
            conn = http.client.HTTPConnection("127.0.0.1", web.port, timeout=20)
            for took, arguments in (
                (probes, ("GET", "/health/live")),
                (checks, ("POST", "/v1/permissions/check", body, headers)),
            ):
                begin = time.monotonic()
                conn.request(*arguments)  # type: ignore[arg-type]
                answer = conn.getresponse()
                answer.read()
                took.append(time.monotonic() - begin if answer.status == 200 else float("inf"))
            conn.close()

    def ask() -> None:
        ask_for(0.2, [], [], least=1)
        warm.wait()
        ask_for(seconds, probes, checks, least=10)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return probes, checks


def p99(took: list[float]) -> float:
    """The time that one in a hundred exceeds."""
    assert len(took) >= 20, "too few to tell"
    return sorted(took)[int(len(took) * 0.99)]
