"""Each scenario of this folder goes red on a service whose guard was taken out.

The scenarios are the very ones that the other tests play on the real service.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.concurrency import attempts, last_room, opposition, silence
from tests.concurrency.guards import (
    ANSWERS_KEPT,
    DECISION_BEFORE_LOCK,
    NO_LOCK_ORDER,
    NO_ROW_LOCK,
    NO_SECOND_ATTEMPT,
    copied_package,
    goes_red,
    without,
)
from tests.support.cluster import Cluster

ROUNDS = 60
# More pass than there is room for, or two passed on the same last room.
MORE_THAN_FIVE = r"^(?:(?:[6-9]|\d{2,}) passed, |the same room was seen twice)"
PAIRS = 400
ATTEMPTS = 3200


@pytest.fixture
def copied(tmp_path: Path) -> Iterator[Path]:
    """A copy of the package, to be changed."""
    with copied_package(tmp_path) as package:
        yield package


def test_without_the_row_lock_more_than_the_room_passes(cluster: Cluster, copied: Path) -> None:
    with without(cluster, copied, NO_ROW_LOCK) as made:
        goes_red(lambda: last_room.play(made, ROUNDS, last_room.contact), MORE_THAN_FIVE)


def test_without_the_row_lock_batches_take_more_than_the_room(cluster: Cluster, copied: Path) -> None:
    with without(cluster, copied, NO_ROW_LOCK) as made:
        goes_red(lambda: last_room.play_batches(made, ROUNDS), MORE_THAN_FIVE)


def test_without_the_row_lock_windows_hold_more_than_their_caps(cluster: Cluster, copied: Path) -> None:
    with without(cluster, copied, NO_ROW_LOCK, attempts.CATALOGUE_OF_ATTEMPTS) as made:
        goes_red(lambda: attempts.play(made, ATTEMPTS), "a window of .* held")


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
