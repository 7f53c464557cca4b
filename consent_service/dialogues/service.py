"""Opens dialogues, says something in them, changes their terms, closes them. Owns `dialogue`.

Only the customer opens one, or the service desk on their word; only the customer widens its terms; nobody opens it
again. Everything happens under the customer's lock: whatever is reserved or sent comes before a closing or after it.
Source: rules.md, 1 and 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from consent_service.catalogue.service import hold_catalogue, load_catalogue
from consent_service.customers.ids import decode_id
from consent_service.customers.service import Locked, require, require_locked
from consent_service.database import Connection
from consent_service.dialogues import entries, store
from consent_service.dialogues.entries import Entry
from consent_service.dialogues.model import LONGEST, MOST_ENTRIES, MOST_OPEN, Dialogue, Opening
from consent_service.errors import ConsentError
from consent_service.history.model import Actor
from consent_service.keyring.service import Keyring
from consent_service.permissions import service as permissions
from consent_service.permissions.model import Decision, Question

DESK = ("desk", "admin")
AT_ONCE = 200


def open_dialogue(conn: Connection, keyring: Keyring, actor: Actor, customer_id: UUID, opening: Opening) -> Dialogue:
    """A new dialogue. The desk acts on the customer's word: `actor.source` and `actor.evidence` say how it came.

    Raises:
        ConsentError: only_customers_open; evidence_required; confirmation_required, where a campaign's link led here;
            unknown_topic, topic_retired, unknown_channel, channel_retired, invalid_timestamp (not later than now, or
            beyond LONGEST), too_many_dialogues, unknown_customer.
    """
    if not (actor.is_customer or actor.role in DESK):
        raise ConsentError("only_customers_open", "Only the customer opens a dialogue, or the desk on their word.")
    _refuse_by_link(actor)
    _require_evidence(actor)
    hold_catalogue(conn)
    held = require_locked(conn, keyring, customer_id, actor)
    _check_topic(conn, opening.topic)
    _check_channels(conn, opening.terms.channels)
    count, now = store.count_open(conn, held.customer_id)
    _check_until(opening.terms.until, now)
    if count >= MOST_OPEN:
        raise ConsentError("too_many_dialogues", f"At most {MOST_OPEN} dialogues are open at once. Close one first.")
    dialogue_id, event_id = UUID(bytes=uuid7().bytes), UUID(bytes=uuid7().bytes)
    source = entries.source_of(actor)
    how = {"opened_at": now, "role": actor.role, "source": source, "event_id": event_id}
    store.insert(conn, held, dialogue_id, opening, **how)
    after = {"topic": opening.topic, "subject": opening.subject, **opening.terms.shown()}
    details = {"before": None, "after": after, "text": opening.message}
    # The customer waits from now on, also when the desk opens it for them: the row says so already.
    said = Entry("dialogue.opened", details, speaks=False, event_id=event_id, said_at=now)
    entries.add(conn, keyring, actor, held, dialogue_id, said)
    return required(conn, held, dialogue_id)


def find(conn: Connection, keyring: Keyring, actor: Actor, dialogue_id: str) -> Dialogue:
    """The dialogue that an id in a URL means, for this actor.

    Raises:
        ConsentError: not_found, also for somebody else's, and for a campaign key that may not use its topic.
    """
    owner, own_id = _place(conn, actor, dialogue_id)
    key = keyring.find(conn, [owner]).get(owner)
    found = store.find(conn, key, owner, own_id) if key is not None else None
    return _admit(actor, found)


def hold(conn: Connection, keyring: Keyring, actor: Actor, dialogue_id: str) -> tuple[Locked, Dialogue]:
    """The same with its customer locked until the transaction ends.

    Raises:
        ConsentError: not_found.
    """
    owner, own_id = _place(conn, actor, dialogue_id)
    try:
        held = require_locked(conn, keyring, owner, actor)
    except ConsentError as error:
        raise _no_dialogue() from error
    return held, _admit(actor, store.find(conn, held.key, held.customer_id, own_id))


def required(conn: Connection, held: Locked, dialogue_id: UUID) -> Dialogue:
    """A dialogue of a locked customer that is known to be there."""
    found = store.find(conn, held.key, held.customer_id, dialogue_id)
    if found is None:
        raise _no_dialogue()
    return found


def newest(
    conn: Connection, keyring: Keyring, customer_id: UUID, *, before: str | None = None, most: int
) -> tuple[list[Dialogue], str | None]:
    """(up to so many dialogues of a customer, newest first, from after one; the id of the last when there are more).

    Raises:
        ConsentError: invalid_cursor.
    """
    place = decode_id(before) if before is not None else None
    if before is not None and place is None:
        raise ConsentError("invalid_cursor", "Take the cursor from the last page as it is.")
    key = keyring.find(conn, [customer_id]).get(customer_id)
    if key is None:
        return [], None
    found = store.newest(conn, key, customer_id, before=place[1] if place else None, most=most + 1)
    return found[:most], found[most - 1].id if len(found) > most else None


def everything(conn: Connection, keyring: Keyring, customer_id: UUID) -> Iterator[dict[str, Any]]:
    """All of a customer's dialogues with all that was said, newest first."""
    before: str | None = None
    while True:
        found, before = newest(conn, keyring, customer_id, before=before, most=AT_ONCE)
        for one in found:
            said, _ = entries.page(conn, keyring, one, most=2 * MOST_ENTRIES)
            yield {**one.shown(), "entries": said}
        if before is None:
            return


