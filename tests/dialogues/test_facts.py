"""What customers tell: for a purpose, until a day, and whoever reads it is told of in their history."""

from __future__ import annotations

import json
from uuid import UUID, uuid4

from consent_service.customers.ids import encode_id
from consent_service.dialogues import facts
from tests.customers.people import erase, merge, rows
from tests.dialogues.conversations import UNTIL, ended, opened, tell
from tests.support.api import EVIDENCE, Api
from tests.web.asking import footprint, refused, token


def told(api: Api, dialogue: str, **said: object) -> dict[str, object]:
    answer = tell(api, dialogue, **said)
    assert answer.status_code in (200, 201), answer.get_data(as_text=True)
    found: dict[str, object] = answer.json
    return found


def read(api: Api, *, key: str | None = None, role: str = "campaign", **question: object) -> dict[str, object]:
    answer = api.post("/v1/customers/facts", question or {"customer": "email:ben@example.com"}, role=role, key=key)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    found: dict[str, object] = answer.json
    return found


def values(answer: object) -> list[str]:
    assert isinstance(answer, dict)
    return [one["value"] for one in answer["facts"]]


def test_the_customer_tells_changes_and_withdraws(api: Api, ben: UUID, dialogue: str) -> None:
    own, body = token(api, ben), {"name": "size", "value": "42", "purpose": "shoes", "until": UNTIL}
    made = api.post(f"/v1/dialogues/{dialogue}/facts", body, key=own)
    assert made.status_code == 201
    path = f"/v1/facts/{made.json['id']}"
    assert api.call("PATCH", path, {"value": "43"}, key=own).json["value"] == "43"
    listed = api.call("GET", f"/v1/dialogues/{dialogue}/facts", key=own).json["facts"]
    assert [(one["name"], one["value"], one["purpose"], one["until"]) for one in listed] == [
        ("size", "43", "shoes", UNTIL)
    ]
    assert api.call("DELETE", path, key=own).status_code == 204
    refused(api.call("DELETE", path, key=own), "not_found")
    assert api.call("GET", f"/v1/dialogues/{dialogue}/facts", key=own).json["facts"] == []
    assert [event["type"] for event in api.events(ben)[-3:]] == ["fact.told", "fact.changed", "fact.withdrawn"]


def test_told_again_it_is_changed_and_the_same_again_is_nothing(api: Api, ben: UUID, dialogue: str) -> None:
    first = told(api, dialogue)
    before = footprint(api)
    assert tell(api, dialogue).status_code == 200
    assert footprint(api) == before
    again = tell(api, dialogue, value="44")
    assert (again.status_code, again.json["id"], again.json["value"]) == (200, first["id"], "44")


def test_a_fact_is_an_entry_of_its_dialogue(api: Api, ben: UUID, dialogue: str) -> None:
    told(api, dialogue)
    told(api, dialogue, name="milk", value="none")
    found = rows(api, "SELECT number, kind, role FROM dialogue_entry ORDER BY number")
    assert found == [(1, "opening", "desk"), (2, "fact", "desk"), (3, "fact", "desk")]


def test_history_knows_the_name_and_not_the_value(api: Api, ben: UUID, dialogue: str) -> None:
    one = told(api, dialogue, value="zzyzx")
    api.call("PATCH", f"/v1/facts/{one['id']}", {"value": "zzyzxia", "evidence": EVIDENCE}, role="desk")
    read(api)
    api.call("DELETE", f"/v1/facts/{one['id']}", role="desk")
    events = [event for event in api.events(ben) if event["type"].startswith("fact.")]
    assert [event["type"] for event in events] == ["fact.told", "fact.changed", "fact.read", "fact.withdrawn"]
    assert "zzyzx" not in json.dumps(events)
    assert events[0]["details"]["name"] == "size"


