"""A window that cannot be ordered, as a person reads it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from tests.linearizability.acts import Act, Answer, Decision, Operation
from tests.linearizability.model import State
from tests.linearizability.windows import Window

NANOSECONDS = 1_000_000  # of a millisecond
MOST_SHOWN = 4


def told(window: Window) -> str:
    """What the customer may have been like, who did what when, and which answer nothing explains."""
    start = min(one.invoked_at for one in window.operations)
    states = [_state(one.state) for one in window.before]
    lines = [
        "No order of these operations explains the answers that were seen.",
        f"Before, the customer was {_either(states)}.",
        "       from        to  (milliseconds; an answer that was lost has no end)",
        *(_line(one, start, one is window.unexplained) for one in window.operations),
        f"The answer marked > could have been {_either([_answer(one) for one in window.others])}.",
    ]
    return "\n".join(lines)


def _line(one: Operation, start: int, unexplained: bool) -> str:
    since = f"{(one.invoked_at - start) / NANOSECONDS:10.3f}"
    until = "          " if one.completed_at is None else f"{(one.completed_at - start) / NANOSECONDS:10.3f}"
    answer = "?" if one.answer is None else _answer(one.answer)
    return f"{'>' if unexplained else ' '}{since}{until}  {one.client}: {_act(one.act)} -> {answer}"


def _act(act: Act) -> str:
    said = " ".join(f"{field.name}={getattr(act, field.name)}" for field in fields(act))
    return f"{type(act).__name__} {said}".strip()


def _answer(answer: Answer) -> str:
    parts: list[Any] = [answer.status, answer.code]
    if answer.decision is not None:
        parts.append(_decision(answer.decision))
    if answer.settings is not None:
        parts.append(f"version {answer.settings.version} {answer.settings.dials} {answer.settings.pauses or ''}")
    parts += [answer.state, answer.holdings]
    return " ".join(str(part) for part in parts if part is not None)


def _decision(decision: Decision) -> str:
    over = ", ".join(
        f"{kind} {channel}/{topic}" + (f" {level}" if level else "") + (f" {used} used" if used is not None else "")
        for kind, channel, topic, level, used, _ in decision.governed_by
    )
    return f"{decision.reason}, remaining {decision.remaining} [{over}]"


def _state(state: State) -> str:
    permits = [(permit, one.state, one.place) for permit, one in state.permits if one.state == "open"]
    settings = f"at version {state.version}, dials {state.dials}, pauses {state.pauses}"
    return f"{settings}, ledger {state.ledger}, open permits {permits}"


def _either(ways: Iterable[str]) -> str:
    found = sorted(set(ways))
    rest = len(found) - MOST_SHOWN
    return "\n  or ".join([*found[:MOST_SHOWN], *([f"{rest} others"] if rest > 0 else [])])
