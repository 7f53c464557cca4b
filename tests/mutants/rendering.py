"""Every mutant of the rules' rendering in Python is noticed, or has a reason to live that somebody wrote down.

`tests/support/rules.py` is changed in one place at a time. A mutant is noticed when it answers another thing than the
rendering, which agrees with the SQL (tests/permissions/test_decide_agrees_with_rules.py) on these made-up worlds, or
another thing than a case of tests/permissions/deciding.py expects.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.mutants.python import PythonMutant, python_mutants
from tests.mutants.reasons import reasons
from tests.permissions.deciding import CASES, NOW, USING, Case
from tests.permissions.test_decide_agrees_with_rules import OTHER_PLACES, SEED, as_tuple, homes_of
from tests.support import rules
from tests.support.worlds import World, worlds

WORLDS = int(os.environ.get("CONSENT_TEST_MUTANT_WORLDS", "1500"))
LISTED = Path(__file__).with_name("survivors_rendering.txt")
# A mutant of the walk through the night may walk for ever.
PATIENCE_SECONDS = 2.0
SOMEBODY = UUID(int=2)
ANSWERED = {"reason", "allowed", "level", "next_allowed_at", "remaining"}


class WalksForEver(Exception):
    """The mutant gave no answer."""


@contextmanager
def impatience() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise WalksForEver

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_no_mutant_lives_without_a_reason() -> None:
    source = Path(str(rules.__file__)).read_text(encoding="utf-8")
    alive: dict[PythonMutant, ModuleType] = {}
    for one in python_mutants(source, "rules"):
        try:
            alive[one] = one.module()
        except Exception:  # noqa: S112 - stillborn
            continue
    number, began = len(alive), time.monotonic()

    def hunt(expected: Any, ask: Callable[[ModuleType], Any]) -> None:
        assert ask(rules) == expected
        for one, module in list(alive.items()):
            try:
                with impatience():
                    lives = ask(module) == expected
            except Exception:
                lives = False
            if not lives:
                del alive[one]

    for case in CASES:
        if case.options in ({}, USING) and isinstance(case.expect, dict) and case.prepare is Case.prepare:
            expected = {name: value for name, value in case.expect.items() if name in ANSWERED}
            hunt(expected, lambda module, case=case, expected=expected: of_case(module, case, expected))

    @seed(SEED)
    @settings(
        max_examples=WORLDS, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(world=worlds())
    def of_worlds(world: World) -> None:
        hunt(of_world(rules, world), lambda module: of_world(module, world))

    of_worlds()
    listed, names = reasons(LISTED), {one.name for one in alive}
    with_reason, seconds = len(names & set(listed)), time.monotonic() - began
    print(f"{number} mutants, {number - len(alive)} noticed, {with_reason} live with a reason; {seconds:.0f} s")
    print("\n".join(sorted(names - set(listed))))
    assert names - set(listed) == set(), "live without a reason"
    assert set(listed) - names == set(), "have a reason to live, and do not: take them off the list"


def of_case(module: ModuleType, case: Case, expected: dict[str, Any]) -> dict[str, Any]:
    catalogue = module.Catalogue.from_document(case.catalogue)
    answer = module.decide(
        catalogue,
        case.customer,
        case.channel,
        case.topic,
        case.at or NOW,
        point=case.point,
        count_permits=case.options.get("count_permits", True),
        milestone=case.milestone,
        dialogue=case.used_in,
    )
    return {name: getattr(answer, name) for name in expected}


def of_world(module: ModuleType, world: World) -> list[Any]:
    """Everything that the test of agreement compares."""
    catalogue = module.Catalogue.from_document(world.document)
    others = [(c, t) for c in world.catalogue.channels for t in world.catalogue.topics]
    return [
        as_tuple(
            module.decide(
                catalogue,
                world.customer,
                *place,
                world.instant,
                point=world.point,
                count_permits=count,
                milestone=world.milestone,
                dialogue=home,
            ),
            SOMEBODY,
        )
        for place in [(world.channel, world.topic), *others[:OTHER_PLACES]]
        for count, home in homes_of(world)
    ]
