"""Suppressions: hard stops on a person or on an address, found under every spelling."""

from __future__ import annotations

import threading
import unicodedata
from uuid import UUID, uuid4

import pytest
from werkzeug.test import TestResponse

from consent_service.customers.ids import decode_id, encode_id
from consent_service.customers.service import lock_many
from tests.customers.people import merge, rows, somebody, suppress, token
from tests.support.api import Api


def lift(api: Api, suppression_id: object, role: str = "desk") -> int:
    return api.call("DELETE", f"/v1/suppressions/{suppression_id}", role=role).status_code


def test_a_stop_on_a_person_holds_on_every_channel_until_it_is_lifted(shared_api: Api) -> None:
    email = somebody()
    one = shared_api.customer(email, "phone:+442071838760")
    made = suppress(shared_api, customer=email)
    assert made.status_code == 201
    assert set(made.json) == {"id", "channel", "kind", "set_at", "scope", "customer_id"}
    assert (made.json["scope"], made.json["channel"], made.json["kind"]) == ("customer", None, "marketing")
    assert made.json["customer_id"] == str(one)
    assert decode_id(made.json["id"])[0] == one
    for channel in ("email", "sms", "post"):
        assert shared_api.check(f"id:{one}", channel, "events")["reason"] == "suppressed"
        assert shared_api.check(f"id:{one}", channel, "orders")["reason"] == "essential"
    assert lift(shared_api, made.json["id"]) == 204
    assert shared_api.check(email, "email", "events")["reason"] == "allowed"
    assert lift(shared_api, made.json["id"]) == 404


def test_a_stop_of_kind_all_stops_essential_topics_too(shared_api: Api) -> None:
    email = somebody()
    shared_api.customer(email)
    suppress(shared_api, customer=email, kind="all", channel="email")
    assert shared_api.check(email, "email", "orders")["reason"] == "suppressed"
    assert shared_api.check(email, "sms", "orders")["reason"] == "essential"


