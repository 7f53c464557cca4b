"""A running `consent-service serve` with a data directory of its own, its parts by name, and callers who remember.

What a caller was told is what counts: a call without an answer is made again with the same Idempotency-Key until
it is answered, so that in the end everything is known.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tests.support.cluster import clean_environment, free_port, wait_until_live

ANSWER_SECONDS = 20.0


@dataclass
class Served:
    """The supervisor and where it listens."""

    process: subprocess.Popen[bytes]
    port: int
    data_dir: Path
    environment: Mapping[str, str]
    log: Path

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another command on the same data directory."""
        return subprocess.run(
            [sys.executable, "-m", "consent_service", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def key(self, role: str, name: str, *options: str) -> str:
        """A new key."""
        made = self.command("keys", "create", "--role", role, "--name", name, *options)
        assert made.returncode == 0, made.stderr
        return made.stdout.splitlines()[-1]

    def victims(self, kind: str) -> list[int]:
        """Processes of a kind: `worker of web`, `web`, `postgres`, or its `backend`s that serve the web."""
        web, postgres = self._child("web"), self._child("postgres")
        if kind == "web":
            return [web] if web else []
        if kind == "postgres":
            return [postgres] if postgres else []
        if kind == "worker of web":
            return _children(web) if web else []
        backends = _children(postgres) if postgres else []
        return [pid for pid in backends if b"consent_service" in _command_line(pid)]

    def _child(self, name: str) -> int | None:
        for pid in _children(self.process.pid):
            words = _command_line(pid).split(b"\0")
            if name.encode() in words or Path(words[0].decode(errors="replace")).name == name:
                return pid
        return None


def _children(parent: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(one) for one in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    return []


def _command_line(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@contextlib.contextmanager
def serving(folder: Path, *, workers: int = 2) -> Iterator[Served]:
    """`serve` in a folder, ready; it is stopped at the end."""
    port = free_port()
    environment = clean_environment() | {"CONSENT_DATA_DIR": str(folder / "data")}
    log = folder.parent / f"{folder.name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "consent_service", "serve", "--port", str(port), "--workers", str(workers)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until_live(f"http://127.0.0.1:{port}", process, log)
        served = Served(process, port, folder / "data", environment, log)
        eventually(lambda: Caller(port, "").ready(), 30)
        yield served
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(90)
        finally:
            if process.poll() is None:
                process.kill()
            log.unlink(missing_ok=True)


def eventually(holds: Callable[[], object], seconds: float) -> float:
    """Waits until it holds; how long that took."""
    begin = time.monotonic()
    while not holds():
        assert time.monotonic() - begin < seconds, "it does not come to hold"
        time.sleep(0.02)
    return time.monotonic() - begin


@dataclass
class Reply:
    """An answer."""

    status: int
    body: Any


@dataclass
class Caller:
    """One client with one connection, for one thread. `problems` holds what it should never have been told."""

    port: int
    key: str
    problems: list[str] = field(default_factory=list)
    slowest: float = 0.0
    _connection: http.client.HTTPConnection | None = None

    def once(self, method: str, path: str, body: Any = None, **headers: str) -> Reply | None:
        """The answer, or None: the connection broke, and nobody knows what was done."""
        begin = time.monotonic()
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
            sent = orjson.dumps(body) if body is not None else None
            head = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", **headers}
            self._connection.request(method, path, sent, head)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            self.hang_up()
            return None
        finally:
            self.slowest = max(self.slowest, time.monotonic() - begin)
        return Reply(response.status, orjson.loads(content) if content else None)

    def until_told(self, method: str, path: str, body: Any, key: str, seconds: float) -> Reply:
        """The answer to one request, made again while it has none or is told to ask again."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            reply = self.once(method, path, body, **{"Idempotency-Key": key})
            if reply is not None and not _is_to_be_repeated(reply):
                if reply.status >= 500 or reply.status in (401, 404):
                    self.problems.append(f"{method} {path}: {reply}")
                return reply
            time.sleep(0.02)
        raise AssertionError(f"no answer to {method} {path} in {seconds} s")

    def ready(self) -> bool:
        """True when the service says that it can decide."""
        self.hang_up()
        reply = self.once("GET", "/health/ready")
        return reply is not None and reply.status == 200

    def hang_up(self) -> None:
        """Ends the connection; the next call opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _is_to_be_repeated(reply: Reply) -> bool:
    return reply.status == 503 or (reply.status == 409 and reply.body.get("code") == "idempotency_in_progress")


def kill(pids: list[int]) -> None:
    """Kills processes; one that has just ended is no fault."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
