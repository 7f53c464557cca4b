"""What needs no search: promises that a history of operations, or of events, keeps or breaks by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from tests.linearizability.acts import (
    Act,
    Answer,
    Check,
    Contact,
    EndPause,
    Operation,
    Place,
    Release,
    Reserve,
    SetPause,
    Turn,
    Use,
)
from tests.linearizability.model import Model, State
from tests.linearizability.recorder import as_decision
from tests.support.rules import covers

SILENT = "silent"


def granted_after_silent(history: Sequence[Operation]) -> list[tuple[Operation, Operation]]:
    """Pairs of a confirmed silent and a grant that began after it, before anything louder could have come.

    Louder is any other level at the same place that was asked for before the grant was answered, and not over
    when silent was asked for; also when its answer was lost.
    """
    places = {one.made: one.act.place for one in history if isinstance(one.act, Reserve)}
    turns = [(one, place, level) for one in history if isinstance(one.act, Turn) for place, level in one.act.changes]
    silences = [
        (one, place) for one, place, level in turns if level == SILENT and one.answer and one.answer.status == 200
    ]
    return [
        (silence, grant)
        for grant, contact in _grants(history, places)
        for silence, place in silences
        if covers(place, contact) and _is_before(silence, grant) and not _raised(turns, place, silence, grant)
    ]


def _grants(history: Sequence[Operation], places: Mapping[str, Place]) -> Iterator[tuple[Operation, Place]]:
    for one in history:
        if one.answer is None or one.answer.decision is None or not one.answer.decision.allowed:
            continue
        match one.act:
            case Check(place) | Contact(place) | Reserve(place):
                yield one, place
            case Use(permit):
                yield one, places[permit]


def _is_before(one: Operation, other: Operation) -> bool:
    return one.completed_at is not None and one.completed_at < other.invoked_at


def _raised(
    turns: Sequence[tuple[Operation, Place, str | None]], place: Place, silence: Operation, grant: Operation
) -> bool:
    return any(
        where == place and level != SILENT and not _is_before(one, silence) and not _is_before(grant, one)
        for one, where, level in turns
    )


def follow(model: Model, events: Sequence[Mapping[str, Any]], state: State) -> State:
    """Where the events lead, in the order given; raises at the first that does not follow from those before it.

    When all do, no grant stood in a window that was full, or after a silent that was not taken back.
    """
    for number, event in enumerate(events):
        act, answer, made = _told(event)
        after, expected = model.step(state, Operation(number, "history", act, 0, None, answer, made))
        # An event of dials and pauses tells no answer, but it happens only when it changed something.
        follows = after.version == state.version + 1 if answer is None else answer == expected
        assert follows, f"event {number} ({act}, {answer}) does not follow: in order it would be {expected}"
        state = after
    return state


def _told(event: Mapping[str, Any]) -> tuple[Act, Answer | None, str]:
    details = event["details"]
    place = (details.get("channel", ""), details.get("topic", ""))
    decision = as_decision(details["decision"]) if "decision" in details else None
    refused = Answer(409, code="not_permitted", decision=decision)
    match event["type"]:
        case "contact.recorded" if details["permit_id"]:
            made = details["contact_id"]
            return Use(details["permit_id"]), Answer(201, decision=decision, contact=made), made
        case "contact.recorded":
            return Contact(place), Answer(201, decision=decision), details["contact_id"]
        case "contact.refused":
            return Contact(place), refused, ""
        case "permit.reserved":
            return Reserve(place), Answer(201, decision=decision), details["permit"]["id"]
        case "permit.refused":
            return Reserve(place), refused, ""
        case "permit.voided":
            return Use(details["permit_id"]), refused, ""
        case "permit.released":
            return Release(details["permit_id"]), Answer(204), ""
        case "dials.changed":
            return Turn(tuple(((one["channel"], one["topic"]), one["level"]) for one in event["after"])), None, ""
        case "pause.set":
            return SetPause(event["after"]["channel"], datetime.fromisoformat(event["after"]["until"])), None, ""
        case "pause.ended":
            return EndPause(event["before"]["channel"]), None, ""
    raise AssertionError(f"{event['type']} happens to none of these customers")
