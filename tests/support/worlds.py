"""Made-up worlds for Hypothesis: a catalogue, a customer against it, and a question about the two.

The strategies aim at the places where two readings of the rules would part: the edges of windows, pauses,
permits and consents to the microsecond, the nights when clocks change, and odd quiet hours. Most customers
are granted something, so that the late rows are reached. Documents are valid catalogue files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from functools import cache
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from tests.support.rules import (
    EVERY,
    MICROSECOND,
    Catalogue,
    Contact,
    Customer,
    Dial,
    Dialogue,
    Milestone,
    Pause,
    Permit,
    PointSuppression,
    Suppression,
    covers,
    duration,
)

Document = dict[str, Any]
Draw = st.DrawFn
Place = tuple[str, str]
T = TypeVar("T")

# Which worlds are made up, unless CONSENT_TEST_SEED says otherwise.
USUAL_SEED = "20261122"

ZONES = (
    "Europe/London",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Europe/Dublin",
    "America/Santiago",
    "UTC",
)
# Days on or beside which some of these zones change their clocks, and one on which none does.
NIGHTS = (
    "2026-03-08",
    "2026-03-29",
    "2026-04-05",
    "2026-09-06",
    "2026-10-04",
    "2026-10-25",
    "2026-11-01",
    "2027-02-07",
    "2027-03-14",
    "2027-04-03",
    "2026-06-17",
)
PERIODS = ("PT1M", "PT1H", "PT6H", "P1D", "P1DT12H", "P2D", "P7D", "P30D", "P90D", "P400D")
QUIET_HOURS = (
    ("21:00", "08:00"),
    ("20:00", "09:00"),
    ("01:30", "01:45"),
    ("02:15", "03:15"),
    ("00:30", "01:30"),
    ("02:00", "03:00"),
    ("00:00", "23:59"),
    ("23:30", "00:00"),
    ("09:00", "17:00"),
)
IDENTIFIERS = (
    ("email", "ada@example.com"),
    ("email", "ada@work.example"),
    ("phone", "+442071838750"),
    ("phone", "+442071838751"),
    ("postal", "1 Elm Row, Leeds"),
    ("loyalty", "634004"),
)
BASES = ("consent",) * 5 + ("legitimate_interest",) * 5 + ("contract", "legal_obligation", "vital_interest")
CHANNELS = {"email": "email", "sms": "phone", "phone": "phone", "post": "postal"}
ROOTS = ("offers", "offer", "events", "orders")
LEAVES = ("wine", "win", "local")
SEGMENTS = ("club", "staff")


# A dialogue ends after it was opened, which is when the tables' seeds say.
DIALOGUES_BEGAN = datetime(2021, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """A catalogue document, the catalogue it describes, a customer, and one question about them."""

    document: Document
    catalogue: Catalogue
    customer: Customer
    channel: str
    topic: str
    instant: datetime
    point: tuple[str, str] | None
    milestone: int | None = None


# Drawing. These are plain functions over a few kept strategies, because a world takes a hundred draws.


@cache
def _below(n: int) -> st.SearchStrategy[int]:
    return st.integers(0, n - 1)


def pick(draw: Draw, options: Sequence[T]) -> T:
    return options[draw(_below(len(options)))]


def one_in(draw: Draw, n: int) -> bool:
    """True about once in n; False is the simpler."""
    return draw(_below(n)) == n - 1


def some(draw: Draw, options: Sequence[T], least: int, most: int) -> list[T]:
    """Between `least` and `most` picks without those that came twice."""
    picks = [pick(draw, options) for _ in range(least + draw(_below(most - least + 1)))]
    return list(dict.fromkeys(picks))


# Catalogues.


def _levels(draw: Draw, nested: bool) -> list[Document]:
    """3 to 8 levels in the legal order. Nested caps grow with the position, so that louder has more room."""
    on_request, opens = draw(_below(3)), draw(_below(3))
    least = max(1, 2 - on_request - opens)
    capped = least + draw(_below(8 - on_request - opens - least))
    counts = [1 + draw(_below(4)) for _ in range(capped)]
    periods = [pick(draw, PERIODS) for _ in range(capped)]
    if nested:
        counts.sort()
        periods.sort(key=duration, reverse=True)
    levels: list[Document] = [{"name": "silent", "mode": "silent"}]
    levels += [{"name": f"asked_{n}", "mode": "on_request"} for n in range(on_request)]
    levels += [
        {"name": f"capped_{n}", "mode": "capped", "contacts": count, "per": per}
        for n, (count, per) in enumerate(zip(counts, periods, strict=True))
    ]
    levels += [{"name": f"open_{n}", "mode": "open"} for n in range(opens)]
    return [{**level, "label": {"en": level["name"]}} for level in levels]


def _channels(draw: Draw) -> Document:
    """1 to 4 channels, half of them with quiet hours."""
    channels: Document = {}
    for name in some(draw, sorted(CHANNELS), 1, 4):
        channels[name] = {"identifier": CHANNELS[name], "label": {"en": name}}
        if one_in(draw, 2):
            start, end = pick(draw, QUIET_HOURS)
            channels[name]["quiet_hours"] = {"from": start, "to": end}
    return channels


def _paths(draw: Draw) -> list[str]:
    """1 to 8 topics, up to three deep, every parent before its children."""
    paths = [pick(draw, ROOTS)]
    for _ in range(draw(_below(8))):
        parent = pick(draw, [None, *(path for path in paths if path.count("/") < 2)])
        path = pick(draw, ROOTS) if parent is None else f"{parent}/{pick(draw, LEAVES)}"
        if path not in paths:
            paths.append(path)
    return paths


def _topics(draw: Draw, levels: list[Document]) -> Document:
    """Topics of mixed bases; each under legitimate interest has a default level, own or inherited."""
    names = [level["name"] for level in levels]
    loud = [level["name"] for level in levels if level["mode"] in ("capped", "open")]
    topics: Document = {}
    basis: dict[str, str] = {}
    has_default: dict[str, bool] = {}
    for path in _paths(draw):
        parent = path.rpartition("/")[0]
        topic: Document = {"label": {"en": path}}
        if not parent or one_in(draw, 3):
            topic["basis"] = pick(draw, BASES)
        basis[path] = topic.get("basis") or basis[parent]
        inherited = has_default.get(parent, False)
        if basis[path] == "legitimate_interest" and (not inherited or one_in(draw, 3)):
            topic["default_level"] = pick(draw, names if one_in(draw, 6) else loud)
        has_default[path] = inherited or "default_level" in topic
        if basis[path] == "consent" and one_in(draw, 4):
            topic["consent_lasts"] = pick(draw, ("P1D", "P30D", "P730D"))
        topics[path] = topic
    return topics


def _policy(draw: Draw, name: str, channels: Document, topics: Document) -> Document:
    policy: Document = {
        "name": name,
        "channel": pick(draw, (EVERY, *channels)),
        "topic": pick(draw, (EVERY, *topics)),
        "contacts": 1 + draw(_below(6)),
        "per": pick(draw, PERIODS),
    }
    return {**policy, "segment": pick(draw, SEGMENTS)} if one_in(draw, 2) else policy


@st.composite
def documents(draw: Draw, nested: bool = False) -> Document:
    """Valid catalogue documents. With `nested`, no louder level has less room than a quieter one."""
    levels, channels = _levels(draw, nested), _channels(draw)
    topics = _topics(draw, levels)
    return {
        "time_zone": pick(draw, ZONES),
        "identifiers": ["loyalty"],
        "segments": list(SEGMENTS),
        "levels": levels,
        "channels": channels,
        "topics": topics,
        "policies": [_policy(draw, f"policy {n}", channels, topics) for n in range(draw(_below(4)))],
        "notices": [{"id": "preferences", "version": "1", "text": {"en": "We keep your choices."}}],
    }


# Instants.


def nudge(draw: Draw) -> timedelta:
    """A microsecond before, at, or a microsecond after an edge."""
    return pick(draw, (0, -1, 1)) * MICROSECOND


def span(draw: Draw, longest: timedelta) -> timedelta:
    """Whole microseconds from none to `longest`, short ones as often as long ones."""
    limit = min(longest, pick(draw, (timedelta(hours=1), timedelta(days=1), longest)))
    return draw(_below(limit // MICROSECOND + 1)) * MICROSECOND


def _instant(draw: Draw, zone: str, quiet_hours: Document | None) -> datetime:
    """An instant in or around a night when clocks change, often at an edge of the quiet hours."""
    day = datetime.fromisoformat(pick(draw, NIGHTS)) + timedelta(days=draw(_below(3)) - 1)
    if quiet_hours and one_in(draw, 2):
        edge = time.fromisoformat(quiet_hours[pick(draw, ("from", "to"))])
        local = datetime.combine(day.date(), edge, ZoneInfo(zone)).replace(fold=draw(_below(2)))
        return local.astimezone(UTC) + nudge(draw)
    return day.replace(tzinfo=UTC) + span(draw, timedelta(days=1))


def _end(draw: Draw, instant: datetime) -> datetime:
    """When something ends: at the instant to the microsecond, some time after it, or before it."""
    if one_in(draw, 3):
        return instant + nudge(draw)
    away = span(draw, timedelta(days=40))
    return instant - away if one_in(draw, 4) else instant + away


# Customers.


def _somewhere(draw: Draw, catalogue: Catalogue) -> Place:
    return pick(draw, list(catalogue.channels)), pick(draw, list(catalogue.topics))


def _dials(draw: Draw, catalogue: Catalogue, contact: Place, instant: datetime) -> tuple[Dial, ...]:
    """At most one dial a place; four times in five one of them is a loud topic dial over the contact."""
    places = [(c, t) for c in (EVERY, *catalogue.channels) for t in (EVERY, *catalogue.topics)]
    granting = [place for place in places if place[1] != EVERY and covers(place, contact)]
    names = list(catalogue.levels)
    loud = [level.name for level in catalogue.levels.values() if level.mode in ("capped", "open")]
    dials = {place: pick(draw, loud if one_in(draw, 2) else names) for place in some(draw, places, 0, 4)}
    if not one_in(draw, 5):
        dials[pick(draw, granting)] = pick(draw, names if one_in(draw, 6) else loud)
    return tuple(
        Dial(channel, topic, level, _end(draw, instant) if topic != EVERY and one_in(draw, 4) else None)
        for (channel, topic), level in dials.items()
    )


def _dialogues(draw: Draw, catalogue: Catalogue, contact: Place, instant: datetime) -> tuple[Dialogue, ...]:
    """Most cover the contact, and have few contacts left."""
    topics = [topic for topic in catalogue.topics if covers((EVERY, topic), contact)]
    found = []
    for _ in range(pick(draw, (0, 0, 0, 0, 1, 1, 2, 3))):
        topic = pick(draw, list(catalogue.topics)) if one_in(draw, 4) else pick(draw, topics)
        channels = (contact[0],) if one_in(draw, 2) else tuple(some(draw, list(catalogue.channels), 1, 3))
        until = max(_end(draw, instant), DIALOGUES_BEGAN)
        found.append(
            Dialogue(topic, channels, until, 1 + draw(_below(3)), any_time=one_in(draw, 2), closed=one_in(draw, 8))
        )
    return tuple(found)


def _milestones(draw: Draw, catalogue: Catalogue, contact: Place, instant: datetime) -> tuple[Milestone, ...]:
    """Around the instant, most on the channel and topic that are asked about."""
    found = []
    for _ in range(pick(draw, (0, 0, 0, 1, 2))):
        channel, topic = _somewhere(draw, catalogue) if one_in(draw, 4) else contact
        day = instant.date() + timedelta(days=draw(_below(7)) - 4)
        none = one_in(draw, 8)
        found.append(Milestone(topic, None if none else channel, day, 1 + draw(_below(5)), dropped=one_in(draw, 8)))
    return tuple(found)


def _taken_of(
    draw: Draw, dialogues: Sequence[Dialogue], milestones: Sequence[Milestone]
) -> tuple[int | None, int | None]:
    """Of what an entry took its room: the dials, a dialogue, a milestone."""
    if dialogues and one_in(draw, 2):
        return draw(_below(len(dialogues))), None
    if milestones and one_in(draw, 4):
        return None, draw(_below(len(milestones)))
    return None, None


def _contacts(draw: Draw, catalogue: Catalogue, contact: Place, instant: datetime) -> tuple[Contact, ...]:
    """Ledger entries, half of them at a window's edge, a few ahead of the clock by up to a minute."""
    caps = [level.cap for level in catalogue.levels.values()] + [policy.cap for policy in catalogue.policies]
    windows = sorted({timedelta(seconds=cap.per_seconds) for cap in caps if cap})
    found = []
    for _ in range(draw(_below(8))):
        window = pick(draw, windows)
        if one_in(draw, 2):
            made = instant - window + nudge(draw)
        elif one_in(draw, 8):
            made = instant + span(draw, timedelta(minutes=1))
        else:
            made = instant - span(draw, window)
        place = contact if one_in(draw, 2) else _somewhere(draw, catalogue)
        found.append(Contact(*place, made))
    return tuple(found)


