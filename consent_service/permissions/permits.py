"""Permits: room reserved for one contact, for a limited time. Owns the table `permit`.

A permit ends exactly once: used, released, void, or expired, which is computed when it is read. Using one asks
the whole table of rules again, at that moment, under the customer's lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from consent_service.catalogue.service import hold_catalogue
from consent_service.clock import format_time
from consent_service.customers.ids import decode_id, encode_id
from consent_service.customers.service import Locked, Resolved, lineage, lock_many, require, survivors
from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.history import service as history
from consent_service.history.model import Actor, Event
from consent_service.keyring.service import Keyring
from consent_service.permissions import contacts, store
from consent_service.permissions.model import Asked, Decision, Outcome, Question, Scope, homeless, refused
from consent_service.permissions.rounds import rounds
from consent_service.permissions.taking import Claim, Page, Way, asked_details, take_many

_ENDED = {
    "released": ("permit_released", "The permit was released. Ask for a new one."),
    "void": ("permit_void", "The permit is void: a later decision refused it. Ask for a new one."),
    "expired": ("permit_expired", "The permit has expired. Ask for a new one."),
}


def reserve_many(
    conn: Connection, keyring: Keyring, actor: Actor, asked: Sequence[Asked | ConsentError]
) -> list[Outcome | ConsentError]:
    """Asks about each contact and reserves room for the allowed ones: 201 the permit, 409 the decision, or an error."""

    claims = [one if isinstance(one, ConsentError) else Claim(actor, PERMIT, one) for one in asked]
    return take_many(conn, keyring, claims)


def _granted(page: Page, actor: Actor, asked: Asked, who: Resolved, decision: Decision) -> Mapping[str, Any]:
    assert decision.customer_id is not None
    permit_id = uuid7()
    expires_at = decision.instant + timedelta(seconds=asked.expires_in_seconds)
    body: dict[str, Any] = {
        "id": encode_id(decision.customer_id, permit_id),
        "valid_from": format_time(decision.instant),
        "expires_at": format_time(expires_at),
    }
    shown = decision.shown()
    details = {**asked_details(asked), "permit": body, "decision": shown}
    event = Event(decision.customer_id, "permit.reserved", actor, decision.decided_at, details)
    page.events.append(event)
    page.permits.append(
        {
            "customer_id": decision.customer_id,
            "permit_id": permit_id,
            "key_name": actor.name,
            "channel": asked.question.channel,
            "topic": asked.question.topic,
            "campaign": asked.campaign,
            "value_kind": who.kind,
            "value_hash": who.value_hash,
            "reserved_at": decision.decided_at,
            "valid_from": decision.instant,
            "expires_at": expires_at,
            "counts": decision.counts,
            "dialogue_id": decision.dialogue_id,
            "milestone_id": decision.milestone_id,
            "event_id": event.event_id,
        }
    )
    return {**body, **shown}


PERMIT = Way("permit.refused", _granted)


def use_many(conn: Connection, keyring: Keyring, actor: Actor, ids: Sequence[str]) -> list[Outcome | ConsentError]:
    """Uses permits: 201 the contact, 200 the same contact when it was used before, 409 the decision, or an error."""
    hold_catalogue(conn)
    outcomes: list[Outcome | ConsentError] = [_missing() for _ in ids]
    for positions, rows, locked in _held(conn, keyring, actor, ids):
        open_rows = [(place, row) for place, row in zip(positions, rows, strict=True) if _is_open(row)]
        page, ended = Page(), list[dict[str, Any]]()
        for (place, row), decision in zip(open_rows, _ask_again(conn, actor, open_rows), strict=True):
            outcomes[place] = _use(page, ended, actor, row, decision)
        store.insert(conn, "insert_contacts", page.contacts)
        store.end_permits(conn, ended)
        history.record(conn, keyring, page.events, keys={one.customer_id: one.key for one in locked.values()})
        used = [(place, row) for place, row in zip(positions, rows, strict=True) if row["state"] == "used"]
        for place, body in _used_before(conn, keyring, used):
            outcomes[place] = Outcome(200, body)
        for place, row in zip(positions, rows, strict=True):
            if not _is_open(row) and row["state"] != "used":
                outcomes[place] = ConsentError(*_ENDED["expired" if row["expired"] else row["state"]])
    return outcomes


def _is_open(row: Mapping[str, Any]) -> bool:
    return row["state"] == "open" and not row["expired"]


def _held(
    conn: Connection, keyring: Keyring, actor: Actor, ids: Sequence[str]
) -> Iterator[tuple[list[int], list[dict[str, Any]], dict[UUID, Locked]]]:
    """Yields, round by round, (positions, permits of theirs, locked customers): the caller's own permits only."""
    decoded = [decode_id(one) for one in ids]
    # Merged customers are led to their survivors first, so that all locks are taken in one order.
    owners = survivors(conn, {found[0] for found in decoded if found})
    locked = lock_many(conn, keyring, set(owners.values()))
    keys = [
        (locked[owners[found[0]]].customer_id, found[1]) if found and owners.get(found[0]) in locked else None
        for found in decoded
    ]
    for positions in rounds([key[0] if key else None for key in keys]):
        wanted = {place: key for place in positions if (key := keys[place]) is not None}
        found_rows = store.permits(conn, list(wanted.values()))
        mine = [
            (place, found_rows[permit_id])
            for place, (_, permit_id) in wanted.items()
            if permit_id in found_rows and found_rows[permit_id]["key_name"] == actor.name
        ]
        yield [place for place, _ in mine], [row for _, row in mine], locked


