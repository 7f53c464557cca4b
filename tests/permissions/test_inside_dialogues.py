"""Permits and contacts inside what the customer opened: they take its room, and end with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from consent_service.customers.ids import encode_id
from tests.support.api import Api

BEN = "email:ben@example.com"
ASK = {"customer": BEN, "channel": "email", "topic": "offers/wine"}
DAY = timedelta(days=1)


@pytest.fixture
def ben(api: Api) -> UUID:
    """Ben hears of offers only when he asks."""
    made = api.customer(BEN, time_zone="Europe/London")
    api.turn(made, ("*", "offers", "on_request"))
    return made


class Talk:
    """A dialogue as the table has it."""

    def __init__(self, api: Api, owner: UUID, contacts: int = 2) -> None:
        self._api, self._owner, self.own_id = api, owner, uuid4()
        self.id = encode_id(owner, self.own_id)
        now = datetime.now(UTC)
        self._run(
            "INSERT INTO dialogue VALUES (%s, %s, 'offers', '{email,sms}', %s, %s, true, %s, 'customer', 'web', NULL,"
            " NULL, NULL, %s, '')",
            owner, self.own_id, now + 30 * DAY, contacts, now, uuid4(),
        )  # fmt: skip

    def _run(self, statement: str, *values: Any) -> None:
        with psycopg.connect(self._api.made.owner_url, autocommit=True) as conn:
            conn.execute(statement.encode(), values)

    def close(self) -> None:
        self._run("UPDATE dialogue SET closed_at = now(), closed_by = 'customer' WHERE dialogue_id = %s", self.own_id)

    def expire(self) -> None:
        self._run(
            "UPDATE dialogue SET opened_at = now() - interval '9 days', until = now() WHERE dialogue_id = %s",
            self.own_id,
        )

    def milestone(self, *, due_in: int = 0) -> str:
        """A reminder by email about wine, from that many days on."""
        occasion, own_id = uuid4(), uuid4()
        self._run(
            "INSERT INTO occasion VALUES (%s, %s, %s, current_date, NULL, NULL, 'kept', now(), %s, '')",
            self._owner, occasion, self.own_id, uuid4(),
        )  # fmt: skip
        self._run(
            "INSERT INTO milestone"
            " VALUES (%s, %s, %s, 'reminder', 'offers/wine', 'email', current_date + %s - 1, 3, NULL)",
            self._owner, own_id, occasion, due_in,
        )  # fmt: skip
        return encode_id(self._owner, own_id)

    def drop_milestones(self) -> None:
        self._run("UPDATE milestone SET dropped_at = now()")


@pytest.fixture
def talk(api: Api, ben: UUID) -> Talk:
    return Talk(api, ben)


def reserve(api: Api, **more: Any) -> Any:
    return api.post("/v1/permits", {**ASK, **more})


def use(api: Api, permit: str) -> Any:
    return api.post(f"/v1/permits/{permit}/use")


def test_a_check_names_the_dialogue_and_what_is_left_of_it(api: Api, talk: Talk) -> None:
    found = api.check(BEN, "email", "offers/wine")
    assert (found["allowed"], found["reason"], found["level"]) == (True, "in_dialogue", None)
    assert (found["dialogue_id"], found["remaining"], found["next_allowed_at"]) == (talk.id, 2, None)
    assert found["governed_by"][0]["level"] == "on_request"


def test_permits_and_contacts_take_the_dialogues_room(api: Api, talk: Talk) -> None:
    permit = reserve(api)
    assert (permit.status_code, permit.json["dialogue_id"], permit.json["remaining"]) == (201, talk.id, 2)
    assert api.post("/v1/contacts", ASK).json["remaining"] == 1
    assert api.post("/v1/contacts", ASK).json["decision"]["reason"] == "on_request_only"
    used = use(api, permit.json["id"])
    assert (used.status_code, used.json["reason"], used.json["dialogue_id"]) == (201, "in_dialogue", talk.id)
    assert reserve(api).status_code == 409


def test_they_take_none_of_the_dials(api: Api, ben: UUID, talk: Talk) -> None:
    assert api.post("/v1/contacts", ASK).status_code == 201
    talk.close()
    api.turn(ben, ("*", "offers", "weekly"))
    assert api.check(BEN, "email", "offers/wine")["remaining"] == 1


@pytest.mark.parametrize("end", [Talk.close, Talk.expire])
def test_what_was_reserved_in_it_ends_with_it(api: Api, talk: Talk, end: Any) -> None:
    permit = reserve(api).json["id"]
    end(talk)
    answer = use(api, permit)
    assert (answer.status_code, answer.json["code"]) == (409, "not_permitted")
    assert answer.json["decision"]["reason"] == "on_request_only"
    assert use(api, permit).json["code"] == "permit_void"
    assert api.call("GET", f"/v1/permits/{permit}").json["state"] == "void"


def test_also_where_the_dials_would_allow_it_now(api: Api, ben: UUID, talk: Talk) -> None:
    permit = reserve(api).json["id"]
    talk.close()
    api.turn(ben, ("*", "offers", "weekly"))
    answer = use(api, permit)
    assert (answer.status_code, answer.json["code"]) == (409, "permit_void")
    assert api.call("GET", f"/v1/permits/{permit}").json["state"] == "void"
    assert api.events(ben)[-1]["type"] == "permit.voided"
    assert reserve(api).status_code == 201


def test_what_was_reserved_under_the_dials_stays_there(api: Api, ben: UUID) -> None:
    api.turn(ben, ("*", "offers", "weekly"))
    permit = reserve(api).json["id"]
    talk = Talk(api, ben, contacts=1)
    assert use(api, permit).json["dialogue_id"] is None
    assert api.check(BEN, "email", "offers/wine")["dialogue_id"] == talk.id


def test_a_milestone_is_one_contact_and_takes_no_room(api: Api, ben: UUID, talk: Talk) -> None:
    milestone = talk.milestone()
    assert api.check(BEN, "email", "offers/wine")["remaining"] == 2
    permit = reserve(api, milestone_id=milestone)
    assert (permit.status_code, permit.json["reason"]) == (201, "in_dialogue")
    assert (permit.json["milestone_id"], permit.json["remaining"]) == (milestone, None)
    talk.close()  # which a milestone outlives
    assert reserve(api, milestone_id=milestone).json["decision"]["reason"] == "on_request_only"
    used = use(api, permit.json["id"])
    assert (used.status_code, used.json["milestone_id"]) == (201, milestone)
    assert reserve(api, milestone_id=milestone).status_code == 409
    with api.made.owner() as conn:
        assert conn.execute("SELECT counts, dialogue_id FROM contact").fetchall() == [(False, talk.own_id)]


def test_a_milestone_that_was_dropped_is_void(api: Api, talk: Talk) -> None:
    milestone = talk.milestone()
    permit = reserve(api, milestone_id=milestone).json["id"]
    talk.drop_milestones()
    talk.close()
    assert use(api, permit).json["code"] == "not_permitted"
    assert use(api, permit).json["code"] == "permit_void"


def test_before_its_window_it_is_an_ordinary_question(api: Api, talk: Talk) -> None:
    milestone = talk.milestone(due_in=5)
    found = reserve(api, milestone_id=milestone)
    assert (found.json["dialogue_id"], found.json["remaining"]) == (talk.id, 2)
    assert "milestone_id" not in found.json


def test_a_milestone_of_somebody_else_is_unknown(api: Api, talk: Talk) -> None:
    milestone = talk.milestone()
    cleo = api.customer("email:cleo@example.com")
    api.turn(cleo, ("*", "offers", "weekly"))
    answer = reserve(api, milestone_id=milestone, customer="email:cleo@example.com")
    assert (answer.status_code, answer.json["code"]) == (422, "unknown_milestone")
    assert answer.json["errors"][0]["pointer"] == "/milestone_id"


def test_a_report_counts_in_the_dialogue_too(api: Api, talk: Talk) -> None:
    report = {**ASK, "contacted_at": datetime.now(UTC).isoformat(), "external_id": "r-1"}
    assert api.post("/v1/contacts/reports", {"contacts": [report]}).json["results"][0]["reason"] == "in_dialogue"
    assert api.check(BEN, "email", "offers/wine")["remaining"] == 1


def test_a_merge_takes_what_was_made_in_it_along(api: Api, ben: UUID) -> None:
    api.turn(ben, ("*", "offers", "weekly"))
    assert api.post("/v1/contacts", ASK).status_code == 201
    survivor = api.customer("email:benjamin@example.com")
    assert api.post(f"/v1/customers/{survivor}/merge", {"other": str(ben)}, role="desk").status_code == 200
    assert api.check(BEN, "email", "offers/wine")["remaining"] == 0
