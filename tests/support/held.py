"""The service on a socket that its parent holds, passed on as systemd does it: LISTEN_FDS, LISTEN_PID."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.cluster import TestDatabase, clean_environment, wait_until_live
from tests.support.processes import children_of

# Becomes the service, in the same process: LISTEN_PID is its own.
_SHIM = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, "-m", "consent_service", *sys.argv[2:]])
"""


class HeldService:
    """`consent-service web`, started and stopped at will while one socket goes on listening."""

    def __init__(self, database: TestDatabase, settings: Mapping[str, str], *, workers: int, log: Path) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port: int = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self._environment = clean_environment() | database.environment(**settings)
        self._workers = workers

    def start(self) -> None:
        """Starts it; returns at once."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _SHIM, str(self.listener.fileno()), "web", "--workers", str(self._workers)],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[self.listener.fileno()],
            )

    def wait_until_live(self) -> None:
        """Returns when it answers."""
        assert self.process is not None
        wait_until_live(self.url, self.process, self.log)

    def stop(self) -> int:
        """Asks it to end and waits; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def workers(self) -> set[int]:
        """The process ids of its workers."""
        assert self.process is not None
        return set(children_of(self.process.pid))


@contextlib.contextmanager
def held_service(
    database: TestDatabase, settings: Mapping[str, str] | None = None, *, workers: int = 2
) -> Iterator[HeldService]:
    """The service on a socket of our own, answering."""
    handle, name = tempfile.mkstemp(prefix="consent-held-", suffix=".log")
    os.close(handle)
    service = HeldService(database, settings or {}, workers=workers, log=Path(name))
    try:
        service.start()
        service.wait_until_live()
        yield service
    finally:
        if service.process is not None and service.process.poll() is None:
            service.stop()
        service.listener.close()
        service.log.unlink(missing_ok=True)