def _permits(draw: Draw, catalogue: Catalogue, contact: Place, instant: datetime) -> tuple[Permit, ...]:
    places = [contact if one_in(draw, 2) else _somewhere(draw, catalogue) for _ in range(pick(draw, (0, 0, 0, 1, 2)))]
    return tuple(Permit(*place, _end(draw, instant)) for place in places)


def _inside(draw: Draw, customer: Customer) -> Customer:
    """The customer with some contacts and permits in their dialogues and for their milestones."""
    talks, kept = customer.dialogues, customer.milestones
    if not talks and not kept:
        return customer
    taken = [_taken_of(draw, talks, kept) for _ in (*customer.contacts, *customer.permits)]
    entries = [
        replace(entry, dialogue=dialogue, milestone=milestone)
        for entry, (dialogue, milestone) in zip((*customer.contacts, *customer.permits), taken, strict=True)
    ]
    return replace(
        customer,
        contacts=tuple(one for one in entries if isinstance(one, Contact)),
        permits=tuple(one for one in entries if isinstance(one, Permit)),
    )


@st.composite
def customers(draw: Draw, catalogue: Catalogue, contact: Place, instant: datetime, zone: str) -> Customer:
    """Customers about whom a question on `contact` at `instant` is worth asking; most are active."""
    state = pick(draw, ("active",) * 28 + ("unknown", "erased"))
    if state != "active":
        return Customer(state=state)
    held = tuple(some(draw, IDENTIFIERS, 0, 4))
    stops, kinds = (None, *catalogue.channels), ("marketing", "all")
    suppressions = [Suppression(pick(draw, stops), pick(draw, kinds))] if one_in(draw, 12) else []
    of_points = [pick(draw, held)] if held and one_in(draw, 6) else []
    paused = some(draw, (EVERY, *catalogue.channels), 1, 2) if one_in(draw, 4) else []
    customer = Customer(
        time_zone=None if zone == catalogue.time_zone else zone,
        segment=pick(draw, (None, *SEGMENTS)),
        identifiers=held,
        dials=_dials(draw, catalogue, contact, instant),
        pauses=tuple(Pause(channel, _end(draw, instant)) for channel in paused),
        suppressions=tuple(suppressions),
        point_suppressions=tuple(PointSuppression(point, pick(draw, stops), pick(draw, kinds)) for point in of_points),
        contacts=_contacts(draw, catalogue, contact, instant),
        permits=_permits(draw, catalogue, contact, instant),
        dialogues=_dialogues(draw, catalogue, contact, instant),
        milestones=_milestones(draw, catalogue, contact, instant),
    )
    return _inside(draw, customer)


@st.composite
def worlds(draw: Draw, nested: bool = False) -> World:
    """A whole world and its question. `nested` is that of `documents`."""
    document = draw(documents(nested))
    catalogue = Catalogue.from_document(document)
    channel, topic = contact = _somewhere(draw, catalogue)
    zone = pick(draw, (*ZONES, catalogue.time_zone))
    instant = _instant(draw, zone, document["channels"][channel].get("quiet_hours"))
    customer = draw(customers(catalogue, contact, instant, zone))
    point = pick(draw, (None, *customer.identifiers))
    milestone = pick(draw, (None, *range(len(customer.milestones))))
    return World(document, catalogue, customer, channel, topic, instant, point, milestone)
