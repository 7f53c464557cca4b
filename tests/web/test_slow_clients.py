"""Clients that are slow, or mean, do not keep others waiting; odd but lawful ones are answered."""

from __future__ import annotations

import contextlib
import json
import socket
import time
import urllib.request
from collections.abc import Iterator

import pytest

from tests.support.api import Api
from tests.support.cluster import WebService, web_service
from tests.web.slow import ASKED, CROWD, LIVE, connect, crowd, drip, p99, request, seconds_of_others, sip

MANY = 40  # five times the threads of two workers


@pytest.fixture(scope="module")
def web(shared: Api) -> Iterator[WebService]:
    with web_service(shared.made, workers=2, settings={"CONSENT_WEB_THREADS": "4"}) as running:
        yield running


@contextlib.contextmanager
def connected(web: WebService, sent: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", web.port), timeout=20) as client:
        client.sendall(sent)
        yield client


def read_answer(client: socket.socket) -> bytes:
    """One answer with a Content-Length."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = client.recv(65536)
        assert piece, received
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        body += client.recv(65536)
    assert len(body) == length
    return head


def assert_others_are_served(web: WebService) -> None:
    for _ in range(8):
        begin = time.monotonic()
        with urllib.request.urlopen(f"{web.url}/health/live", timeout=10) as response:
            assert response.status == 200
        assert time.monotonic() - begin < 2


HEAD = b"POST /v1/permissions/check HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /health/live HT",
        b"\r\n\r\n",
        HEAD,
        HEAD + b"Content-Length: 1000\r\n\r\n{",
        HEAD + b"Content-Length: 1000000\r\n\r\n{" + b" " * 100_000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
    ids=["nothing", "line", "empty-lines", "head", "small-body", "large-body", "chunked", "does-not-close"],
)
def test_stalled_clients_do_not_keep_others_waiting(web: WebService, sent: bytes) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(connected(web, sent))
        time.sleep(0.2)
        assert_others_are_served(web)


BODY = b'{"customer": "email:ben@example.com", '


@pytest.mark.parametrize(
    "kind",
    ["silent", "head-drip", "body-drip", "chunk-drip", "pipeline-drip", "reads-slowly", "reads-a-batch-slowly"],
)
def test_a_crowd_of_slow_clients_does_not_keep_others_waiting(web: WebService, shared: Api, kind: str) -> None:
    key = shared.keys["campaign"]
    # Somebody who is known has more explained: an answer of 900 KB, more than is sent unread.
    desk = {"Authorization": f"Bearer {shared.keys['desk']}"}
    shared.client.post("/v1/customers", json={"identifiers": [ASKED["customer"]]}, headers=desk)
    batch = json.dumps({"checks": [ASKED] * 2000, "explain": True}).encode()
    sent, then = {
        "silent": (b"", None),
        "head-drip": (b"G", drip(b"E")),
        "body-drip": (request("/v1/permissions/check", key, BODY, "Content-Length: 100000"), drip(b" ")),
        "chunk-drip": (request("/v1/permissions/check", key, b"1\r\n{\r\n", "Transfer-Encoding: chunked"), drip(b"1")),
        "pipeline-drip": (LIVE + b"G", drip(b"E")),
        "reads-slowly": (LIVE.replace(b"/health/live", b"/docs/swagger-ui-bundle.js"), sip),
        "reads-a-batch-slowly": (request("/v1/permissions/check-batch", key, batch), sip),
    }[kind]
    # Batches are worth their time, and others wait for it: as many as there are threads, and some.
    with crowd(web, sent, then, clients=12 if kind == "reads-a-batch-slowly" else CROWD):
        probes, checks = seconds_of_others(web, key)
    assert p99(probes) <= 1.0
    assert p99(checks) <= 1.0


def test_a_slow_reader_gets_its_whole_answer(web: WebService) -> None:
    with connect(web, receives=4096) as client:
        client.sendall(LIVE.replace(b"/health/live", b"/docs/swagger-ui-bundle.js") + LIVE)
        time.sleep(0.5)
        received = b""
        while not received.endswith(b'{"status":"live"}'):
            piece = client.recv(65536)
            assert piece
            received += piece
    head, _, rest = received.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    assert length > 1_000_000
    assert rest[length:].startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_stalled_client_is_dropped_in_the_end(web: WebService) -> None:
    with connected(web, HEAD + b"Content-Length: 10\r\n\r\n{") as client:
        assert client.recv(100).startswith(b"HTTP/1.1 408 ")


def test_a_request_in_small_pieces_is_answered(web: WebService) -> None:
    with connected(web) as client:
        for start in range(0, len(LIVE), 3):
            client.sendall(LIVE[start : start + 3])
            time.sleep(0.01)
        assert read_answer(client).startswith(b"HTTP/1.1 200")


def test_a_body_in_small_pieces_is_read_whole(web: WebService) -> None:
    body = b'{"x": "' + b"y" * 300 + b'"}'
    with connected(web, HEAD + b"Content-Length: %d\r\n\r\n" % len(body)) as client:
        for start in range(0, len(body), 50):
            client.sendall(body[start : start + 50])
            time.sleep(0.01)
        assert read_answer(client).startswith(b"HTTP/1.1 401")


def test_a_connection_serves_many_requests(web: WebService) -> None:
    with connected(web) as client:
        for _ in range(20):
            client.sendall(LIVE)
            assert read_answer(client).startswith(b"HTTP/1.1 200")


def test_requests_sent_ahead_are_answered_in_order(web: WebService) -> None:
    missing = LIVE.replace(b"/health/live", b"/nowhere")
    with connected(web, LIVE + missing + LIVE) as client:
        received = b""
        while received.count(b"HTTP/1.1 ") < 3:
            piece = client.recv(65536)
            assert piece
            received += piece
    codes = [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]]
    assert codes == [b"200", b"404", b"200"]


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(web: WebService) -> None:
    with connected(web, HEAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n") as client:
        first = client.recv(65536)
        assert first.startswith((b"HTTP/1.1 100", b"HTTP/1.1 401"))


def test_an_answer_reaches_a_client_that_wants_to_close(web: WebService) -> None:
    with connected(web, LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")) as client:
        received = b""
        while piece := client.recv(65536):
            received += piece
    assert received.startswith(b"HTTP/1.1 200")
    assert received.endswith(b"}")


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET\r\n\r\n", b"\r\n\r\n\r\n\r\n"])
def test_what_is_no_request_is_refused(web: WebService, sent: bytes) -> None:
    with connected(web, sent) as client:
        answer = client.recv(65536)
        assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501"))
    assert_others_are_served(web)


def test_a_head_without_end_is_refused(web: WebService) -> None:
    with connected(web, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Some: y\r\n" * 9000) as client:
        assert client.recv(65536).startswith(b"HTTP/1.1 431")


def test_a_stop_waits_for_nobody_who_stalls(web: WebService) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(connected(web, HEAD))
        begin = time.monotonic()
        assert web.stop() == 0
        assert time.monotonic() - begin < 15
