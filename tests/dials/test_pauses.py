"""A pause is the customer's "not until then", for one channel or all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.support.api import Api

BEN = "email:ben@example.com"


@pytest.fixture
def ben(api: Api) -> UUID:
    made = api.customer(BEN, "phone:+442079460018")
    api.turn(made, ("*", "offers", "everything"))
    return made


def until(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def pause(api: Api, customer_id: UUID, **body: str) -> dict[str, object]:
    answer = api.call("PUT", f"/v1/customers/{customer_id}/pause", body, role="desk")
    assert answer.status_code == 200, answer.json
    found: dict[str, object] = answer.json
    return found


def test_a_pause_holds_until_its_end_and_then_no_longer(api: Api, ben: UUID) -> None:
    end = until(10)
    shown = pause(api, ben, until=end)
    assert [one["channel"] for one in shown["pauses"]] == ["*"]  # type: ignore[attr-defined]
    answer = api.check(BEN, "email", "offers")
    assert answer["reason"] == "paused"
    assert datetime.fromisoformat(answer["next_allowed_at"]) == datetime.fromisoformat(end)
    assert api.check(BEN, "email", "offers", at=end)["allowed"] is True
    assert api.check(BEN, "email", "orders")["reason"] == "essential"


def test_a_pause_of_one_channel_leaves_the_others(api: Api, ben: UUID) -> None:
    pause(api, ben, until=until(10), channel="sms")
    assert api.check(BEN, "sms", "offers")["reason"] == "paused"
    assert api.check(BEN, "email", "offers")["allowed"] is True


def test_a_pause_is_replaced_and_ended(api: Api, ben: UUID) -> None:
    pause(api, ben, until=until(10))
    end = until(20)
    pause(api, ben, until=end)
    pause(api, ben, until=end)
    answer = api.call("DELETE", f"/v1/customers/{ben}/pause", role="desk")
    assert (answer.status_code, answer.json["pauses"]) == (200, [])
    assert api.call("DELETE", f"/v1/customers/{ben}/pause?channel=sms", role="desk").status_code == 200
    types = [event["type"] for event in api.events(ben) if event["type"].startswith("pause")]
    assert types == ["pause.set", "pause.set", "pause.ended"]
    assert api.check(BEN, "email", "offers")["allowed"] is True


def test_the_history_of_a_pause_says_until_when_and_on_whose_word(api: Api, ben: UUID) -> None:
    first, second = until(10), until(20)
    versions = [pause(api, ben, until=end, channel="sms")["version"] for end in (first, second, second)]
    assert versions == [2, 3, 3]
    own = api.post(f"/v1/customers/{ben}/tokens", role="desk").json["token"]
    ended = api.call("DELETE", f"/v1/customers/{ben}/pause?channel=sms", key=own)
    assert (ended.json["version"], ended.json["pauses"]) == (4, [])
    events = [event for event in api.events(ben) if event["type"].startswith("pause")]
    assert [(event["source"], event["actor"]["role"]) for event in events] == [
        ("api", "desk"), ("api", "desk"), ("web", "customer"),
    ]  # fmt: skip

    def shown(event: dict[str, Any], when: str) -> tuple[str, datetime] | None:
        found = event[when]
        return (found["channel"], datetime.fromisoformat(found["until"])) if found else None

    ends = [None, ("sms", datetime.fromisoformat(first)), ("sms", datetime.fromisoformat(second)), None]
    assert [shown(event, "before") for event in events] == ends[:3]
    assert [shown(event, "after") for event in events] == ends[1:]


def test_a_pause_lasts_ten_years_and_no_day_more(api: Api, ben: UUID) -> None:
    assert pause(api, ben, until=until(3652.9))["pauses"]


@pytest.mark.parametrize("days", [-1, 0, 3653.5])
def test_a_pause_ends_later_than_now_and_within_ten_years(api: Api, ben: UUID, days: float) -> None:
    answer = api.call("PUT", f"/v1/customers/{ben}/pause", {"until": until(days)}, role="desk")
    assert (answer.status_code, answer.json["code"]) == (422, "invalid_timestamp")


def test_a_pause_of_an_unknown_channel_is_an_error(api: Api, ben: UUID) -> None:
    body = {"until": until(1), "channel": "fax"}
    assert api.call("PUT", f"/v1/customers/{ben}/pause", body, role="desk").json["code"] == "unknown_channel"
    assert api.call("DELETE", f"/v1/customers/{ben}/pause?channel=fax", role="desk").json["code"] == "unknown_channel"
    twice = api.call("DELETE", f"/v1/customers/{ben}/pause?channel=sms&channel=email", role="desk")
    assert (twice.status_code, twice.json["code"]) == (400, "invalid_parameter")
