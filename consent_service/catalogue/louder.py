"""Would a new catalogue make an existing customer louder? Rules without I/O.

Louder means: some question about some customer that the old catalogue answers with no, or with less room,
could be answered with yes, or with more, by the new one. Dials at one place are compared by position, as the
rules do. When in doubt a change is louder: the operator can accept it, and history then says so.
"""

from __future__ import annotations

from collections.abc import Iterator

from consent_service.catalogue.louder_topics import louder_topics
from consent_service.catalogue.louder_words import InUse, Louder
from consent_service.catalogue.model import MODES, Cap, Catalogue, Channel, Level, Policy, covers
from consent_service.catalogue.values import step
from consent_service.clock import format_duration

__all__ = ["InUse", "Louder", "louder_changes"]


def louder_changes(old: Catalogue, new: Catalogue, in_use: InUse) -> list[Louder]:
    """Every change from old to new that could make an existing customer louder, in the order of the file.

    Args:
        old: retired channels and topics in it count as gone.
        in_use: what customers have set; without any customer nothing is louder.
    """
    if not in_use.customers:
        return []
    return [
        *_zone(old, new),
        *_kinds(old, new),
        *_levels(old, new),
        *_channels(old, new, in_use),
        *louder_topics(old, new, in_use),
        *_policies(old, new),
    ]


def _zone(old: Catalogue, new: Catalogue) -> Iterator[Louder]:
    if old.time_zone != new.time_zone:
        yield Louder("/time_zone", f"the zone changes from {old.time_zone} to {new.time_zone}, and quiet hours with it")


def _kinds(old: Catalogue, new: Catalogue) -> Iterator[Louder]:
    for name, kind in new.identifier_kinds.items():
        before = old.identifier_kinds.get(name)
        if before is not None and before.shared != kind.shared:
            yield Louder("/identifiers", f"the kind {name} changes whether several customers may share one")


def _levels(old: Catalogue, new: Catalogue) -> Iterator[Louder]:
    kept = [name for name in new.levels if name in old.levels]
    if kept != [name for name in old.levels if name in new.levels]:
        yield Louder("/levels", f"the order of the levels changes: now {', '.join(kept)}")
    for name in kept:
        before, after = old.levels[name], new.levels[name]
        for change in _louder_level(before, after):
            yield Louder(step("/levels", after.position), f"the level {name} {change}")


def _louder_level(before: Level, after: Level) -> Iterator[str]:
    if MODES.index(after.mode) > MODES.index(before.mode):
        yield f"changes from {before.mode} to {after.mode}"
    elif before.cap and after.cap and not after.cap.nests_in(before.cap):
        yield f"is raised from {_in_words(before.cap)} to {_in_words(after.cap)}"


def _in_words(cap: Cap) -> str:
    return f"{cap.contacts} per {format_duration(cap.per_seconds)}"


def _channels(old: Catalogue, new: Catalogue, in_use: InUse) -> Iterator[Louder]:
    known = old.live_channels
    for name, channel in new.live_channels.items():
        before = known.get(name)
        changes = _louder_channel(before, channel) if before else _new_channel(name, new, in_use)
        for change in changes:
            yield Louder(step("/channels", name), f"the channel {name} {change}")


def _louder_channel(before: Channel, after: Channel) -> Iterator[str]:
    if before.identifier_kind != after.identifier_kind:
        yield (
            f"changes its identifier from {before.identifier_kind} to {after.identifier_kind}:"
            " suppressions of contact points are then looked for elsewhere"
        )
    if before.confirm and not after.confirm:
        yield "no longer asks for a confirmation of louder changes"
    quiet = after.quiet_hours.minutes() if after.quiet_hours else frozenset()
    if before.quiet_hours and not before.quiet_hours.minutes() <= quiet:
        yield "has quiet hours that leave out a part of the old ones" if quiet else "loses its quiet hours"


def _new_channel(name: str, new: Catalogue, in_use: InUse) -> Iterator[str]:
    """A channel that comes back, or comes anew under settings that reach every channel.

    A topic that is granted on every channel (by a dial at `*`, by a default, by being essential) is granted
    there too.
    """
    if name in in_use.retired_channels:
        yield "comes back"
        return
    granted = {topic for channel, topic, _ in in_use.granting(new.levels) if covers(channel, name)}
    for topic in new.live_topics.values():
        by_default = topic.default is not None and not new.levels[topic.default.level].is_silent
        if topic.essential or by_default or granted.intersection(topic.covered_by):
            yield f"is new, and {topic.name} is granted on it to customers who never chose it"
            return


def _policies(old: Catalogue, new: Catalogue) -> Iterator[Louder]:
    for policy in old.policies:
        kept = any(_holds_as_much(policy, other) for other in new.policies)
        if not kept and not _governs_nobody(policy, new):
            same_name = next((other for other in new.policies if other.name == policy.name), None)
            if same_name is None:
                yield Louder("/policies", f"the policy {policy.name} is removed")
            else:
                yield Louder(step("/policies", same_name.position), f"the policy {policy.name} is widened")


def _governs_nobody(policy: Policy, new: Catalogue) -> bool:
    """True when its channel, its segment, or everything that its topic covers is gone."""
    return (
        not any(covers(policy.channel, name) for name in new.live_channels)
        or not any(covers(policy.topic, name) for name in new.live_topics)
        or (policy.segment is not None and policy.segment not in new.segments)
    )


def _holds_as_much(old: Policy, new: Policy) -> bool:
    """True when the new policy lets through nothing that the old one holds back."""
    return (
        covers(new.channel, old.channel)
        and covers(new.topic, old.topic)
        and new.segment in (None, old.segment)
        and new.cap.nests_in(old.cap)
    )
