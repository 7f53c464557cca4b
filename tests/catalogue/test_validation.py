"""What a catalogue document may say, and how a fault is told."""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given

from consent_service.catalogue.model import Cap, Catalogue, Default
from consent_service.catalogue.validation import parse_catalogue
from consent_service.catalogue.values import NAME
from consent_service.errors import ConsentError
from tests.catalogue.documents import SMALL
from tests.support.rules import Catalogue as RulesCatalogue
from tests.support.worlds import Document, documents

Change = Callable[[Document], object]


def faults(document: object) -> list[dict[str, Any]]:
    with pytest.raises(ConsentError) as caught:
        parse_catalogue(document)
    assert caught.value.code == "invalid_catalogue"
    return caught.value.errors  # type: ignore[return-value]


def changed(change: Change) -> Document:
    document = copy.deepcopy(SMALL)
    change(document)
    return document


def put(*path: str | int, value: object) -> Change:
    def change(document: Document) -> None:
        place: Any = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def without(*path: str | int) -> Change:
    def change(document: Document) -> None:
        place: Any = document
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]

    return change


def add(list_name: str, item: object) -> Change:
    return lambda document: document[list_name].append(item)


LONG = "x" * 65
REFUSED: list[tuple[str, Change, str, str]] = [
    ("unknown top field", put("colour", value=1), "/colour", "unknown_field"),
    ("no zone", without("time_zone"), "/time_zone", "missing_field"),
    ("no levels", without("levels"), "/levels", "missing_field"),
    ("no channels", without("channels"), "/channels", "missing_field"),
    ("no topics", without("topics"), "/topics", "missing_field"),
    ("zone unknown", put("time_zone", value="Europe/Atlantis"), "/time_zone", "unknown_time_zone"),
    ("zone is a path", put("time_zone", value="../../etc/localtime"), "/time_zone", "unknown_time_zone"),
    ("zone of the machine", put("time_zone", value="localtime"), "/time_zone", "unknown_time_zone"),
    ("zone no string", put("time_zone", value=1), "/time_zone", "invalid_value"),
    ("levels no list", put("levels", value={}), "/levels", "invalid_value"),
    ("topics no object", put("topics", value=[]), "/topics", "object_expected"),
    ("level no object", put("levels", 1, value="monthly"), "/levels/1", "object_expected"),
    # Levels.
    ("modes out of order", lambda d: d["levels"].reverse(), "/levels/1/mode", "invalid_value"),
    ("no silent level", without("levels", 0), "/levels", "invalid_value"),
    ("no level at all", put("levels", value=[]), "/levels", "invalid_value"),
    (
        "two silent levels",
        lambda d: d["levels"].insert(0, {"name": "s", "mode": "silent"}),
        "/levels",
        "invalid_value",
    ),
    ("mode unknown", put("levels", 0, "mode", value="loud"), "/levels/0/mode", "invalid_value"),
    ("level twice", put("levels", 2, "name", value="monthly"), "/levels/2/name", "duplicate_key"),
    ("level without name", without("levels", 0, "name"), "/levels/0/name", "missing_field"),
    ("level Weekly", put("levels", 2, "name", value="Weekly"), "/levels/2/name", "invalid_value"),
    ("level true", put("levels", 2, "name", value=True), "/levels/2/name", "invalid_value"),
    ("level too long", put("levels", 2, "name", value=LONG), "/levels/2/name", "invalid_value"),
    ("cap without contacts", without("levels", 1, "contacts"), "/levels/1/contacts", "missing_field"),
    ("cap without per", without("levels", 1, "per"), "/levels/1/per", "missing_field"),
    ("cap on an open level", put("levels", 3, "per", value="P1D"), "/levels/3/per", "invalid_value"),
    ("no contacts", put("levels", 1, "contacts", value=0), "/levels/1/contacts", "invalid_value"),
    (
        "too many contacts",
        put("levels", 1, "contacts", value=1_000_001),
        "/levels/1/contacts",
        "invalid_value",
    ),
    ("contacts true", put("levels", 1, "contacts", value=True), "/levels/1/contacts", "invalid_value"),
    ("contacts 1.0", put("levels", 1, "contacts", value=1.0), "/levels/1/contacts", "invalid_value"),
    ("per in weeks", put("levels", 1, "per", value="P4W"), "/levels/1/per", "invalid_value"),
    ("per in months", put("levels", 1, "per", value="P1M"), "/levels/1/per", "invalid_value"),
    ("per of nothing", put("levels", 1, "per", value="PT0M"), "/levels/1/per", "invalid_value"),
    ("per too long", put("levels", 1, "per", value="P400DT1M"), "/levels/1/per", "invalid_value"),
    ("per a number", put("levels", 1, "per", value=30), "/levels/1/per", "invalid_value"),
    ("65 levels", lambda d: d["levels"].extend([{}] * 61), "/levels", "invalid_value"),
    # Identifiers and segments.
    ("kind twice", add("identifiers", "loyalty"), "/identifiers/2", "duplicate_key"),
    ("kind built in", add("identifiers", "email"), "/identifiers/2", "duplicate_key"),
    ("kind id", add("identifiers", "id"), "/identifiers/2", "invalid_value"),
    ("kind without name", add("identifiers", {"shared": True}), "/identifiers/2/kind", "missing_field"),
    (
        "shared yes",
        add("identifiers", {"kind": "k", "shared": "yes"}),
        "/identifiers/2/shared",
        "invalid_value",
    ),
    ("segment twice", add("segments", "club"), "/segments/1", "duplicate_key"),
    # Channels.
    ("channel *", put("channels", "*", value={"identifier": "email"}), "/channels/*", "invalid_value"),
    ("channel of nothing", put("channels", "fax", value={}), "/channels/fax/identifier", "missing_field"),
    (
        "identifier of nothing",
        put("channels", "email", "identifier", value="fax"),
        "/channels/email/identifier",
        "unknown_identifier_kind",
    ),
    ("confirm 1", put("channels", "email", "confirm", value=1), "/channels/email/confirm", "invalid_value"),
    (
        "quiet hours of nothing",
        put("channels", "sms", "quiet_hours", value={"from": "21:00", "to": "21:00"}),
        "/channels/sms/quiet_hours",
        "invalid_value",
    ),
    (
        "quiet hours without end",
        without("channels", "sms", "quiet_hours", "to"),
        "/channels/sms/quiet_hours/to",
        "missing_field",
    ),
    *(
        (
            f"quiet from {value!r}",
            put("channels", "sms", "quiet_hours", "from", value=value),
            "/channels/sms/quiet_hours/from",
            "invalid_value",
        )
        for value in ("24:00", "9:00", "09:60", "21:00:00", "09.00", " 09:00", 1260, None)
    ),
    # Topics.
    *(
        (f"topic {path!r}", put("topics", path, value={"basis": "consent"}), pointer, "invalid_value")
        for path, pointer in (
            ("*", "/topics/*"),
            ("offers/*", "/topics/offers~1*"),
            ("offers/", "/topics/offers~1"),
            ("/offers", "/topics/~1offers"),
            ("a//b", "/topics/a~1~1b"),
            ("Offers", "/topics/Offers"),
            ("a~b", "/topics/a~0b"),
            ("", "/topics/"),
            (LONG, f"/topics/{LONG}"),
            ("a/b/c/d/e/f/g/h/i", "/topics/a~1b~1c~1d~1e~1f~1g~1h~1i"),
        )
    ),
    ("topic without basis", put("topics", "news", value={}), "/topics/news", "missing_field"),
    ("topic is null", put("topics", "news", value=None), "/topics/news", "object_expected"),
    (
        "basis unknown",
        put("topics", "offers", "basis", value="hope"),
        "/topics/offers/basis",
        "invalid_value",
    ),
    (
        "interest without default",
        without("topics", "events", "default_level"),
        "/topics/events",
        "missing_field",
    ),
    (
        "default under consent",
        put("topics", "offers", "default_level", value="monthly"),
        "/topics/offers/default_level",
        "invalid_value",
    ),
    (
        "default under inherited consent",
        put("topics", "offers/wine", "default_level", value="monthly"),
        "/topics/offers~1wine/default_level",
        "invalid_value",
    ),
    (
        "default of an essential topic",
        put("topics", "orders", "default_level", value="open"),
        "/topics/orders/default_level",
        "unknown_level",
    ),
    (
        "default unknown",
        put("topics", "events", "default_level", value="hourly"),
        "/topics/events/default_level",
        "unknown_level",
    ),
    (
        "consent for no time",
        put("topics", "offers", "consent_lasts", value="PT0H"),
        "/topics/offers/consent_lasts",
        "invalid_value",
    ),
    (
        "unknown topic field",
        put("topics", "offers", "level", value="x"),
        "/topics/offers/level",
        "unknown_field",
    ),
    (
        "2,001 topics",
        lambda d: d["topics"].update({f"t{n}": {} for n in range(2000)}),
        "/topics",
        "invalid_value",
    ),
    # Texts.
    (
        "empty label",
        put("topics", "offers", "label", value={"en": " "}),
        "/topics/offers/label/en",
        "invalid_value",
    ),
    ("no label", put("topics", "offers", "label", value={}), "/topics/offers/label", "invalid_value"),
    (
        "label a string",
        put("topics", "offers", "label", value="x"),
        "/topics/offers/label",
        "object_expected",
    ),
    (
        "label too long",
        put("topics", "offers", "label", value={"en": "x" * 201}),
        "/topics/offers/label/en",
        "invalid_value",
    ),
    (
        "label with NUL",
        put("topics", "offers", "benefit", value={"en": "a\0b"}),
        "/topics/offers/benefit/en",
        "invalid_value",
    ),
    (
        "label with half a pair",
        put("topics", "offers", "benefit", value={"en": "\ud800"}),
        "/topics/offers/benefit/en",
        "invalid_value",
    ),
    (
        "language english?",
        put("topics", "offers", "label", value={"e_n": "x"}),
        "/topics/offers/label/e_n",
        "invalid_value",
    ),
    (
        "language twice",
        put("topics", "offers", "label", value={"en-gb": "x", "en-GB": "y"}),
        "/topics/offers/label/en-GB",
        "duplicate_key",
    ),
    # Policies.
    ("policy twice", lambda d: d["policies"].append(d["policies"][0]), "/policies/1/name", "duplicate_key"),
    ("policy channel", put("policies", 0, "channel", value="fax"), "/policies/0/channel", "unknown_channel"),
    ("policy topic", put("policies", 0, "topic", value="fax"), "/policies/0/topic", "unknown_topic"),
    ("policy segment", put("policies", 0, "segment", value="vip"), "/policies/0/segment", "unknown_segment"),
    ("policy without per", without("policies", 0, "per"), "/policies/0/per", "missing_field"),
    ("policy level", put("policies", 0, "level", value="silent"), "/policies/0/level", "unknown_field"),
    # Notices.
    ("notice twice", lambda d: d["notices"].append(d["notices"][0]), "/notices/1", "duplicate_key"),
    ("notice version 1", put("notices", 0, "version", value=1), "/notices/0/version", "invalid_value"),
    ("notice without text", without("notices", 0, "text"), "/notices/0/text", "missing_field"),
    (
        "notice too long",
        put("notices", 0, "text", value={"en": "x" * 20_001}),
        "/notices/0/text/en",
        "invalid_value",
    ),
]


