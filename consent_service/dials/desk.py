"""The mixing desk as plain data: faders, topics, and what is heard in the end at each contact place. No I/O, no words.

It shows what stands; what would be if dials were turned is `turned`. The customer's pages and the service desk's draw
the same desk from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from consent_service.catalogue.model import EVERY, Catalogue, Channel, Level, Topic, ancestors
from consent_service.dials.reach import Dialled, Governor, Place, Reach, reach_if, reach_of
from consent_service.permissions.model import Decision

ALL: Place = (EVERY, EVERY)
FOLLOWS = ""  # the stop of a place without a setting of its own, which goes with the one above it


@dataclass(frozen=True)
class Facts:
    """What the desk is drawn from: all of one moment, `at`.

    Args:
        pauses: those that have not ended, by channel or '*'.
        decisions: one for every channel and topic that can be asked about.
    """

    catalogue: Catalogue
    at: datetime
    version: int
    dials: Mapping[Place, Dialled]
    pauses: Mapping[str, datetime]
    decisions: Mapping[Place, Decision]

    @property
    def loudest(self) -> Level:
        """The last level of the catalogue."""
        return list(self.catalogue.levels.values())[-1]

    def rest(self, place: Place) -> Level:
        """Where a place without a dial stands. Source: rules.md 1."""
        if place[1] == EVERY or (topic := self.catalogue.topics[place[1]]).essential:
            return self.loudest
        return (
            self.catalogue.levels[topic.default.level] if topic.default else next(iter(self.catalogue.levels.values()))
        )

    def standing(self, place: Place) -> Level:
        """Where a place stands now."""
        dial = self.dials.get(place)
        return self.catalogue.levels[dial.level] if dial else self.rest(place)


@dataclass(frozen=True, slots=True)
class Stop:
    """A position of a dial. `level` None is FOLLOWS. `louder`: than what stands, so that it needs a notice."""

    value: str
    level: Level | None
    louder: bool


@dataclass(frozen=True, slots=True)
class Dial:
    """A dial of the desk.

    Args:
        name: of its form field.
        saved: the value of the stop at which it stands.
        chosen: the value that is shown; `saved`, unless somebody is in the middle of choosing.
        ended_at: when the consent in it ended; its level then limits, and grants nothing.
    """

    name: str
    place: Place
    stops: tuple[Stop, ...]
    saved: str
    chosen: str
    expires_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def is_raised_by_following(self) -> bool:
        """True when taking its setting away makes something louder."""
        return self.saved != FOLLOWS and self.stops[0].level is None and self.stops[0].louder

    @property
    def may_be_renewed(self) -> bool:
        """True for a consent that ends: saying it again makes it last anew."""
        return self.expires_at is not None

    def stop(self, value: str) -> Stop | None:
        """The stop of this value; None when there is none."""
        return next((one for one in self.stops if one.value == value), None)


@dataclass(frozen=True, slots=True)
class Cell:
    """A contact place: what is heard in the end of a topic by a channel, and why.

    Args:
        reach: how loud it is.
        suppressed: stopped whatever the dials say.
        paused_until: None when no pause covers it.
        tightest: of what governs it, the one with the least room left.
        next_at: when the next message is possible, if not now and if time alone brings it.
    """

    channel: Channel
    topic: Topic
    reach: Reach
    suppressed: bool
    paused_until: datetime | None
    possible_now: bool
    tightest: Governor | None
    next_at: datetime | None
    dial: Dial | None


@dataclass(frozen=True, slots=True)
class Row:
    """A topic with its dial, the contact places in it and the topics below it."""

    topic: Topic
    above: Topic | None
    dial: Dial
    cells: tuple[Cell, ...]
    below: tuple[Row, ...]

    def walk(self) -> Iterator[Row]:
        """The row itself and all below it."""
        yield self
        for one in self.below:
            yield from one.walk()


@dataclass(frozen=True, slots=True)
class Fader:
    """A channel's dial."""

    channel: Channel
    dial: Dial
    paused_until: datetime | None


