"""The desk in a real browser: by keyboard, with scripts and without, in every look."""

from __future__ import annotations

from uuid import UUID

import pytest
from playwright.sync_api import Page, expect

from tests.support.api import Api
from tests.support.browsing import LOOKS, TRIED, Look, Site, axe, overflows
from tests.support.pages import link_to
from tests.web.asking import somebody

MOST_STEPS = 5
NO_SCRIPTS = next(look for look in LOOKS if not look.scripts)


@pytest.fixture
def ben(shared_api: Api) -> UUID:
    one = shared_api.customer(somebody())
    shared_api.turn(
        one, ("*", "offers/wine", "everything"), ("email", "*", "busy"), ("email", "offers/garden", "weekly")
    )
    return one


def at_the_desk(site: Site, customer: UUID, look: Look = LOOKS[0]) -> Page:
    """The customer's desk, with nothing on it that others did."""
    page = site.person(look)
    page.goto(link_to(site.api, customer, locale=look.locale))
    leave = page.locator("form[action$='/seen'] button")
    if leave.count():
        leave.click()
    return page


# The head of each answer is here at once, its text a second later: `data-coming` counts those that are between.
SLOW_ANSWERS = """() => {
  const counted = document.documentElement.dataset;
  counted.coming = 0;
  const text = Response.prototype.text;
  Response.prototype.text = async function () {
    counted.coming++;
    await new Promise((go) => setTimeout(go, 1000));
    const all = await text.call(this);
    setTimeout(() => counted.coming--, 50);
    return all;
  };
}"""


def dial(page: Page, name: str) -> str:
    return f"fieldset.large:has(legend:text-is('{name}'))"


@pytest.mark.parametrize("look", TRIED, ids=lambda look: look.name)
def test_everybody_can_use_the_desk(site: Site, ben: UUID, look: Look) -> None:
    page = site.person(look)
    page.goto(link_to(site.api, ben, locale=look.locale))
    for _ in range(2):  # as it opens, and with all that can be opened
        assert overflows(page) == []
        if look.scripts:
            assert axe(page) == []
        for summary in page.locator("main details:not([open]) > summary").all():
            if summary.is_visible():
                summary.click()


@pytest.mark.parametrize("look", [LOOKS[0], NO_SCRIPTS], ids=lambda look: look.name)
def test_the_notice_shows_itself_when_a_dial_is_turned_up(site: Site, ben: UUID, look: Look) -> None:
    page = at_the_desk(site, ben, look)
    notice = page.locator(".when-louder .notice")
    expect(notice).to_be_hidden()
    page.locator(dial(page, "Email")).get_by_label("Nothing").check()
    expect(notice).to_be_hidden()
    page.locator(dial(page, "Email")).get_by_label("Everything").check()
    expect(notice).to_be_visible()
    page.locator(dial(page, "Email")).get_by_label("A few times a week").check()
    expect(notice).to_be_hidden()


def test_an_answer_that_comes_late_does_not_bring_the_notice_back(site: Site, ben: UUID) -> None:
    page = at_the_desk(site, ben)
    page.evaluate(SLOW_ANSWERS)
    page.locator(dial(page, "Email")).get_by_label("Everything").check()
    expect(page.locator("html")).to_have_attribute("data-coming", "1")
    page.locator(dial(page, "Email")).get_by_label("A few times a week").check()
    expect(page.locator("html")).to_have_attribute("data-coming", "0")
    expect(page.locator(".when-louder .notice")).to_be_hidden()
    expect(page.locator("#changes")).to_be_empty()


def test_the_summary_and_the_changes_follow_what_is_chosen(site: Site, ben: UUID) -> None:
    page = at_the_desk(site, ben)
    stands = page.locator("#outlook").inner_text()
    page.locator(dial(page, "Text message")).get_by_label("Nothing").check()
    expect(page.locator("#changes")).to_contain_text("Text message")
    expect(page.locator("#changes")).to_contain_text("quieter")
    expect(page.locator("#outlook")).to_contain_text("As it would be")
    page.locator(dial(page, "Text message")).get_by_label("Everything").check()
    expect(page.locator("#changes")).to_be_empty()
    assert page.locator("#outlook").inner_text() == stands


def test_the_whole_desk_by_keyboard_alone(site: Site, ben: UUID) -> None:
    page = at_the_desk(site, ben)
    page.locator(dial(page, "Email")).locator("input:checked").focus()
    for _ in range(2):
        page.keyboard.press("ArrowLeft")
    expect(page.locator(dial(page, "Email")).locator("input:checked")).to_have_value("monthly")
    for _ in range(400):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.bar button.main')"):
            break
    page.keyboard.press("Enter")
    expect(page.locator(".message.done")).to_contain_text("About monthly")
    assert site.api.check(f"id:{ben}", "email", "offers/wine")["level"] == "monthly"


@pytest.mark.parametrize("look", [LOOKS[0], NO_SCRIPTS], ids=lambda look: look.name)
def test_quieter_takes_no_more_steps_than_louder(site: Site, ben: UUID, look: Look) -> None:
    steps = {}
    for direction, level in (("down", "Nothing"), ("up", "Everything")):
        page = at_the_desk(site, ben, look)
        count = 0
        page.locator(dial(page, "Email")).get_by_label(level).check()
        count += 1
        with page.expect_navigation():
            page.locator(".bar button.main").click()
        count += 1
        while not page.locator(".message.done").is_visible():
            assert count < MOST_STEPS, "it is not saved"
            with page.expect_navigation():
                page.locator("main button.main").first.click()
            count += 1
        steps[direction] = count
    assert steps["down"] <= steps["up"]


def test_buttons_of_both_directions_are_alike(site: Site, ben: UUID) -> None:
    page = at_the_desk(site, ben)
    page.locator(dial(page, "Email")).get_by_label("Nothing").check()
    page.locator(".bar button.main").click()
    undo, save = page.locator(".message.done button"), page.locator(".bar button").first
    heights = [one.bounding_box()["height"] for one in (undo, save)]  # type: ignore[index]
    assert heights[0] == heights[1] >= 44


def test_looking_with_scripts_changes_nothing(site: Site, ben: UUID) -> None:
    page = at_the_desk(site, ben)
    before = site.api.events(ben)
    for _ in range(10):
        page.goto(link_to(site.api, ben))
    assert site.api.events(ben) == before
