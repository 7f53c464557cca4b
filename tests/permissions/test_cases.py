"""The shared decision cases, through the API as a client asks: single check and batch, on each PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from tests.support.api import Api, shared
from tests.support.cluster import TestDatabase
from tests.support.rules import duration

# Between the making of a case and its question some time passes, and no more than this.
SLACK = timedelta(seconds=20)


@pytest.fixture(scope="module", params=["cluster", "cluster15"])
def cases_api(request: pytest.FixtureRequest) -> Iterator[Api]:
    catalogue = yaml.safe_load(shared("cases/catalogue.yaml").read_text(encoding="utf-8"))
    server = request.getfixturevalue(request.param)
    made: TestDatabase = server.migrated()
    api = Api(made, catalogue)
    yield api
    api.close()
    server.drop(made)


def load_cases() -> list[dict[str, Any]]:
    try:
        text = shared("cases/decisions.yaml").read_text(encoding="utf-8")
    except pytest.skip.Exception:
        return []
    return list(yaml.safe_load(text))


def given(api: Api, known: dict[str, Any]) -> str:
    """Makes the customer of a case; how to name them."""
    name = uuid.uuid4().hex
    reference = f"email:{name}@example.com"
    if known.get("customer") == "unknown":
        return reference
    customer_id = api.customer(reference)
    for dial in known.get("dials", []):
        assert api.turn(customer_id, (dial["channel"], dial["topic"], dial["level"])).status_code == 200
    now = datetime.now(UTC)
    for number, contact in enumerate(known.get("contacts", [])):
        made = now - duration(contact["ago"])
        row = {
            "customer": reference,
            "channel": contact["channel"],
            "topic": contact["topic"],
            "contacted_at": made.isoformat(),
            "external_id": f"{name}-{number}",
        }
        answer = api.post("/v1/contacts/reports", {"contacts": [row]})
        assert "error" not in answer.json["results"][0], answer.json
    for stop in known.get("suppressions", []):
        body = {"customer": reference, "reason": "case", **stop}
        assert api.post("/v1/suppressions", body, role="desk").status_code == 201
    for permit in known.get("permits", []):
        seconds = int(duration(permit["expires_in"]).total_seconds())
        body = {
            "customer": reference,
            "channel": permit["channel"],
            "topic": permit["topic"],
            "expires_in_seconds": seconds,
        }
        answer = api.post("/v1/permits", body)
        assert answer.status_code == 201, answer.json
    if pause := known.get("pause"):
        until = datetime.now(UTC) + duration(pause["in"])
        body = {"until": until.isoformat(), **({"channel": pause["channel"]} if "channel" in pause else {})}
        assert api.call("PUT", f"/v1/customers/{customer_id}/pause", body, role="desk").status_code == 200
    return reference


CASES = load_cases()


def test_there_are_cases() -> None:
    shared("cases/decisions.yaml")
    assert len(CASES) > 30


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(cases_api: Api, case: dict[str, Any]) -> None:
    reference = given(cases_api, case["given"])
    asked_at = datetime.now(UTC)
    question = {"customer": reference, "channel": case["ask"]["channel"], "topic": case["ask"]["topic"]}
    if "in" in case["ask"]:
        asked_at += duration(case["ask"]["in"])
        question["at"] = asked_at.isoformat()
    single = cases_api.post("/v1/permissions/check", question)
    assert single.status_code == 200, single.json
    batch = cases_api.post("/v1/permissions/check-batch", {"checks": [question, question], "explain": True})
    for answer in (single.json, *batch.json["results"]):
        expect = dict(case["expect"])
        if "next_in" in expect:
            check_next(answer["next_allowed_at"], asked_at, expect.pop("next_in"))
        assert {name: answer[name] for name in expect} == expect


def check_next(answered: str | None, asked_at: datetime, next_in: str | None) -> None:
    if next_in is None or answered is None:
        assert answered == next_in
        return
    off = datetime.fromisoformat(answered) - asked_at - duration(next_in)
    assert -SLACK < off <= timedelta(0) or abs(off) < timedelta(seconds=1), f"off by {off}"