@dataclass(frozen=True)
class Desk:
    """All of it, in the catalogue's order."""

    facts: Facts
    master: Dial
    faders: tuple[Fader, ...]
    rows: tuple[Row, ...]
    always: tuple[Topic, ...]
    reaches: Mapping[Place, Reach] = field(repr=False)

    @property
    def dials(self) -> Iterator[Dial]:
        """Every dial, in the order of the page."""
        yield self.master
        yield from (fader.dial for fader in self.faders)
        for row in self.rows:
            for one in row.walk():
                yield one.dial
                yield from (cell.dial for cell in one.cells if cell.dial is not None)

    def above(self, place: Place) -> Topic | None:
        """The topic whose dial goes for that of a topic without a setting of its own."""
        rows = (one for row in self.rows for one in row.walk())
        return next((one.above for one in rows if one.topic.name == place[1]), None)

    @property
    def seen(self) -> str:
        """What every dial showed, for its form: what it answers is compared with what stands then."""
        return " ".join(f"{one.name}={one.place[0]}:{one.place[1]}:{one.saved}" for one in self.dials)


@dataclass(frozen=True, slots=True)
class Turning:
    """A dial and the two stops between which it is turned."""

    dial: Dial
    old: Stop
    new: Stop

    @property
    def louder(self) -> bool:
        """True when it needs a notice."""
        return self.new.louder


def desk(facts: Facts, chosen: Mapping[Place, str] | None = None) -> Desk:
    """The desk as it stands.

    Args:
        chosen: values that somebody chose and has not saved yet, by place.
    """
    return _Maker(facts, chosen or {}).desk()


def turnings(shown: Desk) -> list[Turning]:
    """What would change if what is chosen were saved."""
    found = []
    for dial in shown.dials:
        old, new = dial.stop(dial.saved), dial.stop(dial.chosen)
        if old is not None and new is not None and old != new:
            found.append(Turning(dial, old, new))
    return found


def turned(shown: Desk, levels: Mapping[Place, str | None]) -> dict[Place, Reach]:
    """What every contact place would come to with these levels (None: no dial) at these places."""
    facts = shown.facts
    dials = dict(facts.dials)
    for place, level in levels.items():
        if level is None:
            dials.pop(place, None)
        else:
            dials[place] = Dialled(level)
    return {place: reach_if(facts.catalogue, one, dials, facts.at) for place, one in shown.reaches.items()}


