"""Idempotency-Key: the same request again gets the stored answer, and one effect is all there is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import pytest
import requests
from werkzeug.test import TestResponse

from consent_service.app import create_app
from tests.support.api import Api
from tests.support.cluster import WebService
from tests.web.asking import dumped, footprint, raw, refused, rows, somebody, token

CONTACT = "/v1/contacts"
PERMIT = "/v1/permits"
REPLAYED = "Idempotency-Replayed"


@pytest.fixture
def key() -> str:
    """A key that nobody has used."""
    return f"key-{uuid4()}"


@pytest.fixture
def ben(shared: Api) -> UUID:
    """A customer who has asked for everything about wine by email."""
    made = shared.customer(somebody())
    assert shared.turn(made, ("email", "offers", "everything")).status_code == 200
    return made


def asked(customer_id: UUID, **fields: Any) -> dict[str, Any]:
    """A contact that Ben allows."""
    return {"customer": f"id:{customer_id}", "channel": "email", "topic": "offers/wine", **fields}


def send(api: Api, path: str, body: Any, once: str, **options: Any) -> TestResponse:
    """A POST with this Idempotency-Key."""
    return api.post(path, body, headers={"Idempotency-Key": once}, **options)


def contacts(api: Api, customer_id: UUID) -> int:
    """How many entries the customer's ledger has."""
    count: int = rows(api, "SELECT count(*) FROM contact WHERE customer_id = %s", customer_id)[0][0]
    return count


def same(first: TestResponse, again: TestResponse) -> bool:
    """True when the second answer is the stored first one."""
    assert REPLAYED not in first.headers
    return (
        again.headers.get(REPLAYED) == "true"
        and (again.status_code, again.data) == (first.status_code, first.data)
        and again.headers["Content-Type"] == first.headers["Content-Type"]
        and again.headers.get("ETag") == first.headers.get("ETag")
        and again.headers["Cache-Control"] == "no-store"
    )


def test_the_same_request_again_gets_the_same_answer_and_has_one_effect(shared: Api, ben: UUID, key: str) -> None:
    first = send(shared, CONTACT, asked(ben), key)
    assert first.status_code == 201
    before = footprint(shared)
    for again in (send(shared, CONTACT, asked(ben), key) for _ in range(3)):
        assert same(first, again)
    assert footprint(shared) == before
    assert contacts(shared, ben) == 1


def test_without_a_key_each_request_has_its_effect(shared: Api, ben: UUID) -> None:
    first, second = shared.post(CONTACT, asked(ben)), shared.post(CONTACT, asked(ben))
    assert first.json["id"] != second.json["id"]
    assert contacts(shared, ben) == 2


def test_a_quoted_key_is_the_bare_one(shared: Api, ben: UUID, key: str) -> None:
    first = send(shared, CONTACT, asked(ben), f'"{key}"')
    assert same(first, send(shared, CONTACT, asked(ben), key))
    assert same(first, send(shared, CONTACT, asked(ben), f'  "{key}" '))
    odd = send(shared, CONTACT, asked(ben), f'"{key} \\"a\\\\b\\""')
    assert same(odd, send(shared, CONTACT, asked(ben), f'{key} "a\\b"'))


@pytest.mark.parametrize("bad", ["", "  ", '""', "x" * 256, "caf\xe9", "a\x7fb", "a\tb"])
def test_a_key_is_1_to_255_printable_characters(shared: Api, ben: UUID, bad: str) -> None:
    before = footprint(shared)
    refused(send(shared, CONTACT, asked(ben), bad), "invalid_idempotency_key")
    assert footprint(shared) == before


def test_a_key_of_255_characters_is_one(shared: Api, ben: UUID) -> None:
    longest = uuid4().hex.ljust(255, "x")
    first = send(shared, CONTACT, asked(ben), longest)
    assert same(first, send(shared, CONTACT, asked(ben), longest))
    assert send(shared, CONTACT, asked(ben), f"{longest[:-1]}y").json["id"] != first.json["id"]


