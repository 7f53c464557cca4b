"""What would make an existing customer louder, and what would not."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from consent_service.catalogue.louder import louder_changes
from consent_service.catalogue.louder_words import InUse, Louder
from consent_service.catalogue.validation import parse_catalogue
from tests.catalogue.documents import SMALL
from tests.support.worlds import Document

Change = Callable[[Document], object]
Dials = tuple[tuple[str, str, str], ...]

SOMEBODY = InUse(customers=True)


def before_and_after(change: Change, base: Change | None = None) -> tuple[Document, Document]:
    old = copy.deepcopy(SMALL)
    if base is not None:
        base(old)
    new = copy.deepcopy(old)
    change(new)
    return old, new


def judge(old: Document, new: Document, in_use: InUse = SOMEBODY) -> list[Louder]:
    return louder_changes(parse_catalogue(old), parse_catalogue(new), in_use)


def dialled(*dials: tuple[str, str, str]) -> InUse:
    return InUse(customers=True, dials=frozenset(dials))


def level(index: int, **fields: object) -> Change:
    return lambda document: document["levels"][index].update(fields)


def channel(name: str, **fields: object) -> Change:
    return lambda document: document["channels"].setdefault(name, {}).update(fields)


def topic(name: str, **fields: object) -> Change:
    return lambda document: document["topics"].setdefault(name, {}).update(fields)


def policy(**fields: object) -> Change:
    return lambda document: document["policies"][0].update(fields)


def quiet(starts: str, ends: str) -> Change:
    return channel("sms", quiet_hours={"from": starts, "to": ends})


def drop(*path: str | int) -> Change:
    def change(document: Document) -> None:
        place = document
        for key in path[:-1]:
            place = place[key]  # type: ignore[index]
        del place[path[-1]]  # type: ignore[arg-type]

    return change


def both(*changes: Change) -> Change:
    return lambda document: [change(document) for change in changes]


def swap_levels(document: Document) -> None:
    levels = document["levels"]
    levels[1], levels[2] = levels[2], levels[1]


NARROW = policy(channel="sms", topic="offers", segment="club")
MONTHLY_CLUB = topic("events/club", default_level="monthly")

LOUDER: list[tuple[str, Change, str]] = [
    ("the zone changed", lambda d: d.update(time_zone="Europe/Paris"), "/time_zone"),
    (
        "a kind made shared",
        lambda d: d["identifiers"].__setitem__(0, {"kind": "loyalty", "shared": True}),
        "/identifiers",
    ),
    ("a kind no longer shared", lambda d: d["identifiers"].__setitem__(1, "household"), "/identifiers"),
    ("levels reordered", both(swap_levels), "/levels"),
    ("more contacts", level(1, contacts=2), "/levels/1"),
    ("a shorter period", level(1, per="P29D"), "/levels/1"),
    ("fewer contacts in a shorter period", both(level(1, contacts=2), level(1, per="P90D")), "/levels/1"),
    (
        "a capped level made open",
        lambda d: d["levels"].__setitem__(2, {"name": "weekly", "mode": "open"}),
        "/levels/2",
    ),
    ("a channel's identifier", channel("email", identifier="loyalty"), "/channels/email"),
    ("confirm taken away", drop("channels", "email", "confirm"), "/channels/email"),
    ("quiet hours removed", drop("channels", "sms", "quiet_hours"), "/channels/sms"),
    ("quiet hours end earlier", quiet("21:00", "07:59"), "/channels/sms"),
    ("quiet hours begin later", quiet("21:01", "08:00"), "/channels/sms"),
    ("quiet hours moved", quiet("20:00", "07:00"), "/channels/sms"),
    ("quiet hours turned round", quiet("08:00", "21:00"), "/channels/sms"),
    (
        "consent to legitimate interest",
        topic("news", basis="legitimate_interest", default_level="monthly"),
        "/topics/news",
    ),
    (
        "consent to legitimate interest with a silent default, which expired consents would grant under",
        topic("news", basis="legitimate_interest", default_level="silent"),
        "/topics/news",
    ),
    ("consent to essential", topic("news", basis="vital_interest"), "/topics/news"),
    (
        "legitimate interest to essential",
        lambda d: d["topics"].update({"events/local": {"basis": "contract"}}),
        "/topics/events~1local",
    ),
    (
        "a child's basis lost to an essential parent",
        drop("topics", "orders/tips", "basis"),
        "/topics/orders~1tips",
    ),
    ("a default raised", topic("events/club", default_level="everything"), "/topics/events~1club"),
    ("an own default, louder", topic("events/local", default_level="weekly"), "/topics/events~1local"),
    (
        "an own default, counted alone",
        topic("events/local", default_level="monthly"),
        "/topics/events~1local",
    ),
    ("a new essential topic", topic("safety", basis="legal_obligation"), "/topics/safety"),
    (
        "a new topic with a default",
        topic("surveys", basis="legitimate_interest", default_level="monthly"),
        "/topics/surveys",
    ),
    ("a new topic that inherits a default", topic("events/spring"), "/topics/events~1spring"),
    ("a consent that lasts longer", topic("offers/wine", consent_lasts="P366D"), "/topics/offers~1wine"),
    ("a policy removed", drop("policies", 0), "/policies"),
    ("a policy with more contacts", policy(contacts=5), "/policies/0"),
    ("a policy with a shorter period", policy(per="P6D"), "/policies/0"),
    ("a policy on one channel", policy(channel="email"), "/policies/0"),
    ("a policy on one topic", policy(topic="offers"), "/policies/0"),
    ("a policy for a segment", policy(segment="club"), "/policies/0"),
    (
        "a new channel, for defaults and essential topics",
        channel("push", identifier="loyalty"),
        "/channels/push",
    ),
]


@pytest.mark.parametrize(("change", "pointer"), [r[1:] for r in LOUDER], ids=[r[0] for r in LOUDER])
def test_it_is_louder_there_and_nowhere_else(change: Change, pointer: str) -> None:
    old, new = before_and_after(change)
    assert {one.pointer for one in judge(old, new)} == {pointer}


@pytest.mark.parametrize("change", [r[1] for r in LOUDER], ids=[r[0] for r in LOUDER])
def test_nothing_is_louder_while_there_are_no_customers(change: Change) -> None:
    old, new = before_and_after(change)
    assert judge(old, new, InUse(customers=False)) == []


QUIETER: list[tuple[str, Change]] = [
    ("nothing", lambda _: None),
    ("fewer contacts", both(level(2, per="P8D"))),
    (
        "an open level capped",
        lambda d: d["levels"].__setitem__(3, {"name": "everything", "mode": "capped", "contacts": 9, "per": "P1D"}),
    ),
    (
        "a level between",
        lambda d: d["levels"].insert(2, {"name": "fortnightly", "mode": "capped", "contacts": 1, "per": "P14D"}),
    ),
    ("a louder level at the end", lambda d: d["levels"].append({"name": "more", "mode": "open"})),
    ("a level that nobody is at removed", lambda d: d["levels"].pop(3)),
    ("a confirmation more", channel("sms", confirm=True)),
    ("longer quiet hours", quiet("20:59", "08:01")),
    ("first quiet hours", channel("email", quiet_hours={"from": "22:00", "to": "06:00"})),
    ("a channel removed", lambda d: d["channels"].pop("post")),
    ("a topic removed", lambda d: d["topics"].pop("news")),
    ("an essential topic no longer so", topic("recalls", basis="consent")),
    ("another essential basis", topic("recalls", basis="contract")),
    ("a default lowered", topic("events/club", default_level="monthly")),
    ("a default silenced", topic("events/club", default_level="silent")),
    ("an own default of silence", topic("events/local", default_level="silent")),
    ("a default shared with the parent's", drop("topics", "events/club", "default_level")),
    ("legitimate interest to consent", lambda d: d["topics"].update({"events/club": {"basis": "consent"}})),
    ("a new topic of consent", topic("surveys", basis="consent")),
    ("a new child of consent", topic("offers/garden")),
    ("a new topic with a silent default", topic("quiz", basis="legitimate_interest", default_level="silent")),
    ("a consent that lasts shorter", topic("offers", consent_lasts="P30D")),
    ("a consent that ends now", topic("news", consent_lasts="P9999D")),
    (
        "a policy more",
        lambda d: d["policies"].append({"name": "p", "channel": "sms", "topic": "news", "contacts": 1, "per": "P1D"}),
    ),
    ("a tighter policy", both(policy(contacts=3), policy(per="P8D"))),
    ("a policy renamed", policy(name="ceiling")),
    ("another label", topic("offers", label={"en": "Bargains"})),
    ("a kind more", lambda d: d["identifiers"].append("badge")),
    ("a segment more", lambda d: d["segments"].append("staff")),
    (
        "another notice",
        lambda d: d["notices"].append({"id": "preferences", "version": "2", "text": {"en": "More."}}),
    ),
    ("the order of topics", lambda d: d.update(topics=dict(reversed(d["topics"].items())))),
]


@pytest.mark.parametrize("change", [r[1] for r in QUIETER], ids=[r[0] for r in QUIETER])
def test_it_is_not_louder(change: Change) -> None:
    old, new = before_and_after(change)
    assert judge(old, new) == []


WIDER = {"channel": "*", "topic": "*", "segment": None}


@pytest.mark.parametrize(
    "fields",
    [{"channel": "*"}, {"topic": "*"}, {"segment": None}, {"topic": "offers/wine"}, {"channel": "email"}],
)
def test_a_policy_at_a_wider_place_holds_as_much_and_elsewhere_it_does_not(
    fields: dict[str, str | None],
) -> None:
    def change(document: Document) -> None:
        document["policies"][0] |= fields
        if document["policies"][0]["segment"] is None:
            del document["policies"][0]["segment"]

    old, new = before_and_after(change, NARROW)
    louder = fields in ({"topic": "offers/wine"}, {"channel": "email"})
    assert bool(judge(old, new)) is louder


@pytest.mark.parametrize(
    "gone",
    [
        both(lambda d: d["channels"].pop("sms"), drop("policies", 0)),
        both(lambda d: [d["topics"].pop(name) for name in ("offers", "offers/wine")], drop("policies", 0)),
        both(lambda d: d["segments"].clear(), drop("policies", 0)),
    ],
    ids=["channel", "topics", "segment"],
)
def test_a_policy_may_go_with_all_that_it_governs(gone: Change) -> None:
    assert judge(*before_and_after(gone, NARROW)) == []


def test_a_policy_may_not_go_with_its_topic_while_a_child_stays() -> None:
    gone = both(lambda d: d["topics"].pop("offers"), topic("offers/wine", basis="consent"), drop("policies", 0))
    pointers = {one.pointer for one in judge(*before_and_after(gone, NARROW))}
    assert "/policies" in pointers


# New topics and channels under dials that stand.

CONSENT_ONLY = lambda d: d.update(  # noqa: E731
    topics={name: t for name, t in d["topics"].items() if name in ("offers", "offers/wine", "news")}
)


@pytest.mark.parametrize(
    ("dials", "louder"),
    [
        ([("email", "offers", "monthly")], True),
        ([("*", "offers", "everything")], True),
        ([("email", "offers/wine", "monthly")], False),
        ([("email", "offers", "silent")], False),
        ([("email", "*", "everything"), ("*", "*", "everything")], False),
        ([("email", "news", "everything")], False),
        ([("email", "offers/garden", "monthly")], True),
    ],
)
def test_a_new_topic_is_louder_when_a_dial_grants_it(dials: list[tuple[str, str, str]], louder: bool) -> None:
    old, new = before_and_after(topic("offers/garden"))
    assert bool(judge(old, new, dialled(*dials))) is louder


@pytest.mark.parametrize(
    ("dials", "louder"),
    [
        ([], False),
        ([("*", "offers", "monthly")], True),
        ([("push", "offers/wine", "monthly")], True),
        ([("email", "offers", "monthly")], False),
        ([("*", "*", "everything")], False),
        ([("*", "offers", "silent")], False),
        ([("*", "gone", "monthly")], False),
        ([("*", "offers", "a level that is gone")], True),
    ],
)
def test_a_new_channel_is_louder_when_a_dial_grants_something_on_it(
    dials: list[tuple[str, str, str]], louder: bool
) -> None:
    old, new = before_and_after(channel("push", identifier="loyalty"), CONSENT_ONLY)
    assert bool(judge(old, new, dialled(*dials))) is louder


@pytest.mark.parametrize(
    ("entry", "louder"),
    [
        ({"basis": "contract"}, True),
        ({"basis": "legitimate_interest", "default_level": "monthly"}, True),
        ({"basis": "legitimate_interest", "default_level": "silent"}, False),
        ({"basis": "consent"}, False),
    ],
)
def test_a_new_channel_is_louder_when_a_topic_needs_no_dial_on_it(entry: dict[str, str], louder: bool) -> None:
    old, new = before_and_after(channel("push", identifier="loyalty"), lambda d: d.update(topics={"parcels": entry}))
    assert bool(judge(old, new)) is louder


def test_what_comes_back_is_louder() -> None:
    old, new = before_and_after(
        both(channel("push", identifier="loyalty"), topic("surveys", basis="consent")), CONSENT_ONLY
    )
    retired = InUse(True, frozenset(), frozenset({"push"}), frozenset({"surveys"}))
    assert [one.pointer for one in judge(old, new, retired)] == ["/channels/push", "/topics/surveys"]
    assert judge(old, new) == []


# Defaults that go on limiting beside a quieter dial.


@pytest.mark.parametrize(
    ("dials", "louder"),
    [
        # Until now no more than one a week over all channels; then one a month on each.
        ([("email", "events/club", "monthly")], True),
        ([("*", "events/club", "monthly")], False),
        ([("*", "events", "monthly")], False),
        ([("email", "events/club", "silent")], False),
        ([("email", "events/club", "weekly")], False),
        ([("email", "events/club", "everything")], False),
        ([("email", "news", "monthly")], False),
    ],
)
@pytest.mark.parametrize(
    "change",
    [
        topic("events/club", default_level="monthly"),
        lambda d: d["topics"].update({"events/club": {"basis": "consent"}}),
    ],
    ids=["lowered", "to consent"],
)
def test_taking_a_default_from_beside_a_quieter_dial_is_louder(
    change: Change, dials: list[tuple[str, str, str]], louder: bool
) -> None:
    old, new = before_and_after(change)
    assert bool(judge(old, new, dialled(*dials))) is louder


def test_a_default_whose_level_is_renamed_is_compared_by_its_cap() -> None:
    def rename(**fields: object) -> Change:
        return both(
            level(1, name="each_month", **fields),
            topic("events", default_level="each_month"),
        )

    assert judge(*before_and_after(rename())) == []
    assert {one.pointer for one in judge(*before_and_after(rename(contacts=2)))} == {
        "/topics/events",
        "/topics/events~1local",
    }


@pytest.mark.parametrize(("mode", "louder"), [("on_request", False), ("open", True)])
def test_a_default_whose_level_is_replaced_is_compared_by_its_mode(mode: str, louder: bool) -> None:
    def replace(document: Document) -> None:
        document["levels"] = [
            {"name": "silent", "mode": "silent"},
            {"name": "weekly", "mode": "capped", "contacts": 1, "per": "P7D"},
            {"name": "everything", "mode": "open"},
        ]
        document["levels"].insert(1 if mode == "on_request" else 2, {"name": "other", "mode": mode})
        document["topics"]["events"]["default_level"] = "other"

    assert bool(judge(*before_and_after(replace))) is louder


def test_defaults_are_compared_by_position_even_where_caps_do_not_nest() -> None:
    uneven = both(
        level(1, name="busy", contacts=3, per="P7D"),
        level(2, name="daily", contacts=1, per="P1D"),
        topic("events", default_level="daily"),
        topic("events/club", default_level="daily"),
    )
    quieter = both(topic("events", default_level="busy"), topic("events/club", default_level="busy"))
    assert judge(*before_and_after(quieter, uneven)) == []
    louder = both(topic("events", default_level="daily"), topic("events/club", default_level="daily"))
    old, new = before_and_after(louder, both(uneven, quieter))
    assert {one.pointer for one in judge(old, new)} >= {"/topics/events", "/topics/events~1club"}


OPEN_EVENTS = topic("events", default_level="everything")


def test_a_default_without_a_cap_has_no_count_to_lose() -> None:
    assert judge(*before_and_after(topic("events/local", default_level="monthly"), OPEN_EVENTS)) == []
    dials = dialled(("email", "events/local", "monthly"), ("email", "events/local", "weekly"))
    assert judge(*before_and_after(topic("events", default_level="monthly"), OPEN_EVENTS), dials) == []


def test_an_open_default_may_be_renamed() -> None:
    def rename(document: Document) -> None:
        document["levels"][3]["name"] = "all"
        document["topics"]["events"]["default_level"] = "all"

    assert judge(*before_and_after(rename, OPEN_EVENTS)) == []


@pytest.mark.parametrize("dial_level", ["ask", "a level that is gone"])
def test_a_dial_that_lets_nothing_through_needs_no_default_beside_it(dial_level: str) -> None:
    old, new = before_and_after(
        topic("events/club", default_level="monthly"),
        lambda d: d["levels"].insert(1, {"name": "ask", "mode": "on_request"}),
    )
    assert judge(old, new, dialled(("email", "events/club", dial_level))) == []


def test_an_open_default_may_be_replaced_by_a_capped_one() -> None:
    def replace(document: Document) -> None:
        document["levels"][3] = {"name": "often", "mode": "capped", "contacts": 9, "per": "P7D"}
        document["topics"]["events"]["default_level"] = "often"

    assert judge(*before_and_after(replace, OPEN_EVENTS)) == []


TO_CONSENT: Change = lambda d: d["topics"].update({"events/local": {"basis": "consent"}})  # noqa: E731
WEEKLY_EVENTS = topic("events", default_level="weekly")


def test_a_dial_at_a_child_counts_less_than_the_default_of_its_parent() -> None:
    old, new = before_and_after(TO_CONSENT, WEEKLY_EVENTS)
    assert judge(old, new, dialled(("*", "events/local", "monthly"))) != []
    assert judge(old, new, dialled(("*", "events", "monthly"))) == []


def test_a_dial_below_a_default_may_let_more_through_at_once() -> None:
    uneven = both(level(1, name="busy", contacts=3), level(2, per="P1D"))
    busy = both(uneven, WEEKLY_EVENTS, topic("events/club", default_level="weekly"))
    old, new = before_and_after(TO_CONSENT, busy)
    assert judge(old, new, dialled(("*", "events", "busy"))) != []


def test_a_lowered_default_that_is_still_above_a_dial_goes_on_limiting() -> None:
    rarely: Change = lambda d: d["levels"].insert(1, {"name": "rarely", "mode": "capped", "contacts": 1, "per": "P90D"})  # noqa: E731
    old, new = before_and_after(topic("events/club", default_level="monthly"), rarely)
    assert judge(old, new, dialled(("email", "events/club", "rarely"))) == []
    assert judge(old, new, dialled(("email", "events/club", "monthly"))) != []


def test_an_on_request_dial_or_one_at_a_level_that_goes_frees_nothing() -> None:
    ask: Change = lambda d: d["levels"].insert(1, {"name": "ask", "mode": "on_request"})  # noqa: E731
    old, new = before_and_after(TO_CONSENT, both(ask, WEEKLY_EVENTS))
    assert judge(old, new, dialled(("email", "events", "ask"))) == []
    del new["levels"][1]
    assert judge(old, new, dialled(("email", "events", "ask"))) == []
