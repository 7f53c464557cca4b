"""The service desk's pages, in every way of looking, and an agent who works with them."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.service_desk.desk import path
from tests.support.api import Api
from tests.support.browsing import TRIED, Look, Site, faults
from tests.support.visiting import sign_in_agent, with_a_past


@pytest.fixture(scope="module")
def ben(shared_api: Api) -> UUID:
    """A customer with a past, and a stop."""
    customer = with_a_past(shared_api, "email:ben@example.com", "phone:+447700900123")
    stop = {"contact_point": "phone:+447700900123", "channel": "sms", "kind": "marketing", "reason": "asked"}
    assert shared_api.post("/v1/suppressions", stop, role="desk").status_code == 201
    return customer


@pytest.mark.parametrize("look", TRIED, ids=lambda look: look.name)
def test_every_page_is_sound_however_one_looks_at_it(site: Site, ben: UUID, look: Look) -> None:
    page = site.person(look)
    page.goto("/desk")
    found = {"sign in": faults(page)}
    sign_in_agent(page, site.api)
    found["find"] = faults(page)
    for address in (path(ben), f"{path(ben)}/happened"):
        page.goto(address)
        found[address] = faults(page)
    assert {name: problems for name, problems in found.items() if problems} == {}
    assert site.complaints == []


def test_an_agent_finds_a_customer_sees_whether_to_call_and_turns_a_dial_up_with_what_it_takes(
    site: Site, ben: UUID
) -> None:
    page = site.person()
    sign_in_agent(page, site.api)
    page.locator("#f-identifier").fill("ben@example.com")
    page.locator("form[action='/desk/find'] button").click()
    page.wait_for_url(f"**{path(ben)}")
    # In sight without scrolling: whether, and about what.
    glance = page.locator("section[aria-labelledby=glance-h]")
    assert (glance.locator(".lede").bounding_box() or {"y": 9999})["y"] < 900
    page.locator("#f-reference").fill("C-4711")
    page.locator(f"form[action='{path(ben)}/word'] button").click()
    page.wait_for_load_state()
    page.locator("#desk fieldset").first.locator("input[type=radio]").last.check(force=True)
    read_out = page.locator("#desk .when-louder input[name=read_out]")
    read_out.wait_for(state="visible")
    read_out.check()
    page.locator("#desk .bar button.main").click()
    page.wait_for_url("**saved=**")
    event = site.api.events(ben)[-1]
    assert (event["actor"]["role"], event["evidence"]) == ("desk", {"reference": "C-4711"})
    assert event["notice"]["text"]
    assert site.complaints == []
