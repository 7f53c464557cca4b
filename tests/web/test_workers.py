"""Workers share one socket: even shares, nothing lost with one that dies, and probes that are always answered."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator

import pytest

from consent_service.web.balance import Loads
from tests.support.api import Api
from tests.support.cluster import Cluster, WebService, web_service
from tests.support.processes import children_of, connections_of, eventually, frozen
from tests.web.slow import ASKED, LIVE, connect, request


@pytest.fixture(scope="module")
def web(shared: Api) -> Iterator[WebService]:
    with web_service(shared.made, workers=2) as running:
        yield running


def workers_of(web: WebService) -> list[int]:
    """Both, when both are there."""
    eventually(lambda: len(children_of(web.process.pid)) == 2)
    return children_of(web.process.pid)


def status(client: socket.socket) -> int:
    """Of the answer that comes next; 0 when there is none."""
    received = b""
    with contextlib.suppress(OSError):
        while not received.endswith(b"}") and (piece := client.recv(65536)):
            received += piece
    return int(received[9:12] or 0)


def waiting(web: WebService, number: int) -> list[socket.socket]:
    """Connections with a request on each."""
    clients = [connect(web) for _ in range(number)]
    for client in clients:
        client.sendall(LIVE)
    return clients


def listens(web: WebService) -> bool:
    with contextlib.suppress(ConnectionRefusedError):
        connect(web).close()
        return True
    return False


def shares(web: WebService, before: list[int]) -> list[int]:
    return [connections_of(pid) - had for pid, had in zip(workers_of(web), before, strict=True)]


def asked_once_each(web: WebService, clients: list[socket.socket]) -> list[socket.socket]:
    """The connections, those anew that were told to close."""
    for client in clients:
        client.sendall(LIVE)
    kept = []
    for client in clients:
        received = client.recv(65536)
        assert received.startswith(b"HTTP/1.1 200 ")
        if b"\r\nConnection: close\r\n" in received:
            client.close()
            client = connect(web)  # noqa: PLW2901
        kept.append(client)
    return kept


def test_kept_connections_come_to_be_shared_evenly(web: WebService) -> None:
    first, second = workers_of(web)
    before = [connections_of(pid) for pid in (first, second)]
    with frozen(second):
        clients = waiting(web, 40)
        assert [status(client) for client in clients] == [200] * 40
    assert shares(web, before)[0] >= 38

    def are_even() -> bool:
        clients[:] = asked_once_each(web, clients)
        now = shares(web, before)
        return min(now) >= 14

    eventually(are_even)
    for client in clients:
        client.close()


def test_a_worker_that_is_stuck_holds_nobody_up(web: WebService) -> None:
    stuck, _ = workers_of(web)
    with frozen(stuck):
        clients = waiting(web, 60)
        # It may have taken those that came before it was stuck, and those only.
        assert [status(client) for client in clients] == [200] * 60
    for client in clients:
        client.close()


def test_who_waits_for_a_worker_that_dies_is_served_by_another(web: WebService) -> None:
    first, second = workers_of(web)
    with frozen(second):
        with frozen(first):
            clients = waiting(web, 40)
            os.kill(first, signal.SIGKILL)
        # Also by the one that comes in the place of the dead one.
        assert [status(client) for client in clients] == [200] * 40
    for client in clients:
        client.close()
    eventually(lambda: first not in children_of(web.process.pid))
    assert len(workers_of(web)) == 2


def test_a_stop_lets_requests_finish_and_another_start_is_at_once(shared: Api) -> None:
    body = json.dumps({**ASKED, "customer": "email:stop@example.com"}).encode()
    asks = request("/v1/contacts", shared.keys["campaign"], body)
    desk = {"Authorization": f"Bearer {shared.keys['desk']}"}
    made = shared.client.post("/v1/customers", json={"identifiers": ["email:stop@example.com"]}, headers=desk)
    assert made.status_code == 201
    with web_service(shared.made, workers=2) as web:
        with shared.made.owner() as conn, connect(web) as client, conn.transaction():
            conn.execute("SELECT 1 FROM customer FOR UPDATE")
            client.sendall(asks)
            eventually(lambda: conn.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone())
            web.process.send_signal(signal.SIGTERM)
            eventually(lambda: not listens(web))
            conn.execute("ROLLBACK")
            assert status(client) in (201, 409)
        assert web.process.wait(30) == 0
        with web_service(shared.made, workers=2, port=web.port) as again, connect(again) as client:
            client.sendall(LIVE)
            assert status(client) == 200


def test_live_answers_while_every_thread_waits_for_the_database(web: WebService, shared: Api, cluster: Cluster) -> None:
    asks = request("/v1/permissions/check", shared.keys["campaign"], json.dumps(ASKED).encode())
    postmaster = int((cluster.server.data / "postmaster.pid").read_text().split()[0])
    took = []
    ends = threading.Event()

    def ask() -> None:
        while not ends.is_set():
            with contextlib.suppress(OSError), connect(web) as client:
                client.sendall(asks)
                status(client)

    askers = [threading.Thread(target=ask) for _ in range(50)]
    with frozen(postmaster, *children_of(postmaster)):
        for asker in askers:
            asker.start()
        until = time.monotonic() + 3
        while time.monotonic() < until:
            begin = time.monotonic()
            with urllib.request.urlopen(f"{web.url}/health/live", timeout=10) as response:
                assert json.load(response) == {"status": "live"}
            took.append(time.monotonic() - begin)
            time.sleep(0.05)
        ends.set()
    for asker in askers:
        asker.join()
    assert max(took) <= 1.0


def test_a_probe_is_answered_as_the_application_answers_it(web: WebService, shared: Api) -> None:
    route = shared.client.get("/health/live")
    with urllib.request.urlopen(f"{web.url}/health/live", timeout=10) as response:
        assert response.read() == route.data
        server_made = {"Date", "Connection"}
        assert set(response.headers) - server_made == set(route.headers.keys())


def test_loads_are_told_apart() -> None:
    loads = Loads(3)
    first, second = loads.take(1), loads.take(2)
    assert first is not None
    assert second is not None
    first.say(5, now=100.0)
    assert not first.is_above_another(5, now=100.0), "the other one does not accept yet"
    second.say(4, now=100.0)
    assert first.is_above_another(5, now=100.0)
    assert not second.is_above_another(4, now=100.0)
    assert not first.is_above_another(4, now=100.0)
    assert not first.is_above_another(5, now=103.0), "the other one has not been heard of"
    third = loads.take(3)
    assert third is not None
    assert second.successor_is_booting()
    third.say(0, now=103.0)
    assert not second.successor_is_booting()
    assert loads.take(4) is None
    loads.free(3)
    second.say(4, now=103.0)
    first.say(20, now=103.0)
    assert first.surplus(20, now=103.0) == 8
    assert second.surplus(4, now=103.0) == 0
    assert first.surplus(6, now=103.0) == 0, "nearly its share"
    loads.free(2)
    assert loads.take(5) is not None
