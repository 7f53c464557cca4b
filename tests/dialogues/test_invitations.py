"""Invitations: what a named person sees, says and becomes; and what nobody learns by it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent_service.database.connection import Connection
from consent_service.links.model import Link, path_of
from consent_service.links.service import box
from tests.customers.people import dials, erase, merge, rows
from tests.dialogues.conversations import circle, ended, invite, name, opened
from tests.support.api import NOTICE, Api
from tests.support.pages import browser, link_to, post
from tests.web.asking import footprint, token

DORA = "email:dora@example.com"
SHOWN = {"notice_id": NOTICE["id"], "notice_version": NOTICE["version"], "notice_locale": "en"}


def asked(path: str, client: FlaskClient) -> TestResponse:
    """The page of an invitation."""
    found = client.get(path, follow_redirects=True)
    assert found.status_code == 200, found.get_data(as_text=True)
    return found


def say(api: Api, path: str, how: str, **fields: str) -> TestResponse:
    """Somebody answers in a browser of their own; where it leads."""
    client = browser(api)
    return post(client, asked(path, client), f"/invitation/{how}", fields)


def without_tokens(page: TestResponse) -> str:
    return re.sub(r'(name="csrf_token" value=)"[^"]*"', r"\1", page.get_data(as_text=True))


def newest(api: Api) -> UUID:
    """Whoever was made last."""
    found = rows(api, "SELECT customer_id FROM customer ORDER BY created_at DESC LIMIT 1")[0][0]
    assert isinstance(found, UUID)
    return found


def confirm(api: Api, customer: UUID) -> None:
    """They follow the link of the mail that asks to confirm their address."""
    change = rows(api, "SELECT change_id FROM pending_change WHERE customer_id = %s", customer)[-1][0]
    client = browser(api)
    with api.database.reading() as conn:
        token = box(conn, api.keyring).write(Link("confirm", customer, datetime.now(UTC), subject=change))
    page = client.get(path_of("confirm", token), follow_redirects=True)
    assert "result=done" in post(client, page, "/confirm", {}).headers["Location"]


def test_looking_changes_nothing_however_often(api: Api, dialogue: str) -> None:
    path = invite(api, name(api, dialogue, contact=DORA))
    before = footprint(api)
    for _ in range(3):
        for method in ("GET", "HEAD"):
            client = browser(api)
            found = client.open(path, method=method)
            assert (found.status_code, found.headers["Location"]) == (303, "/invitation")
            assert client.open("/invitation", method=method).status_code == 200
    assert footprint(api) == before


def test_who_asks_is_shown_only_if_they_allow_it(api: Api, dialogue: str) -> None:
    person = name(api, dialogue, name="Dora the sister")
    hidden = asked(invite(api, person), browser(api)).get_data(as_text=True)
    assert "Somebody who knows you" in hidden
    shown = asked(invite(api, person, shown_as="Ben <b>Miller"), browser(api)).get_data(as_text=True)
    assert "<bdi>Ben &lt;b&gt;Miller</bdi>" in shown
    for page in (hidden, shown):
        assert not any(word in page for word in ("Dora", "sister", "ben@example.com"))


def test_a_link_is_for_invitations_alone_and_no_key_mints_one(api: Api, ben: UUID, dialogue: str) -> None:
    path = invite(api, name(api, dialogue))
    token = path.rpartition("/")[2]
    for purpose in "pumlc":
        assert browser(api).get(f"/{purpose}/{token}").status_code == 404
    for changed in (token[:-1], token + "a", token[:30] + ("a" if token[30] != "a" else "b") + token[31:]):
        assert browser(api).get(f"/i/{changed}").status_code == 404
    assert browser(api).get("/i/" + link_to(api, ben).rpartition("/")[2]).status_code == 404
    for role in ("desk", "campaign"):
        answer = api.post("/v1/links", {"links": [{"customer": f"id:{ben}", "purpose": "invitation"}]}, role=role)
        assert answer.json["results"][0]["error"]["code"] == "invalid_value"


def test_a_yes_makes_a_customer_who_hears_what_they_chose_once_they_confirmed(
    api: Api, ben: UUID, dialogue: str
) -> None:
    path = invite(api, name(api, dialogue, contact=DORA))
    fields = {"email": "fay@example.com", "topic:offers": "weekly", "tells": "1", **SHOWN}
    assert say(api, path, "yes", **fields).headers["Location"] == "/invitation?result=asked"
    fay = newest(api)
    standing = dials(api, fay)
    assert standing.pop(("*", "offers")) == "weekly"
    assert set(standing.values()) == {"silent"}
    assert api.check("email:fay@example.com", "email", "offers")["reason"] == "unknown_customer"
    assert circle(api, dialogue)[0]["state"] == "not_available", "nobody has confirmed it yet"
    confirm(api, fay)
    assert api.check("email:fay@example.com", "email", "offers")["allowed"]
    found = circle(api, dialogue)[0]
    assert (found["state"], found["customer_id"]) == ("joined", str(fay))
    assert circle(api, dialogue, token(api, ben))[0]["customer_id"] is None, "not for the customer's eyes"
    told = {event["type"]: event for event in api.events(fay)}
    assert {"customer.created", "dials.changed", "identifier.requested", "invitation.accepted"} <= set(told)
    assert told["dials.changed"]["notice"]["id"] == NOTICE["id"]
    assert str(ben) not in str(api.events(fay)), "who asked is nobody's business"


def test_louder_needs_the_notice(api: Api, dialogue: str) -> None:
    path = invite(api, name(api, dialogue))
    before = footprint(api)
    found = say(api, path, "yes", email="fay@example.com", **{"topic:offers": "weekly"})
    assert found.status_code == 422
    assert footprint(api) == before


def test_what_is_no_address_is_asked_again_with_what_was_chosen(api: Api, dialogue: str) -> None:
    before_all = invite(api, name(api, dialogue))
    before = footprint(api)
    found = say(api, before_all, "yes", email="nobody", **{"topic:offers": "weekly"}, **SHOWN)
    text = found.get_data(as_text=True)
    assert found.status_code == 422
    assert re.search(r'name="topic:offers" checked value="weekly"', text)
    assert 'value="nobody"' in text
    assert footprint(api) == before


def test_a_customer_is_linked_as_they_are(api: Api, ben: UUID, dialogue: str) -> None:
    cora = api.customer("email:cora@example.com")
    api.turn(cora, ("email", "offers", "daily"))
    path, client = invite(api, name(api, dialogue)), browser(api)
    client.get(link_to(api, cora))
    page = asked(path, client)
    assert "/invitation/yes" not in page.get_data(as_text=True)
    assert post(client, page, "/invitation/link", {"tells": "1"}).headers["Location"] == "/invitation?result=linked"
    assert client.get("/preferences").status_code == 200, "the visit goes on"
    found = circle(api, dialogue)[0]
    assert (found["state"], found["customer_id"]) == ("joined", str(cora))
    assert dials(api, cora) == {("email", "offers"): "daily"}
    assert api.events(cora)[-1]["type"] == "invitation.accepted"


def test_a_link_that_a_campaign_minted_links_nobody(api: Api, dialogue: str) -> None:
    cora = api.customer("email:cora@example.com")
    path, client = invite(api, name(api, dialogue)), browser(api)
    key = rows(api, "SELECT key_id FROM api_key WHERE role = 'campaign'")[0][0]
    client.get(link_to(api, cora, by_campaign=True, minted_by=key))
    page = asked(path, client)
    assert "/invitation/yes" in page.get_data(as_text=True)
    assert post(client, page, "/invitation/link", {"tells": "1"}).status_code == 401
    assert circle(api, dialogue)[0]["state"] == "not_available"


def test_who_asked_cannot_join_their_own_circle(api: Api, ben: UUID, dialogue: str) -> None:
    path, client = invite(api, name(api, dialogue)), browser(api)
    client.get(link_to(api, ben))
    assert post(client, asked(path, client), "/invitation/link", {"tells": "1"}).status_code == 303
    assert circle(api, dialogue)[0]["state"] == "not_available"


def test_the_page_is_the_same_whatever_was_answered(api: Api, ben: UUID, dialogue: str) -> None:
    """The one who asked holds the link too: what it shows, does and leaves in their history tells them nothing."""
    fresh, refused, joined, again = (
        invite(api, name(api, dialogue, name=f"P{number}", contact=contact))
        for number, contact in enumerate((None, DORA, None, None))
    )
    events = len(api.events(ben))
    say(api, refused, "no")
    say(api, joined, "yes", email="fay@example.com", tells="1")
    confirm(api, newest(api))
    say(api, again, "no")
    pages = {without_tokens(asked(path, browser(api))) for path in (fresh, refused, joined, again)}
    assert len(pages) == 1
    assert len(api.events(ben)) == events
    once_more = {say(api, path, "no").headers["Location"] for path in (fresh, refused, joined)}
    assert once_more == {"/invitation?result=no"}


def test_statements_are_the_same_whatever_was_answered(
    api: Api, dialogue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the list, of a page and of an answer: as many, and the same."""
    paths = {
        word: invite(api, name(api, dialogue, name=word, contact=contact))
        for word, contact in (("fresh", "email:fresh@example.com"), ("refused", DORA))
    }
    say(api, paths["refused"], "no")
    sent: list[object] = []
    run = Connection.run

    def noted(self: Connection, statement: object, *rest: object, **more: object) -> object:
        sent.append(statement)
        return run(self, statement, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Connection, "run", noted)

    def statements(work: object) -> list[object]:
        sent.clear()
        work()  # type: ignore[operator]
        return list(sent)

    for _ in range(2):  # the first warms what is kept
        seen = [statements(lambda path=path: asked(path, browser(api))) for path in paths.values()]
    assert seen[0] == seen[1]
    namings = [
        statements(lambda contact=contact: name(api, dialogue, contact=contact))
        for contact in (DORA, "email:new@example.com")
    ]
    assert namings[0] == namings[1]
    noes = [statements(lambda path=path: say(api, path, "no")) for path in paths.values()]
    assert noes[0] == noes[1]


