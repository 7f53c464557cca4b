"""Queues letters and sends them. Owns `mail`; must never keep what a letter says once it has ended.

A letter is queued in the transaction that wants it: both are there or neither. A worker takes it by a lease, hands it
over, and then says so. Killed between the server's yes and the commit, it is handed over once more when the lease is
over: so a customer gets at most a second copy, with the same Message-ID, by which mail programs know it again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from consent_service import logs
from consent_service.database import Connection, Database, load
from consent_service.history import service as history
from consent_service.history.model import Actor, Event
from consent_service.keyring.model import DataKey, InvalidTag
from consent_service.keyring.service import Keyring
from consent_service.mail.model import Letter, message
from consent_service.mail.sending import NotNow, Refused, Transport, transport
from consent_service.settings import Settings

SQL = load("consent_service.mail", "mail.sql")
log = logging.getLogger("consent_service.mail")

ACTOR = Actor("system", "mail")
# Longer than handing over may take: the timeout holds for each of an SMTP session's ten or so answers.
LEASE_SECONDS = 300.0
FIRST_DELAY_SECONDS = 30.0
LONGEST_DELAY_SECONDS = 3600.0
# Then it is given up: the links in it grow old, and whoever asked has asked again.
LONGEST_SECONDS = 2 * 86400.0
# Of one round, so that the worker's other jobs get their turn and it can be stopped.
MOST_AT_ONCE = 100
ROUND_SECONDS = 10.0
KEPT_DAYS = 30
ENDINGS = {"sent": "mail.sent", "failed": "mail.failed"}


def queue(conn: Connection, keyring: Keyring, customer_id: UUID, letter: Letter, *, key: DataKey | None = None) -> UUID:
    """Puts a letter into the outbox, in the caller's transaction; the mail's id.

    Args:
        customer_id: active, and locked by the caller: else a merge could leave the mail behind.
        key: the customer's data key, where the caller has it.
    """
    own = key or keyring.find(conn, [customer_id])[customer_id]
    mail_id: UUID = uuid7()
    values = {"customer_id": customer_id, "mail_id": mail_id, "kind": letter.kind}
    conn.run(SQL["insert"], {**values, "ciphertext": own.seal(letter.packed(), mail_id.bytes)})
    return mail_id


@dataclass(frozen=True, slots=True)
class Taken:
    """A mail that this worker holds. `is_last`: it has waited so long that this attempt is the last one."""

    customer_id: UUID
    mail_id: UUID
    attempts: int
    is_last: bool
    letter: Letter | None


def send_due(database: Database, keyring: Keyring, settings: Settings) -> int:
    """A round of a worker: sends what is due, a bounded number; how many were handed over.

    Several workers may do so at once. A server that is away ends the round.
    """
    handed_over, until = 0, time.monotonic() + ROUND_SECONDS
    with transport(settings) as way:
        for _ in range(MOST_AT_ONCE):
            taken = _take(database, keyring) if time.monotonic() < until else None
            if taken is None:
                break
            try:
                _hand_over(way, taken, settings)
            except Refused:
                _end(database, keyring, taken, "failed")
            except NotNow as error:
                _wait(database, keyring, taken)
                if error.server_is_away:
                    log.warning("mail is not taken", extra=logs.facts(error))
                    break
            else:
                # Killed before this commit, the mail is sent once more when its lease is over.
                _end(database, keyring, taken, "sent")
                handed_over += 1
    return handed_over


def _take(database: Database, keyring: Keyring) -> Taken | None:
    with database.transaction() as conn:
        row = conn.run(SQL["take"], {"lease_seconds": LEASE_SECONDS, "longest_seconds": LONGEST_SECONDS}).fetchone()
        if row is None:
            return None
        letter = _opened(row, keyring.find(conn, [row["customer_id"]]).get(row["customer_id"]))
    return Taken(row["customer_id"], row["mail_id"], row["attempts"], row["is_last"], letter)


def _opened(row: Mapping[str, Any], key: DataKey | None) -> Letter | None:
    try:
        return Letter.unpacked(key.open(row["ciphertext"], row["mail_id"].bytes)) if key is not None else None
    except (InvalidTag, ValueError, TypeError):
        return None  # changed, or of another version: it can never be sent


def _hand_over(way: Transport, taken: Taken, settings: Settings) -> None:
    if taken.letter is None:
        raise Refused
    made = message(taken.letter, taken.mail_id, sender=settings.mail_from, public_url=settings.public_url)
    way.send(made, taken.mail_id)


def _wait(database: Database, keyring: Keyring, taken: Taken) -> None:
    if taken.is_last:
        _end(database, keyring, taken, "failed")
        return
    seconds = min(FIRST_DELAY_SECONDS * 2.0 ** min(taken.attempts - 1, 20), LONGEST_DELAY_SECONDS)
    with database.transaction() as conn:
        conn.run(SQL["put_back"], {"customer_id": taken.customer_id, "mail_id": taken.mail_id, "seconds": seconds})


def _end(database: Database, keyring: Keyring, taken: Taken, state: str) -> None:
    def work(conn: Connection) -> bool:
        event_id: UUID = uuid7()
        asked = {"customer_id": taken.customer_id, "mail_id": taken.mail_id, "state": state, "event_id": event_id}
        # The row is the lock: a merge or an erasure moves or deletes it before, or waits.
        row = conn.run(SQL["end"], asked).fetchone()
        if row is None:
            return False
        details = {
            "source": "email",
            "mail_id": str(taken.mail_id),
            "kind": taken.letter.kind if taken.letter else None,
            "to": f"email:{taken.letter.to}" if taken.letter else None,
            "attempts": taken.attempts,
        }
        event = Event(row["customer_id"], ENDINGS[state], ACTOR, row["ended_at"], details, event_id)
        history.record(conn, keyring, [event])
        return True

    # A merge that had the row while we waited for it has moved it: a second look finds it.
    if not database.repeatedly(work):
        database.repeatedly(work)


def hand_to_survivor(conn: Connection, survivor: tuple[UUID, DataKey], other: tuple[UUID, DataKey]) -> None:
    """Merge: the other's mail becomes the survivor's, sealed anew. Both customers are locked."""
    (survivor_id, key), (other_id, other_key) = survivor, other
    rows = conn.run(SQL["queued"], {"customer_id": other_id}).fetchall()
    sealed = {
        row["mail_id"]: key.seal(other_key.open(row["ciphertext"], row["mail_id"].bytes), row["mail_id"].bytes)
        for row in rows
    }
    ids = {"survivor_id": survivor_id, "other_id": other_id}
    conn.run(SQL["move"], {**ids, "mail_ids": list(sealed), "ciphertexts": list(sealed.values())})


def forget_old(database: Database) -> None:
    """Housekeeping: mail that ended long ago. History keeps that it was sent."""
    with database.reading() as conn:
        conn.run(SQL["forget"], {"days": KEPT_DAYS})
