"""What happened, in words: every type of event, who did it, when, and its number; page by page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

import consent_service
from consent_service.confirmations import service as confirmations
from consent_service.customers.model import parse_reference
from consent_service.dials.model import Change, Notice
from consent_service.history.model import Actor, Event
from consent_service.history.service import record
from consent_service.history.telling import TYPES
from consent_service.history.texts import MAILS
from consent_service.history.texts import REASONS as REASONS_TOLD
from consent_service.permissions.model import REASONS
from tests.customers.people import token
from tests.dialogues.conversations import invite, name, opened, tell
from tests.support.api import EVIDENCE, Api
from tests.support.pages import browser, link_to, post
from tests.web.asking import footprint, somebody

# Events of nobody in particular: no customer reads them.
NOBODYS = {"catalogue.applied", "customer.erased", "key.created", "key.revoked"}
# Told of somebody who asks for more by a campaign's link, and for an address.
WAITING = {
    "confirmation.given",
    "confirmation.dropped",
    "dials.requested",
    "identifier.requested",
    "identifier.confirmed",
    "mail.failed",
    "mail.sent",
}
WINE = {"channel": "email", "topic": "offers/wine"}
LOCALES = ("en", "de", "fr", "ar")


def visitor(api: Api, one: UUID, **link: Any) -> FlaskClient:
    client = browser(api)
    assert client.get(link_to(api, one, **link)).status_code == 303
    return client


def told(client: FlaskClient, path: str = "/me/happened") -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_data(as_text=True)


def types_in_code() -> Iterator[str]:
    """Whatever stands in our code like the type of an event."""
    for path in Path(consent_service.__file__).parent.rglob("*.py"):
        if path.parent.name not in ("history", "fsck"):
            text = path.read_text(encoding="utf-8")
            if "Event(" in text or "type_" in text or "refusal=" in text:
                nouns = (
                    "dials|pause|customers?|confirmation|identifier|token|permit|contact|suppression|key|catalogue"
                    "|person|invitation|fact"
                )
                yield from re.findall(rf'"((?:{nouns})\.(?!sql)[a-z_]+)"', text)


def eventful(api: Api) -> UUID:
    """Somebody to whom everything happened."""
    one = api.customer("email:ann.wood@example.com", "phone:+442079460018")
    api.turn(one, ("*", "offers/garden", "weekly"), ("*", "offers/wine", "weekly"), evidence={"call": "C-77"})
    answers = [
        api.post("/v1/permits", {"customer": f"id:{one}", **WINE, "campaign": "Autumn"}),
        api.post("/v1/permits", {"customer": f"id:{one}", "channel": "email", "topic": "offers/garden"}),
        api.post("/v1/permits", {"customer": f"id:{one}", **WINE}),
    ]
    assert [one.status_code for one in answers] == [201, 201, 409]
    first, second = (answer.json["id"] for answer in answers[:2])
    api.call("DELETE", f"/v1/permits/{first}")
    api.turn(one, ("*", "offers/garden", "silent"))
    assert api.post(f"/v1/permits/{second}/use").status_code == 409
    assert api.post("/v1/contacts", {"customer": f"id:{one}", **WINE}).status_code == 201
    assert api.post("/v1/contacts", {"customer": f"id:{one}", **WINE}).status_code == 409
    report = {"customer": f"id:{one}", **WINE, "contacted_at": "2026-01-01T10:00:00Z", "external_id": "secret-id"}
    api.post("/v1/contacts/reports", {"contacts": [report]})
    path = f"/v1/customers/{one}"
    api.call("PUT", f"{path}/pause", {"until": "2031-01-01T00:00:00Z"}, role="desk")
    api.call("DELETE", f"{path}/pause", role="desk")
    api.call("PUT", f"{path}/pause", {"until": "2031-01-01T00:00:00Z", "channel": "sms"}, role="desk")
    api.call("DELETE", f"{path}/pause?channel=sms", role="desk")
    api.call("PATCH", path, {"time_zone": "Europe/Berlin"}, role="desk")
    api.post(f"{path}/identifiers", {"identifier": "email:ann.second@example.com"}, role="desk")
    api.post(f"{path}/identifiers/remove", {"identifier": "email:ann.second@example.com"}, role="desk")
    api.post(f"{path}/tokens", role="desk")
    stop = {"customer": f"id:{one}", "kind": "marketing", "reason": "wrote a letter", "channel": "email"}
    made = api.post("/v1/suppressions", stop, role="desk").json["id"]
    api.call("DELETE", f"/v1/suppressions/{made}", role="desk")
    point = {"contact_point": "email:ann.wood@example.com", "kind": "all", "reason": "bounced"}
    api.call("DELETE", f"/v1/suppressions/{api.post('/v1/suppressions', point, role='desk').json['id']}", role="desk")
    api.post(f"{path}/merge", {"other": str(api.customer(somebody()))}, role="desk")
    talked(api, one)
    in_a_circle(api, one)
    return one


def talked(api: Api, one: UUID) -> None:
    """Somebody of whom every kind of event of a dialogue is told."""
    until = (datetime.now(UTC) + timedelta(days=50)).isoformat()
    opening = {"topic": "offers", "subject": "<b>Wine</b>", "channels": ["email", "sms"], "until": until, "contacts": 3}
    own = token(api, one)
    made = api.post(f"/v1/customers/{one}/dialogues", {**opening, "message": "Red?"}, key=own).json["id"]
    line = {"terms": {"contacts": 4}}
    for number in range(4):
        api.post(f"/v1/dialogues/{made}/entries", {"proposal": {"text": f"So? {number}", "lines": [line]}}, role="desk")
    api.post(f"/v1/dialogues/{made}/entries", {"withdrawal": {"proposal": 2}}, role="desk")
    api.post(f"/v1/dialogues/{made}/entries", {"message": "Well?"}, role="desk")
    for proposal, said in ((3, {"answer": "refuse"}), (4, {"answer": "change", **line}), (5, {"answer": "accept"})):
        answer = api.post(f"/v1/dialogues/{made}/entries/{proposal}/answer", {"lines": [{"line": 1, **said}]}, key=own)
        assert answer.status_code == 201, answer.get_data(as_text=True)
    api.call("PATCH", f"/v1/dialogues/{made}", {"contacts": 1}, key=own)
    api.post(f"/v1/dialogues/{made}/close", key=own)


def in_a_circle(api: Api, one: UUID) -> None:
    """They name somebody, tell something, and say yes to somebody's invitation."""
    dialogue, other = opened(api, one), opened(api, api.customer(somebody()))
    person = name(api, dialogue, name="Zoe Wood")
    invite(api, person)
    api.call("PATCH", f"/v1/people/{person['id']}", {"name": "Zoe", "evidence": EVIDENCE}, role="desk")
    api.call("DELETE", f"/v1/people/{person['id']}", role="desk")
    for value in ("very tall", "tall"):
        fact = tell(api, dialogue, name="height of Ann", value=value).json
    assert api.post("/v1/customers/facts", {"customer": f"id:{one}"}).json["facts"]
    api.call("DELETE", f"/v1/facts/{fact['id']}", role="desk")
    client = visitor(api, one)
    page = client.get(invite(api, name(api, other)), follow_redirects=True)
    assert post(client, page, "/invitation/link", {}).status_code == 303


