"""Nothing of a person gets out: not into a log, an error, a temporary file or a plain column of the database.

A whole service with a database of its own lives through traffic in which everything that a client may choose is
a mark, with faults in the database and in the requests. Then everything that was written meanwhile is searched.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from consent_service.catalogue.service import apply_catalogue
from consent_service.database.embedded import EmbeddedServer
from consent_service.database.opening import open_database
from consent_service.keyring.service import Keyring
from consent_service.keys import service as keys
from consent_service.settings import Settings
from tests.privacy.markers import Marks, hits, hits_in_files
from tests.privacy.traffic import (
    ROLES,
    Caller,
    erase,
    live_through,
    serve_at_the_desk,
    unreadable,
    visit_pages,
    walk_all_routes,
)
from tests.support.api import CATALOGUE, SYSTEM
from tests.support.cluster import clean_environment, free_port, wait_until_live

ANN, BEA = Marks("zq7mark", "700900471"), Marks("xk4sign", "700900538")
CONTROL = "0c0117401c0117400c0117401c011740"
FAULTS = (
    *("bug", "gone", "full", "serialization", "lock", "warning", "cast", "check", "unique", "unique"),
    *("deadlock", "slow", "killed"),
)
# Free text that stands in clear in the database; docs/security.md says why each may.
IN_CLEAR = {
    ("api_key", "name"),
    ("contact", "campaign"),
    ("customer", "locale"),
    ("permit", "campaign"),
}


@dataclass
class Lived:
    """A service that has seen a lot, and still runs."""

    caller: Caller
    customers: list[str]
    process: subprocess.Popen[bytes]
    environment: dict[str, str]
    data: Path
    temporary: Path
    log: Path
    server: EmbeddedServer
    tokens: list[str] = field(default_factory=list)

    def owner(self) -> psycopg.Connection:
        """The database's superuser."""
        return psycopg.connect(self.server.owner_url, autocommit=True)