def test_another_body_another_path_and_another_query_are_refused(shared: Api, ben: UUID, key: str) -> None:
    first = send(shared, CONTACT, asked(ben), key)
    before = footprint(shared)
    refused(send(shared, CONTACT, asked(ben, campaign="spring"), key), "idempotency_key_reused")
    refused(send(shared, PERMIT, asked(ben), key), "idempotency_key_reused")
    refused(send(shared, f"{CONTACT}?a=1", asked(ben), key), "idempotency_key_reused")
    # Even a body that could not be read is first of all another one.
    answer = raw(shared, "POST", CONTACT, b"{", headers={"Idempotency-Key": key})
    refused(answer, "idempotency_key_reused")
    assert footprint(shared) == before
    assert same(first, send(shared, CONTACT, asked(ben), key))


def test_another_method_is_another_request(shared: Api, ben: UUID, key: str) -> None:
    path, headers = f"/v1/customers/{ben}", {"Idempotency-Key": key}
    assert shared.call("PATCH", path, {"locale": "en"}, role="desk", headers=headers).status_code == 200
    answer = shared.call("POST", f"{path}/tokens", {"locale": "en"}, role="desk", headers=headers)
    refused(answer, "idempotency_key_reused")


def test_bytes_are_compared_not_meanings(shared: Api, ben: UUID, key: str) -> None:
    headers = {"Idempotency-Key": key}
    body = json.dumps(asked(ben)).encode()
    first = raw(shared, "POST", CONTACT, body, headers=headers)
    assert same(first, raw(shared, "POST", CONTACT, body, headers=headers))
    refused(raw(shared, "POST", CONTACT, body + b" ", headers=headers), "idempotency_key_reused")


def test_keys_of_another_name_are_separate(shared: Api, ben: UUID, key: str) -> None:
    other = shared.key("campaign", f"other {key}")
    first = send(shared, CONTACT, asked(ben), key)
    second = send(shared, CONTACT, asked(ben, campaign="x"), key, key=other)
    assert (first.status_code, second.status_code) == (201, 201)
    assert REPLAYED not in second.headers
    assert contacts(shared, ben) == 2


def test_a_customer_and_a_key_of_any_name_are_separate(shared: Api, ben: UUID, key: str) -> None:
    path = f"/v1/customers/{ben}"
    namesake = shared.key("desk", f"customer:{ben}")
    own = token(shared, ben)
    for number, credential in enumerate((own, namesake)):
        answer = shared.call(
            "PATCH", path, {"locale": "ende"[2 * number :][:2]}, key=credential, headers={"Idempotency-Key": key}
        )
        assert answer.status_code == 200
        assert REPLAYED not in answer.headers


def test_a_replaced_key_of_the_same_name_gets_the_stored_answer(shared: Api, ben: UUID, key: str) -> None:
    name = f"crm {key}"
    old = shared.key("campaign", name)
    first = send(shared, CONTACT, asked(ben), key, key=old)
    key_id = rows(shared, "SELECT key_id FROM api_key WHERE name = %s", name)[0][0]
    assert shared.call("DELETE", f"/v1/keys/{key_id}", role="admin").status_code == 204
    refused(send(shared, CONTACT, asked(ben), key, key=old), "unauthenticated")
    new = shared.key("campaign", name)
    assert same(first, send(shared, CONTACT, asked(ben), key, key=new))


def test_a_refusal_that_was_decided_is_kept(shared: Api, key: str) -> None:
    cy = shared.customer(somebody())
    for path in (PERMIT, CONTACT):
        first = send(shared, path, asked(cy), f"{key}{path}")
        assert refused_decision(first) == "no_consent"
    assert shared.turn(cy, ("email", "offers", "everything")).status_code == 200
    for path in (PERMIT, CONTACT):
        again = send(shared, path, asked(cy), f"{key}{path}")
        assert again.headers[REPLAYED] == "true"
        assert again.mimetype == "application/problem+json"
        assert refused_decision(again) == "no_consent"
    assert send(shared, PERMIT, asked(cy), f"{key} new").status_code == 201


