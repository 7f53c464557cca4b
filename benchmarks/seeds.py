"""Fills a migrated, empty database with made-up customers: by binary COPY, in several processes, indexes last.

Keyed hashes, wrapped data keys, sealed names and sealed events are made by the service's own code, so that what lies
there is what the service would have left.
"""

from __future__ import annotations

import multiprocessing
import os
import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import psycopg
from psycopg import sql

from benchmarks.life import CONSENT_LASTS, ESSENTIAL, HOT_TOPIC, Customer, customer_id, email, person
from consent_service.clock import format_time
from consent_service.history.model import SALT_BYTES, Actor, Event, commitment
from consent_service.keyring.model import NOBODY, DataKey, RootSecret, ServiceKeys

CHUNK = 10_000
ACTOR = Actor("campaign", "seeds", None)
COLUMNS = {
    "customer": "customer_id:uuid state:text survivor_id:uuid time_zone:text segment:text created_at:timestamptz",
    "customer_key": "customer_id:uuid wrapped_key:bytea secret_id:text",
    "identifier": "customer_id:uuid kind:text value_hash:bytea ciphertext:bytea created_at:timestamptz",
    "identifier_owner": "kind:text value_hash:bytea holder:uuid customer_id:uuid",
    "erased_identifier": "kind:text value_hash:bytea erased_at:timestamptz",
    "dial": "customer_id:uuid channel:text topic:text level:text set_at:timestamptz last_act_at:timestamptz"
    " recorded_at:timestamptz expires_at:timestamptz source:text role:text event_id:uuid",
    "pause": "customer_id:uuid channel:text until:timestamptz set_at:timestamptz source:text role:text event_id:uuid",
    "suppression": "customer_id:uuid suppression_id:uuid kind:text set_at:timestamptz role:text event_id:uuid",
    "point_suppression": "identifier_kind:text value_hash:bytea suppression_id:uuid kind:text set_at:timestamptz"
    " role:text event_id:uuid",
    "permit": "customer_id:uuid permit_id:uuid key_name:text channel:text topic:text reserved_at:timestamptz"
    " valid_from:timestamptz expires_at:timestamptz counts:bool event_id:uuid",
    "contact": "customer_id:uuid contact_id:uuid key_name:text channel:text topic:text contacted_at:timestamptz"
    " recorded_at:timestamptz permitted:bool reason:text counts:bool event_id:uuid",
    "event": "customer_id:uuid event_id:uuid type:text recorded_at:timestamptz commitment:bytea",
    "event_content": "customer_id:uuid event_id:uuid ciphertext:bytea",
}


@dataclass(frozen=True)
class Job:
    """Customers [first, last) of a world."""

    owner_url: str
    secret: bytes
    service_key: bytes
    seed: int
    first: int
    last: int
    now: datetime


def fill(owner_url: str, secret: bytes, *, customers: int, seed: int, processes: int) -> None:
    """Seeds the database and brings its indexes and statistics up to date. The schema must be empty of customers."""
    now = datetime.now(UTC)
    with psycopg.connect(owner_url, autocommit=True) as conn:
        service_key = _service_key(conn, secret)
        rebuild = _drop_indexes(conn)
        jobs = [
            Job(owner_url, secret, service_key, seed, first, min(first + CHUNK, customers), now)
            for first in range(0, customers, CHUNK)
        ]
        if len(jobs) == 1:
            load(jobs[0])
        else:
            # An executor, not a pool: it raises when its processes cannot start, where a pool starts them for ever.
            with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
                list(pool.map(load, jobs))
        _add_hot_customer(Job(owner_url, secret, service_key, seed, customers, customers, now))
        conn.execute("SET maintenance_work_mem = '1GB'")
        for statement in rebuild:
            conn.execute(statement)
        conn.execute("VACUUM (ANALYZE)")


def load(job: Job) -> None:
    """Makes the customers of one job and stores them in one transaction."""
    rows = Rows(job)
    rng = random.Random(f"{job.seed} {job.first}")
    before = None
    for number in range(job.first, job.last):
        one = person(rng, number, job.now)
        if one.state == "merged" and before is None:
            one.state = "erased"
        rows.add(one, before)
        if one.state == "active":
            before = one.customer_id
    rows.store()


