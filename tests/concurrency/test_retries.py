"""The same request again, at once or after its answer was lost, has one effect (contract.md, Idempotency-Key)."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import time
from collections import Counter
from functools import partial
from uuid import uuid4

from tests.concurrency.crowd import Caller, Reply, Stage, asked, at_once
from tests.concurrency.workers import workers_of

SENDERS = 16
CRASHES = 3
RECOVERY_SECONDS = 30.0
OPEN = ("*", "offers", "everything")
CONTACTS = "SELECT count(*) FROM contact WHERE customer_id = %s::uuid"


def test_the_same_key_16_times_at_once_is_one_contact(crowded: Stage) -> None:
    for customer_id in crowded.customers(5, OPEN):
        first = crowded.caller()
        callers = [first, *(crowded.caller_like(first) for _ in range(SENDERS - 1))]
        key = {"Idempotency-Key": f'"{uuid4()}"'}
        replies = at_once([partial(one.post, "/v1/contacts", asked(customer_id), **key) for one in callers])
        told = Counter((reply.status, reply.body.get("code")) for reply in replies)
        assert told[201, None]
        assert told.keys() <= {(201, None), (409, "idempotency_in_progress")}
        assert len({reply.body["id"] for reply in replies if reply.status == 201}) == 1
        assert crowded.rows(CONTACTS, customer_id) == [(1,)]

        other_body = first.post("/v1/contacts", asked(customer_id, "sms"), **key)
        assert (other_body.status, other_body.body["code"]) == (422, "idempotency_key_reused")
        other_name = next(one for one in iter(crowded.caller, None) if one.key != first.key)
        assert other_name.post("/v1/contacts", asked(customer_id), **key).status == 201
        assert crowded.rows(CONTACTS, customer_id) == [(2,)]


def test_a_request_whose_worker_was_killed_is_answered_once_it_is_sent_again(crowded: Stage) -> None:
    for customer_id in crowded.customers(CRASHES, OPEN):
        sender, key = crowded.caller(), {"Idempotency-Key": str(uuid4())}
        sender.send("POST", "/v1/contacts", asked(customer_id), **key)
        time.sleep(random.uniform(0, 0.03))  # before, within or after the transaction
        workers = workers_of(crowded.pid)
        assert workers
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        sender.hang_up()  # whatever was answered, nobody read it
        reply = _until_answered(crowded.caller_like(sender), customer_id, key)
        assert crowded.rows(CONTACTS, customer_id) == [(1,)]
        again = crowded.caller_like(sender).post("/v1/contacts", asked(customer_id), **key)
        assert (again.status, again.body) == (201, reply.body)


def _until_answered(caller: Caller, customer_id: str, key: dict[str, str]) -> Reply:
    deadline = time.monotonic() + RECOVERY_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            reply = caller.post("/v1/contacts", asked(customer_id), **key)
            if reply.status == 201:
                return reply
            # The dead worker's transaction may not have ended yet.
            assert reply.body["code"] == "idempotency_in_progress", reply
        caller.hang_up()
        time.sleep(0.05)
    raise AssertionError("no answer after the workers were killed")
