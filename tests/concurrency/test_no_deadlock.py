"""Callers who want the same customers in opposite order wait for each other, and no client hears of it.

`CONSENT_TEST_PAIRS` says how many pairs of opposite batches are played: 10000 is the number that is promised.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from tests.concurrency import opposition
from tests.concurrency.crowd import Caller, Stage, at_once, pairs, stage
from tests.support.cluster import Cluster

PAIRS = pairs(400)
REPORTS = 60
DELIVERIES = 3


def test_permits_for_the_same_customers_in_opposite_order_never_deadlock(cluster: Cluster) -> None:
    with stage(cluster) as made:
        opposition.play_opposites(made, PAIRS)
    assert made.deadlocks == 0


def test_dials_merges_suppressions_and_contacts_among_them_fail_for_nobody(crowded: Stage) -> None:
    merges = opposition.play_everything(crowded, max(PAIRS // 6, 20))
    assert merges.survivors


def test_a_deadlock_that_does_happen_is_repeated_and_no_client_hears_of_it(cluster: Cluster) -> None:
    with stage(cluster) as made:
        reply = opposition.play_victim(made)
        assert reply.status == 200, reply
        assert [row["reason"] for row in reply.body["results"]] == ["allowed", "allowed"]
    assert made.deadlocks == 1


def test_a_report_delivered_three_times_out_of_order_is_one_entry(crowded: Stage) -> None:
    run = uuid4().hex
    known = crowded.customers(5, opposition.BUSY)
    # Some of the people are known, and some nobody has heard of until all three deliveries come at once.
    people = [f"id:{one}" for one in known] + [f"email:new{n}.{run}@example.com" for n in range(5)]
    sent_at = datetime.now(UTC) - timedelta(days=7)
    reports = [
        {
            "customer": people[number % len(people)],
            "channel": "email",
            "topic": "offers/wine",
            "contacted_at": (sent_at + timedelta(minutes=number)).isoformat(),
            "external_id": f"{run}-{number}",
            "campaign": f"{run}-{number}",
        }
        for number in range(REPORTS)
    ]
    first = crowded.caller()
    callers = [first, *(crowded.caller_like(first) for _ in range(DELIVERIES - 1))]
    deliveries = at_once([partial(_deliver, one, reports) for one in callers])
    assert deliveries[0] == deliveries[1] == deliveries[2]
    entries = crowded.rows("SELECT campaign FROM contact WHERE campaign LIKE %s", f"{run}-%")
    assert sorted(campaign for (campaign,) in entries) == sorted(one["external_id"] for one in reports)


def _deliver(caller: Caller, reports: list[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """Sends the reports in an order of its own and in batches; what became of each, by its external id."""
    found: dict[str, tuple[Any, ...]] = {}
    order = random.sample(reports, len(reports))
    for start in range(0, len(order), 20):
        batch = order[start : start + 20]
        reply = caller.post("/v1/contacts/reports", {"contacts": batch})
        assert reply.status == 200, reply
        for report, result in zip(batch, reply.body["results"], strict=True):
            found[report["external_id"]] = (result["id"], result["permitted"], result["reason"])
    return found
