"""What a client does to one customer, and what it is told: values to compare, and nothing that acts or decides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

Place = tuple[str, str]
# A dial's place and level; a pause's channel and end.
Dials = tuple[tuple[Place, str], ...]
Pauses = tuple[tuple[str, datetime], ...]


@dataclass(frozen=True)
class Check:
    """May this contact be made?"""

    place: Place


@dataclass(frozen=True)
class Contact:
    """Ask and record."""

    place: Place


@dataclass(frozen=True)
class Reserve:
    """Ask for a permit."""

    place: Place


@dataclass(frozen=True)
class Use:
    """Use a permit."""

    permit: str


@dataclass(frozen=True)
class Release:
    """Give a permit's room back."""

    permit: str


@dataclass(frozen=True)
class ShowPermit:
    """How does a permit stand?"""

    permit: str


@dataclass(frozen=True)
class Turn:
    """Turn dials (level None: remove them), all or nothing; `version` is that of If-Match."""

    changes: tuple[tuple[Place, str | None], ...]
    version: int | None = None


@dataclass(frozen=True)
class SetPause:
    """Not until then."""

    channel: str
    until: datetime


@dataclass(frozen=True)
class EndPause:
    """The pause is over."""

    channel: str


@dataclass(frozen=True)
class ShowDials:
    """How do dials and pauses stand?"""


@dataclass(frozen=True)
class Audit:
    """What lies in the database: settings, ledger and permits, of one snapshot."""


Act = Check | Contact | Reserve | Use | Release | ShowPermit | Turn | SetPause | EndPause | ShowDials | Audit
READING = (Check, ShowPermit, ShowDials, Audit)


@dataclass(frozen=True)
class Settings:
    """Dials and pauses as they were shown, with their version."""

    version: int
    dials: Dials
    pauses: Pauses


@dataclass(frozen=True)
class Decision:
    """May we? `governed_by`: kind, channel, topic, level, used and room of each dial, default and policy."""

    reason: str
    level: str | None
    remaining: int | None
    governed_by: tuple[tuple[Any, ...], ...]

    @property
    def allowed(self) -> bool:
        """Of the reasons that these customers can meet only one is a yes."""
        return self.reason == "allowed"


@dataclass(frozen=True)
class Holdings:
    """Contacts per place, and permits per place and state."""

    contacts: tuple[tuple[Place, int], ...]
    permits: tuple[tuple[Place, str, int], ...]


@dataclass(frozen=True)
class Answer:
    """A status, and what came with it."""

    status: int
    code: str | None = None
    decision: Decision | None = None
    settings: Settings | None = None
    contact: str | None = None
    state: str | None = None
    holdings: Holdings | None = None


@dataclass(frozen=True)
class Operation:
    """One act on one customer, by a clock that all clients share.

    `answer` and `completed_at` are None when the answer was lost: it may have happened at any time after
    `invoked_at`, or may not. `made` is the id of the permit or contact that came of it, as it was told.
    """

    number: int
    client: str
    act: Act
    invoked_at: int
    completed_at: int | None
    answer: Answer | None
    made: str

    @property
    def is_known(self) -> bool:
        """Whether its answer was seen."""
        return self.answer is not None

    @cached_property
    def only_reads(self) -> bool:
        """True when no order of events lets it change anything, given its answer."""
        if isinstance(self.act, READING):
            return True
        refused = self.answer is not None and self.answer.status in (409, 412)
        # Only a use that the decision refused ends the permit.
        voids = isinstance(self.act, Use) and self.answer is not None and self.answer.code == "not_permitted"
        return refused and not voids
