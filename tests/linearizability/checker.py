"""Is there one order of a customer's operations that respects real time and explains every answer that was seen?

Searched depth first, along the clock: when an answer arrives, its operation has either had its effect already, or it
has it now, or some others that are under way have theirs before it. An operation whose answer was lost may have its
effect at any time after it was asked, or never. Configurations that were tried are remembered. Nothing is guessed and
nothing is left out: a verdict is a proof, either way.

Sources: J. Wing, C. Gong, Testing and verifying concurrent objects (1993); G. Lowe, Testing for linearizability
(2017): just-in-time linearization, and remembering configurations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tests.linearizability.acts import Operation
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
from tests.linearizability.windows import Window, shortest


def unorderable(model: Model, operations: Iterable[Operation], initial: State) -> Window | None:
    """A shortest window that cannot be ordered; None when there is an order for everything.

    Raises:
        Undecided: there are too many orders.
    """
    # A question that nobody heard the answer of says nothing.
    telling = [one for one in operations if one.is_known or not one.only_reads]
    if _has_order(model, moments(telling), initial):
        return None
    window = shortest(model, telling, initial)
    assert window is not None, "one search finds an order, the other one none"
    return window


def _has_order(model: Model, answered: Sequence[Moment], initial: State) -> bool:
    ahead = [(0, Configuration(initial))]
    tried = set(ahead)
    while ahead:
        place, one = ahead.pop()
        if place == len(answered):
            return True
        following = [found for found in _following(model, answered, place, one) if found not in tried]
        tried.update(following)
        # The first is tried first.
        ahead += reversed(following)
        if len(tried) > MOST_CONFIGURATIONS:
            raise Undecided(f"no verdict after {MOST_CONFIGURATIONS} configurations")
    return False


def _following(
    model: Model, answered: Sequence[Moment], place: int, one: Configuration
) -> Iterator[tuple[int, Configuration]]:
    moment = answered[place]
    one = with_reads(model, one, moment.under_way)
    if moment.ended.number in one.done:
        yield place + 1, Configuration(one.state, one.done - {moment.ended.number})
        return
    for operation in moment.under_way:
        after = led_on(model, one, operation, moment.under_way)
        if after is not None:
            yield place, after