def refused_decision(answer: TestResponse) -> str:
    """The reason of a 409 not_permitted."""
    assert (answer.status_code, answer.json["code"]) == (409, "not_permitted")
    reason: str = answer.json["decision"]["reason"]
    return reason


def test_what_was_badly_asked_is_not_kept(shared: Api, ben: UUID, key: str) -> None:
    refused(send(shared, CONTACT, asked(ben, channel="pigeon"), key), "unknown_channel", "/channel")
    refused(send(shared, CONTACT, asked(ben, surprise=1), key), "unknown_field", "/surprise")
    refused(raw(shared, "POST", CONTACT, b"[", headers={"Idempotency-Key": key}), "invalid_json")
    limited = shared.key("campaign", f"limited {key}", ["events"])
    refused(send(shared, CONTACT, asked(ben), key, key=limited), "topic_not_allowed")
    first = send(shared, CONTACT, asked(ben), key)
    assert first.status_code == 201
    assert same(first, send(shared, CONTACT, asked(ben), key))


def test_who_may_not_ask_leaves_no_answer(shared: Api, ben: UUID, key: str) -> None:
    before = footprint(shared)
    refused(send(shared, CONTACT, asked(ben), key, key="csk_nobodys"), "unauthenticated")
    refused(send(shared, CONTACT, asked(ben), key, role="desk"), "role_not_allowed")
    assert footprint(shared) == before
    assert send(shared, CONTACT, asked(ben), key).status_code == 201


def test_a_stale_version_is_not_kept(shared: Api, ben: UUID, key: str) -> None:
    path = f"/v1/customers/{ben}/dials"
    body = {
        "changes": [{"channel": "sms", "topic": "offers", "level": "weekly"}],
        "source": "phone",
        "evidence": {"call": "1"},
        "notice": {"id": "preferences", "version": "1", "locale": "en"},
    }
    tag = shared.call("GET", path, role="desk").headers["ETag"]
    stale = shared.call("PATCH", path, body, role="desk", headers={"Idempotency-Key": key, "If-Match": '"0"'})
    refused(stale, "stale_version")
    headers = {"Idempotency-Key": key, "If-Match": tag}
    first = shared.call("PATCH", path, body, role="desk", headers=headers)
    assert first.status_code == 200
    # By now the version is another one; the answer, with its ETag, is not.
    assert same(first, shared.call("PATCH", path, body, role="desk", headers=headers))
    assert first.headers["ETag"] != tag


def test_being_limited_leaves_no_answer(shared: Api, ben: UUID, key: str) -> None:
    name = f"slow {key}"
    slow = shared.key("campaign", name, requests_per_minute=1)
    answers = [send(shared, CONTACT, asked(ben), key, key=slow) for _ in range(2)]
    if answers[-1].status_code != 429:  # a new minute began between the two
        answers.append(send(shared, CONTACT, asked(ben), f"{key} 2", key=slow))
    refused(answers[-1], "rate_limited")
    refused(send(shared, CONTACT, asked(ben), f"{key} 3", key=slow), "rate_limited")
    rows(shared, "UPDATE api_key SET requests_per_minute = NULL WHERE name = %s", name)
    assert send(shared, CONTACT, asked(ben), f"{key} 3", key=slow).status_code == 201


def test_what_could_not_be_decided_is_not_kept(shared: Api, ben: UUID, key: str) -> None:
    app = create_app(shared.made.settings(CONSENT_LOCK_TIMEOUT_SECONDS="0.1"), shared.made.service_url)
    headers = {"Authorization": f"Bearer {shared.keys['campaign']}", "Idempotency-Key": key}
    with shared.made.owner() as conn, conn.transaction():
        conn.execute("SELECT FROM customer WHERE customer_id = %s FOR UPDATE", [ben])
        answer = app.test_client().post(CONTACT, headers=headers, json=asked(ben))
        refused(answer, "decision_unavailable")
        assert answer.headers["Retry-After"]
    first = app.test_client().post(CONTACT, headers=headers, json=asked(ben))
    assert (first.status_code, first.headers.get(REPLAYED)) == (201, None)
    app.extensions["consent_service"].database.close()


