"""An invitation in a real browser, in every look: what is asked, yes and no, from the link to the last click."""

from __future__ import annotations

from uuid import UUID

import pytest
from playwright.sync_api import Page, expect

from tests.dialogues.conversations import circle, invite, name, opened
from tests.support.browsing import LOOKS, TRIED, Look, Site, faults
from tests.support.pages import link_to
from tests.web.asking import footprint, somebody

NO_SCRIPTS = next(look for look in LOOKS if not look.scripts)


@pytest.fixture(autouse=True)
def many_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """All tests of this file come from one address."""
    monkeypatch.setattr("consent_service.dialogues.invitations.MOST_A_MINUTE", 10**9)


@pytest.fixture
def dialogue(site: Site) -> str:
    return opened(site.api, site.api.customer(somebody()))


def come(site: Site, path: str, look: Look = LOOKS[0]) -> Page:
    page = site.person(look)
    page.goto(path)
    page.goto("/invitation")
    return page


@pytest.mark.parametrize("look", TRIED, ids=lambda look: look.name)
def test_the_page_is_sound(site: Site, dialogue: str, look: Look) -> None:
    page = come(site, invite(site.api, name(site.api, dialogue), shown_as="Benjamin of the long name"), look)
    assert faults(page) == []
    page.locator("form[action='/invitation/no'] button").click()
    expect(page).to_have_url(page.url)
    assert "result=no" in page.url
    assert faults(page) == []
    assert site.complaints == []


def test_looking_changes_nothing(site: Site, dialogue: str) -> None:
    path = invite(site.api, name(site.api, dialogue))
    before = footprint(site.api)
    for look in (LOOKS[0], NO_SCRIPTS):
        come(site, path, look).wait_for_load_state("networkidle")
    assert footprint(site.api) == before


@pytest.mark.parametrize("look", [LOOKS[0], NO_SCRIPTS], ids=lambda look: look.name)
def test_yes_with_a_choice_leads_to_the_mail(site: Site, dialogue: str, look: Look) -> None:
    page = come(site, invite(site.api, name(site.api, dialogue)), look)
    page.get_by_label("Your e-mail address").fill(f"{somebody().removeprefix('email:')}")
    assert page.locator("fieldset.dial input:checked").count() == page.locator("fieldset.dial").count()
    page.locator("fieldset.dial").first.locator("label").nth(1).click()
    page.get_by_label("Whoever invited me may know").check()
    page.get_by_role("button", name="Yes", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Please look into your mail")
    assert faults(page) == []
    assert circle(site.api, dialogue)[0]["state"] == "not_available"


def test_a_customer_on_their_own_visit_says_yes_in_one_click(site: Site, dialogue: str) -> None:
    cora: UUID = site.api.customer(somebody())
    path, page = invite(site.api, name(site.api, dialogue)), site.person(LOOKS[0])
    page.goto(link_to(site.api, cora, locale="en"))
    page.goto(path)
    page.goto("/invitation")
    assert faults(page) == []
    page.get_by_label("Whoever invited me may know").check()
    page.get_by_role("button", name="Yes, it is me").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Thank you")
    assert faults(page) == []
    assert circle(site.api, dialogue)[0]["customer_id"] == str(cora)
