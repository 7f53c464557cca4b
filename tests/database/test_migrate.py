"""Migrations: all or nothing, once, whatever dies and however many start at once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from consent_service.database import migrate as migrate_module
from consent_service.database.migrate import MigrationError, migrate, pending
from tests.support.cluster import DEBIAN_15, Cluster, TestDatabase, clean_environment, cluster

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "migrations").glob("*.sql"))


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[TestDatabase]:
    made = cluster.empty()
    yield made
    cluster.drop(made)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of migrations of the test's own, in place of the service's."""
    (tmp_path / "migrations").mkdir()
    monkeypatch.setattr(migrate_module, "files", lambda _package: tmp_path)
    return tmp_path / "migrations"


def tables(database: TestDatabase) -> set[str]:
    with database.owner() as conn:
        rows = conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {str(row[0]) for row in rows if "yoyo" not in row[0]}


def test_an_empty_database_gets_every_migration_in_order(empty: TestDatabase) -> None:
    assert pending(empty.owner_url) == NAMES
    assert migrate(empty.owner_url, empty.service_url) == NAMES
    assert pending(empty.owner_url) == []
    assert {"customer", "dial", "event", "contact"} <= tables(empty)


def test_a_second_run_does_nothing(empty: TestDatabase, capfd: pytest.CaptureFixture[str]) -> None:
    migrate(empty.owner_url)
    assert migrate(empty.owner_url) == []
    assert capfd.readouterr() == ("", "")


def test_several_at_once_all_end_well(empty: TestDatabase) -> None:
    done: list[list[str]] = []
    gate = threading.Barrier(4)

    def start() -> None:
        gate.wait()
        done.append(migrate(empty.owner_url, empty.service_url))

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [[], [], [], NAMES]


def test_two_databases_of_one_server_at_once(cluster: Cluster) -> None:
    databases = [cluster.empty(), cluster.empty()]
    done: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda url=database.owner_url: done.append(migrate(url))) for database in databases
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [NAMES, NAMES]
    for database in databases:
        cluster.drop(database)


def test_a_failing_migration_leaves_nothing_of_itself(empty: TestDatabase, files: Path) -> None:
    (files / "0001_good.sql").write_text("CREATE TABLE good (x integer);")
    (files / "0002_bad.sql").write_text("CREATE TABLE half (x integer);\nSELECT nonsense;\n")
    (files / "0003_never.sql").write_text("CREATE TABLE never (x integer);")
    with pytest.raises(MigrationError, match="0002_bad") as failed:
        migrate(empty.owner_url)
    assert "\n" not in str(failed.value)
    assert tables(empty) == {"good"}
    assert pending(empty.owner_url) == ["0002_bad", "0003_never"]


def test_bodies_with_dollar_quotes_and_percent_signs_arrive_whole(empty: TestDatabase, files: Path) -> None:
    (files / "0001_function.sql").write_text(
        """-- A comment; with a semicolon.
        CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$
        DECLARE answer text;
        BEGIN
          IF true THEN answer := format('%s;%%', ':x'); END IF;
          RETURN answer;
        END
        $$;
        SELECT f();
        """
    )
    migrate(empty.owner_url)
    with empty.owner() as conn:
        assert conn.execute("SELECT f()").fetchone() == (":x;%",)


def test_a_file_may_ask_to_run_outside_a_transaction(empty: TestDatabase, files: Path) -> None:
    (files / "0001_table.sql").write_text("CREATE TABLE t (x integer);")
    (files / "0002_index.sql").write_text("-- transactional: false\nCREATE INDEX CONCURRENTLY t_x ON t (x);")
    assert migrate(empty.owner_url) == ["0001_table", "0002_index"]


INDEX = """-- transactional: false
SET lock_timeout = '5s';
DROP INDEX CONCURRENTLY IF EXISTS t_x;
CREATE UNIQUE INDEX CONCURRENTLY t_x ON t (x);
"""


def indexes(database: TestDatabase) -> list[tuple[str, bool]]:
    with database.owner() as conn:
        return conn.execute(
            "SELECT c.relname::text, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
            " WHERE i.indrelid = 't'::regclass"
        ).fetchall()


