"""Numbers and addresses of a customer: confirmed by the service desk on evidence."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.customers.people import token
from tests.dials.test_desk_page import save
from tests.support.api import CATALOGUE, EVIDENCE, NOTICE, Api
from tests.support.pages import browser, link_to
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