def test_nobody_else_tells_or_sees(api: Api, ben: UUID, dialogue: str) -> None:
    one = told(api, dialogue)
    stranger = token(api, api.customer("email:cora@example.com"))
    of_dialogue, path = f"/v1/dialogues/{dialogue}/facts", f"/v1/facts/{one['id']}"
    body = {"name": "size", "value": "1", "purpose": "spite", "until": UNTIL}
    calls = (
        ("GET", of_dialogue, None),
        ("POST", of_dialogue, body),
        ("PATCH", path, {"value": "1"}),
        ("DELETE", path, None),
    )
    for method, where, sent in calls:
        for role in ("campaign", "auditor"):
            refused(api.call(method, where, sent, role=role), "role_not_allowed")
        refused(api.call(method, where, sent, key=stranger), "not_found")
        nobodys = where.replace(str(one["id"]), encode_id(ben, uuid4())).replace(dialogue, encode_id(ben, uuid4()))
        refused(api.call(method, nobodys, sent, key=token(api, ben)), "not_found")
    refused(api.post("/v1/customers/facts", {"customer": f"id:{ben}"}, role="auditor"), "role_not_allowed")
    refused(api.post("/v1/customers/facts", {"customer": f"id:{ben}"}, key=stranger), "role_not_allowed")
    assert values(read(api)) == ["42"]


def test_the_desk_tells_with_evidence(api: Api, dialogue: str) -> None:
    refused(tell(api, dialogue, evidence={}), "evidence_required")


def test_a_fact_ends_later_than_now_and_within_its_life(api: Api, dialogue: str) -> None:
    for until in ("2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"):
        refused(tell(api, dialogue, until=until), "invalid_value", "/until")


def test_only_an_open_dialogue_takes_facts_and_what_was_told_outlives_it(api: Api, ben: UUID, dialogue: str) -> None:
    one = told(api, dialogue)
    ended(api, ben, closed=True)
    refused(tell(api, dialogue, name="milk"), "dialogue_closed")
    assert values(read(api)) == ["42"]
    changed = api.call("PATCH", f"/v1/facts/{one['id']}", {"value": "43", "evidence": EVIDENCE}, role="desk")
    assert changed.status_code == 200
    assert api.call("DELETE", f"/v1/facts/{one['id']}", role="desk").status_code == 204


def test_every_read_is_one_event_with_its_customer(api: Api, ben: UUID, dialogue: str) -> None:
    told(api, dialogue)
    told(api, dialogue, name="milk", value="none")
    cora = api.customer("email:cora@example.com")
    for _ in range(2):
        answer = read(api, customers=["email:ben@example.com", "email:cora@example.com", f"id:{ben}"])
        results = answer["results"]
        assert isinstance(results, list)
        assert [values(one) for one in results] == [["42", "none"], [], ["42", "none"]]
    reads = [event for event in api.events(ben) if event["type"] == "fact.read"]
    assert len(reads) == 2
    assert reads[0]["actor"] == {"role": "campaign", "name": "campaign key"}
    assert [one["name"] for one in reads[0]["details"]["facts"]] == ["size", "milk"]
    assert [event["type"] for event in api.events(cora)] == ["customer.created"], "nothing was given, nothing is told"
    api.call("GET", f"/v1/dialogues/{dialogue}/facts", role="desk")
    api.call("GET", f"/v1/dialogues/{dialogue}/facts", key=token(api, ben))
    reads = [event for event in api.events(ben) if event["type"] == "fact.read"]
    assert [event["actor"]["role"] for event in reads] == ["campaign", "campaign", "desk"]


