"""Two callers can never both take the last room. 200 rounds of 64 clients for 5 contacts (rules.md, 4)."""

from __future__ import annotations

from functools import partial

from tests.concurrency import last_room
from tests.concurrency.crowd import CLIENTS, Stage, asked, at_once


def test_of_64_contacts_at_once_exactly_5_pass(crowded: Stage) -> None:
    last_room.play(crowded, 12, last_room.contact)


def test_of_64_permits_at_once_exactly_5_pass(crowded: Stage) -> None:
    last_room.play(crowded, 8, last_room.permit)


def test_of_64_permits_that_are_used_at_once_exactly_5_pass(crowded: Stage) -> None:
    last_room.play(crowded, 5, last_room.permit_then_use)


def test_of_contacts_and_permits_mixed_exactly_5_pass(crowded: Stage) -> None:
    last_room.play(crowded, 5, last_room.either)


def test_of_64_batches_at_once_5_rows_pass_for_each_customer(crowded: Stage) -> None:
    last_room.play_batches(crowded, 17)  # of ten customers each: 170 rounds


def test_a_permit_used_by_64_callers_at_once_is_one_contact(crowded: Stage) -> None:
    for customer_id in crowded.customers(5, last_room.BUSY):
        first = crowded.caller()
        # A permit belongs to the name of its key, so all use it with the same one.
        callers = [first, *(crowded.caller_like(first) for _ in range(CLIENTS - 1))]
        permit_id = first.post("/v1/permits", asked(customer_id)).body["id"]
        uses = at_once([partial(one.post, f"/v1/permits/{permit_id}/use", {}) for one in callers])
        assert sorted(reply.status for reply in uses) == [200] * (CLIENTS - 1) + [201]
        assert len({reply.body["id"] for reply in uses}) == 1
        assert crowded.rows(last_room.TAKEN, customer_id, customer_id) == [(1, 0)]
