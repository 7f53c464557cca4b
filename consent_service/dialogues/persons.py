"""Somebody whom a customer named: what is known, and how it is sealed so that its length tells nothing. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from consent_service.clock import format_time
from consent_service.customers.ids import encode_id
from consent_service.keyring.model import NOBODY, DataKey

MOST_PEOPLE = 500  # of one customer
LONGEST_NAME = 100
LONGEST_RELATION = 60
LONGEST_SHOWN = 120  # of a contact detail, of which a part is shown
MOST_ANSWERS = 5  # that are remembered of one invitation, and given within a day
A_DAY = timedelta(hours=24)
# More than the longest of all parts takes, four bytes a character.
_SEALED_BYTES = 3072


@dataclass(frozen=True, slots=True)
class Yes:
    """Somebody said yes to an invitation.

    Args:
        customer_id: who they became, or were.
        tells: whether the one who asked may know.
        known: they came by a link of their own; else the address that they gave has to be confirmed first.
    """

    customer_id: UUID
    said_at: datetime
    tells: bool
    known: bool


@dataclass(frozen=True, slots=True)
class Person:
    """A row.

    Args:
        contact: the contact detail, as much of it as its owner needs to be known by; the whole is kept nowhere.
        naming_hash: by which they may ask never to be named again; None: no contact detail was given, or they have.
        shown_as: as whom the naming customer is shown to them; None: not at all.
    """

    person_id: UUID
    dialogue_id: UUID
    named_at: datetime
    name: str = field(repr=False)
    relation: str = field(repr=False)
    contact: str | None = field(default=None, repr=False)
    naming_hash: bytes | None = None
    invited_at: datetime | None = None
    shown_as: str | None = field(default=None, repr=False)
    said_yes: tuple[Yes, ...] = ()

    def sealed(self, key: DataKey) -> bytes:
        """Ciphertext of one length, whatever it says."""
        content = orjson.dumps(
            {
                "name": self.name,
                "relation": self.relation,
                "contact": self.contact,
                "naming_hash": self.naming_hash.hex() if self.naming_hash else None,
                "invited_at": format_time(self.invited_at) if self.invited_at else None,
                "shown_as": self.shown_as,
                "said_yes": [
                    [str(one.customer_id), format_time(one.said_at), one.tells, one.known] for one in self.said_yes
                ],
            }
        )
        if len(content) > _SEALED_BYTES:
            raise ValueError("more is known of a person than there is room for")
        return key.seal(content.ljust(_SEALED_BYTES), self.person_id.bytes)

    @classmethod
    def opened(cls, key: DataKey, row: Mapping[str, Any]) -> Person:
        """The person in a row."""
        read: dict[str, Any] = orjson.loads(key.open(row["ciphertext"], row["person_id"].bytes))
        return cls(
            person_id=row["person_id"],
            dialogue_id=row["dialogue_id"],
            named_at=row["named_at"],
            name=read["name"],
            relation=read["relation"],
            contact=read["contact"],
            naming_hash=bytes.fromhex(read["naming_hash"]) if read["naming_hash"] else None,
            invited_at=datetime.fromisoformat(read["invited_at"]) if read["invited_at"] else None,
            shown_as=read["shown_as"],
            said_yes=tuple(
                Yes(UUID(one), datetime.fromisoformat(at), tells, known) for one, at, tells, known in read["said_yes"]
            ),
        )

    @property
    def answers(self) -> list[UUID]:
        """Who said yes, in as many places as there may be: nobody in the ones that are free."""
        said = [one.customer_id for one in self.said_yes]
        return said + [NOBODY] * (MOST_ANSWERS - len(said))

    def shown(self, owner: UUID, joined: UUID | None) -> dict[str, Any]:
        """As answers show it; `joined`: who said yes, for the desk."""
        return {
            "id": encode_id(owner, self.person_id),
            "dialogue_id": encode_id(owner, self.dialogue_id),
            "name": self.name,
            "relation": self.relation,
            "contact": self.contact,
            "named_at": format_time(self.named_at),
            "invited_at": format_time(self.invited_at) if self.invited_at else None,
            "shown_as": self.shown_as,
            "customer_id": str(joined) if joined else None,
        }
