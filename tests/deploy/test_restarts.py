"""Whatever is reloaded, restarted or killed: who asks through nginx is answered, every time."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.api import Api
from tests.support.held import HeldService
from tests.support.nginx import Nginx
from tests.support.processes import eventually

HUPS = int(os.environ.get("CONSENT_TEST_HUPS", "4"))
RESTARTS = int(os.environ.get("CONSENT_TEST_RESTARTS", "2"))
CLIENTS = 6
_numbers = itertools.count(1)


class Load:
    """Clients that check and record contacts, one request after the other, over kept-alive connections."""

    def __init__(self, port: int, key: str) -> None:
        self.answers = 0
        self.failures: list[str] = []
        self.slowest_seconds = 0.0
        self._port = port
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._go) for _ in range(CLIENTS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _go(self) -> None:
        conn = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        paths = itertools.cycle(["/v1/permissions/check", "/v1/contacts"])
        while not self._ends.is_set():
            path = next(paths)
            asked = {
                "customer": f"email:restart{next(_numbers) % 50}@example.com",
                "channel": "email",
                "topic": "offers",
            }
            begin = time.monotonic()
            try:
                conn.request("POST", path, json.dumps(asked), self._headers)
                answer = conn.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{path}: {error!r}")
                conn.close()
                continue
            if answer.status not in (200, 409):
                self.failures.append(f"{path}: {answer.status} {body!r}")
            self.answers += 1
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - begin)
        conn.close()


@contextmanager
def load(nginx: Nginx, shared: Api) -> Iterator[Load]:
    running = Load(nginx.port, shared.keys["campaign"])
    running.start()
    try:
        yield running
    finally:
        running.stop()


def answers_go_on(running: Load) -> None:
    """Waits for answers that were asked for from now on."""
    before = running.answers
    eventually(lambda: running.answers > before + 2 * CLIENTS)


def test_no_request_fails_while_workers_are_replaced(held: HeldService, nginx: Nginx, shared: Api) -> None:
    assert held.process is not None
    with load(nginx, shared) as running:
        for _ in range(HUPS):
            answers_go_on(running)
            old = held.workers()
            os.kill(held.process.pid, signal.SIGHUP)
            eventually(lambda old=old: len(held.workers()) == 2 and not held.workers() & old)  # type: ignore[misc]
        answers_go_on(running)
    assert running.failures == []
    print(f"{HUPS} HUPs: {running.answers} answers, slowest {running.slowest_seconds:.2f} s")


def test_no_request_fails_while_the_service_is_restarted(held: HeldService, nginx: Nginx, shared: Api) -> None:
    with load(nginx, shared) as running:
        for _ in range(RESTARTS):
            answers_go_on(running)
            assert held.stop() == 0
            held.start()
        answers_go_on(running)
    assert running.failures == []
    print(f"{RESTARTS} restarts: {running.answers} answers, slowest {running.slowest_seconds:.2f} s")
