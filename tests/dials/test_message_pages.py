"""What a link in a message leads to: less or nothing, one step less, one step more."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.api import CATALOGUE, Api
from tests.support.pages import browser, hidden, link_to, post
from tests.web.asking import footprint, somebody

WINE = ("email", "offers/wine")
OFFER = re.compile(r'<li>(?:<button class="choice" name="to" value="([^"]*)"|<a class="button choice" href="([^"]*)")')


def fan(api: Api, *places: tuple[str, str, str]) -> UUID:
    """Somebody who turned these up; without any: wine weekly."""
    one = api.customer(somebody())
    assert api.turn(one, *(places or (("*", "offers/wine", "weekly"),))).status_code == 200
    return one


def follow(api: Api, one: UUID, purpose: Any, **link: Any) -> tuple[FlaskClient, TestResponse]:
    client = browser(api)
    page = client.get(link_to(api, one, purpose, **{"place": WINE, **link}), follow_redirects=True)
    assert page.status_code == 200
    return client, page


def offers(page: TestResponse) -> list[str]:
    """The ways on, in their order."""
    return [button or href for button, href in OFFER.findall(page.get_data(as_text=True))]


def dials(api: Api, one: UUID) -> dict[tuple[str, str], str]:
    shown = api.call("GET", f"/v1/customers/{one}/dials", role="auditor").json
    return {(row["channel"], row["topic"]): row["level"] for row in shown["dials"]}


def louder_form(page: TestResponse) -> dict[str, str | list[str]]:
    names = ("dials", "notice_id", "notice_version", "notice_locale")
    return {"to": offers(page)[0], **{name: hidden(page, name) for name in names}}


@pytest.mark.parametrize("purpose", ["unsubscribe", "quieter", "louder"])
def test_showing_changes_nothing_however_often(api: Api, purpose: Any) -> None:
    one = fan(api)
    before = footprint(api)
    for _ in range(20):
        client, _ = follow(api, one, purpose, by_campaign=True)
        assert client.head(f"/{purpose}").status_code == 200
    assert footprint(api) == before


def test_the_offers_stand_in_their_order_and_weigh_the_same(api: Api) -> None:
    _, page = follow(api, fan(api), "unsubscribe")
    assert offers(page) == [
        *("level:monthly", "level:rarely", "level:on_request"),
        *("topic", "channel", "pause:30-days", "pause:3-months", "/preferences"),
    ]
    html = page.get_data(as_text=True)
    # All of one class and none besides: no main button, nothing hidden away, nothing to confirm or explain.
    assert set(re.findall(r'<(?:button|a) class="([^"]*choice[^"]*)"', html)) == {"choice", "button choice"}
    form = html.split('<form method="post">')[1]
    assert not re.search(r"<(textarea|select|input(?! type=.hidden)|details)", form)


@pytest.mark.parametrize(
    ("choice", "place", "level"),
    [
        ("level:monthly", ("*", "offers/wine"), "monthly"),
        ("level:rarely", ("*", "offers/wine"), "rarely"),
        ("topic", ("*", "offers/wine"), "silent"),
        ("channel", ("email", "*"), "silent"),
    ],
)
def test_each_offer_is_one_click(api: Api, choice: str, place: tuple[str, str], level: str) -> None:
    one = fan(api)
    client, page = follow(api, one, "unsubscribe", by_campaign=True)
    answer = post(client, page, "/unsubscribe", {"to": choice})
    assert answer.status_code == 303
    assert dials(api, one)[place] == level
    event = api.events(one)[-1]
    assert (event["type"], event["source"], event["actor"]["link"]) == ("dials.changed", "link", "?")
    assert event["actor"]["role"] == "customer"
    shown = client.get(answer.headers["Location"])
    assert event["id"] in shown.get_data(as_text=True)


def test_a_pause_is_one_click_and_never_shortened(api: Api) -> None:
    one = fan(api)
    client, page = follow(api, one, "unsubscribe", by_campaign=True)
    long = post(client, page, "/unsubscribe", {"to": "pause:3-months"})
    [pause] = api.call("GET", f"/v1/customers/{one}/dials", role="auditor").json["pauses"]
    assert pause["channel"] == "*"
    assert "Paused until" in client.get(long.headers["Location"]).get_data(as_text=True)
    again = client.get("/unsubscribe")
    assert not [offer for offer in offers(again) if offer.startswith("pause")]
    assert post(client, again, "/unsubscribe", {"to": "pause:30-days"}).headers["Location"].endswith("saved=same")
    assert api.call("GET", f"/v1/customers/{one}/dials", role="auditor").json["pauses"] == [pause]


def test_old_links_turn_down_and_do_not_turn_up(api: Api) -> None:
    old = {"minted_at": datetime(2020, 1, 1, tzinfo=UTC)}
    one = fan(api)
    client, page = follow(api, one, "quieter", **old)
    assert post(client, page, "/quieter", {"to": "monthly"}).status_code == 303
    assert dials(api, one)["*", "offers/wine"] == "monthly"
    client = browser(api)
    client.get(link_to(api, one, "louder", place=WINE, **old))
    assert client.get("/louder").headers["Location"] == "/link?because=old"
    assert client.post("/louder").status_code in (303, 403)
    assert dials(api, one)["*", "offers/wine"] == "monthly"


def test_less_is_one_step_down_from_what_is_heard_however_often_it_is_sent(api: Api) -> None:
    one = fan(api, ("*", "offers/wine", "everything"), ("email", "*", "weekly"))
    client, page = follow(api, one, "quieter", by_campaign=True)
    assert offers(page) == ["monthly", "/preferences"]
    for _ in range(2):
        assert post(client, page, "/quieter", {"to": "monthly"}).status_code == 303
    assert dials(api, one) == {("*", "offers/wine"): "monthly", ("email", "*"): "weekly"}


def test_less_than_the_last_level_is_nothing(api: Api) -> None:
    one = fan(api, ("*", "offers/wine", "rarely"))
    client, page = follow(api, one, "quieter")
    assert offers(page)[0] == "silent"
    post(client, page, "/quieter", {"to": "silent"})
    assert dials(api, one)["*", "offers/wine"] == "silent"
    assert offers(client.get("/quieter")) == ["/preferences"]


def test_less_needs_no_notice_where_only_the_topic_above_is_turned_up(api: Api) -> None:
    """A dial at the wine itself would be a new consent; the one that is heard is turned down, and named."""
    one = fan(api, ("*", "offers", "weekly"))
    client, page = follow(api, one, "quieter", by_campaign=True)
    assert "Offers: At most one in 30 days." in page.get_data(as_text=True)
    assert post(client, page, "/quieter", {"to": "monthly"}).status_code == 303
    assert dials(api, one) == {("*", "offers"): "monthly"}


def test_what_was_never_chosen_is_turned_down_from_its_default(api: Api) -> None:
    one = api.customer(somebody())
    client, page = follow(api, one, "quieter", place=("email", "events"))
    assert offers(page)[0] == "rarely"
    post(client, page, "/quieter", {"to": "rarely"})
    assert dials(api, one) == {("*", "events"): "rarely"}


def test_a_message_about_nothing_in_particular_is_answered_by_the_faders(api: Api) -> None:
    one = fan(api)
    _, page = follow(api, one, "unsubscribe", place=("email", ""))
    assert offers(page)[0] == "level:daily"
    assert offers(page)[-4:] == ["topic", "pause:30-days", "pause:3-months", "/preferences"]
    client, page = follow(api, one, "unsubscribe", place=("", ""))
    post(client, page, "/unsubscribe", {"to": "topic"})
    assert dials(api, one)["*", "*"] == "silent"


def test_what_one_needs_to_know_is_not_offered_to_be_turned(api: Api) -> None:
    _, page = follow(api, fan(api), "unsubscribe", place=("email", "orders"))
    assert offers(page) == ["channel", "pause:30-days", "pause:3-months", "/preferences"]
    for purpose in ("quieter", "louder"):
        _, page = follow(api, fan(api), purpose, place=("email", "orders"))
        assert offers(page) == ["/preferences"]


def test_more_is_one_step_up_with_the_notice_in_the_language_shown(api: Api) -> None:
    one = fan(api)
    client, page = follow(api, one, "louder", locale="de")
    assert "Wir halten uns daran." in page.get_data(as_text=True)
    assert post(client, page, "/louder", louder_form(page)).status_code == 303
    assert dials(api, one) == {("*", "offers/wine"): "busy"}
    notice = api.events(one)[-1]["notice"]
    assert notice == {"id": "preferences", "version": "1", "locale": "de", "text": "Wir halten uns daran."}


def test_more_raises_whatever_holds_it(api: Api) -> None:
    one = fan(api, ("*", "offers/wine", "everything"), ("email", "*", "monthly"), ("*", "*", "monthly"))
    client, page = follow(api, one, "louder")
    post(client, page, "/louder", louder_form(page))
    assert dials(api, one) == {("*", "offers/wine"): "everything", ("email", "*"): "weekly", ("*", "*"): "weekly"}


def test_more_of_what_is_not_heard_begins_with_the_quietest_that_is(api: Api) -> None:
    one = api.customer(somebody())
    client, page = follow(api, one, "louder")
    post(client, page, "/louder", louder_form(page))
    assert dials(api, one) == {("*", "offers/wine"): "rarely"}
    assert api.check(f"id:{one}", *WINE)["allowed"] is True


def test_more_without_its_notice_is_refused(api: Api) -> None:
    one = fan(api)
    client, page = follow(api, one, "louder")
    form = louder_form(page)
    assert post(client, page, "/louder", {"to": form["to"], "dials": form["dials"]}).status_code == 422
    assert dials(api, one)["*", "offers/wine"] == "weekly"


def test_an_old_page_turns_nothing_up_over_what_was_turned_down_since(api: Api) -> None:
    one = fan(api)
    client, page = follow(api, one, "louder")
    api.turn(one, ("*", "offers/wine", "rarely"))
    answer = post(client, page, "/louder", louder_form(page))
    assert dials(api, one)["*", "offers/wine"] == "rarely"
    assert "turned meanwhile" in client.get(answer.headers["Location"]).get_data(as_text=True)


def test_more_by_a_link_of_a_campaign_waits_for_a_mail(api: Api) -> None:
    one = fan(api)
    client, page = follow(api, one, "louder", by_campaign=True)
    answer = post(client, page, "/louder", louder_form(page))
    assert dials(api, one)["*", "offers/wine"] == "weekly"
    event = api.events(one)[-1]
    assert (event["type"], event["source"], event["notice"]["id"]) == ("dials.requested", "link", "preferences")
    assert event["after"] == [{"channel": "*", "topic": "offers/wine", "level": "busy"}]
    assert "Please look into your mail" in client.get(answer.headers["Location"]).get_data(as_text=True)


def test_down_takes_no_more_steps_than_up(api: Api) -> None:
    """One form with one button each; only the way up has something to read."""
    for purpose in ("quieter", "louder"):
        _, page = follow(api, fan(api), purpose)
        assert page.get_data(as_text=True).split("<main")[1].count("<button") == 1


def test_a_choice_that_no_page_offers_is_refused(api: Api) -> None:
    one = fan(api)
    client, page = follow(api, one, "unsubscribe")
    before = footprint(api)
    for choice in ("", "level:none", "pause:forever", "x" * 5000):
        assert post(client, page, "/unsubscribe", {"to": choice}).status_code == 422
    # A level that is not below what is heard is no step down.
    assert post(client, page, "/unsubscribe", {"to": "level:everything"}).headers["Location"].endswith("saved=same")
    assert footprint(api) == before


def test_someone_elses_receipt_shows_nothing(api: Api) -> None:
    event = api.events(fan(api))[-1]["id"]
    client, _ = follow(api, fan(api), "unsubscribe")
    page = client.get(f"/unsubscribe?saved={event}")
    assert event not in page.get_data(as_text=True)
    assert client.get("/unsubscribe?saved=nonsense").status_code == 404


def test_names_of_the_catalogue_are_shown_as_text(api: Api) -> None:
    label = '"><svg onload=alert(1)>'
    topics = CATALOGUE["topics"] | {"offers/wine": {"label": {"en": label}}}
    api.apply(CATALOGUE | {"topics": topics})
    _, page = follow(api, fan(api), "unsubscribe")
    assert "<svg" not in page.get_data(as_text=True)


def test_a_merged_customer_is_turned_where_they_are_now_and_an_erased_one_is_told(api: Api) -> None:
    other, survivor = fan(api), api.customer(somebody())
    client, page = follow(api, other, "quieter")
    assert api.post(f"/v1/customers/{survivor}/merge", {"other": str(other)}, role="desk").status_code == 200
    post(client, page, "/quieter", {"to": "monthly"})
    assert dials(api, survivor) == {("*", "offers/wine"): "monthly"}
    api.call("POST", f"/v1/customers/{survivor}/erase", role="desk")
    for answer in (client.get("/quieter"), post(client, page, "/quieter", {"to": "silent"})):
        assert answer.status_code == 404
        assert answer.get_data(as_text=True).startswith("<!doctype html>")
