"""Nobody finds out by asking who is there: what is another's, erased, unknown or no id at all is one answer.

Compared are whole answers, and the time they take: medians of requests in turns, with generous room for a busy
machine. An id that is malformed may be quicker: that it is none says nothing of anybody.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest
from werkzeug.test import TestResponse

from consent_service.customers.ids import encode_id
from tests.support.api import EVIDENCE, Api
from tests.web.asking import footprint, refused, somebody, token
from tests.web.test_auth import MAY_CALL, SOUND

ROUNDS = 40
MOST_RATIO, MOST_SECONDS_MORE = 2.0, 0.004


def shown(answer: TestResponse) -> tuple[int, dict[str, Any], list[str], str | None]:
    """All that an answer tells, but for the request's own id."""
    body = {name: value for name, value in answer.json.items() if name != "request_id"}
    names = sorted(name for name, _ in answer.headers)
    return answer.status_code, body, names, answer.headers.get("Content-Length")


def alike(asks: Mapping[str, Callable[[], TestResponse]]) -> None:
    """Passes when all answers tell the same and take about as long."""
    assert len({repr(shown(ask())) for ask in asks.values()}) == 1
    took: dict[str, list[float]] = {name: [] for name in asks}
    for _ in range(ROUNDS):
        for name, ask in asks.items():
            begin = time.perf_counter()
            ask()
            took[name].append(time.perf_counter() - begin)
    medians = {name: statistics.median(times) for name, times in took.items()}
    assert max(medians.values()) < MOST_RATIO * min(medians.values()) + MOST_SECONDS_MORE, medians


@pytest.fixture(scope="module")
def gone(shared: Api) -> UUID:
    """A customer who was erased."""
    one = shared.customer(somebody())
    assert shared.post(f"/v1/customers/{one}/erase", role="desk").status_code == 200
    return one


OF_CUSTOMERS = [route for route in MAY_CALL if "<customer_id>" in route[1]]
MALFORMED = ("x", "0", "null", "' OR 1=1", "00000000-0000-4000-8000-00000000000g", "{" + "0" * 34 + "}", "a" * 500)
BODIES = {
    **SOUND,
    ("POST", "/v1/customers/<customer_id>/merge"): {"other": str(uuid4())},
    ("POST", "/v1/customers/<customer_id>/identifiers/confirm"): {
        "identifier": "email:mine@example.com",
        "evidence": EVIDENCE,
    },
}


@pytest.mark.parametrize(("method", "path"), OF_CUSTOMERS)
def test_a_customer_who_is_not_there_is_one_answer_to_the_desk(shared: Api, gone: UUID, method: str, path: str) -> None:
    role = "desk" if "desk" in MAY_CALL[(method, path)] else "auditor"
    before = footprint(shared)
    answers = [
        shared.call(method, path.replace("<customer_id>", one), BODIES.get((method, path)), role=role)
        for one in (str(uuid4()), str(gone), str(UUID(int=0)), *MALFORMED)
    ]
    refused(answers[0], "unknown_customer")
    assert len({repr(shown(answer)) for answer in answers}) == 1
    assert footprint(shared) == before


def test_anothers_id_takes_a_customer_as_long_as_one_that_never_was(shared: Api, gone: UUID) -> None:
    ada, own = shared.customer(somebody()), token(shared, shared.customer(somebody()))
    never = str(uuid4())
    for method, path in (("GET", ""), ("GET", "/dials"), ("PATCH", "/dials"), ("GET", "/history")):
        body = SOUND.get((method, "/v1/customers/<customer_id>" + path))

        def ask(one: object, method: str = method, path: str = path, body: Any = body) -> Callable[[], TestResponse]:
            return lambda: shared.call(method, f"/v1/customers/{one}{path}", body, key=own)

        alike({"another's": ask(ada), "never was": ask(never), "erased": ask(gone)})


def test_an_address_that_nobody_has_is_looked_up_like_one_that_was_erased(shared: Api) -> None:
    left = somebody()
    one = shared.customer(left)
    assert shared.post(f"/v1/customers/{one}/erase", role="desk").status_code == 200

    def ask(reference: str) -> Callable[[], TestResponse]:
        return lambda: shared.post("/v1/customers/lookup", {"customer": reference}, role="desk")

    alike({"unknown": ask(somebody()), "erased": ask(left), "an id": ask(f"id:{uuid4()}")})


