"""Reads links and says what they open. Owns no table: a link is its token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from consent_service.database import Connection, load
from consent_service.keyring.service import Keyring
from consent_service.links.model import Link, LinkBox, Purpose

SQL = load("consent_service.links", "links.sql")


@dataclass(frozen=True, slots=True)
class Opened:
    """A link that was followed: the customer as they are now, and who minted it.

    `is_fresh` says that it is young enough to open the desk; links that turn down work for ever.
    """

    link: Link
    customer_id: UUID
    locale: str | None
    time_zone: str
    key_name: str | None
    is_fresh: bool


def open_link(conn: Connection, keyring: Keyring, purpose: Purpose, token: str, *, lasts: timedelta) -> Opened | None:
    """What a token opens; None when it is not one of ours, is for another purpose, or its customer is gone.

    Args:
        lasts: for how long a link opens the desk.
    """
    link = box(conn, keyring).read(token, purpose)
    if link is None:
        return None
    asked = {"customer_id": link.customer_id, "minted_by": link.minted_by}
    row = conn.run(SQL["opening"], asked).fetchone()
    if row is None:
        return None
    is_fresh = row["now"] < link.minted_at + lasts
    return Opened(link, row["customer_id"], row["locale"], row["time_zone"], row["key_name"], is_fresh)


def box(conn: Connection, keyring: Keyring) -> LinkBox:
    """Writes and reads tokens of this service."""
    return LinkBox(keyring.service(conn).links)
