"""Checks: an answer with its reasons, no trace, and an error where nothing can be decided."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tests.support.api import Api

BEN = "email:ben@example.com"
ASK = {"customer": BEN, "channel": "email", "topic": "offers"}


@pytest.fixture
def ben(api: Api) -> UUID:
    made = api.customer(BEN, "phone:+442079460018")
    api.turn(made, ("email", "offers", "weekly"), ("*", "*", "daily"))
    return made


def test_an_answer_says_what_governs_it(api: Api, ben: UUID) -> None:
    answer = api.check(BEN, "email", "offers/wine")
    weekly, daily = answer["governed_by"]
    assert (weekly["channel"], weekly["topic"], weekly["level"]) == ("email", "offers", "weekly")
    assert (weekly["contacts"], weekly["per"], weekly["used"], weekly["room"]) == (1, "P7D", 0, 1)
    assert (weekly["role"], weekly["source"]) == ("desk", "phone")
    assert weekly["set_at"].endswith("Z")
    assert (daily["channel"], daily["topic"], daily["level"]) == ("*", "*", "daily")
    assert answer["customer_id"] == str(ben)


def test_a_check_leaves_no_trace(api: Api, ben: UUID) -> None:
    before = api.events(ben)
    for _ in range(3):
        assert api.check(BEN, "email", "offers")["remaining"] == 1
    assert api.events(ben) == before


def test_rows_of_a_check_batch_do_not_see_each_other(api: Api, ben: UUID) -> None:
    answer = api.post("/v1/permissions/check-batch", {"checks": [ASK] * 3})
    assert [row["allowed"] for row in answer.json["results"]] == [True] * 3
    assert "governed_by" not in answer.json["results"][0]


def test_a_batch_answers_every_row_in_its_order(api: Api, ben: UUID) -> None:
    checks = [
        {**ASK, "customer": "email:cy@example.com"},
        {**ASK, "customer": "email:not an address"},
        {**ASK, "customer": "shoe:42"},
        {**ASK, "topic": "shoes"},
        {**ASK, "channel": "fax"},
        "x",
        {**ASK, "at": "tomorrow"},
        {**ASK, "at": (datetime.now(UTC) - timedelta(minutes=6)).isoformat()},
        {**ASK, "at": (datetime.now(UTC) + timedelta(days=401)).isoformat()},
        {**ASK, "more": 1},
        ASK,
    ]
    results = api.post("/v1/permissions/check-batch", {"checks": checks, "explain": True}).json["results"]
    assert results[0]["reason"] == "unknown_customer"
    assert [row["error"]["code"] for row in results[1:-1]] == [
        "invalid_customer_reference",
        "unknown_identifier_kind",
        "unknown_topic",
        "unknown_channel",
        "invalid_value",
        "invalid_timestamp",
        "invalid_timestamp",
        "invalid_timestamp",
        "unknown_field",
    ]
    assert results[-1]["allowed"] is True
    assert results[-1]["governed_by"]


def test_ten_thousand_checks_are_one_answer_and_one_more_is_refused(api: Api, ben: UUID) -> None:
    answer = api.post("/v1/permissions/check-batch", {"checks": [ASK] * 10_000})
    assert len(answer.json["results"]) == 10_000
    many = api.post("/v1/permissions/check-batch", {"checks": [ASK] * 10_001})
    assert (many.status_code, many.json["code"]) == (413, "too_many_items")
    none = api.post("/v1/permissions/check-batch", {"checks": []})
    assert (none.status_code, none.json["code"]) == (422, "invalid_value")


def test_unknown_names_are_errors_and_never_allowed(api: Api, ben: UUID) -> None:
    for name, value, code in (("channel", "fax", "unknown_channel"), ("topic", "shoes", "unknown_topic")):
        answer = api.post("/v1/permissions/check", {**ASK, name: value})
        assert (answer.status_code, answer.json["code"]) == (422, code)


def test_at_moves_only_the_clock(api: Api, ben: UUID) -> None:
    api.post("/v1/contacts", ASK)
    at = datetime.now(UTC) + timedelta(days=6)
    answer = api.check(BEN, "email", "offers", at=at.isoformat())
    assert (answer["reason"], answer["remaining"]) == ("volume_reached", 0)
    later = api.check(BEN, "email", "offers", at=(at + timedelta(days=1, minutes=1)).isoformat())
    assert later["allowed"] is True
    assert datetime.fromisoformat(later["decided_at"]) < at


def test_a_suppressed_contact_point_stops_whoever_is_asked_about_by_it(api: Api, ben: UUID) -> None:
    body = {"contact_point": "phone:+44 20 7946 0018", "kind": "all", "reason": "wrong number"}
    api.turn(ben, ("sms", "offers", "weekly"))
    made = api.post("/v1/suppressions", body, role="desk")
    assert made.status_code == 201, made.json
    for customer in (BEN, "phone:+442079460018", f"id:{ben}"):
        assert api.check(customer, "sms", "offers")["reason"] == "suppressed"
        assert api.check(customer, "email", "offers")["allowed"] is True
    assert api.check(BEN, "sms", "orders")["reason"] == "suppressed"
    assert api.call("DELETE", f"/v1/suppressions/{made.json['id']}", role="desk").status_code == 204
    assert api.check(BEN, "sms", "offers")["allowed"] is True


def test_the_same_questions_in_another_zone_meet_their_quiet_hours(api: Api, ben: UUID) -> None:
    api.turn(ben, ("phone", "offers", "everything"))
    at = (datetime.now(UTC) + timedelta(days=2)).replace(hour=12, minute=0, second=0, microsecond=0)
    for zone, reason in (("Etc/GMT", "allowed"), ("Asia/Tokyo", "quiet_hours")):
        api.call("PATCH", f"/v1/customers/{ben}", {"time_zone": zone}, role="desk")
        answer = api.check(BEN, "phone", "offers", at=at.isoformat())
        assert answer["reason"] == reason
    # 09:00 in Tokyo is midnight in UTC.
    assert datetime.fromisoformat(answer["next_allowed_at"]) == at.replace(hour=0) + timedelta(days=1)


def test_ready_makes_a_real_decision_and_live_needs_nothing(api: Api) -> None:
    for path in ("/health/live", "/health/ready"):
        assert api.client.get(path).status_code == 200
