"""Callers who take the same customers in opposite order: the scenarios, apart from the service."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any
from uuid import uuid4

from tests.concurrency.crowd import Caller, Reply, Stage, asked, at_once

BUSY = ("*", "offers", "busy")
ROOM = 5
CAST = 26  # A to Z
PAIRS_OF_A_CAST = 100
CALLERS_EACH_WAY = 2
ROWS = (2, 6)  # of a batch
MOST_MERGES = 12
MOST_LOOKS = 2000
# What a row of a batch may be answered with besides a decision.
ROW_ERRORS = {"not_permitted", "permit_void", "permit_released", "permit_used"}

# Room taken: when, until when (NULL: for good), and whose event says so. A used permit's contact stands in the
# permit's room.
TAKEN = """
SELECT e.customer_id, k.recorded_at, NULL::timestamptz
FROM contact k JOIN event e ON e.event_id = k.event_id
WHERE k.counts AND k.permit_id IS NULL AND e.customer_id = ANY (%(who)s::uuid[])
UNION ALL
SELECT e.customer_id, p.reserved_at, CASE WHEN p.state IN ('released', 'void') THEN p.ended_at END
FROM permit p JOIN event e ON e.event_id = p.event_id
WHERE p.counts AND e.customer_id = ANY (%(who)s::uuid[])
"""
# The last of the merges that a customer went through is the one in which it was the other.
MERGED = "SELECT max(recorded_at) FROM event WHERE customer_id = %s::uuid AND type = 'customers.merged'"

LOCK = "SELECT FROM customer WHERE customer_id = %s::uuid FOR NO KEY UPDATE"
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


@dataclass
class Merges:
    """Who was merged into whom, by id."""

    survivors: dict[str, str] = field(default_factory=dict)


def play_opposites(stage: Stage, pairs: int) -> None:
    """Permits for the same customers in opposite order at once; `pairs` of such batches against each other."""
    callers = [stage.caller() for _ in range(2 * CALLERS_EACH_WAY)]
    for start in range(0, pairs, PAIRS_OF_A_CAST):
        customer_ids = stage.customers(CAST, BUSY)
        batches = [random.sample(customer_ids, random.randint(*ROWS)) for _ in range(PAIRS_OF_A_CAST)]
        batches = batches[: pairs - start]
        shares = [batches[place::CALLERS_EACH_WAY] for place in range(CALLERS_EACH_WAY)]
        ways = [(share, forwards) for share in shares for forwards in (True, False)]
        at_once(
            [partial(_reserve_all, one, share, forwards) for one, (share, forwards) in zip(callers, ways, strict=True)]
        )
        expect_room_kept(stage, customer_ids)
    expect_no_failure(stage)


def play_victim(stage: Stage) -> Reply:
    """Makes a caller's transaction the victim of a deadlock with a session of ours; the caller's answer."""
    caller = stage.caller()
    low, high = sorted(stage.customers(2, BUSY))
    with stage.database.owner() as rival, rival.transaction():
        rival.execute("SET LOCAL deadlock_timeout = '1min'")  # it is the caller's wait that is looked at first
        rival.execute(LOCK, [high])
        caller.send("POST", "/v1/permits/batch", {"permits": [asked(low), asked(high)]})
        for _ in range(MOST_LOOKS):
            if rival.execute(WAITING).fetchall() != [(0,)]:
                break
            time.sleep(0.01)
        # The caller holds the first and waits for the second.
        rival.execute(LOCK, [low])
    return caller.receive()


def _reserve_all(caller: Caller, batches: Sequence[list[str]], forwards: bool) -> None:
    for batch in batches:
        _batch(caller, "permits", batch if forwards else batch[::-1])


def play_everything(stage: Stage, pairs: int) -> Merges:
    """The same, while dials are turned, customers merged, addresses suppressed, permits used and contacts made."""
    address = f"{uuid4().hex} Elm Row, Leeds"
    customer_ids = stage.customers(CAST, BUSY, address=address)
    over, merges = threading.Event(), Merges()
    share = [random.sample(customer_ids, random.randint(*ROWS)) for _ in range(pairs)]
    mains = [partial(_reserve_and_use, stage.caller(), share, forwards) for forwards in (True, False)]
    others: list[Callable[[], None]] = [
        partial(_turn, stage.caller("desk"), customer_ids),
        partial(_merge, stage.caller("desk"), customer_ids, merges),
        partial(_suppress, stage.caller("desk"), address),
        partial(_contact, stage.caller(), customer_ids),
    ]

    def until_over(work: Callable[[], None]) -> None:
        while not over.is_set():
            work()

    def then_over() -> None:
        try:
            at_once(mains)
        finally:
            over.set()

    works: list[Callable[[], None]] = [then_over, *(partial(until_over, work) for work in others)]
    at_once(works)
    expect_no_failure(stage)
    expect_room_kept(stage, customer_ids, merges)
    return merges


def _reserve_and_use(caller: Caller, batches: Sequence[list[str]], forwards: bool) -> None:
    for batch in batches:
        results = _batch(caller, "permits", batch if forwards else batch[::-1])
        ids = [result["id"] for result in results if "id" in result]
        if ids:
            name = random.choice(["use", "release"])
            _expect_rows(caller.post(f"/v1/permits/{name}-batch", {"ids": ids[::-1]}))


def _batch(caller: Caller, name: str, customer_ids: Sequence[str]) -> list[dict[str, Any]]:
    return _expect_rows(caller.post(f"/v1/{name}/batch", {name: [asked(one) for one in customer_ids]}))


def _expect_rows(reply: Reply) -> list[dict[str, Any]]:
    assert reply.status == 200, reply
    results: list[dict[str, Any]] = reply.body["results"]
    errors = {result["error"]["code"] for result in results if "error" in result}
    assert errors <= ROW_ERRORS, errors
    return results


def _turn(desk: Caller, customer_ids: Sequence[str]) -> None:
    level = random.choice(["busy", "weekly", "silent"])
    assert desk.turn(random.choice(customer_ids), ("*", "offers", level)).status == 200


def _merge(desk: Caller, customer_ids: Sequence[str], merges: Merges) -> None:
    survivor, other = random.sample([one for one in customer_ids if one not in merges.survivors], 2)
    if len(merges.survivors) == MOST_MERGES:
        # Enough: from now on those who are one already.
        other = next(iter(merges.survivors))
        survivor = merges.survivors[other]
    merged = desk.post(f"/v1/customers/{survivor}/merge", {"other": other})
    if merged.status == 200:
        merges.survivors[other] = survivor
    else:
        assert merged.body["code"] == "same_customer", merged


def _suppress(desk: Caller, address: str) -> None:
    stop = {"contact_point": f"postal:{address}", "channel": "post", "kind": "marketing", "reason": "moved"}
    made = desk.post("/v1/suppressions", stop)
    assert made.status == 201, made
    assert desk.call("DELETE", f"/v1/suppressions/{made.body['id']}").status == 204


def _contact(caller: Caller, customer_ids: Sequence[str]) -> None:
    channel = random.choice(["email", "post"])
    made = caller.post("/v1/contacts", asked(random.choice(customer_ids), channel))
    assert made.status in (201, 409), made


def expect_no_failure(stage: Stage) -> None:
    """No caller was ever answered with a fault of ours."""
    failures = [status for status in stage.statuses if status >= 500]
    assert not failures, f"{len(failures)} of {len(stage.statuses)} answers were {set(failures)}"


def expect_room_kept(stage: Stage, customer_ids: Sequence[str], merges: Merges | None = None) -> None:
    """Whoever of these got room found less than ROOM taken, on the customer as it was at that moment.

    Everything happens within minutes, so that one window of seven days holds it all. Two customers who are
    merged bring both ledgers, and may have more than ROOM together; neither gets any on top of it.
    """
    survivors = merges.survivors if merges else {}
    ends = {other: stage.rows(MERGED, other)[0][0] for other in survivors}
    taken = [(str(owner), start, end) for owner, start, end in stage.rows(TAKEN, who=list(customer_ids))]

    def was(customer_id: str, at: datetime) -> str:
        while customer_id in ends and ends[customer_id] < at:
            customer_id = survivors[customer_id]
        return customer_id

    assert taken
    for owner, start, _ in taken:
        before = [
            one
            for one, since, until in taken
            if since < start and (until is None or until > start) and was(one, start) == was(owner, start)
        ]
        assert len(before) < ROOM, f"{len(before)} were taken before one more was given"
