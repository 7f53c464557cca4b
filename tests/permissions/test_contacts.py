"""Contacts: asked and recorded in one step, or reported afterwards and recorded whatever the answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from consent_service.errors import ConsentError
from consent_service.history.model import Actor
from consent_service.permissions import reports
from consent_service.permissions.model import Report
from tests.support.api import Api

BEN = "email:ben@example.com"
ASK = {"customer": BEN, "channel": "email", "topic": "offers"}


@pytest.fixture
def ben(api: Api) -> UUID:
    made = api.customer(BEN)
    api.turn(made, ("email", "offers", "weekly"))
    return made


def ago(**length: float) -> str:
    return (datetime.now(UTC) - timedelta(**length)).isoformat()


def report(api: Api, *rows: dict[str, Any], key: str | None = None) -> list[dict[str, Any]]:
    full = [{**ASK, "contacted_at": ago(days=1), "external_id": f"e{n}", **row} for n, row in enumerate(rows)]
    answer = api.post("/v1/contacts/reports", {"contacts": full}, key=key)
    assert answer.status_code == 200, answer.json
    results: list[dict[str, Any]] = answer.json["results"]
    return results


def test_a_contact_is_asked_and_recorded_in_one_step(api: Api, ben: UUID) -> None:
    made = api.post("/v1/contacts", {**ASK, "campaign": "autumn"})
    assert made.status_code == 201
    assert made.json["contacted_at"] == made.json["decided_at"]
    with api.database.reading() as conn:
        assert conn.execute("SELECT permitted FROM contact").fetchall() == [{"permitted": True}]
    refused = api.post("/v1/contacts", ASK)
    assert (refused.status_code, refused.json["decision"]["reason"]) == (409, "volume_reached")
    next_at = datetime.fromisoformat(refused.json["decision"]["next_allowed_at"])
    assert next_at == datetime.fromisoformat(made.json["contacted_at"]) + timedelta(days=7)
    assert [event["type"] for event in api.events(ben)][-2:] == ["contact.recorded", "contact.refused"]


def test_a_contact_knows_no_at(api: Api, ben: UUID) -> None:
    assert api.post("/v1/contacts", {**ASK, "at": ago(days=0)}).json["code"] == "unknown_field"


def test_rows_of_a_batch_take_room_from_later_rows_of_the_same_customer(api: Api, ben: UUID) -> None:
    ada = api.customer("email:ada@example.com")
    api.turn(ada, ("email", "offers", "weekly"))
    rows = [ASK, {**ASK, "customer": "email:ada@example.com"}, ASK, {**ASK, "customer": f"id:{ben}"}]
    results = api.post("/v1/contacts/batch", {"contacts": rows}).json["results"]
    assert ["error" in row for row in results] == [False, False, True, True]


def test_a_refusal_about_a_stranger_keeps_no_name(api: Api) -> None:
    answer = api.post("/v1/contacts", {**ASK, "customer": "email:stranger@example.com"})
    assert answer.json["decision"]["reason"] == "unknown_customer"
    with api.database.reading() as conn:
        rows = conn.execute("SELECT type FROM event WHERE type = 'contact.refused'").fetchall()
        assert len(rows) == 1
        assert conn.execute("SELECT count(*) AS n FROM customer").fetchone() == {"n": 0}


def test_a_report_is_recorded_whatever_the_answer(api: Api, ben: UUID) -> None:
    first, second, third = report(
        api, {"contacted_at": ago(days=3)}, {"contacted_at": ago(days=2)}, {"topic": "orders"}
    )
    assert (first["permitted"], first["reason"]) == (True, "allowed")
    assert (second["permitted"], second["reason"]) == (False, "volume_reached")
    assert (third["permitted"], third["reason"]) == (True, "essential")
    answer = api.check(BEN, "email", "offers")
    assert (answer["remaining"], answer["governed_by"][0]["used"]) == (0, 2)


def test_reports_are_judged_in_order_of_their_time(api: Api, ben: UUID) -> None:
    late, early = report(api, {"contacted_at": ago(days=2)}, {"contacted_at": ago(days=3)})
    assert (early["permitted"], late["permitted"]) == (True, False)


def test_a_report_again_is_the_first_record(api: Api, ben: UUID) -> None:
    [first] = report(api, {"external_id": "x"})
    again = report(api, {"external_id": "x", "contacted_at": ago(days=9)}, {"external_id": "x"})
    assert again == [first, first]
    other = api.key("campaign", "another")
    assert report(api, {"external_id": "x"}, key=other)[0]["id"] != first["id"]
    assert api.check(BEN, "email", "offers")["governed_by"][0]["used"] == 2


def test_an_unknown_person_becomes_a_customer_without_dials(api: Api) -> None:
    rows = report(
        api,
        {"customer": "email:cy@example.com", "contacted_at": ago(days=1)},
        {"customer": "email:CY@example.com", "contacted_at": ago(days=2)},
    )
    assert [row["reason"] for row in rows] == ["no_consent", "unknown_customer"]
    assert not any(row["permitted"] for row in rows)
    found = api.post("/v1/customers/lookup", {"customer": "email:cy@example.com"}, role="desk")
    dials = api.call("GET", f"/v1/customers/{found.json['id']}/dials", role="desk")
    assert dials.json["dials"] == []


def test_of_an_erased_person_only_a_total_is_kept(api: Api, ben: UUID) -> None:
    api.post(f"/v1/customers/{ben}/erase", role="desk")
    [row] = report(api, {})
    assert row == {"id": None, "permitted": False, "reason": "erased"}
    with api.database.reading() as conn:
        assert conn.execute("SELECT contacts FROM erased_contact_total").fetchall() == [{"contacts": 1}]
        assert conn.execute("SELECT count(*) AS n FROM contact").fetchone() == {"n": 0}
    assert api.check(BEN, "email", "offers")["reason"] == "erased"


def test_bad_rows_have_their_error_and_the_others_are_recorded(api: Api, ben: UUID) -> None:
    rows = report(
        api,
        {"topic": "shoes"},
        {"channel": "fax"},
        {"contacted_at": ago(hours=-1)},
        {"customer": "nonsense"},
        {"customer": "email:new@example.com", "topic": "shoes"},
        {"customer": "email:new2@example.com", "contacted_at": ago(hours=-1)},
        {"contacted_at": ago(seconds=-30)},
    )
    codes = [row["error"]["code"] for row in rows[:-1]]
    assert codes == [
        "unknown_topic",
        "unknown_channel",
        "invalid_timestamp",
        "invalid_customer_reference",
        "unknown_topic",
        "invalid_timestamp",
    ]
    assert rows[-1]["permitted"] is True
    with api.database.reading() as conn:
        assert conn.execute("SELECT count(*) AS n FROM customer").fetchone() == {"n": 1}
        [row] = conn.execute("SELECT contacted_at <= recorded_at AS not_ahead FROM contact").fetchall()
        assert row["not_ahead"]


def test_retired_topics_are_reported_but_not_asked_about(api: Api, ben: UUID) -> None:
    from tests.support.api import CATALOGUE

    topics = {name: topic for name, topic in CATALOGUE["topics"].items() if name != "offers/wine"}
    api.turn(ben, ("email", "offers/wine", "weekly"))
    api.apply({**CATALOGUE, "topics": topics})
    [row] = report(api, {"topic": "offers/wine"})
    assert row["permitted"] is True
    answer = api.post("/v1/permissions/check", {**ASK, "topic": "offers/wine"})
    assert (answer.status_code, answer.json["code"]) == (422, "topic_retired")


def test_reports_of_topics_outside_the_key_are_errors_on_their_row(api: Api, ben: UUID) -> None:
    wine = api.key("campaign", "wine", topics=["offers/wine"])
    rows = report(api, {"topic": "events"}, {"topic": "offers/wine"}, key=wine)
    assert rows[0]["error"]["code"] == "topic_not_allowed"
    assert "error" not in rows[1]


def test_the_history_of_a_report_says_what_was_sent_and_how_it_was_judged(api: Api, ben: UUID) -> None:
    [row] = report(api, {"campaign": "autumn", "contacted_at": ago(days=3), "external_id": "e-17"})
    event = api.events(ben)[-1]
    details = event["details"]
    decision = details.pop("decision")
    assert (event["type"], event["source"]) == ("contact.reported", "api")
    assert event["occurred_at"] == details["contacted_at"] < event["recorded_at"]
    assert (decision["reason"], decision["decided_at"]) == ("allowed", event["recorded_at"])
    assert details == {
        "channel": "email",
        "topic": "offers",
        "campaign": "autumn",
        "contact_id": row["id"],
        "contacted_at": details["contacted_at"],
        "external_id": "e-17",
        "permitted": True,
        "reason": "allowed",
    }


def test_reports_of_the_same_instant_are_judged_in_their_order(api: Api, ben: UUID) -> None:
    at = ago(days=2)
    rows = report(api, {"contacted_at": at}, {"contacted_at": at}, {"contacted_at": at})
    assert [row["permitted"] for row in rows] == [True, False, False]


def test_a_report_is_at_most_a_minute_ahead(api: Api, ben: UUID) -> None:
    actor = Actor("campaign", "campaign key", topics=("*",))
    now = datetime.now(UTC)
    edge = now + reports.MOST_AHEAD
    sent = [Report(BEN, "email", "offers", at, str(at)) for at in (edge, edge + timedelta(microseconds=1))]
    with api.database.transaction() as conn:
        last, late = reports.report_many(conn, api.keyring, actor, sent, now=now)
    assert edge == now + timedelta(seconds=60)
    assert isinstance(last, reports.Reported)
    assert last.new
    assert isinstance(late, ConsentError)
    assert late.code == "invalid_timestamp"


def test_an_id_that_nobody_has_makes_no_customer(api: Api) -> None:
    [row] = report(api, {"customer": f"id:{uuid4()}"})
    assert row["error"]["code"] == "unknown_customer"
    with api.database.reading() as conn:
        assert conn.execute("SELECT count(*) AS n FROM customer").fetchone() == {"n": 0}


def test_new_people_of_one_batch_are_each_made_once_and_their_first_row_is_new(api: Api, ben: UUID) -> None:
    ada, cy = "email:ada@example.com", "email:cy@example.com"
    names = [ada, cy, BEN, ada, cy]
    rows = report(api, *({"customer": one, "contacted_at": ago(days=9 - n)} for n, one in enumerate(names)))
    assert [row["reason"] for row in rows] == ["unknown_customer", "unknown_customer", "allowed", *["no_consent"] * 2]
    for name in (ada, cy):
        found = api.post("/v1/customers/lookup", {"customer": name}, role="desk").json["id"]
        made, *others = api.events(found)
        assert (made["type"], made["source"]) == ("customer.created", "api")
        assert [one["type"] for one in others] == ["contact.reported"] * 2


def test_a_total_a_day_is_kept_of_contacts_to_the_erased(api: Api, ben: UUID) -> None:
    api.post(f"/v1/customers/{ben}/erase", role="desk")
    days = [ago(days=2), ago(days=1), ago(days=2)]
    rows = report(api, *({"contacted_at": at} for at in days))
    assert [(row["id"], row["permitted"]) for row in rows] == [(None, False)] * 3
    with api.database.reading() as conn:
        found = conn.execute("SELECT contacts FROM erased_contact_total ORDER BY day").fetchall()
    assert [row["contacts"] for row in found] == [2, 1]


def test_a_report_of_essential_contacts_takes_no_room(api: Api, ben: UUID) -> None:
    api.turn(ben, ("email", "*", "weekly"))
    assert report(api, {"topic": "orders"})[0]["reason"] == "essential"
    assert api.check(BEN, "email", "offers")["remaining"] == 1


def test_a_senders_own_id_is_known_again_after_an_upgrade(api: Api, ben: UUID) -> None:
    """It is kept as a hash under a name that must never change, or every report sent again would count twice."""
    report(api, {"external_id": "e-17"})
    with api.database.reading() as conn:
        hashed = api.keyring.service(conn).identity_hash("external-id", "e-17").hex()
        assert conn.execute("SELECT external_id FROM contact").fetchall() == [{"external_id": hashed}]
