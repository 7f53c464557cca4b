"""Asks for confirmations by mail, and does what was confirmed. Owns `pending_change`.

What is quieter never waits here. A confirmation is the customer's own act, in the moment in which it is given: what was
turned at a place since it was asked stays as it is. It is used once, ends after 14 days, and proves the address that
its mail went to. Source: rules.md 5 (double opt-in).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from uuid_utils.compat import uuid7

from consent_service.catalogue.service import hold_catalogue, load_catalogue
from consent_service.clock import format_time
from consent_service.confirmations.model import (
    KEPT_DAYS,
    LASTS,
    MOST_AN_HOUR,
    Asked,
    Kind,
    PendingChange,
    shown_pauses,
)
from consent_service.confirmations.words import told
from consent_service.customers import confirming, profile
from consent_service.customers.model import EMAIL, ID, Reference, masked
from consent_service.customers.service import Locked, require_locked
from consent_service.database import Connection, Database, load
from consent_service.dials import service as dials
from consent_service.dials.model import Change, Notice, Wish
from consent_service.errors import ConsentError
from consent_service.history import service as history
from consent_service.history.model import Actor, Event
from consent_service.i18n import Words, words
from consent_service.keyring.model import DataKey
from consent_service.keyring.service import Keyring
from consent_service.links.model import Link, path_of
from consent_service.links.service import box
from consent_service.mail import service as mail
from consent_service.mail.model import Letter

SQL = load("consent_service.confirmations", "confirmations.sql")
_ENDINGS = {"confirmed": "confirmation.given", "dropped": "confirmation.dropped"}
# What a confirmed act may meet in a catalogue that has changed since it was asked.
_OVERTAKEN = frozenset(
    {"unknown_channel", "unknown_topic", "unknown_level", "topic_retired", "channel_retired", "confirmation_required"}
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a confirmation.

    `result`: done; before (it had been confirmed already, nothing is done again); late (expired, or dropped);
    overtaken (the catalogue has no such thing any more); taken (the address is somebody else's).
    """

    result: Literal["done", "before", "late", "overtaken", "taken"]
    change: PendingChange


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a confirmation, for a page: a sentence for each part, and where the mail went.

    `to` is masked, unless it is a new address.
    """

    change_id: str
    to: str
    expires_at: datetime
    lines: list[str]


def ask_louder(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    customer_id: UUID,
    changes: Sequence[Change],
    *,
    notice: Notice | None,
    locale: str,
    pauses: Mapping[str, datetime | None] | None = None,
    source: str = "web",
) -> UUID:
    """Keeps what is louder until it is confirmed, and sends the mail that asks; the id of what waits.

    What waited before and is asked anew is dropped. Call it with what `dials.service.turn` refused with
    confirmation_required, in the transaction that turned the rest.

    Args:
        pauses: ends of pauses that shall be earlier than now, by channel or '*'; None: at once.
        locale: of the page, and so of the mail.

    Raises:
        ConsentError: confirmation_required, where there is no e-mail address, or it is not what the channel asks to
            confirm; rate_limited; what dials.service.turn refuses otherwise; unknown_customer.
    """
    hold_catalogue(conn)
    held = require_locked(conn, keyring, customer_id, actor)
    wish = Wish(tuple(changes), source, actor.evidence, notice)
    standing = dials.check_waiting(conn, actor, held.customer_id, wish) if changes else []
    to = _mailbox(conn, held)
    asked = Asked(to, locale, source, tuple(changes), dict(pauses or {}), notice)
    details = {
        "before": [_shown(one, place.level) for one, place in zip(changes, standing, strict=True)],
        "after": [_shown(one, one.level) for one in changes],
        "pauses": shown_pauses(asked.pauses),
        "notice": dials.as_shown(conn, notice),
    }
    return _ask(conn, keyring, actor, held, "louder", asked, details)


def ask_if_possible(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    customer_id: UUID,
    changes: Sequence[Change],
    *,
    notice: Notice | None,
    locale: str,
    pauses: Mapping[str, datetime | None] | None = None,
    source: str = "web",
) -> Literal["asked", "impossible", "desk", "often"]:
    """The same for pages, which have done the quieter part: what cannot be asked does not take that back.

    Returns:
        impossible: there is no e-mail address from which it could be confirmed. desk: a channel asks for a number or
            address that no mail goes to, which the service desk confirms. often: too many mails were sent lately.
    """
    try:
        with conn.transaction():
            ask_louder(
                conn, keyring, actor, customer_id, changes, notice=notice, locale=locale, pauses=pauses, source=source
            )
    except ConsentError as error:
        if error.code == "confirmation_required":
            return "desk" if error.errors else "impossible"  # a place is named where mail cannot confirm it
        if error.code == "rate_limited":
            return "often"
        raise
    return "asked"


def waiting(conn: Connection, keyring: Keyring, customer_id: UUID, spoken: Words, *, kind: Kind) -> list[Waiting]:
    """What can still be confirmed, in words, oldest first."""
    found = [one for one in open_changes(conn, keyring, customer_id) if one.kind == kind]
    catalogue = load_catalogue(conn) if found else None
    at = dials.now(conn) if found else None
    return [
        Waiting(
            one.change_id.hex,
            one.asked.to.value if kind == "address" else masked(one.asked.to.text).partition(":")[2],
            one.expires_at,
            told(one.asked, spoken, catalogue, at) if catalogue and at else [],
        )
        for one in found
    ]


def ask_address(
    conn: Connection, keyring: Keyring, actor: Actor, customer_id: UUID, reference: Reference, *, locale: str
) -> UUID | None:
    """Keeps what somebody says is theirs, new or not confirmed yet, until it is shown to be; the id of what waits.

    A mail goes to an e-mail address; anything else waits for the service desk (`accept`). It is not looked up whether
    somebody else has it, so that nothing here can tell: only who confirms or accepts it learns that.

    Returns:
        None: it is theirs already, and confirmed where a mail could confirm it.

    Raises:
        ConsentError: invalid_value, for an id; rate_limited, unknown_customer.
    """
    if reference.kind == ID:
        raise ConsentError("invalid_value", "An id is no contact detail.")
    hold_catalogue(conn)
    held = require_locked(conn, keyring, customer_id, actor)
    standing = [one for one in confirming.names(conn, held) if one.reference == reference]
    if any(one.confirmed_at or reference.kind != EMAIL for one in standing):
        return None
    for one in open_changes(conn, keyring, held.customer_id):
        if one.waits_for_desk and one.asked.to == reference:
            return one.change_id  # there is no mail to be sent once more
    asked = Asked(reference, locale, "web")
    return _ask(conn, keyring, actor, held, "address", asked, {"after": {"identifier": reference.text}})


def find(conn: Connection, keyring: Keyring, customer_id: UUID, change_id: UUID) -> PendingChange | None:
    """What waits or waited under an id."""
    key = keyring.find(conn, [customer_id]).get(customer_id)
    row = conn.run(SQL["find"], {"customer_id": customer_id, "change_id": change_id}).fetchone()
    return _opened(key, row) if row is not None and key is not None else None


def open_changes(conn: Connection, keyring: Keyring, customer_id: UUID) -> list[PendingChange]:
    """What can still be confirmed, oldest first."""
    key = keyring.find(conn, [customer_id]).get(customer_id)
    rows = conn.run(SQL["open"], {"customer_id": customer_id}).fetchall()
    return [_opened(key, row) for row in rows] if key is not None else []


def confirm(conn: Connection, keyring: Keyring, actor: Actor, customer_id: UUID, change_id: UUID) -> Outcome:
    """Does what was asked, as the customer's act of now; once.

    Raises:
        ConsentError: not_found, unknown_customer.
    """
    hold_catalogue(conn)
    held = require_locked(conn, keyring, customer_id, actor)
    change = find(conn, keyring, held.customer_id, change_id)
    if change is None:
        raise ConsentError("not_found")
    if change.state != "open":
        return Outcome("before" if change.state == "confirmed" else "late", change)
    if change.kind == "address":
        return _confirm_address(conn, keyring, actor, held, change)
    confirming.confirm(conn, keyring, actor, held, change.asked.to)
    return _confirm_louder(conn, keyring, actor, held, change)


def accept(conn: Connection, keyring: Keyring, actor: Actor, customer_id: UUID, change_id: UUID) -> None:
    """Adds a detail that no mail could confirm, as the service desk; nothing when it waits no longer.

    Raises:
        ConsentError: identifiers_conflict, when somebody else has it; what profile.add_identifier refuses otherwise;
            not_found, also for what a mail confirms; unknown_customer.
    """
    held = require_locked(conn, keyring, customer_id, actor)
    change = find(conn, keyring, held.customer_id, change_id)
    if change is None or not change.waits_for_desk:
        raise ConsentError("not_found")
    if change.state == "open":
        profile.add_identifier(conn, keyring, actor, held.customer_id, change.asked.to)
        _end(conn, keyring, actor, held, change, "confirmed")


def drop(conn: Connection, keyring: Keyring, actor: Actor, customer_id: UUID, change_id: UUID) -> Kind:
    """Takes back what waits, of which kind it says; nothing when it waits no longer.

    Raises:
        ConsentError: not_found, unknown_customer.
    """
    held = require_locked(conn, keyring, customer_id, actor)
    change = find(conn, keyring, held.customer_id, change_id)
    if change is None:
        raise ConsentError("not_found")
    if change.state == "open":
        _end(conn, keyring, actor, held, change, "dropped")
    return change.kind


def forget_old(database: Database) -> None:
    """Housekeeping: what could be confirmed long ago. History keeps it."""
    with database.reading() as conn:
        conn.run(SQL["forget"], {"days": KEPT_DAYS})


def _shown(change: Change, level: str | None) -> dict[str, str | None]:
    return {"channel": change.channel, "topic": change.topic, "level": level}


def _mailbox(conn: Connection, held: Locked) -> Reference:
    """Where the customer is asked: at a confirmed address, else at the oldest one."""
    found = confirming.mailbox(conn, held)
    if found is None:
        raise ConsentError("confirmation_required", "There is no e-mail address from which it could be confirmed.")
    return found


def _ask(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    held: Locked,
    kind: Kind,
    asked: Asked,
    details: Mapping[str, Any],
) -> UUID:
    row = conn.run(SQL["asked_lately"], {"customer_id": held.customer_id}).fetchone()
    assert row is not None
    if row["asked"] >= MOST_AN_HOUR:
        raise ConsentError("rate_limited", "Too many confirmations were asked for.", headers={"Retry-After": "3600"})
    for one in open_changes(conn, keyring, held.customer_id):
        same = one.asked.to == asked.to if kind == "address" else asked.covers(one.asked)
        if one.kind == kind and same:
            _end(conn, keyring, actor, held, one, "dropped")
    now, change_id = row["now"], UUID(bytes=uuid7().bytes)
    expires_at = now + LASTS
    about = {"change_id": str(change_id), "source": asked.source, "to": asked.to.text}
    about["expires_at"] = format_time(expires_at)
    type_ = "dials.requested" if kind == "louder" else "identifier.requested"
    event = Event(held.customer_id, type_, actor, now, {"before": None, **details, **about})
    own = {"customer_id": held.customer_id, "change_id": change_id}
    values = {"kind": kind, "asked_at": now, "expires_at": expires_at, "event_id": event.event_id}
    conn.run(SQL["insert"], {**own, **values, "ciphertext": _sealed(held.key, change_id, asked)})
    history.record(conn, keyring, [event], keys={held.customer_id: held.key})
    if asked.to.kind == EMAIL:
        letter = _letter(conn, keyring, held, kind, asked, change_id, now)
        mail.queue(conn, keyring, held.customer_id, letter, key=held.key)
    return change_id


def _letter(
    conn: Connection, keyring: Keyring, held: Locked, kind: Kind, asked: Asked, change_id: UUID, now: datetime
) -> Letter:
    link = Link("confirm", held.customer_id, now, locale=asked.locale, subject=change_id)
    values: dict[str, Any] = {
        "url": path_of(link.purpose, box(conn, keyring).write(link)),
        "until": format_time(now + LASTS),
    }
    catalogue = load_catalogue(conn)
    zone = held.time_zone or (catalogue.time_zone if catalogue else None) or "UTC"
    if kind == "address":
        return Letter("address", asked.locale, asked.to.value, values, zone)
    assert catalogue is not None  # something was turned
    values["what"] = told(asked, words(asked.locale, zone), catalogue, now)
    return Letter("confirm", asked.locale, asked.to.value, values, zone)


def _confirm_louder(conn: Connection, keyring: Keyring, actor: Actor, held: Locked, change: PendingChange) -> Outcome:
    asked, own = change.asked, {"customer_id": held.customer_id, "asked_at": change.asked_at}
    turned = {(row["channel"], row["topic"]) for row in conn.run(SQL["turned_since"], own)}
    paused = {row["channel"] for row in conn.run(SQL["paused_since"], own)}
    left = tuple((one.channel, one.topic) for one in asked.changes if (one.channel, one.topic) in turned)
    left_pauses = tuple(name for name in asked.pauses if name in paused)
    rest = tuple(one for one in asked.changes if (one.channel, one.topic) not in turned)
    done = replace(change, asked=replace(asked, left=left, left_pauses=left_pauses))
    try:
        with conn.transaction():
            if rest:
                evidence = {"request": str(change.event_id), "confirmed": EMAIL}
                wish = Wish(rest, asked.source, evidence, asked.notice)
                dials.turn(conn, keyring, actor, held.customer_id, wish)
            for channel, until in asked.pauses.items():
                if channel not in paused:
                    _end_pause(conn, keyring, actor, held.customer_id, channel, until)
    except ConsentError as error:
        if error.code not in _OVERTAKEN:
            raise
        _end(conn, keyring, actor, held, change, "dropped")
        return Outcome("overtaken", change)
    _end(conn, keyring, actor, held, done, "confirmed")
    return Outcome("done", done)


def _end_pause(
    conn: Connection, keyring: Keyring, actor: Actor, customer_id: UUID, channel: str, until: datetime | None
) -> None:
    standing = dials.paused_until(conn, customer_id, channel)
    if standing is None:
        return
    if until is None or until <= dials.now(conn):
        dials.end_pause(conn, keyring, actor, customer_id, channel)
    elif until < standing:
        dials.pause(conn, keyring, actor, customer_id, channel, until)


def _confirm_address(conn: Connection, keyring: Keyring, actor: Actor, held: Locked, change: PendingChange) -> Outcome:
    try:
        with conn.transaction():
            profile.add_identifier(conn, keyring, actor, held.customer_id, change.asked.to, is_confirmed=True)
    except ConsentError as error:
        if error.code not in ("identifiers_conflict", "invalid_value"):
            raise
        _end(conn, keyring, actor, held, change, "dropped")
        return Outcome("taken", change)
    confirming.confirm(conn, keyring, actor, held, change.asked.to)
    _end(conn, keyring, actor, held, change, "confirmed")
    return Outcome("done", change)


def _end(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    held: Locked,
    change: PendingChange,
    state: Literal["confirmed", "dropped"],
) -> None:
    now = dials.now(conn)
    details = {
        "source": change.asked.source,
        "change_id": str(change.change_id),
        "request": str(change.event_id),
        "left": [{"channel": channel, "topic": topic} for channel, topic in change.asked.left],
        "left_pauses": list(change.asked.left_pauses),
    }
    event = Event(held.customer_id, _ENDINGS[state], actor, now, details)
    own = {"customer_id": held.customer_id, "change_id": change.change_id}
    values = {"state": state, "ended_at": now, "event_id": event.event_id}
    conn.run(SQL["end"], {**own, **values, "ciphertext": _sealed(held.key, change.change_id, change.asked)})
    history.record(conn, keyring, [event], keys={held.customer_id: held.key})


def _sealed(key: DataKey, change_id: UUID, asked: Asked) -> bytes:
    return key.seal(asked.packed(), change_id.bytes)


def _opened(key: DataKey, row: Mapping[str, Any]) -> PendingChange:
    return PendingChange(
        change_id=row["change_id"],
        kind=row["kind"],
        state=row["state"],
        asked_at=row["asked_at"],
        expires_at=row["expires_at"],
        event_id=row["event_id"],
        asked=Asked.unpacked(key.open(row["ciphertext"], row["change_id"].bytes)),
    )
