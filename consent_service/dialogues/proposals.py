"""Proposals: the company says what could be changed, the customer answers line by line, and what is taken up is done.

Everything that is taken up is the customer's own act, in one transaction: all of it or nothing. Nothing ever takes
effect by silence or time, and a proposal ends once: by the customer's answer, or because the company takes it back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from consent_service.catalogue.model import EVERY, Catalogue
from consent_service.catalogue.service import hold_catalogue, load_catalogue
from consent_service.clock import parse_time
from consent_service.customers.service import Locked, lineage
from consent_service.database import Connection
from consent_service.dialogues import entries, service, store
from consent_service.dialogues.entries import Entry
from consent_service.dialogues.model import (
    LARGEST_PROPOSAL,
    LONGEST,
    Dialogue,
    Line,
    LineAnswer,
    key_covers,
    line_of,
    matched,
    refusal,
)
from consent_service.dials import service as dials
from consent_service.dials.model import Change, Notice, Wish
from consent_service.errors import ConsentError
from consent_service.history import service as history
from consent_service.history.model import Actor, canonical
from consent_service.keyring.service import Keyring

Pair = tuple[LineAnswer, Line]


def propose(
    conn: Connection, keyring: Keyring, actor: Actor, dialogue_id: str, *, text: str, lines: Sequence[Line]
) -> tuple[Dialogue, int]:
    """Adds a proposal of the company's; (the dialogue, the entry's number).

    Raises:
        ConsentError: role_not_allowed, not_found, dialogue_closed, dialogue_expired, dialogue_full; on a line:
            unknown_channel, unknown_topic, unknown_level, channel_retired, topic_retired, topic_not_allowed (a dial
            outside a campaign key's topics), duplicate_place, invalid_timestamp, invalid_value.
    """
    if actor.is_customer:
        raise ConsentError("role_not_allowed", "The company proposes; the customer answers a proposal with changes.")
    hold_catalogue(conn)
    held, dialogue = service.hold(conn, keyring, actor, dialogue_id)
    service.require_room(dialogue)
    shown = [line.shown(number) for number, line in enumerate(lines, 1)]
    if len(canonical({"lines": shown})) > LARGEST_PROPOSAL:
        raise refusal("invalid_value", f"All lines have at most {LARGEST_PROPOSAL} bytes.", "/proposal/lines")
    _check_lines(conn, actor, held, lines)
    said = Entry("dialogue.proposed", {"text": text, "lines": shown})
    return dialogue, entries.add(conn, keyring, actor, held, dialogue.dialogue_id, said)


def withdraw(
    conn: Connection, keyring: Keyring, actor: Actor, dialogue_id: str, number: int, *, text: str | None
) -> tuple[Dialogue, int]:
    """Takes a proposal back that nobody has answered; (the dialogue, the entry's number).

    Raises:
        ConsentError: role_not_allowed, not_found, proposal_answered, proposal_withdrawn, dialogue_closed,
            dialogue_expired.
    """
    if actor.is_customer:
        raise ConsentError("role_not_allowed", "Whoever proposes takes it back: the customer refuses.")
    held, dialogue = service.hold(conn, keyring, actor, dialogue_id)
    _open_proposal(conn, dialogue, number)
    said = Entry("dialogue.withdrawn", {"text": text}, answers=number)
    return dialogue, entries.add(conn, keyring, actor, held, dialogue.dialogue_id, said)


def answer(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    dialogue_id: str,
    number: int,
    answers: Sequence[LineAnswer],
    *,
    notice: Notice | None = None,
    text: str | None = None,
) -> tuple[Dialogue, int]:
    """What the customer says to each line, done in this transaction; (the dialogue, the entry's number).

    A line that they change is done as they changed it, for it is about their own settings; a changed specification is
    what they ask for, and the company may propose it anew.

    Raises:
        ConsentError: role_not_allowed, not_found, proposal_answered, proposal_withdrawn, dialogue_closed,
            dialogue_expired, invalid_value (each line is answered once); what dials.service.turn and
            service.change_terms refuse, at the line: then nothing is done at all.
    """
    if not actor.is_customer:
        raise ConsentError("role_not_allowed", "Only the customer answers a proposal.")
    hold_catalogue(conn)
    held, dialogue = service.hold(conn, keyring, actor, dialogue_id)
    event_id = _open_proposal(conn, dialogue, number)["event_id"]
    proposed = history.find(conn, keyring, lineage(conn, held.customer_id), [event_id])[event_id]
    pairs = matched([line_of(one) for one in proposed["details"]["lines"]], answers)
    taken = [pair for pair in pairs if pair[0].answer != "refuse"]
    details = {
        "text": text,
        "lines": [{**line.shown(one.line), "answer": one.answer} for one, line in pairs],
        "notice": dials.as_shown(conn, notice),
    }
    said = Entry(_type(pairs), details, answers=number)
    entry = entries.add(conn, keyring, actor, held, dialogue.dialogue_id, said)
    doer = replace(actor, source="dialogue", evidence={"dialogue_id": dialogue.id, "entry": entry})
    positions = {one.line: index for index, one in enumerate(answers)}
    _turn(conn, keyring, doer, held, taken, positions, notice)
    for one, line in taken:
        with _at_line(positions[one.line], line.kind):
            _do(conn, keyring, doer, held, dialogue, line)
    return dialogue, entry


def terms_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """New terms as a line holds them, for service.set_terms."""
    changes = dict(value)
    if "channels" in changes:
        changes["channels"] = tuple(changes["channels"])
    if "until" in changes:
        changes["until"] = parse_time(changes["until"])
    return changes


def _do(conn: Connection, keyring: Keyring, doer: Actor, held: Locked, dialogue: Dialogue, line: Line) -> None:
    """Does what a line says; dials were turned together, and a specification changes nothing here."""
    if line.kind == "terms":
        service.set_terms(conn, keyring, doer, held, dialogue, terms_of(line.value))


def _type(pairs: Sequence[Pair]) -> str:
    said = {one.answer for one, _ in pairs}
    if "change" in said:
        return "dialogue.countered"
    return "dialogue.accepted" if "accept" in said else "dialogue.refused"


def _open_proposal(conn: Connection, dialogue: Dialogue, number: int) -> Mapping[str, Any]:
    found = store.proposal(conn, dialogue, number)
    if found is None:
        raise ConsentError("not_found", "There is no such proposal.")
    if found["answered_by"] is not None:
        if found["answered_by_role"] == "customer":
            raise ConsentError("proposal_answered", "The proposal was answered already. Read the dialogue again.")
        raise ConsentError("proposal_withdrawn", "The proposal was withdrawn. Read the dialogue again.")
    dialogue.require_open()
    return found


def _turn(
    conn: Connection,
    keyring: Keyring,
    doer: Actor,
    held: Locked,
    taken: Sequence[Pair],
    positions: Mapping[int, int],
    notice: Notice | None,
) -> None:
    """All dials at once: each place may stand once, and a version is one turn."""
    turned = [(one, line) for one, line in taken if line.kind == "dial"]
    if not turned:
        return
    wish = Wish(tuple(Change(**line.value) for _, line in turned), "dialogue", doer.evidence, notice)
    try:
        dials.turn(conn, keyring, doer, held.customer_id, wish)
    except ConsentError as error:
        raise _told_at_lines(error, [positions[one.line] for one, _ in turned]) from error


def _told_at_lines(error: ConsentError, positions: Sequence[int]) -> ConsentError:
    """The error of a turn, with its pointers at the lines of the answer."""
    errors = []
    for one in error.errors:
        _, place, index, *rest = [*one["pointer"].split("/"), "", ""]
        known = place == "changes" and index.isdigit() and int(index) < len(positions)
        pointer = "/".join(["", "lines", str(positions[int(index)]), "dial", *filter(None, rest)]) if known else ""
        errors.append({**one, "pointer": pointer})
    return ConsentError(error.code, error.detail, errors=errors, headers=error.headers, **error.context)


@contextmanager
def _at_line(position: int, kind: str) -> Iterator[None]:
    """Says at which line of the answer something was refused."""
    try:
        yield
    except ConsentError as error:
        raise refusal(error.code, error.detail, f"/lines/{position}/{kind}") from error


def _check_lines(conn: Connection, actor: Actor, held: Locked, lines: Sequence[Line]) -> None:
    catalogue = load_catalogue(conn)
    assert catalogue is not None  # the dialogue's topic stands in it
    now = store.count_open(conn, held.customer_id)[1]
    places: set[tuple[str, str]] = set()
    for index, line in enumerate(lines):
        pointer = f"/proposal/lines/{index}/{line.kind}"
        if line.kind == "dial":
            place = line.value["channel"], line.value["topic"]
            if code := _wrong_dial(catalogue, actor, line.value):
                raise refusal(*code, pointer)
            if place in places:
                raise refusal("duplicate_place", "This place stands twice in the proposal.", pointer)
            places.add(place)
        if line.kind == "terms":
            if ("", "") in places:
                raise refusal("invalid_value", "New terms stand once in a proposal.", pointer)
            places.add(("", ""))
            _check_terms(catalogue, terms_of(line.value), now, pointer)


def _wrong_dial(catalogue: Catalogue, actor: Actor, dial: Mapping[str, Any]) -> tuple[str, str] | None:
    channel, topic, level = dial["channel"], dial["topic"], dial["level"]
    if channel != EVERY and channel not in catalogue.channels:
        return "unknown_channel", "The catalogue has no such channel."
    if topic != EVERY and topic not in catalogue.topics:
        return "unknown_topic", "The catalogue has no such topic."
    if level is not None and level not in catalogue.levels:
        return "unknown_level", "The catalogue has no such level."
    if actor.role == "campaign" and not _may_propose(catalogue, actor, topic):
        return "topic_not_allowed", "This key may only propose dials of its own topics."
    return None


def _may_propose(catalogue: Catalogue, actor: Actor, topic: str) -> bool:
    if topic == EVERY:
        return actor.topics is not None and EVERY in actor.topics
    known = catalogue.topics[topic]
    return key_covers(actor.topics, topic, known.covered_by, essential=known.essential)


def _check_terms(catalogue: Catalogue, terms: Mapping[str, Any], now: datetime, pointer: str) -> None:
    for channel in terms.get("channels", ()):
        known = catalogue.channels.get(channel)
        if known is None:
            raise refusal("unknown_channel", "The catalogue has no such channel.", pointer)
        if known.retired:
            raise refusal("channel_retired", "The channel is retired.", pointer)
    until = terms.get("until")
    if until is not None and not now < until <= now + LONGEST:
        raise refusal("invalid_timestamp", f"until lies ahead, within {LONGEST.days} days.", pointer)
