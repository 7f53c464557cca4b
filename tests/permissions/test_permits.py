"""Room reserved: a permit ends exactly once, and is asked about again when it is used."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from werkzeug.test import TestResponse

from consent_service.permissions import store
from tests.support.api import Api

BEN = "email:ben@example.com"
ASK = {"customer": BEN, "channel": "email", "topic": "offers"}


@pytest.fixture
def ben(api: Api) -> UUID:
    made = api.customer(BEN)
    api.turn(made, ("email", "offers", "weekly"))
    return made


def reserve(api: Api, **fields: Any) -> TestResponse:
    return api.post("/v1/permits", {**ASK, **fields})


def use(api: Api, permit: str, **options: Any) -> TestResponse:
    return api.post(f"/v1/permits/{permit}/use", **options)


def age(api: Api, statement: str) -> None:
    """Moves stored times by the owner's hand: the past cannot be waited for."""
    with psycopg.connect(api.made.owner_url, autocommit=True) as conn:
        conn.execute(statement)


def test_a_permit_takes_room_and_its_use_makes_the_contact(api: Api, ben: UUID) -> None:
    permit = reserve(api, campaign="autumn")
    assert permit.status_code == 201
    assert (permit.json["allowed"], permit.json["remaining"]) == (True, 1)
    assert reserve(api).json["decision"]["reason"] == "volume_reached"
    used = use(api, permit.json["id"])
    assert used.status_code == 201
    assert used.json["campaign"] == "autumn"
    again = use(api, permit.json["id"])
    assert (again.status_code, again.json) == (200, used.json)
    assert api.check(BEN, "email", "offers")["remaining"] == 0
    state = api.call("GET", f"/v1/permits/{permit.json['id']}")
    assert (state.json["state"], state.json["contact_id"]) == ("used", used.json["id"])
    types = [event["type"] for event in api.events(ben)][-3:]
    assert types == ["permit.reserved", "permit.refused", "contact.recorded"]


def test_a_refused_permit_is_409_with_the_decision_and_is_kept(api: Api, ben: UUID) -> None:
    answer = reserve(api, topic="offers/wine", channel="post")
    assert (answer.status_code, answer.mimetype) == (409, "application/problem+json")
    assert answer.json["code"] == "not_permitted"
    assert answer.json["decision"]["reason"] == "no_consent"
    kept = api.events(ben)[-1]
    assert kept["type"] == "permit.refused"
    assert kept["actor"] == {"role": "campaign", "name": "campaign key"}
    assert kept["details"]["decision"]["reason"] == "no_consent"


def test_a_released_permit_gives_its_room_back(api: Api, ben: UUID) -> None:
    permit = reserve(api).json["id"]
    for _ in range(2):
        assert api.call("DELETE", f"/v1/permits/{permit}").status_code == 204
    assert use(api, permit).json["code"] == "permit_released"
    assert reserve(api).status_code == 201


def test_a_used_permit_cannot_be_released(api: Api, ben: UUID) -> None:
    permit = reserve(api).json["id"]
    use(api, permit)
    answer = api.call("DELETE", f"/v1/permits/{permit}")
    assert (answer.status_code, answer.json["code"]) == (409, "permit_used")


def test_an_expired_permit_gives_its_room_back_at_that_instant(api: Api, ben: UUID) -> None:
    permit = reserve(api).json["id"]
    age(api, "UPDATE permit SET expires_at = clock_timestamp()")
    assert use(api, permit).json["code"] == "permit_expired"
    assert api.call("GET", f"/v1/permits/{permit}").json["state"] == "expired"
    assert reserve(api).status_code == 201
    assert api.call("DELETE", f"/v1/permits/{permit}").status_code == 204


def test_a_permit_for_later_takes_room_now_and_cannot_be_used_before(api: Api, ben: UUID) -> None:
    at = datetime.now(UTC) + timedelta(days=10)
    permit = reserve(api, at=at.isoformat(), expires_in_seconds=60)
    assert datetime.fromisoformat(permit.json["expires_at"]) == at + timedelta(seconds=60)
    early = use(api, permit.json["id"])
    assert (early.status_code, early.json["code"]) == (409, "permit_not_yet")
    assert early.json["valid_from"] == permit.json["valid_from"]
    assert reserve(api).json["decision"]["reason"] == "volume_reached"
    age(api, "UPDATE permit SET valid_from = clock_timestamp()")
    assert use(api, permit.json["id"]).status_code == 201


