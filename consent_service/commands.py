"""What the commands of the slices share: the opened database with its keys, and the progress bar."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import click
from tqdm import tqdm

from consent_service.database import Database
from consent_service.database.opening import open_database
from consent_service.keyring.service import Keyring
from consent_service.settings import Settings

FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)


@dataclass(frozen=True)
class Opened:
    """The database of this command, and the keys to it."""

    database: Database
    keyring: Keyring


@contextlib.contextmanager
def opened() -> Iterator[Opened]:
    """The database of DATABASE_URL, else the embedded one: the running one, or one started and stopped.

    Raises:
        SettingsError, ConsentError: it cannot be opened.
    """
    settings = Settings.from_environment(os.environ)
    with open_database(settings) as database:
        yield Opened(database, Keyring(*settings.secrets))


@contextlib.contextmanager
def cleaning_up() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does: what it made is removed on the way out.

    Raises:
        KeyboardInterrupt: one of them came.
    """
    words = (signal.SIGTERM, signal.SIGHUP)
    before = {word: signal.signal(word, signal.default_int_handler) for word in words}
    try:
        yield
    finally:
        for word, handler in before.items():
            signal.signal(word, handler)


def progress(total: int | None, unit: str = "rows") -> tqdm[NoReturn]:
    """A progress bar with rate on standard error; silent when that is no terminal."""
    return tqdm(total=total, unit=f" {unit}", file=sys.stderr, disable=not sys.stderr.isatty(), smoothing=0.1)


def lines_of(path: Path) -> int:
    """How many lines a file has, for a progress bar."""
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