def test_an_index_that_failed_in_the_middle_is_made_anew_by_the_next_run(empty: TestDatabase, files: Path) -> None:
    (files / "0001_table.sql").write_text("CREATE TABLE t (x integer);\nINSERT INTO t VALUES (1), (1);")
    (files / "0002_index.sql").write_text(INDEX)
    with pytest.raises(MigrationError, match="0002_index"):
        migrate(empty.owner_url)
    assert indexes(empty) == [("t_x", False)]
    assert pending(empty.owner_url) == ["0002_index"]
    with empty.owner() as conn:
        conn.execute("DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t)")
    assert migrate(empty.owner_url) == ["0002_index"]
    assert indexes(empty) == [("t_x", True)]


def test_an_index_made_while_others_wait_their_turn_is_made(
    empty: TestDatabase, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement that waits for the lock would be waited for by the index in turn."""
    monkeypatch.setattr(migrate_module, "ATTEMPTS", 1)
    (files / "0001_table.sql").write_text("CREATE TABLE t (x integer);")
    (files / "0002_index.sql").write_text(INDEX.replace("DROP INDEX", "SELECT pg_sleep(0.5);\nDROP INDEX"))
    done: list[list[str]] = []
    threads = [threading.Thread(target=lambda: done.append(migrate(empty.owner_url))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [[], [], ["0001_table", "0002_index"]]


def test_a_file_has_the_short_wait_whatever_the_one_before_it_set(empty: TestDatabase, files: Path) -> None:
    (files / "0001_index.sql").write_text("-- transactional: false\nSET lock_timeout = '60s';\nSELECT 1;")
    (files / "0002_table.sql").write_text("CREATE TABLE waits AS SELECT current_setting('lock_timeout') AS for_tables;")
    migrate(empty.owner_url)
    with empty.owner() as conn:
        assert conn.execute("SELECT for_tables FROM waits").fetchone() == ("500ms",)


@pytest.mark.parametrize("name", NAMES)
def test_every_migration_says_how_long_it_waits_for_its_tables(name: str) -> None:
    """Before anything else; a file in a transaction at most two seconds, and those that landed are as they are."""
    text = (ROOT / "migrations" / f"{name}.sql").read_text(encoding="utf-8")
    first = next(line for line in text.splitlines() if line and not line.startswith("--"))
    if re.search(r"^-- transactional: false$", text, re.MULTILINE):
        assert re.fullmatch(r"SET lock_timeout = '(\d\d?)s';", first)
    else:
        assert re.fullmatch(r"SET LOCAL lock_timeout = '([12]s|\d00ms)';", first)


def test_killed_in_the_middle_the_next_one_goes_on(empty: TestDatabase, tmp_path: Path, files: Path) -> None:
    (files / "0001_first.sql").write_text("CREATE TABLE first (x integer);")
    slow = files / "0002_slow.sql"
    slow.write_text("CREATE TABLE slow (x integer);\nSELECT pg_sleep(60);")
    program = (
        "import sys; from pathlib import Path; from consent_service.database import migrate as m;"
        " m.files = lambda _: Path(sys.argv[1]); m.migrate(sys.argv[2])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), empty.owner_url],
        env=clean_environment() | {"PYTHONPATH": str(ROOT)},
    )
    sleeper = "FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
    with empty.owner() as conn:
        deadline = time.monotonic() + 30
        while conn.execute(f"SELECT {sleeper}").fetchone() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        # A sleeping backend does not see that its client is gone; an operator would end it the same way.
        conn.execute(f"SELECT pg_terminate_backend(pid) {sleeper}")
        # And the row of yoyo's own lock, as a process leaves it that dies in its first steps.
        conn.execute("INSERT INTO yoyo_lock (locked, pid) VALUES (1, 1)")
    slow.write_text("CREATE TABLE slow (x integer);")
    assert migrate(empty.owner_url) == ["0002_slow"]
    assert tables(empty) == {"first", "slow"}


def test_one_waits_for_the_other_but_not_for_ever(empty: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate_module, "LOCK_WAIT_SECONDS", 1)
    with migrate_module._lock(empty.owner_url), pytest.raises(MigrationError, match="another migration"):
        migrate(empty.owner_url)


def test_no_connection_is_one_line_without_the_password(tmp_path: Path) -> None:
    url = make_conninfo(host=str(tmp_path), user="ann", password="hidden-word", dbname="d")
    for call in (migrate, pending):
        with pytest.raises(MigrationError) as failed:
            call(url)
        assert "\n" not in str(failed.value)
        assert "hidden-word" not in str(failed.value)


@pytest.fixture(scope="module", params=["wheel", "debian15"])
def other_server(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A server of its own, as roles are the whole server's."""
    if request.param == "debian15" and not (DEBIAN_15 / "postgres").exists():
        pytest.skip(f"no PostgreSQL in {DEBIAN_15}")
    with cluster(DEBIAN_15 if request.param == "debian15" else None) as running:
        with running.admin() as conn:
            conn.execute("DROP DATABASE template_migrated")
        yield running


@pytest.fixture
def server(other_server: Cluster) -> Cluster:
    """That server, without the service's role."""
    with other_server.admin() as conn:
        for (name,) in conn.execute("SELECT datname FROM pg_database WHERE datname LIKE 'test%'").fetchall():
            conn.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
        conn.execute("DROP ROLE IF EXISTS consent_service")
    return other_server


def of(server: Cluster, database: TestDatabase, user: str) -> str:
    return make_conninfo(**(conninfo_to_dict(database.owner_url) | {"user": user}))


def may_read(url: str) -> bool:
    """What the service does first on each connection: act as its role, and read."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("SET ROLE consent_service")
        return conn.execute("SELECT count(*) FROM event").fetchone() == (0,)


def test_logins_of_a_real_deployment(server: Cluster) -> None:
    database = server.empty()
    with server.admin() as conn:
        conn.execute("CREATE ROLE owner_login LOGIN CREATEROLE")
        conn.execute("CREATE ROLE app_login LOGIN")
        conn.execute(sql.SQL("ALTER DATABASE {} OWNER TO owner_login").format(sql.Identifier(database.name)))
    owner, app = of(server, database, "owner_login"), of(server, database, "app_login")
    assert migrate(owner, app) == NAMES
    assert may_read(app)
    assert migrate(owner, app) == []
    with psycopg.connect(app, autocommit=True) as conn:
        for statement in (
            "DELETE FROM event",
            "DROP TABLE event",
            "TRUNCATE event",
            "CREATE TABLE mine (x int)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(sql.SQL(statement))


def test_one_login_for_everything(server: Cluster) -> None:
    database = server.empty()
    with server.admin() as conn:
        conn.execute("CREATE ROLE only_login LOGIN CREATEROLE")
        conn.execute(sql.SQL("ALTER DATABASE {} OWNER TO only_login").format(sql.Identifier(database.name)))
    url = of(server, database, "only_login")
    assert migrate(url) == NAMES
    assert may_read(url)


def test_a_login_that_may_not_make_roles_is_told_what_to_do(server: Cluster) -> None:
    database = server.empty()
    with server.admin() as conn:
        conn.execute("CREATE ROLE plain_owner LOGIN")
        conn.execute("CREATE ROLE plain_app LOGIN")
        conn.execute(sql.SQL("ALTER DATABASE {} OWNER TO plain_owner").format(sql.Identifier(database.name)))
    owner, app = of(server, database, "plain_owner"), of(server, database, "plain_app")
    with pytest.raises(MigrationError, match="role"):
        migrate(owner, app)
    with server.admin() as conn:
        conn.execute("CREATE ROLE consent_service")
    with pytest.raises(MigrationError, match=re.escape('GRANT consent_service TO "plain_app"')):
        migrate(owner, app)
    with server.admin() as conn:
        conn.execute("GRANT consent_service TO plain_app")
    assert migrate(owner, app) == []
    assert may_read(app)