def test_every_type_of_event_has_its_sentence() -> None:
    written = set(types_in_code())
    assert {"dials.changed", "contact.reported", "permit.voided", "customers.merged"} <= written
    assert written - NOBODYS <= TYPES
    # These are written as one text with two ends.
    assert {"confirmation.given", "confirmation.dropped", "mail.failed", "mail.sent"} <= TYPES
    assert set(REASONS) == set(REASONS_TOLD)


@pytest.mark.parametrize("locale", LOCALES)
def test_all_that_happened_is_told_with_its_number(api: Api, locale: str) -> None:
    one = eventful(api)
    events = api.events(one)
    assert {event["type"] for event in events} >= TYPES - WAITING
    client = visitor(api, one, locale=locale)
    text, page = "", "/me/happened"
    for _ in range(10):
        html = told(client, page)
        text += html
        older = re.search(r'rel="next" href="([^"]+)"', html)
        if not older:
            break
        page = older[1].replace("&amp;", "&")
    else:
        pytest.fail("the pages do not end")
    assert re.findall(r'<code class="receipt" dir="ltr">([^<]+)', text) == [event["id"] for event in reversed(events)]
    # What words were looked up for did not stay a name of the code, and nothing was left to be filled in.
    assert not re.findall(r"%\(|Recorded:|[a-z]+\.(?:changed|refused|set|recorded)\b", text)
    assert not any(hidden in text for hidden in ("secret-id", "Zoe", "tall"))
    if locale == "en":
        for sentence in (
            "You were contacted by Email about Wine.",
            "A contact by Email about Wine was asked for, and not allowed: you had heard as much as you wanted.",
            "Held back by your dial “Wine”: About weekly",
            "A contact by Email about Garden was allowed before, and not any more when it was to be made:",
            "Our service desk (<bdi>desk key</bdi>)",
            "Our sender “<bdi>campaign key</bdi>”",
            "<bdi>call: C-77</bdi>",
            "Campaign: Autumn",
            "From now on we send you no advertising by Email.",
            "Reason: wrote a letter",
            "Two records of you became one.",
            "Something that you told us was read: <bdi>height of Ann</bdi>.",
            "You named somebody in a conversation.",
            "We keep your choices and follow them.",
        ):
            assert sentence in text, sentence


