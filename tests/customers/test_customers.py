"""POST /v1/customers, look-up, GET and PATCH, identifiers, tokens."""

from __future__ import annotations

import unicodedata
from uuid import UUID, uuid4

import pytest
from werkzeug.test import TestResponse

from tests.customers.people import erase, merge, rows, somebody, suppress, token, types
from tests.support.api import Api

PEOPLE = "/v1/customers"


def create(api: Api, *identifiers: object, role: str = "desk", **fields: object) -> TestResponse:
    return api.post(PEOPLE, {"identifiers": list(identifiers), **fields}, role=role)


def lookup(api: Api, reference: object, role: str = "desk") -> TestResponse:
    return api.post(f"{PEOPLE}/lookup", {"customer": reference}, role=role)


# Creation


def test_a_new_customer_is_shown_as_it_was_given(shared_api: Api) -> None:
    email = somebody()
    made = create(shared_api, email, "loyalty:1", time_zone="Europe/Paris", locale="fr-CA", segment="club")
    assert made.status_code == 201
    assert made.json == {
        "id": made.json["id"],
        "identifiers": [email, "loyalty:1"],
        "time_zone": "Europe/Paris",
        "locale": "fr-CA",
        "segment": "club",
    }
    assert shared_api.call("GET", f"{PEOPLE}/{made.json['id']}", role="auditor").json == made.json
    assert UUID(made.json["id"]).version == 4


def test_identifiers_of_one_known_customer_find_it_and_change_nothing(shared_api: Api) -> None:
    one, other = somebody(), somebody()
    known = create(shared_api, one, other, locale="en").json
    before = types(shared_api, UUID(known["id"]))
    for asked in ([one], [other, one], [one.upper().replace("EMAIL", "email")]):
        again = create(shared_api, *asked, time_zone="Asia/Tokyo", segment="club")
        assert (again.status_code, again.json) == (200, known)
    assert types(shared_api, UUID(known["id"])) == before


def test_two_known_customers_identifiers_are_a_conflict_and_nothing_is_stored(shared_api: Api) -> None:
    one, other, nobody = somebody(), somebody(), somebody()
    create(shared_api, one)
    create(shared_api, other)
    count = rows(shared_api, "SELECT count(*) FROM customer")
    for asked in ((one, other), (one, nobody), (nobody, other), (nobody, one, other)):
        refused = create(shared_api, *asked)
        assert (refused.status_code, refused.json["code"]) == (409, "identifiers_conflict")
    assert lookup(shared_api, nobody).status_code == 404
    assert rows(shared_api, "SELECT count(*) FROM customer") == count


def test_the_same_identifier_twice_is_one(shared_api: Api) -> None:
    one = somebody()
    made = create(shared_api, one, one.upper().replace("EMAIL", "email"), f"{one} ")
    assert made.status_code == 201
    assert made.json["identifiers"] == [one]


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("time_zone", "Europe/Nowhere", "unknown_time_zone"),
        ("time_zone", "europe/london", "unknown_time_zone"),
        ("time_zone", "localtime", "unknown_time_zone"),
        ("time_zone", "../etc/passwd", "unknown_time_zone"),
        ("time_zone", "+01:00", "unknown_time_zone"),
        ("time_zone", "GMT+1; DROP TABLE customer", "unknown_time_zone"),
        ("time_zone", 1, "invalid_value"),
        ("locale", "english!", "invalid_value"),
        ("locale", "e", "invalid_value"),
        ("locale", "en-", "invalid_value"),
        ("locale", "en-" + "a" * 33, "invalid_value"),
        ("locale", "", "invalid_value"),
        ("segment", "vip", "unknown_segment"),
        ("segment", True, "invalid_value"),
        ("customer_id", "x", "unknown_field"),
        ("identifiers", [], "invalid_value"),
        ("identifiers", "email:ann@example.com", "invalid_value"),
        ("identifiers", ["shoe:46"], "unknown_identifier_kind"),
        ("identifiers", ["Email:ann@example.com"], "unknown_identifier_kind"),
        ("identifiers", [f"id:{uuid4()}"], "unknown_identifier_kind"),
        ("identifiers", ["ann@example.com"], "invalid_customer_reference"),
        ("identifiers", ["email:" + "a" * 314 + "@x.com"], "invalid_customer_reference"),
        ("identifiers", ["email:" + "a" * 5000], "invalid_customer_reference"),
        ("identifiers", ["email:a@x.com\r\nBcc: b@x.com"], "invalid_customer_reference"),
        ("identifiers", ["email:a@x.com,b@x.com"], "invalid_customer_reference"),
        ("identifiers", ["phone:+44ABC"], "invalid_customer_reference"),
        ("identifiers", ["phone:+44 20"], "invalid_customer_reference"),
        ("identifiers", [None], "invalid_value"),
        ("identifiers", [7], "invalid_customer_reference"),
    ],
)
def test_a_bad_field_is_refused_and_nothing_stored(shared_api: Api, field: str, value: object, code: str) -> None:
    count = rows(shared_api, "SELECT count(*) FROM customer")
    refused = shared_api.post(PEOPLE, {"identifiers": [somebody()], field: value}, role="desk")
    assert (refused.status_code, refused.json["code"]) == (422, code)
    assert "b@x.com" not in refused.get_data(as_text=True)
    assert rows(shared_api, "SELECT count(*) FROM customer") == count


