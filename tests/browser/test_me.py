"""The pages from a message and those about oneself in a real browser, in every look; steps down against steps up."""

from __future__ import annotations

from uuid import UUID

import pytest
from playwright.sync_api import Page, expect

from tests.support.api import Api
from tests.support.browsing import LOOKS, TRIED, Look, Site, faults
from tests.support.pages import link_to
from tests.web.asking import footprint, somebody

NO_SCRIPTS = next(look for look in LOOKS if not look.scripts)
WINE = ("email", "offers/wine")
FROM_A_MESSAGE = ("unsubscribe", "quieter", "louder")
OF_ONESELF = ("/me", "/me/happened", "/me/data", "/me/forget")


@pytest.fixture
def ben(shared_api: Api) -> UUID:
    one = shared_api.customer(somebody())
    assert shared_api.turn(one, ("*", "offers/wine", "weekly")).status_code == 200
    asked = {"customer": f"id:{one}", "channel": "email", "topic": "offers/wine"}
    assert shared_api.post("/v1/contacts", asked).status_code == 201
    assert shared_api.post("/v1/contacts", asked).status_code == 409
    return one


def come(site: Site, one: UUID, purpose: str = "preferences", look: Look = LOOKS[0], **link: object) -> Page:
    page = site.person(look)
    page.goto(link_to(site.api, one, purpose, locale=look.locale, place=WINE, **link))  # type: ignore[arg-type]
    return page


@pytest.mark.parametrize("look", TRIED, ids=lambda look: look.name)
def test_pages_from_a_message_are_sound(site: Site, ben: UUID, look: Look) -> None:
    for purpose in FROM_A_MESSAGE:
        page = come(site, ben, purpose, look, by_campaign=True)
        assert faults(page) == [], purpose
        if purpose != "louder":
            page.locator(".choice").first.click()
            expect(page.locator("#done")).to_be_visible()
            assert faults(page) == [], f"{purpose}, done"
    assert site.complaints == []


@pytest.mark.parametrize("by_campaign", [False, True])
@pytest.mark.parametrize("look", TRIED, ids=lambda look: look.name)
def test_pages_about_oneself_are_sound(site: Site, ben: UUID, look: Look, by_campaign: bool) -> None:
    page = come(site, ben, "preferences", look, by_campaign=by_campaign)
    for path in OF_ONESELF:
        page.goto(path)
        assert faults(page) == [], path
    assert site.complaints == []


@pytest.mark.parametrize("look", TRIED, ids=lambda look: look.name)
def test_a_contact_detail_is_removed_in_one_click(site: Site, look: Look) -> None:
    old = somebody()
    page = come(site, site.api.customer(somebody(), old), "preferences", look)
    page.goto("/me")
    assert faults(page) == []
    page.locator(f'button[value="{old}"]').click()
    expect(page.locator("#done")).to_be_visible()
    assert faults(page) == [], "removed"
    page.goto("/me?kept=identifier_suppressed")
    expect(page.locator("#kept")).to_be_visible()
    assert faults(page) == [], "kept"
    assert site.complaints == []


@pytest.mark.parametrize("look", [LOOKS[0], NO_SCRIPTS], ids=lambda look: look.name)
def test_less_takes_one_click_after_the_link_and_more_no_fewer(site: Site, ben: UUID, look: Look) -> None:
    for purpose in ("quieter", "louder"):
        page = come(site, ben, purpose, look)
        button = page.locator("button.choice").first
        size = button.bounding_box()
        button.click()
        expect(page.locator("#done")).to_be_visible()
        assert size is not None
        assert size["height"] >= 44
    before = footprint(site.api)
    page = come(site, ben, "unsubscribe", look)
    assert footprint(site.api) == before
    widths = {box["width"] for one in page.locator(".choice").all() if (box := one.bounding_box())}
    assert len(widths) == 1, "all offers are as wide"


def test_an_unsubscription_by_keyboard_alone(site: Site, ben: UUID) -> None:
    page = come(site, ben, "unsubscribe")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.value") == "topic":
            break
    page.keyboard.press("Enter")
    expect(page.locator("#done")).to_be_visible()
    assert site.api.check(f"id:{ben}", *WINE)["reason"] == "silent"


def test_looking_with_scripts_changes_nothing(site: Site, ben: UUID) -> None:
    before = footprint(site.api)
    for purpose in FROM_A_MESSAGE:
        come(site, ben, purpose)
    page = come(site, ben)
    for path in OF_ONESELF:
        page.goto(path)
    assert footprint(site.api) == before


def test_forgetting_ends_on_a_last_page(site: Site, ben: UUID) -> None:
    page = come(site, ben)
    page.goto("/me/forget")
    page.locator("main button.main").click()
    expect(page).to_have_url(f"{site.url}/forgotten")
    assert faults(page) == []
    assert site.api.check(f"id:{ben}", *WINE)["reason"] == "erased"
