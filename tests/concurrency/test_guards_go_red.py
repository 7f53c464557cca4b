"""Each scenario of this folder goes red on a service whose guard was taken out.

The service runs from a copy of the package in which a few lines were changed; the scenarios are the very ones
that the other tests play on the real one. A race is lost sooner or later: each has many rounds to be lost in.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import consent_service
from tests.concurrency import last_room, opposition, silence
from tests.concurrency.crowd import Stage, stage
from tests.support.cluster import Cluster

ROUNDS = 60
# More pass than there is room for, or two passed on the same last room.
MORE_THAN_FIVE = r"^(?:(?:[6-9]|\d{2,}) passed, |the same room was seen twice)"
PAIRS = 400
ATTEMPTS = 3

Edits = Mapping[str, Sequence[tuple[str, str]]]

LOCK = "ORDER BY customer_id\nFOR NO KEY UPDATE;"
NO_ROW_LOCK: Edits = {"customers/customers.sql": [(LOCK, "ORDER BY customer_id;")]}

_DECIDE_AND_LOCK = """
def _decide_and_lock(keyring, conn, questions, resolved, **options):
    decisions = store.decide(conn, questions, resolved, **options)
    lock_many(conn, keyring, {who.customer_id for who in resolved if who.customer_id})
    return decisions


"""
# The customer is locked, but the dials were read before.
DECISION_BEFORE_LOCK: Edits = {
    "permissions/taking.py": [
        ("locked = lock_many(conn, keyring, {", "locked, _ = {}, ({"),
        ("return [_settled(who, locked) for who in found], locked", "return found, locked"),
        ("decisions = store.decide(", "decisions = _decide_and_lock(keyring, "),
        ("def hold(", _DECIDE_AND_LOCK + "def hold("),
    ]
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


@pytest.fixture
def copied(tmp_path: Path) -> Iterator[Path]:
    """A copy of the package, to be changed."""
    source = Path(consent_service.__file__).parent
    yield shutil.copytree(source, tmp_path / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(tmp_path, ignore_errors=True)


def without(cluster: Cluster, package: Path, edits: Edits) -> AbstractContextManager[Stage]:
    """A stage on a copy of the service with lines changed, each of which has to be there exactly once."""
    for name, changes in edits.items():
        file = package / name
        text = file.read_text(encoding="utf-8")
        for before, after in changes:
            assert text.count(before) == 1, f"{name}: the guard has moved, look for it anew"
            text = text.replace(before, after)
        file.write_text(text, encoding="utf-8")
    # With a safe path the folder that the tests run in does not come first.
    return stage(cluster, PYTHONPATH=str(package.parent), PYTHONSAFEPATH="1")


def goes_red(play: Callable[[], object], match: str) -> None:
    """A race may go well by chance, or be lost in another way than the one looked for: it is run up to three times."""
    for _ in range(ATTEMPTS):
        try:
            play()
        except AssertionError as error:
            if re.search(match, str(error)):
                return
    pytest.fail("the guard is out, and nothing went red")


def test_without_the_row_lock_more_than_the_room_passes(cluster: Cluster, copied: Path) -> None:
    with without(cluster, copied, NO_ROW_LOCK) as made:
        goes_red(lambda: last_room.play(made, ROUNDS, last_room.contact), MORE_THAN_FIVE)


def test_without_the_row_lock_batches_take_more_than_the_room(cluster: Cluster, copied: Path) -> None:
    with without(cluster, copied, NO_ROW_LOCK) as made:
        goes_red(lambda: last_room.play_batches(made, ROUNDS), MORE_THAN_FIVE)


def test_with_dials_read_before_the_lock_a_contact_passes_after_silent(cluster: Cluster, copied: Path) -> None:
    with without(cluster, copied, DECISION_BEFORE_LOCK) as made:
        goes_red(lambda: silence.play_races(made, ROUNDS), "passed after silent was confirmed")


def test_with_answers_kept_in_a_process_a_check_is_allowed_after_silent(cluster: Cluster, copied: Path) -> None:
    with without(cluster, copied, ANSWERS_KEPT) as made:
        goes_red(lambda: silence.play_pairs(made, PAIRS), "after silent was confirmed")


def test_without_the_order_of_locks_callers_deadlock(cluster: Cluster, copied: Path) -> None:
    with without(cluster, copied, {**NO_LOCK_ORDER, **NO_SECOND_ATTEMPT}) as made:
        goes_red(lambda: opposition.play_opposites(made, PAIRS), "status=503")
    assert made.deadlocks


def test_without_a_second_attempt_the_client_of_a_deadlock_hears_of_it(cluster: Cluster, copied: Path) -> None:
    with without(cluster, copied, NO_SECOND_ATTEMPT) as made:
        assert opposition.play_victim(made).status == 503
    assert made.deadlocks
