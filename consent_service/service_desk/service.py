"""Sessions of the service desk: who is signed in, with which key. Owns `desk_session`.

A session is 256 random bits in a cookie; stored is their hash. It ends half an hour after the last page, twelve hours
after it began, when the agent signs out, and at once when its key is revoked. It never holds the key itself.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID

from consent_service.database import Connection, load
from consent_service.keys import service as keys
from consent_service.keys.model import ApiKey

SQL = load("consent_service.service_desk", "sessions.sql")
IDLE, LONGEST = timedelta(minutes=30), timedelta(hours=12)


def begin(conn: Connection, key_id: UUID) -> str:
    """A new session's secret, for the cookie; sessions that have ended are forgotten by the way."""
    secret = secrets.token_urlsafe(32)
    conn.run(SQL["forget"], {"idle": IDLE, "longest": LONGEST})
    conn.run(SQL["begin"], {"session_hash": _hash(secret), "key_id": key_id})
    return secret


def key_of(conn: Connection, secret: str) -> ApiKey | None:
    """The key that a session was begun with; None when the session has ended, or its key was revoked."""
    asked = {"session_hash": _hash(secret), "idle": IDLE, "longest": LONGEST}
    row = conn.run(SQL["find"], asked).fetchone()
    if row is None:
        return None
    if row["sight_is_due"]:
        conn.run(SQL["see"], {"session_hash": _hash(secret)})
    return keys.find_by_id(conn, row["key_id"])


def end(conn: Connection, secret: str) -> None:
    """Ends a session; again: nothing."""
    conn.run(SQL["end"], {"session_hash": _hash(secret)})


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
