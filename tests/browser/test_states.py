"""Pages in the states that acts lead to, each in one way of looking after the other, or in all (CONSENT_TEST_LOOKS)."""

from __future__ import annotations

import itertools

import pytest
from playwright.sync_api import expect

from tests.browser.states import STATES, person
from tests.support.browsing import IN_EVERY_LOOK, TRIED, Look, Site, faults

OFTEN = [name for name, state in STATES.items() if not state.seldom]
IN_TURN = [(name, TRIED[number % len(TRIED)]) for number, name in enumerate(OFTEN)]
CASES = list(itertools.product(STATES, TRIED)) if IN_EVERY_LOOK else IN_TURN


@pytest.fixture(autouse=True)
def _no_limit_of_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consent_service.links.requests.MOST_A_MINUTE", 10**9)


@pytest.mark.parametrize(("name", "look"), CASES, ids=lambda one: one.name if isinstance(one, Look) else one)
def test_a_page_is_sound_in_every_state(site: Site, name: str, look: Look) -> None:
    one = person(site, look)
    STATES[name].reach(one)
    expect(one.page.locator(STATES[name].shows).first).to_be_visible()
    assert faults(one.page) == []
    assert site.complaints == []
