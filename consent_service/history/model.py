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

import orjson
import rfc8785
from uuid_utils.compat import uuid7

SALT_BYTES = 32
LARGEST_INTEGER = 2**53 - 1
COMMITMENT_PREFIX = b"consent/event/v1\n"


@dataclass(frozen=True)
class Actor:
    """Who acts: an API key, a customer, or the service itself.

    `role` is customer, desk, campaign, auditor, admin or system; `name` is the key's name, the customer's id,
    or the command. `link` is the name of the campaign key that minted the link through which a customer came: what
    is louder then waits for a confirmation that the service sends itself. `source` and `evidence`: how the word of a
    customer reached whoever acts on it, and what shows it; they stand in every event of theirs.
    """

    role: str
    name: str
    request_id: str | None = None
    topics: tuple[str, ...] | None = None
    customer_id: UUID | None = None
    link: str | None = None
    source: str | None = None
    evidence: Mapping[str, Any] | None = None

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
    details: Mapping[str, Any] = field(repr=False)
    event_id: UUID = field(default_factory=uuid7)

    def content(self) -> dict[str, Any]:
        """What is sealed and committed to."""
        actor = {"role": self.actor.role, "name": self.actor.name}
        if self.actor.link is not None:
            actor["link"] = self.actor.link
        said: dict[str, Any] = {}
        if self.actor.source is not None:
            said["source"] = self.actor.source
        if self.actor.evidence:
            said["evidence"] = dict(self.actor.evidence)
        return {"actor": actor, "request_id": self.actor.request_id, **self.details, **said}


def canonical(content: Mapping[str, Any]) -> bytes:
    """The canonical JSON of a content. Source: RFC 8785.

    A content without fractions and with plain names is written by the fast encoder, which then writes the same
    bytes: what differs between the two is how fractions look and in which order names beyond ASCII stand.
    """
    if _is_plain(content):
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    return rfc8785.dumps(dict(content))


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(type(name) is str and name.isascii() and _is_plain(one) for name, one in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if type(value) is int:
        return -LARGEST_INTEGER <= value <= LARGEST_INTEGER
    return value is None or type(value) is str or type(value) is bool


def seal_bytes(content: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """(commitment, salt ‖ canonical content) of an event's content."""
    salt = os.urandom(SALT_BYTES)
    written = canonical(content)
    return commitment(salt, written), salt + written


def commitment(salt: bytes, written: bytes) -> bytes:
    """SHA-256 that binds an event's frame to its content in canonical form."""
    return hashlib.sha256(COMMITMENT_PREFIX + salt + written).digest()


def open_bytes(committed: bytes, opened: bytes) -> dict[str, Any]:
    """The content in `salt ‖ canonical content`.

    Raises:
        ValueError: the content is not the one that was committed to.
    """
    salt, written = opened[:SALT_BYTES], opened[SALT_BYTES:]
    if commitment(salt, written) != committed:
        raise ValueError("the content of an event is not the one that was committed to")
    content: dict[str, Any] = json.loads(written)
    return content
