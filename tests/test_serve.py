"""`consent-service serve`: one thing that starts, keeps running whatever dies, and stops."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.cluster import clean_environment, free_port, wait_until_live


@dataclass
class Served:
    """A running `serve` on a new data directory."""

    process: subprocess.Popen[bytes]
    url: str
    environment: dict[str, str]
    log: Path

    def pid_of(self, name: str) -> int:
        """The child that is `web`, `worker` or `postgres`."""
        for pid in children_of(self.process.pid):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if name.encode() in words or Path(words[0].decode()).name == name:
                return pid
        raise LookupError(name)

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health/ready", timeout=5) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kill(self, name: str) -> None:
        """Kills a child and waits until another one is in its place and the service answers."""
        old = self.pid_of(name)
        os.kill(old, signal.SIGKILL)
        eventually(lambda: self.new_pid(name, old) and self.ready())

    def new_pid(self, name: str, old: int) -> bool:
        try:
            return self.pid_of(name) != old
        except (LookupError, OSError):
            return False


def children_of(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def family_of(parent: int) -> list[int]:
    found = children_of(parent)
    return found + [pid for child in found for pid in family_of(child)]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def eventually(holds: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it does not come to hold"
        time.sleep(0.05)


def command(served: Served, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "consent_service", *arguments],
        env=served.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="consent-serve-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def served(folder: Path) -> Iterator[Served]:
    port = free_port()
    environment = clean_environment() | {"CONSENT_DATA_DIR": str(folder / "data")}
    log = folder / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "consent_service", "serve", "--port", str(port), "--workers", "2"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    started = Served(process, f"http://127.0.0.1:{port}", environment, log)
    try:
        wait_until_live(started.url, process, log)
        eventually(started.ready)
        yield started
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(90)


@pytest.mark.parametrize("word", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_everything_in_order(served: Served, word: int) -> None:
    family = family_of(served.process.pid)
    assert len(family) >= 5
    served.process.send_signal(word)
    assert served.process.wait(60) == 0
    assert [pid for pid in family if not gone(pid)] == []
    log = (Path(served.environment["CONSENT_DATA_DIR"]) / "postgres.log").read_text()
    assert log.rstrip().endswith("database system is shut down")


def test_whatever_is_killed_comes_back(served: Served) -> None:
    for name in ("postgres", "web", "worker", "postgres"):
        served.kill(name)
    assert "it was started again" in served.log.read_text()


def test_who_comes_while_web_is_away_is_served_by_the_next_one(served: Served) -> None:
    old = served.pid_of("web")
    for pid in [*children_of(old), old]:
        os.kill(pid, signal.SIGKILL)
    answers = []
    for _ in range(10):
        with urllib.request.urlopen(f"{served.url}/health/live", timeout=60) as response:
            answers.append(response.status)
    assert answers == [200] * 10


def test_killed_itself_it_leaves_nothing_running_and_starts_again(served: Served) -> None:
    family = family_of(served.process.pid)
    served.process.kill()
    served.process.wait(10)
    eventually(lambda: all(gone(pid) for pid in family))


def test_a_second_one_says_at_once_whom_it_waits_for(served: Served) -> None:
    second = subprocess.Popen(
        [sys.executable, "-m", "consent_service", "serve", "--port", str(free_port())],
        env=served.environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert second.stderr is not None
    try:
        line = second.stderr.readline()
        assert second.poll() is None, "it waits: the first one may be about to end"
    finally:
        second.kill()
        second.wait(10)
        second.stderr.close()
    assert f"process {served.process.pid} uses the embedded database" in line
    assert "waiting" in line


def test_it_says_where_mail_goes_that_no_server_takes(served: Served) -> None:
    where = Path(served.environment["CONSENT_DATA_DIR"]) / "mail"
    eventually(lambda: f"mail is written to {where}" in served.log.read_text())


def test_a_key_made_beside_it_holds_for_the_next_request(served: Served) -> None:
    made = command(served, "keys", "create", "--role", "auditor", "--name", "night shift")
    assert made.returncode == 0, made.stderr
    key = made.stdout.splitlines()[-1]
    for _ in range(4):  # of every worker
        request = urllib.request.Request(f"{served.url}/v1/me", headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.status == 200


def test_a_taken_port_is_one_line(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "consent_service", "serve", "--port", str(port)],
            env=clean_environment() | {"CONSENT_DATA_DIR": str(folder / "other")},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert str(port) in done.stderr
