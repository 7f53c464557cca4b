"""The rules page in Python gives the answers of the shared cases, and keeps the promises that the page makes.

Source: rules, sections 1 to 3, and the shared cases of decisions.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import astuple, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.support.rules import (
    EVERY,
    MICROSECOND,
    ROWS,
    Answer,
    Catalogue,
    Contact,
    Customer,
    Dial,
    Pause,
    Permit,
    PointSuppression,
    Suppression,
    covers,
    decide,
    duration,
)
from tests.support.worlds import World, worlds

ROOT = Path(__file__).parents[2]
CASES = Path(os.environ.get("CONSENT_SHARED_DIR", ROOT.parent / "shared")) / "cases"
NOW = datetime(2026, 6, 17, 12, 0, 0, 1, tzinfo=UTC)
SETTINGS = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))

Case = dict[str, Any]


def ask(world: World, *, customer: Customer | None = None, instant: datetime | None = None) -> Answer:
    return decide(
        world.catalogue,
        customer or world.customer,
        world.channel,
        world.topic,
        instant or world.instant,
        point=world.point,
    )


# The shared cases.


def cases() -> list[Any]:
    path = CASES / "decisions.yaml"
    if not path.exists():
        return [pytest.param({}, marks=pytest.mark.skip(reason=f"no shared cases at {path}"))]
    return [pytest.param(case, id=case["name"]) for case in yaml.safe_load(path.read_text(encoding="utf-8"))]


def customer_of(given: Case) -> Customer:
    """The customer a case describes: `ago` and `in` count from NOW, a dial is without end."""
    known = {"customer", "dials", "contacts", "pause", "suppressions", "permits"}
    assert set(given) <= known, f"the case knows more than this test: {set(given) - known}"
    pause = given.get("pause")
    return Customer(
        state=given.get("customer", "active"),
        dials=tuple(Dial(**row) for row in given.get("dials", ())),
        pauses=(Pause(pause.get("channel", EVERY), NOW + duration(pause["in"])),) if pause else (),
        suppressions=tuple(Suppression(row.get("channel"), row["kind"]) for row in given.get("suppressions", ())),
        contacts=tuple(
            Contact(row["channel"], row["topic"], NOW - duration(row["ago"])) for row in given.get("contacts", ())
        ),
        permits=tuple(
            Permit(row["channel"], row["topic"], NOW + duration(row["expires_in"])) for row in given.get("permits", ())
        ),
    )


@pytest.mark.parametrize("case", cases())
def test_every_shared_case_is_answered_as_it_says(case: Case) -> None:
    catalogue = Catalogue.from_document(yaml.safe_load((CASES / "catalogue.yaml").read_text(encoding="utf-8")))
    question = case["ask"]
    at = NOW + duration(question.get("in", "PT0S"))
    answer = decide(catalogue, customer_of(case["given"]), question["channel"], question["topic"], at)

    wait = answer.next_allowed_at - at if answer.next_allowed_at else None
    found = {
        "allowed": answer.allowed,
        "reason": answer.reason,
        "level": answer.level,
        "remaining": answer.remaining,
        "next_in": wait,
    }
    expected = dict(case["expect"])
    if expected.get("next_in"):
        expected["next_in"] = duration(expected["next_in"])
    assert {key: found[key] for key in expected} == expected


# Turning down never opens.


@SETTINGS
@given(worlds(), st.data())
def test_a_fader_never_opens_whatever_its_level(world: World, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from((EVERY, world.channel)))
    assume(all(dial.place != (place, EVERY) for dial in world.customer.dials))
    fader = Dial(place, EVERY, data.draw(st.sampled_from(list(world.catalogue.levels))))
    before = ask(world)
    after = ask(world, customer=replace(world.customer, dials=(*world.customer.dials, fader)))
    assert before.allowed or not after.allowed


@SETTINGS
@given(worlds(), st.data())
def test_a_new_dial_quieter_than_the_default_never_opens(world: World, data: st.DataObject) -> None:
    topic = world.catalogue.topics[world.topic]
    assume(topic.basis == "legitimate_interest" and topic.default_level is not None)
    assert topic.default_level is not None
    quieter = [name for name, level in world.catalogue.levels.items() if level.position < topic.default_level.position]
    places = [
        (channel, path)
        for channel in (EVERY, world.channel)
        for path in world.catalogue.topics
        if covers((channel, path), (world.channel, world.topic))
        and all(dial.place != (channel, path) for dial in world.customer.dials)
    ]
    assume(quieter and places)
    dial = Dial(*data.draw(st.sampled_from(places)), data.draw(st.sampled_from(quieter)))
    before = ask(world)
    after = ask(world, customer=replace(world.customer, dials=(*world.customer.dials, dial)))
    assert before.allowed or not after.allowed


@SETTINGS
@given(worlds(nested=True), st.data())
def test_lowering_a_dial_never_opens_where_caps_nest(world: World, data: st.DataObject) -> None:
    assume(world.customer.dials)
    dials = list(world.customer.dials)
    n = data.draw(st.integers(0, len(dials) - 1))
    position = world.catalogue.levels[dials[n].level].position
    quieter = [name for name, level in world.catalogue.levels.items() if level.position <= position]
    dials[n] = replace(dials[n], level=data.draw(st.sampled_from(quieter)))
    before, after = ask(world), ask(world, customer=replace(world.customer, dials=tuple(dials)))
    assert before.allowed or not after.allowed
    if before.remaining is not None and after.reason == before.reason:
        assert after.remaining is not None
        assert after.remaining <= before.remaining


@SETTINGS
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_in_which_dials_were_turned_changes_nothing(world: World, random: Any) -> None:
    shuffled = list(world.customer.dials)
    random.shuffle(shuffled)
    before, after = ask(world), ask(world, customer=replace(world.customer, dials=tuple(shuffled)))
    assert replace(before, governed_by=()) == replace(after, governed_by=())
    assert Counter(before.governed_by) == Counter(after.governed_by)


# What time alone opens.


@SETTINGS
@given(worlds(), st.lists(st.floats(0, 1, exclude_max=True), max_size=20))
def test_next_allowed_at_is_the_first_yes(world: World, shares: list[float]) -> None:
    opens_at = ask(world).next_allowed_at
    assume(opens_at is not None)
    assert opens_at is not None
    assert opens_at > world.instant
    assert ask(world, instant=opens_at).allowed
    assert not ask(world, instant=opens_at - MICROSECOND).allowed
    for share in shares:
        assert not ask(world, instant=world.instant + share * (opens_at - world.instant - MICROSECOND)).allowed


@SETTINGS
@given(worlds(), st.lists(st.integers(0, 500 * 24 * 60), min_size=1, max_size=40))
def test_without_next_allowed_at_a_no_stays_a_no(world: World, minutes: list[int]) -> None:
    answer = ask(world)
    assume(not answer.allowed and answer.next_allowed_at is None)
    for later in minutes:
        assert not ask(world, instant=world.instant + timedelta(minutes=later)).allowed


# Counting.


@SETTINGS
@given(worlds())
def test_what_remains_may_be_made_and_not_one_more(world: World) -> None:
    answer = ask(world)
    assume(answer.allowed and answer.remaining is not None)
    assert answer.remaining is not None
    made = Contact(world.channel, world.topic, world.instant, answer.dialogue)
    for left in range(answer.remaining, 0, -1):
        now = ask(world, customer=world.customer)
        assert (now.allowed, now.remaining) == (True, left)
        world = replace(world, customer=replace(world.customer, contacts=(*world.customer.contacts, made)))
    full = ask(world)
    if answer.dialogue is None:
        assert (full.reason, full.remaining) == ("volume_reached", 0)
    else:  # the next dialogue serves, or the dials do
        assert full.dialogue != answer.dialogue


@SETTINGS
@given(worlds())
def test_essential_contacts_take_no_room(world: World) -> None:
    topics = world.catalogue.topics

    def takes_room(entry: Contact | Permit) -> bool:
        return not topics[entry.topic].essential or entry.dialogue is not None or entry.milestone is not None

    marketing = tuple(filter(takes_room, world.customer.contacts))
    permits = tuple(filter(takes_room, world.customer.permits))
    assert ask(world) == ask(world, customer=replace(world.customer, contacts=marketing, permits=permits))


@SETTINGS
@given(worlds())
def test_only_a_full_suppression_stops_an_essential_topic(world: World) -> None:
    assume(world.customer.state == "active" and world.catalogue.topics[world.topic].essential)
    answer = ask(world)
    assert answer.reason in ("essential", "suppressed")
    kinds = {stop.kind for stop in world.customer.suppressions}
    kinds |= {stop.kind for stop in world.customer.point_suppressions}
    assert answer.allowed or "all" in kinds


@SETTINGS
@given(worlds())
def test_a_permit_in_use_does_not_stand_in_its_own_way(world: World) -> None:
    used = decide(
        world.catalogue,
        world.customer,
        world.channel,
        world.topic,
        world.instant,
        point=world.point,
        count_permits=False,
    )
    # It was given in no dialogue, and is used in none.
    assert used == ask(world, customer=replace(world.customer, permits=(), dialogues=()))


# What the shared cases leave out: consents that end, segments, contact points, essential entries.

SMALL: dict[str, Any] = {
    "time_zone": "Europe/London",
    "levels": [
        {"name": "silent", "mode": "silent"},
        {"name": "weekly", "mode": "capped", "contacts": 1, "per": "P7D"},
        {"name": "everything", "mode": "open"},
    ],
    "channels": {"email": {"identifier": "email"}, "sms": {"identifier": "phone"}},
    "topics": {
        "offers": {"basis": "consent"},
        "offers/club": {"basis": "legitimate_interest", "default_level": "weekly"},
        "offers/invoice": {"basis": "contract"},
    },
    "policies": [{"name": "club", "channel": "*", "topic": "*", "contacts": 2, "per": "P30D", "segment": "club"}],
}
WORK, HOME = ("email", "ada@work.example"), ("email", "ada@home.example")
ADA = Customer(identifiers=(WORK, HOME, ("phone", "+442071838750")))
OFFERS = Dial(EVERY, "offers", "everything", NOW)
CLUB = replace(ADA, segment="club", dials=(Dial("email", "offers", "everything"),))
INVOICED = Contact("email", "offers/invoice", NOW)
WEEKLY = replace(ADA, dials=(Dial("email", "offers", "weekly"),))
BLOCKED = replace(ADA, point_suppressions=(PointSuppression(WORK, None, "all"),))


@pytest.mark.parametrize(
    ("customer", "question", "expected"),
    [
        pytest.param(
            replace(ADA, dials=(replace(OFFERS, expires_at=NOW + MICROSECOND),)),
            {},
            ("allowed", None),
            id="a consent holds until its end",
        ),
        pytest.param(replace(ADA, dials=(OFFERS,)), {}, ("consent_expired", None), id="and has ended at its end"),
        pytest.param(
            replace(ADA, dials=(OFFERS, Dial("email", "offers", "weekly"))),
            {},
            ("allowed", 1),
            id="another topic dial still grants",
        ),
        pytest.param(
            replace(ADA, dials=(OFFERS, Dial("email", "*", "everything"))),
            {},
            ("consent_expired", None),
            id="a fader does not stand in for an ended consent",
        ),
        pytest.param(
            replace(ADA, dials=(replace(OFFERS, level="silent"),)),
            {},
            ("silent", None),
            id="silence does not end",
        ),
        pytest.param(
            replace(ADA, dials=(replace(OFFERS, level="weekly"),)),
            {"topic": "offers/club"},
            ("allowed", 1),
            id="nothing expires where no consent is needed",
        ),
        pytest.param(
            replace(
                ADA,
                dials=(Dial(EVERY, "*", "weekly"), Dial(EVERY, "offers", "everything")),
                contacts=(INVOICED,),
            ),
            {},
            ("allowed", 1),
            id="an essential contact takes no room",
        ),
        pytest.param(
            replace(WEEKLY, permits=(Permit("email", "offers/invoice", NOW + MICROSECOND),)),
            {},
            ("allowed", 1),
            id="nor does an essential permit",
        ),
        pytest.param(CLUB, {}, ("allowed", 2), id="a policy caps its segment"),
        pytest.param(replace(CLUB, segment="staff"), {}, ("allowed", None), id="and no other"),
        pytest.param(replace(CLUB, segment=None), {}, ("allowed", None), id="nor customers without one"),
        pytest.param(BLOCKED, {"point": WORK}, ("suppressed", None), id="a suppressed point stops its question"),
        pytest.param(BLOCKED, {"point": HOME}, ("no_consent", None), id="the other point of that kind is free"),
        pytest.param(
            BLOCKED,
            {"point": ("phone", "+442071838750")},
            ("suppressed", None),
            id="another kind uses them all",
        ),
        pytest.param(BLOCKED, {}, ("suppressed", None), id="so does a question without a point"),
        pytest.param(BLOCKED, {"channel": "sms"}, ("no_consent", None), id="a point is not used on other channels"),
    ],
)
def test_what_the_page_says_beyond_the_shared_cases(
    customer: Customer, question: dict[str, Any], expected: tuple[str, int | None]
) -> None:
    asked = {"channel": "email", "topic": "offers", "instant": NOW, **question}
    answer = decide(Catalogue.from_document(SMALL), customer, **asked)
    assert (answer.reason, answer.remaining) == expected


def test_governed_by_names_what_stands_over_the_contact() -> None:
    catalogue = Catalogue.from_document(SMALL)

    def governing(customer: Customer, topic: str) -> list[tuple[Any, ...]]:
        return [astuple(entry) for entry in decide(catalogue, customer, "email", topic, NOW).governed_by]

    club, silence = ("policy", EVERY, EVERY, None, 0, 2), ("default", EVERY, "offers", "silent", None, None)
    by_default = ("default", EVERY, "offers/club", "weekly", 0, 1)
    loud = ("dial", "email", "offers", "everything", None, None)
    assert governing(ADA, "offers") == [silence]
    assert governing(ADA, "offers/club") == [by_default]
    assert governing(CLUB, "offers/club") == [loud, club]
    assert governing(WEEKLY, "offers/club") == [("dial", "email", "offers", "weekly", 0, 1)]
    assert governing(CLUB, "offers/invoice") == []
    assert governing(replace(CLUB, state="erased"), "offers") == []


# Quiet hours. In London the hour from 01:00 is skipped on the one night and repeated on the other.

SKIPPED = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
REPEATED = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def quiet_answer(start: str, end: str, instant: datetime) -> Answer:
    """The answer of a catalogue in which nothing but these quiet hours can say no."""
    document = {
        "time_zone": "Europe/London",
        "levels": [{"name": "silent", "mode": "silent"}, {"name": "everything", "mode": "open"}],
        "channels": {"sms": {"identifier": "phone", "quiet_hours": {"from": start, "to": end}}},
        "topics": {"events": {"basis": "legitimate_interest", "default_level": "everything"}},
    }
    return decide(Catalogue.from_document(document), Customer(), "sms", "events", instant)


@pytest.mark.parametrize(
    ("start", "end", "asked_at", "quiet_until"),
    [
        pytest.param("00:30", "01:30", SKIPPED - MINUTE, SKIPPED, id="a skipped hour ends them at the jump"),
        pytest.param("00:30", "03:00", SKIPPED - MINUTE, SKIPPED + 60 * MINUTE, id="a jump inside shortens them"),
        pytest.param("00:30", "01:30", REPEATED - 60 * MINUTE, REPEATED - 30 * MINUTE, id="quiet the first time"),
        pytest.param("00:30", "01:30", REPEATED, REPEATED + 30 * MINUTE, id="quiet the second time"),
        pytest.param("00:30", "02:00", REPEATED - 5 * MINUTE, REPEATED + 60 * MINUTE, id="quiet both times on end"),
        pytest.param("21:00", "08:00", REPEATED, REPEATED + 420 * MINUTE, id="over midnight"),
        pytest.param("21:00", "08:00", SKIPPED - 240 * MINUTE, SKIPPED + 360 * MINUTE, id="from their first minute"),
        pytest.param(
            "21:00",
            "08:00",
            SKIPPED + 360 * MINUTE - MICROSECOND,
            SKIPPED + 360 * MINUTE,
            id="to the last microsecond",
        ),
    ],
)
def test_quiet_hours_follow_the_wall_clock(start: str, end: str, asked_at: datetime, quiet_until: datetime) -> None:
    answer = quiet_answer(start, end, asked_at)
    assert (answer.reason, answer.next_allowed_at) == ("quiet_hours", quiet_until)


@pytest.mark.parametrize(
    ("start", "end", "asked_at"),
    [
        pytest.param("01:15", "01:45", SKIPPED + 20 * MINUTE, id="nothing inside a skipped hour is quiet"),
        pytest.param("01:15", "01:45", REPEATED, id="nothing between the two times is quiet"),
        pytest.param("21:00", "08:00", SKIPPED + 360 * MINUTE, id="the end is outside"),
        pytest.param("21:00", "08:00", SKIPPED - 240 * MINUTE - MICROSECOND, id="so is the moment before they begin"),
    ],
)
def test_outside_quiet_hours_is_allowed(start: str, end: str, asked_at: datetime) -> None:
    assert quiet_answer(start, end, asked_at).reason == "allowed"


# The worlds themselves.


def test_the_worlds_reach_every_row() -> None:
    reached: Counter[str] = Counter()

    @settings(
        max_examples=600,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(worlds())
    def look(world: World) -> None:
        reached[ask(world).reason] += 1

    look()
    assert set(reached) == {reason for reason, _, _ in ROWS}
    late = sum(reached[reason] for reason in ("volume_reached", "quiet_hours", "allowed"))
    assert late * 3 > reached.total(), reached
