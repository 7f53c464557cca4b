"""Ids that stand alone in a URL: they carry their customer's id inside them, opaque. No I/O."""

from __future__ import annotations

import base64
import binascii
from uuid import UUID

ID_CHARACTERS = 43


def encode_id(customer_id: UUID, own_id: UUID) -> str:
    """43 URL-safe characters that name a customer's permit, contact or suppression."""
    return base64.urlsafe_b64encode(customer_id.bytes + own_id.bytes).rstrip(b"=").decode("ascii")


def decode_id(text: object) -> tuple[UUID, UUID] | None:
    """(customer's id, own id) of an encoded id; None for anything that encode_id does not write."""
    if not isinstance(text, str) or len(text) != ID_CHARACTERS or not text.isascii():
        return None
    try:
        both = base64.b64decode(text + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    customer_id, own_id = UUID(bytes=both[:16]), UUID(bytes=both[16:])
    # The last character has bits to spare: only one of its spellings is ours.
    return (customer_id, own_id) if encode_id(customer_id, own_id) == text else None