def test_a_dial_turned_down_since_refuses_the_permit_and_voids_it(api: Api, ben: UUID) -> None:
    permit = reserve(api).json["id"]
    api.turn(ben, ("*", "*", "silent"))
    refused = use(api, permit)
    assert (refused.status_code, refused.json["decision"]["reason"]) == (409, "silent")
    api.turn(ben, ("*", "*", "everything"))
    assert use(api, permit).json["code"] == "permit_void"
    assert api.events(ben)[-2]["type"] == "permit.voided"
    assert reserve(api).status_code == 201


def test_unchanged_dials_never_refuse_a_permit(api: Api, ben: UUID) -> None:
    api.turn(ben, ("email", "offers", "busy"))
    permits = [reserve(api).json["id"] for _ in range(5)]
    assert reserve(api).status_code == 409
    assert [use(api, permit).status_code for permit in permits] == [201] * 5


def test_quiet_hours_leave_the_permit_open(api: Api, ben: UUID) -> None:
    api.turn(ben, ("phone", "offers", "weekly"))
    # A zone in which the phone's quiet hours (20:00 to 09:00) hold now, and one in which they do not.
    hour = datetime.now(UTC).hour
    quiet = f"Etc/GMT{hour - 2:+d}" if hour < 14 else f"Etc/GMT{min(hour - 22, 12):+d}"
    loud = f"Etc/GMT{hour - 12:+d}"
    api.call("PATCH", f"/v1/customers/{ben}", {"time_zone": loud}, role="desk")
    permit = reserve(api, channel="phone")
    assert permit.status_code == 201, permit.json
    api.call("PATCH", f"/v1/customers/{ben}", {"time_zone": quiet}, role="desk")
    refused = use(api, permit.json["id"])
    assert refused.json["decision"]["reason"] == "quiet_hours", quiet
    assert refused.json["decision"]["next_allowed_at"] is not None
    api.call("PATCH", f"/v1/customers/{ben}", {"time_zone": loud}, role="desk")
    assert use(api, permit.json["id"]).status_code == 201


def test_permits_belong_to_the_keys_name(api: Api, ben: UUID) -> None:
    permit = reserve(api).json["id"]
    other, same = api.key("campaign", "another"), api.key("campaign", "campaign key")
    assert use(api, permit, key=other).status_code == 404
    assert api.call("GET", f"/v1/permits/{permit}", key=other).status_code == 404
    assert api.call("DELETE", f"/v1/permits/{permit}", key=other).status_code == 404
    assert use(api, permit, key=same).status_code == 201


@pytest.mark.parametrize("permit", ["x", "A" * 43, "%00", "A" * 500])
def test_an_id_that_nobody_has_is_404(api: Api, permit: str) -> None:
    assert use(api, permit).status_code == 404
    assert api.call("GET", f"/v1/permits/{permit}").json["code"] == "not_found"
    assert api.call("DELETE", f"/v1/permits/{permit}").json["code"] == "not_found"


def test_after_a_merge_permits_lead_to_the_survivor(api: Api, ben: UUID) -> None:
    permit, used = reserve(api, expires_in_seconds=900).json["id"], None
    survivor = api.customer("email:benjamin@example.com")
    api.turn(survivor, ("email", "offers", "busy"))
    used = api.post("/v1/permits", {**ASK, "customer": "email:benjamin@example.com"}).json["id"]
    first = use(api, used)
    assert api.post(f"/v1/customers/{survivor}/merge", {"other": str(ben)}, role="desk").status_code == 200
    assert api.call("GET", f"/v1/permits/{permit}").json["state"] == "open"
    # The quieter dial survived, and the survivor's contact fills it.
    assert use(api, permit).json["decision"]["reason"] == "volume_reached"
    assert use(api, used).json == first.json


def test_a_milestone_that_is_not_there_is_an_error(api: Api, ben: UUID) -> None:
    answer = reserve(api, milestone_id="m-1")
    assert (answer.status_code, answer.json["code"]) == (422, "unknown_milestone")


@pytest.mark.parametrize("seconds", [0, -1, 59, 604801, 315360000, 1.5, "60", True, None])
def test_a_permit_lives_from_a_minute_to_a_week(api: Api, ben: UUID, seconds: object) -> None:
    answer = reserve(api, expires_in_seconds=seconds)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "/expires_in_seconds"


