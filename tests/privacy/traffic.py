"""Requests of every kind that carry marks wherever a client can put them; all routes, sound and unsound."""

from __future__ import annotations

import http.client
import itertools
import json
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.privacy.markers import Marks
from tests.support.api import NOTICE
from tests.support.contract import operations

_numbers = itertools.count(1)
ROLES = ("campaign", "desk", "auditor", "admin")


@dataclass(frozen=True)
class Shown:
    """A page: its status, the cookie that came with it, and what its forms carry."""

    status: int
    cookie: str
    fields: dict[str, str]


@dataclass
class Caller:
    """A client of a running service, with a key of each role."""

    port: int
    keys: Mapping[str, str]
    statuses: dict[int, int] = field(default_factory=dict)
    codes: set[str] = field(default_factory=set)
    _connection: http.client.HTTPConnection | None = None

    def send(
        self, role: str, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """The answer's JSON, if it has some. `role` may be a token. Bytes go as they are."""
        key = self.keys.get(role, role)
        sent = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **(headers or {})}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        for last in (False, True):
            self._connection = self._connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                self._connection.request(method, path, data, sent)
                answer = self._connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException):
                self._connection = None
                if last:
                    raise
                continue
            self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
            found = json.loads(content) if "json" in answer.headers.get("Content-Type", "") else None
            if isinstance(found, dict) and "code" in found:
                self.codes.add(found["code"])
            return found
        raise AssertionError("not reached")

    def page(self, method: str, path: str, headers: Mapping[str, str], form: Mapping[str, str] | None = None) -> Shown:
        """What a browser is shown, on a connection of its own."""
        one = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        content_type = {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
        try:
            one.request(method, path, urlencode(form) if form is not None else None, {**headers, **content_type})
            answer = one.getresponse()
            html = answer.read().decode()
        finally:
            one.close()
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        token = re.search('name="csrf_token" value="([^"]*)"', html)
        cookie = answer.headers.get("Set-Cookie", "").partition(";")[0]
        return Shown(answer.status, cookie, {"csrf_token": token[1]} if token else {})

    def raw(self, sent: bytes) -> bytes:
        """What comes back for these very bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as one:
            one.sendall(sent)
            one.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: one.recv(65536), b""))


def live_through(caller: Caller, marks: Marks) -> str:
    """What happens to a customer in a long life, all of it in marks; the customer's id."""
    new = {"identifiers": marks.references, "locale": marks.locale, "time_zone": "Europe/London"}
    owner = str(caller.send("desk", "POST", "/v1/customers", new, marked_headers(marks))["id"])
    other = caller.send("desk", "POST", "/v1/customers", {"identifiers": [f"email:2.{marks.email}"]})["id"]
    path = f"/v1/customers/{owner}"
    caller.send("desk", "POST", f"{path}/identifiers", {"identifier": f"loyalty:2{marks.word}"})
    token = caller.send("desk", "POST", f"{path}/tokens")["token"]
    for reference in (f"loyalty:2{marks.word}", f"email:nobody.{marks.email}", marks.word):
        shown = {"identifier": reference, "evidence": {"call": marks.word}}
        caller.send("desk", "POST", f"{path}/identifiers/confirm", shown)
        caller.send(token, "POST", f"{path}/identifiers/remove", {"identifier": reference})
    notes = {"evidence": {marks.word: marks.email, "call": marks.word}, "notice": NOTICE}
    change = {"changes": [{"channel": "*", "topic": "events", "level": "everything"}], "source": "phone"}
    caller.send("desk", "PATCH", f"{path}/dials", {**change, **notes})
    caller.send(token, "PATCH", path, {"locale": marks.locale})
    caller.send(token, "PUT", f"{path}/pause", {"until": "2030-01-01T00:00:00Z", "channel": "sms"})
    caller.send("desk", "DELETE", f"{path}/pause?channel=sms")
    for reference in marks.references:
        ask = {"customer": reference, "channel": "email", "topic": "events"}
        caller.send("desk", "POST", "/v1/customers/lookup", {"customer": reference})
        caller.send("campaign", "POST", "/v1/permissions/check", ask)
        caller.send("campaign", "POST", "/v1/contacts", {**ask, "campaign": marks.word}, marked_headers(marks))
        permit = caller.send("campaign", "POST", "/v1/permits", {**ask, "campaign": marks.word})
        caller.send("campaign", "POST", f"/v1/permits/{permit['id']}/use")
        made = {**ask, "contacted_at": "2026-01-01T00:00:00Z", "external_id": marks.email, "campaign": marks.word}
        caller.send("campaign", "POST", "/v1/contacts/reports", {"contacts": [made, {**made, "customer": "x:y"}]})
        caller.send("campaign", "POST", "/v1/permissions/check-batch", {"checks": [ask, {**ask, "topic": marks.word}]})
    silent = {"changes": [{"channel": "email", "topic": "*", "level": "silent"}], "source": "web"}
    caller.send(token, "PATCH", f"{path}/dials", silent)
    caller.send(
        "campaign",
        "POST",
        "/v1/contacts",
        {**ask, "customer": f"id:{owner}", "campaign": marks.word},
        marked_headers(marks),
    )
    stop = {"kind": "marketing", "reason": f"{marks.word} asked for it"}
    on_point = caller.send("desk", "POST", "/v1/suppressions", {"contact_point": f"email:{marks.email}", **stop})
    caller.send("desk", "POST", "/v1/suppressions", {"customer": f"id:{owner}", **stop})
    caller.send("desk", "DELETE", f"/v1/suppressions/{on_point['id']}")
    caller.send("desk", "POST", f"{path}/merge", {"other": other})
    caller.send("auditor", "GET", f"{path}/history?limit=5")
    caller.send("admin", "POST", "/v1/keys", {"name": f"{marks.word} key", "role": "desk"})
    return owner


def visit_pages(caller: Caller, marks: Marks) -> list[str]:
    """What a browser and a mail program do with the links in a person's mail, all in marks; the tokens of the links."""
    row = {"customer": f"email:{marks.email}", "channel": "email", "topic": "events"}
    wanted = [{**row, "purpose": purpose} for purpose in ("preferences", "unsubscribe", "louder", "quieter")]
    minted = caller.send("campaign", "POST", "/v1/links", {"links": [*wanted, {**row, "customer": marks.word}]})
    paths = [urlsplit(one["url"]).path for one in minted["results"] if "url" in one]
    for path in paths:
        for wrong in ("", "a", f"?{marks.word}={marks.email}"):
            caller.page("GET", path + wrong, marked_headers(marks))
            caller.page("POST", path + wrong, marked_headers(marks), {"List-Unsubscribe": marks.word})
        caller.page("POST", path, marked_headers(marks), {"List-Unsubscribe": "One-Click"})
    form = caller.page("GET", "/link", {})
    for address in (marks.email, f"2.{marks.email}", f"nobody.{marks.email}", marks.word):
        caller.page("POST", "/link", {**marked_headers(marks), "Cookie": form.cookie}, form.fields | {"email": address})
    return [path.rpartition("/")[2] for path in paths]


def serve_at_the_desk(caller: Caller, marks: Marks) -> None:
    """What an agent does with a customer on the telephone, all of it in marks."""
    owner = caller.send("desk", "POST", "/v1/customers/lookup", {"customer": f"email:{marks.email}"})["id"]
    shown = caller.page("GET", "/desk", {})
    cookie, fields = {"Cookie": shown.cookie}, shown.fields
    caller.page("POST", "/desk", cookie, fields | {"key": f"csk_{marks.word}"})
    entered = caller.page("POST", "/desk", cookie, fields | {"key": caller.keys["desk"]})
    assert entered.status == 303
    cookie = {"Cookie": entered.cookie}
    fields = caller.page("GET", "/desk", cookie).fields
    for one in (*marks.references, f"email:nobody.{marks.email}", marks.word):
        caller.page("POST", "/desk/find", cookie, fields | {"identifier": one})
    here = f"/desk/customers/{owner}"
    worded = caller.page("POST", f"{here}/word", cookie, fields | {"source": "phone", "reference": marks.word})
    cookie = {"Cookie": worded.cookie or cookie["Cookie"]}
    caller.page("GET", f"/desk/customers/{marks.word}", cookie)
    for path in ("", "/happened", f"/happened?before={marks.word}", f"?by={marks.word}"):
        caller.page("GET", here + path, cookie)
    stop = {"kind": "marketing", "reason": marks.word, "point": f"email:{marks.email}"}
    for form, sent in {"/suppress": stop, "/merge": {"identifier": marks.email}, "/lift": {"suppression": marks.word},
                       "/pause": {"until": "days"}, "/undo": {"event": marks.word}}.items():  # fmt: skip
        caller.page("POST", here + form, cookie, fields | sent)


def erase(caller: Caller, marks: Marks) -> None:
    """The end of another life: made, erased, asked about."""
    gone = caller.send("desk", "POST", "/v1/customers", {"identifiers": [f"email:gone.{marks.email}"]})["id"]
    caller.send("desk", "POST", f"/v1/customers/{gone}/erase", None, marked_headers(marks))
    ask = {"customer": f"email:gone.{marks.email}", "channel": "email", "topic": "events"}
    caller.send("campaign", "POST", "/v1/permissions/check", ask)
    caller.send("campaign", "POST", "/v1/customers", {"identifiers": [ask["customer"]]})


def marked_headers(marks: Marks) -> dict[str, str]:
    """Headers that a client may choose."""
    return {
        "X-Request-Id": marks.word,
        "Idempotency-Key": f"{marks.email} {marks.digits} {next(_numbers)}",
        "User-Agent": marks.word,
        "Referer": f"https://{marks.word}.example/{marks.email}",
        "Cookie": f"session={marks.word}",
        "If-Match": f'"{marks.word}"',
        "X-Forwarded-For": f"{marks.word}, 2001:db8::1",
        "Forwarded": f"for={marks.word}",
        "Accept-Language": marks.locale,
        f"X-{marks.word}": marks.email,
        "traceparent": f"00-{marks.word}-{marks.word}-01",
    }


def walk_all_routes(caller: Caller, marks: Marks) -> None:
    """Each operation of the contract with marks for ids, in query, fields and headers, and in broken bodies."""
    bad_key = f"csk_{marks.word}{marks.digits}"
    for operation in operations():
        roles = operation.roles & set(ROLES) or {"admin"}
        role = min(roles)
        path = re.sub(r"\{\w+\}", marks.word, operation.path)
        method = operation.method.upper()
        caller.send(role, method, f"{path}?{marks.word}={marks.email}&cursor={marks.word}", {}, marked_headers(marks))
        caller.send(bad_key, method, path, {})
        if method == "GET":
            continue
        for body in marked_bodies(operation.content, marks):
            caller.send(role, method, path, body)


def marked_bodies(operation: Mapping[str, Any], marks: Marks) -> Iterator[Any]:
    """The documented examples with marks in their strings; then what is no body."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    examples = [content["example"]] if "example" in content else []
    examples += [one["value"] for one in content.get("examples", {}).values()]
    for example in examples[:1]:
        yield _marked(example, marks.word)
        yield _marked(example, f"email:{marks.email}")
        yield {**example, marks.email: marks.word}
        yield dict.fromkeys(example, marks.word)
        yield {name: [{marks.word: marks.email}] for name in example}
    yield f'{{"{marks.email}": 1, "{marks.email}": 2}}'.encode()
    yield f'{{"{marks.email}'.encode()
    yield f'"{marks.word}\\u0000"'.encode()
    yield marks.word.encode("utf-16")


def _marked(value: Any, mark: str) -> Any:
    if isinstance(value, str):
        return mark
    if isinstance(value, list):
        return [_marked(one, mark) for one in value]
    if isinstance(value, dict):
        return {name: _marked(one, mark) for name, one in value.items()}
    return value


def unreadable(marks: Marks) -> Iterator[bytes]:
    """Requests that never reach the application, all of them with marks."""
    word, host = marks.word.encode(), b"Host: x\r\n"
    email = marks.email.encode()
    yield b"GET /" + word + b" HTTP/9.9\r\n\r\n"
    yield word + b"\r\n\r\n"
    yield word.upper() + b" /v1/" + word + b" HTTP/1.1\r\n" + host + b"\r\n"
    yield b"GET /" + word + b" " + email + b" HTTP/1.1\r\n" + host + b"\r\n"
    yield b"GET /v1/me HTTP/1.1\r\n" + host + b"bad header " + email + b"\r\n\r\n"
    yield b"GET /v1/me HTTP/1.1\r\n" + host + word + b"(): " + email + b"\r\n\r\n"
    yield b"GET /v1/me HTTP/1.1\r\n" + host + b"X: a\r\n " + email + b"\r\n\r\n"
    yield b"GET /v1/me HTTP/1.1\r\n" + host + b"Expect: " + word + b"\r\n\r\n"
    yield b"POST /v1/contacts HTTP/1.1\r\n" + host + b"Content-Length: " + word + b"\r\n\r\n"
    yield b"POST /v1/contacts HTTP/1.1\r\n" + host + b"Transfer-Encoding: " + word + b"\r\n\r\n"
    yield b"POST /v1/" + word + b" HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\n" + word + b"\r\n"
    yield b"GET /" + word * 1000 + b" HTTP/1.1\r\n" + host + b"\r\n"
    yield b"GET /v1/me HTTP/1.1\r\n" + host + b"X: " + word * 2000 + b"\r\n\r\n"
    yield b"GET http://" + word + b".example/v1/me HTTP/1.1\r\nHost: " + word + b"\r\n\r\n"
    yield b"GET /v1/me HTTP/1.1\r\nHost: " + word + b"\xff\r\n\r\n"
    yield b"\x16\x03\x01" + word + b"\r\n\r\n"
