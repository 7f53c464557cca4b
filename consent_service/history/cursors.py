"""Where a page of a history ends: cursors that are signed for one customer, so that nobody makes up their own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from itsdangerous import BadSignature, URLSafeSerializer

from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.keyring.model import is_as_signed
from consent_service.keyring.service import Keyring


def cursors_of(conn: Connection, keyring: Keyring, owner: UUID) -> URLSafeSerializer:
    """Writes and reads the cursors of one customer's history."""
    return keyring.service(conn).signer(f"history/{owner}")


def read_cursor(cursors: URLSafeSerializer, text: str) -> tuple[datetime, UUID]:
    """After which event a page begins.

    Raises:
        ConsentError: invalid_cursor.
    """
    try:
        if not is_as_signed(text):
            raise BadSignature("spelled otherwise")
        recorded_at, event_id = cursors.loads(text)
        return datetime.fromisoformat(recorded_at), UUID(event_id)
    except (BadSignature, ValueError, TypeError) as error:
        raise ConsentError("invalid_cursor", "Take the cursor from the last page as it is.") from error


def cut(
    cursors: URLSafeSerializer, events: Sequence[dict[str, Any]], most: int
) -> tuple[list[dict[str, Any]], str | None]:
    """(a page of at most so many events, the cursor of the next one; None when there is none).

    Args:
        events: one more than fit, when there are more.
    """
    shown = list(events[:most])
    more = len(events) > most
    return shown, cursors.dumps([shown[-1]["recorded_at"], shown[-1]["id"]]) if more else None
