"""README.md keeps its word: the tour runs, settings and reasons are all there, commands and links exist."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from consent_service.cli import cli
from consent_service.permissions.model import REASONS
from consent_service.settings import Settings, SettingsError
from tests.support.cluster import clean_environment, free_port, wait_until_live

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MARK = "--- next block ---"


@pytest.fixture(scope="module")
def demo() -> Iterator[dict[str, str]]:
    """`consent-service serve --demo` on a new data directory; what it printed for the shell."""
    folder = Path(tempfile.mkdtemp(prefix="consent-readme-"))
    folder.chmod(0o711)
    port = free_port()
    environment = clean_environment() | {"CONSENT_DATA_DIR": str(folder / "data"), "PYTHONUNBUFFERED": "1"}
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "consent_service", "serve", "--demo", "--port", str(port), "--workers", "1"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
        )
    try:
        wait_until_live(f"http://127.0.0.1:{port}", process, log)
        yield dict(re.findall(r"export (\w+)=(\S+)", log.read_text(encoding="utf-8")))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def blocks() -> list[tuple[str, list[Any]]]:
    """(commands, answers that are promised after them) of the tour."""
    tour = README[README.index("## A tour") : README.index("## The rules")]
    found = re.findall(r"```sh\n(.*?)```\n```json\n(.*?)```", tour, re.DOTALL)
    assert len(found) == tour.count("```sh")
    return [(commands, list(values(promised))) for commands, promised in found]


def values(text: str) -> Iterator[Any]:
    """JSON values that stand one after the other."""
    decoder = json.JSONDecoder()
    text = text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:].strip()


def holds(promised: Any, given: Any) -> bool:
    """True when everything promised is in what was given; lists in the order promised, with others between."""
    if isinstance(promised, dict):
        return isinstance(given, dict) and all(
            key in given and holds(value, given[key]) for key, value in promised.items()
        )
    if isinstance(promised, list):
        rest = iter(given)
        return all(any(holds(value, one) for one in rest) for value in promised)
    return bool(promised == given)


def test_the_tour_says_what_happens(demo: dict[str, str]) -> None:
    curl = shutil.which("curl")
    bash = shutil.which("bash")
    if not curl or not bash:
        pytest.skip("no curl or no bash")
    version = subprocess.run([curl, "--version"], capture_output=True, text=True, check=True).stdout
    numbers = re.search(r"curl (\d+)\.(\d+)", version)
    if not numbers or (int(numbers[1]), int(numbers[2])) < (7, 82):
        pytest.skip("curl is older than 7.82 and has no --json")
    tour = blocks()
    assert len(tour) >= 9
    script = f"\necho; echo '{MARK}'\n".join(commands for commands, _ in tour)
    done = subprocess.run(
        [bash, "-eu", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", **demo},
    )
    assert done.returncode == 0, done.stderr
    for (commands, promised), output in zip(tour, done.stdout.split(MARK), strict=True):
        given = list(values(output))
        assert len(given) == len(promised), output
        for one, other in zip(promised, given, strict=True):
            assert holds(one, other), f"{commands}\npromised {one}\ngiven {other}"


def test_the_table_names_every_setting_and_no_other() -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment({"CONSENT_NO_SUCH_SETTING": "1"})
    known = str(refused.value).split("known are ")[1].split(", ")
    table = README[README.index("## Settings") : README.index("## In earnest")]
    assert sorted(re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE)) == sorted(known)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("CONSENT_WEB_THREADS", "web_threads"),
        ("CONSENT_MAX_BODY_BYTES", "max_body_bytes"),
        ("CONSENT_ADDRESS_REQUESTS_PER_MINUTE", "address_requests_per_minute"),
        ("CONSENT_POOL_TIMEOUT_SECONDS", "pool_timeout_seconds"),
        ("CONSENT_STATEMENT_TIMEOUT_SECONDS", "statement_timeout_seconds"),
        ("CONSENT_LOCK_TIMEOUT_SECONDS", "lock_timeout_seconds"),
        ("CONSENT_PUBLIC_URL", "public_url"),
    ],
)
def test_a_default_is_the_one_that_is_named(name: str, field: str) -> None:
    default = getattr(Settings.without_secret({}), field)
    row = re.search(rf"^\| `{name}` \| `?([^|`]+)`? \|", README, re.MULTILINE)
    assert row is not None
    assert row[1].strip() == (f"{default:g}" if isinstance(default, float) else str(default))


def test_every_reason_is_there_in_the_order_of_the_rules() -> None:
    table = README[README.index("## The rules") : README.index("## The command line")]
    assert tuple(re.findall(r"^\| `([a-z_]+)` \|", table, re.MULTILINE)) == REASONS


def command_lines() -> list[str]:
    """Every call of the program in a block of code."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    code = "\n".join(text for language, text in fences if not language)
    found = re.findall(r"^(?:\$ |\.venv/bin/)?consent-service ([^#>\n]+)", code, re.MULTILINE)
    assert len(found) > 10
    return found


@pytest.mark.parametrize("line", command_lines())
def test_a_command_exists_with_its_options(line: str) -> None:
    words = shlex.split(line)
    command: click.Command = cli
    while isinstance(command, click.Group):
        name = words.pop(0)
        assert name in command.commands, name
        command = command.commands[name]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_every_command_is_named() -> None:
    def names(group: click.Group, before: str = "") -> Iterator[str]:
        for name, command in group.commands.items():
            if isinstance(command, click.Group):
                yield from names(command, f"{before}{name} ")
            else:
                yield f"{before}{name}"

    missing = [name for name in names(cli) if f"consent-service {name}" not in README]
    assert missing == []


def test_every_link_leads_somewhere() -> None:
    text = README + (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http")]
    assert "docs/mixing-desk.svg" in links
    assert [link for link in links if not (ROOT / link).exists()] == []
