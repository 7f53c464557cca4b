"""Requests that two programs could read in two ways: refused, never answered twice, and never anybody else's trouble.

Each goes to the real server over a socket, directly and through nginx with the shipped configuration. Behind each
stands a sound request on the same connection, which would be answered if the first one's end were misread.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import re
import socket
from collections.abc import Iterator

import pytest

from consent_service.web.patient_worker import HEAD_SECONDS
from tests.support.api import Api
from tests.support.cluster import WebService, web_service
from tests.support.nginx import nginx_before
from tests.web.asking import is_of_pages
from tests.web.slow import ASKED, LIVE

SMUGGLED = b"GET /v1/smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
CHECK = b"POST /v1/permissions/check HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
GET = b"GET /health/live HTTP/1.1\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

MALFORMED = {
    "length-and-chunked": CHECK + b"Content-Length: 6\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "chunked-and-length": CHECK + CHUNKED + b"Content-Length: 6\r\n\r\n0\r\n\r\n",
    "two-lengths": CHECK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "two-equal-lengths": CHECK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "lengths-in-one": CHECK + b"Content-Length: 2, 2\r\n\r\n{}",
    "length-with-sign": CHECK + b"Content-Length: +2\r\n\r\n{}",
    "length-negative": CHECK + b"Content-Length: -1\r\n\r\n{}",
    "length-hexadecimal": CHECK + b"Content-Length: 0x2\r\n\r\n{}",
    "length-with-underscore": CHECK + b"Content-Length: 1_0\r\n\r\n{}        ",
    "length-with-other-digits": CHECK + b"Content-Length: \xb2\r\n\r\n{}",
    "length-empty": CHECK + b"Content-Length: \r\n\r\n{}",
    "length-with-control": CHECK + b"Content-Length: \x0b2\r\n\r\n{}",
    "coding-identity-after": CHECK + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "coding-identity": CHECK + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "coding-unknown": CHECK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding-twice": CHECK + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n",
    "coding-stacked": CHECK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "coding-gzip": CHECK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding-with-control": CHECK + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "coding-quoted": CHECK + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "coding-with-parameter": CHECK + b"Transfer-Encoding: chunked;x=y\r\n\r\n0\r\n\r\n",
    "coding-folded": CHECK + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "coding-in-http-1.0": CHECK.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n0\r\n\r\n",
    "space-before-colon": CHECK + b"Content-Length : 2\r\n\r\n{}",
    "coding-space-before-colon": CHECK + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "folded": GET + b"Host: x\r\nX-A: b\r\n c\r\n\r\n",
    "first-header-folded": GET + b" Host: x\r\n\r\n",
    "bare-line-feeds": b"GET /health/live HTTP/1.1\nHost: x\n\n",
    "one-bare-line-feed": GET + b"Host: x\nX-A: b\r\n\r\n",
    "bare-carriage-return": GET + b"Host: x\r\nX-A: b\rX-B: c\r\n\r\n",
    "nul-in-header": GET + b"Host: x\r\nX-A: b\x00c\r\n\r\n",
    "nul-in-target": b"GET /health\x00/live HTTP/1.1\r\nHost: x\r\n\r\n",
    "control-in-name": GET + b"Host: x\r\nX\x01A: b\r\n\r\n",
    "no-colon": GET + b"Host: x\r\nnothing\r\n\r\n",
    "empty-name": GET + b"Host: x\r\n: b\r\n\r\n",
    "two-hosts": GET + b"Host: x\r\nHost: y\r\n\r\n",
    "no-host": GET + b"X-A: b\r\n\r\n",
    "absolute-form-of-another-host": b"GET http://y/health/live HTTP/1.1\r\nHost: x\r\n\r\n",
    "authority-form": b"GET y:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "asterisk-form": b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    "space-in-target": b"GET /health /live HTTP/1.1\r\nHost: x\r\n\r\n",
    "tab-between": b"GET\t/health/live\tHTTP/1.1\r\nHost: x\r\n\r\n",
    "lower-case-method": b"get /health/live HTTP/1.1\r\nHost: x\r\n\r\n",
    "method-with-control": b"G\x00T /health/live HTTP/1.1\r\nHost: x\r\n\r\n",
    "http-0.9": b"GET /health/live\r\n\r\n",
    "http-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http-3.0": b"GET /health/live HTTP/3.0\r\nHost: x\r\n\r\n",
    "http-in-lower-case": b"GET /health/live http/1.1\r\nHost: x\r\n\r\n",
    "http-of-two-digits": b"GET /health/live HTTP/1.10\r\nHost: x\r\n\r\n",
    "many-headers": GET + b"Host: x\r\n" + b"X-A: b\r\n" * 5000 + b"\r\n",
    "long-header": GET + b"Host: x\r\nX-A: " + b"b" * 40_000 + b"\r\n\r\n",
    "long-target": b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "expects-more": CHECK + b"Expect: 200-ok\r\nContent-Length: 2\r\n\r\n{}",
    "chunk-of-no-size": CHECK + CHUNKED + b"\r\n\r\n{}\r\n0\r\n\r\n",
    "chunk-of-negative-size": CHECK + CHUNKED + b"\r\n-2\r\n{}\r\n0\r\n\r\n",
    "chunk-with-prefix": CHECK + CHUNKED + b"\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "chunk-with-underscore": CHECK + CHUNKED + b"\r\n0_2\r\n{}\r\n0\r\n\r\n",
    "chunk-with-space": CHECK + CHUNKED + b"\r\n2 \r\n{}\r\n0\r\n\r\n",
    "chunk-too-short": CHECK + CHUNKED + b"\r\n1\r\n{}\r\n0\r\n\r\n",
    "chunk-too-long": CHECK + CHUNKED + b"\r\n4\r\n{}\r\n0\r\n\r\n",
    "chunk-with-bare-line-feed": CHECK + CHUNKED + b"\r\n2\n{}\r\n0\r\n\r\n",
    "chunk-extension-with-bare-line-feed": CHECK + CHUNKED + b"\r\n2;a\nb\r\n{}\r\n0\r\n\r\n",
    "chunk-of-huge-size": CHECK + CHUNKED + b"\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "trailer-with-length": CHECK + CHUNKED + b"\r\n2\r\n{}\r\n0\r\nContent-Length: 9\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
}
# Sound enough for nginx, which writes the request anew: what reaches the service is one request, and it is answered.
NORMALISED_BY_NGINX = {
    "absolute-form-of-another-host",
    "chunk-with-bare-line-feed",
    "chunk-with-space",
    "http-0.9",
    "http-of-two-digits",
    "one-bare-line-feed",
    "bare-line-feeds",
    "trailer-with-length",
    "expects-more",
    "no-colon",
}


@pytest.fixture(scope="module")
def web(shared: Api) -> Iterator[WebService]:
    with web_service(shared.made, workers=1) as running:
        yield running


@pytest.fixture(scope="module")
def front(web: WebService) -> Iterator[int]:
    """The port of nginx before the service."""
    with nginx_before(web.port) as running:
        yield running.port


def with_key(sent: bytes, shared: Api) -> bytes:
    """The same with a valid key: nothing is refused for want of one."""
    key = f"\r\nAuthorization: Bearer {shared.keys['campaign']}\r\nContent-Type:"
    return sent.replace(b"\r\nContent-Type:", key.encode())


def exchange(port: int, sent: bytes, *, patience: float = 20) -> bytes:
    """All that comes back until the connection is closed, or nothing more has come for a while."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as client:
        # Closed on us while we send: what was answered is still there to read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(sent)
        with contextlib.suppress(ConnectionResetError, TimeoutError):
            while piece := client.recv(65536):
                received += piece
    return received


