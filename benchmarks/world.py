"""A seeded database to measure on, kept in a folder from run to run, and the servers that stand on it.

It is the product's own embedded PostgreSQL, durable as the product runs it. Only while it is seeded does it do
without what a crash would need.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks import empty_route, life, seeds
from consent_service.catalogue.service import apply_catalogue
from consent_service.database import Database
from consent_service.database.embedded import EmbeddedServer, Sizing
from consent_service.database.migrate import migrate
from consent_service.history.model import Actor
from consent_service.keyring.service import Keyring
from consent_service.keys import service as keys
from consent_service.settings import Settings
from tests.support.cluster import SECRET, TestDatabase, clean_environment, free_port, wait_until_live, web_service

FORMAT = 2  # of the seeds; another number means that a kept folder is no longer what this version would make
ACTOR = Actor("system", "benchmark")


@dataclass(frozen=True)
class World:
    """A running server with customers 0 … customers - 1, the hot one, and a campaign key."""

    customers: int
    server: EmbeddedServer
    database: TestDatabase
    key: str
    seeded_seconds: float
    size_bytes: int

    @property
    def settings(self) -> Settings:
        """The settings of a process of the service on it."""
        return self.database.settings()

    @property
    def secret(self) -> bytes:
        """The root secret."""
        return SECRET.encode()

    def program(self, name: str) -> Path:
        """One of PostgreSQL's programs, such as pgbench."""
        return self.server.programs.folder / name

    def postmaster(self) -> int:
        """The process that all backends are children of."""
        return int((self.server.data / "postmaster.pid").read_text(encoding="ascii").split()[0])


@contextlib.contextmanager
def world(folder: Path | None, *, customers: int, seed: int) -> Iterator[World]:
    """The world in the folder (None: in a temporary one), seeded if it is new, running as long as the block.

    Raises:
        ValueError: another world lies there.
    """
    home = folder or Path(tempfile.mkdtemp(prefix="consent-bench-"))
    try:
        home.mkdir(parents=True, exist_ok=True)
        seeded = _seeded(home, customers=customers, seed=seed)
        with EmbeddedServer(home, sizing=Sizing(connections=100)).owning() as server:
            database = TestDatabase("consent", server.owner_url, server.service_url)
            migrate(server.owner_url, server.service_url)
            with psycopg.connect(server.owner_url, autocommit=True) as conn:
                row = conn.execute("SELECT pg_database_size(current_database())").fetchone()
                conn.execute("CHECKPOINT")
                assert row is not None
            key = _campaign_key(database)
            yield World(customers, server, database, key, seeded, row[0])
    finally:
        if folder is None:
            shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def service(one: World, workers: int) -> Iterator[tuple[int, int]]:
    """(port, process) of the service's own web server on the world."""
    with web_service(one.database, workers=workers) as web:
        yield web.port, web.process.pid


@contextlib.contextmanager
def empty_service(workers: int) -> Iterator[tuple[int, int]]:
    """(port, process) of the empty route on the same kind of server."""
    port = free_port()
    with tempfile.NamedTemporaryFile(prefix="consent-bench-", suffix=".log") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", empty_route.__name__, str(port), str(workers)],
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            wait_until_live(f"http://127.0.0.1:{port}", process, Path(log.name))
            yield port, process.pid
        finally:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def _seeded(home: Path, *, customers: int, seed: int) -> float:
    """Makes and seeds the database, unless the folder holds these very seeds; seconds that it took, then or now."""
    wanted = {"customers": customers, "seed": seed, "format": FORMAT}
    mark = home / "seeds.json"
    if mark.exists():
        found = json.loads(mark.read_text(encoding="utf-8"))
        if found["wanted"] != wanted:
            raise ValueError(f"{home} holds other seeds ({found['wanted']}): remove it or name another folder")
        return float(found["seconds"])
    began = time.perf_counter()
    with EmbeddedServer(home, sizing=Sizing(connections=100, durable=False)).owning() as server:
        migrate(server.owner_url, server.service_url)
        database = TestDatabase("consent", server.owner_url, server.service_url)
        opened = Database(database.service_url, database.settings())
        with opened.transaction() as conn:
            apply_catalogue(conn, Keyring(SECRET.encode()), ACTOR, life.catalogue(), accept_louder=True)
        opened.close()
        seeds.fill(
            server.owner_url, SECRET.encode(), customers=customers, seed=seed, processes=min(2, os.cpu_count() or 1)
        )
    os.sync()
    seconds = time.perf_counter() - began
    mark.write_text(json.dumps({"wanted": wanted, "seconds": seconds}), encoding="utf-8")
    return seconds


def _campaign_key(database: TestDatabase) -> str:
    """A new key that may use every topic."""
    opened = Database(database.service_url, database.settings())
    try:
        with opened.transaction() as conn:
            keyring = Keyring(SECRET.encode())
            return keys.create(conn, keyring, ACTOR, role="campaign", name="benchmark", topics=["*"])[1]
    finally:
        opened.close()
