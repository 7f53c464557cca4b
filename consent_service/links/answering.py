"""Answers "send me my link": the worker's part, where nobody is watching the clock.

It looks up who is meant, and queues a mail to whom there is. It must never write to another address than the one that
was asked for, or than the customer's own when they asked from their page; nor to one that a hard stop of kind `all`
stands on; nor more often than the limits say, whoever asks.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from consent_service.customers import confirming
from consent_service.customers.model import EMAIL, Reference, parse_reference
from consent_service.customers.service import Locked, Resolved, lock_many, resolve_many
from consent_service.database import Connection, Database
from consent_service.i18n import negotiated
from consent_service.keyring.model import NOBODY, DataKey, InvalidTag
from consent_service.keyring.service import Keyring
from consent_service.links.requests import SQL
from consent_service.links.service import own_link
from consent_service.mail import service as mail
from consent_service.mail.model import Letter

# To one address, or for one customer who asks from their page.
MOST_AN_HOUR, MOST_A_DAY = 3, 10
MOST_AT_ONCE = 100
ROUND_SECONDS = 5.0


def answer_waiting(database: Database, keyring: Keyring) -> int:
    """A round of a worker: deals with requests that wait, oldest first; with how many.

    Several workers may do so at once. Requests and the mails that come of them are one commit: cut off anywhere, they
    wait for the next round.
    """
    done, until = 0, time.monotonic() + ROUND_SECONDS
    while time.monotonic() < until:
        some = database.repeatedly(lambda conn: _answer_some(conn, keyring))
        done += some
        if some < MOST_AT_ONCE:
            break
    return done


@dataclass(frozen=True, slots=True)
class _Request:
    """What was asked for: by the row's own word, an address or an id, and the language of the page."""

    who: Reference
    locale: str
    row: Mapping[str, Any]

    @property
    def is_due(self) -> bool:
        return bool(self.row["an_hour"] < MOST_AN_HOUR and self.row["a_day"] < MOST_A_DAY)


def _answer_some(conn: Connection, keyring: Keyring) -> int:
    rows = conn.run(SQL["take"], {"most": MOST_AT_ONCE}).fetchall()
    if not rows:
        return 0
    key = keyring.find(conn, [NOBODY])[NOBODY]
    opened = [request for row in rows if (request := _opened(row, key)) is not None]
    # Asked twice within a round is asked once.
    requests = list({request.who: request for request in opened if request.is_due}.values())
    resolved = resolve_many(conn, keyring, [request.who for request in requests])
    ids = [who.customer_id for who in resolved if who.customer_id is not None]
    locked = lock_many(conn, keyring, ids)
    mailed = [
        request.row["request_id"]
        for request, who in zip(requests, resolved, strict=True)
        if who.customer_id in locked and _send(conn, keyring, request, who, locked[who.customer_id])
    ]
    conn.run(SQL["keep_hash"], {"request_ids": mailed})
    conn.run(SQL["drop"], {"request_ids": [row["request_id"] for row in rows if row["request_id"] not in mailed]})
    return len(rows)


def _opened(row: Mapping[str, Any], key: DataKey) -> _Request | None:
    try:
        asked = orjson.loads(key.open(row["ciphertext"], row["request_id"].bytes))
    except InvalidTag:
        return None  # somebody changed the row: there is nobody to answer
    return _Request(parse_reference(asked["who"]), asked["locale"], row)


def _send(conn: Connection, keyring: Keyring, request: _Request, who: Resolved, customer: Locked) -> bool:
    address = request.who if request.who.kind == EMAIL else confirming.mailbox(conn, customer)
    if address is None:
        return False
    value_hash = who.value_hash or keyring.service(conn).identity_hash(address.kind, address.value)
    at = conn.run(SQL["standing"], {"customer_id": customer.customer_id, "value_hash": value_hash}).fetchone()
    if at is None or at["is_stopped"]:
        return False
    locale = negotiated([customer.locale, request.locale])
    url = own_link(conn, keyring, customer.customer_id, minted_at=at["now"], locale=locale)
    letter = Letter("link", locale, address.value, {"url": url})
    mail.queue(conn, keyring, customer.customer_id, letter, key=customer.key)
    return True
