"""Proposals: the customer answers line by line, what they take up is done at once, and nothing else ever is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.customers.people import at_once, dials, types
from tests.dialogues.conftest import Talk, days_ahead, somebody_talking
from tests.support.api import NOTICE, Api

LOUDER: dict[str, Any] = {"text": "Now and then", "dial": {"channel": "email", "topic": "offers", "level": "monthly"}}
TERMS: dict[str, Any] = {"terms": {"contacts": 5, "channels": ["email", "phone", "sms"]}}
MADE: dict[str, Any] = {"specification": {"size": "42", "stitching": {"colour": "rot", "rows": 2.5}}}
PLACE = ("email", "offers")


def test_what_is_proposed_changes_nothing(talk: Talk) -> None:
    number = talk.proposal(LOUDER, TERMS, MADE)
    shown = talk.shown()
    assert (dials(talk.api, talk.customer_id), shown["contacts"]) == ({}, 3)
    entry = shown["entries"][number - 1]
    assert (entry["kind"], entry["state"], entry["by"]) == ("proposal", "open", "desk key")
    assert entry["lines"] == [
        {"line": 1, **LOUDER},
        {"line": 2, "text": None, **TERMS},
        {"line": 3, "text": None, **MADE},
    ]


def test_what_is_accepted_is_the_customers_own_act_with_the_dialogue_as_evidence(talk: Talk) -> None:
    number = talk.proposal(LOUDER, TERMS, MADE)
    answer = talk.answers(number, "accept", "accept", "accept", text="Gladly")
    assert answer.status_code == 201, answer.get_data(as_text=True)
    assert (answer.json["kind"], answer.json["answers"], answer.json["text"]) == ("acceptance", number, "Gladly")
    assert dials(talk.api, talk.customer_id) == {PLACE: "monthly"}
    shown = talk.shown()
    assert (shown["contacts"], shown["channels"]) == (5, ["email", "phone", "sms"])
    assert talk.kinds() == ["opening", "proposal", "acceptance", "terms"]
    assert (shown["entries"][1]["state"], shown["entries"][1]["answered_by"]) == ("answered", 3)
    done = {one["type"]: one for one in talk.api.events(talk.customer_id)}
    for one in (turned := done["dials.changed"], done["dialogue.widened"]):
        assert (one["actor"]["role"], one["source"]) == ("customer", "dialogue")
        assert one["evidence"] == {"dialogue_id": talk.id, "entry": 3}
    assert turned["notice"]["id"] == NOTICE["id"]


def test_what_is_refused_is_not_done(talk: Talk) -> None:
    number = talk.proposal(LOUDER, TERMS)
    answer = talk.answers(number, "refuse", "refuse")
    assert (answer.status_code, answer.json["kind"]) == (201, "refusal")
    assert (dials(talk.api, talk.customer_id), talk.shown()["contacts"]) == ({}, 3)


def test_each_line_has_an_answer_of_its_own(talk: Talk) -> None:
    number = talk.proposal(LOUDER, TERMS, MADE)
    changed = {"terms": {"contacts": 1}}
    answer = talk.answers(number, "refuse", changed, {"specification": {"size": "43"}})
    assert answer.json["kind"] == "counter_proposal"
    assert [(one["answer"], one.get("terms") or one.get("specification")) for one in answer.json["lines"][1:]] == [
        ("change", {"contacts": 1}),
        ("change", {"size": "43"}),
    ]
    assert (dials(talk.api, talk.customer_id), talk.shown()["contacts"]) == ({}, 1)
    assert types(talk.api, talk.customer_id)[-2:] == ["dialogue.countered", "dialogue.narrowed"]


@pytest.mark.parametrize(
    ("lines", "notice", "code", "pointer"),
    [
        (["accept", "accept"], None, "notice_required", "/lines/0/dial"),
        (
            [{"dial": {"channel": "email", "topic": "offers", "level": "deafening"}}, "accept"],
            NOTICE,
            "unknown_level",
            "",
        ),
        (["accept", {"terms": {"until": days_ahead(600)}}], NOTICE, "invalid_timestamp", "/lines/1/terms"),
        (["accept", {"terms": {"channels": ["pigeon"]}}], NOTICE, "unknown_channel", "/lines/1/terms"),
        (["accept"], NOTICE, "invalid_value", "/lines"),
        (["accept", MADE], NOTICE, "invalid_value", "/lines/1"),
        (["accept", "perhaps"], NOTICE, "invalid_value", "/lines/1/answer"),
    ],
)
def test_what_is_half_applicable_is_not_done_at_all(
    talk: Talk, lines: list[object], notice: object, code: str, pointer: str
) -> None:
    number = talk.proposal(LOUDER, TERMS)
    before = talk.shown()
    answer = talk.answers(number, *lines, notice=notice)
    assert (answer.status_code, answer.json["code"]) == (422, code)
    assert answer.json["errors"][0]["pointer"].startswith(pointer)
    assert (dials(talk.api, talk.customer_id), talk.shown()) == ({}, before)
    assert talk.answers(number, "accept", "accept").status_code == 201


def test_a_line_is_answered_once_and_one_that_is_there(talk: Talk) -> None:
    number = talk.proposal(LOUDER, TERMS)
    one, two = {"line": 1, "answer": "refuse"}, {"line": 3, "answer": "refuse"}
    for lines in ([one, one], [one, two]):
        answer = talk.customer("POST", f"/entries/{number}/answer", {"lines": lines})
        assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "/lines/1/line")


def test_a_proposal_is_answered_once(talk: Talk) -> None:
    number = talk.proposal(LOUDER)
    assert talk.answers(number, "refuse").status_code == 201
    again = talk.answers(number, "accept")
    assert (again.status_code, again.json["code"]) == (409, "proposal_answered")
    assert talk.company("POST", "/entries", {"withdrawal": {"proposal": number}}).json["code"] == "proposal_answered"
    assert dials(talk.api, talk.customer_id) == {}


def test_of_many_answers_at_once_one_is_heard(talk: Talk) -> None:
    number = talk.proposal(LOUDER, TERMS)
    said = at_once(6, lambda _: talk.answers(number, "accept", "accept").status_code)
    assert sorted(said) == [201, *[409] * 5]
    assert types(talk.api, talk.customer_id).count("dials.changed") == 1


def test_the_company_takes_a_proposal_back(talk: Talk) -> None:
    number = talk.proposal(LOUDER)
    back = talk.company("POST", "/entries", {"withdrawal": {"proposal": number, "text": "Sold out"}})
    assert (back.status_code, back.json["kind"], back.json["answers"]) == (201, "withdrawal", number)
    assert talk.answers(number, "accept").json["code"] == "proposal_withdrawn"
    assert talk.company("POST", "/entries", {"withdrawal": {"proposal": number}}).json["code"] == "proposal_withdrawn"
    assert talk.shown()["entries"][number - 1]["state"] == "withdrawn"


def test_a_proposal_ends_with_its_dialogue(talk: Talk) -> None:
    number = talk.proposal(LOUDER)
    talk.company("POST", "/close", {})
    assert talk.answers(number, "accept").json["code"] == "dialogue_closed"
    assert dials(talk.api, talk.customer_id) == {}


def test_only_the_customer_answers_and_only_the_company_proposes(talk: Talk) -> None:
    number = talk.proposal(LOUDER)
    lines = {"lines": [{"line": 1, "answer": "accept"}], "notice": NOTICE}
    for role in ("desk", "campaign", "admin", "auditor"):
        assert talk.company("POST", f"/entries/{number}/answer", lines, role=role).json["code"] == "role_not_allowed"
    stranger = somebody_talking(talk.api)
    stranger.id = talk.id
    assert stranger.answers(number, "accept").json["code"] == "not_found"
    assert talk.customer("POST", "/entries", {"proposal": {"text": "x", "lines": [LOUDER]}}).status_code == 403
    assert talk.customer("POST", "/entries", {"withdrawal": {"proposal": number}}).status_code == 403
    assert talk.company("POST", "/entries", {"message": "x"}, role="auditor").status_code == 403


@pytest.mark.parametrize("number", ["1", "0", "99", "x", "-1", "99999999"])
def test_only_a_proposal_is_answered(talk: Talk, number: str) -> None:
    answer = talk.customer("POST", f"/entries/{number}/answer", {"lines": [{"line": 1, "answer": "accept"}]})
    assert answer.json["code"] == "not_found"


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([], "invalid_value"),
        ([{}], "invalid_value"),
        ([{**LOUDER, **TERMS}], "invalid_value"),
        ([LOUDER, LOUDER], "duplicate_place"),
        ([TERMS, TERMS], "invalid_value"),
        ([{"terms": {}}], "invalid_value"),
        ([{"terms": {"channels": ["pigeon"]}}], "unknown_channel"),
        ([{"terms": {"until": days_ahead(600)}}], "invalid_timestamp"),
        ([{"dial": {"channel": "pigeon", "topic": "*", "level": None}}], "unknown_channel"),
        ([{"dial": {"channel": "*", "topic": "nothing", "level": None}}], "unknown_topic"),
        ([{"dial": {"channel": "*", "topic": "*", "level": "deafening"}}], "unknown_level"),
        ([{"occasion": {}}], "unknown_field"),
        ([{"specification": {"x": "y" * 9000}}] * 6, "invalid_value"),
    ],
)
def test_a_proposal_is_concrete(talk: Talk, lines: list[dict[str, Any]], code: str) -> None:
    answer = talk.proposed(*lines)
    assert (answer.status_code, answer.json["code"]) == (422, code)
    assert talk.kinds() == ["opening"]


def test_so_many_lines_and_no_more(talk: Talk) -> None:
    assert talk.proposed(*[{"specification": {}}] * 101).json["code"] == "too_many_items"
    assert talk.proposed(*[{"specification": {}}] * 100).status_code == 201


def test_a_campaign_key_proposes_dials_of_its_own_topics(shared_api: Api) -> None:
    talk = somebody_talking(shared_api, topic="offers/wine")
    key = shared_api.key("campaign", f"wine {talk.id[-6:]}", ["offers/wine"])
    for topic, status in (("offers/wine", 201), ("offers", 403), ("*", 403), ("events", 403)):
        answer = talk.proposed({"dial": {"channel": "email", "topic": topic, "level": "weekly"}}, key=key)
        assert answer.status_code == status, topic


def test_a_quieter_line_needs_no_notice(talk: Talk) -> None:
    number = talk.proposal({"dial": {"channel": "email", "topic": "*", "level": "silent"}})
    assert talk.answers(number, "accept", notice=None).status_code == 201
    assert dials(talk.api, talk.customer_id) == {("email", "*"): "silent"}