def test_a_no_takes_a_yes_back(api: Api, dialogue: str) -> None:
    path = invite(api, name(api, dialogue, contact=DORA))
    say(api, path, "yes", email="fay@example.com", tells="1")
    confirm(api, newest(api))
    assert circle(api, dialogue)[0]["state"] == "joined"
    say(api, path, "no")
    assert circle(api, dialogue)[0]["state"] == "not_available"
    assert rows(api, "SELECT count(*) FROM refused_naming") == [(1,)]


def test_another_yes_does_not_take_over_who_said_yes_before(api: Api, dialogue: str) -> None:
    path = invite(api, name(api, dialogue))
    say(api, path, "yes", email="fay@example.com", tells="1")
    fay = newest(api)
    confirm(api, fay)
    say(api, path, "yes", email="mallory@example.com", tells="1")
    assert newest(api) != fay
    assert circle(api, dialogue)[0]["customer_id"] == str(fay)
    assert rows(api, "SELECT count(*) FROM pending_change WHERE state = 'open' AND customer_id = %s", fay) == [(0,)]


def test_an_invitation_is_answered_with_yes_five_times_a_day_at_most(api: Api, dialogue: str) -> None:
    path = invite(api, name(api, dialogue))
    answers = [say(api, path, "yes", email=f"fay{number}@example.com").status_code for number in range(6)]
    assert answers == [303] * 5 + [429]