def test_a_bad_identifier_is_named_by_its_place(shared_api: Api) -> None:
    refused = create(shared_api, somebody(), "email:nobody", somebody(), "phone:1")
    assert [one["pointer"] for one in refused.json["errors"]] == ["/identifiers/1", "/identifiers/3"]


def test_more_identifiers_than_the_limit_are_too_many(shared_api: Api) -> None:
    refused = create(shared_api, *(somebody() for _ in range(21)))
    assert (refused.status_code, refused.json["code"]) == (413, "too_many_items")
    assert create(shared_api, *(somebody() for _ in range(20))).status_code == 201


def test_a_campaign_key_sets_locale_and_zone_and_no_segment(shared_api: Api) -> None:
    made = create(shared_api, somebody(), role="campaign", locale="de", time_zone="Europe/Berlin")
    assert made.status_code == 201
    refused = create(shared_api, somebody(), role="campaign", segment="club")
    assert (refused.status_code, refused.json["code"]) == (403, "role_not_allowed")


def test_a_shared_address_does_not_say_who_somebody_is(shared_api: Api) -> None:
    ada, ben = somebody(), somebody()
    first = create(shared_api, ada, "postal:1 Shared Row")
    second = create(shared_api, ben, "postal:1 Shared Row")
    assert (first.status_code, second.status_code) == (201, 201)
    assert create(shared_api, ada, "postal:1 Shared Row").json == first.json
    ambiguous = lookup(shared_api, "postal:1 Shared Row")
    assert (ambiguous.status_code, ambiguous.json["code"]) == (422, "ambiguous_customer")
    alone = create(shared_api, "postal:1 Shared Row")
    assert (alone.status_code, alone.json["code"]) == (422, "ambiguous_customer")


def test_a_known_person_with_an_address_that_is_not_theirs_is_a_conflict(shared_api: Api) -> None:
    ada = somebody()
    create(shared_api, ada, "postal:2 Ada's Row")
    for address in ("postal:Nobody's Row", "postal:3 Ben's Row"):
        create(shared_api, somebody(), "postal:3 Ben's Row")
        refused = create(shared_api, ada, address)
        assert (refused.status_code, refused.json["code"]) == (409, "identifiers_conflict")


def test_a_shared_address_alone_names_its_only_holder(shared_api: Api) -> None:
    made = create(shared_api, "postal:4 Lonely Lane", "household:4")
    assert made.status_code == 201
    assert create(shared_api, "household:4").json == made.json
    assert lookup(shared_api, "household:4").json == made.json
    refused = create(shared_api, "household:4", "household:5")
    assert refused.json["code"] == "identifiers_conflict"


# Look-up


def test_every_spelling_finds_the_customer(shared_api: Api) -> None:
    made = create(shared_api, "email:ben@exämple.com", "phone:+442071838750", "email:josé@x.com").json
    assert made["identifiers"][0] == "email:ben@xn--exmple-cua.com"
    for spelling in (
        "email:Ben@XN--EXMPLE-CUA.com",
        " email:ben@EXÄMPLE.com ",
        "email:" + unicodedata.normalize("NFD", "ben@exämple.com"),
        "email:" + unicodedata.normalize("NFD", "josé@x.com"),
        "phone:+44 20 7183 8750",
        f"id:{made['id']}",
        f"id:{made['id'].upper()}",
    ):
        found = lookup(shared_api, spelling, role="auditor")
        assert (found.status_code, found.json) == (200, made), ascii(spelling)


def test_whom_nobody_knows_is_not_found(shared_api: Api) -> None:
    for reference in (somebody(), f"id:{uuid4()}", "loyalty:nobody's"):
        answer = lookup(shared_api, reference)
        assert (answer.status_code, answer.json["code"]) == (404, "unknown_customer")


