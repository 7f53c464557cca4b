"""Mints links by the thousand, each with the headers that its mail needs. Stores nothing: a link is its token.

A key mints for the topics that it may use, and its id stands in the token: what is done through the link is told
in history with the key's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from consent_service.customers.service import Resolved, resolve_many, unknown_customer
from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.keyring.service import Keyring
from consent_service.keys.model import ApiKey
from consent_service.links.model import Link, LinkBox, Wanted, path_of
from consent_service.links.service import SQL, box
from consent_service.permissions.model import Scope, row_error

ONE_CLICK = "List-Unsubscribe=One-Click"
Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Minted:
    """A link, and the headers of the mail that carries it. Source: RFC 8058 (the pair), RFC 2369 (List-Help)."""

    url: str
    headers: Mapping[str, str]

    def shown(self) -> dict[str, Any]:
        """As the API shows it."""
        return {"url": self.url, "headers": self.headers}


def mint_many(
    conn: Connection,
    keyring: Keyring,
    key: ApiKey,
    rows: Sequence[Wanted | ConsentError],
    *,
    public_url: str,
) -> list[Minted | ConsentError]:
    """A link for each row, or its error, in the order given.

    Args:
        rows: an error stands for a row that could not be read and is passed on.
        public_url: what links begin with.
    """
    wanted = [row for row in rows if isinstance(row, Wanted)]
    if not wanted:
        return [row for row in rows if isinstance(row, ConsentError)]
    people = iter(resolve_many(conn, keyring, [one.customer for one in wanted]))
    errors, now = _look_up(conn, Scope.of_key(key), {(one.channel, one.topic) for one in wanted})
    press = _Press(box(conn, keyring), key, now, public_url)
    minted: list[Minted | ConsentError] = []
    for row in rows:
        if isinstance(row, ConsentError):
            minted.append(row)
        else:
            who = next(people)
            minted.append(who.error or errors[row.channel, row.topic] or press.mint(row, who))
    return minted


def _look_up(
    conn: Connection, scope: Scope, places: Iterable[Place]
) -> tuple[dict[Place, ConsentError | None], datetime]:
    """(what keeps this key from minting for each place, the database's clock)"""
    asked = sorted(places)
    found = conn.run(
        SQL["places"],
        {
            "channels": [channel for channel, _ in asked],
            "topics": [topic for _, topic in asked],
            "limited": scope.limited,
            "key_topics": list(scope.topics) if scope.topics is not None else None,
        },
    ).fetchall()
    errors = [row_error(row["error"]) if row["error"] else None for row in found]
    return dict(zip(asked, errors, strict=True)), found[0]["now"]


@dataclass(frozen=True)
class _Press:
    """What all links of one call have in common."""

    box: LinkBox
    key: ApiKey
    now: datetime
    public_url: str

    def mint(self, row: Wanted, who: Resolved) -> Minted | ConsentError:
        if who.customer_id is None:
            return unknown_customer() if who.state == "unknown" else _erased()
        link = Link(
            purpose=row.purpose,
            customer_id=who.customer_id,
            minted_at=self.now,
            minted_by=self.key.key_id,
            by_campaign=self.key.role == "campaign",
            locale=row.locale,
            channel=row.channel,
            topic=row.topic,
        )
        urls = {
            purpose: self.public_url + path_of(purpose, self.box.write(replace(link, purpose=purpose)))
            for purpose in dict.fromkeys((row.purpose, "unsubscribe", "preferences"))
        }
        headers = {
            "List-Unsubscribe": f"<{urls['unsubscribe']}>",
            "List-Unsubscribe-Post": ONE_CLICK,
            "List-Help": f"<{urls['preferences']}>",
        }
        return Minted(urls[row.purpose], headers)


def _erased() -> ConsentError:
    return ConsentError("customer_erased", "The customer was erased: nothing may be sent to them.")
