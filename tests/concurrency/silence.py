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

EVERYTHING = ("*", "offers", "everything")
# The parent comes last: a dial on it covers the others.
CELLS = [
    (channel, topic)
    for channel in ("email", "sms", "post", "chat")
    for topic in ("offers/wine", "offers/garden", "offers")
]
PAIRS_AT_ONCE = 4
CONTROLLED = 10  # every so many pairs the cell is asked before it is turned, and has to be open
RIVALS = 6
JITTER_SECONDS = 0.02

LEDGER = """
SELECT (SELECT count(*) FROM contact WHERE customer_id = %(one)s::uuid)
     + (SELECT count(*) FROM permit WHERE customer_id = %(one)s::uuid AND state <> 'used')
"""


def play_pairs(stage: Stage, pairs: int) -> int:
    """Turns a place to silent, and once that is confirmed checks and contacts on another connection.

    Returns how many pairs were played; raises when one check or contact was allowed.
    """
    number = -(-pairs // len(CELLS))
    customer_ids = stage.customers(number, EVERYTHING)
    shares = [customer_ids[place::PAIRS_AT_ONCE] for place in range(PAIRS_AT_ONCE)]
    callers = [(stage.caller("desk"), stage.caller()) for _ in shares]
    played = at_once(
        [partial(_pairs, desk, campaign, share) for (desk, campaign), share in zip(callers, shares, strict=True)]
    )
    assert stage.rows("SELECT count(*) FROM contact WHERE customer_id = ANY (%s::uuid[])", customer_ids) == [(0,)]
    return sum(played)


def _pairs(desk: Caller, campaign: Caller, customer_ids: Sequence[str]) -> int:
    played = 0
    for customer_id in customer_ids:
        campaign.hang_up()  # the next connection may be another worker's
        for channel, topic in CELLS:
            question = asked(customer_id, channel, topic)
            if played % CONTROLLED == 0:
                before = campaign.post("/v1/permissions/check", question)
                assert before.body["allowed"], before
            confirmed = desk.turn(customer_id, (channel, topic, "silent"))
            assert confirmed.status == 200, confirmed
            check = campaign.post("/v1/permissions/check", question)
            contact = campaign.post("/v1/contacts", question)
            answers = [check.status, check.body["allowed"], check.reason, contact.status, contact.reason]
            assert answers == [200, False, "silent", 409, "silent"], f"{answers} after silent was confirmed"
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
