"""The parts of a catalogue as plain data, with their effective values worked out.

Owns the words (level, channel, topic, policy, notice) and what follows from a topic's path. Never reads a
file or a database, and never judges a document: that is validation's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from typing import Any

# Whoever applies a catalogue takes this advisory lock exclusively. Whoever writes what depends on the
# catalogue (permits, contacts, dials, pauses, suppressions, customers) takes it shared: a catalogue then
# applies between two decisions and never within one.
CATALOGUE_LOCK = 7_203_914_550_021

EVERY = "*"
MODES = ("silent", "on_request", "capped", "open")
ESSENTIAL_BASES = ("contract", "legal_obligation", "vital_interest")
BASES = ("consent", "legitimate_interest", *ESSENTIAL_BASES)
MINUTES_A_DAY = 24 * 60


@dataclass(frozen=True)
class Cap:
    """At most `contacts` in any `per_seconds`."""

    contacts: int
    per_seconds: int

    def nests_in(self, other: Cap) -> bool:
        """True when whatever this cap lets through, the other one does at the same place."""
        return self.contacts <= other.contacts and self.per_seconds >= other.per_seconds


@dataclass(frozen=True)
class Level:
    """A step on the volume dial. `position` 0 is the quietest; mode capped has a cap, others have none."""

    name: str
    position: int
    mode: str
    cap: Cap | None
    label: Mapping[str, str]

    @property
    def is_silent(self) -> bool:
        """True for the one level that lets nothing through."""
        return self.mode == "silent"


@dataclass(frozen=True)
class IdentifierKind:
    """A kind of identifier; several customers may hold the same one when it is shared."""

    name: str
    shared: bool


BUILT_IN_KINDS = (
    IdentifierKind("email", False),
    IdentifierKind("phone", False),
    IdentifierKind("postal", True),
)


@dataclass(frozen=True)
class QuietHours:
    """Wall-clock times [starts, ends), wrapping midnight where starts > ends; never equal."""

    starts: time
    ends: time

    def minutes(self) -> frozenset[int]:
        """The minutes of the day that are quiet."""
        first = self.starts.hour * 60 + self.starts.minute
        last = self.ends.hour * 60 + self.ends.minute
        if first < last:
            return frozenset(range(first, last))
        return frozenset(range(MINUTES_A_DAY)) - frozenset(range(last, first))


@dataclass(frozen=True)
class Channel:
    """A means of contact. `confirm` asks for a confirmation of louder changes (double opt-in)."""

    name: str
    position: int
    identifier_kind: str
    quiet_hours: QuietHours | None
    confirm: bool
    label: Mapping[str, str]
    retired: bool = False


@dataclass(frozen=True)
class Default:
    """The level of a topic for customers without a topic dial over it, and the topic that declares it."""

    level: str
    topic: str


@dataclass(frozen=True)
class Topic:
    """What a contact is about, with its effective values: own ones, else those of the nearest ancestor.

    `default` stands under legitimate interest and nowhere else. `consent_lasts_seconds` None: without end.
    """

    name: str
    position: int
    basis: str
    basis_topic: str
    default: Default | None
    consent_lasts_seconds: int | None
    label: Mapping[str, str]
    benefit: Mapping[str, str] | None
    retired: bool = False

    @property
    def essential(self) -> bool:
        """True when no dial governs the topic."""
        return self.basis in ESSENTIAL_BASES

    @property
    def covered_by(self) -> tuple[str, ...]:
        """The topic places that cover it: `*`, its ancestors (declared or not) from the root, itself."""
        return (EVERY, *ancestors(self.name), self.name)


@dataclass(frozen=True)
class Policy:
    """A cap that the company sets on itself at a place; `segment` None: for everybody."""

    name: str
    position: int
    channel: str
    topic: str
    cap: Cap
    segment: str | None


@dataclass(frozen=True)
class Notice:
    """What a customer was told, by locale. (id, version) names one text for ever."""

    notice_id: str
    version: str
    text: Mapping[str, str]


@dataclass(frozen=True)
class Catalogue:
    """A whole catalogue; mappings are by name and in the order of the file (levels: quietest first).

    One that was loaded from the database also holds retired channels and topics, and every notice ever
    loaded. `document` is the catalogue as it was written; two catalogues that mean the same are equal.
    """

    time_zone: str
    identifier_kinds: Mapping[str, IdentifierKind]
    segments: frozenset[str]
    levels: Mapping[str, Level]
    channels: Mapping[str, Channel]
    topics: Mapping[str, Topic]
    policies: tuple[Policy, ...]
    notices: Mapping[tuple[str, str], Notice]
    document: Mapping[str, Any] = field(compare=False, repr=False)
    version: int = field(default=0, compare=False)

    @property
    def live_channels(self) -> dict[str, Channel]:
        """Channels that are not retired."""
        return {name: channel for name, channel in self.channels.items() if not channel.retired}

    @property
    def live_topics(self) -> dict[str, Topic]:
        """Topics that are not retired."""
        return {name: topic for name, topic in self.topics.items() if not topic.retired}


def ancestors(path: str) -> tuple[str, ...]:
    """The paths above a topic's, from the root: `a/b/c` has `a` and `a/b`."""
    segments = path.split("/")
    return tuple("/".join(segments[:length]) for length in range(1, len(segments)))


def covers(place: str, name: str) -> bool:
    """True when a channel or topic place covers a channel's or topic's name, or a narrower place."""
    return place in (EVERY, name) or name.startswith(place + "/")
