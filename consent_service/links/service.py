"""Reads links and says what they open. Owns no table: a link is its token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from consent_service.database import Connection, load
from consent_service.keyring.service import Keyring
from consent_service.links.model import Link, LinkBox, Purpose, path_of

SQL = load("consent_service.links", "links.sql")


@dataclass(frozen=True, slots=True)
class Opened:
    """A link that was followed: the customer as they are now, and who minted it.

    `is_erased`: the customer had themselves erased, and nothing else is to be done.
    """

    link: Link
    customer_id: UUID
    locale: str | None
    time_zone: str
    key_name: str | None
    is_erased: bool
    opened_at: datetime

    def is_fresh(self, lasts: timedelta) -> bool:
        """Whether the link is young enough to open the desk; links that turn down work for ever."""
        return self.opened_at < self.link.minted_at + lasts

    @property
    def campaign(self) -> str | None:
        """The name of the campaign key that minted the link; None: the desk did, or the service itself."""
        return (self.key_name or "?") if self.link.by_campaign else None


def open_link(conn: Connection, keyring: Keyring, purpose: Purpose, token: str) -> Opened | None:
    """What a token opens; None when it is not one of ours, is for another purpose, or nobody is its customer."""
    link = box(conn, keyring).read(token, purpose)
    if link is None:
        return None
    asked = {"customer_id": link.customer_id, "minted_by": link.minted_by}
    row = conn.run(SQL["opening"], asked).fetchone()
    if row is None:
        return None
    return Opened(link=link, **row)


def own_link(conn: Connection, keyring: Keyring, customer_id: UUID, *, minted_at: datetime, locale: str = "") -> str:
    """The path of a link to the customer's desk that the service itself gives them, and nobody else."""
    token = box(conn, keyring).write(Link("preferences", customer_id, minted_at, locale=locale))
    return path_of("preferences", token)


def box(conn: Connection, keyring: Keyring) -> LinkBox:
    """Writes and reads tokens of this service."""
    return LinkBox(keyring.service(conn).links)
