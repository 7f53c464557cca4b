"""What is around every request: headers, CORS, whose word is taken, and the line in the log."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent_service import logs
from consent_service.app import create_app
from consent_service.settings import Settings
from consent_service.web.server import gunicorn_settings
from tests.support.api import Api
from tests.support.cluster import WebService
from tests.web.asking import bare, refused, routes, rows, somebody, token

ORIGIN = {"Origin": "https://evil.example"}
ISOLATING = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
CALL = "0f0e6a52-6d6f-4be9-9cf4-6ab93a3a6e5f"


def app_with(api: Api, **settings: str) -> Flask:
    """The application with other settings on the same database; the caller closes its pool."""
    return create_app(api.made.settings(**settings), api.made.service_url)


def close(app: Flask) -> None:
    app.extensions["consent_service"].database.close()


def every_kind_of_answer(api: Api) -> Iterator[TestResponse]:
    """Each route with a key, without one, with a wrong method; unknown paths; a fault within."""
    client = FlaskClient(api.app)
    admin, auditor = ({"Authorization": f"Bearer {api.keys[role]}", **ORIGIN} for role in ("admin", "auditor"))
    for method, path, _ in routes(api):
        if not path.endswith(("erase", "merge")):
            yield client.open(bare(path), method=method, headers=auditor)
        yield client.open(bare(path), method=method, headers=ORIGIN)
        yield client.open(bare(path), method="PROPFIND", headers=admin)
        yield client.open(bare(path), method="OPTIONS", headers={**ORIGIN, "Access-Control-Request-Method": method})
        yield client.open(bare(path), method="OPTIONS", headers=admin)
    for path in ("/nowhere", "/docs/none.js", "/v1/me/", "/%ff%00"):
        yield client.get(path, headers=admin)
    app = app_with(api)
    app.view_functions["health.live"] = _fails
    yield app.test_client().get("/health/live")
    close(app)


def _fails() -> Any:
    raise ValueError


_fails.access = frozenset()  # type: ignore[attr-defined]


def test_every_answer_isolates_itself_and_opens_to_no_other_origin(shared: Api) -> None:
    statuses = set()
    for answer in every_kind_of_answer(shared):
        statuses.add(answer.status_code)
        said = f"{answer.request.method} {answer.request.path} {answer.status_code}"
        for name, value in ISOLATING.items():
            assert answer.headers.getlist(name) == [value], (said, name)
        [policy] = answer.headers.getlist("Content-Security-Policy")
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "camera=()" in answer.headers["Permissions-Policy"]
        assert UUID(answer.headers["X-Request-Id"])
        assert [name for name, _ in answer.headers if name.lower().startswith("access-control-")] == [], said
        assert "Set-Cookie" not in answer.headers
        assert "Strict-Transport-Security" not in answer.headers
    assert {200, 401, 403, 404, 405, 415, 500} <= statuses


def test_a_preflight_learns_nothing_without_a_key(shared: Api) -> None:
    asked = {**ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    refused(shared.client.options("/v1/permits", headers=asked), "unauthenticated")


def test_https_is_insisted_on_where_the_public_address_is_https(shared: Api) -> None:
    app = app_with(shared, CONSENT_PUBLIC_URL="https://preferences.example")
    for path, status in (("/health/live", 200), ("/nowhere", 404), ("/v1/me", 401)):
        answer = app.test_client().get(path)
        assert answer.status_code == status
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    close(app)


# Whose word is taken.


FOREIGN = {
    "Host": "evil.example",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Server": "evil.example",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Port": "666",
    "X-Original-URL": "/v1/keys",
    "X-Rewrite-URL": "/v1/keys",
    "X-HTTP-Method-Override": "DELETE",
    "Forwarded": "for=203.0.113.1;host=evil.example;proto=https",
    "X-Real-IP": "203.0.113.1",
    "True-Client-IP": "203.0.113.1",
    "Via": "evil",
    "X-Script-Name": "/evil",
}


@pytest.mark.parametrize("trusted", ["127.0.0.1", "192.0.2.1"])
def test_no_header_says_where_a_request_goes_or_what_it_is(shared: Api, trusted: str) -> None:
    """Not even from a trusted proxy: it may only say for whom it asks."""
    app = app_with(shared, CONSENT_TRUSTED_PROXIES=trusted)
    ann = shared.customer(somebody())
    for _ in range(2):
        assert shared.turn(ann, ("*", "events", "daily")).status_code == 200
    path = f"/v1/customers/{ann}/history?limit=1"
    for role, asked in (("auditor", path), ("desk", "/v1/me"), ("auditor", "/nowhere"), ("auditor", "/docs")):
        key = {"Authorization": f"Bearer {shared.keys[role]}"}
        plain, foreign = (app.test_client().get(asked, headers={**key, **more}) for more in ({}, FOREIGN))
        assert plain.status_code == foreign.status_code
        assert "evil" not in foreign.get_data(as_text=True) + str(foreign.headers)
        assert {name: value for name, value in plain.headers.items() if name in ("Link", "Location", "Allow")} == {
            name: value for name, value in foreign.headers.items() if name in ("Link", "Location", "Allow")
        }
    close(app)


def counted(api: Api) -> int:
    """How many addresses were counted so far."""
    return int(rows(api, "SELECT count(DISTINCT subject) FROM request_count WHERE subject LIKE 'address:%%'")[0][0])


def test_a_trusted_proxy_says_for_whom_it_asks_and_nobody_else_does(shared: Api) -> None:
    trusting = app_with(shared, CONSENT_TRUSTED_PROXIES="192.0.2.10", CONSENT_ADDRESS_REQUESTS_PER_MINUTE="1000")
    for peer, grows in (("192.0.2.10", 3), ("192.0.2.11", 1)):
        before = counted(shared)
        for client in ("203.0.113.1", "203.0.113.2", "203.0.113.3"):
            answer = trusting.test_client().get(
                "/v1/me",
                headers={"X-Forwarded-For": f"198.51.100.{client[-1]}, {client}"},
                environ_overrides={"REMOTE_ADDR": peer},
            )
            refused(answer, "unauthenticated")
        assert counted(shared) - before == grows, peer
    close(trusting)


def test_the_scheme_is_taken_from_a_trusted_proxy_only(shared: Api) -> None:
    app = app_with(shared, CONSENT_TRUSTED_PROXIES="192.0.2.10, unix")
    seen: list[str] = []
    app.before_request(lambda: seen.append(_scheme()))
    for peer in ("192.0.2.10", "192.0.2.11", ""):
        for proto in ("https", "gopher", "https, http"):
            app.test_client().get(
                "/health/live", headers={"X-Forwarded-Proto": proto}, environ_overrides={"REMOTE_ADDR": peer}
            )
    assert seen == ["https", "http", "http", "http", "http", "http", "https", "http", "http"]
    close(app)


def _scheme() -> str:
    return request.scheme


# The line in the log.


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What the log holds by the time it is asked."""
    path = tmp_path / "log"
    with path.open("ab", buffering=0) as file:
        monkeypatch.setattr(logs, "_out", file.fileno())
        yield lambda: [json.loads(line) for line in path.read_bytes().splitlines()]


