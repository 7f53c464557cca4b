"""The parts that pages are made of, in every way of looking: a dial above all."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.browsing import LOOKS, NARROW, TRIED, Look, Site, box, faults

SMALLEST_TARGET = 24  # CSS pixels; Source: WCAG 2.2, 2.5.8
OF_DIALS = (Path(__file__).parent / "dials.js").read_text(encoding="utf-8")
ARABIC = next(look for look in LOOKS if look.name == "Arabic")
by_look = pytest.mark.parametrize("look", TRIED, ids=lambda look: look.name)


@by_look
def test_every_part_is_sound_however_one_looks_at_it(site: Site, look: Look) -> None:
    """The names of all stops are seen before one is chosen, and every stop can be hit."""
    page = opened(site, look)
    assert faults(page) == []
    assert page.evaluate(OF_DIALS, SMALLEST_TARGET) == []
    assert page.locator("fieldset.dial label > b").count() > 50
    assert site.complaints == []


def test_a_dial_is_chosen_by_its_name_or_its_stop_without_scripts(site: Site) -> None:
    page = opened(site, Look("no scripts", scripts=False))
    email = dial(page, "Email")
    email.get_by_text("About monthly", exact=True).click()
    expect(radio(email, "monthly")).to_be_checked()
    radio(email, "everything").click()
    expect(radio(email, "everything")).to_be_checked()
    expect(radio(email, "monthly")).not_to_be_checked()


def test_what_is_chosen_turns_the_knob_and_is_said_in_words(site: Site) -> None:
    page = opened(site)
    email = dial(page, "Email")
    assert turned(email) == pytest.approx(-135 + 270 * 4 / 7, abs=0.5)
    assert email.get_by_text("1 / 7 days").evaluate("it => getComputedStyle(it).opacity") == "1"
    radio(email, "silent").check()
    page.wait_for_timeout(400)
    assert turned(email) == pytest.approx(-135, abs=0.5)
    assert email.get_by_text("1 / 7 days").evaluate("it => getComputedStyle(it).opacity") == "0"


def test_a_dial_is_turned_by_the_keyboard_alone(site: Site) -> None:
    page = opened(site)
    radio(dial(page, "Email"), "weekly").focus()
    for key, level in (("ArrowRight", "busy"), ("ArrowDown", "daily"), ("ArrowLeft", "busy"), ("ArrowUp", "weekly")):
        page.keyboard.press(key)
        expect(radio(dial(page, "Email"), level)).to_be_checked()
    page.keyboard.press("Tab")
    expect(radio(dial(page, "Text message"), "silent")).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_right_to_left_a_dial_is_a_mirror_and_so_are_its_keys(site: Site) -> None:
    page = opened(site, ARABIC)
    first = page.locator("fieldset.dial").first
    stops = [box(stop)["x"] for stop in first.locator("input").all()]
    assert stops[0] > stops[-1], "the quietest stands on the right"
    radio(first, "weekly").focus()
    page.keyboard.press("ArrowLeft")
    expect(radio(first, "busy")).to_be_checked()


def test_quieter_and_louder_are_alike_in_size_and_contrast(site: Site) -> None:
    looks = """found => [...new Set(found.map(it => { const style = getComputedStyle(it);
      return [style.fontSize, style.color, style.backgroundColor, style.opacity].join(); }))]"""
    widths = "found => [...new Set(found.map(it => Math.round(it.getBoundingClientRect().width)))]"
    for look in (LOOKS[0], Look("narrow", NARROW), Look("dark", dark=True)):
        page = opened(site, look)
        email = dial(page, "Email")
        assert len(email.locator("label:not(:has(:checked)) b").evaluate_all(looks)) == 1
        assert len(email.locator("input").evaluate_all(widths)) == 1
        assert len(page.locator(".choice").evaluate_all(looks)) == 1
        assert len(page.locator(".choice").evaluate_all(widths)) == 1


def test_what_was_saved_stays_marked_while_something_else_is_chosen(site: Site) -> None:
    text = dial(opened(site), "Text message")
    style = "it => getComputedStyle(it, '::before').outlineStyle"
    assert radio(text, "monthly").evaluate(style) == "dashed"
    radio(text, "monthly").check()
    assert radio(text, "monthly").evaluate(style) == "none"


def test_on_a_phone_a_dial_takes_a_third_of_the_window(site: Site) -> None:
    page = opened(site, Look("phone", 390, 844))
    assert box(dial(page, "Email"))["height"] < 844 / 3


def test_on_paper_stand_the_choices_and_no_buttons(site: Site) -> None:
    page = opened(site)
    page.emulate_media(media="print")
    expect(page.get_by_role("button")).to_have_count(0)
    expect(dial(page, "Email").get_by_text("About weekly", exact=True)).to_be_visible()


def opened(site: Site, look: Look = LOOKS[0]) -> Page:
    """The sample of all parts, as one looks at it."""
    page = site.person(look)
    page.goto("/sample")
    return page


def dial(page: Page, legend: str) -> Locator:
    """The dial of this legend."""
    return page.get_by_role("group", name=legend, exact=True)


def radio(dial: Locator, level: str) -> Locator:
    """A stop."""
    return dial.locator(f"input[value={level}]")


def turned(dial: Locator) -> float:
    """By how many degrees the knob stands away from its top."""
    read = "it => parseFloat(getComputedStyle(it).getPropertyValue('--turn'))"
    return float(dial.locator(".face").evaluate(read))