def stopped(conn: Connection, keyring: Keyring, dialogue: Dialogue) -> list[dict[str, str]]:
    """On which of its channels a pause or a stop of the customer's holds the company back all the same."""
    asked = [Question(f"id:{dialogue.customer_id}", channel, dialogue.topic) for channel in dialogue.terms.channels]
    answers = permissions.decide_many(conn, keyring, asked, explain=False)
    return [
        {"channel": question.channel, "reason": one.reason}
        for question, one in zip(asked, answers, strict=True)
        if isinstance(one, Decision) and one.reason in ("suppressed", "paused")
    ]


def say(conn: Connection, keyring: Keyring, actor: Actor, dialogue_id: str, text: str) -> tuple[Dialogue, int]:
    """Adds a message of the customer's or of the company's; (the dialogue, the entry's number). It sends nothing.

    Raises:
        ConsentError: not_found, dialogue_closed, dialogue_expired, dialogue_full.
    """
    held, dialogue = hold(conn, keyring, actor, dialogue_id)
    require_room(dialogue)
    return dialogue, entries.add(
        conn, keyring, actor, held, dialogue.dialogue_id, Entry("dialogue.message", {"text": text})
    )


def require_room(dialogue: Dialogue) -> None:
    """Refuses to say more in a dialogue that has ended or is full.

    Raises:
        ConsentError: dialogue_closed, dialogue_expired, dialogue_full.
    """
    dialogue.require_open()
    if dialogue.entries >= MOST_ENTRIES:
        raise ConsentError("dialogue_full", f"At most {MOST_ENTRIES} entries stand in a dialogue. Open a new one.")


def change_terms(
    conn: Connection, keyring: Keyring, actor: Actor, dialogue_id: str, changes: Mapping[str, Any]
) -> Dialogue:
    """The dialogue with its terms changed: narrower by the customer, or the desk on their word; wider by the customer.

    Raises:
        ConsentError: not_found, dialogue_closed, dialogue_expired, evidence_required, only_customers_widen;
            confirmation_required, where it becomes wider and a campaign's link led here; what open_dialogue refuses.
    """
    _require_evidence(actor)
    hold_catalogue(conn)
    held, dialogue = hold(conn, keyring, actor, dialogue_id)
    set_terms(conn, keyring, actor, held, dialogue, changes)
    return required(conn, held, dialogue.dialogue_id)