def test_each_request_is_one_line(shared: Api, lines: Any) -> None:
    key_id = str(rows(shared, "SELECT key_id FROM api_key WHERE name = 'desk key'")[0][0])
    ann = shared.customer(somebody())
    own = token(shared, ann)
    begin = len(lines())
    shared.call("GET", f"/v1/customers/{ann}", role="desk", headers={"X-Request-Id": CALL})
    shared.call("GET", f"/v1/customers/{ann}", key=own)
    shared.call("GET", "/v1/customers/ann@example.com?x=ann@example.com", role="desk")
    shared.client.get("/v1/me")
    shared.call("GET", "/ann@example.com", role="desk")
    shared.call("POST", "/v1/keys", {}, role="desk")
    shared.call("ANN", "/v1/me", role="desk")
    told = lines()[begin:]
    assert [(one["method"], one["route"], one["status"], one["code"], one["role"]) for one in told] == [
        ("GET", "/v1/customers/<customer_id>", 200, None, "desk"),
        ("GET", "/v1/customers/<customer_id>", 200, None, "customer"),
        ("GET", "/v1/customers/<customer_id>", 404, "unknown_customer", "desk"),
        ("GET", "/v1/me", 401, "unauthenticated", None),
        ("GET", None, 404, "not_found", None),
        ("POST", "/v1/keys", 403, "role_not_allowed", "desk"),
        (None, None, 405, "method_not_allowed", None),
    ]
    assert [one["key_id"] for one in told] == [key_id, None, key_id, None, None, key_id, None]
    assert told[0]["request_id"] == CALL
    assert len({one["request_id"] for one in told}) == len(told)
    for one in told:
        assert (one["event"], one["level"]) == ("request", "info")
        assert 0 < one["duration_ms"] < 60_000
        assert set(one) == {
            *("time", "level", "event", "pid", "request_id", "key_id"),
            *("role", "method", "route", "status", "code", "duration_ms"),
        }


