"""Services whose guards were taken out: a running copy of the package in which a few lines were changed.

Scenarios are played on them to be lost. A race is lost sooner or later: each has many rounds to be lost in.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import consent_service
from tests.concurrency.crowd import Stage, stage
from tests.support.api import CATALOGUE
from tests.support.cluster import Cluster

ATTEMPTS = 3

Edits = Mapping[str, Sequence[tuple[str, str]]]

LOCK = "ORDER BY customer_id\nFOR NO KEY UPDATE;"
LOCK_OF_THE_FREE = "\nFOR NO KEY UPDATE SKIP LOCKED;"
NO_ROW_LOCK: Edits = {"customers/customers.sql": [(LOCK, "ORDER BY customer_id;"), (LOCK_OF_THE_FREE, ";")]}

_DECIDE_AND_LOCK = """
from consent_service.customers.store import SQL

LOCK = SQL["lock"]


def _decide_and_lock(conn, questions, resolved, **options):
    decisions = store.decide(conn, questions, resolved, **options)
    conn.run(LOCK, {"customer_ids": sorted({who.customer_id for who in resolved if who.customer_id})})
    return decisions


"""
# The customer is locked, but the dials were read before.
DECISION_BEFORE_LOCK: Edits = {
    "permissions/taking.py": [
        ("locked = lock_many(conn, keyring, {", "locked, _ = {}, ({"),
        ("return [settled(who, locked) for who in found], locked", "return found, locked"),
        ("return store.decide(", "return _decide_and_lock("),
        ("def hold(", _DECIDE_AND_LOCK + "def hold("),
    ],
    "permissions/together.py": [
        ("locked = lock_many(conn, keyring, named) if waits", "locked = {} if True"),
        ("others = frozenset() if waits", "others = frozenset() if True"),
        ("settled(who[place], locked) for place", "who[place] for place"),
    ],
}

_KEEP_ANSWERS = """
_kept, _decide = {}, decide


def decide(conn, questions, resolved, **options):
    key = str((questions, resolved))
    if key not in _kept:
        _kept[key] = _decide(conn, questions, resolved, **options)
    return _kept[key]


"""
# A process remembers what it answered.
ANSWERS_KEPT: Edits = {
    "permissions/store.py": [
        ("def now(", _KEEP_ANSWERS + "def now("),
    ]
}

NO_LOCK_ORDER: Edits = {"customers/customers.sql": [(LOCK, LOCK.replace("customer_id", "random()"))]}
NO_SECOND_ATTEMPT: Edits = {"database/pool.py": [("TRANSACTION_ATTEMPTS = 5\n", "TRANSACTION_ATTEMPTS = 1\n")]}


@contextlib.contextmanager
def copied_package(parent: Path) -> Iterator[Path]:
    """A copy of the package, to be changed."""
    source = Path(consent_service.__file__).parent
    yield shutil.copytree(source, parent / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(parent, ignore_errors=True)


def without(
    cluster: Cluster, package: Path, edits: Edits, catalogue: Mapping[str, Any] = CATALOGUE, **settings: str
) -> AbstractContextManager[Stage]:
    """A stage on a copy of the service with lines changed, each of which has to be there exactly once."""
    for name, changes in edits.items():
        file = package / name
        text = file.read_text(encoding="utf-8")
        for before, after in changes:
            assert text.count(before) == 1, f"{name}: the guard has moved, look for it anew"
            text = text.replace(before, after)
        file.write_text(text, encoding="utf-8")
    # With a safe path the folder that the tests run in does not come first.
    return stage(cluster, catalogue, PYTHONPATH=str(package.parent), PYTHONSAFEPATH="1", **settings)


def goes_red(play: Callable[[], object], match: str) -> None:
    """A race may go well by chance, or be lost in another way than the one looked for: it is run up to three times."""
    for _ in range(ATTEMPTS):
        try:
            play()
        except AssertionError as error:
            if re.search(match, str(error)):
                return
    pytest.fail("the guard is out, and nothing went red")
