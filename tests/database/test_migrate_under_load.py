"""A migration of tables in use: traffic goes on, a long reader holds nobody up but the migration."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from consent_service.database import migrate as migrate_module
from consent_service.database.migrate import MigrationError, migrate, pending
from tests.concurrency.crowd import Stage, asked, stage
from tests.support.cluster import Cluster, TestDatabase

ROOT = Path(__file__).parents[2]
CLIENTS = 4
ROUNDS_TO_SEE = 5
# Two tables, half a second each, and a machine that is busy. Without the time limit it is as long as the reader
# reads.
WORST_SECONDS = 2.0
READER_SECONDS = 3.0

# In the order in which a write takes them: the customer's lock, then what is theirs. The other way round the migration
# holds what a write waits for, and waits for what that one holds, each time.
ALTERS = """
SET LOCAL lock_timeout = '500ms';
CREATE TABLE test_note (x integer);
ALTER TABLE customer ADD COLUMN test_note text;
ALTER TABLE dial ADD COLUMN test_note text;
"""


@dataclass
class Traffic:
    """Clients that check, contact and turn dials without end; how long each answer took."""

    stage: Stage
    customers: list[str]
    seconds: list[float] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Traffic:
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._running = [self._pool.submit(self._client, number) for number in range(CLIENTS)]
        self.wait_for_more()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()
        for one in self._running:
            one.result()

    def wait_for_more(self) -> None:
        """Returns when every client has had some answers more."""
        wanted = len(self.seconds) + CLIENTS * ROUNDS_TO_SEE
        deadline = time.monotonic() + 10
        while len(self.seconds) < wanted:
            assert time.monotonic() < deadline, "the traffic stands still"
            time.sleep(0.02)

    def _client(self, number: int) -> None:
        campaign, desk = self.stage.caller(), self.stage.caller("desk")
        customer_id = self.customers[number]
        while not self._stop.is_set():
            for ask in (
                lambda: campaign.post("/v1/permissions/check", asked(customer_id, topic="events")),
                lambda: campaign.post("/v1/contacts", asked(customer_id, topic="events")),
                lambda: desk.turn(customer_id, ("sms", "*", "silent")),
            ):
                begin = time.monotonic()
                ask()
                self.seconds.append(time.monotonic() - begin)


@pytest.fixture
def played(cluster: Cluster) -> Iterator[Traffic]:
    """A running service and clients that wait for their start."""
    with stage(cluster) as made:
        yield Traffic(made, made.customers(CLIENTS, ("*", "events", "everything")))
        assert set(made.statuses) <= {200, 201, 409}


@pytest.fixture
def alters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's migrations and one more, which alters tables in use; pauses are short."""
    shutil.copytree(ROOT / "migrations", tmp_path / "migrations")
    (tmp_path / "migrations" / "9999_test_note.sql").write_text(ALTERS)
    monkeypatch.setattr(migrate_module, "files", lambda _package: tmp_path)
    monkeypatch.setattr(migrate_module, "LONGEST_PAUSE_SECONDS", 1.0)


def reader(url: str) -> psycopg.Connection:
    """Somebody's report: a transaction that has read what the migration wants, and goes on."""
    conn = psycopg.connect(url)
    conn.execute("SELECT (SELECT count(*) FROM dial), (SELECT count(*) FROM customer)")
    return conn


@pytest.mark.usefixtures("alters")
def test_traffic_goes_on_until_the_long_reader_ends_and_then_the_migration_is_done(played: Traffic) -> None:
    told: list[str] = []
    url = played.stage.database.owner_url
    with played, ThreadPoolExecutor(1) as pool, reader(url) as reading:
        begin = time.monotonic()
        migration = pool.submit(migrate, url, tell=told.append)
        while time.monotonic() < begin + READER_SECONDS or len(told) < 2:
            assert not migration.done()
            played.wait_for_more()
        reading.rollback()
        assert migration.result(60) == ["9999_test_note"]
        # Statements that were planned before go on with the new columns there.
        played.wait_for_more()
        assert any(f"process {reading.info.backend_pid} of PostgreSQL" in line for line in told)
    assert max(played.seconds) < WORST_SECONDS


@pytest.mark.usefixtures("alters")
def test_a_reader_that_never_ends_is_named_and_nothing_is_half_done(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate_module, "ATTEMPTS", 3)
    monkeypatch.setattr(migrate_module, "FIRST_PAUSE_SECONDS", 0.05)
    told: list[str] = []
    with reader(database.owner_url) as reading:
        with pytest.raises(MigrationError, match="9999_test_note could not have its tables") as failed:
            migrate(database.owner_url, tell=told.append)
        assert f"process {reading.info.backend_pid} of PostgreSQL" in str(failed.value)
    assert [line.partition("; ")[2] for line in told] == [
        "attempt 1 of 3, the next one in 0.05 s",
        "attempt 2 of 3, the next one in 0.1 s",
    ]
    assert pending(database.owner_url) == ["9999_test_note"]
    with database.owner() as conn:
        assert conn.execute("SELECT FROM pg_attribute WHERE attname = 'test_note'").fetchall() == []