INJECTED = ["\u2028forged", "\x1b[2J", '"}{"event":"forged"}', "%0d%0aforged", "\u202eforged", "forged\x85"]


@pytest.mark.parametrize("text", INJECTED)
def test_nobody_writes_into_the_log(shared: Api, lines: Any, text: str) -> None:
    header = text.encode().decode("latin-1")
    headers = {"X-Request-Id": header, "User-Agent": header, "Idempotency-Key": header, "X-Forwarded-For": header}
    for path in (f"/{quote(text)}", f"/v1/me?{quote(text)}", f"/v1/permits/{quote(text)}", f"/docs/{quote(text)}"):
        shared.call("GET", path, headers=headers)
    shared.call("POST", "/v1/keys", {"name": text, "role": "desk"}, role="admin")
    shared.call("POST", "/v1/contacts", {text: text}, headers=headers)
    told = lines()
    assert len(told) == 6
    assert "forged" not in json.dumps(told)
    assert all(re.fullmatch(r"[0-9a-f-]{36}", one["request_id"]) for one in told)


def test_a_refusal_within_a_write_is_named_in_the_log_as_well(shared: Api, lines: Any) -> None:
    ann = somebody()
    owner = shared.customer(ann)
    assert shared.turn(owner, ("email", "*", "silent")).status_code == 200
    for headers in ({}, {"Idempotency-Key": "twice"}, {"Idempotency-Key": "twice"}):
        shared.post("/v1/contacts", {"customer": ann, "channel": "email", "topic": "events"}, headers=headers)
    assert [one["code"] for one in lines()[-3:]] == ["not_permitted"] * 3


def test_the_server_itself_takes_nobodys_word_either(gunicorn: WebService) -> None:
    """gunicorn would let whoever is on this machine name the script and the scheme."""
    for header in ("SCRIPT_NAME: /evil", "SCRIPT-NAME: /evil", "PATH_INFO: /health/live", "X-Script-Name: /evil"):
        with socket.create_connection(("127.0.0.1", gunicorn.port), timeout=10) as one:
            sent = f"GET /evil/health/live HTTP/1.1\r\nHost: x\r\n{header}\r\nConnection: close\r\n\r\n"
            one.sendall(sent.encode())
            assert b" 404 " in one.makefile("rb").readline(), header
    settings = gunicorn_settings(Settings.without_secret({}), host="127.0.0.1", port=1, workers=1)
    assert not settings["forwarded_allow_ips"]
    assert not settings["secure_scheme_headers"]
    assert not settings["forwarder_headers"]