def test_a_key_reads_its_own_topics_only(api: Api, ben: UUID, dialogue: str) -> None:
    told(api, dialogue)
    told(api, opened(api, ben, "orders"), name="bell", value="ring twice")
    told(api, opened(api, ben, "events"), name="chair", value="front row")
    question = {"customer": "email:ben@example.com"}
    for topics, expected in (
        (["*"], ["42", "ring twice", "front row"]),
        (["offers"], ["42"]),
        (["offers/wine", "orders"], ["42", "ring twice"]),
        (["offers/garden"], []),
        (None, ["42", "front row"]),
    ):
        key = api.key("campaign", f"of {topics}", topics)
        assert values(read(api, key=key, **question)) == expected, topics
    assert values(read(api, role="desk", **question)) == ["42", "ring twice", "front row"]
    for topic, expected in (
        ("offers", ["42"]),
        ("offers/wine", ["42"]),
        ("offers/garden", []),
        ("events", ["front row"]),
    ):
        assert values(read(api, topic=topic, **question)) == expected, topic
    key = api.key("campaign", "narrow", ["events"])
    refused(api.post("/v1/customers/facts", {**question, "topic": "offers"}, key=key), "topic_not_allowed")
    refused(api.post("/v1/customers/facts", {**question, "topic": "gone"}, key=key), "unknown_topic")


def test_what_has_ended_or_was_withdrawn_is_given_to_nobody(api: Api, ben: UUID, dialogue: str) -> None:
    one = told(api, dialogue)
    two = told(api, dialogue, name="milk", value="none")
    api.call("DELETE", f"/v1/facts/{two['id']}", role="desk")
    assert values(read(api)) == ["42"]
    with api.made.owner() as conn:
        conn.execute("UPDATE fact SET told_at = now() - interval '2 s', until = now() - interval '1 s'")
    three = told(api, dialogue, name="tea", value="black")
    assert values(read(api)) == ["black"]
    api.call("DELETE", f"/v1/facts/{three['id']}", role="desk")
    events = len(api.events(ben))
    assert values(read(api)) == []
    assert len(api.events(ben)) == events
    refused(
        api.call("PATCH", f"/v1/facts/{one['id']}", {"value": "43", "evidence": EVIDENCE}, role="desk"), "not_found"
    )
    assert api.call("GET", f"/v1/dialogues/{dialogue}/facts", role="desk").json["facts"] == []
    facts.forget_old(api.database)
    assert rows(api, "SELECT count(*) FROM fact") == [(0,)]


def test_one_or_many_and_no_more_than_a_thousand(api: Api, ben: UUID, dialogue: str) -> None:
    told(api, dialogue)
    refused(api.post("/v1/customers/facts", {}), "invalid_value", "")
    refused(api.post("/v1/customers/facts", {"customer": "email:x@example.com"}), "unknown_customer")
    refused(api.post("/v1/customers/facts", {"customers": ["email:ben@example.com"] * 1001}), "too_many_items")
    many = read(api, customers=["email:ben@example.com", "email:x@example.com", "nonsense"])["results"]
    assert isinstance(many, list)
    assert [one.get("error", {}).get("code") for one in many] == [
        None,
        "unknown_customer",
        "invalid_customer_reference",
    ]


def test_values_stand_nowhere_in_clear_and_go_with_their_customer(api: Api, ben: UUID, dialogue: str) -> None:
    told(api, dialogue, value="zzyzx", purpose="for zzyzx")
    assert rows(api, "SELECT count(*) FROM fact WHERE fact::text LIKE '%%zzyzx%%'") == [(0,)]
    with api.made.owner() as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute("DELETE FROM dialogue")  # the record's own erasure
    erase(api, ben)
    assert rows(api, "SELECT count(*) FROM fact") == [(0,)]


def test_a_merge_takes_facts_along(api: Api, ben: UUID, dialogue: str) -> None:
    one = told(api, dialogue)
    cora = api.customer("email:cora@example.com")
    with api.made.owner() as conn:  # the record's own merging
        conn.execute("SET session_replication_role = replica")
        conn.execute("UPDATE dialogue SET customer_id = %s", [cora])
    assert merge(api, cora, ben).status_code == 200
    found = read(api)
    assert (found["customer_id"], values(found)) == (str(cora), ["42"])
    assert api.call("DELETE", f"/v1/facts/{one['id']}", role="desk").status_code == 204
