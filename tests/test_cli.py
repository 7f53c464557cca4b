"""The command line: what goes wrong is one line, and commands start the embedded database themselves."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, TestDatabase, clean_environment


def command(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "consent_service", *arguments],
        env=clean_environment() | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[TestDatabase]:
    made = cluster.empty()
    yield made
    cluster.drop(made)


def test_help_names_the_commands() -> None:
    shown = command("--help")
    assert shown.returncode == 0
    for name in ("serve", "web", "worker", "migrate", "keys", "catalogue"):
        assert name in shown.stdout


@pytest.mark.parametrize("name", ["serve", "web", "worker", "migrate"])
def test_a_bad_setting_is_one_line_and_exit_code_2(name: str) -> None:
    done = command(name, CONSENT_WEB_WOKRERS="2")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "CONSENT_WEB_WOKRERS" in done.stderr


@pytest.mark.parametrize("name", ["migrate", "worker"])
def test_a_database_that_does_not_answer_is_one_line_and_exit_code_1(name: str) -> None:
    done = command(name, DATABASE_URL="postgresql://ann:hidden-word@127.0.0.1:1/d", CONSENT_SECRET_KEY="s" * 32)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "hidden-word" not in done.stderr


def test_a_database_without_schema_says_what_to_do(empty: TestDatabase) -> None:
    done = command("keys", "list", **empty.environment())
    assert done.returncode == 1
    assert "consent-service migrate" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_migrate_says_what_it_did(empty: TestDatabase) -> None:
    first = command("migrate", **empty.environment())
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[0] == "applied 0001_catalogue"
    assert command("migrate", **empty.environment()).stdout == "the schema is up to date\n"


def test_commands_start_the_embedded_database_and_keep_what_they_wrote() -> None:
    folder = Path(tempfile.mkdtemp(prefix="consent-cli-"))
    try:
        environ = {"CONSENT_DATA_DIR": str(folder / "data")}
        made = command("keys", "create", "--role", "desk", "--name", "front desk", **environ)
        assert made.returncode == 0, made.stderr
        listed = command("keys", "list", **environ)
        assert "front desk" in listed.stdout
        assert made.stdout.splitlines()[-1] not in listed.stdout
    finally:
        shutil.rmtree(folder, ignore_errors=True)
