"""What stands around every page: the way in, errors, the languages, the icon."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from consent_service.i18n import LOCALES
from tests.support.browsing import LOOKS, NARROW, Look, Site, faults
from tests.support.pages import link_to

# One of each kind of apology; the others differ in words only.
SHOWN = ("not_found", "visit_ended", "internal")
IN_SHORT = [LOOKS[0], Look("narrow, large text", NARROW, 640, text_percent=200), LOOKS[-2]]


@pytest.mark.parametrize("look", IN_SHORT, ids=lambda look: look.name)
@pytest.mark.parametrize("path", ["/link", *(f"/sample/errors/{code}" for code in SHOWN)])
def test_pages_of_the_frame_are_sound(site: Site, look: Look, path: str) -> None:
    page = site.person(look)
    page.goto(path)
    assert faults(page) == []
    assert site.complaints == []


def test_an_error_leads_on_to_ones_own_pages_or_to_a_new_link(site: Site) -> None:
    page = site.person()
    page.goto("/sample/errors/not_found")
    expect(page.get_by_role("link", name="Send me my link")).to_have_attribute("href", "/link")
    page.request.get(link_to(site.api, site.api.customer("email:way-on@example.com")), max_redirects=0)
    page.reload()
    expect(page.get_by_role("main").get_by_role("link")).to_have_attribute("href", "/preferences")
    expect(page.get_by_role("navigation", name="Your pages").get_by_role("link")).to_have_count(4)


def test_a_language_is_chosen_without_scripts_and_by_keyboard(site: Site) -> None:
    page = site.person(Look("no scripts", scripts=False))
    page.goto("/link")
    page.locator("details.language summary").focus()
    page.keyboard.press("Enter")
    for _ in LOCALES:
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/link")
    expect(page.locator("html[lang=ar][dir=rtl]")).to_have_count(1)


def test_the_chooser_of_languages_closes_when_one_looks_elsewhere(site: Site) -> None:
    page = site.person()
    page.goto("/link")
    chooser = page.locator("details.language")
    chooser.locator("summary").click()
    expect(chooser).to_have_attribute("open", "")
    page.keyboard.press("Escape")
    expect(chooser).not_to_have_attribute("open", "")
    chooser.locator("summary").click()
    page.locator("h1").click()
    expect(chooser).not_to_have_attribute("open", "")


def test_the_first_step_of_the_keyboard_leads_past_the_frame(site: Site) -> None:
    page = site.person()
    page.goto("/link")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_browsers_find_the_icon_by_themselves(site: Site) -> None:
    answer = site.person().request.get("/favicon.ico")
    assert answer.status == 200
    assert answer.headers["content-type"] == "image/vnd.microsoft.icon"
    assert answer.body()[:4] == b"\0\0\1\0"


def test_style_and_scripts_leave_a_page_most_of_its_60_kilobytes(site: Site) -> None:
    page, sizes = site.person(), []
    page.on("response", lambda answer: sizes.append(len(answer.body())) if "/static/" in answer.url else None)
    page.goto("/link")
    assert sum(sizes) < 25_000
