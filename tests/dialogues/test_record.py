"""The record: only the customer opens a dialogue, narrows or widens it, and whoever closes it closes it for good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consent_service.dialogues.model import MOST_OPEN, Opening, Terms
from consent_service.dialogues.service import change_terms, open_dialogue
from consent_service.errors import ConsentError
from consent_service.history.model import Actor
from tests.customers.people import at_once, erase, merge, rows, somebody, token, types
from tests.dialogues.conftest import OPENING, Talk, days_ahead, somebody_talking
from tests.support.api import EVIDENCE, Api
from tests.support.soundness import expect_sound


def opened_by(api: Api, role: str, **fields: Any) -> tuple[int, Any]:
    """(status, body) of an opening by somebody else than the customer."""
    made = api.customer(somebody())
    body = {**OPENING, "until": days_ahead(30), **fields}
    answer = api.post(f"/v1/customers/{made}/dialogues", body, role=role)
    return answer.status_code, answer.json


def test_the_customer_opens_one_and_waits_for_an_answer(talk: Talk) -> None:
    shown = talk.shown()
    assert (shown["state"], shown["role"], shown["source"], shown["topic"]) == ("open", "customer", "web", "offers")
    assert (shown["contacts"], shown["contacts_made"], shown["contacts_left"]) == (3, 0, 3)
    assert shown["waiting_since"] == shown["opened_at"]
    assert [(one["number"], one["kind"], one["text"]) for one in shown["entries"]] == [(1, "opening", None)]


def test_what_is_said_with_the_opening_stands_in_it(shared_api: Api) -> None:
    talk = somebody_talking(shared_api, message="For my aunt.", any_time=True)
    shown = talk.shown()
    assert (shown["any_time"], shown["entries"][0]["text"]) == (True, "For my aunt.")


def test_the_desk_opens_one_on_the_customers_word(shared_api: Api) -> None:
    status, shown = opened_by(shared_api, "desk", source="phone", evidence=EVIDENCE)
    assert (status, shown["role"], shown["source"], shown["waiting_since"] is None) == (201, "desk", "phone", False)


@pytest.mark.parametrize(
    ("role", "code"),
    [("desk", "evidence_required"), ("campaign", "only_customers_open"), ("auditor", "role_not_allowed")],
)
def test_nobody_else_opens_one(shared_api: Api, role: str, code: str) -> None:
    assert opened_by(shared_api, role)[1]["code"] == code


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"topic": "nothing"}, "unknown_topic"),
        ({"channels": ["pigeon"]}, "unknown_channel"),
        ({"channels": []}, "invalid_value"),
        ({"channels": ["email", "email"]}, "invalid_value"),
        ({"contacts": 0}, "invalid_value"),
        ({"contacts": 101}, "invalid_value"),
        ({"subject": ""}, "invalid_value"),
        ({"subject": "x" * 201}, "invalid_value"),
        ({"message": "x" * 4001}, "invalid_value"),
        ({"until": days_ahead(-1)}, "invalid_timestamp"),
        ({"until": days_ahead(501)}, "invalid_timestamp"),
        ({"state": "open"}, "unknown_field"),
    ],
)
def test_an_opening_says_what_it_must(talk: Talk, fields: dict[str, Any], code: str) -> None:
    answer = talk.opens(**fields)
    assert (answer.status_code, answer.json["code"]) == (422, code)


def test_so_many_are_open_at_once_and_no_more(shared_api: Api) -> None:
    talk = somebody_talking(shared_api)
    for _ in range(MOST_OPEN - 1):
        assert talk.opens().status_code == 201
    assert talk.opens().json["code"] == "too_many_dialogues"
    talk.customer("POST", "/close", {})
    assert talk.opens().status_code == 201


def test_they_are_listed_newest_first_page_by_page(shared_api: Api) -> None:
    talk = somebody_talking(shared_api)
    ids = [talk.id, *(talk.opens().json["id"] for _ in range(2))]
    path = f"/v1/customers/{talk.customer_id}/dialogues?limit=2"
    first = shared_api.call("GET", path, key=talk.token).json
    assert [one["id"] for one in first["dialogues"]] == [ids[2], ids[1]]
    second = shared_api.call("GET", f"{path}&cursor={first['next_cursor']}", role="auditor").json
    assert ([one["id"] for one in second["dialogues"]], second["next_cursor"]) == ([ids[0]], None)
    assert shared_api.call("GET", f"{path}&cursor=x", role="desk").json["code"] == "invalid_cursor"


def test_another_customer_finds_none(talk: Talk) -> None:
    stranger = somebody_talking(talk.api)
    stranger.id = talk.id
    asked = [
        ("GET", "", None),
        ("PATCH", "", {"contacts": 1}),
        ("POST", "/entries", {"message": "x"}),
        ("POST", "/close", {}),
    ]
    assert {stranger.customer(*one).json["code"] for one in asked} == {"not_found"}
    assert talk.api.call("GET", f"/v1/customers/{talk.customer_id}/dialogues", key=stranger.token).status_code == 404
    assert talk.kinds() == ["opening"]


def test_a_campaign_key_sees_those_of_its_topics(shared_api: Api) -> None:
    wine = somebody_talking(shared_api, topic="offers/wine")
    orders = somebody_talking(shared_api, topic="orders")
    limited = shared_api.key("campaign", f"wine {wine.id[-6:]}", ["offers/wine"])
    parent = shared_api.key("campaign", f"offers {wine.id[-6:]}", ["offers"])
    other = shared_api.key("campaign", f"events {wine.id[-6:]}", ["events"])
    usual = shared_api.key("campaign", f"usual {wine.id[-6:]}")
    seen = {
        name: [talk.company("GET", key=key).status_code for talk in (wine, orders)]
        for name, key in (("limited", limited), ("parent", parent), ("other", other), ("usual", usual))
    }
    assert seen == {"limited": [200, 404], "parent": [200, 404], "other": [404, 404], "usual": [200, 404]}
    assert wine.company("POST", "/entries", {"message": "Hello"}, key=other).json["code"] == "not_found"
    assert wine.company("POST", "/entries", {"message": "Hello"}, key=limited).status_code == 201


def test_who_spoke_last_is_known(talk: Talk) -> None:
    talk.company("POST", "/entries", {"message": "How tall is she?"})
    assert talk.shown()["waiting_since"] is None
    first = talk.customer("POST", "/entries", {"message": "1.70 m"}).json
    talk.customer("POST", "/entries", {"message": "or so"})
    assert talk.shown()["waiting_since"] == first["said_at"]
    assert [(one["role"], one["by"]) for one in talk.shown()["entries"][1:]] == [
        ("desk", "desk key"),
        ("customer", None),
        ("customer", None),
    ]


def test_entries_are_read_page_by_page(talk: Talk) -> None:
    for number in range(3):
        talk.customer("POST", "/entries", {"message": str(number)})
    first = talk.customer("GET", "?limit=3").json
    rest = talk.customer("GET", f"?limit=3&cursor={first['next_cursor']}").json
    assert [one["number"] for one in first["entries"] + rest["entries"]] == [1, 2, 3, 4]
    assert rest["next_cursor"] is None


def test_a_pause_or_stop_holds_the_company_back_all_the_same_and_it_says_so(talk: Talk) -> None:
    talk.api.call(
        "PUT", f"/v1/customers/{talk.customer_id}/pause", {"until": days_ahead(3), "channel": "email"}, key=talk.token
    )
    stop = {"customer": f"id:{talk.customer_id}", "kind": "all", "reason": "asked", "channel": "phone"}
    talk.api.post("/v1/suppressions", stop, role="desk")
    assert talk.shown()["stopped"] == [
        {"channel": "email", "reason": "paused"},
        {"channel": "phone", "reason": "suppressed"},
    ]


NARROWER: list[dict[str, Any]] = [
    {"channels": ["email"]},
    {"contacts": 2},
    {"until": days_ahead(10)},
    {"channels": ["phone"], "contacts": 1, "until": days_ahead(9)},
]
WIDER: list[dict[str, Any]] = [
    {"channels": ["email", "phone", "sms"]},
    {"contacts": 4},
    {"until": days_ahead(31)},
    {"any_time": True},
    {"contacts": 1, "any_time": True},
]


@pytest.mark.parametrize("terms", NARROWER)
def test_the_customer_narrows_at_any_time_and_the_desk_on_their_word(shared_api: Api, terms: dict[str, Any]) -> None:
    first, second = somebody_talking(shared_api), somebody_talking(shared_api)
    assert first.customer("PATCH", "", terms).status_code == 200
    assert second.company("PATCH", "", terms).json["code"] == "evidence_required"
    assert second.company("PATCH", "", {**terms, "evidence": EVIDENCE, "source": "phone"}).status_code == 200
    for talk in (first, second):
        entry = talk.shown()["entries"][-1]
        assert (entry["kind"], types(shared_api, talk.customer_id)[-1]) == ("terms", "dialogue.narrowed")
        assert entry["terms"]["after"] == {name: talk.shown()[name] for name in entry["terms"]["after"]}


@pytest.mark.parametrize("terms", WIDER)
def test_only_the_customer_widens(talk: Talk, terms: dict[str, Any]) -> None:
    answer = talk.company("PATCH", "", {**terms, "evidence": EVIDENCE})
    assert (answer.status_code, answer.json["code"]) == (403, "only_customers_widen")
    assert talk.customer("PATCH", "", terms).status_code == 200
    assert types(talk.api, talk.customer_id)[-1] == "dialogue.widened"


def test_the_same_terms_again_change_nothing(talk: Talk) -> None:
    shown = talk.shown()
    assert (
        talk.customer("PATCH", "", {"contacts": 3, "channels": ["phone", "email"], "until": shown["until"]}).json
        == shown
    )
    assert talk.kinds() == ["opening"]


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({}, "invalid_value"),
        ({"source": "web"}, "invalid_value"),
        ({"channels": ["email", "pigeon"]}, "unknown_channel"),
        ({"until": days_ahead(-1)}, "invalid_timestamp"),
        ({"until": days_ahead(501)}, "invalid_timestamp"),
        ({"topic": "events"}, "unknown_field"),
    ],
)
def test_terms_are_what_they_may_be(talk: Talk, terms: dict[str, Any], code: str) -> None:
    assert talk.customer("PATCH", "", terms).json["code"] == code


@pytest.mark.parametrize(("role", "by"), [("customer", "customer"), ("desk", "desk"), ("admin", "desk")])
def test_whoever_closes_it_closes_it_for_good(talk: Talk, role: str, by: str) -> None:
    call = talk.customer if role == "customer" else talk.company
    options = {} if role == "customer" else {"role": role}
    closed = call("POST", "/close", {}, **options).json
    assert (closed["state"], closed["closed_by"], closed["contacts_left"], closed["waiting_since"]) == (
        "closed",
        by,
        0,
        None,
    )
    assert talk.customer("POST", "/close").json == closed
    refused = [
        talk.company("POST", "/entries", {"message": "But…"}),
        talk.customer("POST", "/entries", {"message": "But…"}),
        talk.proposed({"specification": {}}),
        talk.customer("PATCH", "", {"contacts": 50}),
        talk.customer("PATCH", "", {"contacts": 1}),
    ]
    assert {one.json["code"] for one in refused} == {"dialogue_closed"}
    assert talk.kinds() == ["opening", "closing"]
    assert talk.company("POST", "/close", {}, role="campaign").json["code"] == "role_not_allowed"


def test_an_expired_one_is_over(talk: Talk) -> None:
    with talk.api.made.owner() as conn:
        conn.execute(
            "UPDATE dialogue SET opened_at = opened_at - interval '40 days', until = until - interval '40 days'"
            " WHERE customer_id = %s",
            [talk.customer_id],
        )
    shown = talk.shown()
    assert (shown["state"], shown["contacts_left"], shown["closed_at"]) == ("expired", 0, None)
    assert talk.customer("PATCH", "", {"until": days_ahead(30)}).json["code"] == "dialogue_expired"
    assert talk.company("POST", "/entries", {"message": "x"}).json["code"] == "dialogue_expired"
    assert talk.customer("POST", "/close").json["state"] == "expired"
    rows_back = "UPDATE dialogue SET opened_at = opened_at + interval '40 days', until = until + interval '40 days'"
    with talk.api.made.owner() as conn:
        conn.execute(f"{rows_back} WHERE customer_id = %s", [talk.customer_id])


def test_a_repeated_opening_with_its_key_makes_one(talk: Talk) -> None:
    body = {**OPENING, "until": days_ahead(30)}
    path, headers = f"/v1/customers/{talk.customer_id}/dialogues", {"Idempotency-Key": talk.id}
    first = talk.api.call("POST", path, body, key=talk.token, headers=headers)
    again = talk.api.call("POST", path, body, key=talk.token, headers=headers)
    assert (first.status_code, again.status_code, first.json) == (201, 201, again.json)
    assert len(talk.api.call("GET", path, key=talk.token).json["dialogues"]) == 2


def test_many_who_speak_at_once_are_heard_one_after_the_other(talk: Talk) -> None:
    said = at_once(8, lambda number: talk.company("POST", "/entries", {"message": str(number)}).status_code)
    assert said == [201] * 8
    assert [one["number"] for one in talk.shown()["entries"]] == list(range(1, 10))


def test_of_a_closing_and_messages_at_once_nothing_is_said_after_the_closing(talk: Talk) -> None:
    def act(number: int) -> int:
        if number == 0:
            return talk.customer("POST", "/close").status_code
        return talk.company("POST", "/entries", {"message": str(number)}).status_code

    assert set(at_once(8, act)) <= {200, 201, 409}
    assert talk.kinds()[-1] == "closing"


def test_a_merge_moves_them_and_their_ids_lead_to_the_survivor(api: Api) -> None:
    survivor, other = somebody_talking(api, subject="Mine"), somebody_talking(api, subject="Hers", message="Hello")
    other.proposal({"dial": {"channel": "email", "topic": "offers", "level": "monthly"}})
    before = other.shown()
    assert merge(api, survivor.customer_id, other.customer_id).status_code == 200
    moved = api.call("GET", f"/v1/dialogues/{other.id}", key=survivor.token).json
    assert {**moved, "id": before["id"], "customer_id": before["customer_id"]} == before
    assert other.customer("GET").json["id"] == moved["id"] != other.id  # the old credential is the survivor's
    listed = api.call("GET", f"/v1/customers/{survivor.customer_id}/dialogues", key=survivor.token).json["dialogues"]
    assert [one["subject"] for one in listed] == ["Hers", "Mine"]
    assert survivor.opens().status_code == 201
    survivor.id = other.id
    assert survivor.answers(2, "accept").status_code == 201
    assert survivor.customer("POST", "/close").json["state"] == "closed"
    expect_sound(api.made)


def test_erasure_leaves_nothing_of_them(api: Api) -> None:
    talk = somebody_talking(api)
    erase(api, talk.customer_id)
    assert talk.company("GET").status_code == 404
    assert rows(api, "SELECT 1 FROM dialogue UNION ALL SELECT 1 FROM dialogue_entry") == []
    expect_sound(api.made)


def test_what_is_said_stands_nowhere_in_clear(api: Api) -> None:
    talk = somebody_talking(api, subject="Gold watch", message="For Walburga.")
    talk.proposal({"text": "Engraved?", "specification": {"words": "Walburga"}})
    found = rows(api, "SELECT ciphertext, d::text FROM dialogue d") + rows(
        api, "SELECT ciphertext, e::text FROM event_content e"
    )
    assert not [one for one in found if b"Walburga" in bytes(one[0]) or "watch" in one[1] or b"watch" in bytes(one[0])]


def test_a_customers_token_is_for_their_own(talk: Talk) -> None:
    stranger = talk.api.customer(somebody())
    assert talk.api.call("GET", f"/v1/dialogues/{talk.id}", key=token(talk.api, stranger)).json["code"] == "not_found"
    assert talk.api.call("GET", "/v1/dialogues/nonsense", role="desk").json["code"] == "not_found"


def test_what_is_sent_in_it_is_counted_and_what_is_reserved_is_void_once_it_is_closed(talk: Talk) -> None:
    asked = {"customer": f"id:{talk.customer_id}", "channel": "email", "topic": "offers/wine"}
    made = talk.api.post("/v1/contacts", asked)
    permit = talk.api.post("/v1/permits", asked)
    assert (made.status_code, made.json["dialogue_id"], permit.status_code) == (201, talk.id, 201)
    shown = talk.shown()
    assert (shown["contacts_made"], shown["contacts_left"]) == (1, 1)
    talk.customer("POST", "/close")
    assert talk.api.post(f"/v1/permits/{permit.json['id']}/use").json["code"] == "not_permitted"
    assert (talk.shown()["contacts_made"], talk.shown()["contacts_left"]) == (1, 0)


def test_by_a_campaigns_link_nothing_is_opened_or_widened(talk: Talk) -> None:
    visitor = Actor("customer", str(talk.customer_id), customer_id=talk.customer_id, link="autumn campaign")
    terms = Terms(("email",), datetime.now(UTC) + timedelta(days=9), 1, any_time=False)
    with talk.api.database.transaction() as conn:
        with pytest.raises(ConsentError, match="confirmation_required"):
            open_dialogue(conn, talk.api.keyring, visitor, talk.customer_id, Opening("offers", "A gift", terms))
        with pytest.raises(ConsentError, match="confirmation_required"):
            change_terms(conn, talk.api.keyring, visitor, talk.id, {"contacts": 4})
        assert change_terms(conn, talk.api.keyring, visitor, talk.id, {"contacts": 2}).terms.contacts == 2
