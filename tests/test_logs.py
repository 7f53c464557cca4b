"""The log: one line of ASCII JSON for what happened, and no value of anybody's in it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from consent_service import logs

MARK = "zq7mark"
BREAKERS = [
    "a\r\nb",
    "\x1b[31mred",
    "\u2028\u2029\x85",
    '"}\n{"event":"forged',
    "\x7f\x9b2J",
    "\U0001f600\u202e",
    "\x00",
]


class Log:
    """What the log says during a test."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_bytes().split(b"\n")[:-1]]

    def text(self) -> str:
        return self.path.read_bytes().decode("ascii")


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """The log, installed in this process and put away again."""
    root, own = logging.getLogger(), logging.getLogger(logs.OWN)
    before = (root.handlers[:], root.level, own.level)
    for module, name in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(logs, "_out", None)
    path = tmp_path / "log"
    with path.open("ab", buffering=0) as file:
        logs.install(file.fileno())
        yield Log(path)
    root.handlers[:], root.level = before[0], before[1]
    own.setLevel(before[2])


def failing() -> Exception:
    """A driver's error as it comes: it quotes a row, and so does its cause."""
    try:
        try:
            raise ValueError(f"invalid literal {MARK}")
        except ValueError as error:
            raise psycopg.errors.UniqueViolation(f"Key (campaign)=({MARK}) already exists.") from error
    except psycopg.Error as error:
        return error


@pytest.mark.parametrize("breaker", [*BREAKERS, "\ud800"])
def test_whatever_is_said_it_is_one_line_of_printable_ascii(log: Log, breaker: str) -> None:
    logging.getLogger("consent_service.web").error("said", extra={"detail": breaker, "request_id": breaker})
    written = log.path.read_bytes()
    assert written.count(b"\n") == 1
    assert all(0x20 <= byte < 0x7F for byte in written[:-1])
    assert log.lines()[0]["detail"] == breaker


def test_a_line_says_when_what_and_by_which_process(log: Log) -> None:
    logs.write("info", "request", {"status": 200})
    [line] = log.lines()
    assert list(line) == ["time", "level", "event", "pid", "status"]
    assert (line["pid"], line["time"][-1]) == (os.getpid(), "Z")


def test_of_an_exception_only_type_and_place_are_told(log: Log) -> None:
    error = failing()
    logging.getLogger("consent_service.web").error("internal error", extra=logs.facts(error))
    logging.getLogger("consent_service.web").error("again", exc_info=error)
    for line in log.lines():
        assert line["error"] == "UniqueViolation < ValueError"
        assert line["sqlstate"] == "23505"
        assert line["place"].startswith("test_logs.py:")
    assert MARK not in log.text()


def test_our_loggers_add_known_fields_only(log: Log) -> None:
    logging.getLogger("consent_service.web").error("said", extra={"customer": MARK, "code": "internal"})
    assert MARK not in log.text()
    assert log.lines()[0]["code"] == "internal"


def test_what_a_library_says_comes_without_its_values(log: Log) -> None:
    pool, server = logging.getLogger("psycopg.pool"), logging.getLogger("gunicorn.error")
    pool.warning("error connecting in %r: %s", MARK, failing())
    server.error("Worker (pid:%s) was sent %s", 4711, MARK)
    server.warning(f"Invalid request from ip={MARK}")
    server.warning("%(name)s", {"name": MARK})
    logging.getLogger("asyncio").error(ValueError(MARK))
    try:
        raise failing()
    except psycopg.Error:
        server.exception("Error handling request %s", f"/{MARK}")
    events = [line["event"] for line in log.lines()]
    assert events[:2] == [
        "error connecting in \u2026: UniqueViolation < ValueError",
        "Worker (pid:4711) was sent \u2026",
    ]
    assert events[2:4] == ["told by a library"] * 2
    assert log.lines()[-1]["error"] == "UniqueViolation < ValueError"
    assert all(line["place"] and line["logger"] for line in log.lines())
    assert MARK not in log.text()


def test_what_nobody_catches_is_told_without_its_text(log: Log) -> None:
    error = failing()
    sys.excepthook(type(error), error, error.__traceback__)
    thread = threading.Thread(target=lambda: exec("raise ValueError('zq7mark')"))  # noqa: S102
    thread.start()
    thread.join()
    sys.unraisablehook(type("Args", (), {"exc_value": error, "err_msg": MARK, "object": MARK})())  # type: ignore[arg-type]
    warnings.showwarning(UserWarning(MARK), UserWarning, f"/home/{MARK}/code.py", 12)
    assert [line["level"] for line in log.lines()] == ["critical", "error", "error", "warning"]
    assert MARK not in log.text()


def test_a_log_that_nobody_reads_stops_nothing(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr(logs, "_out", writer)
    logs.write("info", "request", {})
    os.close(writer)
    logs.write("info", "request", {})


def test_before_it_is_installed_the_log_is_silent_and_the_operator_is_told_in_plain_words(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_out", None)
    logs.write("info", "request", {})
    logs.say("stopped")
    assert capfd.readouterr().err == "consent-service: stopped\n"


def test_the_operator_is_told_in_a_line_of_the_log_where_there_is_no_terminal(log: Log) -> None:
    logs.say("stopped")
    assert log.lines()[0]["event"] == "stopped"


def test_a_command_that_meets_a_bug_says_where_and_no_more(tmp_path: Path) -> None:
    program = (
        "import sys; from consent_service import cli; import consent_service.cli as c\n"
        "def fail(): raise ValueError('zq7mark')\n"
        "c.read_settings = fail\n"
        "sys.exit(c.run(['worker']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=Path.cwd())
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("consent-service: internal error: ValueError at ")
    assert MARK not in done.stderr


def test_lines_of_many_processes_do_not_run_into_each_other(tmp_path: Path) -> None:
    path = tmp_path / "log"
    program = (
        "from consent_service import logs\nlogs.install()\nfor n in range(300): logs.write('info', 'x' * 500, {'n': n})"
    )
    with path.open("ab") as file:
        writers = [subprocess.Popen([sys.executable, "-c", program], stderr=file) for _ in range(3)]
        assert [one.wait(60) for one in writers] == [0, 0, 0]
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert len(lines) == 900


def test_a_line_costs_next_to_nothing(log: Log) -> None:
    """The bound is 30 microseconds of the processor's time; a quiet machine needs about 5."""
    fields = {"request_id": "0f0e6a526d6f4be99cf46ab93a3a6e5f", "role": "campaign", "status": 200, "duration_ms": 1.234}
    costs = []
    for _ in range(5):
        begin = time.process_time()
        for _ in range(2000):
            logs.write("info", "request", fields)
        costs.append((time.process_time() - begin) / 2000)
    assert min(costs) < 30e-6
