"""A disk that is full: errors that say so, never a yes and never a wait without end; with room again, all is as before.

The data directory lies on a small file system of its own, in memory, that is mounted for the test.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from consent_service.customers.ids import decode_id
from consent_service.database.embedded import EmbeddedServer
from tests.faults.load import ABOUT
from tests.faults.served import Caller, Reply, Served, eventually, serving
from tests.support.api import EVIDENCE, NOTICE

MEGABYTE = 2**20
DISK = 160 * MEGABYTE
CATALOGUE = Path(__file__).parents[1] / "support" / "catalogue.yaml"
RECOVERY_SECONDS = 30.0
LONGEST_ANSWER_SECONDS = 10.0


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small file system."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder = Path(tempfile.mkdtemp(prefix="consent-disk-"))
    options = ["-t", "tmpfs", "-o", f"size={DISK},mode=0711", "tmpfs", str(folder)]
    mounted = subprocess.run(["mount", *options], capture_output=True, text=True)
    if mounted.returncode:
        folder.rmdir()
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


class Client:
    """Someone who contacts one customer who takes everything, and remembers what was confirmed."""

    def __init__(self, served: Served) -> None:
        assert served.command("catalogue", "apply", str(CATALOGUE)).returncode == 0
        desk, campaign = served.key("desk", "desk"), served.key("campaign", "newsletter", "--topic", "*")
        self.desk, self.caller = Caller(served.port, desk), Caller(served.port, campaign)
        made = self.desk.once("POST", "/v1/customers", {"identifiers": ["email:full@example.com"]})
        assert made is not None
        self.customer = str(made.body["id"])
        self.turn("everything")
        self.confirmed: set[str] = set()

    def turn(self, level: str) -> None:
        change = {"channel": "*", "topic": "offers", "level": level}
        wish = {"changes": [change], "source": "phone", "evidence": EVIDENCE, "notice": NOTICE}
        reply = self.desk.once("PATCH", f"/v1/customers/{self.customer}/dials", wish)
        assert reply is not None
        assert reply.status == 200, reply

    def contact(self) -> Reply | None:
        """One contact; what is no 201 must be a 503 with its code, or a connection that broke."""
        body = {"customer": f"id:{self.customer}", **ABOUT, "campaign": "x" * 100}
        reply = self.caller.once("POST", "/v1/contacts", body, **{"Idempotency-Key": str(uuid4())})
        if reply is not None and reply.status == 201:
            self.confirmed.add(reply.body["id"])
        elif reply is not None:
            assert (reply.status, reply.body["code"]) == (503, "decision_unavailable"), reply
        return reply

    def works(self) -> bool:
        reply = self.contact()
        return reply is not None and reply.status == 201


def test_a_full_disk_refuses_clearly_and_is_forgotten_when_there_is_room(disk: Path) -> None:
    with serving(disk, workers=1) as served:
        client = Client(served)
        eventually(client.works, RECOVERY_SECONDS)
        client.turn("silent")
        client.turn("everything")
        ballast = disk / "ballast"

        fill(ballast)
        eventually(lambda: not client.works(), 120)
        ballast.unlink()
        eventually(client.works, RECOVERY_SECONDS)

        # No room for the next file of the write-ahead log: PostgreSQL gives itself up, and cannot come back.
        fill(ballast)
        with contextlib.suppress(psycopg.Error), owner(served) as conn:
            for _ in range(50):
                conn.execute("SELECT pg_switch_wal()")
                client.contact()
        eventually(lambda: "tried again" in served.log.read_text(), RECOVERY_SECONDS)
        for _ in range(5):
            assert not client.works()
            time.sleep(0.1)
        live = client.caller.once("GET", "/health/live")
        assert live is not None
        assert live.status == 200
        assert not client.caller.ready()
        assert served.process.poll() is None
        ballast.unlink()
        eventually(client.works, RECOVERY_SECONDS)

        assert client.caller.slowest < LONGEST_ANSWER_SECONDS
        with owner(served) as conn:
            ledger = {row[0] for row in conn.execute("SELECT contact_id FROM contact")}
        # A contact without an answer may stand as well; none that was confirmed is missing.
        assert {decoded[1] for one in client.confirmed if (decoded := decode_id(one))} <= ledger
        checked = served.command("fsck")
        assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "No space left" in (disk / "data" / "postgres.log").read_text()


def owner(served: Served) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(EmbeddedServer(served.data_dir).owner_url, autocommit=True)


def fill(ballast: Path) -> None:
    """Writes until nothing more goes onto the disk."""
    free = shutil.disk_usage(ballast.parent).free
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, free)
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"0" * 4096)
