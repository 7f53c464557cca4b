"""Turns dials and sets pauses: all or nothing, under the customer's lock, with history. Owns `dial` and `pause`.

Quieter is never refused: not for being late, not for being stale, not for want of a reason. Louder is checked
against everything that rules.md 5 asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from consent_service.catalogue.service import hold_catalogue
from consent_service.clock import format_time
from consent_service.customers.model import EMAIL
from consent_service.customers.service import Locked, lock_many
from consent_service.database import Connection
from consent_service.dials import store
from consent_service.dials.model import (
    LONGEST_PAUSE,
    MOST_AHEAD,
    SECOND_HAND,
    Change,
    Notice,
    Place,
    Wish,
    at_second_hand,
    check_louder,
)
from consent_service.errors import ConsentError
from consent_service.history import service as history
from consent_service.history.model import Actor, Event
from consent_service.keyring.service import Keyring
from consent_service.permissions import service as permissions
from consent_service.permissions.model import Decision, Question


def turn(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    customer_id: UUID,
    wish: Wish,
    *,
    expected_version: int | None = None,
) -> bool:
    """Turns a customer's dials as wished; True when anything changed.

    Args:
        expected_version: of If-Match, -1 for one that no version has; None: not asked.

    Raises:
        ConsentError: unknown_*, duplicate_place, stale_version, what check_louder refuses, unknown_customer.
    """
    _refuse_doubles(wish.changes)
    held = _hold(conn, keyring, customer_id)
    places = store.places(conn, held.customer_id, wish.changes)
    now = store.now(conn)
    said_at = _said_at(wish, now)
    second_hand = wish.source in SECOND_HAND and not actor.is_customer
    if second_hand:
        places = [at_second_hand(place, wish) for place in places]
    louder = [
        (index, place) for index, place in enumerate(places) if place.louder or (second_hand and place.first_word)
    ]
    if louder and expected_version is not None and expected_version != store.version(conn, held.customer_id):
        raise ConsentError("stale_version", "The dials have changed meanwhile. Read them again.")
    notice = as_shown(conn, wish.notice)
    _check_notice(notice if louder else None)
    for index, place in louder:
        waits = bool(place.unconfirmed) or actor.link is not None
        check_louder(place, wish, actor.role, f"/changes/{index}", waits=waits)
    turned = [place for place in places if place.changes_at(said_at)]
    if not turned:
        return False
    event = Event(held.customer_id, "dials.changed", actor, now, _details(turned, wish, said_at, notice))
    store.turn(
        conn,
        held.customer_id,
        turned,
        set_at=said_at,
        recorded_at=now,
        source=wish.source,
        role=actor.role,
        event_id=event.event_id,
    )
    store.bump(conn, held.customer_id)
    history.record(conn, keyring, [event], keys={held.customer_id: held.key})
    return True


def check_waiting(conn: Connection, actor: Actor, customer_id: UUID, wish: Wish) -> list[Place]:
    """The places as they stand, in the order of the wish, when a confirmation by e-mail is all that it needs.

    The catalogue is held, the customer locked.

    Raises:
        ConsentError: as `turn`; confirmation_required, where another kind of contact point has to confirm it.
    """
    _refuse_doubles(wish.changes)
    _check_notice(as_shown(conn, wish.notice))
    places = store.places(conn, customer_id, wish.changes)
    for index, place in enumerate(places):
        check_louder(place, wish, actor.role, f"/changes/{index}", waits=bool(set(place.unconfirmed) - {EMAIL}))
    return places


def _check_notice(notice: dict[str, str | None] | None) -> None:
    if notice is not None and notice["text"] is None:
        raise ConsentError("unknown_notice", "The catalogue has no such notice in this language.")


def _refuse_doubles(changes: Sequence[Change]) -> None:
    seen: dict[tuple[str, str], int] = {}
    for index, change in enumerate(changes):
        if (change.channel, change.topic) in seen:
            detail = "This place stands twice in the change."
            raise ConsentError(
                "duplicate_place",
                f"/changes/{index}: {detail}",
                errors=[{"pointer": f"/changes/{index}", "code": "duplicate_place", "detail": detail}],
            )
        seen[change.channel, change.topic] = index


def _hold(conn: Connection, keyring: Keyring, customer_id: UUID) -> Locked:
    hold_catalogue(conn)
    held = lock_many(conn, keyring, [customer_id]).get(customer_id)
    if held is None:
        raise ConsentError("unknown_customer", "There is no such customer.")
    return held


def _said_at(wish: Wish, now: datetime) -> datetime:
    if wish.occurred_at is None:
        return now
    if wish.occurred_at > now + MOST_AHEAD:
        raise ConsentError("invalid_timestamp", "occurred_at: an act lies in the past.")
    return min(wish.occurred_at, now)


def as_shown(conn: Connection, notice: Notice | None) -> dict[str, str | None] | None:
    """The notice with its words, as history keeps it: whoever looks later need not look for the catalogue of then."""
    if notice is None:
        return None
    text = store.notice_text(conn, notice)
    return {"id": notice.id, "version": notice.version, "locale": notice.locale, "text": text}


def _details(
    turned: Sequence[Place], wish: Wish, said_at: datetime, notice: dict[str, str | None] | None
) -> dict[str, Any]:
    return {
        "occurred_at": format_time(said_at),
        "source": wish.source,
        "before": [_shown(place, place.level, place.expires_at) for place in turned],
        "after": [_shown(place, place.change.level, place.ends(said_at)) for place in turned],
        "louder": any(place.louder for place in turned),
        "notice": notice,
        "evidence": dict(wish.evidence) if wish.evidence else None,
    }


def _shown(place: Place, level: str | None, expires_at: datetime | None) -> dict[str, Any]:
    return {
        "channel": place.change.channel,
        "topic": place.change.topic,
        "level": level,
        "expires_at": format_time(expires_at) if expires_at else None,
    }


def pause(conn: Connection, keyring: Keyring, actor: Actor, customer_id: UUID, channel: str, until: datetime) -> None:
    """Replaces the pause of a channel ('*': all).

    Raises:
        ConsentError: unknown_channel, invalid_timestamp (not later than now, or beyond ten years), unknown_customer;
            confirmation_required, where it becomes shorter and a campaign's link led here.
    """
    store.require_channel(conn, channel)
    held = _hold(conn, keyring, customer_id)
    now = store.now(conn)
    if not now < until <= now + LONGEST_PAUSE:
        raise ConsentError("invalid_timestamp", "until: a pause ends later than now, and within ten years.")
    before = store.pause(conn, held.customer_id, channel)
    if before is not None and before["holds"] and until < before["until"]:
        _refuse_by_link(actor)
    if before is None or before["until"] != until:
        after = {"channel": channel, "until": format_time(until)}
        details = {"source": _source(actor), "before": _pause_before(before), "after": after}
        event = Event(held.customer_id, "pause.set", actor, now, details)
        store.set_pause(
            conn,
            {
                "customer_id": held.customer_id,
                "channel": channel,
                "until": until,
                "set_at": now,
                "source": _source(actor),
                "role": actor.role,
                "event_id": event.event_id,
            },
        )
        store.bump(conn, held.customer_id)
        history.record(conn, keyring, [event], keys={held.customer_id: held.key})


def end_pause(conn: Connection, keyring: Keyring, actor: Actor, customer_id: UUID, channel: str) -> None:
    """Ends the pause of a channel ('*': the one for all); nothing when there is none.

    Raises:
        ConsentError: unknown_channel, unknown_customer; confirmation_required, where a campaign's link led here.
    """
    store.require_channel(conn, channel)
    held = _hold(conn, keyring, customer_id)
    before = store.pause(conn, held.customer_id, channel)
    if before is None or not before["holds"]:
        return
    _refuse_by_link(actor)
    store.end_pause(conn, held.customer_id, channel)
    store.bump(conn, held.customer_id)
    details = {"source": _source(actor), "before": _pause_before(before), "after": None}
    event = Event(held.customer_id, "pause.ended", actor, store.now(conn), details)
    history.record(conn, keyring, [event], keys={held.customer_id: held.key})


def paused_until(conn: Connection, customer_id: UUID, channel: str) -> datetime | None:
    """When the pause of a channel ('*': the one for all) ends; None when there is none."""
    row = store.pause(conn, customer_id, channel)
    return row["until"] if row and row["holds"] else None


def now(conn: Connection) -> datetime:
    """The database's clock."""
    return store.now(conn)