def test_an_answer_is_kept_for_72_hours(shared: Api, ben: UUID, key: str) -> None:
    first = send(shared, CONTACT, asked(ben), key)
    age = "UPDATE idempotency SET created_at = clock_timestamp() - %s::interval WHERE created_at = ("
    newest = "SELECT max(created_at) FROM idempotency)"
    rows(shared, age + newest, "71 hours 59 minutes")
    assert same(first, send(shared, CONTACT, asked(ben), key))
    rows(shared, "UPDATE idempotency SET created_at = created_at - interval '2 minutes'")
    second = send(shared, CONTACT, asked(ben, campaign="another body"), key)
    assert (second.status_code, second.headers.get(REPLAYED)) == (201, None)
    assert same(second, send(shared, CONTACT, asked(ben, campaign="another body"), key))
    assert contacts(shared, ben) == 2


def test_nothing_of_a_request_or_its_answer_can_be_read_in_the_table(shared: Api) -> None:
    marker = f"marker{uuid4().hex[:8]}"
    email, body_key = f"email:{marker}@example.com", f"welcome {marker}"
    body = {"identifiers": [email]}
    first = send(shared, "/v1/customers", body, body_key, role="desk")
    assert marker in first.get_data(as_text=True)
    assert same(first, send(shared, "/v1/customers", body, body_key, role="desk"))
    unknown = send(shared, CONTACT, {**asked(uuid4()), "customer": f"email:x{marker}@example.com"}, "2")
    assert refused_decision(unknown) == "unknown_customer"
    table = dumped(shared, "idempotency")
    assert marker not in table
    assert str(first.json["id"]) in table  # the dump is one: it shows whose key encrypts the answer
    # A plain hash would let a thief try addresses.
    sent = json.dumps(body).encode()
    for guess in (sent, b"POST /v1/customers?\n" + sent, body_key.encode(), email.encode()):
        assert hashlib.sha256(guess).hexdigest() not in table


def test_an_answer_about_somebody_erased_is_gone_and_the_request_does_not_run_again(shared: Api, key: str) -> None:
    body = {"identifiers": [somebody()]}
    first = send(shared, "/v1/customers", body, key, role="desk")
    stored = rows(shared, "SELECT ciphertext FROM idempotency WHERE customer_id = %s", first.json["id"])
    assert len(stored) == 1
    assert stored[0][0]
    assert shared.post(f"/v1/customers/{first.json['id']}/erase", role="desk").status_code == 200
    assert rows(shared, "SELECT ciphertext FROM idempotency WHERE customer_id = %s", first.json["id"]) == [(b"",)]
    again = send(shared, "/v1/customers", body, key, role="desk")
    assert (again.status_code, again.json["code"]) == (409, "customer_erased")


def test_delete_takes_no_notice_of_the_header(shared: Api, ben: UUID, key: str) -> None:
    permits = [send(shared, PERMIT, asked(ben), f"{key} {number}").json["id"] for number in range(2)]
    before = footprint(shared)["idempotency"]
    for permit in (*permits, permits[0]):
        for sent in (key, f"{key} 0", "caf\xe9"):
            answer = shared.call("DELETE", f"{PERMIT}/{permit}", headers={"Idempotency-Key": sent})
            assert (answer.status_code, answer.headers.get(REPLAYED)) == (204, None)
    assert footprint(shared)["idempotency"] == before


def test_reading_takes_no_notice_of_the_header(shared: Api, ben: UUID, key: str) -> None:
    before = footprint(shared)
    for _ in range(2):
        answer = send(shared, "/v1/permissions/check", asked(ben), key)
        assert (answer.status_code, answer.headers.get(REPLAYED)) == (200, None)
    assert footprint(shared) == before