def _ask_again(
    conn: Connection, actor: Actor, rows: Sequence[tuple[int, Mapping[str, Any]]]
) -> list[Decision | ConsentError]:
    if not rows:
        return []
    return store.decide(
        conn,
        [Question("", row["channel"], row["topic"], None, row["milestone_id"], _talk_of(row)) for _, row in rows],
        [Resolved(row["customer_id"], "known", row["value_kind"], row["value_hash"], None) for _, row in rows],
        scope=Scope.of(actor),
        count_permits=False,
    )


def _talk_of(row: Mapping[str, Any]) -> UUID | None:
    """The dialogue whose contacts a permit takes: a milestone's contact is none of them."""
    talk: UUID | None = row["dialogue_id"] if row["milestone_id"] is None else None
    return talk


def _use(
    page: Page,
    ended: list[dict[str, Any]],
    actor: Actor,
    row: Mapping[str, Any],
    decision: Decision | ConsentError,
) -> Outcome | ConsentError:
    if isinstance(decision, ConsentError):
        return decision
    if row["expires_at"] <= decision.decided_at:
        return ConsentError(*_ENDED["expired"])
    if row["valid_from"] > decision.decided_at:
        return ConsentError("permit_not_yet", "The permit is for later.", valid_from=format_time(row["valid_from"]))
    asked = Asked(Question("", row["channel"], row["topic"]), row["campaign"])
    end = {
        "customer_id": row["customer_id"],
        "permit_id": row["permit_id"],
        "state": "used",
        "ended_at": decision.decided_at,
        "contact_id": None,
    }
    # What was reserved in a dialogue is room there, and none under the dials.
    at_home = decision.dialogue_id == row["dialogue_id"] and decision.milestone_id == row["milestone_id"]
    if decision.allowed and at_home:
        body = contacts.add(page, actor, asked, decision, permit_id=row["permit_id"])
        ended.append({**end, "contact_id": page.contacts[-1]["contact_id"]})
        return Outcome(201, body)
    shown = decision.shown()
    permit_id = encode_id(row["customer_id"], row["permit_id"])
    details = {**asked_details(asked), "permit_id": permit_id, "decision": shown}
    # Quiet hours pass, and the permit may be used then; every other refusal ends it.
    stays_open = decision.reason == "quiet_hours" and at_home
    type_ = "permit.refused" if stays_open else "permit.voided"
    page.events.append(Event(row["customer_id"], type_, actor, decision.decided_at, details))
    if not stays_open:
        ended.append({**end, "state": "void"})
    return homeless(shown) if decision.allowed else refused(shown)


