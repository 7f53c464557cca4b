"""Single requests that come at the same moment are answered together, as one batch.

Whoever comes while nobody works begins at once. Whoever comes while others are answered waits for the next turn, and
is then answered with all who wait by then: the busier, the larger the batches, and the cheaper each one. Those
who asked together tend to come again together: so a turn begins when as many are there as had asked by the end of the
last one, or a millisecond later. Who asks alone waits for nobody.
None is answered by work that began before it was asked, so that what was committed before it counts.
Knows no noun of the domain.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from consent_service.errors import Unavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MOST = 200  # of one batch
COMPANY_SECONDS = 0.001  # that a turn waits for those who may come again


class Gathering(Generic[Item, Answer]):
    """Answers items of many threads in batches.

    Args:
        work: the answers to some items, one each, in their order. What it raises, it raises for all of them.
        patience: seconds that the thread which calls `ask` may still wait.
        repeats: items whose work failed are tried one by one, so that nobody suffers for another one. False for work
            that has effects: nobody knows which it had, so nothing is done twice.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Answer]],
        patience: Callable[[], float],
        *,
        repeats: bool = True,
    ) -> None:
        self._work = work
        self._patience = patience
        self._repeats = repeats
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting[Item, Answer]] = deque()
        self._busy = False
        self._company = 1  # how many asked by the end of the last turn
        self._missing = 0  # of them, while a turn waits for them
        self._complete = threading.Event()

    def ask(self, item: Item) -> Answer:
        """The answer to one item.

        Raises:
            Unavailable: nobody came to it in time.
        """
        one: _Waiting[Item, Answer] = _Waiting(item)
        with self._lock:
            self._waiting.append(one)
            one.leads = not self._busy
            self._busy = True
            if self._missing == 1:
                self._complete.set()
            self._missing -= self._missing > 0
        if not one.leads:
            self._await_turn(one)
        if one.leads:
            self._lead()
        return one.answer()

    def _await_turn(self, one: _Waiting[Item, Answer]) -> None:
        if one.turn.acquire(timeout=self._patience()):
            return
        with self._lock:
            if one.leads:
                one.turn.acquire(blocking=False)  # handed on just now
                return
            if one in self._waiting:
                self._waiting.remove(one)
        raise Unavailable

    def _lead(self) -> None:
        """Answers those who wait, and hands on to whoever came meanwhile."""
        self._await_company()
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
        try:
            self._answer(batch)
        finally:
            with self._lock:
                self._company = min(MOST, len(batch) + len(self._waiting))
                if self._waiting:
                    following = self._waiting[0]
                    following.leads = True
                    following.turn.release()
                else:
                    self._busy = False

    def _await_company(self) -> None:
        with self._lock:
            self._complete.clear()
            self._missing = max(0, self._company - len(self._waiting))
            alone = not self._missing
        if not alone:
            self._complete.wait(COMPANY_SECONDS)

    def _answer(self, batch: Sequence[_Waiting[Item, Answer]]) -> None:
        try:
            answers = self._work([one.item for one in batch])
        except Unavailable as error:
            for one in batch:
                own = Unavailable(error.detail)
                own.__cause__ = error  # the log says what the database said
                one.fail(own)
        except Exception as error:
            if self._repeats and len(batch) > 1:
                for one in batch:
                    self._answer([one])
                return
            batch[0].fail(error)
            for one in batch[1:]:  # each has an error of its own: who raises one writes into it
                one.fail(Unavailable())
        else:
            for one, answer in zip(batch, answers, strict=True):
                one.succeed(answer)


class Lines(Generic[Item, Answer]):
    """A gathering for each name, kept as long as somebody stands in it: who waits for one name holds up no other.

    Args: see `Gathering`; what has effects is not repeated.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[Answer]], patience: Callable[[], float]) -> None:
        self._work = work
        self._patience = patience
        self._lock = threading.Lock()
        self._lines: dict[Hashable, tuple[Gathering[Item, Answer], list[int]]] = {}

    def standing(self) -> frozenset[Hashable]:
        """The names for which somebody stands now."""
        with self._lock:
            return frozenset(self._lines)

    def ask(self, name: Hashable, item: Item) -> Answer:
        """The answer to one item, of the line of this name; raises as `Gathering.ask` does."""
        with self._lock:
            if name not in self._lines:
                self._lines[name] = (Gathering(self._work, self._patience, repeats=False), [0])
            line, standing = self._lines[name]
            standing[0] += 1
        try:
            return line.ask(item)
        finally:
            with self._lock:
                standing[0] -= 1
                if not standing[0]:
                    del self._lines[name]


class _Waiting(Generic[Item, Answer]):
    """One item, until it is answered."""

    __slots__ = ("_answer", "_error", "item", "leads", "turn")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.leads = False
        self.turn = threading.Lock()  # held until it is our turn, or there is an answer
        self.turn.acquire()
        self._answer: Answer | None = None
        self._error: Exception | None = None

    def succeed(self, answer: Answer) -> None:
        self._answer = answer
        self.turn.release()

    def fail(self, error: Exception) -> None:
        self._error = error
        self.turn.release()

    def answer(self) -> Answer:
        if self._error is not None:
            raise self._error
        assert self._answer is not None
        return self._answer
