"""Where a history that has no order breaks: the search again, breadth first, with everything that may have been.

When an answer arrives, every configuration is led on by every order of operations under way until the one that was
answered has happened; those in which it cannot have happened so are dropped. When none is left, the answer that
arrived is the one that cannot be explained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.linearizability.acts import Answer, Operation
from tests.linearizability.configurations import (
    MOST_CONFIGURATIONS,
    Configuration,
    Moment,
    Undecided,
    led_on,
    moments,
    with_reads,
)
from tests.linearizability.model import Model, State

Configurations = frozenset[Configuration]


@dataclass(frozen=True)
class Window:
    """A shortest stretch that cannot be ordered.

    `before`: what the customer may have been like when it began, and nothing but lost requests was under way;
    `operations` in the order in which they were asked; `unexplained` is the last of them to be answered; `others`
    are the answers that it could have had.
    """

    before: Configurations
    operations: tuple[Operation, ...]
    unexplained: Operation
    others: frozenset[Answer]


def shortest(model: Model, operations: Sequence[Operation], initial: State) -> Window | None:
    """The window, without the questions that the contradiction does not need; None when there is an order."""
    window = _first(model, operations, frozenset({Configuration(initial)}))
    for one in reversed(window.operations if window else ()):
        if window is not None and one.only_reads:
            # What cannot be ordered without it, cannot with it.
            fewer = [other for other in window.operations if other is not one]
            window = _first(model, fewer, window.before) or window
    return window


def _first(model: Model, operations: Sequence[Operation], before: Configurations) -> Window | None:
    """The first window, from the last moment on at which nothing but lost requests was under way."""
    quiet, since, now = before, -1, before
    for moment in moments(operations):
        orders = _all_orders(model, now, moment)
        number, answered_at = moment.ended.number, moment.ended.completed_at
        assert answered_at is not None
        now = frozenset(replace(one, done=one.done - {number}) for one in orders if number in one.done)
        if not now:
            window = [
                one
                for one in operations
                if one.invoked_at <= answered_at and (one.completed_at is None or one.completed_at > since)
            ]
            return Window(quiet, tuple(window), moment.ended, _others(model, orders, moment.ended))
        if not any(one.is_known for one in moment.under_way if one is not moment.ended):
            quiet, since = now, answered_at
    return None


def _all_orders(model: Model, now: Configurations, moment: Moment) -> set[Configuration]:
    """Every configuration on the way to those in which the operation that was answered has happened."""
    seen = {with_reads(model, one, moment.under_way) for one in now}
    ahead = list(seen)
    while ahead:
        one = ahead.pop()
        if moment.ended.number in one.done:
            continue
        for operation in moment.under_way:
            following = led_on(model, one, operation, moment.under_way)
            if following is not None and following not in seen:
                seen.add(following)
                ahead.append(following)
        if len(seen) > MOST_CONFIGURATIONS:
            raise Undecided(f"it has no order, and the place is not found among {MOST_CONFIGURATIONS} configurations")
    return seen


def _others(model: Model, orders: set[Configuration], unexplained: Operation) -> frozenset[Answer]:
    """What it could have been told."""
    return frozenset(model.step(one.state, unexplained)[1] for one in orders if unexplained.number not in one.done)
