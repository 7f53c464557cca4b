"""Would a topic of a new catalogue be louder for an existing customer? Rules without I/O; part of `louder`.

A topic's effective values are compared, so that a change at a parent is found at every topic it reaches.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from consent_service.catalogue.louder_words import InUse, Louder
from consent_service.catalogue.model import EVERY, MODES, Catalogue, Default, Level, Topic, covers
from consent_service.catalogue.values import step


def louder_topics(old: Catalogue, new: Catalogue, in_use: InUse) -> Iterator[Louder]:
    """The louder changes of topics, in the order of the new file."""
    granting: dict[str, set[tuple[str, str]]] = {}
    for channel, place, level in in_use.granting(old.levels):
        granting.setdefault(place, set()).add((channel, level))
    known = old.live_topics
    for name, topic in new.live_topics.items():
        before = known.get(name)
        if before is None:
            changes = _new_topic(topic, new, in_use, granting.keys())
        else:
            dials = {
                (channel, place, level) for place in topic.covered_by for channel, level in granting.get(place, ())
            }
            changes = _changed_topic(old, new, before, topic, dials)
        for change in changes:
            yield Louder(step("/topics", name), f"the topic {name} {change}")


def _new_topic(topic: Topic, new: Catalogue, in_use: InUse, granting: Collection[str]) -> Iterator[str]:
    if topic.name in in_use.retired_topics:
        yield "comes back"
    elif topic.essential:
        yield "is new and essential: no dial governs it"
    elif topic.default and not new.levels[topic.default.level].is_silent:
        yield f"is new, and granted by the default {topic.default.level}"
    elif granted_at := [place for place in topic.covered_by if place in granting]:
        yield f"is new, and granted by dials that customers have at {granted_at[-1]}"


def _changed_topic(
    old: Catalogue, new: Catalogue, before: Topic, after: Topic, dials: set[tuple[str, str, str]]
) -> Iterator[str]:
    if _lasts_longer(before, after):
        yield "has consents that last longer"
    if before.essential:
        return  # whatever governs it now, before nothing did
    if after.essential:
        yield f"becomes essential ({after.basis})"
    elif before.default is None:
        if after.default:
            yield f"has its basis weakened from {before.basis} to {after.basis}"
    elif after.default and (change := _louder_default(old, new, before.default, after.default)):
        yield change
    elif dial := _freed_dial(old, new, before.default, after.default, dials):
        yield (
            f"loses the default {before.default.level}, which still limits customers"
            f" with a dial of {dial[2]} at ({dial[0]}, {dial[1]})"
        )


def _lasts_longer(before: Topic, after: Topic) -> bool:
    if before.consent_lasts_seconds is None:
        return False
    return after.consent_lasts_seconds is None or after.consent_lasts_seconds > before.consent_lasts_seconds


def _louder_default(old: Catalogue, new: Catalogue, before: Default, after: Default) -> str | None:
    if _is_louder(old, new, before.level, after.level):
        return f"has its default raised from {before.level} to {after.level}"
    # A cap at a narrower place counts fewer contacts, so the same cap there lets more through.
    counted = old.levels[before.level].cap and new.levels[after.level].cap
    if counted and not covers(after.topic, before.topic):
        return f"has a default of {after.topic} alone, no longer shared under {before.topic}"
    return None


def _is_louder(old: Catalogue, new: Catalogue, before: str, after: str) -> bool:
    # The same level is at the same position; a change of the level itself is told at the level.
    for levels in (new.levels, old.levels):
        if before in levels and after in levels:
            return levels[after].position > levels[before].position
    return not _nests(new.levels[after], old.levels[before])


def _nests(inner: Level, outer: Level) -> bool:
    """True when whatever the inner level lets through, the outer one does at the same place."""
    if inner.cap and outer.cap:
        return inner.cap.nests_in(outer.cap)
    return MODES.index(inner.mode) <= MODES.index(outer.mode)


def _freed_dial(
    old: Catalogue, new: Catalogue, before: Default, after: Default | None, dials: set[tuple[str, str, str]]
) -> tuple[str, str, str] | None:
    """A dial beside which the old default limits and the new one does not, if there is one.

    A default limits until a topic dial at least as loud as it covers the contact: without default, or with a
    quieter one, a dial below the old default may be the only limit left.
    """
    default = old.levels[before.level]
    limit = new.levels[after.level].position if after else 0
    for channel, place, name in sorted(dials):
        level, level_now = old.levels.get(name), new.levels.get(name)
        if not default.cap or not level or not level_now or not level_now.cap:
            continue  # nothing was limited, or nothing is let through
        holds_as_much = channel == EVERY and covers(place, before.topic) and _nests(level_now, default)
        if level.position < default.position and level_now.position >= limit and not holds_as_much:
            return channel, place, name
    return None