def _used_before(
    conn: Connection, keyring: Keyring, used: Sequence[tuple[int, Mapping[str, Any]]]
) -> list[tuple[int, dict[str, Any]]]:
    if not used:
        return []
    made = store.contacts(conn, [(row["customer_id"], row["contact_id"]) for _, row in used])
    # An event stays with the customer it was written for; a merge moves only what is current.
    owners = {owner for _, row in used for owner in lineage(conn, row["customer_id"])}
    events = history.find(conn, keyring, list(owners), [one["event_id"] for one in made.values()])
    return [(place, contacts.shown(events[made[row["contact_id"]]["event_id"]]["details"])) for place, row in used]


def release_many(conn: Connection, keyring: Keyring, actor: Actor, ids: Sequence[str]) -> list[Outcome | ConsentError]:
    """Gives reserved room back: 204, also when the permit had ended without being used; permit_used otherwise."""
    outcomes: list[Outcome | ConsentError] = [_missing() for _ in ids]
    now = None
    for positions, rows, locked in _held(conn, keyring, actor, ids):
        now = now or store.now(conn)
        events, ended = [], []
        for place, row in zip(positions, rows, strict=True):
            if row["state"] == "used":
                outcomes[place] = ConsentError("permit_used", "The permit was used: its contact stands.")
                continue
            outcomes[place] = Outcome(204, {"id": ids[place], "state": "released"})
            if _is_open(row):
                details = {
                    "channel": row["channel"],
                    "topic": row["topic"],
                    "campaign": row["campaign"],
                    "permit_id": encode_id(row["customer_id"], row["permit_id"]),
                }
                events.append(Event(row["customer_id"], "permit.released", actor, now, details))
                ended.append(
                    {
                        "customer_id": row["customer_id"],
                        "permit_id": row["permit_id"],
                        "state": "released",
                        "ended_at": now,
                        "contact_id": None,
                    }
                )
            else:
                state = "expired" if row["state"] == "open" else row["state"]
                outcomes[place] = Outcome(204, {"id": ids[place], "state": state})
        store.end_permits(conn, ended)
        history.record(conn, keyring, events, keys={one.customer_id: one.key for one in locked.values()})
    return outcomes


def show(conn: Connection, keyring: Keyring, actor: Actor, permit: str) -> dict[str, Any]:
    """A permit of the caller's: state and decision.

    Raises:
        ConsentError: not_found.
    """
    decoded = decode_id(permit)
    if decoded is None:
        raise _missing()
    try:
        owner = require(conn, decoded[0], actor)
    except ConsentError as error:
        raise _missing() from error
    row = store.permits(conn, [(owner, decoded[1])]).get(decoded[1])
    if row is None or row["key_name"] != actor.name:
        raise _missing()
    event = history.find(conn, keyring, lineage(conn, owner), [row["event_id"]])[row["event_id"]]
    return {
        "id": permit,
        "state": "expired" if row["expired"] else row["state"],
        "channel": row["channel"],
        "topic": row["topic"],
        "campaign": row["campaign"],
        "valid_from": format_time(row["valid_from"]),
        "expires_at": format_time(row["expires_at"]),
        "ended_at": format_time(row["ended_at"]) if row["ended_at"] else None,
        "contact_id": encode_id(row["customer_id"], row["contact_id"]) if row["contact_id"] else None,
        "decision": event["details"]["decision"],
    }


def _missing() -> ConsentError:
    return ConsentError("not_found", "There is no such permit of this key.")
