"""The desk shows what stands, why, how much is used, and what would be."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent_service.catalogue.model import Cap
from consent_service.dials.desk import FOLLOWS, desk, is_louder, one_step_down, turned, turnings
from consent_service.dials.outlook import outlook
from tests.dials.desks import cell, desk_of, speaking
from tests.support.api import CATALOGUE, Api

CHANNELS = ["*", *CATALOGUE["channels"]]
TOPICS = ["*", *CATALOGUE["topics"]]
LEVELS = [level["name"] for level in CATALOGUE["levels"]]


@pytest.fixture
def ben(api: Api) -> UUID:
    return api.customer("email:ben@example.com")


def test_a_held_place_says_which_dial_holds_it(api: Api, ben: UUID) -> None:
    api.turn(ben, ("*", "offers/wine", "everything"), ("email", "*", "monthly"))
    shown = desk_of(api, ben)
    wine = cell(shown, "email", "offers/wine")
    say = speaking(shown)
    assert say.heard(wine) == "About monthly"
    assert say.why(wine) == "Held to “About monthly” by your dial “Email”."
    assert say.heard(cell(shown, "sms", "offers/wine")) == "Everything"


def test_what_was_never_asked_for_says_so(api: Api, ben: UUID) -> None:
    shown = desk_of(api, ben)
    say, wine = speaking(shown), cell(shown, "email", "offers/wine")
    assert (say.heard(wine), say.why(wine), say.used(wine)) == ("Nothing", "You have not asked for it.", "")
    events = cell(shown, "email", "events")
    assert say.heard(events) == "About monthly"
    assert say.why(events) == "“About monthly” is what we assume, as you have not chosen."


def test_a_permit_taken_a_second_ago_is_counted(api: Api, ben: UUID) -> None:
    api.turn(ben, ("*", "offers", "monthly"))
    shown = desk_of(api, ben)
    assert speaking(shown).used(cell(shown, "email", "offers")) == "0 of 1 in the last 30 days · next possible now"
    assert api.post("/v1/permits", {"customer": f"id:{ben}", "channel": "email", "topic": "offers"}).status_code == 201
    shown = desk_of(api, ben)
    assert (
        speaking(shown)
        .used(cell(shown, "email", "offers"))
        .startswith("1 of 1 in the last 30 days · next possible on ")
    )


def test_a_place_without_a_setting_follows(api: Api, ben: UUID) -> None:
    api.turn(ben, ("*", "offers", "weekly"))
    shown = desk_of(api, ben)
    dial = cell(shown, "email", "offers").dial
    assert dial is not None
    assert dial.saved == FOLLOWS
    assert [stop.value for stop in dial.stops] == [FOLLOWS, *LEVELS]
    top = next(row for row in shown.rows if row.topic.name == "offers")
    assert top.dial.saved == "weekly"
    assert FOLLOWS not in {stop.value for stop in top.dial.stops}
    assert {row.topic.name: row.dial.saved for row in top.below} == {"offers/wine": FOLLOWS, "offers/garden": FOLLOWS}


def test_taking_a_dial_away_is_louder_when_more_comes_through_without_it(api: Api, ben: UUID) -> None:
    api.turn(ben, ("*", "offers", "everything"), ("email", "offers/wine", "silent"), ("sms", "events", "weekly"))
    shown = desk_of(api, ben)
    assert is_louder(shown.facts, shown.reaches, ("email", "offers/wine"), None)
    assert not is_louder(shown.facts, shown.reaches, ("*", "offers"), None)
    assert not is_louder(shown.facts, shown.reaches, ("sms", "events"), None)


def test_what_is_chosen_is_shown_beside_what_stands(api: Api, ben: UUID) -> None:
    api.turn(ben, ("*", "offers", "weekly"))
    shown = desk(
        desk_of(api, ben).facts, {("*", "offers"): "daily", ("email", "*"): "rarely", ("*", "*"): "everything"}
    )
    told = [(one.dial.place, one.old.value, one.new.value, one.louder) for one in turnings(shown)]
    assert told == [(("email", "*"), "everything", "rarely", False), (("*", "offers"), "weekly", "daily", True)]


def test_essential_topics_have_no_dial_and_always_come(api: Api, ben: UUID) -> None:
    shown = desk_of(api, ben)
    assert [topic.name for topic in shown.always] == ["orders"]
    assert not [dial for dial in shown.dials if dial.place[1] == "orders"]
    # A topic of another basis below an essential one stands by itself.
    assert "orders/tips" in [row.topic.name for row in shown.rows]


def test_the_summary_says_what_comes_through_what_and_how_often(api: Api, ben: UUID) -> None:
    api.turn(ben, ("*", "offers/wine", "everything"), ("email", "*", "busy"), ("sms", "*", "silent"))
    shown = desk_of(api, ben)
    told = dict(speaking(shown).summary(outlook(shown)))
    assert told["Email"] == "Wine. Events: at most one in 30 days. All of it together at most 5 in 7 days."
    assert told["Text message"] == "Nothing."
    assert told["Post"] == "Wine. Events: at most one in 30 days."
    assert told["Always"] == "Your orders: you need to know these."


def test_a_topic_speaks_for_those_below_it(api: Api, ben: UUID) -> None:
    api.turn(ben, ("*", "offers", "weekly"), ("*", "events", "silent"))
    shown = desk_of(api, ben)
    assert dict(speaking(shown).summary(outlook(shown)))["Email"] == "Offers: at most one in 7 days."


def test_a_pause_is_told_where_it_holds(api: Api, ben: UUID) -> None:
    api.call("PUT", f"/v1/customers/{ben}/pause", {"until": "2030-05-04T00:00:00Z", "channel": "email"}, role="desk")
    shown = desk_of(api, ben)
    assert [fader.channel.name for fader in shown.faders if fader.paused_until] == ["email"]
    told = dict(speaking(shown).summary(outlook(shown)))
    assert "Paused until" in told["Email"]
    assert "Paused" not in told["Post"]


@pytest.mark.parametrize("locale", ["en", "de", "fr", "ar"])
def test_a_name_in_another_language_says_which(api: Api, ben: UUID, locale: str) -> None:
    shown = desk_of(api, ben)
    name = speaking(shown, locale).channel("email")
    assert name == ("Email" if locale == "en" else '<span lang="en">Email</span>')


PLACES = st.dictionaries(
    st.tuples(st.sampled_from(CHANNELS), st.sampled_from(TOPICS)), st.sampled_from(LEVELS), min_size=0, max_size=6
)


def test_a_preview_is_what_the_decision_says_once_it_is_saved(api: Api) -> None:
    numbers = iter(range(10_000))

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(PLACES, PLACES)
    def holds(first: dict[tuple[str, str], str], then: dict[tuple[str, str], str]) -> None:
        one = api.customer(f"email:p{next(numbers)}@example.com")
        if first:
            api.turn(one, *[(*place, level) for place, level in first.items()])
        before = desk_of(api, one)
        expected = turned(before, {**then, **dict.fromkeys(first.keys() - then.keys())})
        removed = [(*place, None) for place in first.keys() - then.keys()]
        if then or removed:
            assert api.turn(one, *[(*place, level) for place, level in then.items()], *removed).status_code == 200
        after = desk_of(api, one).reaches
        for place, reach in after.items():
            told = expected[place]
            assert (told.granted, told.level, told.essential) == (reach.granted, reach.level, reach.essential), place
            assert {(each.kind, each.place) for each in told.holders} == {
                (each.kind, each.place) for each in reach.holders
            }, place

    holds()


def test_one_step_down_makes_all_that_is_heard_quieter(api: Api) -> None:
    numbers = iter(range(10_000))

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(PLACES)
    def holds(first: dict[tuple[str, str], str]) -> None:
        one = api.customer(f"email:q{next(numbers)}@example.com")
        if first:
            api.turn(one, *[(*place, level) for place, level in first.items()])
        before = desk_of(api, one)
        down = one_step_down(before)
        for place, level in down:
            assert not is_louder(before.facts, before.reaches, place, level)
        after = turned(before, dict(down))
        for place, reach in before.reaches.items():
            assert not after[place].louder_than(reach)
            if reach.heard and not reach.essential:
                assert not after[place].granted or after[place].level != reach.level

    holds()


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("en", "At most one a day."),
        ("de", "Höchstens eine am Tag."),
        ("fr", "Au plus une fois par jour."),
        ("ar", "مرة واحدة في اليوم على الأكثر."),
    ],
)
def test_a_day_is_said_as_people_say_it(api: Api, ben: UUID, locale: str, said: str) -> None:
    shown = desk_of(api, ben)
    say = speaking(shown, locale)
    assert say.meaning(shown.facts.catalogue.levels["daily"]) == said
    assert f"{say.limit(Cap(1, 86400))}.".casefold() == said.casefold()