@pytest.mark.parametrize(("change", "pointer", "code"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_a_fault_is_told_at_its_place(change: Change, pointer: str, code: str) -> None:
    found = faults(changed(change))
    assert (pointer, code) in [(fault["pointer"], fault["code"]) for fault in found]
    assert all(fault["detail"] for fault in found)


@pytest.mark.parametrize("document", [None, [], "x", 1, {}, {1: 2}])
def test_what_is_no_catalogue_is_refused(document: object) -> None:
    assert faults(document)


def test_all_faults_are_told_at_once() -> None:
    document = changed(put("time_zone", value="Mars"))
    document["levels"][1]["per"] = "P1W"
    document["topics"]["offers"]["basis"] = "hope"
    document["policies"][0]["contacts"] = -1
    found = {fault["pointer"] for fault in faults(document)}
    assert found == {"/time_zone", "/levels/1/per", "/topics/offers/basis", "/policies/0/contacts"}


ALLOWED: list[tuple[str, Change]] = [
    ("caps that do not nest", put("levels", 1, "contacts", value=99)),
    ("a cap of a minute", put("levels", 1, "per", value="PT1M")),
    ("a cap of 400 days", put("levels", 1, "per", value="P400D")),
    ("a notice of id, version and text", add("notices", {"id": "b", "version": "1", "text": {"en": "Hm."}})),
    ("a child whose parent is not declared", put("topics", "news/local", value={"basis": "consent"})),
    ("a topic without a label", put("topics", "offers/garden", value={})),
    (
        "no policies, notices, segments",
        lambda d: [d.pop(name) for name in ("policies", "notices", "segments")],
    ),
    ("no topics", lambda d: (d["topics"].clear(), d["policies"].clear())),
    ("eight names deep", put("topics", "a/b/c/d/e/f/g/h", value={"basis": "consent"})),
    ("a consent of two years", put("topics", "offers", "consent_lasts", value="P730D")),
    ("a policy of a segment", put("policies", 0, "segment", value="club")),
    ("a default of silent", put("topics", "events", "default_level", value="silent")),
    ("two on-request levels", lambda d: d["levels"].insert(1, {"name": "ask", "mode": "on_request"})),
    ("line ends in a notice", put("notices", 0, "text", value={"en": "One.\n\nTwo."})),
]


@pytest.mark.parametrize("change", [one[1] for one in ALLOWED], ids=[one[0] for one in ALLOWED])
def test_what_is_sound_is_not_refused(change: Change) -> None:
    assert isinstance(parse_catalogue(changed(change)), Catalogue)


def test_a_topic_has_its_nearest_ancestors_basis_default_and_lifetime() -> None:
    document = changed(put("topics", "offers", "consent_lasts", value="P730D"))
    document["topics"] |= {
        "offers/wine/red": {},
        "offers/wine/red/local": {"basis": "legitimate_interest", "default_level": "weekly"},
        "offers/wine/red/local/club": {"basis": "consent", "consent_lasts": "P1D"},
        "offers/wine/red/local/club/x": {"basis": "legitimate_interest"},
        "events/undeclared/deep": {},
    }
    topics = parse_catalogue(document).topics
    assert (topics["offers/wine/red"].basis, topics["offers/wine/red"].basis_topic) == ("consent", "offers")
    assert topics["offers/wine/red"].consent_lasts_seconds == 730 * 86400
    assert topics["offers/wine/red"].default is None
    assert topics["offers/wine/red/local/club"].default is None
    assert topics["offers/wine/red/local/club"].consent_lasts_seconds == 86400
    assert topics["offers/wine/red/local/club/x"].default == Default("weekly", "offers/wine/red/local")
    assert topics["events/undeclared/deep"].default == Default("monthly", "events")
    covered_by = ("*", "events", "events/undeclared", "events/undeclared/deep")
    assert topics["events/undeclared/deep"].covered_by == covered_by
    assert topics["orders"].essential
    assert not topics["offers"].essential


def test_order_is_the_files() -> None:
    catalogue = parse_catalogue(SMALL)
    assert [level.position for level in catalogue.levels.values()] == [0, 1, 2, 3]
    assert [(t.name, t.position) for t in catalogue.topics.values()] == [
        (name, n) for n, name in enumerate(SMALL["topics"])
    ]
    assert catalogue.levels["weekly"].cap == Cap(1, 604800)


def test_kinds_are_the_declared_and_the_built_in() -> None:
    kinds = {kind.name: kind.shared for kind in parse_catalogue(SMALL).identifier_kinds.values()}
    assert kinds == {"email": False, "phone": False, "postal": True, "loyalty": False, "household": True}


@pytest.mark.parametrize(
    ("starts", "ends", "minutes"),
    [("21:00", "08:00", 660), ("08:00", "21:00", 780), ("00:00", "23:59", 1439)],
)
def test_quiet_hours_wrap_midnight(starts: str, ends: str, minutes: int) -> None:
    document = changed(put("channels", "sms", "quiet_hours", value={"from": starts, "to": ends}))
    quiet = parse_catalogue(document).channels["sms"].quiet_hours
    assert quiet is not None
    assert len(quiet.minutes()) == minutes


@given(documents())
def test_every_made_up_catalogue_is_sound_and_means_what_the_rules_say(document: Document) -> None:
    ours, theirs = parse_catalogue(document), RulesCatalogue.from_document(document)
    for name, topic in ours.topics.items():
        rule = theirs.topics[name]
        assert (topic.basis, topic.basis_topic, topic.essential) == (
            rule.basis,
            rule.basis_from,
            rule.essential,
        )
        assert topic.consent_lasts_seconds == rule.consent_lasts_seconds
        if topic.basis == "legitimate_interest":
            assert rule.default_level is not None
            assert topic.default == Default(rule.default_level.name, rule.default_from or "")
        else:
            assert topic.default is None


def test_the_shipped_example_is_sound_and_speaks_four_languages() -> None:
    from consent_service.catalogue.yamlfile import read_yaml

    data = files("consent_service.catalogue").joinpath("example.yaml").read_bytes()
    catalogue = read_yaml(data).catalogue()
    labels = [one.label for part in (catalogue.levels, catalogue.channels, catalogue.topics) for one in part.values()]
    benefits = [topic.benefit for topic in catalogue.topics.values() if topic.benefit]
    texts = [notice.text for notice in catalogue.notices.values()]
    assert {frozenset(one) for one in (*labels, *benefits, *texts)} == {frozenset({"en", "de", "fr", "ar"})}
    assert all(NAME.fullmatch(name) for name in catalogue.levels)