def closing(sent: bytes) -> bytes:
    """The same request, the last one on its connection."""
    return sent.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def statuses(received: bytes) -> list[int]:
    """Of the answers, without 100 (Continue)."""
    found = re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)
    return [int(status) for status in found if status != b"100"]


def assert_the_next_client_is_served(port: int) -> None:
    assert statuses(exchange(port, closing(LIVE))) == [200]


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_refused_and_nothing_after_it_is_read(web: WebService, shared: Api, name: str) -> None:
    for sent in (MALFORMED[name], with_key(MALFORMED[name], shared)):
        received = exchange(web.port, sent + SMUGGLED)  # until the server closes
        assert len(statuses(received)) <= 1, received
        assert all(400 <= status < 500 for status in statuses(received)), received
        assert b"smuggled" not in received
        if received:
            head, _, body = received.partition(b"\r\n\r\n")
            assert b"\r\nContent-Type: application/problem+json" in head
            assert json.loads(body)["status"] == statuses(received)[0]
            assert b"\r\nServer:" not in head
    assert_the_next_client_is_served(web.port)


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_comes_to_nothing_through_nginx(
    web: WebService, front: int, shared: Api, name: str
) -> None:
    received = exchange(front, with_key(MALFORMED[name], shared) + SMUGGLED, patience=1)
    answers = statuses(received)
    assert all(status < 500 for status in answers), received
    if name in NORMALISED_BY_NGINX:
        # At most this request's answer and, since nginx and we agree where it ends, the next one's.
        assert len(answers) <= 2
        assert answers[1:] in ([], [404], [401])
    else:
        assert len(answers) <= 1, received
        assert all(400 <= status < 500 for status in answers), received
    assert_the_next_client_is_served(front)


