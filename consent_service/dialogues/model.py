"""A dialogue, its terms, what is said in it, and what a proposal holds. Rules without I/O.

What stands in events is JSON: lines and terms are kept as they came, times as RFC 3339 texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from consent_service.clock import format_time
from consent_service.customers.ids import encode_id
from consent_service.errors import ConsentError

MOST_OPEN = 50
LONGEST = timedelta(days=500)  # sixteen months and a few days
MOST_CONTACTS = 100
MOST_CHANNELS = 50
LONGEST_SUBJECT = 200
LONGEST_MESSAGE = 4000
MOST_LINES = 100
LARGEST_PROPOSAL = 50_000  # characters, of all lines together
MOST_ENTRIES = 1000
LONGEST_TOPIC = 600

State = Literal["open", "closed", "expired"]
# What a line of a proposal may be; the name of the field in which its values stand.
LINE_KINDS = ("dial", "terms", "specification")
ANSWERS = ("accept", "refuse", "change")
# Which kind of entry each event adds. A fact's event adds one when it is told in a dialogue.
ENTRY_KINDS: Mapping[str, str] = {
    "dialogue.opened": "opening",
    "dialogue.message": "message",
    "dialogue.proposed": "proposal",
    "dialogue.withdrawn": "refusal",
    "dialogue.accepted": "acceptance",
    "dialogue.refused": "refusal",
    "dialogue.countered": "counter_proposal",
    "dialogue.narrowed": "terms",
    "dialogue.widened": "terms",
    "dialogue.closed": "closing",
}


@dataclass(frozen=True, slots=True)
class Terms:
    """Within what the company may answer: on which channels, until when, how often, also in quiet hours or not."""

    channels: tuple[str, ...]
    until: datetime
    contacts: int
    any_time: bool

    def shown(self) -> dict[str, Any]:
        """As answers and events show them."""
        return {
            "channels": list(self.channels),
            "until": format_time(self.until),
            "contacts": self.contacts,
            "any_time": self.any_time,
        }

    def wider_than(self, other: Terms) -> bool:
        """True when anything is allowed here that is not allowed there."""
        return (
            not set(self.channels) <= set(other.channels)
            or self.until > other.until
            or self.contacts > other.contacts
            or (self.any_time and not other.any_time)
        )


@dataclass(frozen=True)
class Opening:
    """What somebody begins a dialogue with."""

    topic: str
    subject: str = field(repr=False)
    terms: Terms
    message: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Dialogue:
    """A row, and how it stands at the instant of reading.

    `made`: contacts made under its limit; `reserved`: permits that are open under it. `waiting_since`: since when the
    customer waits for an answer; None: the company spoke last. `entries`: how many there are.
    """

    customer_id: UUID
    dialogue_id: UUID
    topic: str
    terms: Terms
    state: State
    opened_at: datetime
    role: str
    source: str
    waiting_since: datetime | None
    closed_at: datetime | None
    closed_by: str | None
    subject: str = field(repr=False)
    made: int
    reserved: int
    entries: int
    essential: bool
    covered_by: Sequence[str]

    @property
    def id(self) -> str:
        """As it stands in URLs."""
        return encode_id(self.customer_id, self.dialogue_id)

    def shown(self) -> dict[str, Any]:
        """As answers show it, without its entries."""
        left = self.terms.contacts - self.made - self.reserved
        return {
            "id": self.id,
            "customer_id": str(self.customer_id),
            "topic": self.topic,
            "subject": self.subject,
            **self.terms.shown(),
            "contacts_made": self.made,
            "contacts_left": max(0, left) if self.state == "open" else 0,
            "state": self.state,
            "opened_at": format_time(self.opened_at),
            "role": self.role,
            "source": self.source,
            "waiting_since": format_time(self.waiting_since) if self.waiting_since and self.state == "open" else None,
            "closed_at": format_time(self.closed_at) if self.closed_at else None,
            "closed_by": self.closed_by,
        }

    def require_open(self) -> None:
        """Refuses what can only be done while it is open.

        Raises:
            ConsentError: dialogue_closed, dialogue_expired.
        """
        if self.state == "closed":
            raise ConsentError("dialogue_closed", "The dialogue is closed. Only the customer can open a new one.")
        if self.state == "expired":
            raise ConsentError("dialogue_expired", "The dialogue has expired. Only the customer can open a new one.")

    def is_for(self, topics: Sequence[str] | None) -> bool:
        """True when a campaign key with these topics (None: all that are not essential) may use its topic."""
        return key_covers(topics, self.topic, self.covered_by, essential=self.essential)


@dataclass(frozen=True)
class Line:
    """One change that is proposed: its kind, its values as JSON, and what is said of it."""

    kind: str
    value: Mapping[str, Any] = field(repr=False)
    text: str | None = field(default=None, repr=False)

    def shown(self, number: int) -> dict[str, Any]:
        """As answers and events show it; lines are counted from 1."""
        return {"line": number, "text": self.text, self.kind: dict(self.value)}


@dataclass(frozen=True)
class LineAnswer:
    """What the customer says to one line; `value` is there when they change it."""

    line: int
    answer: str
    kind: str | None = None
    value: Mapping[str, Any] | None = field(default=None, repr=False)


def key_covers(topics: Sequence[str] | None, topic: str, covered_by: Sequence[str], *, essential: bool) -> bool:
    """True when a campaign key may use a topic: an essential one only when named itself or by `*`."""
    if topics is None:
        return not essential
    return "*" in topics or topic in topics or (not essential and bool(set(topics) & set(covered_by)))


def line_of(shown: Mapping[str, Any]) -> Line:
    """A line as an event shows it."""
    kind = next(name for name in shown if name not in ("line", "text", "answer"))
    return Line(kind, shown[kind], shown["text"])


def matched(lines: Sequence[Line], answers: Sequence[LineAnswer]) -> list[tuple[LineAnswer, Line]]:
    """Each line with its answer, in the order of the lines: as it was proposed, or as the customer changed it.

    Raises:
        ConsentError: invalid_value, for a line that is answered twice, not at all, or by another kind of change.
    """
    by_line: dict[int, LineAnswer] = {}
    for index, one in enumerate(answers):
        if not 1 <= one.line <= len(lines) or one.line in by_line:
            raise refusal("invalid_value", "Each line of the proposal is answered once.", f"/lines/{index}/line")
        if one.answer == "change" and one.kind != lines[one.line - 1].kind:
            raise refusal("invalid_value", "A line is changed into one of its own kind.", f"/lines/{index}")
        by_line[one.line] = one
    if len(by_line) < len(lines):
        raise refusal("invalid_value", "Every line needs an answer: silence takes nothing up.", "/lines")
    pairs = []
    for number, line in enumerate(lines, 1):
        one = by_line[number]
        pairs.append((one, Line(line.kind, one.value, line.text) if one.value is not None else line))
    return pairs


def refusal(code: str, detail: str, pointer: str) -> ConsentError:
    """An error of one field."""
    return ConsentError(code, f"{pointer}: {detail}", errors=[{"pointer": pointer, "code": code, "detail": detail}])
