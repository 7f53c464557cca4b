"""The words of the judgement about louder changes: what is in use, and what is louder where. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from consent_service.catalogue.model import EVERY, Level


@dataclass(frozen=True)
class Louder:
    """A change that could make an existing customer louder, at its place in the new document."""

    pointer: str
    detail: str

    def as_error(self) -> dict[str, str]:
        """The change as a member of `errors`."""
        return {"pointer": self.pointer, "code": "louder_catalogue", "detail": self.detail}


@dataclass(frozen=True)
class InUse:
    """What of a catalogue customers' settings stand on.

    `dials` holds (channel, topic, level) of every dial that any customer has, each once, expired ones too.
    """

    customers: bool
    dials: frozenset[tuple[str, str, str]] = frozenset()
    retired_channels: frozenset[str] = frozenset()
    retired_topics: frozenset[str] = frozenset()

    def granting(self, levels: Mapping[str, Level]) -> Iterator[tuple[str, str, str]]:
        """The dials that may grant something: at a topic, and louder than silent.

        A level that `levels` lacks counts as loud.
        """
        for channel, topic, level in self.dials:
            if topic != EVERY and not (level in levels and levels[level].is_silent):
                yield channel, topic, level
