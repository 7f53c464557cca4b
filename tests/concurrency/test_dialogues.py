"""Inside a dialogue, as under a dial: the last contact is made once, and none after its closing is confirmed."""

from __future__ import annotations

import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial

from tests.concurrency.crowd import CLIENTS, Caller, Reply, Stage, asked, at_once
from tests.support.api import EVIDENCE

ON_REQUEST = ("*", "offers", "on_request")
ROUNDS, RACES, RIVALS = 6, 30, 6
JITTER_SECONDS = 0.02


def opened(desk: Caller, customer_id: str, contacts: int) -> str:
    """A new dialogue on the customer's word; its id."""
    until = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    made = desk.post(
        f"/v1/customers/{customer_id}/dialogues",
        {
            "topic": "offers",
            "subject": "A question",
            "channels": ["email"],
            "until": until,
            "contacts": contacts,
            "any_time": True,
            "source": "phone",
            "evidence": EVIDENCE,
        },
    )
    assert made.status == 201, made
    return str(made.body["id"])


def test_of_64_clients_one_makes_the_last_contact(crowded: Stage) -> None:
    desk, callers = crowded.caller("desk"), [crowded.caller() for _ in range(CLIENTS)]
    for turn, customer_id in enumerate(crowded.customers(ROUNDS, ON_REQUEST)):
        dialogue_id = opened(desk, customer_id, 1)
        path = ("/v1/contacts", "/v1/permits")[turn % 2]
        replies = at_once([partial(one.post, path, asked(customer_id)) for one in callers])
        granted = [reply for reply in replies if reply.status == 201]
        assert [(one.reason, one.body["dialogue_id"]) for one in granted] == [("in_dialogue", dialogue_id)]
        assert Counter(one.reason for one in replies if one.status == 409) == {"on_request_only": CLIENTS - 1}


def test_after_a_closing_is_confirmed_nothing_is_made_in_it(crowded: Stage) -> None:
    desk, first = crowded.caller("desk"), crowded.caller()
    rivals = [crowded.caller_like(first) for _ in range(RIVALS)]
    met: Counter[str] = Counter()
    for customer_id in crowded.customers(RACES, ON_REQUEST):
        dialogue_id = opened(desk, customer_id, RIVALS)
        permits = [first.post("/v1/permits", asked(customer_id)).body["id"] for _ in range(RIVALS)]
        uses = [partial(_use, *one) for one in zip(rivals, permits, strict=True)]
        replies = at_once([partial(_close, desk, dialogue_id), *uses])
        closed_at = datetime.fromisoformat(replies[0].body["closed_at"])
        for used in replies[1:]:
            met["passed" if used.status == 201 else "refused"] += 1
            if used.status == 201:
                assert datetime.fromisoformat(used.body["decided_at"]) <= closed_at
            else:
                assert (used.status, used.body["code"], used.reason) == (409, "not_permitted", "on_request_only")
        assert first.post("/v1/contacts", asked(customer_id)).reason == "on_request_only"
    # Of both there were some: the two did meet.
    assert met["passed"]
    assert met["refused"]


def _close(desk: Caller, dialogue_id: str) -> Reply:
    time.sleep(random.random() * JITTER_SECONDS)
    closed = desk.post(f"/v1/dialogues/{dialogue_id}/close", {})
    assert closed.status == 200, closed
    return closed


def _use(caller: Caller, permit_id: str) -> Reply:
    time.sleep(random.random() * JITTER_SECONDS)
    return caller.post(f"/v1/permits/{permit_id}/use", {})
