"""Brings the schema of a database to the newest version.

yoyo finds the files, splits them and keeps the list of what was applied. The lock is ours: an advisory lock
dies with its process, yoyo's own is a row that stays after a crash. The file and its mark commit together, so
that a crash at any line leaves a migration done or not begun. A pooler in transaction mode cannot hold the
lock: migrate over a direct connection.

Nobody queues behind a migration for long: whoever waits for a table makes all others wait who come after it, so
a migration gives up its wait after half a second, lets the others pass, and tries again, a bounded number of times.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import time
from collections.abc import Callable, Iterator
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

# How long a migration may wait for a table, unless its file says otherwise: well below what a request may take.
TABLE_LOCK_TIMEOUT = "SET lock_timeout = '500ms'"
ATTEMPTS = 10
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
POLL_SECONDS = 0.1

Tell = Callable[[str], None]


class MigrationError(Exception):
    """The schema could not be brought up to date; the text is one line for the operator."""


def tell_the_operator(text: str) -> None:
    """One line on standard error."""
    print(f"consent-service: {text}", file=sys.stderr, flush=True)


def migrate(owner_url: str, service_url: str | None = None, *, tell: Tell = tell_the_operator) -> list[str]:
    """Applies what is missing, oldest first; names of what this call applied.

    Several calls at once end well: one works, the others wait and find nothing to do.

    Args:
        owner_url: login that owns the schema.
        service_url: login that the service works with, None: the same; it is made a member of
            consent_service when it may not act as that role.
        tell: gets a line each time a migration could not have its tables and is going to be tried again.

    Raises:
        MigrationError: no connection, no right, the lock is held for a minute, tables that are in use for some
            two minutes, or a migration that failed. Those before it are done, it and those after it are not begun.
    """
    try:
        with _lock(owner_url), as_file(files("consent_service") / "migrations") as folder:
            applied = _apply(owner_url, str(folder), tell)
            _admit(owner_url, service_url or owner_url)
    except psycopg.Error as error:
        raise MigrationError(f"the migration failed: {_first_line(error)}") from error
    return applied


def pending(owner_url: str) -> list[str]:
    """Names of the migrations that the database lacks.

    Raises:
        MigrationError: no connection.
    """
    names, applied = _names_and_applied(owner_url)
    return [name for name in names if name not in applied]


def differing(owner_url: str) -> list[str]:
    """Names of the migrations that either the database or this version lacks.

    Raises:
        MigrationError: no connection.
    """
    names, applied = _names_and_applied(owner_url)
    return sorted(applied.symmetric_difference(names))


def _names_and_applied(owner_url: str) -> tuple[list[str], set[str]]:
    with as_file(files("consent_service") / "migrations") as folder:
        names = sorted(path.stem for path in folder.glob("*.sql"))
    try:
        with psycopg.connect(owner_url, connect_timeout=CONNECT_SECONDS, autocommit=True) as conn:
            if conn.execute("SELECT to_regclass('_yoyo_migration')").fetchone() == (None,):
                return names, set()
            rows = conn.execute("SELECT migration_id FROM _yoyo_migration").fetchall()
    except psycopg.Error as error:
        raise MigrationError(f"the schema cannot be read: {_first_line(error)}") from error
    return names, {str(row[0]) for row in rows}


@contextlib.contextmanager
def _lock(owner_url: str) -> Iterator[None]:
    with psycopg.connect(owner_url, connect_timeout=CONNECT_SECONDS, autocommit=True) as conn:
        # Asked for again and again: a statement that waits holds a snapshot, for which the other one's
        # CREATE INDEX CONCURRENTLY would wait in turn.
        deadline = time.monotonic() + LOCK_WAIT_SECONDS
        while conn.execute(_TRY_LOCK).fetchone() != (True,):
            if time.monotonic() > deadline:
                raise MigrationError(
                    f"another migration has held the lock for {LOCK_WAIT_SECONDS} seconds:"
                    " look for it in pg_stat_activity"
                )
            time.sleep(POLL_SECONDS)
        yield


_TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('consent_service.migrate', 0))"


def _apply(owner_url: str, folder: str, tell: Tell) -> list[str]:
    logging.getLogger("yoyo").setLevel(logging.CRITICAL)
    with yoyo.get_backend(_yoyo_url(owner_url)) as backend, contextlib.redirect_stdout(io.StringIO()):
        # Whoever wrote a row into yoyo's own lock is dead: we hold the true one.
        backend.break_lock()
        applied = []
        for migration in backend.to_apply(yoyo.read_migrations(folder)):
            _apply_patiently(backend, migration, tell)
            applied.append(str(migration.id))
    return applied


def _apply_patiently(backend: Any, migration: Any, tell: Tell) -> None:
    """One migration, tried again while others use its tables."""
    pause = FIRST_PAUSE_SECONDS
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _apply_one(backend, migration)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            backend.rollback()
            busy = f"migration {migration.id} could not have its tables to itself{_oldest_transaction(backend)}"
            if attempt == ATTEMPTS:
                raise MigrationError(
                    f"{busy}: end that transaction or wait for it, then run `consent-service migrate` again"
                ) from error
            tell(f"{busy}; attempt {attempt} of {ATTEMPTS}, the next one in {pause:g} s")
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        except BadMigration as error:
            raise MigrationError(f"migration {migration.id} cannot be read: {error}") from error
        except psycopg.Error as error:
            raise MigrationError(f"migration {migration.id} failed: {_first_line(error)}") from error
    return None


def _apply_one(backend: Any, migration: Any) -> None:
    migration.load()
    # For this file only: the one before it may have set its own.
    backend.execute(TABLE_LOCK_TIMEOUT)
    backend.commit()
    if not migration.use_transactions:
        # Such a file (CREATE INDEX CONCURRENTLY) must bear being run again: its mark comes after it.
        migration.process_steps(backend, "apply")
        backend.mark_one(migration, log=False)
        return
    with backend.transaction():
        migration.process_steps(backend, "apply")
        backend.mark_one(migration, log=False)


def _oldest_transaction(backend: Any) -> str:
    """Who may be in the way, as far as this login may see it."""
    row = backend.execute(_OLDEST).fetchone()
    backend.commit()
    return f" (process {row[0]} of PostgreSQL has had a transaction open for {row[1]:.0f} s)" if row else ""


_OLDEST = """
SELECT pid, extract(epoch FROM clock_timestamp() - xact_start)
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
ORDER BY xact_start
LIMIT 1
"""


def _admit(owner_url: str, service_url: str) -> None:
    """Makes the service's login a member of the service's role, unless it may act as it already.

    The role may read which migrations there are: a process is not ready on a schema that lacks some.
    """
    with psycopg.connect(owner_url, connect_timeout=CONNECT_SECONDS, autocommit=True) as conn:
        conn.execute(sql.SQL("GRANT SELECT ON _yoyo_migration TO {}").format(sql.Identifier(ROLE)))
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
