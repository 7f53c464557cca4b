"""What a customer's dials come to at a channel and topic: how loud, by which dial, and whether anything is granted.

As things stand the decision is asked, which alone decides (`reach_of`). Only what would be if dials were turned is
reckoned here (`reach_if`), for a preview; a test holds the two together. No I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from consent_service.catalogue.model import EVERY, Cap, Catalogue, Level, Topic
from consent_service.clock import parse_time
from consent_service.permissions.model import Decision

Place = tuple[str, str]  # a channel or '*', and a topic or '*'


@dataclass(frozen=True, slots=True)
class Dialled:
    """A dial as it stands: its level's name, and when the consent in it ends (None: never)."""

    level: str
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Governor:
    """A dial, default or policy over a contact. A policy has a cap and no level; what is used only a decision knows."""

    kind: str
    place: Place
    level: Level | None
    cap: Cap | None
    used: int | None = None
    room: int | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """How loud it is in the end at one channel and topic.

    Args:
        level: the quietest over it; None for an essential topic, which no dial governs.
        granted: whether anything lets it through at all.
        over: what governs it, quietest first; policies last.
    """

    place: Place
    essential: bool
    granted: bool
    level: Level | None
    over: tuple[Governor, ...]

    @property
    def heard(self) -> bool:
        """True when messages can come without being asked for."""
        return self.essential or (self.granted and self.level is not None and self.level.mode in ("capped", "open"))

    @property
    def holders(self) -> tuple[Governor, ...]:
        """The dials or the default that make it as quiet as it is."""
        return tuple(one for one in self.over if one.level is not None and one.level == self.level)

    @property
    def policies(self) -> tuple[Governor, ...]:
        """The caps that the company sets on itself here."""
        return tuple(one for one in self.over if one.kind == "policy")

    def louder_than(self, other: Reach) -> bool:
        """True when more comes through here than there."""
        return self._position > other._position

    @property
    def _position(self) -> int:
        return self.level.position if self.granted and self.level is not None else 0

    def ended_at(self, at: datetime) -> datetime | None:
        """When the last consent over it ended, if one did and nothing grants it any more."""
        ended = [one.expires_at for one in self.over if one.expires_at is not None and one.expires_at <= at]
        return max(ended) if ended and not self.granted else None


def reach_of(catalogue: Catalogue, decision: Decision, place: Place) -> Reach:
    """What stands, as the decision has it."""
    over = tuple(_governor(catalogue, one) for one in decision.governed_by)
    level = catalogue.levels[decision.held_level] if decision.held_level is not None else None
    return Reach(place, decision.essential, decision.granted, level, over)


def _governor(catalogue: Catalogue, row: Mapping[str, Any]) -> Governor:
    level = catalogue.levels[row["level"]] if row["level"] is not None else None
    if level is not None:
        cap = level.cap
    else:
        cap = next((one.cap for one in catalogue.policies if one.name == row["name"]), None)
    return Governor(
        row["kind"],
        (row["channel"], row["topic"]),
        level,
        cap,
        row["used"],
        row["room"],
        parse_time(row["expires_at"]) if row["expires_at"] else None,
    )


def reach_if(catalogue: Catalogue, now: Reach, dials: Mapping[Place, Dialled], at: datetime) -> Reach:
    """What it would come to at the same place with other dials. Source: rules.md 2."""
    if now.essential:
        return now
    channel, name = now.place
    topic = catalogue.topics[name]
    covering = [
        Governor("dial", place, (level := catalogue.levels[dial.level]), level.cap, expires_at=dial.expires_at)
        for place, dial in dials.items()
        if place[0] in (EVERY, channel) and place[1] in topic.covered_by
    ]
    topical = [one for one in covering if one.place[1] != EVERY]
    usual = _default(catalogue, topic)
    if not topical or max(_position(one) for one in topical) < _position(usual):
        covering.append(usual)
    covering.sort(key=_position)
    return replace(
        now,
        granted=_grants(topic, topical, usual, at),
        level=covering[0].level if covering else None,
        over=(*covering, *now.policies),
    )


def _default(catalogue: Catalogue, topic: Topic) -> Governor:
    # Under consent the default is the silent level, which is always the first.
    default = topic.default
    level = catalogue.levels[default.level] if default else next(iter(catalogue.levels.values()))
    return Governor("default", (EVERY, default.topic if default else topic.basis_topic), level, level.cap)


def _grants(topic: Topic, topical: Sequence[Governor], usual: Governor, at: datetime) -> bool:
    turned_up = [one for one in topical if _position(one) > 0]
    if topic.basis == "consent":
        return any(one.expires_at is None or one.expires_at > at for one in turned_up)
    return bool(turned_up) if topical else _position(usual) > 0


def _position(one: Governor) -> int:
    assert one.level is not None
    return one.level.position


def tightest(caps: Sequence[Cap | None]) -> tuple[Cap, ...]:
    """Those caps that no other one of them makes needless, in their order."""
    kept: list[Cap] = []
    for cap in caps:
        if cap is None or any(one.nests_in(cap) for one in kept):
            continue
        kept = [one for one in kept if not cap.nests_in(one)] + [cap]
    return tuple(kept)