def test_after_a_merge_the_old_answers_are_given(shared: Api, ben: UUID, key: str) -> None:
    survivor = shared.customer(somebody())
    dials = {"changes": [{"channel": "sms", "topic": "*", "level": "silent"}], "source": "phone"}
    path, headers = f"/v1/customers/{ben}/dials", {"Idempotency-Key": f"{key} dials"}
    permit = send(shared, PERMIT, asked(ben), key)
    turned = shared.call("PATCH", path, dials, role="desk", headers=headers)
    merged = send(shared, f"/v1/customers/{survivor}/merge", {"other": str(ben)}, key, role="desk")
    assert merged.status_code == 200
    assert same(permit, send(shared, PERMIT, asked(ben), key))
    assert same(turned, shared.call("PATCH", path, dials, role="desk", headers=headers))
    again = send(shared, f"/v1/customers/{survivor}/merge", {"other": str(ben)}, key, role="desk")
    assert same(merged, again)  # without its key it would be 422 same_customer


def test_while_the_first_runs_the_same_key_waits_for_nothing(shared: Api, ben: UUID, key: str) -> None:
    with ThreadPoolExecutor(1) as thread, shared.made.owner() as conn:
        with conn.transaction():
            conn.execute("SELECT FROM customer WHERE customer_id = %s FOR UPDATE", [ben])
            running = thread.submit(lambda: post(shared, key, ben))
            wait_for_a_lock(shared)
            second = post(shared, key, ben)
            refused(second, "idempotency_in_progress")
            assert second.headers["Retry-After"]
            # Another key is not concerned, and a refusal on the way is not the request's answer.
            assert send(shared, CONTACT, asked(shared.customer(somebody())), f"{key} 2").status_code == 409
        first = running.result(20)
    assert first.status_code == 201
    assert same(first, post(shared, key, ben))
    assert contacts(shared, ben) == 1


def post(api: Api, key: str, customer_id: UUID) -> TestResponse:
    """A contact from a client of its own."""
    headers = {"Authorization": f"Bearer {api.keys['campaign']}", "Idempotency-Key": key}
    return api.app.test_client().post(CONTACT, headers=headers, json=asked(customer_id))


def wait_for_a_lock(api: Api) -> None:
    """Returns when somebody waits for a lock in this database."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with api.made.owner() as conn:
        for _ in range(200):
            if conn.execute(waiting).fetchone() != (0,):
                return
            conn.execute("SELECT pg_sleep(0.05)")
    raise AssertionError("nobody waits for a lock")


@pytest.fixture
def hurried(shared: Api, gunicorn: WebService) -> Iterator[ThreadPoolExecutor]:
    """Sixteen threads, with a server to ask."""
    with ThreadPoolExecutor(16) as threads:
        yield threads


def test_sixteen_at_once_have_one_effect(
    shared: Api, ben: UUID, gunicorn: WebService, hurried: ThreadPoolExecutor
) -> None:
    for _ in range(5):
        key, before = str(uuid4()), contacts(shared, ben)
        together = Barrier(16)

        def ask(key: str = key, together: Barrier = together) -> requests.Response:
            together.wait(20)
            return contact(gunicorn, shared, ben, key)

        answers = [one.result() for one in [hurried.submit(ask) for _ in range(16)]]
        made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
        others = {answer.json()["code"] for answer in answers if answer.status_code != 201}
        assert len(made) == 1
        assert others <= {"idempotency_in_progress"}
        assert sum(answer.status_code == 201 and REPLAYED not in answer.headers for answer in answers) == 1
        assert contacts(shared, ben) == before + 1
        later = contact(gunicorn, shared, ben, key)
        assert (later.headers.get(REPLAYED), later.json()["id"]) == ("true", made.pop())


def contact(service: WebService, api: Api, customer_id: UUID, key: str) -> requests.Response:
    """A contact asked for over the network."""
    headers = {"Authorization": f"Bearer {api.keys['campaign']}", "Idempotency-Key": key}
    return requests.post(service.url + CONTACT, json=asked(customer_id), headers=headers, timeout=30)