def test_batches_answer_each_row_as_the_single_call(api: Api, ben: UUID) -> None:
    rows = [
        ASK,
        ASK,
        {**ASK, "topic": "shoes"},
        {**ASK, "customer": "email:cy@example.com"},
        {"customer": BEN},
    ]
    results = api.post("/v1/permits/batch", {"permits": rows}).json["results"]
    assert results[0]["allowed"] is True
    assert results[1]["error"]["code"] == "not_permitted"
    assert results[1]["decision"]["reason"] == "volume_reached"
    assert results[2]["error"]["code"] == "unknown_topic"
    assert results[3]["decision"]["reason"] == "unknown_customer"
    assert results[4]["error"]["code"] == "missing_field"
    one = results[0]["id"]
    used = api.post("/v1/permits/use-batch", {"ids": [one, one, "x", 7]}).json["results"]
    assert used[0]["id"] == used[1]["id"]
    assert [row["error"]["code"] for row in used[2:]] == ["not_found", "invalid_value"]
    released = api.post("/v1/permits/release-batch", {"ids": [one, "x"]}).json["results"]
    assert [row["error"]["code"] for row in released] == ["permit_used", "not_found"]


def test_an_essential_permit_takes_no_room(api: Api, ben: UUID) -> None:
    essential = reserve(api, topic="orders")
    assert essential.json["reason"] == "essential"
    assert use(api, essential.json["id"]).status_code == 201
    assert reserve(api).status_code == 201


DECISION = ("allowed", "reason", "level", "remaining", "next_allowed_at", "dialogue_id", "customer_id", "decided_at",
            "governed_by")  # fmt: skip


def decision_of(answer: TestResponse) -> dict[str, Any]:
    return {name: answer.json[name] for name in DECISION}


def test_the_history_of_a_permit_says_what_was_asked_and_what_came_of_it(api: Api, ben: UUID) -> None:
    at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    later = reserve(api, campaign="autumn", at=at)
    refused = reserve(api, campaign="winter")
    api.call("DELETE", f"/v1/permits/{later.json['id']}")
    now = reserve(api)
    used = use(api, now.json["id"])
    events = api.events(ben)[-5:]
    assert [one["type"] for one in events] == [
        "permit.reserved", "permit.refused", "permit.released", "permit.reserved", "contact.recorded",
    ]  # fmt: skip
    assert [one["source"] for one in events] == ["api", "api", None, "api", "api"]
    asked = {"channel": "email", "topic": "offers", "campaign": "autumn"}
    reserved, refusal, released, _, contact = (one["details"] for one in events)
    assert datetime.fromisoformat(reserved.pop("at")) == datetime.fromisoformat(at)
    permit = {name: later.json[name] for name in ("id", "valid_from", "expires_at")}
    assert reserved == {**asked, "permit": permit, "decision": decision_of(later)}
    assert refusal == {**asked, "campaign": "winter", "at": None, "decision": refused.json["decision"]}
    assert released == {**asked, "permit_id": later.json["id"]}
    assert contact == {
        "channel": "email",
        "topic": "offers",
        "at": None,
        "campaign": None,
        "contact_id": used.json["id"],
        "contacted_at": used.json["contacted_at"],
        "permit_id": now.json["id"],
        "decision": decision_of(used),
    }


@pytest.mark.parametrize("quiet", [True, False])
def test_the_history_of_a_refused_use_says_why_and_of_which_permit(api: Api, ben: UUID, quiet: bool) -> None:
    permit = reserve(api, campaign="autumn").json["id"]
    if quiet:
        age(api, "UPDATE channel SET quiet_from = '00:00', quiet_to = '23:59:59.999999' WHERE name = 'email'")
    else:
        api.turn(ben, ("*", "*", "silent"))
    refused = use(api, permit)
    assert refused.json["code"] == "not_permitted"
    event = api.events(ben)[-1]
    assert event["type"] == ("permit.refused" if quiet else "permit.voided")
    assert event["details"] == {
        "channel": "email",
        "topic": "offers",
        "at": None,
        "campaign": "autumn",
        "permit_id": permit,
        "decision": refused.json["decision"],
    }


def test_a_permit_shows_its_state_its_times_and_its_decision(api: Api, ben: UUID) -> None:
    def show(permit: str) -> dict[str, Any]:
        return dict(api.call("GET", f"/v1/permits/{permit}").json)

    made = reserve(api, campaign="autumn")
    permit = made.json["id"]
    still = {
        "id": permit,
        "channel": "email",
        "topic": "offers",
        "campaign": "autumn",
        "valid_from": made.json["valid_from"],
        "expires_at": made.json["expires_at"],
        "decision": decision_of(made),
    }
    assert show(permit) == {**still, "state": "open", "ended_at": None, "contact_id": None}
    used = use(api, permit)
    ended = {"state": "used", "ended_at": used.json["decided_at"], "contact_id": used.json["id"]}
    assert show(permit) == {**still, **ended}
    assert made.json["valid_from"] == made.json["decided_at"]
    lives = datetime.fromisoformat(made.json["expires_at"]) - datetime.fromisoformat(made.json["valid_from"])
    assert lives == timedelta(days=1)


