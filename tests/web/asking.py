"""What the tests of the web layer send, and what they look for in answers and tables."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Flask
from psycopg import sql
from werkzeug.test import TestResponse

from consent_service.errors import CODES
from tests.support.api import Api

SMALL_LIMIT = 4096
NOBODYS_ID = "00000000-0000-4000-8000-000000000000"
_numbers = itertools.count(1)


def somebody() -> str:
    """An address that no other test has."""
    return f"email:asked{next(_numbers)}@example.com"


def raw(
    api: Api,
    method: str,
    path: str,
    body: bytes,
    *,
    role: str = "campaign",
    content_type: str | None = "application/json",
    headers: Mapping[str, str] | None = None,
) -> TestResponse:
    """A request with these very bytes as its body."""
    sent = {"Authorization": f"Bearer {api.keys[role]}", **(headers or {})}
    return api.client.open(path, method=method, headers=sent, data=body, content_type=content_type)


def refused(answer: TestResponse, code: str, *pointers: str) -> dict[str, Any]:
    """The problem document, which must be whole, have this code, and name these fields and no others."""
    body: dict[str, Any] = answer.get_json(force=True)
    assert body.get("code") == code, body
    status, title = CODES[code]
    assert answer.status_code == status == body["status"]
    assert answer.mimetype == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert (body["type"], body["title"]) == ("about:blank", title)
    assert body["detail"]
    assert body["request_id"] == answer.headers["X-Request-Id"]
    assert [one["pointer"] for one in body.get("errors", [])] == list(pointers), body
    assert all(one["code"] in CODES and one["detail"] for one in body.get("errors", []))
    return body


def footprint(api: Api) -> dict[str, int]:
    """How many rows each table has, and how often dials were changed; counters of requests are left out."""
    with api.made.owner() as conn:
        names = [
            row[0]
            for row in conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
            if row[0] != "request_count" and "yoyo" not in row[0]
        ]
        assert {"event", "contact", "permit", "dial", "customer", "idempotency", "api_key"} < set(names)
        counts = sql.SQL(", ").join(sql.SQL("(SELECT count(*) FROM {})").format(sql.Identifier(name)) for name in names)
        row = conn.execute(
            sql.SQL("SELECT {}, (SELECT COALESCE(sum(version), 0) FROM customer)").format(counts)
        ).fetchone()
    assert row is not None
    return {name: int(count) for name, count in zip([*names, "versions"], row, strict=True)}


def rows(api: Api, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """What the owner of the database reads or does."""
    with api.made.owner() as conn:
        done = conn.execute(statement, values)
        return done.fetchall() if done.description else []


def dumped(api: Api, table: str) -> str:
    """All that stands in a table, bytes both as hexadecimal digits and as text."""
    with api.made.owner() as conn:
        found = conn.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))).fetchall()
    texts = []
    for value in itertools.chain.from_iterable(found):
        if isinstance(value, bytes):
            texts += [value.decode("latin-1"), value.hex()]
        else:
            texts.append(str(value))
    return "\n".join(texts)


def token(api: Api, customer_id: UUID) -> str:
    """A customer's own credential."""
    answer = api.post(f"/v1/customers/{customer_id}/tokens", role="desk")
    assert answer.status_code == 201, answer.get_data(as_text=True)
    return str(answer.json["token"])


def bare(path: str) -> str:
    """A route's path with an id that nobody has for each of its parameters."""
    for name, value in (
        ("customer_id", NOBODYS_ID),
        ("key_id", NOBODYS_ID),
        ("permit_id", "A" * 43),
        ("suppression_id", "A" * 43),
        ("dialogue_id", "A" * 43),
        ("person_id", "A" * 43),
        ("fact_id", "A" * 43),
        ("number", "1"),
        ("name", "docs.js"),
    ):
        path = path.replace(f"<{name}>", value)
    assert "<" not in path, f"this test needs a value for the parameter of {path}"
    return path


def is_of_pages(app: Flask, endpoint: str) -> bool:
    """Whether a route is one of the pages, which have tests of their own."""
    return endpoint == "pages.asset" or getattr(app.view_functions[endpoint], "is_page", False)


def routes(api: Api) -> list[tuple[str, str, frozenset[str] | None]]:
    """(method, path with parameters, roles that may call it; None: nothing was declared) of every route of the API."""
    return sorted(
        (
            (method, rule.rule, getattr(api.app.view_functions[rule.endpoint], "access", None))
            for rule in api.app.url_map.iter_rules()
            if not is_of_pages(api.app, rule.endpoint)
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        ),
        key=lambda route: route[:2],
    )
