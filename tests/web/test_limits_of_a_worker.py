"""What a worker holds has an end, and its socket one owner: beyond the limits the slowest go, and others are served."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest

from consent_service.settings import SettingsError
from consent_service.web.patient_worker import GAP_SECONDS, HEAD_SECONDS, HELD_BYTES
from consent_service.web.server import MOST_CONNECTIONS, held_by_systemd, listen_on
from tests.support.api import Api
from tests.support.cluster import WebService, web_service
from tests.support.processes import eventually
from tests.web.slow import LIVE, connect, readable, request

SOON = min(HEAD_SECONDS, GAP_SECONDS) / 2  # before their time is over anyway


@pytest.fixture(scope="module")
def web(shared: Api) -> Iterator[WebService]:
    with web_service(shared.made, workers=1) as running:
        yield running


def assert_served(web: WebService) -> None:
    with connect(web) as client:
        client.sendall(LIVE)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_more_connections_than_a_worker_has_room_for_cost_the_silent_theirs(web: WebService) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(web)) for _ in range(MOST_CONNECTIONS + 100)]
        assert_served(web)
        eventually(lambda: len(readable(clients)) >= 100, SOON)


def test_more_bodies_than_a_worker_has_memory_for_cost_the_slowest_theirs(web: WebService, shared: Api) -> None:
    body = b" " * (15 << 20)
    sent = request("/v1/permissions/check", shared.keys["campaign"], body, f"Content-Length: {16 << 20}")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(web)) for _ in range(2 + HELD_BYTES // len(body))]
        for client in clients:
            client.sendall(sent)
        eventually(lambda: len(readable(clients)) >= 1, SOON)
        assert readable(clients[-1:]) == [], "the newest is not the slowest"
        assert_served(web)


def test_a_body_that_is_not_waited_for_is_not_read_as_requests(web: WebService) -> None:
    head = b"POST /v1/permissions/check HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n"
    received = b""
    with connect(web) as client:
        client.sendall(head + LIVE + LIVE)
        with contextlib.suppress(ConnectionResetError):
            while piece := client.recv(65536):
                received += piece
    assert received.startswith(b"HTTP/1.1 401 ")
    assert received.count(b"HTTP/1.1 ") == 1


def test_who_asks_for_leave_is_told_once_to_go_on(web: WebService, shared: Api) -> None:
    frame = "Expect: 100-continue\r\nConnection: close\r\nContent-Length: 2"
    received = b""
    with connect(web) as client:
        client.sendall(request("/v1/permissions/check", shared.keys["campaign"], b"", frame))
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"{}")
        while piece := client.recv(65536):
            received += piece
    assert received.startswith(b"HTTP/1.1 422 ")
    assert received.count(b"HTTP/1.1 ") == 1


def test_a_socket_is_taken_from_systemd_when_it_is_for_this_process() -> None:
    ours = str(os.getpid())
    assert held_by_systemd({"LISTEN_PID": ours, "LISTEN_FDS": "1"})
    assert not held_by_systemd({"LISTEN_PID": "1", "LISTEN_FDS": "1"})
    assert not held_by_systemd({"LISTEN_PID": ours, "LISTEN_FDS": "0"})
    assert not held_by_systemd({})
    with pytest.raises(SettingsError, match="one socket"):
        held_by_systemd({"LISTEN_PID": ours, "LISTEN_FDS": "2"})


def test_an_address_that_somebody_has_is_refused_in_one_line() -> None:
    with listen_on("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1 port {port}: ") as raised:
            listen_on("127.0.0.1", port)
        assert "\n" not in str(raised.value)
