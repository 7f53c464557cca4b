"""The direct checks see a grant after silent and an event that does not follow, and nothing where there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.linearizability.acts import Act, Check, Contact, Release, Reserve, Turn, Use
from tests.linearizability.model import State
from tests.linearizability.promises import follow, granted_after_silent
from tests.linearizability.stories import MODEL, OPEN, WEEKLY, WINE, Story, would_be_told

SILENT = Turn(((("email", "*"), "silent"),))
LOUDER = Turn(((("email", "*"), "weekly"),))
ALLOWED = would_be_told(OPEN, Check(WINE))


@pytest.mark.parametrize("act", [Check(WINE), Contact(WINE), Reserve(WINE)])
def test_a_grant_that_began_after_silent_was_confirmed_is_seen(act: Act) -> None:
    story = Story(OPEN)
    story.does(SILENT, 0, 10)
    story.is_told(act, 11, 20, would_be_told(OPEN, act))
    assert [one.act for _, one in granted_after_silent(story.operations)] == [act]


def test_a_permit_from_before_is_not_used_after_silent() -> None:
    story = Story(OPEN)
    story.does(Reserve(WINE), 0, 10)
    permit = story.operations[0].made
    story.does(SILENT, 20, 30)
    story.is_told(Use(permit), 31, 40, replace(ALLOWED, status=201, contact="c"))
    assert granted_after_silent(story.operations)


@pytest.mark.parametrize("louder", [(15, 18), (15, None), (5, 12)])
def test_a_grant_after_something_louder_is_none_of_them(louder: tuple[int, int | None]) -> None:
    story = Story(OPEN)
    story.does(SILENT, 0, 10)
    since, until = louder
    if until is None:
        story.does_unseen(LOUDER, since)  # it may have happened
    else:
        story.does(LOUDER, since, until)
    story.is_told(Check(WINE), 30, 40, ALLOWED)
    assert granted_after_silent(story.operations) == []


def test_louder_that_was_over_before_or_came_after_is_no_excuse() -> None:
    for since, until in [(0, 10), (60, 70)]:
        story = Story(OPEN)
        story.does(SILENT, 20, 30)
        story.does(LOUDER, since, until)
        story.is_told(Check(WINE), 40, 50, ALLOWED)
        assert granted_after_silent(story.operations)


def test_a_grant_while_silent_is_on_its_way_or_elsewhere_is_none_of_them() -> None:
    story = Story(OPEN)
    story.is_told(Check(WINE), 5, 30, ALLOWED)
    story.does(SILENT, 0, 10)
    story.is_told(Check(("sms", "offers/wine")), 40, 50, ALLOWED)
    story.is_told(Release("p"), 40, 50, would_be_told(OPEN, Check(WINE)))
    assert granted_after_silent(story.operations) == []


def test_events_that_follow_from_each_other_lead_to_a_state() -> None:
    after = follow(MODEL, [_contact(OPEN), _contact(OPEN.with_contact(WINE))], OPEN)
    assert after.ledger == ((WINE, 2),)


def test_a_contact_in_a_full_window_does_not_follow() -> None:
    first = _contact(WEEKLY)
    with pytest.raises(AssertionError, match="event 1"):
        follow(MODEL, [first, first], WEEKLY)


def _contact(state: State) -> dict[str, Any]:
    """The event of a contact as it would be made in a state."""
    decision = would_be_told(state, Contact(WINE)).decision
    assert decision is not None
    names = ("kind", "channel", "topic", "level", "used", "room")
    told = {
        "allowed": True,
        "reason": "allowed",
        "level": decision.level,
        "remaining": decision.remaining,
        "governed_by": [dict(zip(names, row, strict=True)) for row in decision.governed_by],
    }
    details = {"channel": WINE[0], "topic": WINE[1], "contact_id": "c", "permit_id": None, "decision": told}
    return {"type": "contact.recorded", "details": details}
