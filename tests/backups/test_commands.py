"""`backup` and `restore`: what they refuse leaves everything as it was, and says so in one line."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest

from consent_service.backups import service
from consent_service.backups.archive import Facts, new_file, read_facts, seal
from consent_service.backups.store import DRAFT, REPLACED
from consent_service.cli import run
from consent_service.database import opening
from consent_service.database.embedded import EmbeddedServer, Sizing
from consent_service.settings import secret_file
from tests.commands.conftest import Done, without_settings
from tests.support.api import CATALOGUE, Api
from tests.support.cluster import PREVIOUS_SECRET, SECRET, Cluster, TestDatabase

ALL = psycopg.sql.SQL("SELECT datname FROM pg_database WHERE datname LIKE 'consent%' ORDER BY 1")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="consent-backup-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here survives the machine: embedded servers need not wait for the disk."""
    monkeypatch.setattr(opening, "Sizing", partial(Sizing, durable=False))


class Program:
    """The program with an environment of its own, in this process."""

    def __init__(self, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch = patch
        self._capsys = capsys

    def on(self, data_dir: Path, secret: str | None = SECRET) -> None:
        without_settings(self._patch)
        self._patch.setenv("CONSENT_DATA_DIR", str(data_dir))
        if secret is not None:
            self._patch.setenv("CONSENT_SECRET_KEY", secret)

    def on_database(self, database: TestDatabase) -> None:
        without_settings(self._patch)
        self._patch.setenv("DATABASE_URL", database.service_url)
        self._patch.setenv("CONSENT_MIGRATION_URL", database.owner_url)

    def __call__(self, *arguments: object) -> Done:
        self._capsys.readouterr()
        code = run([str(one) for one in arguments])
        printed = self._capsys.readouterr()
        return Done(code, printed.out, printed.err)

    def refuses(self, *arguments: object) -> str:
        done = self(*arguments)
        assert done.code == 1, done
        assert len(done.err.splitlines()) == 1
        assert not done.out
        return done.err


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(monkeypatch, capsys)


@pytest.fixture
def file(api: Api, program: Program, tmp_path: Path) -> Path:
    """A backup of a database of DATABASE_URL in which Ben is known; no secret was needed for it."""
    api.customer("email:ben@example.com")
    program.on_database(api.made)
    path = tmp_path / "night.backup"
    done = program("backup", path)
    assert done.code == 0, done
    assert done.out.splitlines()[-1].startswith("The root secret is not inside")
    return path


@pytest.fixture
def used(folder: Path, program: Program) -> Path:
    """A data directory in which there is a key already."""
    program.on(folder / "used")
    if "mine" not in program("keys", "list").out:
        assert program("keys", "create", "--role", "admin", "--name", "mine").code == 0
    return folder / "used"


def test_a_backup_is_not_overwritten_by_chance(file: Path, program: Program) -> None:
    first = file.read_bytes()
    assert "--force" in program.refuses("backup", file)
    assert file.read_bytes() == first
    assert program("backup", file, "--force").code == 0
    assert read_facts(file).schema


def test_a_dump_that_fails_leaves_no_file(api: Api, program: Program, tmp_path: Path) -> None:
    program.on_database(api.made)
    with api.made.owner() as conn, pytest.MonkeyPatch.context() as patch:
        patch.setattr("consent_service.backups.store.DUMP_LOCK_WAIT", "100ms")
        with conn.transaction():
            conn.execute("LOCK TABLE dial IN ACCESS EXCLUSIVE MODE")
            assert "pg_dump failed" in program.refuses("backup", tmp_path / "one.backup")
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_back_up_is_said(cluster: Cluster, program: Program, tmp_path: Path) -> None:
    program.on(tmp_path / "none")
    assert "nothing to back up" in program.refuses("backup", tmp_path / "one.backup")
    empty = cluster.empty()
    program.on_database(empty)
    assert "nothing to back up" in program.refuses("backup", tmp_path / "one.backup")
    cluster.drop(empty)
    assert list(tmp_path.iterdir()) == []


def test_data_is_replaced_only_on_demand_and_then_wholly(file: Path, program: Program, used: Path) -> None:
    assert "--replace" in program.refuses("restore", file)
    assert "mine" in program("keys", "list").out
    assert program("restore", file, "--replace").code == 0
    listed = program("keys", "list").out
    assert "mine" not in listed
    assert "desk key" in listed
    with EmbeddedServer(used).running() as server, psycopg.connect(server.url("consent", "postgres")) as conn:
        assert conn.execute(ALL).fetchall() == [("consent",)]


def test_another_secret_opens_nothing_and_nothing_is_changed(file: Path, program: Program, used: Path) -> None:
    before = program("keys", "list").out
    program.on(used, secret=PREVIOUS_SECRET)
    assert "the secret does not open this backup" in program.refuses("restore", file, "--replace")
    program.on(used)
    assert program("keys", "list").out == before


def test_without_a_secret_none_is_made_up(file: Path, program: Program, tmp_path: Path) -> None:
    program.on(tmp_path / "data", secret=None)
    said = program.refuses("restore", file)
    assert str(secret_file(tmp_path / "data")) in said
    assert not (tmp_path / "data").exists()


def test_a_damaged_file_is_refused_before_anything_is_made(file: Path, program: Program, tmp_path: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[:9000] + b"!" + whole[9001:])
    program.on(tmp_path / "data")
    assert "damaged" in program.refuses("restore", file)
    assert not (tmp_path / "data" / "lock").exists()


def test_a_schema_that_this_version_does_not_know_is_refused(file: Path, program: Program, tmp_path: Path) -> None:
    newer = tmp_path / "newer.backup"
    with new_file(newer, overwrite=False) as made:
        made.write(file.read_bytes().rpartition(b"\nconsent-service backup ")[0])
        seal(made, Facts(made_at="2099-01-01T00:00:00Z", schema="9999_flying_cars"))
    program.on(tmp_path / "data")
    assert "9999_flying_cars" in program.refuses("restore", newer)


def test_a_restore_that_fails_late_leaves_what_was_there(
    file: Path, program: Program, used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = program("keys", "list").out

    def fail(server: EmbeddedServer) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(service.store, "swap", fail)
        assert "No space left" in program.refuses("restore", file, "--replace")
    assert program("keys", "list").out == before
    with EmbeddedServer(used).running() as server, psycopg.connect(server.url("consent", "postgres")) as conn:
        assert conn.execute(ALL).fetchall() == [("consent",)]


def test_what_a_killed_restore_left_is_in_nobodys_way(file: Path, program: Program, used: Path) -> None:
    with (
        EmbeddedServer(used).running() as server,
        psycopg.connect(server.url("consent", "postgres"), autocommit=True) as conn,
    ):
        for name in (DRAFT, REPLACED):
            conn.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
    assert program("restore", file, "--replace").code == 0
    assert "desk key" in program("keys", "list").out


def test_a_backup_of_an_older_schema_is_migrated(
    cluster: Cluster, program: Program, used: Path, tmp_path: Path
) -> None:
    """One migration short, as its table and its mark were not there yet."""
    older = cluster.migrated()
    with older.owner() as conn:
        conn.execute("DROP TABLE desk_session, api_key, idempotency, request_count")
        conn.execute("DELETE FROM _yoyo_migration WHERE migration_id IN ('0006_keys', '0012_desk_sessions')")
    program.on_database(older)
    assert program("backup", tmp_path / "older.backup").code == 0
    cluster.drop(older)
    program.on(used)
    done = program("restore", tmp_path / "older.backup", "--replace")
    assert done.code == 0, done
    assert "applied 0006_keys" in done.out


def test_a_database_of_your_own_is_restored_as_the_refusal_says(
    any_database: TestDatabase, request: pytest.FixtureRequest, program: Program, tmp_path: Path
) -> None:
    api = Api(any_database, CATALOGUE)
    ben = api.customer("email:ben@example.com")
    api.close()
    program.on_database(any_database)
    path = tmp_path / "own.backup"
    assert program("backup", path).code == 0
    said = program.refuses("restore", path)
    assert f"pg_restore --exit-on-error --no-owner --dbname=NEW_DATABASE {path}" in said
    server: Cluster = request.getfixturevalue(request.node.callspec.params["any_database"])
    new = server.empty()
    pg_restore = service.store.folder_for(new.owner_url, None) / "pg_restore"
    done = subprocess.run([pg_restore, "--exit-on-error", "--no-owner", f"--dbname={new.owner_url}", path])
    assert done.returncode == 0
    program.on_database(new)
    program._patch.setenv("CONSENT_SECRET_KEY", SECRET)
    assert program("migrate").code == 0
    with new.owner() as conn:
        assert conn.execute("SELECT customer_id FROM customer").fetchall() == [(ben,)]
    server.drop(new)