class Rows:
    """The rows of some customers, table by table."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._root = RootSecret(job.secret)
        self._service = ServiceKeys.from_key(job.service_key)
        self._rng = random.Random(f"ids {job.seed} {job.first} {job.last}")
        self._tables: dict[str, list[tuple[Any, ...]]] = {name: [] for name in COLUMNS}

    def add(self, one: Customer, survivor: UUID | None) -> None:
        """One customer with all that is theirs; `survivor` is whom a merged one went into."""
        owner, now = one.customer_id, self._job.now
        created = now - timedelta(days=800)
        merged_into = survivor if one.state == "merged" else None
        self._tables["customer"].append((owner, one.state, merged_into, one.time_zone, one.segment, created))
        if one.state == "erased":
            self._tables["erased_identifier"].append(("email", self._hash("email", email(one.number)), now))
            return
        if one.state == "merged":
            assert survivor is not None
            self._own(survivor, "email", email(one.number), None, created)
            return
        clear = os.urandom(32)
        self._tables["customer_key"].append((owner, self._root.wrap(owner, clear), self._root.secret_id))
        key = DataKey(clear)
        for kind, value in one.identifiers:
            self._own(owner, kind, value, key, created)
        shown = {"id": str(owner), "identifiers": [f"{kind}:{value}" for kind, value in one.identifiers]}
        self._event(key, owner, "customer.created", created, {"before": None, "after": shown, "source": "import"})
        self._turned(one, key)
        self._stopped(one)
        self._contacted(one, key)

    def store(self) -> None:
        """Copies everything into the tables."""
        with psycopg.connect(self._job.owner_url) as conn, conn.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            for table, rows in self._tables.items():
                columns = [column.split(":") for column in COLUMNS[table].split()]
                copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
                    sql.Identifier(table), sql.SQL(", ").join(sql.Identifier(name) for name, _ in columns)
                )
                with cursor.copy(copy) as out:
                    out.set_types([type_ for _, type_ in columns])
                    for row in rows:
                        out.write_row(row)

    def _own(self, owner: UUID, kind: str, value: str, key: DataKey | None, at: datetime) -> None:
        hashed = self._hash(kind, value)
        self._tables["identifier_owner"].append((kind, hashed, NOBODY, owner))
        if key is not None:
            sealed = key.seal(value.encode(), kind.encode() + b"\0" + hashed)
            self._tables["identifier"].append((owner, kind, hashed, sealed, at))

    def _hash(self, kind: str, value: str) -> bytes:
        return self._service.identity_hash(kind, value)

    def _event(self, key: DataKey, owner: UUID, type_: str, at: datetime, details: dict[str, Any]) -> UUID:
        event = Event(owner, type_, ACTOR, at, details, UUID(int=self._rng.getrandbits(128)))
        # What seal_bytes does, without its look for what the fast encoder would write otherwise: nothing here.
        salt, written = os.urandom(SALT_BYTES), orjson.dumps(event.content(), option=orjson.OPT_SORT_KEYS)
        committed, clear = commitment(salt, written), salt + written
        self._tables["event"].append((owner, event.event_id, type_, at, committed))
        self._tables["event_content"].append((owner, event.event_id, key.seal(clear, event.event_id.bytes)))
        return event.event_id

    def _turned(self, one: Customer, key: DataKey) -> None:
        at = one.turned_at
        if at is None:
            return
        after, rows = [], []
        for (channel, topic), level in one.dials.items():
            lasts = level != "silent" and topic.startswith("offers")
            expires = at + CONSENT_LASTS if lasts else None
            after.append(
                {"channel": channel, "topic": topic, "level": level,
                 "expires_at": format_time(expires) if expires else None}
            )  # fmt: skip
            rows.append((one.customer_id, channel, topic, level, at, at, at, expires, "web", "customer"))
        before = [one | {"level": None, "expires_at": None} for one in after]
        details = {"occurred_at": format_time(at), "source": "web", "before": before, "after": after, "louder": True}
        event_id = self._event(key, one.customer_id, "dials.changed", at, details)
        self._tables["dial"].extend((*row, event_id) for row in rows)

    def _stopped(self, one: Customer) -> None:
        owner, now, nobody = one.customer_id, self._job.now, UUID(int=0)
        for channel, until in one.pauses:
            set_at = min(now, until) - timedelta(days=1)
            self._tables["pause"].append((owner, channel, until, set_at, "web", "customer", nobody))
        if one.suppression:
            some_id = UUID(int=self._rng.getrandbits(128))
            self._tables["suppression"].append((owner, some_id, one.suppression, now, "desk", nobody))
        if one.point_suppressed:
            some_id, hashed = UUID(int=self._rng.getrandbits(128)), self._hash("email", email(one.number))
            self._tables["point_suppression"].append(("email", hashed, some_id, "marketing", now, "desk", nobody))

    def _contacted(self, one: Customer, key: DataKey) -> None:
        owner = one.customer_id
        for channel, topic, begin, end in one.permits:
            permit_id = UUID(int=self._rng.getrandbits(128))
            self._tables["permit"].append(
                (owner, permit_id, "seeds", channel, topic, begin, begin, end, True, UUID(int=0))
            )
        for channel, topic, at in one.contacts:
            essential = topic in ESSENTIAL
            reason = "essential" if essential else "allowed"
            decision = {"allowed": True, "reason": reason, "level": None if essential else "weekly",
                        "remaining": None if essential else 1, "customer_id": str(owner),
                        "decided_at": format_time(at), "governed_by": [_GOVERNED]}  # fmt: skip
            details = {"channel": channel, "topic": topic, "campaign": None, "source": "api", "decision": decision}
            event_id = self._event(key, owner, "contact.recorded", at, details)
            contact_id = UUID(int=self._rng.getrandbits(128))
            row = (owner, contact_id, "seeds", channel, topic, at, at, True, reason, not essential, event_id)
            self._tables["contact"].append(row)


_GOVERNED = {"kind": "dial", "channel": "*", "topic": "offers", "level": "weekly", "mode": "capped", "contacts": 1,
             "per": "P7D", "used": 0, "room": 1, "role": "customer", "source": "web"}  # fmt: skip


def _add_hot_customer(job: Job) -> None:
    hot = Customer(job.first, customer_id(job.first), identifiers=[("email", email(job.first))])
    hot.dials, hot.turned_at = {("*", HOT_TOPIC): "everything", ("*", "offers"): "weekly"}, job.now - timedelta(days=1)
    hot.contacts = [("email", "offers", job.now - timedelta(hours=1))]
    rows = Rows(job)
    rows.add(hot, None)
    rows.store()


def _service_key(conn: psycopg.Connection, secret: bytes) -> bytes:
    row = conn.execute("SELECT wrapped_key FROM customer_key WHERE customer_id = %s", [NOBODY]).fetchone()
    assert row is not None, "the service has made its key when it applied the catalogue"
    return RootSecret(secret).unwrap(NOBODY, row[0])


def _drop_indexes(conn: psycopg.Connection) -> list[sql.Composed]:
    """Drops keys and indexes of the tables to fill; the statements that make them again."""
    tables = list(COLUMNS)
    constraints = conn.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        # Those of other tables that point here as well: what they point at goes first otherwise.
        " WHERE (conrelid::regclass::text = ANY (%s) OR confrelid::regclass::text = ANY (%s))"
        " AND contype IN ('p', 'u', 'f')"
        " ORDER BY contype = 'f', conrelid::regclass::text",
        [tables, tables],
    ).fetchall()
    for table, name, _ in reversed(constraints):
        conn.execute(_alter(table, "DROP CONSTRAINT {}", name))
    indexes = conn.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = ANY (%s)", [tables]
    ).fetchall()
    for name, _ in indexes:
        conn.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    again = [sql.Composed([sql.SQL(definition)]) for _, definition in indexes]
    keys = [_alter(table, "ADD CONSTRAINT {} " + definition, name) for table, name, definition in constraints]
    return [*keys, *again]


def _alter(table: str, change: str, name: str) -> sql.Composed:
    return sql.SQL("ALTER TABLE {} ").format(sql.Identifier(table)) + sql.SQL(change).format(sql.Identifier(name))