def test_an_identifier_is_looked_up_by_its_keyed_hash_only(shared_api: Api) -> None:
    made = create(shared_api, "loyalty:clear-text-987")
    stored = rows(shared_api, "SELECT value_hash, ciphertext FROM identifier WHERE customer_id = %s", made.json["id"])
    assert len(stored) == 1
    assert len(stored[0][0]) == 32
    assert not any(b"clear-text" in bytes(value) for value in stored[0])


# Reading and changing


def test_a_change_sets_clears_and_leaves_the_rest(shared_api: Api) -> None:
    made = create(shared_api, somebody(), time_zone="Europe/Paris", locale="fr", segment="club").json
    path = f"{PEOPLE}/{made['id']}"
    changed = shared_api.call("PATCH", path, {"time_zone": "Asia/Tokyo", "segment": None}, role="desk")
    assert (changed.status_code, changed.json) == (200, {**made, "time_zone": "Asia/Tokyo", "segment": None})
    assert shared_api.call("GET", path, role="desk").json == changed.json
    event = shared_api.events(UUID(made["id"]))[-1]
    assert (event["type"], event["actor"]["role"]) == ("customer.changed", "desk")
    assert event["before"] == {"time_zone": "Europe/Paris", "locale": "fr", "segment": "club"}
    assert event["after"] == {"time_zone": "Asia/Tokyo", "locale": "fr", "segment": None}


def test_saying_the_same_again_makes_no_event(shared_api: Api) -> None:
    made = create(shared_api, somebody(), locale="en").json
    before = types(shared_api, UUID(made["id"]))
    for body in ({}, {"locale": "en"}, {"segment": None}):
        assert shared_api.call("PATCH", f"{PEOPLE}/{made['id']}", body, role="desk").json == made
    assert types(shared_api, UUID(made["id"])) == before


def test_a_customer_reads_and_changes_themself_but_not_their_segment(shared_api: Api) -> None:
    made = create(shared_api, somebody()).json
    key, path = token(shared_api, made["id"]), f"{PEOPLE}/{made['id']}"
    assert shared_api.call("GET", path, key=key).json == made
    assert shared_api.call("PATCH", path, {"locale": "de"}, key=key).json["locale"] == "de"
    refused = shared_api.call("PATCH", path, {"segment": "club"}, key=key)
    assert (refused.status_code, refused.json["code"]) == (403, "role_not_allowed")
    assert shared_api.events(UUID(made["id"]))[-1]["actor"] == {"role": "customer", "name": made["id"]}


SAME = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("method", "rest", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"locale": "de"}),
        ("POST", "/identifiers", {"identifier": "loyalty:77"}),
        ("POST", "/erase", None),
    ],
)
def test_another_customers_id_is_answered_like_one_that_never_was(
    shared_api: Api, method: str, rest: str, body: object
) -> None:
    mine, theirs = (create(shared_api, somebody()).json["id"] for _ in range(2))
    gone = create(shared_api, somebody()).json["id"]
    erase(shared_api, gone)
    key = token(shared_api, mine)
    answers = [
        shared_api.call(method, f"{PEOPLE}/{one}{rest}", body, key=key, headers={"X-Request-Id": SAME})
        for one in (theirs, uuid4(), gone, UUID(int=0), "no-id", theirs.replace("-", ""))
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.get_data() for answer in answers}) == 1
    assert shared_api.call("GET", f"{PEOPLE}/{theirs}", role="desk").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "", {"desk", "admin", "campaign"}),
        ("POST", "/lookup", {"desk", "admin", "auditor"}),
        ("GET", "/{id}", {"desk", "admin", "auditor"}),
        ("PATCH", "/{id}", {"desk", "admin"}),
        ("POST", "/{id}/identifiers", {"desk", "admin"}),
        ("POST", "/{id}/merge", {"desk", "admin"}),
        ("POST", "/{id}/tokens", {"desk", "admin"}),
        ("POST", "/{id}/erase", {"desk", "admin"}),
    ],
)
def test_each_role_may_what_the_contract_says(shared_api: Api, method: str, path: str, allowed: set[str]) -> None:
    one = f"{PEOPLE}{path.format(id=uuid4())}"
    body = None if method == "GET" else {"unknown_field": 1}
    for role in ("campaign", "desk", "auditor", "admin"):
        assert (shared_api.call(method, one, body, role=role).status_code == 403) == (role not in allowed), role
    assert shared_api.call(method, one, body, key="csk_nobody").status_code == 401
    assert shared_api.client.open(one, method=method).status_code == 401
    assert shared_api.client.open(f"{one}?key={shared_api.keys['admin']}", method=method).status_code == 401


