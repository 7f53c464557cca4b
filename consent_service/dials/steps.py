"""One step quieter or louder from where a message stood: which dials to turn, so that it is heard so. No I/O, no words.

Quieter never needs a notice: only dials that stand louder are turned down, the nearest to the message first. Under
consent a topic without a dial of its own stands at nothing, whatever is heard by the one above it, so a dial there
would be a new yes; the one above is turned instead, and named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from consent_service.catalogue.model import EVERY, Channel, Level, Topic, ancestors
from consent_service.dials.desk import Facts
from consent_service.dials.model import Change
from consent_service.dials.reach import Place
from consent_service.permissions.model import Decision

_COMES_BY_ITSELF = ("capped", "open")


@dataclass(frozen=True, slots=True)
class Step:
    """A level, and the dials that have to be turned for it to be what is heard."""

    level: Level
    changes: tuple[Change, ...]

    @property
    def place(self) -> Place:
        """The dial that is turned, where it is one."""
        return self.changes[0].channel, self.changes[0].topic


@dataclass(frozen=True)
class Subject:
    """What a message was about, as things stand; None where it said nothing that the catalogue knows.

    Args:
        held: how loud it is in the end.
        heard: whether messages come without being asked for.
    """

    facts: Facts
    channel: Channel | None
    topic: Topic | None
    held: Level
    heard: bool

    @property
    def place(self) -> Place:
        """The place that is meant."""
        return self.channel.name if self.channel else EVERY, self.topic.name if self.topic else EVERY


def subject(facts: Facts, channel: str, topic: str) -> Subject:
    """What a message through a channel and about a topic was about; empty or retired names mean all."""
    meant = facts.catalogue.live_channels.get(channel)
    about = facts.catalogue.live_topics.get(topic)
    if about is None:
        level = _quietest(facts, [(EVERY, EVERY), *([(meant.name, EVERY)] if meant else [])])
        return Subject(facts, meant, None, level, level.mode in _COMES_BY_ITSELF)
    places = [(one, about.name) for one in ([meant.name] if meant else facts.catalogue.live_channels)]
    found = [facts.decisions[place] for place in places if place in facts.decisions]
    # Of several channels the loudest one: what is turned down is then quieter everywhere.
    level, heard = max((_held(facts, one) for one in found), key=lambda one: (one[1], one[0].position))
    return Subject(facts, meant, about, level, heard)


def quieter(about: Subject) -> list[Step]:
    """The levels below what is heard, but for the silent one, the next one first; none when nothing is heard."""
    if not about.heard or (about.topic is not None and about.topic.essential):
        return []
    below = [one for one in about.facts.catalogue.levels.values() if 0 < one.position < about.held.position]
    return [Step(one, (Change(*_dial_at_least(about, one), one.name),)) for one in reversed(below)]


def nothing_about(about: Subject) -> Step:
    """Nothing any more on the topic, by any channel; without a topic nothing by the channel, or at all."""
    place = (EVERY, about.topic.name) if about.topic else about.place
    return _silent(about, place)


def nothing_by(about: Subject) -> Step | None:
    """Nothing any more by the channel, whatever it is about; None without a channel."""
    return _silent(about, (about.channel.name, EVERY)) if about.channel else None


def less(about: Subject) -> Step | None:
    """One step down; silent below the last level at which something comes. None when nothing comes."""
    if not about.heard or (about.topic is not None and about.topic.essential):
        return None
    steps = [one for one in quieter(about) if one.level.mode in _COMES_BY_ITSELF]
    return steps[0] if steps else nothing_about(about)


def more(about: Subject) -> Step | None:
    """One step up, to a level at which something comes by itself; None at the top, and where no dial governs.

    Every dial that holds it where it is goes up with it, faders too: else nothing more would be heard.
    """
    levels = about.facts.catalogue.levels.values()
    if about.topic is not None and about.topic.essential:
        return None
    position = about.held.position if about.heard else 0
    wanted = next((one for one in levels if one.position > position and one.mode in _COMES_BY_ITSELF), None)
    if wanted is None:
        return None
    covering = list(_covering(about))
    raised = [place for place in covering if _is_below(about.facts, place, wanted)]
    if about.topic is not None and not _is_granted(about, wanted, covering, raised):
        raised.insert(0, (EVERY, about.topic.name))
    if not raised:  # held by what only another topic's dial or the company itself may loosen
        return None
    return Step(wanted, tuple(Change(*place, wanted.name) for place in dict.fromkeys(raised)))


def _silent(about: Subject, place: Place) -> Step:
    level = next(iter(about.facts.catalogue.levels.values()))
    return Step(level, (Change(*place, level.name),))


def _held(facts: Facts, decision: Decision) -> tuple[Level, bool]:
    levels = facts.catalogue.levels
    if decision.held_level is None:  # essential
        return facts.loudest, True
    level = levels[decision.held_level]
    return level, decision.granted and level.mode in _COMES_BY_ITSELF


def _quietest(facts: Facts, places: list[Place]) -> Level:
    return min((facts.standing(place) for place in places), key=lambda one: one.position)


def _dial_at_least(about: Subject, level: Level) -> Place:
    """The nearest dial that stands at the level or louder: turning it there is quieter, and enough."""
    return next(place for place in _nearest_first(about) if about.facts.standing(place).position >= level.position)


def _nearest_first(about: Subject) -> Iterator[Place]:
    channel = about.channel.name if about.channel else EVERY
    if about.topic is None:
        yield (channel, EVERY)
        yield (EVERY, EVERY)
        return
    own = (EVERY, about.topic.name)
    yield own
    channels = [channel] if about.channel else list(about.facts.catalogue.live_channels)
    for name in (about.topic.name, *reversed(ancestors(about.topic.name))):
        for place in ((EVERY, name), *((one, name) for one in channels)):
            if place != own and place in about.facts.dials:
                yield place
    # What is heard is heard by a dial on the way up, or by the default, which is where the topic's own place stands.


def _covering(about: Subject) -> Iterator[Place]:
    """The dials over the message, and the faders."""
    channels = (about.channel.name,) if about.channel else ()
    topics = about.topic.covered_by if about.topic else (EVERY,)
    for place in about.facts.dials:
        if place[0] in (EVERY, *channels) and place[1] in topics:
            yield place


def _is_below(facts: Facts, place: Place, wanted: Level) -> bool:
    return facts.catalogue.levels[facts.dials[place].level].position < wanted.position


def _is_granted(about: Subject, wanted: Level, covering: list[Place], raised: list[Place]) -> bool:
    """Whether, after those are raised, something grants the level and no default holds below it."""
    facts, topic = about.facts, about.topic
    assert topic is not None
    if any(place[1] != EVERY for place in raised):
        return True
    for place in covering:
        ends = facts.dials[place].expires_at
        if place[1] != EVERY and (ends is None or ends > facts.at):
            return True
    usual = facts.catalogue.levels[topic.default.level] if topic.default else None
    has_dial = any(place[1] != EVERY for place in covering)
    return not has_dial and usual is not None and usual.position >= wanted.position
