"""Which database a process works on: that of DATABASE_URL, else the embedded one of the data directory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import psycopg

from consent_service.database.embedded import EmbeddedServer, Sizing
from consent_service.database.migrate import migrate
from consent_service.database.pool import Database
from consent_service.settings import Settings

CONNECTIONS_BESIDE_THE_WEB = 60
CONNECT_SECONDS = 10


class OpeningError(Exception):
    """The database of DATABASE_URL cannot be used; the text is one line for the operator."""


@contextlib.contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """The database for one command; its `settings` name it.

    The embedded one is that of a running service, or one that is started and then stopped; it is migrated
    first, because nobody else may have done so.

    Raises:
        EmbeddedServerError: it cannot be started.
        MigrationError: its schema could not be brought up to date.
        OpeningError: the database of DATABASE_URL does not answer, or has no schema.
    """
    with contextlib.ExitStack() as stack:
        if settings.database_url is None:
            server = stack.enter_context(embedded_server(settings).running())
            migrate(server.owner_url, server.service_url)
            settings = located(settings, server)
        _refuse_without_schema(settings.service_url())
        database = Database(settings.service_url(), settings)
        stack.callback(database.close)
        yield database


def embedded_server(settings: Settings) -> EmbeddedServer:
    """The embedded server that fits these settings, not started."""
    connections = settings.web_workers * settings.web_threads + CONNECTIONS_BESIDE_THE_WEB
    return EmbeddedServer(settings.data_dir, pg_bin=settings.pg_bin, sizing=Sizing(connections=connections))


def located(settings: Settings, server: EmbeddedServer) -> Settings:
    """The settings as if DATABASE_URL named the embedded server."""
    return replace(settings, database_url=server.service_url, migration_url=server.owner_url)


def _refuse_without_schema(url: str) -> None:
    # Not through the pool, which would try for a while and log each time: a command wants one reason.
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_SECONDS, autocommit=True) as conn:
            conn.execute("SET ROLE consent_service")
            found = conn.execute("SELECT to_regclass('public.event')").fetchone()
    except (psycopg.errors.InvalidParameterValue, psycopg.errors.InsufficientPrivilege):
        found = None  # the role is not there yet, or not for this login
    except psycopg.Error as error:
        reason = str(error).strip().split("\n")[0]
        raise OpeningError(f"the database of DATABASE_URL does not answer: {reason}") from error
    if found in (None, (None,)):
        raise OpeningError("the database of DATABASE_URL has no schema: run `consent-service migrate` first")
