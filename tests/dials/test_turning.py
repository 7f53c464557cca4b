"""Who may turn a dial, which way, and what each direction needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from werkzeug.test import TestResponse

from consent_service.dials import service
from consent_service.dials.model import SOURCES, Change, Wish
from consent_service.errors import ConsentError
from tests.support.api import CATALOGUE, EVIDENCE, NOTICE, SYSTEM, Api
from tests.support.contract import document


@pytest.fixture
def ben(api: Api) -> UUID:
    return api.customer("email:ben@example.com")


def token(api: Api, customer_id: UUID) -> str:
    made = api.post(f"/v1/customers/{customer_id}/tokens", role="desk")
    return str(made.json["token"])


def turn(api: Api, customer_id: UUID, level: str | None, *, place: tuple[str, str] = ("email", "offers"),
         key: str | None = None, headers: dict[str, str] | None = None, **fields: Any) -> TestResponse:  # fmt: skip
    body = {"changes": [{"channel": place[0], "topic": place[1], "level": level}], "source": "web", **fields}
    path = f"/v1/customers/{customer_id}/dials"
    return api.call("PATCH", path, body, role="desk", key=key, headers=headers)


def days_ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


def level_of(answer: TestResponse, place: tuple[str, str] = ("email", "offers")) -> str | None:
    found = [one["level"] for one in answer.json["dials"] if (one["channel"], one["topic"]) == place]
    return found[0] if found else None


def test_the_customer_turns_louder_with_a_notice(api: Api, ben: UUID) -> None:
    answer = turn(api, ben, "weekly", key=token(api, ben), notice=NOTICE)
    assert answer.status_code == 200
    assert level_of(answer) == "weekly"
    assert answer.headers["ETag"] == '"1"'
    event = api.events(ben)[-1]
    assert event["type"] == "dials.changed"
    assert event["actor"] == {"role": "customer", "name": str(ben)}
    assert event["notice"] == {**NOTICE, "text": "We keep your choices and follow them."}
    assert event["before"][0]["level"] is None
    assert event["after"][0]["level"] == "weekly"


def test_louder_without_a_notice_is_refused_and_nothing_is_stored(api: Api, ben: UUID) -> None:
    key = token(api, ben)
    before = api.events(ben)
    answer = turn(api, ben, "weekly", key=key)
    assert (answer.status_code, answer.json["code"]) == (422, "notice_required")
    assert answer.json["errors"][0]["pointer"] == "/changes/0"
    assert api.events(ben) == before


def test_the_desk_needs_evidence_to_turn_louder(api: Api, ben: UUID) -> None:
    for evidence in (None, {}):
        answer = turn(api, ben, "weekly", notice=NOTICE, evidence=evidence)
        assert (answer.status_code, answer.json["code"]) == (422, "evidence_required")
    assert turn(api, ben, "weekly", notice=NOTICE, evidence=EVIDENCE).status_code == 200


def test_quieter_needs_nothing(api: Api, ben: UUID) -> None:
    api.turn(ben, ("email", "offers", "everything"))
    assert turn(api, ben, "rarely").status_code == 200
    assert turn(api, ben, "silent", key=token(api, ben)).status_code == 200
    assert turn(api, ben, "weekly", place=("*", "*")).status_code == 200


def test_a_change_with_one_louder_place_is_louder_and_all_or_nothing(api: Api, ben: UUID) -> None:
    api.turn(ben, ("email", "offers", "weekly"))
    body = {
        "changes": [
            {"channel": "email", "topic": "offers", "level": "silent"},
            {"channel": "post", "topic": "offers", "level": "weekly"},
        ],
        "source": "web",
    }
    answer = api.call("PATCH", f"/v1/customers/{ben}/dials", body, role="desk")
    assert answer.json["errors"][0]["pointer"] == "/changes/1"
    now = api.call("GET", f"/v1/customers/{ben}/dials", role="desk")
    assert level_of(now) == "weekly"


@pytest.mark.parametrize(
    ("place", "level", "louder"),
    [
        (("email", "offers"), "silent", False),  # a consent topic without a dial is silent
        (("email", "offers"), "on_request", True),
        (("*", "events"), "monthly", False),  # the default of the topic
        (("*", "events"), "weekly", True),
        (("email", "*"), "everything", False),  # a fader without a dial is open
        (("*", "orders"), "everything", False),  # an essential topic too
    ],
)
def test_a_place_without_a_dial_stands_where_the_rules_say(
    api: Api, ben: UUID, place: tuple[str, str], level: str, louder: bool
) -> None:
    assert turn(api, ben, level, place=place).status_code == (422 if louder else 200)


def test_removing_a_dial_turns_it_to_where_the_place_stands_without_one(api: Api, ben: UUID) -> None:
    api.turn(ben, ("email", "*", "weekly"), ("email", "offers", "weekly"))
    assert turn(api, ben, None, place=("email", "*")).json["code"] == "notice_required"
    answer = turn(api, ben, None)
    assert answer.status_code == 200
    assert level_of(answer) is None
    assert api.check("email:ben@example.com", "email", "offers")["reason"] == "no_consent"


def test_saying_the_same_again_makes_no_event(api: Api, ben: UUID) -> None:
    api.turn(ben, ("email", "offers", "weekly"))
    before = api.events(ben)
    answer = api.turn(ben, ("email", "offers", "weekly"))
    assert answer.headers["ETag"] == '"1"'
    assert api.events(ben) == before


def test_saying_the_same_again_renews_a_consent_that_ends(api: Api, ben: UUID) -> None:
    place = ("email", "offers/garden")
    first = turn(api, ben, "weekly", place=place, notice=NOTICE, evidence=EVIDENCE, occurred_at=days_ago(20))
    again = turn(api, ben, "weekly", place=place, evidence=EVIDENCE)
    ends = [answer.json["dials"][0]["expires_at"] for answer in (first, again)]
    assert datetime.fromisoformat(ends[1]) - datetime.fromisoformat(ends[0]) > timedelta(days=19)
    assert [event["type"] for event in api.events(ben)].count("dials.changed") == 2
    earlier = turn(api, ben, "weekly", place=place, evidence=EVIDENCE, occurred_at=days_ago(10))
    assert earlier.json["dials"][0]["expires_at"] == ends[1]


def test_an_ended_consent_no_longer_grants_but_its_dial_limits(api: Api, ben: UUID) -> None:
    place = ("email", "offers/garden")
    turn(api, ben, "weekly", place=place, notice=NOTICE, evidence=EVIDENCE, occurred_at=days_ago(31))
    answer = api.check("email:ben@example.com", *place)
    assert (answer["reason"], answer["level"], answer["next_allowed_at"]) == ("consent_expired", None, None)
    assert [one["level"] for one in answer["governed_by"]] == ["weekly"]
    api.turn(ben, ("*", "offers", "everything"))
    assert api.check("email:ben@example.com", *place)["level"] == "weekly"


def test_an_earlier_act_never_makes_a_later_one_louder(api: Api, ben: UUID) -> None:
    turn(api, ben, "silent", occurred_at=days_ago(5))
    late = turn(api, ben, "weekly", notice=NOTICE, evidence=EVIDENCE, occurred_at=days_ago(6))
    assert (late.status_code, late.json["code"]) == (409, "superseded")
    assert turn(api, ben, "weekly", notice=NOTICE, evidence=EVIDENCE, occurred_at=days_ago(4)).status_code == 200
    # Quieter always applies, and the date of the latest act is kept.
    assert level_of(turn(api, ben, "silent", occurred_at=days_ago(9))) == "silent"
    between = turn(api, ben, "weekly", notice=NOTICE, evidence=EVIDENCE, occurred_at=days_ago(4.5))
    assert between.json["code"] == "superseded"


def test_removing_a_dial_is_an_act_that_later_imports_must_follow(api: Api, ben: UUID) -> None:
    api.turn(ben, ("email", "offers", "weekly"))
    turn(api, ben, None)
    late = turn(api, ben, "weekly", notice=NOTICE, evidence=EVIDENCE, occurred_at=days_ago(1))
    assert late.json["code"] == "superseded"


@pytest.mark.parametrize("source", ["import", "api"])
def test_second_hand_wishes_bring_a_date_and_evidence(api: Api, ben: UUID, source: str) -> None:
    def louder(level: str, **fields: Any) -> TestResponse:
        return turn(api, ben, level, source=source, **fields)

    assert louder("weekly", evidence=EVIDENCE).json["code"] == "occurred_at_required"
    assert louder("weekly", occurred_at=days_ago(9)).json["code"] == "evidence_required"
    assert louder("weekly", occurred_at=days_ago(9), evidence=EVIDENCE).status_code == 200
    assert louder("daily", occurred_at=days_ago(10), evidence=EVIDENCE).json["code"] == "superseded"
    assert louder("daily", evidence=EVIDENCE).json["code"] == "occurred_at_required"
    assert louder("silent").status_code == 200


def test_an_act_may_be_a_minute_ahead_and_is_stored_as_now(api: Api, ben: UUID) -> None:
    ahead = turn(api, ben, "weekly", place=("*", "*"), occurred_at=days_ago(-59 / 86_400))
    assert ahead.status_code == 200
    assert datetime.fromisoformat(ahead.json["dials"][0]["set_at"]) <= datetime.now(UTC)
    for _ in range(20):
        began = datetime.now(UTC)
        further = turn(api, ben, "silent", occurred_at=(began + timedelta(seconds=60.9)).isoformat())
        if datetime.now(UTC) - began < timedelta(seconds=0.8):
            break
    assert (further.status_code, further.json["code"]) == (422, "invalid_timestamp")


def test_the_history_says_what_was_before_and_after_and_on_whose_word(api: Api, ben: UUID) -> None:
    api.turn(ben, ("email", "offers/garden", "weekly"))
    said = days_ago(0)
    louder = ("email", "offers/garden", "daily"), ("*", "*", "busy")
    dials = api.turn(ben, *louder, occurred_at=said).json["dials"]
    [ends] = [one["expires_at"] for one in dials if one["topic"] == "offers/garden"]
    first, second = api.events(ben)[-2:]
    assert (first["details"], second["details"]) == ({"louder": True}, {"louder": True})
    assert (second["source"], second["evidence"]) == ("phone", EVIDENCE)
    assert second["notice"] == {**NOTICE, "text": "We keep your choices and follow them."}
    assert datetime.fromisoformat(second["occurred_at"]) == datetime.fromisoformat(said)
    assert second["before"] == [
        first["after"][0],
        {"channel": "*", "topic": "*", "level": None, "expires_at": None},
    ]
    assert first["before"][0] == {"channel": "email", "topic": "offers/garden", "level": None, "expires_at": None}
    assert second["after"] == [
        {"channel": "email", "topic": "offers/garden", "level": "daily", "expires_at": ends},
        {"channel": "*", "topic": "*", "level": "busy", "expires_at": None},
    ]
    turn(api, ben, "silent")
    turn(api, ben, "silent", place=("email", "offers/garden"))
    quieter = api.events(ben)[-1]
    assert (quieter["details"], quieter["notice"], quieter["evidence"]) == ({"louder": False}, None, None)


def test_a_place_that_stands_twice_in_a_change_is_refused_with_its_index(api: Api, ben: UUID) -> None:
    answer = api.turn(ben, ("email", "offers", "silent"), ("sms", "offers", "silent"), ("email", "offers", "weekly"))
    assert (answer.status_code, answer.json["code"]) == (422, "duplicate_place")
    [error] = answer.json["errors"]
    assert (error["pointer"], error["code"]) == ("/changes/2", "duplicate_place")
    assert answer.json["detail"] == f"/changes/2: {error['detail']}"


def test_five_hundred_places_are_one_change_and_one_more_is_refused(api: Api, ben: UUID) -> None:
    change = {"channel": "email", "topic": "offers", "level": "silent"}
    for many, code in ((500, "duplicate_place"), (501, "too_many_items")):
        body = {"changes": [change] * many, "source": "web"}
        assert api.call("PATCH", f"/v1/customers/{ben}/dials", body, role="desk").json["code"] == code


@pytest.mark.parametrize("source", SOURCES)
def test_a_wish_is_quieter_wherever_it_came_from(api: Api, ben: UUID, source: str) -> None:
    answer = turn(api, ben, "rarely", place=("*", "*"), source=source)
    assert answer.status_code == 200
    assert answer.json["dials"][0]["source"] == source


def test_the_sources_are_those_that_the_interface_names() -> None:
    assert document()["components"]["schemas"]["Source"]["enum"] == list(SOURCES)


def test_what_is_retired_is_turned_down_and_not_up(api: Api, ben: UUID) -> None:
    api.turn(ben, ("email", "offers/wine", "weekly"), ("chat", "*", "weekly"))
    topics = {name: topic for name, topic in CATALOGUE["topics"].items() if name != "offers/wine"}
    channels = {name: channel for name, channel in CATALOGUE["channels"].items() if name != "chat"}
    api.apply({**CATALOGUE, "topics": topics, "channels": channels})
    for place, code in ((("email", "offers/wine"), "topic_retired"), (("chat", "*"), "channel_retired")):
        louder = turn(api, ben, "daily", place=place, notice=NOTICE, evidence=EVIDENCE)
        assert (louder.status_code, louder.json["code"]) == (422, code)
        assert turn(api, ben, "rarely", place=place).status_code == 200


@pytest.mark.parametrize("act", ["turn", "pause", "end_pause"])
def test_who_was_erased_meanwhile_has_no_dials_to_turn(api: Api, act: str) -> None:
    acts: dict[str, tuple[Any, ...]] = {
        "turn": (Wish((Change("email", "offers", "silent"),), "web"),),
        "pause": ("*", datetime.now(UTC) + timedelta(days=1)),
        "end_pause": ("*",),
    }
    with pytest.raises(ConsentError) as refused, api.database.transaction() as conn:
        getattr(service, act)(conn, api.keyring, SYSTEM, uuid4(), *acts[act])
    assert refused.value.code == "unknown_customer"


def test_no_catalogue_comes_between_reading_a_place_and_turning_it(api: Api, ben: UUID) -> None:
    wish = Wish((Change("email", "offers", "silent"),), "web")
    with api.database.transaction() as conn:
        service.turn(conn, api.keyring, SYSTEM, ben, wish)
        assert not api.catalogue_may_come()
    assert api.catalogue_may_come()


def test_an_act_of_the_future_is_refused(api: Api, ben: UUID) -> None:
    answer = turn(api, ben, "silent", occurred_at=days_ago(-1))
    assert (answer.status_code, answer.json["code"]) == (422, "invalid_timestamp")


def test_a_stale_version_is_refused_unless_it_is_quieter(api: Api, ben: UUID) -> None:
    api.turn(ben, ("email", "offers", "weekly"))
    api.turn(ben, ("email", "offers", "monthly"))
    stale = {"If-Match": '"1"'}
    louder = turn(api, ben, "daily", notice=NOTICE, evidence=EVIDENCE, headers=stale)
    assert (louder.status_code, louder.json["code"]) == (412, "stale_version")
    assert turn(api, ben, "monthly", headers=stale).status_code == 200
    quieter = turn(api, ben, "rarely", headers=stale)
    assert level_of(quieter) == "rarely"
    fresh = {"If-Match": quieter.headers["ETag"]}
    assert turn(api, ben, "daily", notice=NOTICE, evidence=EVIDENCE, headers=fresh).status_code == 200


def test_unknown_names_are_named_with_their_place(api: Api, ben: UUID) -> None:
    for place, level, code, pointer in (
        (("fax", "offers"), "weekly", "unknown_channel", "/changes/0/channel"),
        (("email", "shoes"), "weekly", "unknown_topic", "/changes/0/topic"),
        (("email", "offers"), "Weekly", "unknown_level", "/changes/0/level"),
    ):
        answer = turn(api, ben, level, place=place, notice=NOTICE, evidence=EVIDENCE)
        assert (answer.status_code, answer.json["code"]) == (422, code)
        assert answer.json["errors"][0]["pointer"] == pointer
    unknown = turn(api, ben, "weekly", notice={**NOTICE, "locale": "fr"}, evidence=EVIDENCE)
    assert unknown.json["code"] == "unknown_notice"


def test_a_channel_that_wants_confirmation_is_not_turned_up_without_one(api: Api, ben: UUID) -> None:
    chat = {**CATALOGUE["channels"]["chat"], "confirm": True}
    api.apply({**CATALOGUE, "channels": {**CATALOGUE["channels"], "chat": chat}})
    # The place of all channels waits for those by which the customer can be reached.
    api.post(f"/v1/customers/{ben}/identifiers", {"identifier": "loyalty:1"}, role="desk")
    for place in (("chat", "offers"), ("*", "offers")):
        answer = turn(api, ben, "weekly", place=place, notice=NOTICE, evidence=EVIDENCE)
        assert answer.json["code"] == "confirmation_required"
    assert turn(api, ben, "silent", place=("chat", "offers")).status_code == 200


def test_a_dial_turned_is_in_the_next_answer(api: Api, ben: UUID) -> None:
    api.turn(ben, ("email", "offers", "weekly"))
    assert api.check("email:ben@example.com", "email", "offers/wine")["allowed"] is True
    turn(api, ben, "silent")
    assert api.check("email:ben@example.com", "email", "offers/wine")["reason"] == "silent"


def test_the_mix_says_what_is_heard_in_the_end(api: Api, ben: UUID) -> None:
    answer = api.turn(ben, ("*", "offers", "daily"), ("email", "*", "monthly"))
    mix = {(one["channel"], one["topic"]): one for one in answer.json["mix"]}
    assert len(mix) == 5 * 6
    assert (mix["email", "offers/wine"]["level"], mix["email", "offers/wine"]["granted"]) == ("monthly", True)
    assert (mix["post", "offers"]["level"], mix["post", "offers"]["granted"]) == ("daily", True)
    assert (mix["email", "events"]["level"], mix["email", "events"]["granted"]) == ("monthly", True)
    assert (mix["post", "orders"]["level"], mix["post", "orders"]["granted"]) == (None, True)
    assert (mix["post", "orders/tips"]["level"], mix["post", "orders/tips"]["granted"]) == ("silent", False)
    assert [one["level"] for one in mix["email", "offers"]["governed_by"]] == ["monthly", "daily"]


def test_a_campaign_key_turns_no_dial(api: Api, ben: UUID) -> None:
    body = {"changes": [{"channel": "email", "topic": "offers", "level": "silent"}], "source": "api"}
    assert api.call("PATCH", f"/v1/customers/{ben}/dials", body).status_code == 403


def test_a_second_hand_wish_without_a_later_date_renews_no_consent(api: Api, ben: UUID) -> None:
    place = ("email", "offers/garden")
    turn(api, ben, "weekly", place=place, notice=NOTICE, evidence=EVIDENCE, occurred_at=days_ago(31))
    for level in ("weekly", "monthly"):
        assert turn(api, ben, level, place=place, source="api", evidence=EVIDENCE).status_code == 200
        assert api.check("email:ben@example.com", *place)["reason"] == "consent_expired"
    later = turn(api, ben, "monthly", place=place, source="api", evidence=EVIDENCE, occurred_at=days_ago(0))
    assert later.status_code == 200
    assert api.check("email:ben@example.com", *place)["allowed"] is True


def test_a_first_dial_at_second_hand_brings_a_date_also_where_it_is_not_louder(api: Api, ben: UUID) -> None:
    for place, level in ((("*", "orders"), "everything"), (("email", "events"), "monthly")):
        assert turn(api, ben, level, place=place, source="import").json["code"] == "occurred_at_required"
        dated = turn(api, ben, level, place=place, source="import", occurred_at=days_ago(1))
        assert dated.json["code"] == "evidence_required"
    assert turn(api, ben, "rarely", place=("email", "events"), source="import").status_code == 200


def test_a_customer_cannot_call_their_own_wish_second_hand(api: Api, ben: UUID) -> None:
    fields = {"source": "api", "evidence": EVIDENCE, "occurred_at": days_ago(0.1)}
    assert turn(api, ben, "weekly", key=token(api, ben), **fields).json["code"] == "notice_required"


def test_quieter_is_not_refused_for_its_notice(api: Api, ben: UUID) -> None:
    api.turn(ben, ("email", "offers", "weekly"))
    assert turn(api, ben, "silent", notice={**NOTICE, "locale": "xx"}).status_code == 200


def test_the_mix_grants_what_a_silent_fader_only_limits(api: Api, ben: UUID) -> None:
    answer = turn(api, ben, "silent", place=("email", "*"))
    mix = {(one["channel"], one["topic"]): one for one in answer.json["mix"]}
    assert (mix["email", "events"]["level"], mix["email", "events"]["granted"]) == ("silent", True)


def test_a_token_ends_with_the_key_that_made_it(api: Api, ben: UUID) -> None:
    desk = api.key("desk", "a desk that leaves")
    made = api.post(f"/v1/customers/{ben}/tokens", key=desk).json["token"]
    assert api.call("GET", f"/v1/customers/{ben}/dials", key=made).status_code == 200
    own_id = api.call("GET", "/v1/keys", role="admin").json["keys"]
    leaving = next(one["id"] for one in own_id if one["name"] == "a desk that leaves")
    assert api.call("DELETE", f"/v1/keys/{leaving}", role="admin").status_code == 204
    assert api.call("GET", f"/v1/customers/{ben}/dials", key=made).status_code == 401


def test_a_request_sent_again_brings_no_erased_person_back(api: Api) -> None:
    again = {"Idempotency-Key": "create-ada"}
    body = {"identifiers": ["email:ada@example.com"]}
    made = api.call("POST", "/v1/customers", body, role="desk", headers=again)
    assert made.status_code == 201
    api.post(f"/v1/customers/{made.json['id']}/erase", role="desk")
    late = api.call("POST", "/v1/customers", body, role="desk", headers=again)
    assert (late.status_code, late.json["code"]) == (409, "customer_erased")
    assert api.check("email:ada@example.com", "email", "events")["reason"] == "erased"