def set_terms(
    conn: Connection, keyring: Keyring, actor: Actor, held: Locked, dialogue: Dialogue, changes: Mapping[str, Any]
) -> None:
    """The same for a dialogue that is held, with the catalogue; saying the same again changes nothing."""
    dialogue.require_open()
    before, after = dialogue.terms, replace(dialogue.terms, **changes)
    if set(before.channels) == set(after.channels):
        after = replace(after, channels=before.channels)
    if after == before:
        return
    wider = after.wider_than(before)
    if wider and not actor.is_customer:
        raise ConsentError("only_customers_widen", "Only the customer widens the terms of a dialogue: propose it.")
    if wider:
        _refuse_by_link(actor)
    _check_channels(conn, [one for one in after.channels if one not in before.channels])
    if after.until != before.until:
        _check_until(after.until, store.count_open(conn, held.customer_id)[1])
    store.change_terms(conn, dialogue, after)
    type_ = "dialogue.widened" if wider else "dialogue.narrowed"
    said = Entry(type_, {"before": before.shown(), "after": after.shown()}, speaks=False)
    entries.add(conn, keyring, actor, held, dialogue.dialogue_id, said)


def close(conn: Connection, keyring: Keyring, actor: Actor, dialogue_id: str) -> Dialogue:
    """The dialogue, closed for good: by then nothing more is sent in it. One that has ended stays as it is.

    Raises:
        ConsentError: not_found.
    """
    held, dialogue = hold(conn, keyring, actor, dialogue_id)
    if dialogue.state == "open":
        closed_at = store.next_number(conn, held.customer_id, dialogue.dialogue_id)[1]
        closed_by = "customer" if actor.is_customer else "desk"
        store.close(conn, dialogue, closed_at, closed_by)
        said = Entry("dialogue.closed", {"closed_by": closed_by}, speaks=False, said_at=closed_at)
        entries.add(conn, keyring, actor, held, dialogue.dialogue_id, said)
    return required(conn, held, dialogue.dialogue_id)


def _place(conn: Connection, actor: Actor, dialogue_id: str) -> tuple[UUID, UUID]:
    """(the customer who has it now, its own id): after a merge an id leads to the survivor."""
    place = decode_id(dialogue_id)
    if place is None:
        raise _no_dialogue()
    try:
        return require(conn, place[0], actor), place[1]
    except ConsentError as error:
        raise _no_dialogue() from error


def _admit(actor: Actor, found: Dialogue | None) -> Dialogue:
    if found is None or (actor.role == "campaign" and not found.is_for(actor.topics)):
        raise _no_dialogue()
    return found


def _no_dialogue() -> ConsentError:
    return ConsentError("not_found", "There is no such dialogue.")


def _refuse_by_link(actor: Actor) -> None:
    if actor.link is not None:
        raise ConsentError("confirmation_required", "This lets us say more: it is only done from your own link.")


def _require_evidence(actor: Actor) -> None:
    if not actor.is_customer and not actor.evidence:
        raise ConsentError("evidence_required", "Name the call or letter in evidence.")


def _check_topic(conn: Connection, topic: str) -> None:
    catalogue = load_catalogue(conn)
    known = catalogue.topics.get(topic) if catalogue is not None else None
    if known is None:
        raise ConsentError("unknown_topic", "The catalogue has no such topic.")
    if known.retired:
        raise ConsentError("topic_retired", "The topic is retired.")


def _check_channels(conn: Connection, channels: Sequence[str]) -> None:
    catalogue = load_catalogue(conn) if channels else None
    for channel in channels:
        known = catalogue.channels.get(channel) if catalogue is not None else None
        if known is None:
            raise ConsentError("unknown_channel", "The catalogue has no such channel.")
        if known.retired:
            raise ConsentError("channel_retired", "The channel is retired.")


def _check_until(until: datetime, now: datetime) -> None:
    if not now < until <= now + LONGEST:
        raise ConsentError("invalid_timestamp", f"until: it ends later than now, and within {LONGEST.days} days.")
