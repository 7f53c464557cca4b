"""64 clients at once for 5 contacts of room: the scenario, apart from the service that it is played on."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from tests.concurrency.crowd import CLIENTS, Caller, Reply, Stage, asked, at_once

ROOM = 5
BUSY = ("*", "offers", "busy")  # five in seven days
CUSTOMERS_OF_A_BATCH = 10

Ask = Callable[[Caller, str], list[Reply]]

TAKEN = """
SELECT (SELECT count(*) FROM contact WHERE customer_id = %s::uuid AND counts),
       (SELECT count(*) FROM permit WHERE customer_id = %s::uuid AND counts AND state = 'open')
"""


def contact(caller: Caller, customer_id: str) -> list[Reply]:
    """Asks and records in one step."""
    return [caller.post("/v1/contacts", asked(customer_id))]


def permit(caller: Caller, customer_id: str) -> list[Reply]:
    """Reserves."""
    return [caller.post("/v1/permits", asked(customer_id))]


def permit_then_use(caller: Caller, customer_id: str) -> list[Reply]:
    """Reserves, and makes the contact as soon as there is leave."""
    reserved = caller.post("/v1/permits", asked(customer_id))
    if reserved.status == 201:
        used = caller.post(f"/v1/permits/{reserved.body['id']}/use", {})
        assert used.status == 201, used
    return [reserved]


def either(caller: Caller, customer_id: str) -> list[Reply]:
    """One or the other."""
    return random.choice([contact, permit])(caller, customer_id)


def batches(caller: Caller, customer_ids: Sequence[str]) -> dict[str, list[Reply]]:
    """One batch with all customers, the first of them twice, in an order of this caller's own."""
    order = [customer_ids[0], *customer_ids]
    random.shuffle(order)
    name = random.choice(["contacts", "permits"])
    answer = caller.post(f"/v1/{name}/batch", {name: [asked(one) for one in order]})
    assert answer.status == 200, answer
    found: dict[str, list[Reply]] = {one: [] for one in customer_ids}
    for customer_id, row in zip(order, answer.body["results"], strict=True):
        found[customer_id].append(Reply(409 if "error" in row else 201, row))
    return found


def play(stage: Stage, rounds: int, ask: Ask) -> None:
    """Lets 64 clients ask for each of some new customers at once, and holds the answers against the law."""
    callers = [stage.caller() for _ in range(CLIENTS)]
    for customer_id in stage.customers(rounds, BUSY):
        works = [partial(ask, one, customer_id) for one in callers]
        expect_five(stage, customer_id, [reply for replies in at_once(works) for reply in replies])


def play_batches(stage: Stage, salvos: int) -> None:
    """The same with 64 batches at once, each of which names the same customers, one of them twice."""
    callers = [stage.caller() for _ in range(CLIENTS)]
    for _ in range(salvos):
        customer_ids = stage.customers(CUSTOMERS_OF_A_BATCH, BUSY)
        works = [partial(batches, one, customer_ids) for one in callers]
        answers = at_once(works)
        for customer_id in customer_ids:
            replies = [reply for answer in answers for reply in answer[customer_id]]
            expect_five(stage, customer_id, replies)


def expect_five(stage: Stage, customer_id: str, replies: Sequence[Reply]) -> None:
    """Five passed, each saw other room than the rest, all others were told that it was gone, and so it stands."""
    granted = [reply for reply in replies if reply.status == 201]
    refused = Counter((reply.status, reply.reason) for reply in replies if reply.status != 201)
    assert len(granted) == ROOM, f"{len(granted)} passed, {dict(refused)}"
    assert refused == {(409, "volume_reached"): len(replies) - ROOM}
    seen = sorted(reply.body["remaining"] for reply in granted)
    assert seen == [1, 2, 3, 4, 5], f"the same room was seen twice: {seen}"
    contacts, permits = stage.rows(TAKEN, customer_id, customer_id)[0]
    assert contacts + permits == ROOM
