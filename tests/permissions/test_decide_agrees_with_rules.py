"""The SQL and the independent rendering of the rules give the same answer, over made-up worlds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, seed, settings
from psycopg.rows import dict_row

from consent_service.database import Connection
from consent_service.permissions import store
from consent_service.permissions.model import Decision, Question
from tests.support import rules
from tests.support.cluster import TestDatabase
from tests.support.seeding import as_resolved, own_id, put_catalogue, put_customer
from tests.support.worlds import USUAL_SEED, World, worlds

EXAMPLES = int(os.environ.get("CONSENT_TEST_EXAMPLES", "2000"))
OTHER_PLACES = 5
# Printed, so that a failure can be had again; set another to look elsewhere.
SEED = int(os.environ.get("CONSENT_TEST_SEED", USUAL_SEED))


@pytest.fixture(scope="module")
def conn(module_database: TestDatabase) -> Iterator[Connection]:
    with Connection.connect(module_database.owner_url, row_factory=dict_row, prepare_threshold=None) as opened:
        # As the service's own connections have it.
        opened.execute("SET jit = off")
        opened.execute("SET plan_cache_mode = force_generic_plan")
        opened.commit()
        yield opened


def answers(conn: Connection, world: World) -> Iterator[tuple[tuple[object, ...], tuple[object, ...]]]:
    """(the rendering's answer, the SQL's) for the world's question and every other channel and topic, as a check
    and as the use of a permit ask it."""
    put_catalogue(conn, world.document)
    one = put_customer(conn, world.catalogue, world.customer)
    others = [(c, t) for c in world.catalogue.channels for t in world.catalogue.topics]
    places = [(world.channel, world.topic), *others[:OTHER_PLACES]]
    who = as_resolved(world.customer, one, world.point)
    for count_permits, home in homes_of(world):
        decided = store.decide(
            conn,
            [question(world, one, place, home) for place in places],
            [who] * len(places),
            now=world.instant,
            count_permits=count_permits,
        )
        for place, decision in zip(places, decided, strict=True):
            expected = rules.decide(
                world.catalogue,
                world.customer,
                *place,
                world.instant,
                point=world.point,
                count_permits=count_permits,
                milestone=world.milestone,
                dialogue=home,
            )
            yield as_tuple(expected, one), from_sql(decision)


def homes_of(world: World) -> list[tuple[bool, int | None]]:
    """Asked anew, and for a permit that was given in the last dialogue, if there is one."""
    return [(True, None), (False, len(world.customer.dialogues) - 1 if world.customer.dialogues else None)]


def question(world: World, one: UUID | None, place: tuple[str, str], home: int | None) -> Question:
    """What is asked: for the world's milestone, and in the dialogue at place `home`."""
    milestone, dialogue = own_id(one, "milestone", world.milestone), own_id(one, "dialogue", home)
    return Question("", *place, world.instant, milestone, dialogue)


def as_tuple(answer: rules.Answer, one: UUID | None) -> tuple[object, ...]:
    governing = sorted(
        (one.kind, one.channel, one.topic, one.level or "", one.used, one.room) for one in answer.governed_by
    )
    # Milestones stand in a dialogue of their own, which has the customer's id.
    dialogue = one if answer.milestone is not None else own_id(one, "dialogue", answer.dialogue)
    return (
        answer.allowed,
        answer.reason,
        answer.level,
        answer.remaining,
        answer.next_allowed_at,
        dialogue,
        own_id(one, "milestone", answer.milestone),
        governing,
    )


def from_sql(decision: object) -> tuple[object, ...]:
    assert isinstance(decision, Decision), decision
    governing = sorted(
        (one["kind"], one["channel"], one["topic"], one["level"] or "", one["used"], one["room"])
        for one in decision.governed_by
    )
    return (
        decision.allowed,
        decision.reason,
        decision.level,
        decision.remaining,
        decision.next_allowed_at,
        decision.dialogue_id,
        decision.milestone_id,
        governing,
    )


@seed(SEED)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(world=worlds())
def test_sql_and_rules_answer_alike(conn: Connection, world: World) -> None:
    with conn.transaction(force_rollback=True):
        for expected, answered in answers(conn, world):
            assert answered == expected
