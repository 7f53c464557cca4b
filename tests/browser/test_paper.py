"""Pages on paper: nothing stands out, what was read on the screen is read there, and what was closed is open."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.service_desk.desk import path
from tests.support.api import Api
from tests.support.browsing import Look, Site, overflows
from tests.support.visiting import OF_LINKS, sign_in, sign_in_agent, visit, with_a_past

PAPER = Look("paper", 718)  # A4 without its margins, at 96 dots an inch
PAGES = ("/preferences", "/me/happened", "/me", "/me/forget", *OF_LINKS)
# Elements with words of their own; what can only be pressed, filled in or opened is of no use on paper.
READ = """() => [...document.querySelectorAll("main *")]
  .filter((one) => one.checkVisibility() && !one.closest("button, summary, label, select, .bar, .strips")
    && [...one.childNodes].some((part) => part.nodeType === 3 && part.data.trim()))
  .map((one) => one.textContent.trim())"""
# Dials that stand there, with their drawing, which a printer else leaves out as it does with backgrounds.
DRAWN = """() => [...document.querySelectorAll(".large .face")]
  .filter((one) => one.checkVisibility() && getComputedStyle(one).printColorAdjust === "exact").length"""


@pytest.fixture(scope="module")
def ben(shared_api: Api) -> UUID:
    return with_a_past(shared_api, "email:paper@example.com")


def test_what_is_read_on_the_screen_is_read_on_paper(site: Site, ben: UUID) -> None:
    page = site.person(PAPER)
    lost: dict[str, list[str]] = {}
    for one in (*PAGES, path(ben)):
        if one == path(ben):
            sign_in_agent(page, site.api)
            page.goto(one)
        else:
            visit(page, site.api, ben, one, PAPER)
        read = page.evaluate(READ)
        assert read, one
        page.emulate_media(media="print")
        printed = page.evaluate(READ)
        lost[one] = [*overflows(page), *(words for words in read if words not in printed)]
        page.emulate_media(media="screen")
    assert {one: words for one, words in lost.items() if words} == {}


def test_every_topic_stands_on_paper_with_its_dial_as_it_is_set(site: Site, ben: UUID) -> None:
    page = site.person(PAPER)
    sign_in(page, site.api, ben, PAPER)
    page.goto("/preferences")
    page.emulate_media(media="print")
    assert page.evaluate(DRAWN) == page.locator(".large .face").count() > 8
