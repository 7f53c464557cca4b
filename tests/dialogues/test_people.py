"""People whom a customer names: seen in their dialogue and nowhere else, by nobody but the customer and the desk."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

from consent_service.customers.ids import encode_id
from consent_service.database.postgres_programs import find_programs
from consent_service.dialogues import people
from consent_service.dialogues.persons import LONGEST_NAME, LONGEST_RELATION, LONGEST_SHOWN, MOST_ANSWERS, Person, Yes
from consent_service.history.model import Actor
from consent_service.keyring.model import NOBODY
from tests.customers.people import erase, merge, rows
from tests.dialogues.conversations import circle, ended, invite, name, opened
from tests.support.api import EVIDENCE, Api
from tests.support.pages import browser, link_to, post
from tests.web.asking import refused, token

DORA = "email:dora.zzyzx@quux.example"
AGENT = Actor("desk", "tests")
WORDS = ("Zzyzxia", "grandgodmother", "dora.zzyzx", "quux.example")


def refuse(api: Api, path: str) -> None:
    """Whoever has the link says no."""
    client = browser(api)
    page = client.get(path, follow_redirects=True)
    assert post(client, page, "/invitation/no", {}).headers["Location"] == "/invitation?result=no"


def test_who_is_named_is_seen_by_the_customer_and_the_desk(api: Api, ben: UUID, dialogue: str) -> None:
    person = name(api, dialogue, contact=DORA)
    assert (person["name"], person["relation"], person["contact"]) == ("Dora", "sister", "email:do…@quux.example")
    assert (person["state"], person["customer_id"], person["invited_at"]) == ("not_available", None, None)
    assert circle(api, dialogue) == circle(api, dialogue, token(api, ben)) == [person]


def test_nobody_else_sees_or_changes_them(api: Api, ben: UUID, dialogue: str) -> None:
    person = name(api, dialogue)
    stranger = token(api, api.customer("email:cora@example.com"))
    people_of, one = f"/v1/dialogues/{dialogue}/people", f"/v1/people/{person['id']}"
    body = {"name": "Eve", "relation": "spy"}
    for method, path, sent in (
        ("GET", people_of, None),
        ("POST", people_of, body),
        ("PATCH", one, {"name": "Eve"}),
        ("DELETE", one, None),
        ("POST", f"{one}/invitation", {}),
    ):
        for role in ("campaign", "auditor"):
            refused(api.call(method, path, sent, role=role), "role_not_allowed")
        refused(api.call(method, path, sent, key=stranger), "not_found")
        nobodys = path.replace(dialogue, "A" * 43).replace(person["id"], encode_id(ben, uuid4()))
        refused(api.call(method, nobodys, sent, key=token(api, ben)), "not_found")
    assert circle(api, dialogue) == [person]


def test_the_desk_names_on_the_customers_word_with_evidence(api: Api, ben: UUID, dialogue: str) -> None:
    path = f"/v1/dialogues/{dialogue}/people"
    refused(api.post(path, {"name": "Dora", "relation": "sister"}, role="desk"), "evidence_required")
    assert api.post(path, {"name": "Dora", "relation": "sister"}, key=token(api, ben)).status_code == 201
    name(api, dialogue, source="phone")
    event = api.events(ben)[-1]
    assert (event["type"], event["evidence"], event["source"]) == ("person.named", EVIDENCE, "phone")


def test_history_says_that_somebody_was_named_and_not_who(api: Api, ben: UUID, dialogue: str) -> None:
    person = name(api, dialogue, name="Zzyzxia", relation="grandgodmother", contact=DORA)
    invite(api, person, shown_as="Ben the Great")
    api.call("PATCH", f"/v1/people/{person['id']}", {"name": "Zzyzxia II", "evidence": EVIDENCE}, role="desk")
    assert api.call("DELETE", f"/v1/people/{person['id']}", role="desk").status_code == 204
    refused(api.call("DELETE", f"/v1/people/{person['id']}", role="desk"), "not_found")
    told = [event for event in api.events(ben) if event["type"].startswith("person.")]
    assert [event["type"] for event in told] == ["person.named", "person.invited", "person.changed", "person.removed"]
    assert not any(word in json.dumps(told) for word in (*WORDS, "Great"))


def test_only_an_open_dialogue_takes_names(api: Api, ben: UUID, dialogue: str) -> None:
    person = name(api, dialogue)
    body = {"name": "Eve", "relation": "aunt", "evidence": EVIDENCE}
    for closed, code in ((False, "dialogue_expired"), (True, "dialogue_closed")):
        ended(api, ben, closed=closed)
        refused(api.post(f"/v1/dialogues/{dialogue}/people", body, role="desk"), code)
        refused(api.post(f"/v1/people/{person['id']}/invitation", {"evidence": EVIDENCE}, role="desk"), code)
    assert api.call("DELETE", f"/v1/people/{person['id']}", role="desk").status_code == 204


def test_who_refused_is_named_again_by_nobody_and_nobody_sees_it(api: Api, ben: UUID, dialogue: str) -> None:
    refuse(api, invite(api, name(api, dialogue, contact=DORA)))
    cora = api.customer("email:cora@example.com")
    other = opened(api, cora)
    again, fresh = name(api, other, contact=DORA), name(api, other, contact="email:dove@quux.example")
    unequal = {one for one in again if again[one] != fresh[one]}
    assert unequal <= {"id", "contact", "named_at"}
    assert again["contact"].replace("do", "") == fresh["contact"].replace("do", "")
    with api.database.transaction() as conn:
        held, first = people.hold(conn, api.keyring, AGENT, again["id"])
        _, second = people.hold(conn, api.keyring, AGENT, fresh["id"])
        assert people.find(conn, held, first).naming_hash is None, "it can be recognised by nothing that is kept"
        assert people.find(conn, held, second).naming_hash is not None
    events = [event["type"] for event in api.events(ben) + api.events(cora) if "person" in event["type"]]
    assert events == ["person.named", "person.invited", "person.named", "person.named"]


def test_the_namer_sees_no_difference_unless_it_is_a_yes_that_may_be_told(api: Api, ben: UUID, dialogue: str) -> None:
    """Already a customer, refused, never answered, a yes that is not to be told, and one that is not confirmed."""
    cora = api.customer("email:cora@example.com")
    customer, gone, quiet, silent_yes, unconfirmed = (
        name(api, dialogue, name=f"P{number}", contact=contact)
        for number, contact in enumerate(("email:cora@example.com", DORA, None, None, None))
    )
    refuse(api, invite(api, gone))
    invite(api, quiet)
    client = browser(api)
    client.get(link_to(api, cora))
    page = client.get(invite(api, silent_yes), follow_redirects=True)
    post(client, page, "/invitation/link", {})
    client = browser(api)
    page = client.get(invite(api, unconfirmed), follow_redirects=True)
    post(client, page, "/invitation/yes", {"email": "fay@example.com", "tells": "1"})
    for key in (token(api, ben), None):
        found = circle(api, dialogue, key)
        assert {(one["state"], one["customer_id"]) for one in found} == {("not_available", None)}
        assert len({frozenset(one) for one in found}) == 1
    assert customer["state"] == "not_available"


def test_what_is_kept_of_a_person_has_one_length(api: Api) -> None:
    with api.database.transaction() as conn:
        key = api.keyring.find(conn, [NOBODY])[NOBODY]
    now = datetime.now(UTC)
    least = Person(uuid4(), uuid4(), now, "A", "b")
    most = replace(
        least,
        name="\U0001d11e" * LONGEST_NAME,
        relation="\U0001d11e" * LONGEST_RELATION,
        contact="\U0001d11e" * LONGEST_SHOWN,
        naming_hash=b"x" * 32,
        invited_at=now,
        shown_as="\U0001d11e" * LONGEST_NAME,
        said_yes=(Yes(uuid4(), now, tells=False, known=False),) * MOST_ANSWERS,
    )
    assert len(least.sealed(key)) == len(most.sealed(key))
    assert "name='A'" not in repr(least)


# Nothing of a named person is to be found by anybody else.


def everything_an_auditor_reads(api: Api, *customers: UUID) -> str:
    """All that other roles can ask for about these customers and about the person."""
    answers = []
    for role in ("auditor", "campaign"):
        paths = [f"/v1/customers/{one}{path}" for one in customers for path in ("", "/history?limit=200", "/dials")]
        answers += [api.call("GET", path, role=role).get_data(as_text=True) for path in paths]
        answers.append(api.post("/v1/customers/lookup", {"customer": DORA}, role=role).get_data(as_text=True))
        answers.append(json.dumps(api.check(DORA, "email", "offers/wine")))
    return "\n".join(answers)


def test_a_named_person_leaves_no_trace(api: Api, ben: UUID, dialogue: str) -> None:
    """Dump, exports, and whatever a campaign, an auditor or another customer may ask."""
    cora = api.customer("email:cora@example.com")
    person = name(api, dialogue, name="Zzyzxia", relation="grandgodmother", contact=DORA)
    path = invite(api, person, shown_as="Zzyzxia’s cousin")
    for _ in range(2):
        dump = subprocess.run(
            [find_programs(None).folder / "pg_dump", "--dbname", api.made.owner_url], capture_output=True, check=True
        ).stdout.lower()
        assert b"copy public.person" in dump
        for word in WORDS:
            assert word.lower().encode() not in dump, word
            assert word.lower().encode().hex().encode() not in dump, word
        seen = everything_an_auditor_reads(api, ben, cora)
        assert not any(word in seen.replace(DORA, "") for word in WORDS)
        own = api.call("GET", f"/v1/customers/{cora}/history", key=token(api, cora)).get_data(as_text=True)
        assert not any(word in own for word in WORDS)
        refuse(api, path)  # and once more, after a no
    # No hash of the address stands where it could be looked up, nor one that matches an identifier's.
    hashed = rows(api, "SELECT value_hash FROM refused_naming")[0][0]
    api.customer(DORA)
    assert rows(api, "SELECT count(*) FROM identifier WHERE value_hash = %s", hashed) == [(0,)]


def test_a_check_for_a_named_person_is_a_strangers(api: Api, ben: UUID, dialogue: str) -> None:
    name(api, dialogue, contact=DORA)
    stranger = "email:stran.zzyzx@quux.example"
    answers = [api.check(one, "email", "offers/wine") for one in (DORA, stranger)]
    for answer in answers:
        answer.pop("decided_at")
    assert answers[0] == answers[1]
    assert answers[0]["reason"] == "unknown_customer"
    for role, path in (("desk", "/v1/customers/lookup"), ("auditor", "/v1/customers/lookup")):
        refused(api.post(path, {"customer": DORA}, role=role), "unknown_customer")
    made = [api.post("/v1/customers", {"identifiers": [one]}, role="campaign") for one in (DORA, stranger)]
    assert [one.status_code for one in made] == [201, 201]


def test_no_statement_about_a_customer_reads_whom_others_named(api: Api, ben: UUID, dialogue: str) -> None:
    """The tables are locked against everybody: whatever read them would not be answered."""
    name(api, dialogue, contact=DORA)
    question = {"customer": DORA, "channel": "email", "topic": "offers/wine"}
    with api.made.owner() as conn:
        conn.autocommit = False
        conn.execute("LOCK TABLE person, refused_naming IN ACCESS EXCLUSIVE MODE")
        assert api.check(DORA, "email", "offers/wine")["reason"] == "unknown_customer"
        assert api.post("/v1/permits", question).status_code == 409
        assert api.post("/v1/permissions/check-batch", {"checks": [question] * 3}).status_code == 200
        refused(api.post("/v1/customers/lookup", {"customer": DORA}, role="desk"), "unknown_customer")
        assert api.post("/v1/customers", {"identifiers": [DORA]}).status_code == 201
        held_up = api.call("GET", f"/v1/dialogues/{dialogue}/people", role="desk")
        refused(held_up, "decision_unavailable")
        conn.rollback()


def test_a_check_for_a_named_person_takes_as_long_as_a_strangers(api: Api, ben: UUID, dialogue: str) -> None:
    """Of many, in turn: the processor's time of one is the other's."""
    strangers = iter([f"email:s{number:03}.zzyzx@quux.example" for number in range(200)])
    named = [f"email:n{number:03}.zzyzx@quux.example" for number in range(200)]
    for one in named:
        name(api, dialogue, contact=one)
    taken: dict[bool, list[float]] = {True: [], False: []}
    for one in named:
        for is_named, who in ((True, one), (False, next(strangers))):
            began = time.process_time()
            api.check(who, "email", "offers/wine")
            taken[is_named].append(time.process_time() - began)
    known, unknown = (statistics.median(taken[one]) for one in (True, False))
    assert abs(known - unknown) < 0.2 * unknown, (known, unknown)


# Erasure and merging.


def test_whoever_named_them_takes_them_along(api: Api, ben: UUID, dialogue: str) -> None:
    name(api, dialogue, contact=DORA)
    with api.made.owner() as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute("DELETE FROM dialogue")  # the record's own erasure
    erase(api, ben)
    assert rows(api, "SELECT count(*) FROM person") == [(0,)]


def test_a_merge_takes_the_circle_along(api: Api, ben: UUID, dialogue: str) -> None:
    person = name(api, dialogue, contact=DORA)
    path = invite(api, person)
    cora = api.customer("email:cora@example.com")
    with api.made.owner() as conn:  # the record's own merging
        conn.execute("SET session_replication_role = replica")
        conn.execute("UPDATE dialogue SET customer_id = %s", [cora])
    assert merge(api, cora, ben).status_code == 200
    found = circle(api, dialogue)
    assert [(one["name"], one["contact"]) for one in found] == [("Dora", person["contact"])]
    assert browser(api).get(path, follow_redirects=True).status_code == 200
