"""No contact is made after silent was confirmed (rules.md, 4 and 5).

`CONSENT_TEST_PAIRS` says how many pairs are played: 10000 is the number that is promised, a few minutes on two
cores; the usual run takes fewer.
"""

from __future__ import annotations

from tests.concurrency import silence
from tests.concurrency.crowd import PAIRS, Stage


def test_after_silent_is_confirmed_no_check_and_no_contact_is_allowed(crowded: Stage) -> None:
    assert silence.play_pairs(crowded, PAIRS) >= PAIRS


def test_while_the_dial_is_turned_whatever_passes_stands_before_it(crowded: Stage) -> None:
    outcomes = silence.play_races(crowded, max(PAIRS // 10, 20))
    # Of both there were some: the two did meet.
    assert outcomes["passed"]
    assert outcomes["refused"]
