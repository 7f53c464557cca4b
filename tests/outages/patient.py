"""A running service whose PostgreSQL can be stopped, frozen and thawed, and what its callers see meanwhile."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psycopg

from consent_service.database.embedded import EmbeddedServer
from tests.support.api import CATALOGUE, Api
from tests.support.cluster import Cluster, WebService, cluster, web_service

# What the service promises of an outage and of its end. A loaded machine of the tests gets a little on top.
SECONDS = 2.0
GRACE_SECONDS = 0.7
TRIES = 200


@dataclass(frozen=True)
class Seen:
    """One answer and how long it took."""

    status: int
    seconds: float
    headers: Mapping[str, str]
    body: Any


@dataclass
class Patient:
    """The service, its database server, and a customer who may be contacted."""

    cluster: Cluster
    web: WebService
    key: str
    customer: str
    owner_url: str
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def server(self) -> EmbeddedServer:
        """The PostgreSQL under it."""
        return self.cluster.server

    def ask(self, path: str = "/v1/permissions/check", body: Any = None) -> Seen:
        """One request on a connection of its own."""
        conn = http.client.HTTPConnection("127.0.0.1", self.web.port, timeout=20)
        question = {"customer": self.customer, "channel": "email", "topic": "offers/wine"}
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        begin = time.monotonic()
        try:
            if path.startswith("/health"):
                conn.request("GET", path)
            else:
                conn.request("POST", path, orjson.dumps(body or question), headers)
            answer = conn.getresponse()
            content = answer.read()
        finally:
            conn.close()
        seconds = time.monotonic() - begin
        return Seen(answer.status, seconds, dict(answer.getheaders()), orjson.loads(content))

    def expect_refusals(self) -> None:
        """Every answer comes in time: nothing is decided, nobody reads it as a yes, and live is live."""
        for path in ("/v1/permissions/check", "/v1/contacts", "/v1/permits", "/health/ready"):
            seen = self.ask(path)
            assert seen.status == 503, seen
            assert seen.body["code"] == "decision_unavailable"
            assert "allowed" not in seen.body
            assert seen.headers["Retry-After"] == "1"
            assert seen.seconds <= SECONDS + GRACE_SECONDS, (path, seen.seconds)
            live = self.ask("/health/live")
            assert live.status == 200
            assert live.seconds <= 1, live.seconds

    def expect_recovery(self) -> None:
        """Within the promised time of the cure, which is now, a check is answered and the service is ready."""
        begin = time.monotonic()
        while (seen := self.ask()).status != 200:
            assert seen.status == 503, seen
            assert time.monotonic() - begin <= SECONDS + GRACE_SECONDS, "it does not come back"
            time.sleep(0.05)
        assert time.monotonic() - begin <= SECONDS + GRACE_SECONDS
        assert seen.body["allowed"] is True
        assert self.ask("/health/ready").status == 200
        # No connection of before is met again by others.
        assert {self.ask().status for _ in range(20)} == {200}

    def pids(self) -> list[int]:
        """The server's processes, the postmaster first."""
        postmaster = int((self.server.data / "postmaster.pid").read_text().split("\n")[0])
        children = [
            int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and _parent(path) == postmaster
        ]
        return [postmaster, *children]

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """The server as a whole gets no time: sockets stay open and nothing comes out of them."""
        stopped: list[int] = []
        try:
            for pid in self.pids():
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
            yield
        finally:
            for pid in reversed(stopped):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def stop_server(self) -> None:
        """An immediate shutdown: connections break, as in a crash."""
        os.kill(self.pids()[0], signal.SIGQUIT)

    def start_server(self) -> None:
        """Starts it again, once it has ended."""
        for _ in range(TRIES):
            if self.server.restart_if_dead():
                return
            time.sleep(0.05)
        raise AssertionError("PostgreSQL does not end")

    def owner(self) -> psycopg.Connection[Any]:
        """A connection of the database's owner."""
        return psycopg.connect(self.owner_url, autocommit=True)


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


@contextlib.contextmanager
def patient(**settings: str) -> Iterator[Patient]:
    """A service with two workers on a server of its own, and Ben, who loves wine."""
    with cluster() as own:
        database = own.migrated()
        api = Api(database, CATALOGUE)
        ben = api.customer("email:ben@example.com")
        assert api.turn(ben, ("*", "offers", "everything")).status_code == 200
        key = api.keys["campaign"]
        api.close()
        with web_service(database, workers=2, settings=settings) as web:
            yield Patient(own, web, key, f"id:{ben}", database.owner_url)
