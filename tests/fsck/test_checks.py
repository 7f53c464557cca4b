"""Each check of fsck finds what it is for: the data are broken as the owner, found, and put right by a rollback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg.rows import dict_row

from consent_service.database import Connection
from consent_service.fsck import service, store
from consent_service.fsck.model import BY_SQL, MEANINGS, Report
from consent_service.keyring.service import Keyring
from tests.fsck.breaks import BREAKS
from tests.fsck.world import World, make
from tests.support.api import CATALOGUE, Api
from tests.support.cluster import SECRET, TestDatabase
from tests.support.soundness import expect_sound

NAMES = [f"{number}-{checks.split()[0]}" for number, (checks, _) in enumerate(BREAKS)]
# Seen in what the world itself lacks; tests of their own stand below.
ELSEWHERE = {
    "granted_over_a_cap",
    "granted_against_a_dial",
    "granted_under_a_stop",
    "last_pause_stands_nowhere",
    "migrations_differ",
    "index_does_not_match",
}


@pytest.fixture(scope="module")
def api(module_database: TestDatabase) -> Iterator[Api]:
    made = Api(module_database, CATALOGUE)
    yield made
    made.close()


@pytest.fixture(scope="module")
def world(api: Api) -> World:
    return make(api)


@pytest.fixture
def owner(api: Api) -> Iterator[Connection]:
    """The owner in a transaction that is rolled back, where neither triggers nor foreign keys stand in the way."""
    with Connection.connect(api.made.owner_url, row_factory=dict_row) as conn:
        conn.execute("SET LOCAL session_replication_role = replica")
        yield conn
        conn.rollback()


def looked_at(conn: Connection) -> Report:
    return service.inspect(conn, Keyring(SECRET.encode()), quick=False, progress=lambda _: lambda _: None)


def test_a_world_that_the_service_made_is_sound(api: Api, world: World) -> None:
    report = expect_sound(api.made)
    assert (report.customers, report.not_checked) == (2, {})
    assert set(report.checked) == set(MEANINGS)


def test_every_check_has_a_break_that_it_finds() -> None:
    seen = {check for checks, _ in BREAKS for check in checks.split()}
    assert seen | ELSEWHERE == set(MEANINGS)
    assert set(store.CHECKS) == set(BY_SQL)


@pytest.mark.parametrize(("checks", "statement"), BREAKS, ids=NAMES)
def test_what_is_broken_is_found_and_nothing_else(owner: Connection, world: World, checks: str, statement: str) -> None:
    if "%(eve)s" in statement:  # somebody who has nothing but an event and a key
        owner.execute("DELETE FROM customer_key WHERE customer_id = %(dan)s", world.ids)
        statement = statement.replace("%(eve)s", "%(dan)s")
        for table in ("dial", "contact", "identifier", "identifier_owner"):
            owner.execute(f"DELETE FROM {table} WHERE customer_id = %(dan)s", world.ids)
    values = {**world.ids, "nobody": "00000000-0000-0000-0000-000000000000"}
    for part in statement.split(";"):
        done = owner.execute(part, {name: value for name, value in values.items() if f"%({name})s" in part})
        assert done.rowcount, part
    report = looked_at(owner)
    assert report.findings.keys() == set(checks.split()), list(report.lines())
    assert not report.clean
    for one in report.findings.values():
        assert one.found >= 1
        assert one.ids


def test_a_pause_that_history_set_last_is_there(api: Api, owner: Connection) -> None:
    made = api.customer("email:holiday@example.com")
    body = {"until": "2030-01-01T00:00:00Z", "channel": "email"}
    assert api.call("PUT", f"/v1/customers/{made}/pause", body, role="desk").status_code == 200
    owner.execute("DELETE FROM pause WHERE customer_id = %s", [made])
    assert looked_at(owner).findings.keys() == {"last_pause_stands_nowhere", "pause_differs_from_events"}
