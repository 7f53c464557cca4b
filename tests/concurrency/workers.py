"""Which process of a running service is which: the workers under a master, and the one that serves a connection.

Linux tells it in /proc; elsewhere the tests that need it are skipped.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest

from tests.concurrency.crowd import Caller, Stage

_SOCKET = re.compile(r"socket:\[(\d+)\]")
_ESTABLISHED = "01"
MOST_CONNECTIONS = 64


def workers_of(master: int) -> list[int]:
    """Process ids of gunicorn's workers."""
    children = Path(f"/proc/{master}/task/{master}/children")
    if not children.exists():
        pytest.skip("this system does not tell the children of a process")
    return [int(one) for one in children.read_text(encoding="ascii").split()]


def worker_behind(caller: Caller, stage: Stage) -> int | None:
    """The worker that has accepted the caller's connection; None when none has yet, or there is none."""
    if caller.port is None:
        return None
    inode = _inode(stage.port, caller.port)
    return next((worker for worker in workers_of(stage.pid) if inode in _sockets(worker)), None)


def caller_of(stage: Stage, role: str, worker: int) -> Caller:
    """A new client whose connection is served by this worker."""
    others = []
    for _ in range(MOST_CONNECTIONS):
        made = stage.caller(role)
        assert made.call("GET", "/health/live").status == 200
        if worker_behind(made, stage) == worker:
            break
        others.append(made)  # and kept, so that this worker's turn comes
    else:
        raise AssertionError(f"of {MOST_CONNECTIONS} connections none came to worker {worker}")
    for one in others:
        one.hang_up()
    return made


def _inode(local_port: int, remote_port: int) -> str | None:
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        local, remote, state = fields[1:4]
        ports = (int(local.rpartition(":")[2], 16), int(remote.rpartition(":")[2], 16))
        if ports == (local_port, remote_port) and state == _ESTABLISHED:
            return fields[9]
    return None


def _sockets(process: int) -> set[str]:
    found = set()
    with contextlib.suppress(FileNotFoundError):  # it has just ended
        for one in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                match = _SOCKET.fullmatch(str(one.readlink()))
                if match:
                    found.add(match[1])
    return found
