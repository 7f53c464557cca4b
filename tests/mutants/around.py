"""Every mutant of the Python around the decision is noticed by a test, or has a reason to live.

`python -m tests.mutants.around [FILE...]`, by `make mutants`. One process collects the tests, runs each once and sees
which lines of the files it walks. Then each mutant gets a child of that process, in which the tests that walk the
changed statement run, the quickest first, until one fails. All share one PostgreSQL server. `survivors_around.txt`
holds the mutants that may live, and why.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from tests.mutants.loading import import_instead, put_in_place
from tests.mutants.python import PythonMutant, python_mutants
from tests.mutants.reasons import reasons
from tests.support.cluster import TEMPLATE, Cluster

TOP = Path(__file__).parents[2]
LISTED = Path(__file__).with_name("survivors_around.txt")
FILES = (
    "consent_service/dials/model.py",
    "consent_service/dials/service.py",
    "consent_service/permissions/model.py",
    "consent_service/permissions/service.py",
    "consent_service/permissions/checks.py",
    "consent_service/permissions/rounds.py",
    "consent_service/permissions/reports.py",
    "consent_service/permissions/permits.py",
    "consent_service/permissions/contacts.py",
    "consent_service/permissions/taking.py",
)
# The tests of each slice that run in this process; and those of them that are about SQL alone, or whose cases are not
# in the repository.
TESTS = {
    "dials": ("tests/dials", "tests/commands/test_dials_import.py"),
    "permissions": (
        "tests/permissions",
        "tests/commands/test_contacts_import.py",
        "tests/commands/test_replay.py::test_a_cap_of_ones_own",
        "tests/commands/test_screen.py",
        "tests/dials/test_turning.py::test_the_mix",
        "tests/test_readme.py::test_every_reason",
        "tests/web/test_auth.py::test_a_campaign_key_has_its_topics",
        "tests/web/test_auth.py::test_a_topic_beyond_the_key",
        "tests/web/test_auth.py::test_desk_and_auditor_ask_about_every_topic",
    ),
}
NOT = (
    "tests/permissions/test_cases.py",
    "tests/permissions/test_decide_agrees_with_rules.py",
    "tests/permissions/test_deciding.py",
    "tests/permissions/test_rules_rendering.py",
)
# A mutant that goes round for ever is ended: after this, and so many times what its tests take without a change.
PATIENCE_SECONDS, PATIENCE_TIMES = 60, 5
Lines = Mapping[str, frozenset[int]]


def prefix(file: str) -> str:
    """What the names of a file's mutants begin with."""
    return file.removeprefix("consent_service/")


class Hunt:
    """The plugin that runs each test once, and then some of them in each mutant's child."""

    def __init__(self, files: Sequence[str], *, tell: bool) -> None:
        self.tell = tell
        self.files = [str(TOP / one) for one in files]
        self.walked: dict[pytest.Item, Lines] = {}
        self.seconds: dict[pytest.Item, float] = {}
        self.noticed: Counter[pytest.Item] = Counter()
        self.cluster: Cluster | None = None
        self.live: set[str] = set()
        self.made: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        found = yield
        if fixturedef.argname == "cluster":
            self.cluster = found
        return found

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Only the tests that somebody asks for."""
        wanted = tuple(test for file in self.files for test in TESTS[Path(file).parent.name])
        items[:] = [item for item in items if item.nodeid.startswith(wanted)]

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of pytest's own loop."""
        for place, item in enumerate(session.items):
            following = session.items[place + 1] if place + 1 < len(session.items) else item
            began = time.monotonic()
            with walking(self.files) as walked:
                reports = runtestprotocol(item, nextitem=following, log=False)
            failed = [report.longreprtext for report in reports if report.failed]
            assert not failed, f"{item.nodeid} fails without a change\n{failed[0]}"
            self.walked[item] = {file: frozenset(lines) for file, lines in walked.items()}
            self.seconds[item] = time.monotonic() - began
        self._let_go(session.items[-1])
        print(f"\n{len(session.items)} tests, {sum(self.seconds.values()):.0f} s", flush=True)
        for file in self.files:
            self._hunt(file)
        return True

    def _let_go(self, item: pytest.Item) -> None:
        """Tears down what belongs to a module: children share nothing but the server."""
        item.session._setupstate.teardown_exact(_Nowhere(item.session))

    def _hunt(self, file: str) -> None:
        began, relative = time.monotonic(), str(Path(file).relative_to(TOP))
        made = list(python_mutants(Path(file).read_text(encoding="utf-8"), prefix(relative)))
        alive = [one.name for one in made if self._lives(file, one)]
        self.live.update(alive)
        self.made.update(one.name for one in made)
        seconds = time.monotonic() - began
        print(f"{relative}: {len(made)} mutants, {len(made) - len(alive)} noticed; {seconds:.0f} s", flush=True)
        assert self._runs(self._tests(file, None), None), "tests fail without a change"

    def _tests(self, file: str, lines: tuple[int, int] | None) -> list[pytest.Item]:
        """The slice's tests that walk these lines of the file, those first that noticed the most.

        `lines` None: all tests of the slice, as constants are read elsewhere too.
        """
        folders = TESTS[Path(file).parent.name]
        found = [item for item in self.walked if item.nodeid.startswith(folders)]
        if lines is not None:
            wanted = {*range(lines[0], lines[1] + 1)}
            found = [item for item in found if wanted & self.walked[item].get(file, frozenset())]
        return sorted(found, key=lambda item: (-self.noticed[item], self.seconds[item]))

    def _lives(self, file: str, mutant: PythonMutant) -> bool:
        began = time.monotonic()
        tests = self._tests(file, mutant.lines if mutant.function else None)
        lives = self._runs(tests, (file, mutant))
        if self.tell:
            print(f"{time.monotonic() - began:6.1f} s {'lives' if lives else ''} {mutant.name}", flush=True)
        return lives

    def _runs(self, tests: Sequence[pytest.Item], change: tuple[str, PythonMutant] | None) -> bool:
        """Whether all of the tests (of none, too) pass in a child that has the change."""
        assert self.cluster is not None
        if not tests:
            return True
        if not self.cluster._emptied:
            self.cluster._emptied.append(self.cluster._create(TEMPLATE))
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(writing, json.dumps(self._in_child(tests, change)).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as pipe:
            said = pipe.read()
        os.waitpid(child, 0)
        told: dict[str, Any] = json.loads(said) if said else {"passed": False, "failed": None, "left": []}
        assert "broken" not in told, told["broken"]
        # A child that was ended, or whose test could not clean up, leaves a database that nobody else wants.
        self.cluster._emptied = [one for one in self.cluster._emptied if one.name in told["left"]]
        if told["failed"] is not None:
            self.noticed[tests[told["failed"]]] += 1
        return bool(told["passed"])

    def _in_child(self, tests: Sequence[pytest.Item], change: tuple[str, PythonMutant] | None) -> dict[str, Any]:
        """Whether all pass, the place of the test that failed, and the databases that are as they were."""
        assert self.cluster is not None
        usual = sum(self.seconds[item] for item in tests)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_SECONDS + PATIENCE_TIMES * usual)
        self.cluster._numbers = itertools.count(os.getpid() * 1000)
        told: dict[str, Any] = {"passed": False, "failed": None}
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            try:
                told["passed"] = self._all_pass(tests, change, told)
            except Exception as error:
                told["broken"] = repr(error)
        return {**told, "left": [one.name for one in self.cluster._emptied]}

    def _all_pass(
        self, tests: Sequence[pytest.Item], change: tuple[str, PythonMutant] | None, told: dict[str, Any]
    ) -> bool:
        if change is not None:
            file, mutant = change
            name = str(Path(file).relative_to(TOP).with_suffix("")).replace("/", ".")
            if not mutant.function:
                import_instead(mutant, name, file)
                return _passes_anew([item.nodeid for item in tests], self.cluster)
            put_in_place(mutant, importlib.import_module(name))
        for place, (item, following) in enumerate(zip(tests, [*tests[1:], None], strict=True)):
            reports = runtestprotocol(item, nextitem=following or _Nowhere(item.session), log=False)
            if any(report.failed for report in reports):
                told["failed"] = place
                self._let_go(item)
                return False
        return True