def test_answers_from_one_address_are_limited(api: Api, dialogue: str) -> None:
    path = invite(api, name(api, dialogue))
    assert [say(api, path, "no").status_code for _ in range(11)].count(429) == 1


def test_an_invitation_ends_with_its_dialogue_its_person_or_its_customer(api: Api, ben: UUID, dialogue: str) -> None:
    person = name(api, dialogue)
    path, client = invite(api, person), browser(api)
    page = asked(path, client)
    ended(api, ben, closed=True)
    assert client.get("/invitation").status_code == 404
    assert post(client, page, "/invitation/yes", {"email": "fay@example.com"}).status_code == 404
    other = opened(api, ben)
    gone = name(api, other)
    path = invite(api, gone)
    assert api.call("DELETE", f"/v1/people/{gone['id']}", role="desk").status_code == 204
    assert browser(api).get(path, follow_redirects=True).status_code == 404
    assert browser(api).get("/invitation").status_code == 404, "without a link there is none"


def test_a_form_from_elsewhere_answers_nothing(api: Api, dialogue: str) -> None:
    path, client = invite(api, name(api, dialogue, contact=DORA)), browser(api)
    asked(path, client)
    before = footprint(api)
    for how in ("yes", "no", "link"):
        assert client.post(f"/invitation/{how}", data={"email": "fay@example.com"}).status_code == 403
    assert footprint(api) == before


# The invited, later.


def joined(api: Api, dialogue: str) -> UUID:
    path = invite(api, name(api, dialogue))
    say(api, path, "yes", email="fay@example.com", tells="1")
    fay = newest(api)
    confirm(api, fay)
    return fay


def test_who_joined_and_was_erased_is_not_available(api: Api, dialogue: str) -> None:
    erase(api, joined(api, dialogue))
    found = circle(api, dialogue)[0]
    assert (found["state"], found["customer_id"]) == ("not_available", None)


def test_who_joined_and_was_merged_is_their_survivor(api: Api, dialogue: str) -> None:
    fay, cora = joined(api, dialogue), api.customer("email:cora@example.com")
    assert merge(api, cora, fay).status_code == 200
    assert circle(api, dialogue)[0]["customer_id"] == str(cora)


def test_the_page_speaks_every_language(api: Api, dialogue: str) -> None:
    path = invite(api, name(api, dialogue), shown_as="Ben")
    titles = set()
    for locale in ("en", "de", "fr", "ar"):
        page = browser(api).get(path, follow_redirects=True, headers={"Accept-Language": locale})
        found = re.search(r"<h1>(.*)</h1>", page.get_data(as_text=True))
        assert found
        assert "<bdi>Ben</bdi>" in page.get_data(as_text=True)
        titles.add(found[1])
    assert len(titles) == 4