SPELLINGS = {  # {} stands for a number of two digits: another person each time
    "case": ("email", "email:Stop{}@X.com", " email:stop{}@x.com "),
    "idna": ("email", "email:stop{}@exämple.com", "email:Stop{}@xn--exmple-cua.com"),
    "nfd": ("email", "email:" + unicodedata.normalize("NFD", "josé{}@stop.com"), "email:JOSÉ{}@stop.com"),
    "phone": ("sms", "phone:+44 20 7183 88{}", "phone:+4420718388{}"),
    "postal": ("post", "postal: {} Café Stop", "postal:" + unicodedata.normalize("NFD", "{} Café Stop")),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("known_before", [True, False])
def test_a_stop_on_an_address_is_found_under_every_spelling_whoever_has_it_and_since_when(
    shared_api: Api, spelling: str, known_before: bool
) -> None:
    channel, *both = SPELLINGS[spelling]
    set_on, asked = (one.format(50 + known_before) for one in both)
    if known_before:
        shared_api.customer(asked)
    made = suppress(shared_api, contact_point=set_on)
    assert made.status_code == 201, made.get_data(as_text=True)
    assert (made.json["scope"], made.json["customer_id"]) == ("contact_point", None)
    if not known_before:
        shared_api.customer(asked)
    assert shared_api.check(asked, channel, "events")["reason"] == "suppressed"
    assert lift(shared_api, made.json["id"]) == 204
    assert shared_api.check(asked, channel, "events")["reason"] == "allowed"


def test_a_stop_on_a_shared_address_refuses_everybody_there_on_that_channel(shared_api: Api) -> None:
    ada, ben = somebody(), somebody()
    for email in (ada, ben):
        shared_api.customer(email, "postal:1 Stop Street")
    assert suppress(shared_api, customer="postal:1 Stop Street").json["code"] == "ambiguous_customer"
    made = suppress(shared_api, contact_point="postal:1 Stop Street", channel="post")
    for email in (ada, ben):
        assert shared_api.check(email, "post", "events")["reason"] == "suppressed"
        assert shared_api.check(email, "email", "events")["reason"] == "allowed"
    assert lift(shared_api, made.json["id"]) == 204
    for email in (ada, ben):
        assert shared_api.check(email, "post", "events")["reason"] != "suppressed"


def test_one_suppressed_address_of_several_is_enough_when_the_person_is_asked_for(shared_api: Api) -> None:
    one, other = somebody(), somebody()
    owner = shared_api.customer(one, other, "loyalty:S-1")
    suppress(shared_api, contact_point=other, channel="email")
    assert shared_api.check("loyalty:S-1", "email", "events")["reason"] == "suppressed"
    assert shared_api.check(f"id:{owner}", "email", "events")["reason"] == "suppressed"
    assert shared_api.check(one, "email", "events")["reason"] == "allowed"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid_value"),
        ({"customer": "loyalty:1", "contact_point": "email:a@x.com"}, 422, "invalid_value"),
        ({"customer": "loyalty:nobody"}, 404, "unknown_customer"),
        ({"customer": f"id:{uuid4()}"}, 404, "unknown_customer"),
        ({"customer": "nobody"}, 422, "invalid_customer_reference"),
        ({"customer": "shoe:46"}, 422, "unknown_identifier_kind"),
        ({"contact_point": "shoe:46"}, 422, "unknown_identifier_kind"),
        ({"contact_point": "household:1"}, 422, "invalid_value"),
        ({"contact_point": f"id:{uuid4()}"}, 422, "invalid_value"),
        ({"contact_point": "email:a@x.com", "channel": "sms"}, 422, "invalid_value"),
        ({"contact_point": "email:a@x.com", "channel": "pigeon"}, 422, "unknown_channel"),
        ({"contact_point": "email:a@x.com", "channel": "*"}, 422, "unknown_channel"),
        ({"contact_point": "email:a@x.com", "kind": "some"}, 422, "invalid_value"),
        ({"contact_point": "email:a@x.com", "kind": None}, 422, "invalid_value"),
        ({"contact_point": "email:a@x.com", "reason": ""}, 422, "invalid_value"),
        ({"contact_point": "email:a@x.com", "reason": "x" * 501}, 422, "invalid_value"),
        ({"contact_point": "email:a@x.com", "set_at": "2020-01-01T00:00:00Z"}, 422, "unknown_field"),
    ],
)
def test_a_bad_suppression_is_refused_and_nothing_stored(
    shared_api: Api, body: dict[str, object], status: int, code: str
) -> None:
    counts = "SELECT (SELECT count(*) FROM suppression), (SELECT count(*) FROM point_suppression)"
    before = rows(shared_api, counts)
    refused = suppress(shared_api, **body)
    assert (refused.status_code, refused.json["code"]) == (status, code)
    assert rows(shared_api, counts) == before


def test_only_the_desk_sets_and_lifts(shared_api: Api) -> None:
    email = somebody()
    one = shared_api.customer(email)
    made = suppress(shared_api, customer=email).json["id"]
    for role in ("campaign", "auditor"):
        assert lift(shared_api, made, role=role) == 403
        assert shared_api.post("/v1/suppressions", {"customer": email}, role=role).status_code == 403
    key = token(shared_api, one)
    assert shared_api.call("DELETE", f"/v1/suppressions/{made}", key=key).status_code == 403
    assert lift(shared_api, made, role="admin") == 204


def test_an_id_that_is_none_lifts_nothing(shared_api: Api) -> None:
    email = somebody()
    one = shared_api.customer(email)
    made = suppress(shared_api, customer=email).json["id"]
    own_id = decode_id(made)[1]
    wrong = [
        "no-id",
        made[:-1],
        made + "A",
        str(own_id),
        encode_id(one, uuid4()),
        encode_id(uuid4(), own_id),
        encode_id(UUID(int=0), own_id),
        encode_id(UUID(int=0), uuid4()),
    ]
    for other in wrong:
        assert lift(shared_api, other) == 404
    assert shared_api.check(email, "email", "events")["reason"] == "suppressed"


