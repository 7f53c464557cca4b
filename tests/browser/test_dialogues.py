"""Conversations in a real browser, in every look: from a topic to the first words, a proposal, and the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect

from tests.customers.people import dials, token
from tests.support.api import Api
from tests.support.browsing import LOOKS, TRIED, Look, Site, faults
from tests.support.pages import link_to
from tests.support.visiting import sign_in
from tests.web.asking import somebody

NO_SCRIPTS = next(look for look in LOOKS if not look.scripts)
LINES: list[dict[str, Any]] = [
    {"text": "A tip now and then", "dial": {"channel": "email", "topic": "offers/wine", "level": "monthly"}},
    {"text": "June is far", "terms": {"contacts": 10}},
    {"specification": {"bottles": 60, "white": {"grape": "Riesling", "dry": True}, "a" * 60: "b" * 300}},
]


class Guest:
    """Somebody with a conversation of their own."""

    def __init__(self, api: Api) -> None:
        self.api, self.customer = api, api.customer(somebody())
        self.token = token(api, self.customer)
        until = (datetime.now(UTC) + timedelta(days=60)).isoformat()
        terms = {"channels": ["email", "phone"], "until": until, "contacts": 5}
        opening = {"topic": "offers/wine", "subject": "Wine for a wedding " + "W" * 120, **terms}
        made = api.post(f"/v1/customers/{self.customer}/dialogues", opening, key=self.token)
        assert made.status_code == 201, made.get_data(as_text=True)
        self.id = made.json["id"]
        self.path = f"/dialogues/{self.id}"

    def hears(self, body: dict[str, Any]) -> None:
        """The company says something."""
        answer = self.api.post(f"/v1/dialogues/{self.id}/entries", body, role="desk")
        assert answer.status_code == 201, answer.get_data(as_text=True)

    def pauses(self) -> None:
        """The customer has paused what comes by phone."""
        until = (datetime.now(UTC) + timedelta(days=9)).isoformat()
        path, body = f"/v1/customers/{self.customer}/pause", {"channel": "phone", "until": until}
        assert self.api.call("PUT", path, body, role="desk").status_code < 300


@pytest.fixture
def guest(shared_api: Api) -> Guest:
    return Guest(shared_api)


def come(site: Site, customer: UUID, path: str, look: Look = LOOKS[0]) -> Page:
    page = site.person(look)
    sign_in(page, site.api, customer, look)
    page.goto(path)
    return page


@pytest.mark.parametrize("look", TRIED, ids=lambda look: look.name)
def test_every_page_of_a_conversation_is_sound(site: Site, guest: Guest, look: Look) -> None:
    guest.hears({"message": "How lovely! " + "Wine" * 40})
    guest.hears({"proposal": {"text": "What we have in mind", "lines": LINES}})
    guest.pauses()
    page = come(site, guest.customer, "/dialogues", look)
    assert faults(page) == [], "list"
    page.goto("/dialogues/new?topic=events")
    assert faults(page) == [], "begin"
    page.locator("[name=channels]:checked").uncheck()
    page.locator("form[action='/dialogues/new'] button").click()
    expect(page.locator("#problem")).to_be_visible()
    assert faults(page) == [], "begin, wrong"
    page.goto(guest.path)
    for choice in page.locator("input[value=change]").all():
        choice.check()
    page.locator("details.open summary").click()
    assert faults(page) == [], "thread"
    page.locator("form[action$='/close'] button").click()
    expect(page.locator("#done")).to_be_visible()
    assert faults(page) == [], "closed"
    assert site.complaints == []


@pytest.mark.parametrize("look", TRIED, ids=lambda look: look.name)
def test_from_a_campaigns_link_it_is_sound_too(site: Site, guest: Guest, look: Look) -> None:
    page = site.person(look)
    page.goto(link_to(site.api, guest.customer, by_campaign=True, locale=look.locale))
    for path in ("/dialogues", "/dialogues/new", guest.path):
        page.goto(path)
        expect(page.locator("#own")).to_be_visible()
        assert faults(page) == [], path


@pytest.mark.parametrize("look", [LOOKS[0], NO_SCRIPTS], ids=lambda look: look.name)
def test_from_a_topic_on_the_desk_to_the_end_of_a_conversation(site: Site, shared_api: Api, look: Look) -> None:
    ben = shared_api.customer(somebody())
    page = come(site, ben, "/preferences", look)
    page.locator("a[href='/dialogues/new?topic=offers/wine']").first.evaluate("link => link.click()")
    page.get_by_label("What is it about?").fill("Wine for a wedding")
    page.get_by_label("What would you like to say?").fill("Sixty guests in June.")
    page.get_by_role("button", name="Begin").click()
    expect(page.locator("#done")).to_contain_text("The conversation has begun.")
    assert shared_api.check(f"id:{ben}", "email", "offers/wine")["reason"] == "in_dialogue"

    dialogue_id = page.url.partition("/dialogues/")[2].partition("?")[0]
    proposal = {"proposal": {"text": "What we have in mind", "lines": LINES}}
    assert shared_api.post(f"/v1/dialogues/{dialogue_id}/entries", proposal, role="desk").status_code == 201
    page.reload()
    lines = page.locator("fieldset.line")
    lines.nth(0).get_by_label("Accept").check()
    lines.nth(1).get_by_label("No", exact=True).check()
    # What changes a line shows itself when it is to be changed.
    field = lines.nth(2).get_by_label("bottles")
    expect(field).to_be_hidden()
    lines.nth(2).get_by_label("Change").check()
    field.fill("72")
    page.get_by_role("button", name="Send my answers").click()
    expect(page.locator("#done")).to_contain_text("Your answer is recorded.")
    assert dials(shared_api, ben) == {("email", "offers/wine"): "monthly"}
    expect(page.locator(".thread")).to_contain_text("72")

    page.get_by_label("Write to us").fill("Thank you!")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".thread .own").last).to_contain_text("Thank you!")
    page.get_by_role("button", name="End this conversation").click()
    expect(page.locator(".summary")).to_contain_text("You closed it on")
    assert shared_api.check(f"id:{ben}", "email", "offers/wine")["reason"] != "in_dialogue"
    assert site.complaints == []


def test_a_conversation_by_keyboard_alone(site: Site, guest: Guest) -> None:
    page = come(site, guest.customer, guest.path)
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "f-message":
            break
    page.keyboard.type("Only keys")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".thread .own").last).to_contain_text("Only keys")


@pytest.mark.parametrize("path", ["/dialogues", "/dialogues/new"])
def test_whatever_is_clicked_is_large_enough(site: Site, guest: Guest, path: str) -> None:
    page = come(site, guest.customer, path, LOOKS[1])
    for one in page.locator("main :is(button, select, input:not([type=hidden]), label.tick)").all():
        size = one.bounding_box()
        assert size is not None
        assert min(size["width"], size["height"]) >= 24, one
