"""Ends PostgreSQL servers: our child, or one that an earlier owner of the same data left behind.

Never signals a process that is not our child unless it is a PostgreSQL that works in that very data folder.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from consent_service.database.postgres_programs import EmbeddedServerError

POLL_SECONDS = 0.02

# Fast shutdown; when that hangs an immediate one, which costs the next start a recovery; then the hard way.
_WORDS = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))


def end(process: subprocess.Popen[bytes]) -> None:
    """Stops our own server and waits for its end."""
    for word, seconds in _WORDS:
        process.send_signal(word)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return


def settle_predecessor(data: Path, socket: Path) -> None:
    """Leaves nothing of an earlier server that would keep a new one from starting.

    PostgreSQL refuses to start when the process of its pid file exists, and a zombie, or a stranger that got
    the number, exists. So a server that works in this folder is stopped, and any other number is replaced by
    ours: PostgreSQL passes over its parent's. What else the file says, about shared memory, stays, so that
    backends that survived their server are still noticed.

    Args:
        data: the database's folder; the caller holds the lock, so no other owner is starting a server in it.
        socket: path of the server's socket.

    Raises:
        EmbeddedServerError: the earlier server does not end.
    """
    pid_file = data / "postmaster.pid"
    try:
        lines = pid_file.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except FileNotFoundError:
        return
    if not Path("/proc/self").exists():
        return  # without /proc (macOS) only PostgreSQL's own check is left
    if lines[0].isdigit():
        _stop_orphan(int(lines[0]), data)
    with (
        contextlib.suppress(FileNotFoundError),
        pid_file.open("r+", encoding="utf-8", errors="surrogateescape") as file,
    ):
        file.write("\n".join([str(os.getpid()), *lines[1:]]))
        file.truncate()
    socket.unlink(missing_ok=True)
    socket.with_name(socket.name + ".lock").unlink(missing_ok=True)


def _stop_orphan(pid: int, data: Path) -> None:
    for word, seconds in _WORDS:
        if not _serves(pid, data):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, word)
        deadline = time.monotonic() + seconds
        while _serves(pid, data) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    if _serves(pid, data):
        raise EmbeddedServerError(f"process {pid}, a PostgreSQL of an earlier start, does not end: stop it first")


def _serves(pid: int, data: Path) -> bool:
    """True for a PostgreSQL that works in the folder; a zombie works nowhere, and others' cannot be read."""
    process = Path(f"/proc/{pid}")
    try:
        return (process / "comm").read_bytes().startswith(b"postgres") and (process / "cwd").samefile(data)
    except OSError:
        return False
