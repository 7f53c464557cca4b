"""What a customer may be like at one moment, and where one more operation leads: the steps of every search."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tests.linearizability.acts import Operation
from tests.linearizability.model import Model, State

# Beyond it nothing is proven: watch fewer clients at a time, or lose fewer answers.
MOST_CONFIGURATIONS = 500_000


@dataclass(frozen=True)
class Configuration:
    """A state, and the numbers of those operations under way that led to it."""

    state: State
    done: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Moment:
    """An answer arrived: whose, and what was under way until then, those first that were answered first."""

    ended: Operation
    under_way: tuple[Operation, ...]


class Undecided(Exception):
    """There are too many orders to look at."""


def moments(operations: Iterable[Operation]) -> list[Moment]:
    """The answers in the order in which they arrived. What begins and ends in one instant is under way together."""
    asked = [(one.invoked_at, 0, one) for one in operations]
    answered = [(one.completed_at, 1, one) for _, _, one in asked if one.completed_at is not None]
    found, under_way = [], dict[int, Operation]()
    for _, ends, one in sorted([*asked, *answered], key=lambda event: event[:2]):
        if ends:
            found.append(Moment(one, tuple(sorted(under_way.values(), key=_answered_first))))
            del under_way[one.number]
        else:
            under_way[one.number] = one
    return found


def _answered_first(one: Operation) -> tuple[bool, int]:
    return (one.completed_at is None, one.completed_at or one.invoked_at)


def led_on(
    model: Model, one: Configuration, operation: Operation, under_way: Sequence[Operation]
) -> Configuration | None:
    """The configuration after one more operation; None when its answer would have been another."""
    if operation.number in one.done:
        return None
    state, answer = model.step(one.state, operation)
    if operation.is_known and answer != operation.answer:
        return None
    if not operation.is_known and state == one.state:
        return None  # as if it had never happened
    return with_reads(model, Configuration(state, one.done | {operation.number}), under_way)


def with_reads(model: Model, one: Configuration, under_way: Sequence[Operation]) -> Configuration:
    """With all that reads and fits here done: it changes nothing, so to have it behind us rules out no order."""
    fits = [
        operation.number
        for operation in under_way
        if operation.is_known
        and operation.only_reads
        and operation.number not in one.done
        and model.step(one.state, operation)[1] == operation.answer
    ]
    return replace(one, done=one.done.union(fits)) if fits else one
