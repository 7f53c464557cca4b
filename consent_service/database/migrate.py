"""Brings the schema of a database to the newest version.

yoyo finds the files, splits them and keeps the list of what was applied. The lock is ours: an advisory lock
dies with its process, yoyo's own is a row that stays after a crash. The file and its mark commit together, so
that a crash at any line leaves a migration done or not begun. A pooler in transaction mode cannot hold the
lock: migrate over a direct connection.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterable, Iterator
from importlib.resources import as_file, files
from typing import Any
from urllib.parse import urlencode

import psycopg
import yoyo
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from yoyo.exceptions import BadMigration

ROLE = "consent_service"
LOCK_WAIT_SECONDS = 60
CONNECT_SECONDS = 10


class MigrationError(Exception):
    """The schema could not be brought up to date; the text is one line for the operator."""


def migrate(owner_url: str, service_url: str | None = None) -> list[str]:
    """Applies what is missing, oldest first; names of what this call applied.

    Several calls at once end well: one works, the others wait and find nothing to do.

    Args:
        owner_url: login that owns the schema.
        service_url: login that the service works with, None: the same; it is made a member of
            consent_service when it may not act as that role.

    Raises:
        MigrationError: no connection, no right, the lock is held for a minute, or a migration failed.
    """
    try:
        with _lock(owner_url), as_file(files("consent_service") / "migrations") as folder:
            applied = _apply(owner_url, str(folder))
            _admit(owner_url, service_url or owner_url)
    except psycopg.Error as error:
        raise MigrationError(f"the migration failed: {_first_line(error)}") from error
    return applied


def pending(owner_url: str) -> list[str]:
    """Names of the migrations that the database lacks.

    Raises:
        MigrationError: no connection.
    """
    with as_file(files("consent_service") / "migrations") as folder:
        names = sorted(path.stem for path in folder.glob("*.sql"))
    try:
        with psycopg.connect(owner_url, connect_timeout=CONNECT_SECONDS, autocommit=True) as conn:
            if conn.execute("SELECT to_regclass('_yoyo_migration')").fetchone() == (None,):
                return names
            rows = conn.execute("SELECT migration_id FROM _yoyo_migration").fetchall()
    except psycopg.Error as error:
        raise MigrationError(f"the schema cannot be read: {_first_line(error)}") from error
    return [name for name in names if (name,) not in rows]


def newer_than_us(names: Iterable[str]) -> list[str]:
    """Those of these migrations that this version does not know: a newer one made them."""
    with as_file(files("consent_service") / "migrations") as folder:
        known = {path.stem for path in folder.glob("*.sql")}
    return sorted(set(names) - known)


@contextlib.contextmanager
def _lock(owner_url: str) -> Iterator[None]:
    with psycopg.connect(owner_url, connect_timeout=CONNECT_SECONDS, autocommit=True) as conn:
        conn.execute("SELECT set_config('lock_timeout', %s, false)", [f"{LOCK_WAIT_SECONDS}s"])
        try:
            conn.execute("SELECT pg_advisory_lock(hashtextextended('consent_service.migrate', 0))")
        except psycopg.errors.LockNotAvailable as error:
            raise MigrationError(
                f"another migration has held the lock for {LOCK_WAIT_SECONDS} seconds: look for it in pg_stat_activity"
            ) from error
        yield


def _apply(owner_url: str, folder: str) -> list[str]:
    logging.getLogger("yoyo").setLevel(logging.CRITICAL)
    with yoyo.get_backend(_yoyo_url(owner_url)) as backend, contextlib.redirect_stdout(io.StringIO()):
        # Whoever wrote a row into yoyo's own lock is dead: we hold the true one.
        backend.break_lock()
        applied = []
        for migration in backend.to_apply(yoyo.read_migrations(folder)):
            _apply_one(backend, migration)
            applied.append(str(migration.id))
    return applied


def _apply_one(backend: Any, migration: Any) -> None:
    try:
        migration.load()
        if not migration.use_transactions:
            # Such a file (CREATE INDEX CONCURRENTLY) must bear being run again: its mark comes after it.
            migration.process_steps(backend, "apply")
            backend.mark_one(migration, log=False)
            return
        with backend.transaction():
            migration.process_steps(backend, "apply")
            backend.mark_one(migration, log=False)
    except BadMigration as error:
        raise MigrationError(f"migration {migration.id} cannot be read: {error}") from error
    except psycopg.Error as error:
        raise MigrationError(f"migration {migration.id} failed: {_first_line(error)}") from error


def _admit(owner_url: str, service_url: str) -> None:
    """Makes the service's login a member of the service's role, unless it may act as it already."""
    with psycopg.connect(service_url, connect_timeout=CONNECT_SECONDS, autocommit=True) as conn:
        # Tried, not asked for: whoever made the role in PostgreSQL 16 is a member that may not act as it.
        with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
            conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(ROLE)))
            return
        login = conn.info.user
    with psycopg.connect(owner_url, connect_timeout=CONNECT_SECONDS, autocommit=True) as conn:
        try:
            conn.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(ROLE), sql.Identifier(login)))
        except psycopg.errors.InsufficientPrivilege as error:
            raise MigrationError(
                f'the login of DATABASE_URL may not act as {ROLE}: have a superuser run GRANT {ROLE} TO "{login}"'
            ) from error


def _yoyo_url(conninfo: str) -> str:
    # yoyo hands what follows the question mark to the driver as keywords.
    return "postgresql+psycopg:///?" + urlencode(conninfo_to_dict(conninfo, connect_timeout=CONNECT_SECONDS))


def _first_line(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error) or type(error).__name__).strip().split("\n")[0]
