"""What a backup asks of PostgreSQL: pg_dump, pg_restore, and the databases that are swapped.

Passwords reach the programs by their environment, never by their arguments, which others can read.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import BinaryIO

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from consent_service.backups.archive import BackupError
from consent_service.database.embedded import DATABASE, OWNER, EmbeddedServer
from consent_service.database.postgres_programs import wheel_folders
from consent_service.processes import bound_to_us
from consent_service.settings import usable_cpus

DRAFT = f"{DATABASE}_restored"
REPLACED = f"{DATABASE}_replaced"
CONNECT_SECONDS = 10
# A migration that waits for its table lets others pass after a few seconds.
DUMP_LOCK_WAIT = "60s"


def clock_and_schema(owner_url: str) -> tuple[str, str]:
    """(the database's time as RFC 3339, the newest migration it has).

    Raises:
        BackupError: no connection, or no schema.
    """
    try:
        with psycopg.connect(owner_url, connect_timeout=CONNECT_SECONDS, autocommit=True) as conn:
            row = conn.execute("SELECT clock_timestamp(), max(migration_id) FROM _yoyo_migration").fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        row = None
    except psycopg.Error as error:
        raise BackupError(f"the database does not answer: {_line(str(error))}") from error
    if row is None or row[1] is None:
        raise BackupError("the database has no schema that this login may read: there is nothing to back up")
    return row[0].astimezone(UTC).isoformat().replace("+00:00", "Z"), str(row[1])


def dump(folder: Path, owner_url: str, file: BinaryIO) -> None:
    """Writes the whole database, as of one moment, while others go on working.

    Args:
        folder: where pg_dump is.
        file: a seekable file, at its beginning.

    Raises:
        BackupError: pg_dump failed, with its last words.
    """
    options = ["--format=custom", "--no-unlogged-table-data", f"--lock-wait-timeout={DUMP_LOCK_WAIT}"]
    _run(folder / "pg_dump", options, owner_url, output=file)


def list_contents(folder: Path, file: BinaryIO) -> None:
    """Has pg_restore read the table of contents. Raises: BackupError when it cannot."""
    file.seek(0)
    _run(folder / "pg_restore", ["--list"], None, given=file)


def load(folder: Path, path: Path, owner_url: str) -> None:
    """Fills an empty database; everything in it becomes this login's.

    Raises:
        BackupError: pg_restore failed, with its last words.
    """
    options = ["--exit-on-error", "--no-owner", f"--jobs={usable_cpus()}", str(path)]
    _run(folder / "pg_restore", options, owner_url)
    with psycopg.connect(owner_url, connect_timeout=CONNECT_SECONDS, autocommit=True) as conn:
        conn.execute("ANALYZE")


def holds_data(owner_url: str) -> bool:
    """True when there is a customer, an event or a key in the database, or something that is not ours."""
    with psycopg.connect(owner_url, connect_timeout=CONNECT_SECONDS, autocommit=True) as conn:
        tables = [name for (name,) in conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        looked_at = {"customer", "event", "api_key"}
        if not looked_at <= set(tables):
            return bool(tables)
        return any(
            conn.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(name))).fetchone() is not None
            for name in looked_at
        )


def make_draft(server: EmbeddedServer) -> None:
    """An empty database beside the one in use; what a restore that was killed left is removed."""
    with _admin(server) as conn:
        for name in (DRAFT, REPLACED):
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(DRAFT)))


def drop_draft(server: EmbeddedServer) -> None:
    """Removes the database that was not good enough."""
    with _admin(server) as conn:
        conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(DRAFT)))


def swap(server: EmbeddedServer) -> None:
    """Puts the draft in the place of the database, in one transaction, and removes the old one.

    Sessions on either are ended. Killed before the commit, the old database stays; after it, the new one does,
    and the old one's files are removed by the next restore.
    """
    with _admin(server) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY (%s)", [[DATABASE, DRAFT]]
        )
        with conn.transaction():
            for old, new in ((DATABASE, REPLACED), (DRAFT, DATABASE)):
                conn.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(REPLACED)))


def folder_for(url: str, named: Path | None) -> Path:
    """The folder with a pg_dump that can read the server of this URL: of its own version, else the next newer one.

    Raises:
        BackupError: no connection, or there is none.
    """
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_SECONDS, autocommit=True) as conn:
            needed = conn.info.server_version // 10000
    except psycopg.Error as error:
        raise BackupError(f"the database of DATABASE_URL does not answer: {_line(str(error))}") from error
    found = [(major, folder) for folder in _folders(named) if (major := _major(folder / "pg_dump")) >= needed]
    if not found:
        raise BackupError(
            f"no pg_dump of version {needed} or newer: install PostgreSQL's client programs, or set CONSENT_PG_BIN"
        )
    return min(found, key=lambda one: one[0])[1]


def _folders(named: Path | None) -> Iterator[Path]:
    on_path = shutil.which("pg_dump")
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    candidates = [named] if named else [*([Path(on_path).parent] if on_path else []), *system, *wheel_folders()]
    return (folder for folder in candidates if (folder / "pg_dump").is_file())


def _major(program: Path) -> int:
    try:
        shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return 0
    found = re.search(r"\) (\d+)", shown)
    return int(found[1]) if found else 0


def _admin(server: EmbeddedServer) -> psycopg.Connection:
    return psycopg.connect(server.url(OWNER, "postgres"), autocommit=True)


def _run(
    program: Path,
    options: list[str],
    url: str | None,
    *,
    given: BinaryIO | None = None,
    output: BinaryIO | None = None,
) -> None:
    words, environment = _arguments(url)
    try:
        done = subprocess.run(
            [str(program), *options, *words],
            stdin=given or subprocess.DEVNULL,
            stdout=output or subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            preexec_fn=bound_to_us(None, signal.SIGKILL),
            check=False,
        )
    except OSError as error:
        raise BackupError(f"{program} cannot be run: {error.strerror}") from error
    if done.returncode:
        raise BackupError(f"{program.name} failed: {_line(done.stderr.decode(errors='replace')) or done.returncode}")


def _arguments(url: str | None) -> tuple[list[str], dict[str, str]]:
    """(arguments that name the database, the environment): what libpq reads is passed on, our settings are not."""
    environment = {
        name: value for name, value in os.environ.items() if name != "DATABASE_URL" and not name.startswith("CONSENT_")
    }
    environment["LC_ALL"] = "C"
    if url is None:
        return [], environment
    parts = conninfo_to_dict(url)
    password = parts.pop("password", None)
    if password is not None:
        environment["PGPASSWORD"] = str(password)
    return [f"--dbname={make_conninfo('', **parts)}"], environment


def _line(text: str) -> str:
    return " ".join(text.split())[:500]
