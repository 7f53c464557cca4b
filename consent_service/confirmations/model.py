"""What was asked and waits for a confirmation, and what came of it. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import orjson

from consent_service.clock import format_time
from consent_service.customers.model import EMAIL, Reference, parse_reference
from consent_service.dials.model import Change, Notice

Kind = Literal["louder", "address"]
State = Literal["open", "confirmed", "dropped", "expired"]
LASTS = timedelta(days=14)
KEPT_DAYS = 30
# Mails that a visitor can make us send to one customer.
MOST_AN_HOUR = 10


@dataclass(frozen=True)
class Asked:
    """What waits.

    Args:
        to: the address that the mail goes to; of a new address, that address.
        changes: places to be turned up.
        pauses: when they shall end, by channel or '*'; None: at once.
        notice: that was shown. `locale` is the language of the page.
        left: places and pauses that a confirmation left as they were, because something was turned there since.
    """

    to: Reference = field(repr=False)
    locale: str
    source: str
    changes: tuple[Change, ...] = ()
    pauses: Mapping[str, datetime | None] = field(default_factory=dict)
    notice: Notice | None = None
    left: tuple[tuple[str, str], ...] = ()
    left_pauses: tuple[str, ...] = ()

    def packed(self) -> bytes:
        """As it is sealed."""
        return orjson.dumps(
            {
                "to": self.to.text,
                "locale": self.locale,
                "source": self.source,
                "changes": [[one.channel, one.topic, one.level] for one in self.changes],
                "pauses": shown_pauses(self.pauses),
                "notice": [self.notice.id, self.notice.version, self.notice.locale] if self.notice else None,
                "left": self.left,
                "left_pauses": self.left_pauses,
            }
        )

    @classmethod
    def unpacked(cls, content: bytes) -> Asked:
        """What was packed."""
        read: dict[str, Any] = orjson.loads(content)
        return cls(
            to=parse_reference(read["to"]),
            locale=read["locale"],
            source=read["source"],
            changes=tuple(Change(*one) for one in read["changes"]),
            pauses={name: datetime.fromisoformat(at) if at else None for name, at in read["pauses"].items()},
            notice=Notice(*read["notice"]) if read["notice"] else None,
            left=tuple((channel, topic) for channel, topic in read["left"]),
            left_pauses=tuple(read["left_pauses"]),
        )

    def covers(self, other: Asked) -> bool:
        """True when everything that the other one asks is asked here as well, one way or another."""
        places = {(one.channel, one.topic) for one in self.changes}
        others = {(one.channel, one.topic) for one in other.changes}
        return others <= places and other.pauses.keys() <= self.pauses.keys()


@dataclass(frozen=True)
class PendingChange:
    """A row: what was asked, and how it stands now."""

    change_id: UUID
    kind: Kind
    state: State
    asked_at: datetime
    expires_at: datetime
    event_id: UUID
    asked: Asked

    @property
    def waits_for_desk(self) -> bool:
        """True for a contact detail that no mail can confirm."""
        return self.kind == "address" and self.asked.to.kind != EMAIL


def shown_pauses(pauses: Mapping[str, datetime | None]) -> dict[str, str | None]:
    """Ends of pauses as JSON."""
    return {name: format_time(at) if at else None for name, at in pauses.items()}
