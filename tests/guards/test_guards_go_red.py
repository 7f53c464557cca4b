"""Each guard holds, and without it its scenario goes red: an edge, a look-up, a role, a signature, a limit.

The guards against races have a folder of their own (tests/concurrency). Here a scenario is played by one caller:
once on the service as it is, once on a copy of the package in which a line was changed.
"""

from __future__ import annotations

import importlib
import itertools
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

import consent_service
from tests.guards.scenarios import SCENARIOS, play
from tests.support.cluster import Cluster, TestDatabase

PACKAGE = Path(consent_service.__file__).parent
DECIDE = "permissions/decide.sql"
GREEN, RED, BROKEN = 0, 3, 4
_moments = itertools.count(1_000_000_000)


@dataclass(frozen=True)
class Guard:
    """A line of the package, what takes the guard out of it, and the scenario that misses it."""

    name: str
    file: str
    before: str
    after: str
    scenario: str


GUARDS = (
    Guard("a contact leaves its window at the edge", DECIDE, "AND k.contacted_at > q.instant -",
          "AND k.contacted_at >= q.instant -", "window_edge"),
    Guard("a permit ends at its end", DECIDE, "AND m.expires_at > q.instant", "AND m.expires_at >= q.instant",
          "permit_edge"),
    Guard("quiet hours end at their end", DECIDE, "ELSE wall.at >= ch.quiet_from OR wall.at < ch.quiet_to",
          "ELSE wall.at >= ch.quiet_from OR wall.at <= ch.quiet_to", "quiet_edges"),
    Guard("quiet hours begin at their beginning", DECIDE, "ELSE wall.at >= ch.quiet_from OR wall.at < ch.quiet_to",
          "ELSE wall.at > ch.quiet_from OR wall.at < ch.quiet_to", "quiet_edges"),
    Guard("a pause ends at its end", DECIDE, "stop.paused_until > q.instant", "stop.paused_until >= q.instant",
          "pause_edge"),
    Guard("a consent ends at its end", DECIDE, "AND governing.granted_until <= q.instant THEN 7",
          "AND governing.granted_until < q.instant THEN 7", "consent_edge"),
    Guard("a repeated request is looked up", "web/write.py",
          "stored = keys.find_answer(conn, parts().keyring, scope, key)", "stored = None", "idempotency"),
    Guard("a role is asked for", "web/auth.py", "if not includes(key.role, allowed):", "if False:", "role"),
    Guard("a customer has only themselves", "customers/service.py", "(actor.is_customer and own != found)", "False",
          "own_id"),
    Guard("a token is signed", "keys/service.py",
          "_tokens(conn, keyring).loads(token.removeprefix(TOKEN_PREFIX), max_age=TOKEN_SECONDS)",
          "_tokens(conn, keyring).loads_unsafe(token.removeprefix(TOKEN_PREFIX))[1]", "token_signature"),
    Guard("a cursor is signed", "history/cursors.py", "cursors.loads(text)", "cursors.loads_unsafe(text)[1]",
          "cursor_signature"),
    Guard("a key has its topics", DECIDE, "WHEN %(limited)s::boolean AND NOT (",
          "WHEN %(limited)s::boolean AND false AND NOT (", "topic_limit"),
    Guard("an erased name is remembered", "customers/customers.sql", "SELECT q.position, NULL, true\n",
          "SELECT q.position, NULL, false\n", "erased_by_name"),
    Guard("an erased id is remembered", DECIDE, "WHEN q.erased OR c.state = 'erased' THEN 1", "WHEN false THEN 1",
          "erased_by_id"),
    Guard("a merged id leads to the survivor", "customers/customers.sql",
          "SELECT -q.position, coalesce(c.survivor_id, c.customer_id)", "SELECT -q.position, c.customer_id", "merged"),
    Guard("a louder catalogue is refused", "catalogue/service.py", "if louder and not accept_louder:", "if False:",
          "louder_catalogue"),
    Guard("louder needs a notice", "dials/model.py", "if wish.notice is None:", "if False:", "louder_notice"),
    Guard("a suppressed address is refused", DECIDE, "WHEN stop.suppressed THEN 3", "WHEN false THEN 3",
          "suppressed_point"),
    Guard("waiting has an end on our side", "database/connection.py",
          "if self.until is not None and time.monotonic() >= self.until:", "if False:", "deadline"),
)  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_guard_holds(name: str, database: TestDatabase) -> None:
    play(name, database)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package; each test changes one file of it and puts it back."""
    target = tmp_path_factory.mktemp("guards") / PACKAGE.name
    return Path(shutil.copytree(PACKAGE, target, ignore=shutil.ignore_patterns("__pycache__")))


@pytest.fixture
def emptied(cluster: Cluster) -> Iterator[TestDatabase]:
    """Of a process that has ended by the time it is given back."""
    made = cluster.migrated()
    yield made
    cluster.drop(made)


def change(file: Path, text: str) -> None:
    """Gives the file another content and a time that it never had."""
    file.write_text(text, encoding="utf-8")
    moment = next(_moments)
    os.utime(file, (moment, moment))


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_without_it_the_scenario_goes_red(guard: Guard, copied: Path, emptied: TestDatabase) -> None:
    file = copied / guard.file
    text = file.read_text(encoding="utf-8")
    assert text.count(guard.before) == 1, f"{guard.file}: the guard has moved, look for it anew"
    # A time that no version of the file had: what is compiled of the others is used again, of this one never.
    change(file, text.replace(guard.before, guard.after))
    try:
        outcome, said = played_by_a_child(copied, guard.scenario, emptied)
    finally:
        change(file, text)
    assert outcome == RED, f"nothing went red: {said}"


def played_by_a_child(package: Path, scenario: str, database: TestDatabase) -> tuple[int, str]:
    """(exit code, last words) of a copy of this process that imports the other package in place of ours."""
    with tempfile.TemporaryFile("w+") as words:
        child = os.fork()
        if child == 0:
            outcome = BROKEN
            try:
                outcome = _play_elsewhere(package, scenario, database)
            except AssertionError as error:
                outcome = RED
                words.write(str(error))
            except BaseException:
                words.write(traceback.format_exc())
            finally:
                words.flush()
                os._exit(outcome)
        _, status = os.waitpid(child, 0)
        words.seek(0)
        return os.waitstatus_to_exitcode(status), words.read()[-2000:]


def _play_elsewhere(package: Path, scenario: str, database: TestDatabase) -> int:
    for name in list(sys.modules):
        if name.partition(".")[0] in ("consent_service", "tests"):
            del sys.modules[name]
    sys.path.insert(0, str(package.parent))
    scenarios = importlib.import_module("tests.guards.scenarios")
    assert_from(package, scenarios)
    scenarios.play(scenario, database)
    return GREEN


def assert_from(package: Path, scenarios: ModuleType) -> None:
    """Raises RuntimeError when it is not the copy that is going to be played on."""
    found = Path(str(sys.modules["consent_service"].__file__)).parent
    if found != package or scenarios.SCENARIOS is SCENARIOS:
        raise RuntimeError(f"{found} was imported in place of {package}")


def test_every_scenario_is_missed_by_some_guard() -> None:
    assert {guard.scenario for guard in GUARDS} == set(SCENARIOS)
