"""Single permits and contacts of one moment share a transaction: each gets what it would have got alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import UUID, uuid4

import psycopg
import pytest

from consent_service.database import Database
from consent_service.errors import ConsentError, Unavailable
from consent_service.keys.model import secret_hash
from consent_service.permissions.contacts import CONTACT
from consent_service.permissions.model import Asked, Outcome, Question
from consent_service.permissions.permits import PERMIT
from consent_service.permissions.taking import Way
from consent_service.permissions.together import Taken, Together, Wanted, take_together
from tests.support.api import Api
from tests.support.soundness import expect_sound

SECONDS = 20.0
WEEKLY, BUSY = ("email", "offers", "weekly"), ("email", "offers", "busy")


@pytest.fixture
def customers(api: Api) -> list[UUID]:
    """Five people who take five messages in seven days."""
    made = [api.customer(f"email:t{number}@example.com") for number in range(5)]
    for one in made:
        assert api.turn(one, BUSY).status_code == 200
    return made


@pytest.fixture
def holder(api: Api) -> Iterator[psycopg.Connection[object]]:
    """Somebody else, who may hold a customer."""
    with api.made.owner() as conn:
        yield conn


def wanted(
    api: Api, customer: str | UUID, way: Way = CONTACT, *, topic: str = "offers", channel: str = "email", **by: str
) -> Wanted:
    reference = customer if isinstance(customer, str) else f"id:{customer}"
    key, request_id = by.get("key", api.keys["campaign"]), by.get("request_id", str(uuid4()))
    return Wanted(secret_hash(key), request_id, way, Asked(Question(reference, channel, topic)))


def together(api: Api, some: Sequence[Wanted]) -> list[Taken]:
    return take_together(api.database, api.keyring, some)


def told(one: Taken) -> object:
    """A status and a reason, or the code of an error."""
    if not isinstance(one.outcome, Outcome):
        return one.outcome.code if one.outcome else None
    decision = one.outcome.body.get("decision", one.outcome.body)
    return one.outcome.status, decision["reason"]


def hold(conn: psycopg.Connection[object], customer: UUID) -> None:
    conn.execute("SELECT FROM customer WHERE customer_id = %s FOR NO KEY UPDATE", [customer])


def ledger(api: Api) -> tuple[int, int, int]:
    """How many contacts, permits and events of them there are."""
    with api.made.owner() as conn:
        row = conn.execute(
            "SELECT (SELECT count(*) FROM contact), (SELECT count(*) FROM permit),"
            " (SELECT count(*) FROM event WHERE type LIKE 'contact.%' OR type LIKE 'permit.%')"
        ).fetchone()
        assert row is not None
        return row


def test_each_gets_its_own_answer_whatever_the_others_get(api: Api, customers: list[UUID]) -> None:
    assert api.turn(customers[1], ("email", "*", "silent")).status_code == 200
    for name in ("email:twin1@example.com", "email:twin2@example.com"):
        api.customer(name, "household:shared")
    api.post(f"/v1/customers/{customers[2]}/erase", role="desk")
    merged = api.customer("email:merged@example.com")
    assert api.post(f"/v1/customers/{customers[3]}/merge", {"other": str(merged)}, role="desk").status_code == 200
    narrow = api.key("campaign", "narrow", ["events"])
    some = [
        wanted(api, customers[0]),
        wanted(api, customers[0], topic="shoes"),
        wanted(api, customers[0], channel="fax"),
        wanted(api, customers[1]),
        wanted(api, customers[4], key=narrow),
        wanted(api, "email:cy@example.com"),
        wanted(api, "email:t2@example.com", PERMIT),
        wanted(api, customers[2]),
        wanted(api, merged, PERMIT),
        wanted(api, "household:shared"),
        wanted(api, "nonsense"),
        wanted(api, "shoesize:44"),
        wanted(api, customers[4], PERMIT),
        wanted(api, customers[4], topic="orders"),
    ]
    assert [told(one) for one in together(api, some)] == [
        (201, "allowed"),
        "unknown_topic",
        "unknown_channel",
        (409, "silent"),
        "topic_not_allowed",
        (409, "unknown_customer"),
        (409, "erased"),
        (409, "erased"),
        (201, "allowed"),
        "ambiguous_customer",
        "invalid_customer_reference",
        "unknown_identifier_kind",
        (201, "allowed"),
        (201, "essential"),
    ]
    assert ledger(api) == (2, 2, 8)
    expect_sound(api.made)


def test_those_of_one_customer_come_one_after_the_other_and_see_each_other(api: Api, customers: list[UUID]) -> None:
    ways = (CONTACT, PERMIT, CONTACT, CONTACT, PERMIT, CONTACT, PERMIT)
    names: list[str | UUID] = [customers[0], "email:T0@example.com"]
    some = [wanted(api, names[number % 2], way) for number, way in enumerate(ways)]
    some.insert(3, wanted(api, customers[1]))
    taken = [one.outcome for one in together(api, some)]
    first = [one for one in taken if isinstance(one, Outcome)]
    assert [one.status for one in first] == [201] * 6 + [409] * 2
    assert [one.body["remaining"] for one in first if one.granted] == [5, 4, 3, 5, 2, 1]
    decided = [one.body.get("decision", one.body)["decided_at"] for place, one in enumerate(first) if place != 3]
    assert decided == sorted(set(decided))
    expect_sound(api.made)


def test_every_event_names_its_own_key_and_request(api: Api, customers: list[UUID]) -> None:
    keys = [api.key("campaign", f"sender {number}", ["*"]) for number in range(3)]
    requests = [str(uuid4()) for _ in keys]
    some = [
        wanted(api, one, way, key=key, request_id=request_id)
        for one, key, request_id, way in zip(customers, keys, requests, (CONTACT, PERMIT, CONTACT), strict=False)
    ]
    together(api, some)
    for number, one in enumerate(customers[:3]):
        event = api.events(one)[-1]
        assert event["actor"] == {"role": "campaign", "name": f"sender {number}"}
        assert event["request_id"] == requests[number]
    with api.made.owner() as conn:
        names = {row[0] for row in conn.execute("SELECT key_name FROM contact UNION SELECT key_name FROM permit")}
    assert names == {"sender 0", "sender 1", "sender 2"}


def test_who_may_not_take_takes_nothing_and_keeps_nobody_from_it(api: Api, customers: list[UUID]) -> None:
    limited = api.key("campaign", "limited", ["*"], requests_per_minute=5)
    strangers = ["csk_" + "x" * 43, api.keys["desk"], api.keys["auditor"], api.keys["admin"], limited]
    some = [wanted(api, one, key=key) for one, key in zip(customers, strangers, strict=True)]
    taken = together(api, [*some, wanted(api, customers[0])])
    assert [told(one) for one in taken] == [None] * 5 + [(201, "allowed")]
    assert ledger(api) == (1, 0, 1)


def test_a_customer_whom_somebody_holds_keeps_nobody_else_waiting(
    api: Api, customers: list[UUID], holder: psycopg.Connection[object]
) -> None:
    with holder.transaction():
        hold(holder, customers[1])
        taken = together(api, [wanted(api, one) for one in customers])
    assert [told(one) for one in taken] == [(201, "allowed"), None, *[(201, "allowed")] * 3]
    assert [one.held_by_others for one in taken] == [None, customers[1], None, None, None]
    assert ledger(api) == (4, 0, 4)


def test_those_who_wait_for_a_customer_are_served_when_it_is_free_and_others_meanwhile(
    api: Api, customers: list[UUID], holder: psycopg.Connection[object]
) -> None:
    joined = Together(api.database, api.keyring, lambda: SECONDS)
    with ThreadPoolExecutor(8) as pool:
        with holder.transaction():
            hold(holder, customers[0])
            waiting = [pool.submit(joined.take, wanted(api, customers[0])) for _ in range(6)]
            until_standing(joined, customers[0])
            others = [joined.take(wanted(api, one)) for one in customers[1:]]
            assert [told(one) for one in others] == [(201, "allowed")] * 4
            assert not any(one.done() for one in waiting)
        replies = [one.result() for one in waiting]
    assert sorted(map(str, map(told, replies))) == ["(201, 'allowed')"] * 5 + ["(409, 'volume_reached')"]
    assert joined._lines.standing() == frozenset()
    expect_sound(api.made)


def until_standing(joined: Together, customer: UUID) -> None:
    deadline = time.monotonic() + SECONDS
    while customer not in joined._lines.standing():
        assert time.monotonic() < deadline, "nobody stands in line"
        time.sleep(0.005)


def test_a_customer_who_is_held_for_too_long_is_no_decision_for_those_who_ask_about_them(
    api: Api, customers: list[UUID], holder: psycopg.Connection[object]
) -> None:
    settings = api.made.settings(CONSENT_LOCK_TIMEOUT_SECONDS="0.3")
    database = Database(api.made.service_url, settings)
    joined = Together(database, api.keyring, lambda: SECONDS)
    try:
        with holder.transaction(), ThreadPoolExecutor(3) as pool:
            hold(holder, customers[0])
            waiting = [pool.submit(joined.take, wanted(api, customers[0])) for _ in range(3)]
            for one in waiting:
                with pytest.raises(Unavailable):
                    one.result()
        assert ledger(api) == (0, 0, 0)
        assert told(joined.take(wanted(api, customers[0]))) == (201, "allowed")
    finally:
        database.close()


def test_a_customer_who_was_merged_or_erased_while_one_waited_is_what_they_are_then(
    api: Api, customers: list[UUID], holder: psycopg.Connection[object]
) -> None:
    joined = Together(api.database, api.keyring, lambda: SECONDS)
    acts = {
        customers[0]: lambda: api.post(
            f"/v1/customers/{customers[2]}/merge", {"other": str(customers[0])}, role="desk"
        ),
        customers[1]: lambda: api.post(f"/v1/customers/{customers[1]}/erase", role="desk"),
    }
    seen = {}
    for one, act in acts.items():
        with ThreadPoolExecutor(2) as pool:
            with holder.transaction():
                hold(holder, one)
                acting = pool.submit(act)
                until_waiting(api, 1)
                waiting = pool.submit(joined.take, wanted(api, one))
                until_waiting(api, 2)
            assert acting.result().status_code in (200, 204)
            seen[one] = told(waiting.result())
    assert seen == {customers[0]: (201, "allowed"), customers[1]: (409, "erased")}
    expect_sound(api.made)


def until_waiting(api: Api, most: int) -> None:
    """Until so many wait for a lock: in the order in which they came."""
    deadline = time.monotonic() + SECONDS
    with api.made.owner() as conn:
        while conn.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() != (most,):
            assert time.monotonic() < deadline, "they do not wait for the customer"
            time.sleep(0.005)


def test_what_spoils_it_for_one_is_undone_for_all_and_each_goes_alone(api: Api, customers: list[UUID]) -> None:
    with api.made.owner() as conn:
        conn.execute("UPDATE customer_key SET wrapped_key = '\\x00' WHERE customer_id = %s", [customers[1]])
    taken = together(api, [wanted(api, one) for one in customers])
    assert [told(one) for one in taken] == [None] * 5
    assert [one.held_by_others for one in taken] == [None] * 5
    assert ledger(api) == (0, 0, 0)
    body = {"channel": "email", "topic": "offers"}
    answers = [api.post("/v1/contacts", {**body, "customer": f"id:{one}"}) for one in customers]
    assert [one.status_code for one in answers] == [201, 500, 201, 201, 201]


def test_a_request_with_an_idempotency_key_goes_alone(api: Api, customers: list[UUID]) -> None:
    parts = api.app.extensions["consent_service"]
    asked: list[Wanted] = []
    take = parts.together.take

    def noting(one: Wanted) -> Taken:
        asked.append(one)
        taken: Taken = take(one)
        return taken

    parts.together.take = noting
    body = {"customer": f"id:{customers[0]}", "channel": "email", "topic": "offers"}
    for path in ("/v1/contacts", "/v1/permits"):
        assert api.post(path, body, headers={"Idempotency-Key": str(uuid4())}).status_code == 201
        assert asked == []
        assert api.post(path, body).status_code == 201
        assert len(asked) == 1
        asked.clear()


def test_an_answer_that_is_lost_is_lost_for_all_and_nothing_is_done_twice(
    api: Api, customers: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server commits, and then the connection breaks; also where the driver's own words for it are none of those
    that mean an outage."""
    from consent_service.database import Connection

    end = Connection.end

    def lose(conn: Connection, error: Exception) -> None:
        end(conn)
        raise error

    for number, error in enumerate((psycopg.OperationalError("lost"), psycopg.DatabaseError("odd"), ValueError("odd"))):
        with monkeypatch.context() as patches:
            patches.setattr(Connection, "end", lambda conn, error=error: lose(conn, error))
            joined = Together(api.database, api.keyring, lambda: SECONDS)
            gate = threading.Barrier(len(customers))

            def ask(one: UUID, joined: Together = joined, gate: threading.Barrier = gate) -> Taken:
                gate.wait()
                return joined.take(wanted(api, one))

            with ThreadPoolExecutor(len(customers)) as pool:
                for reply in [pool.submit(partial(ask, one)) for one in customers]:
                    with pytest.raises(ConsentError) as caught:
                        reply.result()
                    assert caught.value.code == "decision_unavailable"
        assert ledger(api) == (5 * (number + 1), 0, 5 * (number + 1))
    expect_sound(api.made)