def eventually(holds: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it does not come to hold"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def lived() -> Iterator[Lived]:
    home = Path(tempfile.mkdtemp(prefix="consent-privacy-"))
    home.chmod(0o711)
    temporary = home / "tmp"
    temporary.mkdir()
    port, log = free_port(), home / "service.log"
    environment = clean_environment() | {
        "CONSENT_DATA_DIR": str(home / "data"),
        "CONSENT_STATEMENT_TIMEOUT_SECONDS": "0.5",
        "TMPDIR": str(temporary),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "consent_service", "serve", "--port", str(port), "--workers", "1"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    server = EmbeddedServer(home / "data")
    try:
        wait_until_live(f"http://127.0.0.1:{port}", process, log)
        caller = Caller(port, prepared(environment))
        one = Lived(caller, [], process, environment, home / "data", temporary, log, server)
        with one.owner() as conn:
            conn.execute("ALTER SYSTEM SET deadlock_timeout = '100ms'")
            conn.execute("SELECT pg_reload_conf()")
            conn.execute(Path(__file__).with_name("faults.sql").read_bytes())
        round_of_traffic(one, ANN)
        with one.owner() as conn:
            conn.execute("ALTER SYSTEM SET log_statement = 'all'")
            conn.execute("SELECT pg_reload_conf()")
        eventually(lambda: logs_statements(one))
        round_of_traffic(one, BEA)
        break_the_worker(one)
        yield one
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(90)
        shutil.rmtree(home, ignore_errors=True)


def prepared(environment: dict[str, str]) -> dict[str, str]:
    """A catalogue, and a key of each role."""
    ours = {name: value for name, value in environment.items() if name.startswith("CONSENT_")}
    settings = Settings.from_environment(ours)
    keyring = Keyring(*settings.secrets)
    with open_database(settings) as database, database.transaction() as conn:
        apply_catalogue(conn, keyring, SYSTEM, CATALOGUE, accept_louder=True)
        return {
            role: keys.create(
                conn, keyring, SYSTEM, role=role, name=role, topics=["*"] if role == "campaign" else None
            )[1]
            for role in ROLES
        }


def logs_statements(one: Lived) -> bool:
    with one.owner() as conn:
        conn.execute("SELECT 'is it on'")
    return b"is it on" in one.server.log.read_bytes()


def round_of_traffic(one: Lived, marks: Marks) -> None:
    """A life, every route, requests that are none, and every fault, in these marks."""
    caller = one.caller
    one.customers.append(live_through(caller, marks))
    one.tokens += visit_pages(caller, marks)
    serve_at_the_desk(caller, marks)
    erase(caller, marks)
    walk_all_routes(caller, marks)
    for sent in unreadable(marks):
        with contextlib.suppress(ConnectionError):
            caller.raw(sent)
    ask = {"customer": f"email:{marks.email}", "channel": "email", "topic": "orders"}
    for fault in FAULTS:
        body = {**ask, "campaign": f"{marks.word} {fault}"}
        with deadlocking(one) if fault == "deadlock" else contextlib.nullcontext():
            caller.send("campaign", "POST", "/v1/contacts", body)
    caller.send("desk", "GET", "/v1/me", None, {"X-Request-Id": CONTROL})


@contextlib.contextmanager
def deadlocking(one: Lived) -> Iterator[None]:
    """Another session takes the two locks of the fault in the other order."""

    def oppose() -> None:
        with one.owner() as conn, contextlib.suppress(psycopg.errors.DeadlockDetected), conn.transaction():
            conn.execute("SELECT pg_advisory_xact_lock(72)")
            held.set()
            query = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 71 AND granted"
            eventually(lambda: conn.execute(query).fetchone() is not None or done.is_set(), 5)
            conn.execute("SELECT pg_advisory_xact_lock(71)")

    held, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=oppose)
    thread.start()
    held.wait(5)
    try:
        yield
    finally:
        done.set()
        thread.join(10)


def break_the_worker(one: Lived) -> None:
    """The worker begins anew and meets a row that it cannot forget."""
    with one.owner() as conn:
        conn.execute("INSERT INTO request_count VALUES (%s, '2020-01-01Z', 1)", [f"address:{BEA.email}"])
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if b"worker" in words and parent == one.process.pid:
                os.kill(int(process.name), signal.SIGKILL)
    eventually(lambda: b'"job failed"' in one.log.read_bytes())


def lines(one: Lived) -> list[dict[str, Any]]:
    return [json.loads(line) for line in one.log.read_text().splitlines()]


def test_the_traffic_met_everything(lived: Lived) -> None:
    """What follows proves nothing unless requests succeeded, were refused and failed in all the ways there are."""
    assert {200, 201, 400, 401, 404, 409, 422, 500, 503} <= lived.caller.statuses.keys()
    assert {"internal", "decision_unavailable", "not_permitted", "unauthenticated"} <= lived.caller.codes
    assert {"not_found", "invalid_customer_reference", "duplicate_key", "customer_erased"} <= lived.caller.codes
    said = lines(lived)
    assert {"request", "internal error", "no answer can be had", "request not read", "job failed"} <= {
        line["event"] for line in said
    }
    states = {line.get("sqlstate") for line in said}
    assert {"P0001", "42P01", "53100", "40001", "55P03", "22P02", "23514", "23505", "57014", "57P01"} <= states


def test_every_line_of_the_log_is_one_json_object_of_ascii_with_a_time(lived: Lived) -> None:
    assert lived.log.read_bytes().isascii()
    for line in lines(lived):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", line["time"]), line
        assert line["level"] in ("info", "warning", "error", "critical")
        assert isinstance(line["pid"], int)


def test_the_log_holds_nothing_of_a_person(lived: Lived) -> None:
    written = lived.log.read_bytes()
    assert CONTROL.encode() in written, "the search must be able to find what is logged"
    for marks in (ANN, BEA):
        assert hits(marks.pattern, written) == []
    # Whose life a line tells of is theirs too: not even the id of a customer stands there, nor an address.
    for customer_id in lived.customers:
        assert customer_id.encode() not in written
    assert b"127.0.0.1" not in re.sub(rb'"event":"answering at [^"]*"', b"", written)


def test_no_key_or_secret_stands_in_the_log(lived: Lived) -> None:
    written = lived.log.read_bytes() + lived.server.log.read_bytes()
    secret = (lived.data / "secret.key").read_bytes().strip()
    for one in (secret, *(key.encode() for key in lived.caller.keys.values()), b"csk_", b"cst_"):
        assert one not in written


def test_no_token_of_a_link_stands_in_a_log_or_in_the_database(lived: Lived) -> None:
    assert len(lived.tokens) == 8
    assert lived.caller.statuses[303] >= 8, "links were followed, and addresses taken"
    written = lived.log.read_bytes() + lived.server.log.read_bytes() + dump(lived)
    assert b'"route":"/u/<token>"' in written, "the links were followed"
    assert [token for token in lived.tokens if token[:24].encode() in written.lower()] == []


def test_the_databases_log_holds_nothing_of_a_person(lived: Lived) -> None:
    """Not as it is shipped (Ann's round), and not with every statement logged (Bea's): values are never in the text."""
    written = lived.server.log.read_bytes()
    assert b"INSERT INTO contact" in written, "statements are logged"
    assert b"$1" in written
    for marks in (ANN, BEA):
        assert hits(marks.pattern, written) == []
    for customer_id in lived.customers:
        assert customer_id.encode() not in written


def test_a_database_that_logs_parameters_would_break_this(lived: Lived) -> None:
    """The search of the database's log can find something: what docs/security.md warns of."""
    marks = Marks("vb9note", "700900612")
    with lived.owner() as conn:
        conn.execute("ALTER SYSTEM SET log_parameter_max_length = -1")
        conn.execute("ALTER SYSTEM SET log_error_verbosity = 'default'")
        conn.execute("SELECT pg_reload_conf()")
    try:
        ask = {"customer": f"id:{lived.customers[0]}", "channel": "email", "topic": "orders", "campaign": marks.word}

        def found() -> bool:
            lived.caller.send("campaign", "POST", "/v1/contacts", ask)
            return hits(marks.pattern, lived.server.log.read_bytes()) != []

        eventually(found)
    finally:
        with lived.owner() as conn:
            conn.execute("ALTER SYSTEM RESET log_parameter_max_length")
            conn.execute("ALTER SYSTEM RESET log_error_verbosity")
            conn.execute("SELECT pg_reload_conf()")


def test_what_the_database_shows_of_its_sessions_holds_nothing_of_a_person(lived: Lived) -> None:
    with lived.owner() as conn:
        shown = repr(conn.execute("SELECT to_json(a)::text FROM pg_stat_activity a").fetchall()).encode()
    assert b"consent-service" in shown
    for marks in (ANN, BEA):
        assert hits(marks.pattern, shown) == []


def test_no_file_beside_the_database_holds_anything_of_a_person(lived: Lived) -> None:
    """Temporary files, sockets, locks; of the database's own files the dump below is the judge."""
    control = lived.temporary / "control"
    control.write_text(f"it was {ANN.word.upper()} himself")
    folders = [lived.data, lived.temporary]
    mail = lived.data / "mail"  # to the people themselves, where no server for mail is named
    tables = [lived.server.data / "base", lived.server.data / "pg_wal"]
    try:
        for marks, expected in ((ANN, [str(control)]), (BEA, [])):
            assert hits_in_files(marks.pattern, folders, spared=[*tables, lived.server.log, mail]) == expected
    finally:
        control.unlink()
    assert list((lived.server.data / "base").glob("pgsql_tmp/*")) == []


def test_files_of_the_data_directory_are_their_owners_alone(lived: Lived) -> None:
    assert (lived.data / "secret.key").stat().st_mode & 0o777 == 0o600
    for path in lived.data.iterdir():
        mode = path.stat().st_mode & 0o777
        assert mode & 0o077 == 0, f"{path.name} has mode {mode:o}"
    assert lived.data.stat().st_mode & 0o066 == 0


def test_secrets_stand_in_no_process_of_another_user_and_in_no_argument(lived: Lived) -> None:
    secret = (lived.data / "secret.key").read_bytes().strip()
    seen = 0
    for process in family(lived.process.pid):
        with contextlib.suppress(OSError):
            arguments = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes()
            assert secret not in arguments
            assert secret not in environment
            if b"postgres" in arguments.split(b"\0")[0]:
                assert b"CONSENT_" not in environment
                seen += 1
    assert seen


def family(parent: int) -> list[Path]:
    children = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((process / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                children.append(process)
    return children + [one for child in children for one in family(int(child.name))]


def dump(one: Lived) -> bytes:
    program = one.server.programs.folder / "pg_dump"
    done = subprocess.run([program, "--dbname", one.server.owner_url], capture_output=True, check=True)
    return done.stdout


def test_a_stolen_dump_names_nobody(lived: Lived) -> None:
    """Every column in which a mark stands is one of the few that are documented to hold words in clear."""
    found: set[tuple[str, str]] = set()
    table, columns = "", list[str]()
    patterns = [marks.pattern for marks in (ANN, BEA)]
    for line in dump(lived).split(b"\n"):
        begin = re.match(rb"COPY public\.(\w+) \((.*)\) FROM stdin;", line)
        if begin:
            table, columns = begin[1].decode(), begin[2].decode().split(", ")
        elif line == b"\\.":
            table = ""
        elif table and any(pattern.search(line) for pattern in patterns):
            for column, value in zip(columns, line.split(b"\t"), strict=True):
                if any(pattern.search(value) for pattern in patterns):
                    found.add((table, column.strip('"')))
    # A counter's subject was put there by this test, not by the service.
    assert found - {("request_count", "subject")} == IN_CLEAR


def test_the_fields_in_clear_are_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
    assert {tuple(one.split(".")) for one in re.findall(r"^\| `(\w+\.\w+)` \|", text, re.MULTILINE)} == IN_CLEAR


def test_a_backend_that_is_killed_tells_nothing_of_whom_it_served(lived: Lived) -> None:
    """The server then logs what the process was doing: its statement, without values."""
    marks = Marks("wd2scar", "700900745")
    body = {"customer": f"id:{lived.customers[0]}", "channel": "email", "topic": "orders"}
    asking = threading.Thread(
        target=lambda: Caller(lived.caller.port, lived.caller.keys).send(
            "campaign", "POST", "/v1/contacts", {**body, "campaign": f"{marks.word} slow"}
        )
    )
    asking.start()

    def killed() -> bool:
        with lived.owner() as conn:
            row = conn.execute("SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'").fetchone()
        if row is not None:
            os.kill(row[0], signal.SIGKILL)
        return row is not None

    eventually(killed)
    asking.join(30)
    eventually(lambda: b"terminated by signal 9" in lived.server.log.read_bytes())
    assert hits(marks.pattern, lived.server.log.read_bytes() + lived.log.read_bytes()) == []
