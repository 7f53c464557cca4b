"""Numbers and addresses of a customer: confirmed by the service desk on evidence, and removed."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from werkzeug.test import TestResponse

from consent_service.confirmations.service import ask_address, ask_louder
from consent_service.customers import profile
from consent_service.customers.model import parse_reference
from consent_service.dials.model import Change, Notice
from consent_service.errors import ConsentError
from consent_service.history.model import Actor
from consent_service.links.model import Link
from consent_service.links.service import box
from tests.customers.people import token
from tests.dials.test_desk_page import save
from tests.support.api import CATALOGUE, EVIDENCE, NOTICE, Api
from tests.support.pages import browser, link_to, post
from tests.support.soundness import expect_sound
from tests.web.asking import footprint

NUMBER = "phone:+447700900456"


def confirm(api: Api, one: object, identifier: str = NUMBER, evidence: Any = EVIDENCE, **how: Any) -> TestResponse:
    body = {"identifier": identifier, "evidence": evidence}
    return api.post(f"/v1/customers/{one}/identifiers/confirm", body, **{"role": "desk", **how})


def texts_are_confirmed_first(api: Api) -> None:
    catalogue = deepcopy(CATALOGUE)
    catalogue["channels"]["sms"]["confirm"] = True
    api.apply(catalogue)


def test_a_number_confirmed_on_evidence_lets_its_channel_be_turned_up(api: Api) -> None:
    texts_are_confirmed_first(api)
    ada = api.customer("email:ada@example.com", NUMBER)
    own = token(api, ada)
    wish = {"changes": [{"channel": "sms", "topic": "offers", "level": "weekly"}], "source": "web", "notice": NOTICE}
    refused = api.call("PATCH", f"/v1/customers/{ada}/dials", wish, key=own)
    assert (refused.status_code, refused.json["code"]) == (422, "confirmation_required")
    answer = confirm(api, ada)
    assert answer.status_code == 200
    event = api.events(ada)[-1]
    assert (event["type"], event["evidence"], event["actor"]["role"]) == ("identifier.confirmed", EVIDENCE, "desk")
    assert event["after"] == answer.json
    assert api.call("PATCH", f"/v1/customers/{ada}/dials", wish, key=own).status_code == 200
    # Again: the first time, and no event more.
    before = footprint(api)
    assert confirm(api, ada).json == answer.json
    assert footprint(api) == before
    expect_sound(api.made)


def test_a_confirmation_takes_evidence_the_customers_own_name_and_the_desk(api: Api) -> None:
    ada, ben = api.customer("email:ada@example.com", NUMBER), api.customer("email:ben@example.com")
    own, before = token(api, ada), footprint(api)
    for refused, code in (
        (confirm(api, ada, evidence=None), "evidence_required"),
        (confirm(api, ada, evidence={}), "evidence_required"),
        (confirm(api, ben), "not_found"),
        (confirm(api, ada, "phone:12"), "invalid_customer_reference"),
        (confirm(api, ada, f"id:{ada}"), "not_found"),
        (confirm(api, "00000000-0000-0000-0000-000000000007"), "unknown_customer"),
        (confirm(api, ada, role="campaign"), "role_not_allowed"),
        (confirm(api, ada, role="auditor"), "role_not_allowed"),
        (confirm(api, ada, key=own), "role_not_allowed"),
    ):
        assert refused.json["code"] == code
    assert footprint(api) == before


@pytest.mark.parametrize("by_campaign", [False, True])
def test_a_customer_is_told_who_confirms_their_number(api: Api, by_campaign: bool) -> None:
    texts_are_confirmed_first(api)
    ada = api.customer("email:ada@example.com", NUMBER)
    api.turn(ada, ("sms", "*", "silent"))
    client = browser(api)
    client.get(link_to(api, ada, by_campaign=by_campaign))
    page = client.get("/preferences")
    answer = save(client, page, {("sms", "*"): "weekly"})
    assert "unasked=desk" in answer.headers["Location"]
    told = client.get(answer.headers["Location"]).get_data(as_text=True)
    assert "Please call or write to our service desk: they confirm it with you" in told
    about_me = "our service desk confirms your number or address for it with you"
    assert about_me in client.get("/me").get_data(as_text=True)
    confirm(api, ada)
    assert about_me not in client.get("/me").get_data(as_text=True)
    if not by_campaign:
        save(client, page, {("sms", "*"): "weekly"})
        assert api.check(f"id:{ada}", "sms", "events")["reason"] == "allowed"


ANN = ("email:ann@example.com", "email:old@example.com", NUMBER)


def remove(api: Api, one: object, identifier: str, **how: Any) -> TestResponse:
    return api.post(f"/v1/customers/{one}/identifiers/remove", {"identifier": identifier}, **{"role": "desk", **how})


def test_what_is_removed_names_nobody_and_the_rest_stays(api: Api) -> None:
    ann = api.customer(*ANN)
    confirm(api, ann)
    answer = remove(api, ann, NUMBER)
    assert (answer.status_code, answer.json["identifiers"]) == (200, list(ANN[:2]))
    event = api.events(ann)[-1]
    assert (event["type"], event["before"]["identifier"], event["after"]) == ("identifier.removed", NUMBER, None)
    assert api.check(NUMBER, "sms", "events")["reason"] == "unknown_customer"
    assert api.check(ANN[0], "email", "events")["reason"] == "allowed"
    before = footprint(api)
    assert remove(api, ann, NUMBER).json == answer.json
    assert remove(api, ann, "phone:+447700900457", key=token(api, ann)).status_code == 200
    assert footprint(api)["identifier"] == before["identifier"]
    expect_sound(api.made)
    # Whoever has it next is somebody else: neither its confirmation nor any dial goes with it.
    texts_are_confirmed_first(api)
    ben = api.customer("email:ben@example.com", NUMBER)
    wish = {"changes": [{"channel": "sms", "topic": "offers", "level": "weekly"}], "source": "web", "notice": NOTICE}
    refused = api.call("PATCH", f"/v1/customers/{ben}/dials", wish, key=token(api, ben))
    assert refused.json["code"] == "confirmation_required"
    expect_sound(api.made)


def test_only_the_desk_and_the_customer_remove(api: Api) -> None:
    ann, ben = api.customer(*ANN), api.customer("email:ben@example.com", "loyalty:7")
    assert remove(api, ann, ANN[1], role="campaign").json["code"] == "role_not_allowed"
    assert remove(api, ann, ANN[1], role="auditor").json["code"] == "role_not_allowed"
    assert remove(api, ann, ANN[1], key=token(api, ben)).json["code"] == "unknown_customer"
    assert remove(api, ben, ANN[1]).json["identifiers"] == ["email:ben@example.com", "loyalty:7"]
    assert api.check(ANN[1], "email", "events")["customer_id"] == str(ann)
    assert remove(api, ann, ANN[1], key=token(api, ann)).status_code == 200


def test_the_last_one_stays(api: Api) -> None:
    """Without it nobody could find the customer again; who wants to be gone is erased, and so left alone."""
    ann = api.customer(*ANN[:2])
    assert remove(api, ann, ANN[0]).status_code == 200
    for how in ({"role": "desk"}, {"key": token(api, ann)}):
        refused = remove(api, ann, ANN[1], **how)
        assert (refused.status_code, refused.json["code"]) == (409, "last_identifier")


@pytest.mark.parametrize("channel", [None, "email"])
def test_removing_never_loosens_a_stop(api: Api, channel: str | None) -> None:
    """The stop on the old address holds for the customer whoever asks by their id; it would hold no longer."""
    ann = api.customer(*ANN)
    stop = {"contact_point": ANN[1], "kind": "marketing", "reason": "bounced"}
    made = api.post("/v1/suppressions", stop | ({"channel": channel} if channel else {}), role="desk").json["id"]
    assert api.check(f"id:{ann}", "email", "events")["reason"] == "suppressed"
    for how in ({"role": "desk"}, {"key": token(api, ann)}):
        refused = remove(api, ann, ANN[1], **how)
        assert (refused.status_code, refused.json["code"]) == (409, "identifier_suppressed")
    assert api.check(f"id:{ann}", "email", "events")["reason"] == "suppressed"
    # Another address goes, and the stop stays; lifted, it holds nothing back.
    assert remove(api, ann, ANN[0]).status_code == 200
    assert api.check(f"id:{ann}", "email", "events")["reason"] == "suppressed"
    api.call("DELETE", f"/v1/suppressions/{made}", role="desk")
    assert remove(api, ann, ANN[1]).status_code == 200
    expect_sound(api.made)


def test_nothing_is_confirmed_any_more_from_an_address_that_was_removed(api: Api) -> None:
    ann = api.customer("email:ann@example.com", "phone:+447700900456")
    actor = Actor("customer", str(ann), customer_id=ann, link="newsletter")
    up, notice = [Change("*", "offers", "weekly")], Notice("preferences", "1", "en")
    with api.database.transaction() as conn:
        waits = [ask_louder(conn, api.keyring, actor, ann, up, notice=notice, locale="en")]
        reference = parse_reference(ANN[0])
        own = Actor("customer", str(ann), customer_id=ann)
        asked = ask_address(conn, api.keyring, own, ann, reference, locale="en")
        assert asked is not None
        waits.append(asked)
    assert remove(api, ann, ANN[0]).status_code == 200
    for change_id in waits:
        client = browser(api)
        with api.database.reading() as conn:
            link = Link("confirm", ann, datetime.now(UTC), subject=change_id)
            client.get(f"/c/{box(conn, api.keyring).write(link)}")
        page = client.get("/confirm")
        assert "Nothing waits for you here any more" in page.get_data(as_text=True)
        assert post(client, client.get("/link"), "/confirm", {}).headers["Location"] == "/confirm?result=late"
        assert client.get("/me").status_code != 200
    assert api.check(f"id:{ann}", "email", "offers")["reason"] == "no_consent"
    assert api.check(ANN[0], "email", "offers")["reason"] == "unknown_customer"


def test_a_customer_removes_a_detail_in_one_step(api: Api) -> None:
    ann = api.customer(*ANN)
    client = browser(api)
    client.get(link_to(api, ann))
    page = client.get("/me")
    assert page.get_data(as_text=True).count('action="/me/details/remove"') == 3
    before = footprint(api)
    assert client.get("/me/details/remove").status_code == 405
    assert client.post("/me/details/remove", data={"detail": ANN[1]}).status_code == 403
    assert footprint(api) == before
    answer = post(client, page, "/me/details/remove", {"detail": ANN[1]})
    assert answer.headers["Location"] == "/me?removed=1"
    told = client.get("/me?removed=1").get_data(as_text=True)
    assert "nobody finds you by it here" in told
    assert "old@example.com" not in told
    event = api.events(ann)[-1]
    assert (event["type"], event["source"], event["actor"]["role"]) == ("identifier.removed", "web", "customer")
    assert post(client, page, "/me/details/remove", {"detail": "email:ben@example.com"}).status_code == 303
    stop = {"contact_point": NUMBER, "kind": "all", "reason": "wrong number"}
    api.post("/v1/suppressions", stop, role="desk")
    kept = post(client, page, "/me/details/remove", {"detail": NUMBER})
    assert "We are to leave you alone there" in client.get(kept.headers["Location"]).get_data(as_text=True)
    only = api.customer("email:cleo@example.com")
    client.get(link_to(api, only))
    page = client.get("/me")
    assert 'action="/me/details/remove"' not in page.get_data(as_text=True)
    kept = post(client, page, "/me/details/remove", {"detail": "email:cleo@example.com"})
    assert "It is all that we have to know you by" in client.get(kept.headers["Location"]).get_data(as_text=True)


def test_from_a_campaigns_link_nothing_is_removed(api: Api) -> None:
    ann = api.customer(*ANN)
    client = browser(api)
    client.get(link_to(api, ann, by_campaign=True))
    page = client.get("/me")
    assert "/me/details/remove" not in page.get_data(as_text=True)
    before = footprint(api)
    assert post(client, page, "/me/details/remove", {"detail": ANN[1]}).headers["Location"] == "/me"
    actor, asked = Actor("customer", str(ann), customer_id=ann, link="newsletter"), parse_reference(ANN[1])
    with api.database.transaction() as conn, pytest.raises(ConsentError, match="role_not_allowed"):
        profile.remove_identifier(conn, api.keyring, actor, ann, asked)
    assert footprint(api) == before
