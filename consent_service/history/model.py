"""What an event is: who acted, for whom, in what role, through what, when, before and after.

An event is a *frame* (customer, id, type, time of recording, commitment) that stands in clear for ever, and a
*content* that is encrypted under the customer's key. The commitment binds the two:

    SHA-256("consent/event/v1\\n" ‖ salt ‖ JCS(content))        salt: 32 random bytes, kept with the content

so that whoever holds salt and content can prove them, and whoever holds neither can guess nothing.
Source: RFC 8785 for the canonical form; times are strings, there are no floats.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import rfc8785
from uuid_utils.compat import uuid7

SALT_BYTES = 32
COMMITMENT_PREFIX = b"consent/event/v1\n"


@dataclass(frozen=True)
class Actor:
    """Who acts: an API key, a customer, or the service itself.

    `role` is customer, desk, campaign, auditor, admin or system; `name` is the key's name, the customer's id,
    or the command.
    """

    role: str
    name: str
    request_id: str | None = None
    topics: tuple[str, ...] | None = None
    customer_id: UUID | None = None

    @property
    def is_customer(self) -> bool:
        """True for a customer who acts for themself."""
        return self.role == "customer"


@dataclass(frozen=True)
class Event:
    """One thing that happened to a customer (the nil uuid: to nobody in particular).

    `details` holds what the type needs: before, after, decision, evidence, notice … as JSON values; times in
    it are RFC 3339 strings.
    """

    customer_id: UUID
    type: str
    actor: Actor
    recorded_at: datetime
    details: Mapping[str, Any]
    event_id: UUID = field(default_factory=uuid7)

    def content(self) -> dict[str, Any]:
        """What is sealed and committed to."""
        actor = {"role": self.actor.role, "name": self.actor.name}
        return {"actor": actor, "request_id": self.actor.request_id, **self.details}


def seal_bytes(content: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """(commitment, salt ‖ canonical content) of an event's content."""
    salt = os.urandom(SALT_BYTES)
    canonical = rfc8785.dumps(dict(content))
    return commitment(salt, canonical), salt + canonical


def commitment(salt: bytes, canonical: bytes) -> bytes:
    """SHA-256 that binds an event's frame to its content."""
    return hashlib.sha256(COMMITMENT_PREFIX + salt + canonical).digest()


def open_bytes(committed: bytes, opened: bytes) -> dict[str, Any]:
    """The content in `salt ‖ canonical content`.

    Raises:
        ValueError: the content is not the one that was committed to.
    """
    salt, canonical = opened[:SALT_BYTES], opened[SALT_BYTES:]
    if commitment(salt, canonical) != committed:
        raise ValueError("the content of an event is not the one that was committed to")
    content: dict[str, Any] = json.loads(canonical)
    return content
