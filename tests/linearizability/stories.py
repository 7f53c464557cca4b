"""Hand-made histories: operations that a made-up customer went through one after the other, at times of our choice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from tests.linearizability.acts import Act, Answer, Operation, Place
from tests.linearizability.model import Model, State
from tests.support.api import CATALOGUE

MODEL = Model(CATALOGUE)
WINE: Place = ("email", "offers/wine")
OPEN = State(version=1, dials=((("*", "offers"), "everything"),))
WEEKLY = State(version=1, dials=((("*", "offers"), "weekly"),))  # one in seven days
BUSY = State(version=1, dials=((("*", "offers"), "busy"),))  # five


@dataclass
class Story:
    """Acts have their effect in the order in which they are told here; `since` and `until` are what clients saw."""

    state: State
    operations: list[Operation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.before = self.state

    def does(self, act: Act, since: int, until: int, **changed: Any) -> Answer:
        """It happens, and is answered as it must be, but for what was changed."""
        one = self._asked(act, since)
        one = replace(one, completed_at=until, made=f"id {one.number}")
        self.state, answer = MODEL.step(self.state, one)
        self.operations.append(replace(one, answer=answer, **changed))
        return answer

    def is_told(self, act: Act, since: int, until: int, answer: Answer, **changed: Any) -> None:
        """It is answered so, whatever happened."""
        self.operations.append(replace(self._asked(act, since), completed_at=until, answer=answer, **changed))

    def does_unseen(self, act: Act, since: int) -> None:
        """It happens, and nobody reads the answer."""
        self.state, _ = MODEL.step(self.state, self.asks_in_vain(act, since))

    def asks_in_vain(self, act: Act, since: int) -> Operation:
        """It never happens, and nobody knows."""
        self.operations.append(self._asked(act, since))
        return self.operations[-1]

    def _asked(self, act: Act, since: int) -> Operation:
        number = len(self.operations) + 1
        return Operation(number, f"client {number}", act, since, None, None, f"?{number}")


def would_be_told(state: State, act: Act) -> Answer:
    """The answer in another state."""
    return MODEL.step(state, Operation(0, "", act, 0, None, None, "?0"))[1]
