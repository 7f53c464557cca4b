"""A mail program unsubscribes by one POST: at once, without a cookie, as often as it likes. Source: RFC 8058."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from werkzeug.test import TestResponse

from consent_service.links.model import PATHS
from tests.support.api import CATALOGUE, Api
from tests.support.cluster import TestDatabase
from tests.support.pages import browser, link_to
from tests.web.asking import footprint, somebody

BODY = {"List-Unsubscribe": "One-Click"}
PLACE = ("email", "offers/wine")


def click(api: Api, path: str, **options: object) -> TestResponse:
    return browser(api).post(path, **{"data": BODY, **options})  # type: ignore[arg-type]


def wanting_wine(api: Api) -> tuple[str, UUID]:
    name = somebody()
    made = api.customer(name)
    assert api.turn(made, ("*", "offers", "everything")).status_code == 200
    assert api.check(name, *PLACE)["allowed"]
    return name, made


@pytest.mark.parametrize("encoding", ["application/x-www-form-urlencoded", "multipart/form-data"])
def test_one_click_silences_the_topic_on_the_channel_both_times(api: Api, encoding: str) -> None:
    name, ben = wanting_wine(api)
    link = link_to(api, ben, "unsubscribe", place=PLACE)
    for _ in range(2):
        answer = click(api, link, content_type=encoding)
        assert (answer.status_code, answer.get_data()) == (200, b"")
        assert "Location" not in answer.headers
        assert "Set-Cookie" not in answer.headers
        assert api.check(name, *PLACE)["reason"] == "silent"
    assert api.check(name, "email", "offers/garden")["allowed"], "and nothing else"
    assert api.check(name, "sms", "offers/wine")["allowed"]
    assert [event["type"] for event in api.events(ben)].count("dials.changed") == 2, "the desk's, and one of two clicks"


def test_history_says_that_the_customer_acted_and_whose_link_it_was(api: Api) -> None:
    name, ben = wanting_wine(api)
    row = {"customer": name, "channel": "email", "topic": "offers/wine"}
    for role, told in (("campaign", "campaign key"), ("desk", None)):
        made = api.post("/v1/links", {"links": [row]}, role=role).json["results"][0]
        url = made["headers"]["List-Unsubscribe"][1:-1]
        answer = click(api, url.removeprefix(api.settings.public_url))
        assert answer.status_code == 200
        event = api.events(ben)[-1]
        assert event["source"] == "link"
        assert event["actor"]["role"] == "customer"
        assert event["actor"]["name"] == str(ben)
        assert event["actor"].get("link") == told
        assert event["request_id"] == answer.headers["X-Request-Id"]
        api.turn(ben, ("email", "offers/wine", "weekly"))


def test_a_link_that_turns_down_works_for_ever(api: Api) -> None:
    name, ben = wanting_wine(api)
    old = datetime.now(UTC) - timedelta(days=20 * 365)
    assert click(api, link_to(api, ben, "unsubscribe", place=PLACE, minted_at=old)).status_code == 200
    assert api.check(name, *PLACE)["reason"] == "silent"


def test_a_link_about_no_topic_silences_its_channel(api: Api) -> None:
    name, ben = wanting_wine(api)
    assert click(api, link_to(api, ben, "unsubscribe", place=("sms", ""))).status_code == 200
    assert api.check(name, "sms", "offers/wine")["reason"] == "silent"
    assert api.check(name, "email", "offers/wine")["allowed"]


def test_a_link_of_no_channel_came_by_mail(api: Api) -> None:
    letter = {"identifier": "email", "label": {"en": "Newsletter"}}
    api.apply({**CATALOGUE, "channels": {**CATALOGUE["channels"], "newsletter": letter}})
    name, ben = wanting_wine(api)
    assert click(api, link_to(api, ben, "unsubscribe", place=("", "offers/wine"))).status_code == 200
    assert api.check(name, "email", "offers/wine")["reason"] == "silent"
    assert api.check(name, "newsletter", "offers/wine")["reason"] == "silent"
    assert api.check(name, "sms", "offers/wine")["allowed"]


@pytest.mark.parametrize(("topic", "silenced"), [("offers/beer/dark", "offers"), ("beer", "*"), ("offer", "*")])
def test_a_topic_that_is_no_longer_there_means_the_nearest_above_it(api: Api, topic: str, silenced: str) -> None:
    name, ben = wanting_wine(api)
    assert click(api, link_to(api, ben, "unsubscribe", place=("email", topic))).status_code == 200
    assert api.events(ben)[-1]["after"][0]["topic"] == silenced
    assert api.check(name, "email", "offers/wine")["reason"] == "silent"
    assert api.check(name, "sms", "offers/wine")["allowed"]


def test_a_channel_that_is_no_longer_there_means_mail(api: Api) -> None:
    name, ben = wanting_wine(api)
    assert click(api, link_to(api, ben, "unsubscribe", place=("pigeon", "offers/wine"))).status_code == 200
    assert api.check(name, "email", "offers/wine")["reason"] == "silent"
    assert api.check(name, "sms", "offers/wine")["allowed"]


def test_who_was_merged_is_silenced_as_the_survivor(api: Api) -> None:
    name, ben = wanting_wine(api)
    other = api.customer(somebody())
    link = link_to(api, other, "unsubscribe", place=PLACE)
    assert api.post(f"/v1/customers/{ben}/merge", {"other": str(other)}, role="desk").status_code == 200
    assert click(api, link).status_code == 200
    assert api.check(name, *PLACE)["reason"] == "silent"


def test_who_was_erased_is_left_alone_already(api: Api) -> None:
    _, ben = wanting_wine(api)
    link = link_to(api, ben, "unsubscribe", place=PLACE)
    api.post(f"/v1/customers/{ben}/erase", role="desk")
    before = footprint(api)
    assert click(api, link).status_code == 200
    page = browser(api).get(link)
    assert page.status_code == 410
    assert "leave you alone" in page.get_data(as_text=True)
    assert "Set-Cookie" not in page.headers or "visit" not in page.headers["Set-Cookie"]
    assert footprint(api) == before


def test_who_is_paused_or_stopped_is_unsubscribed_all_the_same(api: Api) -> None:
    _, ben = wanting_wine(api)
    until = (datetime.now(UTC) + timedelta(days=9)).isoformat()
    api.call("PUT", f"/v1/customers/{ben}/pause", {"until": until}, role="desk")
    api.post("/v1/suppressions", {"customer": f"id:{ben}", "kind": "all", "reason": "asked"}, role="desk")
    assert click(api, link_to(api, ben, "unsubscribe", place=PLACE)).status_code == 200
    assert api.events(ben)[-1]["after"][0]["level"] == "silent"


def test_only_the_one_click_is_taken(api: Api) -> None:
    name, ben = wanting_wine(api)
    link = link_to(api, ben, "unsubscribe", place=PLACE)
    before = footprint(api)
    for wrong in ({}, {"List-Unsubscribe": "Two-Click"}, {"list": "One-Click"}, {"List-Unsubscribe-Post": "One-Click"}):
        assert click(api, link, data=wrong).status_code == 422
    assert click(api, link, json=BODY, data=None).status_code == 422
    assert click(api, f"{link}?List-Unsubscribe=One-Click", data=None).status_code == 422
    assert click(api, link, data=b"x" * 2_000_000, content_type="text/plain").status_code == 413
    assert click(api, link, data="&".join(["a=b"] * 3000), content_type="multipart/form-data").status_code in (413, 422)
    for method in ("PUT", "PATCH", "DELETE"):
        assert browser(api).open(link, method=method, data=BODY).status_code == 405
    assert browser(api).get(link, headers={"X-HTTP-Method-Override": "POST"}).status_code == 303
    assert footprint(api) == before
    assert api.check(name, *PLACE)["allowed"]


def test_one_click_needs_no_cookie_and_heeds_no_header(api: Api) -> None:
    name, ben = wanting_wine(api)
    strange = {
        "Origin": "https://mail.example", "Sec-Fetch-Site": "cross-site", "Idempotency-Key": "a",
        "Authorization": "Bearer csk_none", "Cookie": "consent=forged.by.nobody", "Host": "evil.example",
    }  # fmt: skip
    answer = click(api, link_to(api, ben, "unsubscribe", place=PLACE), headers=strange)
    assert (answer.status_code, answer.headers.get("Set-Cookie")) == (200, None)
    assert api.check(name, *PLACE)["reason"] == "silent"


def test_a_forged_link_is_one_neutral_page_and_silences_nobody(api: Api) -> None:
    name, ben = wanting_wine(api)
    link = link_to(api, ben, "unsubscribe", place=PLACE)
    before = footprint(api)
    first, token = link[:3], link[3:]
    bent = [
        first + token[:place] + chr(ord(token[place]) ^ 1 << bit) + token[place + 1 :]
        for place in range(0, len(token), 7)
        for bit in range(5)
        if (chr(ord(token[place]) ^ 1 << bit)).isalnum()
    ]
    others = [first + link_to(api, ben, purpose)[3:] for purpose in PATHS if purpose != "unsubscribe"]
    forged = [*bent, *others, link[:-1], link + "a", "/u/a", link_to(api, uuid4(), "unsubscribe")]
    answers = [click(api, path) for path in forged]
    assert len(bent) > 30
    assert {answer.status_code for answer in answers} == {404}
    bodies = {answer.get_data(as_text=True).split("csrf_token")[0] for answer in answers}
    assert len(bodies) == 1
    # Upper case is the same token, as some mail programs write it.
    assert footprint(api) == before
    assert click(api, first + token.upper()).status_code == 200
    assert api.check(name, *PLACE)["reason"] == "silent"


def test_a_service_without_a_catalogue_has_nothing_to_silence(database: TestDatabase) -> None:
    bare = Api(database)
    made = bare.customer("email:ann@example.com")
    assert click(bare, link_to(bare, made, "unsubscribe")).status_code == 200
    bare.close()
