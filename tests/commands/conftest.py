"""Runs commands of the program in this process, on the test's database."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from consent_service.cli import run
from tests.support.api import Api


@dataclass(frozen=True)
class Done:
    """What a command left on the terminal."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]


def without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes away what a developer may have set."""
    for name in os.environ:
        if name == "DATABASE_URL" or name.startswith("CONSENT_"):
            monkeypatch.delenv(name)


@pytest.fixture
def command(api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`command("keys", "list")`: runs it on the database of `api`."""
    without_settings(monkeypatch)
    for name, value in api.made.environment().items():
        monkeypatch.setenv(name, value)

    def call(*arguments: object) -> Done:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    return call


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """`write("a,b\\n1,2\\n")`: a CSV file with exactly these characters (or bytes)."""

    def made(text: str | bytes, name: str = "input.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return made


def rows(path: Path) -> list[dict[str, str]]:
    """A CSV file that a command wrote."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def rejects(path: Path) -> list[tuple[int, str]]:
    """(line, code) of the rejected rows of a file; none when there is no such file."""
    kept = path.with_name(path.name + ".rejects.csv")
    return [(int(row["line"]), row["code"]) for row in rows(kept)] if kept.exists() else []
