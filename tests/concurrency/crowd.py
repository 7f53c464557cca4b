"""Many clients of one running service: real gunicorn, real PostgreSQL, real sockets.

A `Stage` is a service with the tests' catalogue and keys; a `Caller` is one client with one kept-alive
connection; `at_once` lets a crowd of callers start together.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

import orjson
import psycopg

from tests.support.api import CATALOGUE, EVIDENCE, NOTICE, Api
from tests.support.cluster import Cluster, TestDatabase, web_service

CLIENTS = 64
CAMPAIGNS = 4
# The server closes a connection that has rested for 15 seconds.
LONGEST_REST_SECONDS = 8.0
ANSWER_SECONDS = 60.0
# What is looked at here is what is answered, not when: a crowd on a slow machine waits long.
PATIENT = {"CONSENT_ANSWER_TIMEOUT_SECONDS": "40", "CONSENT_LOCK_TIMEOUT_SECONDS": "30"}

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Reply:
    """What a caller got."""

    status: int
    body: Any

    @property
    def reason(self) -> str:
        """Of a decision, granted or refused."""
        decision: Mapping[str, Any] = self.body.get("decision", self.body)
        return str(decision["reason"])


class Caller:
    """One client, one connection, one key; not to be shared between threads."""

    def __init__(self, port: int, key: str, seen: list[int]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
        self.key = key
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._seen = seen
        self._last_used = time.monotonic()

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """One request; every status is noted on the stage."""
        self.send(method, path, body, **headers)
        return self.receive()

    def receive(self) -> Reply:
        """The answer to what was sent."""
        response = self._connection.getresponse()
        content = response.read()
        self._last_used = time.monotonic()
        self._seen.append(response.status)
        return Reply(response.status, orjson.loads(content) if content else None)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> None:
        """Sends a request and waits for nothing."""
        if time.monotonic() - self._last_used > LONGEST_REST_SECONDS:
            self.hang_up()
        sent = None if body is None else orjson.dumps(body)
        self._connection.request(method, path, sent, {**self._headers, **headers})

    def post(self, path: str, body: Any, **headers: str) -> Reply:
        """POST; see call."""
        return self.call("POST", path, body, **headers)

    def turn(self, customer_id: str, *places: tuple[str, str, str]) -> Reply:
        """Turns dials, with all that louder ones need."""
        changes = [{"channel": channel, "topic": topic, "level": level} for channel, topic, level in places]
        wish = {"changes": changes, "source": "phone", "evidence": EVIDENCE, "notice": NOTICE}
        return self.call("PATCH", f"/v1/customers/{customer_id}/dials", wish)

    @property
    def port(self) -> int | None:
        """This end of the connection, which there is after a call; None when the server has asked to end it."""
        sock = self._connection.sock
        return int(sock.getsockname()[1]) if sock is not None else None

    def hang_up(self) -> None:
        """Ends the connection; the next call opens another one, perhaps to another worker."""
        self._connection.close()


@dataclass
class Stage:
    """A running service with two workers and what its callers need.

    `pid` is the one of gunicorn's master.
    `statuses` holds every status that any caller was answered with; `deadlocks` is known after the end.
    """

    database: TestDatabase
    port: int
    pid: int
    keys: Mapping[str, str]
    campaigns: Sequence[str]
    auditor: Caller = field(init=False)
    statuses: list[int] = field(default_factory=list)
    deadlocks: int | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _made: list[Caller] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.auditor = self.caller("auditor")

    def caller(self, role: str = "campaign") -> Caller:
        """A new client; campaign callers are spread over the campaign keys."""
        key = self.campaigns[next(self._numbers) % CAMPAIGNS] if role == "campaign" else self.keys[role]
        made = Caller(self.port, key, self.statuses)
        self._made.append(made)
        return made

    def caller_like(self, other: Caller) -> Caller:
        """A new client with the same key."""
        made = Caller(self.port, other.key, self.statuses)
        self._made.append(made)
        return made

    def customers(self, number: int, *places: tuple[str, str, str], address: str | None = None) -> list[str]:
        """Ids of new customers with these dials, who may share a postal address."""
        desks = [self.caller("desk") for _ in range(min(number, 8))]

        def make(desk: Caller, count: int) -> list[str]:
            return [self._customer(desk, places, address) for _ in range(count)]

        shares = [len(range(place, number, len(desks))) for place in range(len(desks))]
        made = at_once([partial(make, desk, count) for desk, count in zip(desks, shares, strict=True)])
        return [one for some in made for one in some]

    def _customer(self, desk: Caller, places: Sequence[tuple[str, str, str]], address: str | None) -> str:
        names = [f"email:c{uuid4().hex}@example.com", *([f"postal:{address}"] if address else [])]
        made = desk.post("/v1/customers", {"identifiers": names})
        assert made.status == 201, made
        customer_id = str(made.body["id"])
        turned = desk.turn(customer_id, *places)
        assert turned.status == 200, turned
        return customer_id

    def rows(self, statement: str, *values: Any, **named: Any) -> list[tuple[Any, ...]]:
        """What the owner of the database reads there."""
        with psycopg.connect(self.database.owner_url, autocommit=True) as conn:
            return conn.execute(statement.encode(), named or values).fetchall()

    def close(self) -> None:
        """Ends every caller's connection."""
        for one in self._made:
            one.hang_up()


@contextlib.contextmanager
def stage(cluster: Cluster, catalogue: Mapping[str, Any] = CATALOGUE, **settings: str) -> Iterator[Stage]:
    """A service with two workers on a database of its own; `settings` go into its environment."""
    database = cluster.migrated()
    try:
        api = Api(database, catalogue)
        campaigns = [api.key("campaign", f"campaign {number}", ["*"]) for number in range(CAMPAIGNS)]
        api.close()
        with web_service(database, workers=2, settings=PATIENT | settings) as service:
            made = Stage(database, service.port, service.process.pid, api.keys, campaigns)
            before = _deadlocks(made)  # the database may have served others
            try:
                yield made
            finally:
                made.close()
        # The server counts when a connection ends, and by now the service's have.
        made.deadlocks = _deadlocks(made) - before
    finally:
        cluster.drop(database)


def _deadlocks(made: Stage) -> int:
    return int(made.rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")[0][0])


def at_once(works: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """Runs each work in a thread of its own, all from the same moment on; their answers in the order given."""
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], Answer]) -> Answer:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def pairs(usual: int) -> int:
    """How many pairs of acts a test plays: CONSENT_TEST_PAIRS, or what the usual run has time for."""
    return int(os.environ.get("CONSENT_TEST_PAIRS", usual))


def asked(customer_id: str, channel: str = "email", topic: str = "offers/wine") -> dict[str, str]:
    """What a check, a permit or a contact asks."""
    return {"customer": f"id:{customer_id}", "channel": channel, "topic": topic}