class _Nowhere:
    """A node of no module: setting up for it tears down all but the session."""

    def __init__(self, session: pytest.Session) -> None:
        self.session = session

    def listchain(self) -> list[Any]:
        """The session alone."""
        return [self.session]


class _SameServer:
    """The plugin that hands a running server to tests that were imported anew."""

    def __init__(self, cluster: Cluster | None) -> None:
        self.cluster = cluster

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> object:
        if fixturedef.argname != "cluster":
            return None
        fixturedef.cached_result = (self.cluster, fixturedef.cache_key(request), None)
        return self.cluster


def _passes_anew(tests: Sequence[str], cluster: Cluster | None) -> bool:
    options = ["-x", "-q", "-p", "no:cacheprovider", "--rootdir", str(TOP)]
    return pytest.main([*options, *tests], plugins=[_SameServer(cluster)]) == 0


@contextmanager
def walking(files: Sequence[str]) -> Iterator[dict[str, set[int]]]:
    """The lines of these files that are walked meanwhile, in any thread that begins now."""
    walked: dict[str, set[int]] = {}

    def line(frame: FrameType, event: str, _: object) -> Any:
        walked.setdefault(frame.f_code.co_filename, set()).add(frame.f_lineno)
        return line

    def call(frame: FrameType, event: str, _: object) -> Any:
        return line(frame, event, _) if frame.f_code.co_filename in files else None

    threading.settrace(call)
    sys.settrace(call)
    try:
        yield walked
    finally:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]


def main(arguments: Sequence[str]) -> int:
    """Hunts the mutants of these files, or of all; 0 when none lives without a reason."""
    wanted = [one for one in arguments if one != "-v"]
    chosen = [one for one in FILES if not wanted or any(part in one for part in wanted)]
    hunt = Hunt(chosen, tell="-v" in arguments)
    options = ["-q", "-s", "-p", "no:cacheprovider", *(f"--ignore={one}" for one in NOT)]
    # A test is named by its beginning here; pytest collects the file.
    folders = dict.fromkeys(test.split("::")[0] for one in chosen for test in TESTS[Path(one).parent.name])
    code = pytest.main([*options, *folders], plugins=[hunt])
    if code != 0:
        return int(code)
    begin = tuple(f"{prefix(one)}: " for one in chosen)
    listed = {name for name in reasons(LISTED) if name.startswith(begin)}
    without, gone = sorted(hunt.live - listed), sorted(listed - hunt.live)
    print(f"{len(hunt.made)} mutants, {len(hunt.live & listed)} live with a reason")
    print("\n".join(["live without a reason:", *without] if without else []))
    print("\n".join(["have a reason to live, and do not: take them off the list:", *gone] if gone else []))
    return 1 if without or gone else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
