"""What is not called louder lets nothing more through: held against the rules, over made-up worlds.

A catalogue is changed here and there; when no change is called louder, the rules' own rendering must never
allow a contact under the new one that it refuses under the old, nor leave more room.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from consent_service.catalogue.louder import louder_changes
from consent_service.catalogue.louder_words import InUse
from consent_service.catalogue.model import Catalogue
from consent_service.catalogue.validation import parse_catalogue
from consent_service.errors import ConsentError
from tests.support import rules
from tests.support.worlds import (
    BASES,
    CHANNELS,
    LEAVES,
    PERIODS,
    QUIET_HOURS,
    ROOTS,
    Document,
    Draw,
    World,
    one_in,
    pick,
    worlds,
)


def _change_level(draw: Draw, document: Document) -> None:
    levels = document["levels"]
    index = pick(draw, range(len(levels)))
    what = pick(draw, ("contacts", "per", "remove", "insert", "open"))
    if what == "remove":
        del levels[index]
    elif what == "insert":
        levels.insert(index, {"name": "between", "mode": pick(draw, ("on_request", "open"))})
    elif what == "open":
        levels[index] = {"name": levels[index]["name"], "mode": "open"}
    elif levels[index]["mode"] == "capped":
        levels[index][what] = 1 + pick(draw, range(4)) if what == "contacts" else pick(draw, PERIODS)


def _change_channel(draw: Draw, document: Document) -> None:
    name = pick(draw, sorted(CHANNELS))
    if name not in document["channels"]:
        document["channels"][name] = {"identifier": CHANNELS[name]}
    elif one_in(draw, 4):
        del document["channels"][name]
    elif one_in(draw, 4):
        document["channels"][name]["identifier"] = pick(draw, ("email", "phone", "postal", "loyalty"))
    elif one_in(draw, 3):
        document["channels"][name].pop("quiet_hours", None)
    else:
        starts, ends = pick(draw, QUIET_HOURS)
        document["channels"][name]["quiet_hours"] = {"from": starts, "to": ends}


def _change_topic(draw: Draw, document: Document) -> None:
    topics = document["topics"]
    path = pick(draw, [*topics, *ROOTS, *(f"{path}/{pick(draw, LEAVES)}" for path in topics)])
    names = [level["name"] for level in document["levels"]]
    what = pick(draw, ("basis", "default_level", "remove", "own"))
    entry = topics.setdefault(path, {})
    if what == "remove":
        del topics[path]
    elif what == "own":
        topics[path] = {}
    elif what == "default_level":
        entry["default_level"] = pick(draw, names)
    else:
        entry["basis"] = pick(draw, BASES)
        entry.pop("default_level", None)
        if entry["basis"] == "legitimate_interest":
            entry["default_level"] = pick(draw, names)


def _change_policy(draw: Draw, document: Document) -> None:
    policies = document["policies"]
    if not policies:
        return
    index = pick(draw, range(len(policies)))
    what = pick(draw, ("remove", "channel", "topic", "contacts", "per", "segment"))
    if what == "remove":
        del policies[index]
    elif what == "segment":
        if policies[index].pop("segment", None) is None:
            policies[index]["segment"] = "club"
    else:
        policies[index][what] = {
            "channel": pick(draw, ("*", *document["channels"])),
            "topic": pick(draw, ("*", *document["topics"])),
            "contacts": 1 + pick(draw, range(6)),
            "per": pick(draw, PERIODS),
        }[what]


@st.composite
def changed_worlds(draw: Draw) -> tuple[World, Document]:
    """A world, and its catalogue after one to three changes."""
    world = draw(worlds(nested=True))
    document = copy.deepcopy(world.document)
    for _ in range(1 + pick(draw, range(3))):
        change = pick(draw, (_change_level, _change_channel, _change_topic, _change_topic, _change_policy))
        change(draw, document)
    return world, document


def _nested(catalogue: Catalogue) -> bool:
    """Rules compare by position; only where caps nest does that say something about room."""
    caps = [level.cap for level in catalogue.levels.values() if level.cap]
    return all(quieter.nests_in(louder) for quieter, louder in pairwise(caps))


def _with_retired(old: rules.Catalogue, new: rules.Catalogue) -> rules.Catalogue:
    """The new catalogue with the topics that it retires, so that contacts about them still count."""
    return replace(new, topics={**old.topics, **new.topics})


@settings(max_examples=400, deadline=None)
@given(changed_worlds())
def test_what_is_not_called_louder_lets_nothing_more_through(changed: tuple[World, Document]) -> None:
    world, document = changed
    try:
        new = parse_catalogue(document)
    except ConsentError:
        assume(False)
        return
    old = parse_catalogue(world.document)
    customer = world.customer
    assume(customer.state == "active" and _nested(new))
    assume(all(dial.level in new.levels for dial in customer.dials))
    dials = frozenset((dial.channel, dial.topic, dial.level) for dial in customer.dials)
    louder = louder_changes(old, new, InUse(customers=True, dials=dials))
    event("louder" if louder else "not louder")
    if louder:
        return
    rules_old = world.catalogue
    rules_new = _with_retired(rules_old, rules.Catalogue.from_document(document))
    for channel in new.channels:
        for topic in new.topics:
            for later in (timedelta(), timedelta(hours=7), timedelta(hours=19)):
                instant = world.instant + later
                after = rules.decide(rules_new, customer, channel, topic, instant, point=world.point)
                if not after.allowed:
                    continue
                assert channel in old.channels
                assert topic in old.topics
                before = rules.decide(rules_old, customer, channel, topic, instant, point=world.point)
                assert before.allowed, (before.reason, channel, topic)
                if before.remaining is not None:
                    assert after.remaining is not None
                    assert after.remaining <= before.remaining
