"""Erasure: hashes of identifiers stay, and nothing else that identifies."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from psycopg import sql

from consent_service.customers.model import parse_reference
from consent_service.customers.service import create_unknown_many, lock_many, resolve_many
from tests.customers.people import at_once, erase, merge, rows, somebody, suppress, token
from tests.support.api import SYSTEM, Api

NAMES = (
    "email:zzyzx.quux@xyloplax.example",
    "phone:+442071838750",
    "postal:17 Brobdingnag Row",
    "loyalty:QX-553",
)
CLEAR = ("zzyzx", "xyloplax", "2071838750", "Brobdingnag", "QX-553", "Lilliput")


def scan(api: Api, words: tuple[str, ...]) -> list[str]:
    """Where a word stands in any table, as text or as bytes."""
    found = []
    with api.made.owner() as conn:
        tables = [
            row[0] for row in conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        ]
        assert {"event_content", "identifier", "idempotency", "customer"} <= set(tables)
        for table in tables:
            for row in conn.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))):
                for value in row:
                    raw = bytes(value) if isinstance(value, (bytes, memoryview)) else str(value).encode()
                    found += [f"{table}: {word}" for word in words if word.encode().lower() in raw.lower()]
    return found


def customers_in(api: Api, table: str) -> set[UUID]:
    """The customers who have a row in a table."""
    with api.made.owner() as conn:
        found = conn.execute(sql.SQL("SELECT customer_id FROM {}").format(sql.Identifier(table)))
        return {row[0] for row in found}


def live(api: Api, *names: str) -> UUID:
    """A customer who has left a row in every table."""
    made = api.post(
        "/v1/customers",
        {"identifiers": list(names), "time_zone": "Europe/Paris", "locale": "fr", "segment": "club"},
        role="desk",
        headers={"Idempotency-Key": str(uuid4())},
    )
    one = UUID(made.json["id"])
    assert api.turn(one, ("email", "*", "everything")).status_code == 200
    api.call("PUT", f"/v1/customers/{one}/pause", {"until": "2030-01-01T00:00:00Z", "channel": "sms"}, role="desk")
    question = {"customer": names[0], "channel": "email", "topic": "orders"}
    assert api.post("/v1/contacts", question).status_code == 201
    assert api.post("/v1/permits", question).status_code == 201
    assert suppress(api, customer=names[0], reason="Lilliput asked", channel="post").status_code == 201
    return one


def test_nothing_is_left_but_hashes(api: Api) -> None:
    one = live(api, *NAMES)
    other = live(api, "email:also.zzyzx@xyloplax.example")
    assert merge(api, one, other).status_code == 200
    assert scan(api, ("Europe/Paris",)) == ["customer: Europe/Paris"]
    frames = rows(api, "SELECT count(*) FROM event WHERE customer_id IN (%s, %s)", one, other)
    kept = ("identifier", "identifier_owner", "dial", "pause", "permit", "contact", "suppression",
            "customer_key")  # fmt: skip
    assert all(one in customers_in(api, table) for table in kept)
    erase(api, other)
    assert scan(api, (*CLEAR, "Europe/Paris")) == []
    for table in kept:
        assert {one, other}.isdisjoint(customers_in(api, table)), table
    # That a request was answered stays known, so that it never runs again; the answer itself is gone.
    assert {
        row[0] for row in rows(api, "SELECT ciphertext FROM idempotency WHERE customer_id = ANY (%s)", [one, other])
    } <= {b""}
    fields = rows(
        api,
        "SELECT state, survivor_id, time_zone, locale, segment FROM customer WHERE customer_id IN (%s, %s)",
        one,
        other,
    )
    assert fields == [("erased", None, None, None, None)] * 2
    assert len(rows(api, "SELECT value_hash FROM erased_identifier")) == 5
    assert rows(api, "SELECT count(*) FROM event WHERE customer_id IN (%s, %s)", one, other) == frames


def test_an_erased_person_is_refused_as_erased_under_every_name_and_id(api: Api) -> None:
    one, other = live(api, *NAMES), api.customer("email:zzyzx2@xyloplax.example")
    merge(api, one, other)
    erase(api, one)
    asked = [*NAMES, "email:ZZYZX2@xyloplax.example", f"id:{one}", f"id:{other}"]
    with api.database.reading() as conn:
        found = resolve_many(conn, api.keyring, asked)
    assert {(who.state, who.customer_id, who.error) for who in found} == {("erased", None, None)}
    for reference in asked:
        for topic in ("offers", "orders"):
            answer = api.check(reference, "email", topic)
            assert (answer["allowed"], answer["reason"]) == (False, "erased"), reference
        assert api.post("/v1/customers/lookup", {"customer": reference}, role="desk").status_code == 404
        assert suppress(api, customer=reference).status_code == 404


def test_the_second_time_there_is_nobody_to_erase(shared_api: Api) -> None:
    one = shared_api.customer(somebody())
    erase(shared_api, one)
    again = shared_api.call("POST", f"/v1/customers/{one}/erase", role="desk")
    assert (again.status_code, again.json["code"]) == (404, "unknown_customer")
    assert shared_api.call("GET", f"/v1/customers/{one}", role="desk").status_code == 404
    with shared_api.database.transaction() as conn:
        assert lock_many(conn, shared_api.keyring, [one]) == {}


def test_a_customer_erases_themself_and_their_token_is_worth_nothing(shared_api: Api) -> None:
    email = somebody()
    one = shared_api.customer(email)
    key = token(shared_api, one)
    assert shared_api.call("POST", f"/v1/customers/{one}/erase", key=key).status_code in (200, 204)
    assert shared_api.call("GET", f"/v1/customers/{one}", key=key).status_code == 404
    assert shared_api.check(email, "email", "events")["reason"] == "erased"


def test_an_erasure_leaves_an_event_that_names_nobody(shared_api: Api) -> None:
    one = shared_api.customer(somebody())
    erase(shared_api, one)
    found = rows(shared_api, "SELECT customer_id FROM event WHERE type = 'customer.erased' ORDER BY recorded_at")
    assert found[-1] == (UUID(int=0),)


def test_an_erased_customers_events_cannot_be_opened(shared_api: Api) -> None:
    one = shared_api.customer(somebody())
    erase(shared_api, one)
    assert rows(shared_api, "SELECT 1 FROM customer_key WHERE customer_id = %s", one) == []


def test_the_desk_makes_a_new_empty_customer_and_the_hash_stops_answering(shared_api: Api) -> None:
    email, phone = somebody(), "phone:+442071838751"
    one = shared_api.customer(email, phone)
    shared_api.turn(one, ("email", "events", "everything"))
    erase(shared_api, one)
    refused = shared_api.post("/v1/customers", {"identifiers": [email]}, role="campaign")
    assert (refused.status_code, refused.json["code"]) == (409, "customer_erased")
    assert shared_api.check(email, "email", "events")["reason"] == "erased"
    back = shared_api.customer(email)
    assert back != one
    assert shared_api.call("GET", f"/v1/customers/{back}/dials", role="desk").json["dials"] == []
    assert shared_api.check(email, "email", "events")["reason"] == "allowed"
    assert shared_api.check(phone, "sms", "events")["reason"] == "erased"
    assert shared_api.check(f"id:{one}", "email", "events")["reason"] == "erased"


def test_a_customer_cannot_take_an_erased_persons_name(shared_api: Api) -> None:
    email = somebody()
    erase(shared_api, shared_api.customer(email))
    one = shared_api.customer(somebody())
    path = f"/v1/customers/{one}/identifiers"
    refused = shared_api.post(path, {"identifier": email}, key=token(shared_api, one))
    assert (refused.status_code, refused.json["code"]) == (409, "customer_erased")
    assert shared_api.check(email, "email", "events")["reason"] == "erased"
    assert shared_api.post(path, {"identifier": email}, role="desk").status_code == 201
    assert shared_api.check(email, "email", "events")["customer_id"] == str(one)


def test_imports_and_reports_never_bring_anybody_back(shared_api: Api) -> None:
    email = somebody()
    erase(shared_api, shared_api.customer(email, "postal:9 Forgotten Fields"))
    refs = [parse_reference(email), parse_reference("postal:9 Forgotten Fields"), parse_reference(somebody())]
    with shared_api.database.transaction() as conn:
        made = create_unknown_many(conn, shared_api.keyring, SYSTEM, refs, source="import")
    assert set(made) == {refs[2]}
    assert shared_api.check(email, "email", "events")["reason"] == "erased"
    assert rows(shared_api, "SELECT 1 FROM identifier_owner o JOIN erased_identifier e USING (kind, value_hash)") == []


def test_a_shared_address_goes_on_naming_those_who_stay(shared_api: Api) -> None:
    ada = shared_api.customer(somebody(), "postal:8 Shared Road")
    ben = shared_api.customer(somebody(), "postal:8 Shared Road")
    erase(shared_api, ada)
    assert shared_api.check("postal:8 Shared Road", "post", "events")["customer_id"] == str(ben)
    erase(shared_api, ben)
    assert shared_api.check("postal:8 Shared Road", "post", "events")["reason"] == "erased"


def test_a_stop_on_an_address_stays(shared_api: Api) -> None:
    email = somebody()
    one = shared_api.customer(email)
    stop = suppress(shared_api, contact_point=email, channel="email").json["id"]
    erase(shared_api, one)
    shared_api.customer(email)
    assert shared_api.check(email, "email", "events")["reason"] == "suppressed"
    assert shared_api.call("DELETE", f"/v1/suppressions/{stop}", role="desk").status_code == 204


@pytest.mark.parametrize("round_number", range(3))
def test_erasing_while_contacts_are_made_leaves_no_contact(shared_api: Api, round_number: int) -> None:
    email = somebody()
    one = shared_api.customer(email)

    def act(number: int) -> int:
        client = shared_api.app.test_client()
        key = shared_api.keys["desk" if number == 2 else "campaign"]
        headers = {"Authorization": f"Bearer {key}"}
        if number == 2:
            return client.post(f"/v1/customers/{one}/erase", headers=headers).status_code
        question = {"customer": email, "channel": "email", "topic": "orders"}
        return client.post("/v1/contacts", json=question, headers=headers).status_code

    answers = at_once(4, act)
    assert set(answers) <= {200, 204, 201, 409}
    assert rows(shared_api, "SELECT count(*) FROM contact WHERE customer_id = %s", one) == [(0,)]
