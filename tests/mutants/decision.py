"""Every mutant of the decision's SQL is noticed, or has a reason to live that somebody wrote down.

`decide.sql` and `quiet_until` are changed in one place at a time. Each mutant is asked about made-up worlds, as the
test of agreement asks the statement itself (tests/permissions/test_decide_agrees_with_rules.py), and about the cases of
tests/permissions/deciding.py, until it answers one question wrongly. `survivors.txt` holds those that may live.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from psycopg.rows import dict_row

from consent_service.database import Connection, Statement
from consent_service.permissions import store
from tests.mutants.reasons import reasons
from tests.mutants.sql import Mutant, mutants
from tests.permissions.deciding import CASES, expect
from tests.permissions.test_decide_agrees_with_rules import (
    OTHER_PLACES,
    SEED,
    as_tuple,
    from_sql,
    homes_of,
    question,
)
from tests.support import rules
from tests.support.cluster import TestDatabase
from tests.support.seeding import as_resolved, put_catalogue, put_customer
from tests.support.worlds import World, worlds

WORLDS = int(os.environ.get("CONSENT_TEST_MUTANT_WORLDS", "1500"))
MIGRATION = Path(__file__).parents[2] / "migrations" / "0001_catalogue.sql"
LISTED = Path(__file__).with_name("survivors.txt")
# A mutant of the walk through the night may walk for ever.
PATIENCE = "2s"


def walk() -> str:
    """The text of quiet_until."""
    found = re.search(r"^CREATE FUNCTION quiet_until.*?^\$\$;$", MIGRATION.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[0]


@pytest.fixture(scope="module")
def conn(module_database: TestDatabase) -> Iterator[Connection]:
    with Connection.connect(module_database.owner_url, row_factory=dict_row, prepare_threshold=None) as opened:
        opened.execute("SET jit = off")
        opened.execute("SET plan_cache_mode = force_generic_plan")
        opened.execute(f"SET statement_timeout = '{PATIENCE}'".encode())
        opened.commit()
        yield opened


def born(conn: Connection) -> dict[Mutant, Statement]:
    """The mutants that the database accepts, with the statement to ask each with."""
    asked = {one: one.text for one in mutants(str(store.DECIDE), "decide")}
    for number, one in enumerate(mutants(walk(), "quiet_until")):
        name = f"quiet_until_{number}"
        try:
            with conn.transaction():
                conn.execute(one.text.replace("quiet_until", name, 1).encode())
        except psycopg.Error:
            continue
        asked[one] = str(store.DECIDE).replace("quiet_until(", f"{name}(")
    found = {}
    for one, text in asked.items():
        statement = Statement(text)
        try:
            with conn.transaction():
                conn.run(statement, dict.fromkeys(statement._names))
        except psycopg.Error:
            continue
        found[one] = statement
    return found


def test_no_mutant_lives_without_a_reason(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = born(conn)
    number, began = len(alive), time.monotonic()
    kept = store.DECIDE

    def is_noticed(statement: Statement, ask: Callable[[], bool]) -> bool:
        monkeypatch.setattr(store, "DECIDE", statement)
        try:
            with conn.transaction():
                return not ask()
        except (psycopg.Error, ArithmeticError, TypeError, ValueError, AssertionError, KeyError):
            return True
        finally:
            monkeypatch.setattr(store, "DECIDE", kept)

    for case in CASES:
        with conn.transaction(force_rollback=True):
            ask = expect(conn, case)
            assert not is_noticed(kept, ask), case
            for one in [one for one, statement in alive.items() if is_noticed(statement, ask)]:
                del alive[one]

    @seed(SEED)
    @settings(
        max_examples=WORLDS, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(world=worlds())
    def hunt(world: World) -> None:
        with conn.transaction(force_rollback=True):
            ask = answers_of(conn, world)
            for one in [one for one, statement in alive.items() if is_noticed(statement, ask)]:
                del alive[one]

    hunt()
    listed = reasons(LISTED)
    names = {one.name for one in alive}
    with_reason = len(names & set(listed))
    seconds = time.monotonic() - began
    print(f"{number} mutants, {number - len(alive)} noticed, {with_reason} live with a reason; {seconds:.0f} s")
    print("\n".join(sorted(names - set(listed))))
    assert names - set(listed) == set(), "live without a reason"
    assert set(listed) - names == set(), "have a reason to live, and do not: take them off the list"


def answers_of(conn: Connection, world: World) -> Callable[[], bool]:
    """Puts the world into the tables; a function that says whether all is answered as the rules do."""
    put_catalogue(conn, world.document)
    one = put_customer(conn, world.catalogue, world.customer)
    who = as_resolved(world.customer, one, world.point)
    others = [(c, t) for c in world.catalogue.channels for t in world.catalogue.topics]
    places = [(world.channel, world.topic), *others[:OTHER_PLACES]]
    homes = homes_of(world)
    expected = {
        count: [
            as_tuple(
                rules.decide(
                    world.catalogue,
                    world.customer,
                    *place,
                    world.instant,
                    point=world.point,
                    count_permits=count,
                    milestone=world.milestone,
                    dialogue=home,
                ),
                one,
            )
            for place in places
        ]
        for count, home in homes
    }

    questions = {count: [question(world, one, place, home) for place in places] for count, home in homes}

    def holds() -> bool:
        return all(
            [
                from_sql(one)
                for one in store.decide(
                    conn, questions[count], [who] * len(places), now=world.instant, count_permits=count
                )
            ]
            == expected[count]
            for count, _ in homes
        )

    return holds