def _refuse_by_link(actor: Actor) -> None:
    if actor.link is not None:
        raise ConsentError("confirmation_required", "A pause is only ended or shortened from your own link.")


def _source(actor: Actor) -> str:
    return actor.source or ("web" if actor.is_customer else "api")


def _pause_before(row: dict[str, Any] | None) -> dict[str, Any] | None:
    return {"channel": row["channel"], "until": format_time(row["until"])} if row and row["holds"] else None


def show(conn: Connection, keyring: Keyring, customer_id: UUID) -> dict[str, Any]:
    """A customer's dials, pauses and mix, as GET …/dials answers."""
    places = store.contact_places(conn)
    reference = f"id:{customer_id}"
    version = store.version(conn, customer_id)
    mix = permissions.decide_many(conn, keyring, [Question(reference, channel, topic) for channel, topic in places])
    return {
        "customer_id": str(customer_id),
        "version": version,
        "dials": [
            {
                **row,
                "set_at": format_time(row["set_at"]),
                "expires_at": format_time(row["expires_at"]) if row["expires_at"] else None,
            }
            for row in store.dials(conn, customer_id)
        ],
        "pauses": [
            {**row, "until": format_time(row["until"]), "set_at": format_time(row["set_at"])}
            for row in store.pauses(conn, customer_id)
        ],
        "mix": [
            {
                "channel": channel,
                "topic": topic,
                "level": decision.held_level,
                "granted": decision.granted,
                "governed_by": decision.governed_by,
            }
            for (channel, topic), decision in zip(places, mix, strict=True)
            if isinstance(decision, Decision)
        ],
    }
