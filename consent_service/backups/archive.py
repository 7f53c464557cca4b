"""The file of a backup: what pg_dump wrote (custom format), and a last line of ours that proves it whole.

pg_restore reads such a file as it is; it does not notice that the end is missing, so the last line holds size
and SHA-256 of what stands before it. A file gets its name only when it is complete and on disk. The file holds
no secret key, and must never be readable by others: names in it are sealed, but dials and contacts are clear.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

MARK = b"\nconsent-service backup "
LONGEST_LAST_LINE = 1024
BLOCK_BYTES = 1 << 20


class BackupError(Exception):
    """No backup was made, or none restored; the text is one line for the operator."""


@dataclass(frozen=True)
class Facts:
    """What the last line says.

    Args:
        made_at: when the backup began, by the database's clock (RFC 3339): what came later is not inside.
        schema: the newest migration that the database had.
    """

    made_at: str
    schema: str


@contextlib.contextmanager
def new_file(path: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """A file to write, which becomes `path` when the block ends well; otherwise nothing is left.

    It is written as `path.part`; killed, a process leaves that, and the next one takes it over.

    Raises:
        BackupError: `path` is there already, or another process is writing it.
        OSError: the disk is full, the folder may not be written to.
    """
    _refuse_existing(path, overwrite)
    part = path.with_name(path.name + ".part")
    with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"another process writes {part}: wait for it") from None
        try:
            os.fchmod(file.fileno(), 0o600)
            file.truncate()
            yield file
            file.flush()
            os.fsync(file.fileno())
            _refuse_existing(path, overwrite)
            part.rename(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    _sync_folder(path.parent)


def seal(file: BinaryIO, facts: Facts) -> None:
    """Writes the last line under what the file holds."""
    size, digest = _digest(file, None)
    file.seek(size)
    line = json.dumps({**asdict(facts), "bytes": size, "sha256": digest}, sort_keys=True)
    file.write(MARK + line.encode() + b"\n")


def read_facts(path: Path) -> Facts:
    """What the last line says, after the whole file was read and found to be as it was written.

    Raises:
        BackupError: it is no backup, it is cut off, or something in it was changed.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - LONGEST_LAST_LINE))
        _, mark, line = file.read().rpartition(MARK)
        if not mark:
            raise BackupError(f"{path} is not a whole backup of consent-service: its last line is missing")
        try:
            said = json.loads(line)
            facts = Facts(made_at=str(said["made_at"]), schema=str(said["schema"]))
            expected = (int(said["bytes"]), str(said["sha256"]))
        except (ValueError, KeyError, TypeError):
            raise BackupError(f"{path} is not a whole backup: its last line cannot be read") from None
        if expected[0] != end - len(MARK) - len(line) or _digest(file, expected[0]) != expected:
            raise BackupError(f"{path} is damaged: it is not what was written at {facts.made_at}; take another one")
    return facts


def _digest(file: BinaryIO, size: int | None) -> tuple[int, str]:
    """(bytes, SHA-256) of the file's beginning, None: of all of it."""
    file.seek(0)
    digest, read = hashlib.sha256(), 0
    while block := file.read(BLOCK_BYTES if size is None else min(BLOCK_BYTES, size - read)):
        digest.update(block)
        read += len(block)
    return read, digest.hexdigest()


def _refuse_existing(path: Path, overwrite: bool) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode):
        raise BackupError(f"{path} is not a file: name another one")
    if not overwrite:
        raise BackupError(f"{path} is there already: name another file, or say --force")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
