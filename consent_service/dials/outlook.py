"""The summary of a desk: by which channel one hears about what, and how often at most, in all. Plain data, no words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from consent_service.catalogue.model import EVERY, Cap, Channel, Topic, ancestors
from consent_service.dials.desk import Desk
from consent_service.dials.reach import Place, Reach, tightest


@dataclass(frozen=True, slots=True)
class Measure:
    """Topics that are heard alike, and how often at most each of them; no caps: only what holds for all together."""

    topics: tuple[Topic, ...]
    caps: tuple[Cap, ...]


@dataclass(frozen=True, slots=True)
class ByChannel:
    """What is heard by a channel; no measures: nothing. `caps` hold for all of it together."""

    channel: Channel
    measures: tuple[Measure, ...]
    caps: tuple[Cap, ...]
    suppressed: bool
    paused_until: datetime | None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is heard in all. `always` are the topics that no dial governs; `caps` hold for everything together."""

    channels: tuple[ByChannel, ...]
    caps: tuple[Cap, ...]
    always: tuple[Topic, ...]
    paused_until: datetime | None


def outlook(shown: Desk, reaches: Mapping[Place, Reach] | None = None) -> Outlook:
    """The summary of what stands, or of what would be with other reaches."""
    found = reaches if reaches is not None else shown.reaches
    in_all = _caps_at(found.values(), (EVERY, EVERY))
    channels = tuple(_by_channel(shown, found, fader.channel, in_all, fader.paused_until) for fader in shown.faders)
    heard = any(one.measures for one in channels)
    return Outlook(channels, in_all if heard else (), shown.always, shown.facts.pauses.get(EVERY))


def _by_channel(
    shown: Desk,
    reaches: Mapping[Place, Reach],
    channel: Channel,
    in_all: tuple[Cap, ...],
    paused_until: datetime | None,
) -> ByChannel:
    mine = [one for place, one in reaches.items() if place[0] == channel.name and not one.essential]
    own = tightest([*in_all, *_caps_at(mine, (channel.name, EVERY))])
    suppressed = bool(mine) and all(shown.facts.decisions[one.place].reason == "suppressed" for one in mine)
    measures: dict[tuple[Cap, ...], list[Topic]] = {}
    caps_of: dict[str, tuple[Cap, ...]] = {}
    for one in mine:
        if suppressed or not one.heard:
            continue
        name = one.place[1]
        caps = tuple(cap for cap in _topical(one) if cap in tightest([*own, cap]))
        caps_of[name] = caps
        # A topic says what holds for those below it, unless they have a measure of their own.
        if any(caps_of.get(above) == caps for above in ancestors(name)):
            continue
        measures.setdefault(caps, []).append(shown.facts.catalogue.topics[name])
    found = tuple(Measure(tuple(topics), caps) for caps, topics in measures.items())
    return ByChannel(
        channel, found, tuple(cap for cap in own if cap not in in_all) if found else (), suppressed, paused_until
    )


def _topical(reach: Reach) -> tuple[Cap, ...]:
    """The caps of what governs the topic itself, apart from the faders'."""
    return tightest([one.cap for one in reach.over if one.place[1] != EVERY])


def _caps_at(reaches: Iterable[Reach], place: Place) -> tuple[Cap, ...]:
    """The caps of the fader and the policies at a place over these."""
    return tightest([each.cap for one in reaches for each in one.over if each.place == place])
