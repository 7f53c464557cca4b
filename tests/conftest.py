"""Fixtures of every test: a server a session, a database a test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster import DEBIAN_15, Cluster, TestDatabase, cluster
from tests.support.routes import remember_rules
from tests.support.worlds import USUAL_SEED

if TYPE_CHECKING:
    from tests.support.api import Api


remember_rules()

# The files that take longest, the longest first. They are begun first, so that in the end no worker has a long one left
# while the others have nothing to do.
LONGEST = (
    "tests/test_serve.py",
    "tests/faults/test_fault_points.py",
    "tests/outages/test_outages.py",
    "tests/browser/test_me.py",
    "tests/commands/test_replay.py",
    "tests/backups/test_commands.py",
    "tests/backups/test_drill.py",
    "tests/browser/test_desk.py",
    "tests/test_cli.py",
    "tests/benchmarks/test_benchmarks.py",
    "tests/browser/test_pages.py",
    "tests/faults/test_page_faults.py",
    "tests/privacy/test_nothing_of_a_person.py",
    "tests/permissions/test_decide_agrees_with_rules.py",
    "tests/permissions/test_rules_rendering.py",
    "tests/browser/test_frame.py",
    "tests/service_desk/test_acting_for_a_customer.py",
    "tests/service_desk/test_signing_in.py",
    "tests/history/test_pages.py",
    "tests/faults/test_full_disk.py",
    "tests/web/test_slow_clients.py",
    "tests/web/test_workers.py",
    "tests/faults/test_gathered_faults.py",
    "tests/dials/test_desk.py",
    "tests/browser/test_parts.py",
    "tests/database/test_migrate.py",
    "tests/web/test_enumeration.py",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In the order in which they are to be begun; in a file nothing changes."""
    gone = [name for name in LONGEST if not (config.rootpath / name).exists()]
    if gone:
        raise pytest.UsageError(f"LONGEST in tests/conftest.py names files that there are not: {', '.join(gone)}")
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.nodeid.partition("::")[0], len(ranks)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What a failure of the made-up worlds needs to be had again."""
    terminalreporter.write_line(f"CONSENT_TEST_SEED={os.environ.get('CONSENT_TEST_SEED', USUAL_SEED)}")


@pytest.fixture(scope="session", name="cluster")
def cluster_of_session() -> Iterator[Cluster]:
    """The embedded PostgreSQL of the wheel, with a migrated template."""
    with cluster() as running:
        yield running


@pytest.fixture(scope="session")
def cluster15() -> Iterator[Cluster]:
    """PostgreSQL 15, the oldest that is promised, where the system has it."""
    if not (DEBIAN_15 / "postgres").exists():
        pytest.skip(f"no PostgreSQL 15 in {DEBIAN_15}")
    with cluster(DEBIAN_15) as running:
        yield running


@pytest.fixture
def database(cluster: Cluster) -> Iterator[TestDatabase]:
    """A migrated, empty database for this test alone."""
    made = cluster.migrated()
    yield made
    cluster.drop(made)


@pytest.fixture
def database15(cluster15: Cluster) -> Iterator[TestDatabase]:
    """The same on PostgreSQL 15."""
    made = cluster15.migrated()
    yield made
    cluster15.drop(made)


@pytest.fixture(scope="module")
def module_database(cluster: Cluster) -> Iterator[TestDatabase]:
    """A migrated database that the tests of one module share."""
    made = cluster.migrated()
    yield made
    cluster.drop(made)


@pytest.fixture(params=["cluster", "cluster15"])
def any_database(request: pytest.FixtureRequest) -> Iterator[TestDatabase]:
    """A migrated database on each PostgreSQL there is: the wheel's and version 15."""
    server: Cluster = request.getfixturevalue(request.param)
    made = server.migrated()
    yield made
    server.drop(made)


@pytest.fixture
def api(database: TestDatabase) -> Iterator[Api]:
    """The application with the tests' catalogue on a database of its own."""
    from tests.support.api import CATALOGUE, Api

    made = Api(database, CATALOGUE)
    yield made
    made.close()