def test_a_permit_of_somebody_erased_is_no_more(api: Api, ben: UUID) -> None:
    permit = reserve(api).json["id"]
    api.post(f"/v1/customers/{ben}/erase", role="desk")
    assert api.call("GET", f"/v1/permits/{permit}").json["code"] == "not_found"
    assert use(api, permit).json["code"] == "not_found"
    assert api.call("DELETE", f"/v1/permits/{permit}").json["code"] == "not_found"


def test_a_permit_remembers_the_contact_point_that_it_was_asked_for(api: Api) -> None:
    ben = api.customer(BEN, "email:ben@work.example")
    api.turn(ben, ("email", "offers", "busy"))
    home, work, whole = (reserve(api, customer=one).json["id"] for one in (BEN, "email:ben@work.example", f"id:{ben}"))
    body = {"contact_point": BEN, "kind": "all", "reason": "bounced"}
    assert api.post("/v1/suppressions", body, role="desk").status_code == 201
    assert use(api, work).status_code == 201
    assert use(api, home).json["decision"]["reason"] == "suppressed"
    assert use(api, whole).json["decision"]["reason"] == "suppressed"


def test_permits_of_many_customers_are_used_and_released_in_one_batch(api: Api, ben: UUID) -> None:
    api.turn(ben, ("email", "offers", "busy"))
    ada = api.customer("email:ada@example.com")
    api.turn(ada, ("email", "offers", "busy"))
    names = [BEN, "email:ada@example.com", BEN, "email:ada@example.com"]
    ids = [reserve(api, customer=one).json["id"] for one in names]
    released = api.post("/v1/permits/release-batch", {"ids": [ids[0], ids[1], ids[0]]}).json["results"]
    assert released == [{"id": one, "state": "released"} for one in (ids[0], ids[1], ids[0])]
    used = api.post("/v1/permits/use-batch", {"ids": [ids[0], ids[2], ids[3], ids[3]]}).json["results"]
    assert used[0]["error"]["code"] == "permit_released"
    assert [one["permit_id"] for one in used[1:]] == [ids[2], ids[3], ids[3]]
    assert used[2] == used[3]


def test_what_had_ended_is_released_as_what_it_is(api: Api, ben: UUID) -> None:
    api.turn(ben, ("email", "offers", "busy"))
    expired, void = (reserve(api).json["id"] for _ in range(2))
    age(
        api,
        "UPDATE permit SET expires_at = clock_timestamp()"
        " WHERE permit_id = (SELECT permit_id FROM permit ORDER BY permit_id LIMIT 1)",
    )
    api.turn(ben, ("*", "*", "silent"))
    assert use(api, void).status_code == 409
    before = api.events(ben)
    released = api.post("/v1/permits/release-batch", {"ids": [expired, void]}).json["results"]
    assert [one["state"] for one in released] == ["expired", "void"]
    assert api.events(ben) == before


def test_permits_of_a_customer_are_used_one_after_the_other_also_in_one_batch(api: Api, ben: UUID) -> None:
    api.turn(ben, ("email", "offers", "busy"))
    ids = [reserve(api).json["id"] for _ in range(3)]
    api.turn(ben, ("email", "offers", "weekly"))
    used = api.post("/v1/permits/use-batch", {"ids": ids}).json["results"]
    assert [one.get("allowed") for one in used] == [True, None, None]
    assert [one["decision"]["reason"] for one in used[1:]] == ["volume_reached"] * 2


def test_a_key_of_the_same_name_uses_permits_of_its_own_topics_only(api: Api, ben: UUID) -> None:
    permit = reserve(api).json["id"]
    wine = api.key("campaign", "campaign key", topics=["offers/wine"])
    assert use(api, permit, key=wine).json["code"] == "topic_not_allowed"
    assert use(api, permit).status_code == 201


def test_a_permit_from_a_moment_ago_begins_now(api: Api, ben: UUID) -> None:
    permit = reserve(api, at=(datetime.now(UTC) - timedelta(minutes=3)).isoformat())
    assert permit.json["valid_from"] == permit.json["decided_at"]


def test_a_permit_that_expires_while_it_is_read_is_not_used(
    api: Api, ben: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    permit = reserve(api).json["id"]
    read = store.permits

    def read_slowly(*arguments: Any) -> Any:
        found = read(*arguments)
        time.sleep(1)
        return found

    monkeypatch.setattr(store, "permits", read_slowly)
    age(api, "UPDATE permit SET expires_at = clock_timestamp() + interval '0.9 s'")
    assert use(api, permit).json["code"] == "permit_expired"
    assert [event["type"] for event in api.events(ben)][-1] == "permit.reserved"
