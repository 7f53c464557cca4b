"""The checker finds an order where there is one, and shows where there is none."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.linearizability.acts import (
    READING,
    Act,
    Audit,
    Check,
    Contact,
    EndPause,
    Operation,
    Release,
    Reserve,
    SetPause,
    ShowDials,
    ShowPermit,
    Turn,
    Use,
)
from tests.linearizability.checker import unorderable
from tests.linearizability.model import AT, Permit, State
from tests.linearizability.report import told
from tests.linearizability.stories import BUSY, MODEL, OPEN, WEEKLY, WINE, Story, would_be_told
from tests.linearizability.windows import shortest

SILENT = Turn(((("email", "*"), "silent"),))
TEXTS_SILENT = Turn(((("sms", "*"), "silent"),))
RANDOM_HISTORIES = 400


def window_of(story: Story) -> str | None:
    """The report of the window that cannot be ordered."""
    found = unorderable(MODEL, story.operations, story.before)
    return None if found is None else told(found)


def test_one_after_the_other_is_an_order() -> None:
    story = Story(BUSY)
    for number, act in enumerate([Check(WINE), Contact(WINE), Reserve(WINE), SILENT, Check(WINE), Audit()]):
        story.does(act, 10 * number, 10 * number + 5)
    assert window_of(story) is None


def test_what_overlaps_may_have_happened_in_either_order() -> None:
    story = Story(OPEN)
    story.does(Check(WINE), 5, 30)  # allowed, and answered after silent was confirmed
    story.does(SILENT, 0, 10)
    assert window_of(story) is None


def test_a_read_from_before_a_confirmed_change_is_stale() -> None:
    story = Story(OPEN)
    story.does(SILENT, 0, 10)
    story.is_told(Check(WINE), 11, 20, would_be_told(OPEN, Check(WINE)))
    report = window_of(story)
    assert report is not None
    assert "> " in report
    assert "silent, remaining None" in report


def test_a_change_that_another_one_overwrote_is_missed() -> None:
    story = Story(OPEN)
    story.does(SILENT, 0, 10)
    # The other one is answered as if the first had never been.
    story.is_told(TEXTS_SILENT, 5, 15, would_be_told(OPEN, TEXTS_SILENT))
    assert window_of(story) is not None


def test_two_took_the_last_room() -> None:
    story = Story(WEEKLY)
    answer = story.does(Contact(WINE), 0, 10)
    story.is_told(Contact(WINE), 5, 15, answer)
    assert window_of(story) is not None


@pytest.mark.parametrize("act", [Contact(WINE), Reserve(WINE)])
def test_of_two_for_the_last_room_one_is_refused(act: Act) -> None:
    story = Story(WEEKLY)
    story.does(act, 5, 15)
    story.does(act, 0, 10)
    assert window_of(story) is None


def test_an_answer_that_was_lost_explains_what_was_seen_later() -> None:
    story = Story(BUSY)
    story.does_unseen(Contact(WINE), 0)
    story.does(Check(WINE), 10, 20)
    assert window_of(story) is None
    story.operations.pop(0)
    assert window_of(story) is not None


def test_what_was_lost_may_happen_long_after_it_was_asked() -> None:
    story = Story(BUSY)
    asked = story.asks_in_vain(Contact(WINE), 0)
    story.does(Check(WINE), 10, 20)
    story.state, _ = MODEL.step(story.state, asked)
    story.does(Check(WINE), 30, 40)
    assert window_of(story) is None


def test_what_was_lost_may_never_happen() -> None:
    story = Story(BUSY)
    story.asks_in_vain(Contact(WINE), 0)
    story.does(Check(WINE), 10, 20)
    story.does(Audit(), 30, 40)
    assert window_of(story) is None


def test_what_was_lost_and_seen_cannot_be_unseen() -> None:
    story = Story(BUSY)
    story.does_unseen(Contact(WINE), 0)
    story.does(Check(WINE), 10, 20)
    story.is_told(Check(WINE), 30, 40, would_be_told(BUSY, Check(WINE)))
    assert window_of(story) is not None


def test_what_was_lost_happens_once() -> None:
    story = Story(BUSY)
    story.does_unseen(Contact(WINE), 0)
    twice = story.state.with_contact(WINE)
    story.is_told(Check(WINE), 10, 20, would_be_told(twice, Check(WINE)))
    assert window_of(story) is not None


def test_what_was_lost_cannot_happen_before_it_was_asked() -> None:
    story = Story(BUSY)
    story.is_told(Check(WINE), 0, 10, would_be_told(BUSY.with_contact(WINE), Check(WINE)))
    story.asks_in_vain(Contact(WINE), 11)
    assert window_of(story) is not None


def test_a_permit_is_used_once() -> None:
    for told_second in (True, False):
        story = Story(BUSY.with_permit("p", Permit(WINE)))
        first = story.does(Use("p"), 0, 10)
        again = story.does(Use("p"), 5, 15)
        assert (first.status, again.status, again.contact) == (201, 200, first.contact)
        if not told_second:
            story.operations[1] = replace(story.operations[1], answer=replace(first, contact="other"), made="other")
        assert (window_of(story) is None) == told_second


def test_a_use_whose_answer_was_lost_made_the_contact_that_is_told_later() -> None:
    story = Story(BUSY.with_permit("p", Permit(WINE)))
    story.does_unseen(Use("p"), 0)
    known = story.does(Use("p"), 10, 20)
    assert story.does(Use("p"), 30, 40).contact == known.contact
    assert window_of(story) is None
    story.is_told(Use("p"), 50, 60, replace(known, contact="other"), made="other")
    assert window_of(story) is not None


def test_a_permit_that_a_turned_down_dial_refused_is_void_for_good() -> None:
    story = Story(OPEN.with_permit("p", Permit(WINE)))
    story.does(SILENT, 0, 10)
    assert story.does(Use("p"), 20, 30).code == "not_permitted"
    story.does(Turn(((("email", "*"), None),)), 40, 50)
    assert story.does(Use("p"), 60, 70).code == "permit_void"
    assert story.does(Release("p"), 80, 90).status == 204
    assert window_of(story) is None
    story.is_told(ShowPermit("p"), 100, 110, replace(would_be_told(story.state, ShowPermit("p")), state="open"))
    assert window_of(story) is not None


def test_of_two_louder_changes_to_the_same_version_one_is_stale() -> None:
    louder = [Turn(((("*", topic), "everything"),), version=1) for topic in ("offers", "events")]
    story = Story(WEEKLY)
    story.does(louder[0], 0, 10)
    assert story.does(louder[1], 5, 15).status == 412
    assert window_of(story) is None
    story = Story(WEEKLY)
    story.does(louder[0], 0, 10)
    story.does(replace(louder[1], version=2), 5, 15)
    story.operations[1] = replace(story.operations[1], act=louder[1])
    assert window_of(story) is not None


def test_the_window_leaves_out_what_has_nothing_to_do_with_it() -> None:
    story = Story(OPEN)
    for start in range(0, 100, 10):
        story.does(Contact(WINE), start, start + 5)
    story.does(SILENT, 100, 120)
    story.does(Check(("sms", "offers/wine")), 105, 135)
    story.is_told(Check(WINE), 125, 130, would_be_told(OPEN, Check(WINE)))
    story.does(Contact(WINE), 140, 150)
    found = unorderable(MODEL, story.operations, story.before)
    assert found is not None
    assert [one.act for one in found.operations] == [Check(WINE)]
    assert {one.state.dials for one in found.before} == {story.state.dials}


def test_both_searches_agree_with_every_permutation_of_small_histories() -> None:
    rng = random.Random(20261122)
    verdicts = [_agreed(_small_history(rng)) for _ in range(RANDOM_HISTORIES)]
    # Both kinds were there.
    assert RANDOM_HISTORIES / 10 < sum(verdicts) < RANDOM_HISTORIES * 9 / 10


def _agreed(story: Story) -> bool:
    has_order = _any_permutation(story.operations, story.before)
    assert (unorderable(MODEL, story.operations, story.before) is None) == has_order, story
    assert (shortest(MODEL, story.operations, story.before) is None) == has_order, story
    return has_order


def _small_history(rng: random.Random) -> Story:
    """Six acts in some order, with times that fit it; then some lose their answer, and one may get another one."""
    story = Story(rng.choice([WEEKLY, BUSY, OPEN]).with_permit("p", Permit(WINE)))
    reads: list[Act] = [Check(WINE), ShowDials(), Audit()]
    weekly = Turn(((("email", "*"), "weekly"),))
    acts = [*reads, Contact(WINE), Reserve(WINE), Use("p"), Release("p"), SILENT, weekly, SetPause("email", AT),
            EndPause("email")]  # fmt: skip
    for number in range(6):
        happens = 10 * number
        story.does(rng.choice(acts), happens - rng.randint(1, 25), happens + rng.randint(1, 25))
    for number in rng.sample(range(6), rng.choice([0, 1, 1, 2])):
        story.operations[number] = replace(story.operations[number], completed_at=None, answer=None)
    if rng.random() < 0.5:
        number = rng.randrange(6)
        one = story.operations[number]
        if one.answer is not None:
            other = rng.choice([story.before, story.state, story.state.with_contact(WINE)])
            story.operations[number] = replace(one, answer=MODEL.step(other, one)[1])
    return story


def _any_permutation(operations: Sequence[Operation], initial: State) -> bool:
    known = [one for one in operations if one.is_known]
    lost = [one for one in operations if not one.is_known]
    return any(
        _explains(order, initial)
        for number in range(len(lost) + 1)
        for happened in itertools.combinations(lost, number)
        for order in itertools.permutations([*known, *happened])
    )


def _explains(order: Sequence[Operation], state: State) -> bool:
    latest_start = -1000
    for one in order:
        # Nothing may come before what it was asked after the answer of.
        if one.completed_at is not None and one.completed_at < latest_start:
            return False
        latest_start = max(latest_start, one.invoked_at)
        state, answer = MODEL.step(state, one)
        if one.is_known and answer != one.answer:
            return False
    return True


def test_only_what_reads_is_taken_to_change_nothing() -> None:
    for state, act in itertools.product(
        [OPEN.with_permit("p", Permit(WINE)), WEEKLY.with_contact(WINE).with_permit("p", Permit(WINE, "used", "c"))],
        [Check(WINE), Contact(WINE), Reserve(WINE), SILENT, Use("p"), Release("p"), ShowPermit("p"), Audit()],
    ):
        asked = Operation(1, "", act, 0, None, None, "?1")
        after, answer = MODEL.step(state, asked)
        one = replace(asked, completed_at=1, answer=answer)
        assert after == state or not one.only_reads, one
        assert one.only_reads or not isinstance(act, READING)
