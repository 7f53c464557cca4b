"""Makes backups and restores them.

A backup never stops anybody. A restore works on a database of its own, beside the one in use, and puts it in
that one's place when everything in it has been tried: whatever fails before leaves all as it was. Neither ever
reads or writes a secret key's file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from consent_service.backups import store
from consent_service.backups.archive import BackupError, Facts, new_file, read_facts, seal
from consent_service.database import Database
from consent_service.database.embedded import OWNER, SERVICE, EmbeddedServer
from consent_service.database.migrate import migrate
from consent_service.database.opening import embedded_server
from consent_service.database.schema import newer_than_us
from consent_service.errors import ConsentError
from consent_service.keyring.service import Keyring
from consent_service.settings import Settings


@dataclass(frozen=True)
class Restored:
    """What a restore did: facts of the backup, and the migrations that were applied to it."""

    facts: Facts
    applied: list[str]


def backup(settings: Settings, path: Path, *, overwrite: bool) -> Facts:
    """Writes the database of DATABASE_URL, else the embedded one, running or not, into a new file.

    Args:
        settings: its secrets are not used.

    Raises:
        BackupError, EmbeddedServerError, OSError: nothing was written.
    """
    with new_file(path, overwrite=overwrite) as file, _source(settings) as (folder, owner_url):
        facts = Facts(*store.clock_and_schema(owner_url))
        store.dump(folder, owner_url, file)
        seal(file, facts)
        file.flush()
        store.list_contents(folder, file)
    return facts


def restore(settings: Settings, path: Path, *, replace_data: bool) -> Restored:
    """Makes the backup the embedded database, at the newest schema.

    Args:
        settings: with the secret of the backup's day.
        replace_data: also when the data directory holds customers, events or keys, which are then gone.

    Raises:
        BackupError, EmbeddedServerError, MigrationError, OSError: all is as it was.
    """
    facts = read_facts(path)
    server = embedded_server(settings)
    with path.open("rb") as file:
        store.list_contents(server.programs.folder, file)
    if newer := newer_than_us([facts.schema]):
        raise BackupError(
            f"the backup has the schema {newer[0]}, which this version does not know: install its version"
        )
    with server.alone():
        if not replace_data and store.holds_data(server.owner_url):
            raise BackupError(
                f"{server.data_dir} holds data: name another CONSENT_DATA_DIR, or say --replace to lose what it holds"
            )
        store.make_draft(server)
        try:
            applied = _fill(server, settings, path)
            store.swap(server)
        except BaseException:
            store.drop_draft(server)
            raise
    return Restored(facts, applied)


def _fill(server: EmbeddedServer, settings: Settings, path: Path) -> list[str]:
    owner_url, service_url = server.url(OWNER, store.DRAFT), server.url(SERVICE, store.DRAFT)
    store.load(server.programs.folder, path, owner_url)
    applied = migrate(owner_url, service_url)
    database = Database(service_url, settings)
    try:
        _refuse_other_secret(database, settings)
    finally:
        database.close()
    return applied


def _refuse_other_secret(database: Database, settings: Settings) -> None:
    keyring = Keyring(*settings.secrets)
    with database.reading() as conn:
        closed = keyring.count_closed(conn)
        if not closed:
            with contextlib.suppress(ConsentError):
                keyring.service(conn)
                return
    raise BackupError(
        "the secret does not open this backup: give the one of its day as CONSENT_SECRET_KEY,"
        " or in the data directory as secret.key"
        + (f" ({closed} keys are closed; while a rotation ran, both secrets are needed)" if closed else "")
    )


@contextlib.contextmanager
def _source(settings: Settings) -> Iterator[tuple[Path, str]]:
    """(folder with pg_dump, conninfo of who owns the schema)."""
    if settings.database_url is not None:
        owner_url = settings.migration_url or settings.database_url
        yield store.folder_for(owner_url, settings.pg_bin), owner_url
        return
    server = embedded_server(settings)
    if not server.data.exists():
        raise BackupError(f"there is no database in {server.data_dir}: there is nothing to back up")
    with server.running():
        # Not migrated first: a backup before an upgrade is of what is there.
        yield server.programs.folder, server.owner_url