def test_a_customer_may_not_make_merge_or_find_customers(shared_api: Api) -> None:
    mine = create(shared_api, somebody()).json["id"]
    key = token(shared_api, mine)
    for path in ("", "/lookup", f"/{mine}/merge", f"/{mine}/tokens"):
        assert shared_api.call("POST", PEOPLE + path, {}, key=key).status_code == 403


# Identifiers


def test_a_further_identifier_is_added_once(shared_api: Api) -> None:
    one, further = somebody(), somebody()
    made = create(shared_api, one).json
    path = f"{PEOPLE}/{made['id']}/identifiers"
    added = shared_api.post(path, {"identifier": further}, role="desk")
    assert (added.status_code, added.json["identifiers"]) == (201, [one, further])
    again = shared_api.post(
        path, {"identifier": further.replace("email:", " email: ")}, key=token(shared_api, made["id"])
    )
    assert (again.status_code, again.json) == (200, added.json)
    assert lookup(shared_api, further).json == added.json
    assert types(shared_api, UUID(made["id"])).count("identifier.added") == 1


def test_somebody_elses_identifier_is_a_conflict_and_a_shared_one_is_not(shared_api: Api) -> None:
    one, other = somebody(), somebody()
    create(shared_api, one, "postal:5 Common Close")
    made = create(shared_api, other).json
    path = f"{PEOPLE}/{made['id']}/identifiers"
    refused = shared_api.post(path, {"identifier": one}, role="desk")
    assert (refused.status_code, refused.json["code"]) == (409, "identifiers_conflict")
    assert shared_api.post(path, {"identifier": "postal:5 Common Close"}, role="desk").status_code == 201
    assert lookup(shared_api, other).json["identifiers"] == [other, "postal:5 Common Close"]


@pytest.mark.parametrize(
    ("identifier", "code"),
    [
        ("id:1d1ae2dc-747c-4a16-bdf4-028ff8d0145f", "unknown_identifier_kind"),
        ("shoe:46", "unknown_identifier_kind"),
        ("email:nobody", "invalid_customer_reference"),
        (7, "invalid_customer_reference"),
    ],
)
def test_an_identifier_that_is_none_is_refused(shared_api: Api, identifier: object, code: str) -> None:
    made = create(shared_api, somebody()).json
    refused = shared_api.post(f"{PEOPLE}/{made['id']}/identifiers", {"identifier": identifier}, role="desk")
    assert (refused.status_code, refused.json["code"]) == (422, code)


# Tokens and merged ids


def test_a_token_acts_as_its_customer_and_history_says_that_it_was_issued(shared_api: Api) -> None:
    made = create(shared_api, somebody()).json
    answer = shared_api.post(f"{PEOPLE}/{made['id']}/tokens", role="desk")
    assert answer.status_code == 201
    assert set(answer.json) == {"token", "expires_at"}
    event = shared_api.events(UUID(made["id"]))[-1]
    assert (event["type"], event["actor"]["name"]) == ("token.issued", "desk key")
    assert answer.json["token"] not in str(event)
    bent = answer.json["token"][:-1] + ("A" if answer.json["token"][-1] != "A" else "B")
    assert shared_api.call("GET", f"{PEOPLE}/{made['id']}", key=bent).status_code == 401


def test_a_token_of_a_merged_customer_acts_as_the_survivor(shared_api: Api) -> None:
    survivor, other = (create(shared_api, somebody()).json["id"] for _ in range(2))
    key = token(shared_api, other)
    assert merge(shared_api, survivor, other).status_code == 200
    for one in (survivor, other):
        assert shared_api.call("GET", f"{PEOPLE}/{one}", key=key).json["id"] == survivor


def test_an_idempotent_creation_is_stored_under_the_customers_key(shared_api: Api) -> None:
    email = somebody()
    headers = {"Idempotency-Key": email}
    first = shared_api.post(PEOPLE, {"identifiers": [email]}, role="desk", headers=headers)
    again = shared_api.post(PEOPLE, {"identifiers": [email]}, role="desk", headers=headers)
    assert (first.status_code, again.status_code, again.json) == (201, 201, first.json)
    owner = UUID(first.json["id"])
    assert rows(shared_api, "SELECT count(*) FROM idempotency WHERE customer_id = %s", owner) == [(1,)]
    assert suppress(shared_api, customer=email).status_code == 201
