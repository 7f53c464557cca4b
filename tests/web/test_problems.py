"""Errors as documents: everything that goes wrong is a problem with a stable code, and tells no more than it must."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from flask import Flask, abort
from werkzeug.test import TestResponse

from consent_service.app import create_app
from consent_service.web.auth import access
from tests.support.api import EVIDENCE, NOTICE, Api
from tests.support.cluster import WebService
from tests.web.asking import NOBODYS_ID, bare, footprint, raw, refused, routes, rows, somebody

MARKER = "marker4711"
CALL = "0f0e6a52-6d6f-4be9-9cf4-6ab93a3a6e5f"


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v2/me",
        "/v1/me/",
        "/v1//me",
        "/V1/me",
        "/v1/me/../me",
        "/v1/permissions/check/",
        "/health",
        "/health/live/",
        "/docs/",
        "/docs/none.js",
        "/docs/..%2Fdocs.js",
        "/docs/%00",
        "/static/docs.js",
        "/v1/me%00",
        "/v1/customers//dials",
        "/%ff%fe",
        "/" + "x" * 2000,
    ],
)
def test_an_address_that_is_none_is_404_never_a_redirect(shared: Api, path: str) -> None:
    for credential in (shared.keys["admin"], "csk_wrong"):
        refused(shared.call("GET", path, key=credential), "not_found")


def test_another_method_is_405_and_told_which_are_allowed(shared: Api) -> None:
    by_path: dict[str, set[str]] = {}
    for method, path, _ in routes(shared):
        by_path.setdefault(bare(path), set()).add(method)
    # To other methods `batch` and `lookup` are ids.
    for path, of_an_id in (
        ("/v1/permits/batch", "/v1/permits/<permit_id>"),
        ("/v1/permits/use-batch", "/v1/permits/<permit_id>"),
        ("/v1/permits/release-batch", "/v1/permits/<permit_id>"),
        ("/v1/customers/lookup", "/v1/customers/<customer_id>"),
        ("/v1/customers/facts", "/v1/customers/<customer_id>"),
    ):
        by_path[path] |= by_path[bare(of_an_id)]
    for path, methods in by_path.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} - methods:
            answer = shared.call(method, path, role="admin")
            refused(answer, "method_not_allowed")
            allowed = set(answer.headers["Allow"].split(", "))
            assert allowed == methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())


def test_head_is_get_without_a_body(shared: Api) -> None:
    for path in ("/v1/me", "/health/live", "/docs"):
        get, head = (shared.call(method, path, role="desk") for method in ("GET", "HEAD"))
        assert (head.status_code, head.data) == (200, b"")
        assert head.headers["Content-Length"] == get.headers["Content-Length"]
    for path, status in (("/nowhere", 404), (f"/v1/customers/{NOBODYS_ID}", 404), ("/v1/permits", 405)):
        head = shared.call("HEAD", path, role="desk")
        assert (head.status_code, head.data) == (status, b"")
        assert head.mimetype == "application/problem+json"


def test_options_shows_methods_to_key_holders_and_nothing_to_others(shared: Api) -> None:
    answer = shared.call("OPTIONS", "/v1/permits", role="campaign")
    assert (answer.status_code, set(answer.headers["Allow"].split(", "))) == (200, {"POST", "OPTIONS"})
    assert "Access-Control-Allow-Origin" not in answer.headers
    refused(shared.client.options("/v1/permits"), "unauthenticated")


def test_a_method_in_a_header_is_not_the_method(shared: Api) -> None:
    owner = shared.customer(somebody())
    before = footprint(shared)
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        answer = shared.call("GET", f"/v1/customers/{owner}", role="desk", headers={name: "PATCH"})
        assert answer.status_code == 200
        refused(shared.post("/v1/me", role="desk", headers={name: "GET"}), "method_not_allowed")
    assert footprint(shared) == before


def test_every_answer_is_dressed(shared: Api) -> None:
    for answer in (
        shared.call("GET", "/v1/me"),
        shared.call("GET", "/nowhere"),
        shared.client.get("/v1/me"),
        shared.client.get("/health/live"),
        shared.client.get("/docs"),
    ):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


# Request ids.


@pytest.mark.parametrize("sent", ["0f0e6a52-6d6f-4be9-9cf4-6ab93a3a6e5f", "0F0E6A526D6F4BE99CF46AB93A3A6E5F"])
def test_a_request_id_that_a_machine_made_is_echoed(shared: Api, sent: str) -> None:
    for path in ("/v1/me", "/nowhere"):
        answer = shared.call("GET", path, headers={"X-Request-Id": sent})
        assert answer.headers["X-Request-Id"] == sent
    assert answer.json["request_id"] == sent


@pytest.mark.parametrize(
    "sent",
    [
        "",
        " ",
        "a b",
        "A" * 65,
        "caf\xe9",
        "<script>",
        "ann@example.com",
        "a\tb",
        "a%0ab",
        # What could be somebody's name, number or card.
        "ann.lee",
        "447911123456",
        "req-1.2_3",
        "4929123456781234",
        "0f0e6a52-6d6f-4be9-9cf4-6ab93a3a6e5f\x0b",
        "0f0e6a526d6f4be99cf46ab93a3a6e5",
    ],
)
def test_another_request_id_is_replaced(shared: Api, sent: str) -> None:
    answer = shared.call("GET", "/nowhere", headers={"X-Request-Id": sent})
    assert UUID(answer.headers["X-Request-Id"])
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]


def test_each_request_has_an_id_of_its_own(shared: Api) -> None:
    assert len({shared.call("GET", "/v1/me").headers["X-Request-Id"] for _ in range(5)}) == 5


def test_the_id_of_a_request_stands_in_history(shared: Api) -> None:
    owner = shared.customer(somebody())
    path, body = f"/v1/customers/{owner}", {"locale": "de"}
    headers = {"X-Request-Id": CALL}
    assert shared.call("PATCH", path, body, role="desk", headers=headers).status_code == 200
    assert shared.events(owner)[-1]["request_id"] == CALL


# What goes wrong within.


def fail_with(error: Exception) -> Any:
    """A view that everybody may call and that fails."""

    @access()
    def view() -> str:
        raise error

    return view


class _Unknown(Exception):
    pass


@pytest.fixture
def failing(shared: Api) -> Iterator[Flask]:
    """The application with routes that fail."""
    app = create_app(shared.settings, shared.made.service_url)
    faults: dict[str, Exception] = {
        "bug": ValueError(f"invalid literal: {MARKER}"),
        "own": _Unknown(MARKER),
        "row": psycopg.errors.CheckViolation(f"Failing row contains ({MARKER})."),
        "sql": psycopg.errors.UndefinedTable(f"relation {MARKER}"),
        "recursion": RecursionError(MARKER),
    }
    for name, fault in faults.items():
        app.add_url_rule(f"/fail/{name}", name, fail_with(fault))
    app.add_url_rule("/fail/gone", "gone", access()(lambda: abort(410, MARKER)))
    app.add_url_rule("/fail/teapot", "teapot", access()(lambda: abort(503, MARKER)))
    yield app
    app.extensions["consent_service"].database.close()


@pytest.mark.parametrize("name", ["bug", "own", "row", "sql", "recursion", "teapot"])
def test_a_fault_is_a_problem_that_tells_nothing_of_the_inside(
    failing: Flask, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = failing.test_client().get(f"/fail/{name}", headers={"X-Request-Id": CALL})
    refused(answer, "internal")
    text = answer.get_data(as_text=True) + str(answer.headers)
    for inside in (MARKER, "Traceback", "psycopg", "Error", ".py", "literal"):
        assert inside not in text
    assert MARKER not in caplog.text
    if name != "teapot":
        record = next(one for one in caplog.records if one.name == "consent_service.web")
        assert (record.levelname, record.__dict__["request_id"]) == ("ERROR", CALL)
        assert "test_problems.py" in record.__dict__["place"]


def test_flasks_own_refusals_keep_their_words_to_themselves(failing: Flask) -> None:
    answer = failing.test_client().get("/fail/gone")
    assert answer.mimetype == "application/problem+json"
    assert answer.json["code"] == "bad_request"
    assert MARKER not in answer.get_data(as_text=True)


def test_a_host_that_is_none_does_no_harm(shared: Api) -> None:
    for host in ("a b", "x" * 300, "..", "[::1", "ex\xe4mple.com", ""):
        answer = shared.call("GET", "/v1/me", headers={"Host": host})
        assert answer.status_code in (200, 400)
        assert host.strip() == "" or host not in answer.get_data(as_text=True)


def test_a_foreign_host_is_not_repeated(shared: Api) -> None:
    for path in ("/v1/me/", "/v1/me", "/health/live/"):
        answer = shared.call("GET", path, headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
        assert "evil" not in answer.get_data(as_text=True) + str(answer.headers)


# No personal data.


def sends_with_a_marker(ben: UUID) -> Iterator[tuple[str, str, str, Any]]:
    """(role, method, path, body) of requests that are refused and hold the marker wherever a client may put it."""
    email = f"email:{MARKER}@example.com"
    contact = {"customer": f"id:{ben}", "channel": "email", "topic": "offers"}
    references = (
        email,
        f"email:{MARKER}@@x",
        f"email:{MARKER}@x.com\r\nBcc: b@x.com",
        f"phone:{MARKER}",
        f"{MARKER}:1",
        f"loyalty:{MARKER}{'x' * 600}",
        f"id:{MARKER}",
        MARKER,
    )
    for reference in references:
        yield "desk", "POST", "/v1/customers/lookup", {"customer": reference}
        yield "campaign", "POST", "/v1/permits", {**contact, "customer": reference}
        yield "campaign", "POST", "/v1/contacts", {**contact, "customer": reference}
        yield "desk", "POST", "/v1/suppressions", {"customer": reference, "kind": "all", "reason": MARKER}
        yield "desk", "POST", "/v1/customers", {"identifiers": [reference, "email:ben@example.com", "x"]}
        yield "desk", "POST", f"/v1/customers/{ben}/identifiers", {"identifier": f"x{reference}"}
        yield "desk", "POST", f"/v1/customers/{ben}/merge", {"other": reference}
        if reference != email:
            yield "campaign", "POST", "/v1/permissions/check", {**contact, "customer": reference}
    for name in ("channel", "topic", "at", "campaign", "milestone_id", "expires_in_seconds", MARKER):
        value = [MARKER] if name == "campaign" else MARKER
        yield "campaign", "POST", "/v1/permits", {**contact, name: value}
    for name in ("time_zone", "locale", "segment"):
        yield "desk", "PATCH", f"/v1/customers/{ben}", {name: f"{MARKER}/{MARKER}"}
        yield "desk", "POST", "/v1/customers", {"identifiers": [email], name: f"{MARKER}/{MARKER}"}
    change = {"channel": "email", "topic": "offers", "level": "weekly"}
    wish = {"changes": [change], "source": "phone", "evidence": EVIDENCE, "notice": NOTICE}
    for name in ("channel", "topic", "level"):
        yield "desk", "PATCH", f"/v1/customers/{ben}/dials", {**wish, "changes": [{**change, name: MARKER}]}
    for name, value in (
        ("source", MARKER),
        ("evidence", MARKER),
        ("occurred_at", MARKER),
        ("notice", {**NOTICE, "id": MARKER}),
        ("notice", {**NOTICE, MARKER + "@example.com": 1}),
        (f"{MARKER}@example.com", 1),
    ):
        yield "desk", "PATCH", f"/v1/customers/{ben}/dials", {**wish, name: value}
    yield "desk", "PATCH", f"/v1/customers/{ben}/dials", {**wish, "notice": None, "evidence": {"x": MARKER}}
    yield "desk", "PUT", f"/v1/customers/{ben}/pause", {"until": MARKER}
    yield "desk", "PUT", f"/v1/customers/{ben}/pause", {"until": "2030-01-01T00:00:00Z", "channel": MARKER}
    yield "admin", "POST", "/v1/keys", {"name": MARKER, "role": MARKER}
    yield "admin", "POST", "/v1/keys", {"name": MARKER, "role": "campaign", "topics": [MARKER]}
    yield "desk", "GET", f"/v1/customers/{MARKER}", None
    yield "desk", "GET", f"/v1/customers/{ben}/history?cursor={MARKER}", None
    yield "desk", "GET", f"/v1/customers/{ben}/history?{MARKER}=1", None
    yield "desk", "DELETE", f"/v1/customers/{ben}/pause?channel={MARKER}", None
    yield "desk", "DELETE", f"/v1/suppressions/{MARKER}", None
    yield "campaign", "GET", f"/v1/permits/{MARKER}", None
    yield "campaign", "POST", f"/v1/permits/{MARKER}/use", {}
    yield "admin", "DELETE", f"/v1/keys/{MARKER}", None
    yield "admin", "GET", f"/{MARKER}", None
    yield "admin", "GET", f"/docs/{MARKER}", None


def test_no_error_repeats_what_may_name_a_person(shared: Api) -> None:
    ben = shared.customer("email:ben@example.com")
    known = shared.customer(f"email:{MARKER}@known.example")
    refusals: list[TestResponse] = []
    for role, method, path, body in sends_with_a_marker(ben):
        answer = shared.call(method, path, body, role=role)
        assert 400 <= answer.status_code < 500 or path == "/v1/customers", (method, path, body, answer.json)
        refusals.append(answer)
    conflict = {"identifiers": [f"email:{MARKER}@known.example", "email:ben@example.com"]}
    refusals.append(shared.post("/v1/customers", conflict, role="desk"))
    refusals.append(shared.client.get("/v1/me", headers={"Authorization": f"Bearer csk_{MARKER}"}))
    headers = {"Idempotency-Key": f"{MARKER}\xe9"}
    refusals.append(shared.post("/v1/contacts", {}, headers=headers))
    broken = (f'{{"{MARKER}"', f'{{"{MARKER}":1,"{MARKER}":2}}')
    refusals += [raw(shared, "POST", "/v1/contacts", body.encode()) for body in broken]
    assert {409, 404, 422, 401, 400} <= {answer.status_code for answer in refusals}
    for answer in refusals:
        if answer.status_code >= 400:
            # As a field's plain name the marker may be pointed at; nothing else of it comes back.
            text = answer.get_data(as_text=True) + str(answer.headers)
            shown = re.sub(rf'"pointer":"/{MARKER}"|/{MARKER}: ', "", text)
            assert MARKER not in shown, shown
            assert str(known) not in shown


def test_a_batch_row_repeats_nothing_either(shared: Api) -> None:
    row = {"customer": f"email:{MARKER}@@x", "channel": "email", "topic": "offers"}
    answers = [
        shared.post("/v1/permissions/check-batch", {"checks": [row, {**row, MARKER: 1}, {**row, "at": MARKER}]}),
        shared.post("/v1/permits/use-batch", {"ids": [MARKER, 1]}),
        shared.post("/v1/contacts/reports", {"contacts": [{**row, "contacted_at": MARKER, "external_id": "1"}]}),
    ]
    for answer in answers:
        assert all("error" in one for one in answer.json["results"])
        assert MARKER not in answer.get_data(as_text=True).replace(f"/{MARKER}: ", "")


# On the wire.


def test_a_request_that_is_no_http_does_not_stop_the_server(gunicorn: WebService) -> None:
    for sent in (
        b"\x16\x03\x01\x00\xa5\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/me HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/me HTTP/1.1\r\nHost: \xff\xfe\r\nConnection: close\r\n\r\n",
        b"POST /v1/contacts HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/contacts HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /v1/me HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", gunicorn.port), timeout=10) as one:
            one.sendall(sent)
            one.shutdown(socket.SHUT_WR)
            status = one.makefile("rb").readline().split(b" ")
        assert len(status) < 2 or status[1][:1] == b"4", (sent, status)
    with socket.create_connection(("127.0.0.1", gunicorn.port), timeout=10) as one:
        one.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert one.recv(100).startswith(b"HTTP/1.1 200")


def test_what_was_asked_of_nobody_leaves_no_trace(shared: Api) -> None:
    before = footprint(shared)
    assert shared.call("GET", "/nowhere").status_code == 404
    assert shared.call("PUT", "/v1/contacts").status_code == 405
    assert footprint(shared) == before
    assert rows(shared, "SELECT count(*) FROM request_count WHERE subject LIKE '%%nowhere%%'") == [(0,)]
