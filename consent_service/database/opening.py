"""Which database a process works on: that of DATABASE_URL, else the embedded one of the data directory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from consent_service.database.embedded import EmbeddedServer, Sizing
from consent_service.database.migrate import MigrationError, migrate
from consent_service.database.pool import Database
from consent_service.settings import Settings

CONNECTIONS_BESIDE_THE_WEB = 60


@contextlib.contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """The database for one command; its `settings` name it.

    The embedded one is that of a running service, or one that is started and then stopped; it is migrated
    first, because nobody else may have done so.

    Raises:
        EmbeddedServerError: it cannot be started.
        MigrationError: there is no schema, or it could not be brought up to date.
        Unavailable: the database of DATABASE_URL does not answer.
    """
    with contextlib.ExitStack() as stack:
        if settings.database_url is None:
            server = stack.enter_context(embedded_server(settings).running())
            migrate(server.owner_url, server.service_url)
            settings = located(settings, server)
        database = Database(settings.service_url(), settings)
        stack.callback(database.close)
        with database.reading() as conn:
            row = conn.execute("SELECT to_regclass('public.event') IS NOT NULL AS has_schema").fetchone()
        if not row or not row["has_schema"]:
            raise MigrationError(
                "the database of DATABASE_URL has no schema: run `consent-service migrate` first"
            )
        yield database


def embedded_server(settings: Settings) -> EmbeddedServer:
    """The embedded server that fits these settings, not started."""
    connections = settings.web_workers * settings.web_threads + CONNECTIONS_BESIDE_THE_WEB
    return EmbeddedServer(settings.data_dir, pg_bin=settings.pg_bin, sizing=Sizing(connections=connections))


def located(settings: Settings, server: EmbeddedServer) -> Settings:
    """The settings as if DATABASE_URL named the embedded server."""
    return replace(settings, database_url=server.service_url, migration_url=server.owner_url)