def test_customers_are_looked_up_by_desk_and_auditor_only(shared: Api) -> None:
    known = somebody()
    own = token(shared, shared.customer(known))
    for key in (shared.keys["campaign"], own):
        answers = [
            shared.post("/v1/customers/lookup", {"customer": one}, key=key) for one in (known, somebody(), "nonsense")
        ]
        assert len({repr(shown(answer)) for answer in answers}) == 1
        refused(answers[0], "role_not_allowed")


PERMIT_CALLS = [("GET", ""), ("POST", "/use"), ("DELETE", "")]


def test_anothers_permit_is_answered_like_one_that_never_was(shared: Api, gone: UUID) -> None:
    ben = shared.customer(somebody())
    assert shared.turn(ben, ("*", "events", "everything")).status_code == 200
    body = {"customer": f"id:{ben}", "channel": "email", "topic": "events"}
    made = shared.post("/v1/permits", body)
    assert made.status_code == 201, made.json
    stranger = shared.key("campaign", f"stranger {uuid4()}")
    before = footprint(shared)
    ids = {
        "another's": made.json["id"],
        "never was": encode_id(ben, uuid4()),
        "of the erased": encode_id(gone, uuid4()),
        "of nobody": encode_id(uuid4(), uuid4()),
    }
    for method, path in PERMIT_CALLS:

        def ask(one: str, method: str = method, path: str = path) -> Callable[[], TestResponse]:
            return lambda: shared.call(method, f"/v1/permits/{one}{path}", key=stranger)

        answers = [shown(ask(one)()) for one in (*ids.values(), *MALFORMED[:-1], made.json["id"][:-1])]
        assert len(set(map(repr, answers))) == 1
        assert answers[0][0] == 404
        # Whether a customer is there, a campaign key learns from a check; whose permit an id is, from nothing.
        alike({name: ask(ids[name]) for name in ("another's", "never was")})
    batch = list(ids.values())
    for path in ("/v1/permits/use-batch", "/v1/permits/release-batch"):
        results = shared.post(path, {"ids": batch}, key=stranger).json["results"]
        assert all(one == results[0] for one in results)
        assert results[0]["error"]["code"] == "not_found"
    assert footprint(shared) == before


def test_a_suppression_or_key_that_is_not_there_is_one_answer(shared: Api, gone: UUID) -> None:
    ben = shared.customer(somebody())
    ids = [encode_id(one, uuid4()) for one in (ben, gone, uuid4(), UUID(int=0))]
    for role, path, asked in (
        ("desk", "/v1/suppressions/", [*ids, *MALFORMED]),
        ("admin", "/v1/keys/", [str(uuid4()), str(ben), *MALFORMED]),
    ):
        answers = [shared.call("DELETE", path + one, role=role) for one in asked]
        refused(answers[0], "not_found")
        assert len({repr(shown(answer)) for answer in answers}) == 1


def test_a_wrong_key_takes_as_long_as_a_revoked_one_or_a_token(shared: Api) -> None:
    numbers = itertools.count()
    right = shared.key("desk", "to be revoked")
    key_id = [
        one["id"] for one in shared.call("GET", "/v1/keys", role="admin").json["keys"] if one["name"] == "to be revoked"
    ]
    assert shared.call("DELETE", f"/v1/keys/{key_id[0]}", role="admin").status_code == 204

    def ask(key: str) -> Callable[[], TestResponse]:
        def once() -> TestResponse:
            headers = {"Authorization": f"Bearer {key}"}
            address = {"REMOTE_ADDR": f"10.9.{next(numbers) % 200}.1"}
            return shared.client.get("/v1/me", headers=headers, environ_overrides=address)

        return once

    # One that differs in its first character, one in its last, one that is another thing altogether.
    alike(
        {
            "revoked": ask(right),
            "first": ask("csk_" + ("A" if right[4] != "A" else "B") + right[5:]),
            "last": ask(right[:-1] + ("A" if right[-1] != "A" else "B")),
            "far": ask("csk_x"),
        }
    )


def test_without_a_key_nobody_learns_whom_there_is(shared: Api) -> None:
    """A check is looked up together with its key: whoever has none gets the same answer in the same time."""
    numbers, known = itertools.count(), somebody()
    shared.customer(known)

    def ask(reference: str) -> Callable[[], TestResponse]:
        def once() -> TestResponse:
            return shared.client.post(
                "/v1/permissions/check",
                json={"customer": reference, "channel": "email", "topic": "events"},
                headers={"Authorization": "Bearer csk_wrong"},
                environ_overrides={"REMOTE_ADDR": f"10.8.{next(numbers) % 200}.1"},
            )

        return once

    alike({"known": ask(known), "unknown": ask(somebody()), "ill formed": ask("email:@@")})
