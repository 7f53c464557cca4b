"""No contact is made after silent was confirmed (rules.md, 4 and 5).

`CONSENT_TEST_PAIRS` says how many pairs are played: 100000 is the number that is promised, a quarter of an hour on two
cores; the usual run takes fewer.
"""

from __future__ import annotations

from tests.concurrency import silence
from tests.concurrency.crowd import Stage, pairs, stage
from tests.support.cluster import Cluster

PAIRS = pairs(2000)
RACES = pairs(400) // 10


def test_after_silent_is_confirmed_nothing_is_allowed_through_another_worker(cluster: Cluster) -> None:
    with stage(cluster, silence.CATALOGUE_OF_PAIRS) as made:
        assert silence.play_pairs(made, PAIRS) >= PAIRS


def test_while_the_dial_is_turned_whatever_passes_stands_before_it(crowded: Stage) -> None:
    outcomes = silence.play_races(crowded, max(RACES, 20))
    # Of both there were some: the two did meet.
    assert outcomes["passed"]
    assert outcomes["refused"]
