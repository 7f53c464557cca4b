"""Real PostgreSQL for tests: one throw-away server a session, a fresh database a test, a real gunicorn on it.

The server is the product's own embedded one, without what a crash would need. Databases are clones of one
that was migrated once.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from consent_service.database.embedded import EmbeddedServer, Sizing
from consent_service.database.migrate import migrate
from consent_service.database.postgres_conf import MEGABYTE
from consent_service.settings import Settings

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
TEMPLATE = "template_migrated"
SECRET = "tests-only-root-secret-0123456789-abcdefghijklmnop"
PREVIOUS_SECRET = "tests-only-earlier-secret-0123456789-abcdefghijk"


@dataclass(frozen=True)
class TestDatabase:
    """A migrated, empty database: the owner's conninfo and the service's."""

    __test__ = False  # not a class of tests

    name: str
    owner_url: str
    service_url: str

    def environment(self, **settings: str) -> dict[str, str]:
        """What a process of the service needs in its environment to work on this database."""
        return {
            "DATABASE_URL": self.service_url,
            "CONSENT_MIGRATION_URL": self.owner_url,
            "CONSENT_SECRET_KEY": SECRET,
            **settings,
        }

    def settings(self, **settings: str) -> Settings:
        """The settings of such a process."""
        return Settings.from_environment(self.environment(**settings))

    def owner(self) -> psycopg.Connection:
        """A connection of the owner, in autocommit mode; the caller closes it."""
        return psycopg.connect(self.owner_url, autocommit=True)


class Cluster:
    """A running server with a migrated template."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.server = server
        self._numbers = itertools.count(1)
        self._emptied: list[TestDatabase] = []
        with self.admin() as conn:
            conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
        migrate(server.url("consent", TEMPLATE))
        with psycopg.connect(server.url("consent", TEMPLATE), autocommit=True) as conn:
            self._objects = _fingerprint(conn)[1]

    def admin(self) -> psycopg.Connection:
        """A superuser's connection to no test's database."""
        return psycopg.connect(self.server.url("consent", "postgres"), autocommit=True)

    def empty(self) -> TestDatabase:
        """A new database without a schema."""
        return self._create("template0")

    def migrated(self) -> TestDatabase:
        """A database with the schema and no rows."""
        return self._emptied.pop() if self._emptied else self._create(TEMPLATE)

    def drop(self, database: TestDatabase) -> None:
        """Removes it, and whoever is still connected; one that can be emptied is kept for the next test."""
        if _empty(database, self._objects):
            self._emptied.append(database)
            return
        with self.admin() as conn:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database.name)))

    def _create(self, template: str) -> TestDatabase:
        name = f"test_{next(self._numbers)}"
        with self.admin() as conn:
            conn.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
        return TestDatabase(name, self.server.url("consent", name), self.server.url("consent_service", name))


# What is there besides the migrations' own objects shows in these counts.
_AS_MIGRATED = """
SELECT
  (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
     AND backend_type = 'client backend') AS others,
  (SELECT md5(string_agg(relname || relkind::text, ',' ORDER BY relname)) FROM pg_class
     WHERE relnamespace = 'public'::regnamespace)
  || (SELECT md5(string_agg(prosrc || COALESCE(proacl::text, ''), ',' ORDER BY proname)) FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace)
  || (SELECT md5(string_agg(tgname || tgenabled::text, ',' ORDER BY tgname)) FROM pg_trigger
        WHERE NOT tgisinternal) AS objects
"""


def _fingerprint(conn: psycopg.Connection) -> tuple[int, str]:
    """(other clients of the database, what it is made of)."""
    row = conn.execute(_AS_MIGRATED).fetchone()
    assert row is not None
    return row[0], row[1]


def _empty(database: TestDatabase, objects: str) -> bool:
    """Deletes every row, which is much quicker than a new database; False when it is not as it was migrated."""
    try:
        with psycopg.connect(database.owner_url, autocommit=True) as conn:
            if _fingerprint(conn) != (0, objects):
                return False
            tables = [
                name
                for (name,) in conn.execute(
                    "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename !~ '^_?yoyo|^_yoyo'"
                )
            ]
            # As a replica: neither triggers nor foreign keys stand in the way.
            conn.execute("SET session_replication_role = replica")
            conn.execute(sql.SQL("; ").join(sql.SQL("DELETE FROM {}").format(sql.Identifier(one)) for one in tables))
    except psycopg.Error:
        return False
    return True


@contextlib.contextmanager
def cluster(pg_bin: Path | None = None) -> Iterator[Cluster]:
    """A throw-away cluster, removed with all its files at the end."""
    data_dir = Path(tempfile.gettempdir()) / f"consent-test-{secrets.token_hex(6)}"
    sizing = Sizing(connections=300, shared_buffers_bytes=64 * MEGABYTE, durable=False)
    try:
        with EmbeddedServer(data_dir, pg_bin=pg_bin, sizing=sizing).owning() as server:
            yield Cluster(server)
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)


@dataclass
class WebService:
    """A running gunicorn of the service."""

    url: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> int:
        """Asks it to end and waits; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
            raise


@contextlib.contextmanager
def web_service(
    database: TestDatabase,
    *,
    workers: int = 2,
    settings: Mapping[str, str] | None = None,
    port: int | None = None,
) -> Iterator[WebService]:
    """`consent-service web` on the database, on this port or a free one of 127.0.0.1, answering."""
    port = port or free_port()
    environment = clean_environment() | database.environment(**(settings or {}))
    handle, log = tempfile.mkstemp(prefix="consent-web-", suffix=".log")
    with os.fdopen(handle, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "consent_service", "web", "--port", str(port), "--workers", str(workers)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    service = WebService(f"http://127.0.0.1:{port}", port, process, Path(log))
    try:
        wait_until_live(service.url, process, service.log)
        yield service
    finally:
        try:
            service.stop()
        finally:
            service.log.unlink(missing_ok=True)


def wait_until_live(url: str, process: subprocess.Popen[bytes], log: Path, *, seconds: float = 60) -> None:
    """Returns when GET /health/live answers 200; raises when the process ends or takes too long."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/health/live", timeout=2) as response:
                if response.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"the service does not answer: {log.read_text(errors='replace')[-4000:]}")


def clean_environment() -> dict[str, str]:
    """The environment without settings of the service or of libpq, which a developer may have set."""
    return {
        name: value
        for name, value in os.environ.items()
        if name != "DATABASE_URL" and not name.startswith(("CONSENT_", "PG"))
    }


def free_port() -> int:
    """A port of 127.0.0.1 below the ephemeral range, free now."""
    for _ in range(200):
        port = random.randint(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")
