"""Which process of a running service is which: the workers under a master, and the one that serves a connection.

Linux tells it in /proc; elsewhere the tests that need it are skipped.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest

_SOCKET = re.compile(r"socket:\[(\d+)\]")
_ESTABLISHED = "01"


def workers_of(master: int) -> list[int]:
    """Process ids of gunicorn's workers."""
    children = Path(f"/proc/{master}/task/{master}/children")
    if not children.exists():
        pytest.skip("this system does not tell the children of a process")
    return [int(one) for one in children.read_text(encoding="ascii").split()]


def worker_behind(client_port: int, service_port: int, master: int) -> int | None:
    """The worker that has accepted the connection between these ports; None when none has yet."""
    inode = _inode(service_port, client_port)
    return next((worker for worker in workers_of(master) if inode in _sockets(worker)), None)


def _inode(local_port: int, remote_port: int) -> str | None:
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        (
            _,
            local,
            remote,
            state,
            *_,
        ) = fields = line.split()
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
