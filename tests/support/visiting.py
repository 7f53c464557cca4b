"""Somebody whose pages have something on them, and the pages that a customer can open."""

from __future__ import annotations

from uuid import UUID

from flask import Flask
from playwright.sync_api import Page

from consent_service.links.model import Purpose
from tests.support.api import Api
from tests.support.browsing import Look
from tests.support.pages import link_to

PLACE = ("email", "offers/wine")  # what the message was about that their link stood in
# Pages that a link of their own leads to; a link to the preferences opens all others.
OF_LINKS: dict[str, Purpose] = {"/unsubscribe": "unsubscribe", "/louder": "louder", "/quieter": "quieter"}


def with_a_past(api: Api, *identifiers: str) -> UUID:
    """A customer of the example catalogue with dials turned, a pause, and contacts made."""
    customer = api.customer(*identifiers)
    places = [
        ("*", "*", "daily"),
        ("email", "*", "weekly"),
        ("sms", "*", "monthly"),
        ("phone", "*", "silent"),
        ("*", "offers/wine", "weekly"),
        ("email", "offers/wine", "daily"),
        ("*", "events", "rarely"),
    ]
    assert api.turn(customer, *places).status_code == 200
    contact = {"customer": f"id:{customer}", "channel": "email", "topic": "offers/wine"}
    for path in ("/v1/contacts", "/v1/permissions/check"):
        assert api.post(path, contact).status_code in (200, 201)
    return customer


def visit(page: Page, api: Api, customer: UUID, path: str, look: Look) -> None:
    """Opens a page of the customer's, by the link that leads there."""
    if path in OF_LINKS:
        page.goto(link_to(api, customer, OF_LINKS[path], place=PLACE, locale=look.locale))
    else:
        sign_in(page, api, customer, look)
        page.goto(path)


def sign_in(page: Page, api: Api, customer: UUID, look: Look) -> None:
    """Follows a link of the customer's, and stays where it is."""
    page.request.get(link_to(api, customer, place=PLACE, locale=look.locale), max_redirects=0)


def sign_in_agent(page: Page, api: Api) -> None:
    """Signs an agent in at the service desk, as agents do."""
    page.goto("/desk")
    page.locator("#f-key").fill(api.keys["desk"])
    page.locator("form[action='/desk'] button").click()
    page.wait_for_selector("#f-identifier")


def pages_of(app: Flask) -> list[str]:
    """Every page of a customer's that is opened without saying which: its path has no parameter."""
    return sorted(
        rule.rule
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or set())
        and not rule.arguments
        and getattr(app.view_functions[rule.endpoint], "is_page", False)
        and not rule.rule.startswith(("/desk", "/sample", "/favicon"))
    )