def test_a_head_that_can_never_end_is_not_waited_for(web: WebService) -> None:
    assert statuses(exchange(web.port, MALFORMED["bare-line-feeds"], patience=HEAD_SECONDS / 2)) == [400]


def test_the_request_behind_a_refused_one_is_served_when_its_beginning_is_sure(web: WebService) -> None:
    unauthenticated = CHECK + b"Content-Length: 2\r\n\r\n{}"
    assert statuses(exchange(web.port, unauthenticated + closing(LIVE))) == [401, 200]


def test_an_unread_body_in_chunks_ends_its_connection(web: WebService) -> None:
    unauthenticated = CHECK + CHUNKED + b"\r\n2\r\n{}\r\n0\r\n\r\n"
    assert statuses(exchange(web.port, unauthenticated + closing(LIVE))) == [401]


def test_nobody_is_offered_another_protocol(web: WebService) -> None:
    for upgrade in (b"h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", b"websocket"):
        sent = LIVE.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n\r\n")
        received = exchange(web.port, sent + closing(LIVE))
        assert statuses(received)[0] in (200, 400)  # Flask has no route for web sockets
        assert statuses(received)[1:] == [200]


def test_the_answer_does_not_say_what_answers(web: WebService) -> None:
    for path in (b"/health/live", b"/nowhere", b"/docs"):
        head = exchange(web.port, closing(LIVE).replace(b"/health/live", path)).partition(b"\r\n\r\n")[0]
        assert b"\r\nServer:" not in head
        assert b"gunicorn" not in head.lower()


def test_no_header_sets_a_variable_of_the_application(web: WebService) -> None:
    sent = LIVE.replace(b"\r\n\r\n", b"\r\nSCRIPT_NAME: /health\r\nPATH_INFO: /nowhere\r\nHTTP_HOST: y\r\n\r\n")
    assert statuses(exchange(web.port, closing(sent))) == [200]


def writing_routes(shared: Api) -> list[tuple[str, str]]:
    found = []
    for rule in shared.app.url_map.iter_rules():
        if is_of_pages(shared.app, rule.endpoint):
            continue
        for method in sorted((rule.methods or set()) & {"POST", "PUT", "PATCH"}):
            path = re.sub(r"<[^>]*>", "00000000-0000-4000-8000-000000000000", rule.rule)
            found.append((method, path))
    return found


def test_a_compressed_body_is_refused_by_every_route_that_reads_one(web: WebService, shared: Api) -> None:
    bomb = gzip.compress(b'{"customer": "' + b"a" * 10_000_000 + b'"}')
    routes = writing_routes(shared)
    assert len(routes) > 15
    conn = http.client.HTTPConnection("127.0.0.1", web.port, timeout=20)
    for method, path in routes:
        headers = {
            "Authorization": f"Bearer {shared.keys['campaign']}",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
        }
        conn.request(method, path, bomb, headers)
        answer = conn.getresponse()
        code = json.loads(answer.read())["code"]
        assert 400 <= answer.status < 500, (method, path, answer.status)
        assert code in {"unsupported_media_type", "role_not_allowed", "not_found", "unknown_customer"}, (path, code)
    conn.close()


def test_a_sound_request_in_chunks_is_read_whole(web: WebService, front: int, shared: Api) -> None:
    body = json.dumps(ASKED).encode()
    chunks = b"".join(b"%x;a=b\r\n%c\r\n" % (1, byte) for byte in body) + b"0\r\nX-Trailer: y\r\n\r\n"
    for port in (web.port, front):
        received = exchange(port, with_key(CHECK, shared) + b"Connection: close\r\n" + CHUNKED + b"\r\n" + chunks)
        assert statuses(received) == [200]