@pytest.mark.parametrize("locale", LOCALES)
def test_what_waits_and_what_came_of_it_is_told(api: Api, locale: str) -> None:
    one = api.customer(somebody())
    with api.database.transaction() as conn:
        asked = (conn, api.keyring, Actor("customer", str(one), customer_id=one, link="Autumn"), one)
        notice, ends = Notice("preferences", "1", "en"), {"*": None, "email": datetime(2030, 1, 1, tzinfo=UTC)}
        turned = (Change("*", "offers/wine", "weekly"),)
        first = confirmations.ask_louder(*asked, turned, notice=notice, locale="en", pauses=ends)
        confirmations.drop(*asked, first)
        address = confirmations.ask_address(*asked, parse_reference("email:new@example.com"), locale="en")
        assert address is not None
        own = (conn, api.keyring, Actor("customer", str(one), customer_id=one), one)
        assert confirmations.confirm(*own, address).result == "done"
        details = {"source": "email", "mail_id": "1", "to": "email:new@example.com", "attempts": 1}
        mailed = [("mail.sent", kind) for kind in (*MAILS, None)] + [("mail.failed", "link")]
        system, now = Actor("system", "worker"), datetime.now(UTC)
        record(conn, api.keyring, [Event(one, type_, system, now, details | {"kind": kind}) for type_, kind in mailed])
    text = told(visitor(api, one, locale=locale))
    assert {event["type"] for event in api.events(one)} >= WAITING
    assert not re.findall(r"%\(|Recorded:|[a-z]+\.(?:given|dropped|requested|confirmed|sent|failed)\b", text)
    if locale == "en":
        for sentence in (
            "More was asked for.",
            "About weekly",
            "was dropped",
            "Confirmed: E-mail:",
            "“<bdi>Autumn</bdi>”",
        ):
            assert sentence in text, sentence


def test_from_a_link_of_a_campaign_details_and_free_words_are_hidden(api: Api) -> None:
    one = eventful(api)
    client = visitor(api, one, by_campaign=True)
    text = told(client)
    older = re.search(r'rel="next" href="([^"]+)"', text)
    text += told(client, older[1]) if older else ""
    assert "an…@example.com" in text
    for hidden_one in ("ann.wood", "ann.second", "+442079460018", "C-77", "wrote a letter", "height of Ann"):
        assert hidden_one not in text, hidden_one


def test_who_came_by_a_link_of_a_campaign_is_told_by_which(api: Api) -> None:
    one = api.customer(somebody())
    client = browser(api)
    page = client.get(link_to(api, one, "unsubscribe", by_campaign=True, place=("email", "events")))
    page = client.get("/unsubscribe")
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.get_data(as_text=True))
    assert token
    client.post("/unsubscribe", data={"csrf_token": token[1], "to": "topic"})
    assert "You, by a link in a message from “<bdi>?</bdi>”" in told(client)


def test_showing_changes_nothing(api: Api) -> None:
    client = visitor(api, eventful(api))
    before = footprint(api)
    for _ in range(10):
        told(client)
    assert footprint(api) == before


def test_a_cursor_is_signed_and_ones_own(api: Api) -> None:
    one, other = api.customer(somebody()), api.customer(somebody())
    for person in (one, other):
        for number in range(30):
            level = "weekly" if number % 2 else "daily"
            assert api.turn(person, ("*", "offers", level)).status_code == 200
    older = re.search(r'rel="next" href="([^"]+)"', told(visitor(api, one)))
    assert older
    assert "Newest" in told(visitor(api, one), older[1])
    for client, page in ((visitor(api, other), older[1]), (visitor(api, one), older[1][:-1] + "A!")):
        assert client.get(page).status_code == 400


def test_an_old_link_does_not_open_history(api: Api) -> None:
    client = visitor(api, api.customer(somebody()), minted_at=datetime(2020, 1, 1, tzinfo=UTC))
    assert client.get("/me/happened").headers["Location"] == "/link?because=old"
    assert browser(api).get("/me/happened").headers["Location"] == "/link?because=ended"
