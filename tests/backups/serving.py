"""A whole service in a data directory of its own, its traffic, and what stands in its tables."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from consent_service.database.embedded import EmbeddedServer
from tests.concurrency.crowd import Caller, asked
from tests.support.cluster import SECRET, TestDatabase, clean_environment, free_port, wait_until_live

Rows = dict[str, set[str]]


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    return clean_environment() | {"CONSENT_DATA_DIR": str(data_dir), "CONSENT_SECRET_KEY": SECRET, **settings}


def command(data_dir: Path, *arguments: object, **settings: str) -> subprocess.CompletedProcess[str]:
    """One command of the program on the data directory, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "consent_service", *map(str, arguments)],
        env=environment(data_dir, **settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def database_in(data_dir: Path) -> TestDatabase:
    """The embedded database of a data directory, whose server runs."""
    server = EmbeddedServer(data_dir)
    return TestDatabase("consent", server.owner_url, server.service_url)


@contextlib.contextmanager
def serving(data_dir: Path) -> Iterator[int]:
    """`consent-service serve` on the data directory; its port."""
    port = free_port()
    with tempfile.NamedTemporaryFile(prefix="consent-backup-", suffix=".log") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "consent_service", "serve", "--port", str(port), "--workers", "1"],
            env=environment(data_dir),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            wait_until_live(f"http://127.0.0.1:{port}", process, Path(log.name))
            yield port
        finally:
            process.terminate()
            process.wait(90)


@dataclass
class Traffic:
    """Contacts and checks of some customers, one after the other, until it is stopped."""

    port: int
    key: str
    customers: list[str]
    contacts: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        caller = Caller(self.port, self.key, self.statuses)
        for customer_id in itertools.cycle(self.customers):
            if self._stop.is_set():
                break
            caller.post("/v1/permissions/check", asked(customer_id, topic="events"))
            made = caller.post("/v1/contacts", asked(customer_id, topic="events"))
            if made.status == 201:
                self.contacts.append(made.body["id"])
        caller.hang_up()

    @contextlib.contextmanager
    def flowing(self) -> Iterator[Traffic]:
        """While the block runs, and for a few answers before and after."""
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            self.wait_for_more()
            yield self
            self.wait_for_more()
        finally:
            self._stop.set()
            thread.join(60)

    def wait_for_more(self) -> None:
        """Returns when ten more answers have come."""
        wanted = len(self.statuses) + 10
        for _ in range(600):
            if len(self.statuses) >= wanted:
                return
            self._stop.wait(0.05)
        raise AssertionError("the traffic stands still")


def rows(database: TestDatabase, *, of: list[str]) -> Rows:
    """Every row that belongs to these customers, and every row of the catalogue, by table."""
    found: Rows = {}
    with psycopg.connect(database.owner_url) as conn:
        tables: list[tuple[Any, ...]] = conn.execute(
            "SELECT c.relname,"
            " EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'customer_id')"
            " FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'"
            " AND c.relpersistence = 'p' AND c.relname !~ 'yoyo' AND c.relname <> 'api_key'"
        ).fetchall()
        for name, has_customer in tables:
            condition = sql.SQL("WHERE customer_id = ANY (%s)") if has_customer else sql.SQL("")
            query = sql.SQL("SELECT t::text FROM {} t {}").format(sql.Identifier(name), condition)
            found[name] = {row[0] for row in conn.execute(query, [of] if has_customer else None)}
    return found


def privileges(database: TestDatabase) -> set[tuple[Any, ...]]:
    """Who may do what with each table, and what each table refuses: owner, rights, triggers, constraints."""
    with psycopg.connect(database.owner_url) as conn:
        return set(
            conn.execute(
                "SELECT c.relname::text, r.rolname::text, array_to_string(c.relacl, ','),"
                " (SELECT string_agg(pg_get_triggerdef(t.oid), ';' ORDER BY t.tgname) FROM pg_trigger t"
                "  WHERE t.tgrelid = c.oid AND NOT t.tgisinternal),"
                " (SELECT string_agg(pg_get_constraintdef(k.oid), ';' ORDER BY k.conname) FROM pg_constraint k"
                "  WHERE k.conrelid = c.oid)"
                " FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner"
                " WHERE c.relnamespace = 'public'::regnamespace"
            )
        )