def test_a_stop_and_its_end_stand_in_the_history_of_everybody_whom_they_reach(shared_api: Api) -> None:
    ada = shared_api.customer(somebody(), "postal:2 Stop Street")
    ben = shared_api.customer(somebody(), "postal:2 Stop Street")
    made = suppress(shared_api, contact_point="postal:2 Stop Street", reason="a letter came back").json["id"]
    lift(shared_api, made, role="admin")
    for one in (ada, ben):
        put, lifted = shared_api.events(one)[-2:]
        assert (put["type"], lifted["type"]) == ("suppression.set", "suppression.lifted")
        assert put["details"]["reason"] == "a letter came back"
        assert put["after"]["id"] == lifted["before"]["id"] == made
        assert (put["actor"]["role"], lifted["actor"]["role"]) == ("desk", "admin")
        assert "Stop Street" not in str((put, lifted))
    assert (
        len(
            rows(
                shared_api,
                "SELECT 1 FROM event WHERE type = 'suppression.set' AND customer_id = %s",
                UUID(int=0),
            )
        )
        > 0
    )


def test_the_event_that_is_nobodys_holds_neither_reason_nor_address(shared_api: Api) -> None:
    suppress(shared_api, contact_point="email:very.private@x.com", reason="Gulliver said so")
    with shared_api.database.reading() as conn:
        newest = conn.execute(
            "SELECT c.event_id, c.ciphertext FROM event_content c JOIN event e USING (customer_id, event_id)"
            " WHERE e.type = 'suppression.set' AND c.customer_id = %s ORDER BY e.recorded_at DESC LIMIT 1",
            [UUID(int=0)],
        ).fetchone()
        key = shared_api.keyring.find(conn, [UUID(int=0)])[UUID(int=0)]
    clear = key.open(newest["ciphertext"], newest["event_id"].bytes)
    assert b'"identifier_kind":"email"' in clear
    assert b"private" not in clear
    assert b"Gulliver" not in clear


def test_a_stop_on_an_address_waits_for_everybody_who_has_it_and_so_does_its_end(shared_api: Api) -> None:
    ada, ben = (shared_api.customer(somebody(), "postal:3 Stop Street") for _ in range(2))
    made: list[TestResponse] = []

    def act(method: str, path: str, body: object) -> None:
        def run() -> None:
            headers = {"Authorization": f"Bearer {shared_api.keys['desk']}"}
            client = shared_api.app.test_client()
            made.append(client.open(path, method=method, json=body, headers=headers))

        thread = threading.Thread(target=run)
        with shared_api.database.transaction() as conn:
            lock_many(conn, shared_api.keyring, [max(ada, ben)])
            thread.start()
            thread.join(0.4)
            assert thread.is_alive()
        thread.join(10)

    body = {"contact_point": "postal:3 Stop Street", "kind": "all", "reason": "a letter came back"}
    act("POST", "/v1/suppressions", body)
    assert made[0].status_code == 201
    act("DELETE", f"/v1/suppressions/{made[0].json['id']}", None)
    assert made[1].status_code == 204


def test_a_stop_on_a_merged_customer_is_lifted_from_the_survivor(shared_api: Api) -> None:
    email = somebody()
    survivor, other = shared_api.customer(somebody()), shared_api.customer(email)
    made = suppress(shared_api, customer=email).json["id"]
    merge(shared_api, survivor, other)
    assert shared_api.check(f"id:{survivor}", "email", "events")["reason"] == "suppressed"
    assert lift(shared_api, made) == 204
    assert shared_api.check(f"id:{survivor}", "email", "events")["reason"] == "allowed"
    assert shared_api.events(survivor)[-1]["type"] == "suppression.lifted"
