"""What a link says, and how it is written down: opaque, bound to one purpose, hard to forge. No I/O.

A token is encrypted, not stored: ten million can be made for a mailing, and none is ever lost. It is base32 without
padding, so a mail program that changes the case of an address or drops a `=` does no harm; half-changed ones are
refused, as is one flipped bit anywhere. Source: RFC 5297 (AES-SIV), RFC 4648 (base32), RFC 8058 (what it is for).
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from consent_service.keyring.model import NOBODY

Purpose = Literal["preferences", "unsubscribe", "louder", "quieter", "confirm", "invitation"]
# The first segment of a link's path, and the number that stands in its token.
PATHS: dict[Purpose, str] = {
    "preferences": "p",
    "unsubscribe": "u",
    "louder": "m",
    "quieter": "l",
    "confirm": "c",
    "invitation": "i",
}
_NUMBERS: dict[Purpose, int] = {
    "preferences": 1,
    "unsubscribe": 2,
    "louder": 3,
    "quieter": 4,
    "confirm": 5,
    "invitation": 6,
}
_PURPOSES = {number: purpose for purpose, number in _NUMBERS.items()}
_VERSION = 1
_TOKEN = re.compile(r"[a-z2-7]+|[A-Z2-7]+")
LONGEST_TOKEN = 2048
_HEAD = 1 + 1 + 1 + 5 + 16 + 16
_BY_CAMPAIGN = 1


@dataclass(frozen=True, slots=True)
class Link:
    """What a link is for, whom it concerns, who minted it and when (to the second).

    `minted_by` is the id of the API key, the nil uuid for the service itself; `by_campaign` says that the key was a
    campaign's, so that what is louder waits for a confirmation. `channel` and `topic` say what the message was about
    that carried it; `subject` is the id of what a `confirm` link confirms, or of the person who is invited.
    """

    purpose: Purpose
    customer_id: UUID
    minted_at: datetime
    minted_by: UUID = NOBODY
    by_campaign: bool = False
    locale: str = ""
    channel: str = ""
    topic: str = ""
    subject: UUID | None = None


class LinkBox:
    """Writes and reads tokens under one key of 64 bytes."""

    def __init__(self, key: bytes) -> None:
        self._siv = AESSIV(key)

    def write(self, link: Link) -> str:
        """The token: lower-case letters and digits."""
        words = "\0".join([link.locale, link.channel, link.topic, link.subject.hex if link.subject else ""])
        clear = (
            bytes([_VERSION, _NUMBERS[link.purpose], _BY_CAMPAIGN if link.by_campaign else 0])
            + int(link.minted_at.timestamp()).to_bytes(5, "big")
            + link.customer_id.bytes
            + link.minted_by.bytes
            + words.encode()
        )
        return base64.b32encode(self._siv.encrypt(clear, None)).decode("ascii").rstrip("=").lower()

    def read(self, token: str, purpose: Purpose) -> Link | None:
        """The link; None for what is not one of ours, was changed, or is for another purpose."""
        if len(token) > LONGEST_TOKEN or not _TOKEN.fullmatch(token):
            return None
        try:
            sealed = base64.b32decode(token.upper() + "=" * (-len(token) % 8))
            clear = self._siv.decrypt(sealed, None)
        except (ValueError, InvalidTag):
            return None
        # The last letter has bits to spare: another spelling of the same bytes is not what was written.
        if base64.b32encode(sealed).decode("ascii").rstrip("=") != token.upper():
            return None
        if len(clear) < _HEAD or clear[0] != _VERSION or _PURPOSES.get(clear[1]) != purpose:
            return None
        locale, channel, topic, subject = clear[_HEAD:].decode().split("\0")
        return Link(
            purpose=purpose,
            customer_id=UUID(bytes=clear[8:24]),
            minted_at=datetime.fromtimestamp(int.from_bytes(clear[3:8], "big"), UTC),
            minted_by=UUID(bytes=clear[24:40]),
            by_campaign=bool(clear[2] & _BY_CAMPAIGN),
            locale=locale,
            channel=channel,
            topic=topic,
            subject=UUID(subject) if subject else None,
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """A link that is to be minted: for whom, what for, and what the message is about that will carry it.

    `channel` and `topic` are empty for nothing in particular, `locale` for the customer's own.
    """

    customer: str = field(repr=False)
    purpose: Purpose = "preferences"
    channel: str = ""
    topic: str = ""
    locale: str = ""


def path_of(purpose: Purpose, token: str) -> str:
    """The path of a link: what follows CONSENT_PUBLIC_URL."""
    return f"/{PATHS[purpose]}/{token}"
