"""Questions of the same moment share a batch; none is answered by earlier work, none suffers for another."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from consent_service import gathering as module
from consent_service.errors import ConsentError, Unavailable
from consent_service.gathering import Gathering, Lines

SECONDS = 20.0


class Work:
    """Doubles numbers; the first batch waits until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.begun.set()
        assert self.go_on.wait(SECONDS)
        if 13 in items:
            raise ValueError
        if 503 in items:
            raise Unavailable
        return [2 * item for item in items]


def ask_while_busy(work: Work, gathering: Gathering[int, int], items: Sequence[int]) -> list[int | Exception]:
    """Asks for 1 and, while that is worked on, for the items; what each got."""

    def ask(item: int) -> int | Exception:
        try:
            return gathering.ask(item)
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(items) + 1) as pool:
        first = pool.submit(ask, 1)
        assert work.begun.wait(SECONDS)
        others = [pool.submit(ask, item) for item in items]
        while len(gathering._waiting) < len(items):
            pass
        work.go_on.set()
        assert first.result() == 2
        return [one.result() for one in others]


def test_those_who_come_while_others_are_answered_are_answered_together() -> None:
    work = Work()
    gathering = Gathering(work, lambda: SECONDS)
    assert ask_while_busy(work, gathering, range(2, 10)) == [2 * item for item in range(2, 10)]
    assert [len(batch) for batch in work.batches] == [1, 8]
    assert gathering.ask(21) == 42


def test_those_who_were_answered_together_are_waited_for_and_who_asks_alone_waits_for_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = Work()
    gathering = Gathering(work, lambda: SECONDS)
    ask_while_busy(work, gathering, range(2, 10))
    monkeypatch.setattr(module, "COMPANY_SECONDS", 2 * SECONDS)
    with ThreadPoolExecutor(8) as pool:
        again = [pool.submit(gathering.ask, item) for item in range(8)]
        assert [one.result(SECONDS) for one in again] == [2 * item for item in range(8)]
        assert [len(batch) for batch in work.batches] == [1, 8, 8]
        monkeypatch.setattr(module, "COMPANY_SECONDS", 0.01)
        assert gathering.ask(21) == 42  # the others do not come: once more nobody is waited for
        monkeypatch.setattr(module, "COMPANY_SECONDS", 2 * SECONDS)
        assert pool.submit(gathering.ask, 22).result(SECONDS) == 44


def test_a_question_that_breaks_the_work_breaks_it_for_itself_alone() -> None:
    work = Work()
    found = ask_while_busy(work, Gathering(work, lambda: SECONDS), [2, 13, 4])
    assert [type(one) for one in found] == [int, ValueError, int]


def test_what_cannot_be_decided_is_said_to_all_and_tried_once() -> None:
    work = Work()
    found = ask_while_busy(work, Gathering(work, lambda: SECONDS), [2, 503, 4])
    assert {type(one) for one in found} == {Unavailable}
    assert len({id(one) for one in found}) == 3  # nobody else's traceback
    assert len(work.batches) == 2


def test_whose_turn_does_not_come_in_time_is_told_so_and_keeps_nobody() -> None:
    work = Work()
    gathering = Gathering(work, lambda: 0.05)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(gathering.ask, 1)
        assert work.begun.wait(SECONDS)
        with pytest.raises(ConsentError) as caught:
            gathering.ask(2)
        assert caught.value.code == "decision_unavailable"
        work.go_on.set()
        assert first.result() == 2
    assert work.batches == [[1]]
    assert gathering.ask(3) == 6


def test_many_threads_get_each_their_own_answer() -> None:
    gathering = Gathering(lambda items: [2 * item for item in items], lambda: SECONDS)
    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(gathering.ask, range(20_000))) == [2 * item for item in range(20_000)]


def test_work_with_effects_is_never_done_twice() -> None:
    work = Work()
    found = ask_while_busy(work, Gathering(work, lambda: SECONDS, repeats=False), [2, 13, 4])
    assert [type(one) for one in found].count(ValueError) == 1
    assert [type(one) for one in found].count(Unavailable) == 2
    assert len(work.batches) == 2


def test_who_waits_in_one_line_holds_up_no_other_and_lines_end_with_the_last() -> None:
    work = Work()
    lines = Lines(work, lambda: SECONDS)
    others = Lines(lambda items: [2 * item for item in items], lambda: SECONDS)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(lines.ask, "one", 1)
        assert work.begun.wait(SECONDS)
        second = pool.submit(lines.ask, "two", 2)
        while len(work.batches) < 2:
            pass
        assert lines.standing() == {"one", "two"}
        work.go_on.set()
        assert (first.result(), second.result()) == (2, 4)
        asked = [pool.submit(others.ask, number % 3, number) for number in range(3000)]
        assert [one.result() for one in asked] == [2 * number for number in range(3000)]
    assert lines.standing() == others.standing() == frozenset()