class _Maker:
    def __init__(self, facts: Facts, chosen: Mapping[Place, str]) -> None:
        self.facts, self.chosen = facts, chosen
        self.channels = list(facts.catalogue.live_channels.values())
        self.topics = facts.catalogue.live_topics
        self.reaches = {place: reach_of(facts.catalogue, one, place) for place, one in facts.decisions.items()}
        self.count = 0
        self.stops: dict[int, list[Stop]] = {}  # by the position at which a place stands

    def desk(self) -> Desk:
        master = self._dial(ALL)
        faders = tuple(Fader(one, self._dial((one.name, EVERY)), self._paused(one)) for one in self.channels)
        below: dict[str | None, list[Topic]] = {}
        for topic in self.topics.values():
            if not topic.essential:
                above = self._above(topic)
                below.setdefault(above.name if above else None, []).append(topic)
        rows = tuple(self._row(topic, None, below) for topic in below.get(None, []))
        always = tuple(topic for topic in self.topics.values() if topic.essential)
        return Desk(self.facts, master, faders, rows, always, self.reaches)

    def _above(self, topic: Topic) -> Topic | None:
        found = (self.topics.get(name) for name in reversed(ancestors(topic.name)))
        return next((one for one in found if one is not None and not one.essential), None)

    def _row(self, topic: Topic, above: Topic | None, below: Mapping[str | None, Sequence[Topic]]) -> Row:
        dial = self._dial((EVERY, topic.name), follows=above is not None and not _stands_alone(topic))
        cells = tuple(
            self._cell(channel, topic) for channel in self.channels if (channel.name, topic.name) in self.reaches
        )
        return Row(topic, above, dial, cells, tuple(self._row(one, topic, below) for one in below.get(topic.name, [])))

    def _cell(self, channel: Channel, topic: Topic) -> Cell:
        place = (channel.name, topic.name)
        decision, reach = self.facts.decisions[place], self.reaches[place]
        counted = [one for one in reach.over if one.room is not None]
        return Cell(
            channel=channel,
            topic=topic,
            reach=reach,
            suppressed=decision.reason == "suppressed",
            paused_until=self._paused(channel),
            possible_now=decision.allowed,
            tightest=min(counted, key=lambda one: one.room or 0) if counted and reach.heard else None,
            next_at=decision.next_allowed_at,
            dial=self._dial(place, follows=True),
        )

    def _paused(self, channel: Channel) -> datetime | None:
        ends = [self.facts.pauses[name] for name in (EVERY, channel.name) if name in self.facts.pauses]
        return max(ends) if ends else None

    def _dial(self, place: Place, *, follows: bool = False) -> Dial:
        name, self.count = f"d{self.count}", self.count + 1
        stands, levels = self.facts.dials.get(place), self._levels(self.facts.standing(place).position)
        stops = [Stop(FOLLOWS, None, is_louder(self.facts, self.reaches, place, None)), *levels] if follows else levels
        saved = stands.level if stands else FOLLOWS if follows else self.facts.standing(place).name
        expires_at = stands.expires_at if stands else None
        ended = expires_at is not None and expires_at <= self.facts.at
        return Dial(
            name, place, tuple(stops), saved, self.chosen.get(place, saved), expires_at, expires_at if ended else None
        )

    def _levels(self, position: int) -> list[Stop]:
        if position not in self.stops:
            levels = self.facts.catalogue.levels.values()
            self.stops[position] = [Stop(one.name, one, one.position > position) for one in levels]
        return self.stops[position]


def _stands_alone(topic: Topic) -> bool:
    return topic.basis_topic == topic.name or (topic.default is not None and topic.default.topic == topic.name)


def is_louder(facts: Facts, reaches: Mapping[Place, Reach], place: Place, level: str | None) -> bool:
    """Whether turning a place to a level (None: to no setting of its own) makes anything louder.

    By position at the place, as the rules have it; taking a dial away also when more came through than with it,
    although the place then stands no louder by itself.
    """
    wanted = facts.catalogue.levels[level] if level is not None else facts.rest(place)
    if wanted.position > facts.standing(place).position:
        return True
    if level is not None or place not in facts.dials:
        return False
    rest = {other: dial for other, dial in facts.dials.items() if other != place}
    return any(
        reach_if(facts.catalogue, one, rest, facts.at).louder_than(one)
        for one in reaches.values()
        if place[0] in (EVERY, one.place[0]) and place[1] in facts.catalogue.topics[one.place[1]].covered_by
    )


def one_step_down(shown: Desk) -> list[tuple[Place, str]]:
    """Every dial that lets something through, one level down, and so every default that limits where no dial does.

    Whatever is heard is one level quieter then: the quietest over it is one of these.
    """
    levels = list(shown.facts.catalogue.levels.values())
    wanted = {place: shown.facts.catalogue.levels[dial.level] for place, dial in shown.facts.dials.items()}
    usual: dict[Place, Level] = {}
    for reach in shown.reaches.values():
        for one in reach.over:
            if one.kind == "default" and one.level is not None:
                usual[reach.place[0], one.place[1]] = one.level
    channels = shown.facts.catalogue.live_channels
    for (channel, topic), level in usual.items():
        # One dial for all channels, unless a dial of some channel has its default behind it already.
        everywhere = all((one, topic) in usual for one in channels)
        wanted.setdefault((EVERY if everywhere else channel, topic), level)
    return [(place, levels[level.position - 1].name) for place, level in wanted.items() if level.position > 0]
