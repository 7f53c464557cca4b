"""For one customer everything happens in one order (rules.md, 4), whoever asks, through whichever worker.

`CONSENT_TEST_OPERATIONS` says how many operations are recorded, on a hundred hot customers.
"""

from __future__ import annotations

import os

from tests.concurrency.crowd import stage
from tests.linearizability import siege
from tests.support.cluster import Cluster

CUSTOMERS = 100
OPERATIONS = int(os.environ.get("CONSENT_TEST_OPERATIONS", "2500"))
REFUSALS = ("silent", "on_request_only", "volume_reached", "paused", "no_consent")


def test_32_clients_see_each_of_100_customers_go_through_one_order_of_events(cluster: Cluster) -> None:
    with stage(cluster, siege.CATALOGUE_OF_SIEGE, **siege.THREADS) as made:
        outcomes = siege.play(made, CUSTOMERS, OPERATIONS)
    assert outcomes["operations"] > OPERATIONS * 0.8
    # They did meet: answers were lost, room ran out, dials were turned against those who asked.
    seen = set(outcomes)
    assert {"lost", "contact allowed", "reserve allowed", "use allowed", "release 204", "turn stale_version"} <= seen
    assert {f"check {one}" for one in ("allowed", "silent", "on_request_only", "volume_reached", "paused")} <= seen
    assert {"contact silent", "contact volume_reached", "reserve silent", "reserve volume_reached"} <= seen
    assert any(one.startswith("use ") and one.split()[1] in REFUSALS for one in seen), seen
    assert made.deadlocks == 0
