"""What the tests about customers do to a service, in their words."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar
from uuid import UUID

from werkzeug.test import TestResponse

from tests.support.api import Api

Answer = TypeVar("Answer")
_numbers = itertools.count(1)


def somebody() -> str:
    """An address that no other test has."""
    return f"email:person{next(_numbers)}@example.com"


def rows(api: Api, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """What the owner of the database reads."""
    with api.made.owner() as conn:
        return conn.execute(statement, values).fetchall()


def token(api: Api, customer_id: UUID) -> str:
    """A customer's own credential."""
    answer = api.post(f"/v1/customers/{customer_id}/tokens", role="desk")
    assert answer.status_code == 201, answer.get_data(as_text=True)
    return str(answer.json["token"])


def merge(api: Api, survivor: object, other: object) -> TestResponse:
    """The desk merges two customers."""
    return api.post(f"/v1/customers/{survivor}/merge", {"other": str(other)}, role="desk")


def erase(api: Api, customer_id: object) -> None:
    """The desk erases a customer."""
    answer = api.call("POST", f"/v1/customers/{customer_id}/erase", role="desk")
    assert answer.status_code in (200, 204), answer.get_data(as_text=True)


def suppress(api: Api, **body: object) -> TestResponse:
    """The desk sets a suppression."""
    return api.post("/v1/suppressions", {"kind": "marketing", "reason": "asked by letter", **body}, role="desk")


def dials(api: Api, customer_id: object) -> dict[tuple[str, str], str]:
    """The levels that stand, by place."""
    answer = api.call("GET", f"/v1/customers/{customer_id}/dials", role="auditor")
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return {(one["channel"], one["topic"]): one["level"] for one in answer.json["dials"]}


def types(api: Api, customer_id: UUID) -> list[str]:
    """The types of a customer's events, oldest first."""
    return [event["type"] for event in api.events(customer_id)]


def at_once(count: int, work: Callable[[int], Answer]) -> list[Answer]:
    """What `count` threads get that begin together."""
    barrier = Barrier(count)

    def run(number: int) -> Answer:
        barrier.wait(10)
        return work(number)

    with ThreadPoolExecutor(count) as threads:
        return [one.result() for one in [threads.submit(run, number) for number in range(count)]]
