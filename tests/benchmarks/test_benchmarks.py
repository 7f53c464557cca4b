"""The benchmark itself, once and tiny, so that it cannot rot: seeds that the service can read, every part, the page."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from benchmarks import life
from benchmarks.__main__ import main
from benchmarks.insight import INSIGHTS
from benchmarks.page import BEGIN, END
from benchmarks.parts import PARTS
from benchmarks.table import BARS
from benchmarks.world import World, world
from consent_service.customers import profile
from consent_service.customers.service import resolve_many
from consent_service.database import Database
from consent_service.history import service as history
from consent_service.keyring.service import Keyring
from consent_service.permissions.model import Decision, Question
from consent_service.permissions.service import decide_many
from tests.support.cluster import Cluster

CUSTOMERS, SMALLER = 300, 200
NOW = datetime(2026, 1, 1, tzinfo=UTC)
OBJECTS = """
SELECT conrelid::regclass::text || ' ' || conname || ' ' || pg_get_constraintdef(oid) || ' ' || convalidated
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the seeds are kept from test to test."""
    return tmp_path_factory.mktemp("worlds")


@pytest.fixture
def seeded(folder: Path) -> Iterator[World]:
    with world(folder / str(CUSTOMERS), customers=CUSTOMERS, seed=1) as one:
        yield one


def test_a_seeded_world_is_one_that_the_service_would_have_made(seeded: World) -> None:
    database, keyring = Database(seeded.database.service_url, seeded.settings), Keyring(seeded.secret)
    made = {number: life.person(rng, number, NOW) for rng in [random.Random("1 0")] for number in range(CUSTOMERS)}
    active = [one for one in made.values() if one.state == "active"]
    with database.reading() as conn:
        found = resolve_many(conn, keyring, [f"email:{life.email(one.number)}" for one in active])
        assert [who.customer_id for who in found] == [one.customer_id for one in active]
        one = next(one for one in active if len(one.identifiers) > 1 and one.contacts)
        shown = profile.find(conn, keyring, one.customer_id)
        assert shown is not None
        assert shown["identifiers"] == sorted(f"{kind}:{value}" for kind, value in one.identifiers)
        # Opening an event proves that its content is what the frame commits to.
        events = history.page(conn, keyring, [one.customer_id], most=200)
        assert {event["type"] for event in events} >= {"customer.created", "contact.recorded"}
        questions = [Question(f"email:{life.email(one.number)}", "email", "offers/wine") for one in made.values()]
        reasons = {d.reason for d in decide_many(conn, keyring, questions) if isinstance(d, Decision)}
        assert reasons >= {"allowed", "no_consent", "silent", "volume_reached", "paused"}
    database.close()


def test_a_seeded_world_has_every_key_and_index_of_the_migrations(seeded: World, cluster: Cluster) -> None:
    made = cluster.migrated()
    with psycopg.connect(seeded.server.owner_url) as one, made.owner() as other:
        assert sorted(one.execute(OBJECTS).fetchall()) == sorted(other.execute(OBJECTS).fetchall())
    cluster.drop(made)


def test_another_seed_in_a_kept_folder_is_refused(folder: Path, seeded: World) -> None:
    kept = folder / str(seeded.customers)
    with pytest.raises(ValueError, match="other seeds"), world(kept, customers=CUSTOMERS, seed=2):
        pass


def test_every_part_runs_and_is_written_to_the_page(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"# By hand\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    sizes = ["--customers", str(CUSTOMERS), "--smaller", str(SMALLER), "--workers", "1", "--rounds", "1"]
    ran = CliRunner().invoke(
        main,
        [*sizes, "--seconds", "0.2", "--requests", "4", "--data-dir", str(folder), "--write", str(page)],
        catch_exceptions=False,
    )
    assert ran.exit_code == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# By hand\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    for said in (ran.output, text):
        assert "ERRORS" not in said
        assert "not found any more" not in said
        assert "READS ALL OF" not in said
        for bar in BARS:
            assert bar.text in said
        assert f"p95 at {CUSTOMERS:,} of that at {SMALLER:,}" in said
    assert text.count("### ") == 4


def test_parts_can_be_chosen() -> None:
    ran = CliRunner().invoke(main, ["--only", "check,nothing"])
    assert ran.exit_code == 2
    assert "no such part: nothing" in ran.output
    assert not PARTS.keys() & INSIGHTS.keys()
