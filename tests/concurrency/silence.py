"""Turned to silent, and then asked: the scenarios, apart from the service that they are played on."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import psycopg

from tests.concurrency.crowd import Caller, Reply, Stage, asked, at_once
from tests.concurrency.workers import caller_of, worker_behind, workers_of
from tests.support.api import CATALOGUE

EVERYTHING = ("*", "offers", "everything")
# The parent comes last: a dial on it covers the others.
CELLS = [
    (channel, topic)
    for channel in ("email", "sms", "post", "chat")
    for topic in ("offers/wine", "offers/garden", "offers")
]
# What is asked after it, in turn, and the status of a no.
ASKS = [
    ("/v1/permissions/check", 200),
    ("/v1/contacts", 409),
    ("/v1/permissions/check", 200),
    ("/v1/permits", 409),
    ("/v1/permissions/check", 200),
]
# The answer to a change shows what every contact comes to: no more of them than are asked about.
CATALOGUE_OF_PAIRS: dict[str, Any] = CATALOGUE | {
    "channels": {name: one for name, one in CATALOGUE["channels"].items() if name != "phone"},
    "topics": {name: one for name, one in CATALOGUE["topics"].items() if name.startswith("offers")},
}
PAIRS_AT_ONCE = 8
CONTROLLED = 7  # every so many pairs the cell is asked before it is turned, and has to be open
RIVALS = 6
JITTER_SECONDS = 0.02

LEDGER = """
SELECT (SELECT count(*) FROM contact WHERE customer_id = %(one)s::uuid)
     + (SELECT count(*) FROM permit WHERE customer_id = %(one)s::uuid AND state <> 'used')
"""


def play_pairs(stage: Stage, pairs: int) -> int:
    """Turns a place to silent, and once that is confirmed asks through another worker.

    Returns how many pairs were played; raises when one answer was a yes.
    """
    number = -(-pairs // len(CELLS))
    customer_ids = stage.customers(number, EVERYTHING)
    shares = [customer_ids[place::PAIRS_AT_ONCE] for place in range(PAIRS_AT_ONCE)]
    workers = workers_of(stage.pid)
    assert len(workers) == 2
    sides = [tuple(workers[:: 1 if place % 2 else -1]) for place in range(PAIRS_AT_ONCE)]
    callers = [(caller_of(stage, "desk", here), caller_of(stage, "campaign", there)) for here, there in sides]
    played = at_once(
        [partial(_pairs, desk, campaign, share) for (desk, campaign), share in zip(callers, shares, strict=True)]
    )
    # A worker with more than its share tells a client now and then to come again; most stay where they were.
    stayed = [
        (worker_behind(desk, stage), worker_behind(campaign, stage)) == apart
        for (desk, campaign), apart in zip(callers, sides, strict=True)
    ]
    assert any(stayed), "nobody was asked through another worker to the end"
    given = "SELECT (SELECT count(*) FROM contact), (SELECT count(*) FROM permit)"
    assert stage.rows(given) == [(0, 0)]
    return sum(played)


def _pairs(desk: Caller, campaign: Caller, customer_ids: Sequence[str]) -> int:
    played = 0
    for customer_id in customer_ids:
        for channel, topic in CELLS:
            question = asked(customer_id, channel, topic)
            if played % CONTROLLED == 0:
                before = campaign.post("/v1/permissions/check", question)
                assert before.body["allowed"], before
            confirmed = desk.turn(customer_id, (channel, topic, "silent"))
            assert confirmed.status == 200, confirmed
            path, refused = ASKS[played % len(ASKS)]
            reply = campaign.post(path, question)
            answer = [reply.status, reply.reason]
            assert answer == [refused, "silent"], f"{path} was answered {answer} after silent was confirmed"
            played += 1
    return played


def play_races(stage: Stage, rounds: int) -> Counter[str]:
    """Turns the dial while an open permit is used and contacts and permits are asked for.

    Returns how many of those passed and how many were refused; raises when one passed after the dial.
    """
    outcomes: Counter[str] = Counter()
    desk, owner = stage.caller("desk"), stage.caller()
    rivals = [stage.caller() for _ in range(RIVALS)]
    with psycopg.connect(stage.database.owner_url, autocommit=True) as reader:
        for customer_id in stage.customers(rounds, EVERYTHING):
            permit_id = owner.post("/v1/permits", asked(customer_id)).body["id"]
            frozen: list[int] = []
            works = [partial(_use, owner, permit_id), *(partial(_ask, one, customer_id) for one in rivals)]
            replies = at_once([*works, partial(_silence, desk, reader, customer_id, frozen)])[:-1]
            late = _entries(reader, customer_id) - frozen[0]
            assert late == 0, f"{late} passed after silent was confirmed"
            _expect_order(stage, customer_id)
            for reply in replies:
                assert reply.status == 201 or reply.reason == "silent", reply
                outcomes["passed" if reply.status == 201 else "refused"] += 1
    return outcomes


def _silence(desk: Caller, reader: psycopg.Connection[Any], customer_id: str, frozen: list[int]) -> Reply:
    time.sleep(random.uniform(0, JITTER_SECONDS))
    confirmed = desk.turn(customer_id, ("*", "*", "silent"))
    assert confirmed.status == 200, confirmed
    # From here on the ledger stands still.
    frozen.append(_entries(reader, customer_id))
    return confirmed


def _use(owner: Caller, permit_id: str) -> Reply:
    time.sleep(random.uniform(0, JITTER_SECONDS))
    return owner.post(f"/v1/permits/{permit_id}/use", {})


def _ask(rival: Caller, customer_id: str) -> Reply:
    time.sleep(random.uniform(0, JITTER_SECONDS))
    return rival.post(random.choice(["/v1/contacts", "/v1/permits"]), asked(customer_id))


def _entries(reader: psycopg.Connection[Any], customer_id: str) -> int:
    row = reader.execute(LEDGER, {"one": customer_id}).fetchone()
    assert row is not None
    return int(row[0])


def _expect_order(stage: Stage, customer_id: str) -> None:
    """In the order of history nothing passes after the dial."""
    answer = stage.auditor.call("GET", f"/v1/customers/{customer_id}/history?limit=200")
    events = sorted(answer.body["events"], key=lambda event: event["recorded_at"])
    silenced = [place for place, event in enumerate(events) if _silences(event)]
    assert len(silenced) == 1
    after = [event["type"] for event in events[silenced[0] + 1 :]]
    assert not {"contact.recorded", "permit.reserved"} & set(after), after


def _silences(event: dict[str, Any]) -> bool:
    return bool(event["type"] == "dials.changed" and event["after"][0]["level"] == "silent")
