"""States of pages that only an act leads to: saved, undone, waiting, overtaken, refused. New pages add theirs here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from playwright.sync_api import Page

from consent_service.confirmations.service import ask_address, ask_louder
from consent_service.customers.model import parse_reference
from consent_service.dials.model import Change, Notice
from consent_service.history.model import Actor
from consent_service.links.model import Link, Purpose
from consent_service.links.service import box
from tests.service_desk.desk import path as at_desk
from tests.support.browsing import Look, Site
from tests.support.pages import link_to
from tests.support.visiting import PLACE, sign_in_agent, with_a_past
from tests.web.asking import somebody

DIALS = "#desk fieldset"
SAVE, UNDO = "#desk .bar button.main", ".message.done form button"
DONE, WAITING, WRONG = ".message.done", ".message.wait", ".message.wrong"
PROBLEM, SORRY = ".field.wrong", ".sorry"


@dataclass(frozen=True)
class Person:
    """Somebody who looks at the site in a way of their own, and the customer whom it is about."""

    site: Site
    page: Page
    look: Look
    customer: UUID

    def come(self, purpose: Purpose = "preferences", *, by_campaign: bool = False) -> Person:
        """Follows a link to a page of the customer's."""
        way = {"place": PLACE, "locale": self.look.locale, "by_campaign": by_campaign}
        self.page.goto(link_to(self.site.api, self.customer, purpose, **way))  # type: ignore[arg-type]
        return self

    def press(self, *buttons: str) -> Person:
        """Presses buttons, one after the other; each leads to a page."""
        for one in buttons:
            with self.page.expect_navigation():
                self.page.locator(one).first.click()
        return self

    def fill(self, **fields: str) -> Person:
        """Writes into fields of these names."""
        for name, value in fields.items():
            self.page.locator(f"#f-{name}").fill(value)
        return self

    def turn(self, level: str, dial: int = 1) -> Person:
        """Turns a dial of the desk, counted from above: 0 is the one for everything together."""
        self.page.locator(DIALS).nth(dial).locator(f"input[value={level}]").check(force=True)
        return self

    def agent(self, reference: str = "") -> Person:
        """Signs in at the service desk and goes to the customer; with the reference of a call, it is written down."""
        sign_in_agent(self.page, self.site.api)
        self.page.goto(at_desk(self.customer))
        return self.fill(reference=reference).press("form[action$='/word'] button") if reference else self

    def ask(self, kind: str = "louder") -> UUID:
        """Asks for what a mail has to confirm, as a visitor would; the id of what waits."""
        api, locale = self.site.api, self.look.locale
        actor = Actor("customer", str(self.customer), customer_id=self.customer)
        changes, notice = [Change("*", "offers/wine", "everything")], Notice("preferences", "1", locale)
        with api.database.transaction() as conn:
            if kind == "louder":
                return ask_louder(conn, api.keyring, actor, self.customer, changes, notice=notice, locale=locale)
            asked = ask_address(conn, api.keyring, actor, self.customer, parse_reference(somebody()), locale=locale)
            assert asked is not None
            return asked

    def asked(self, kind: str = "louder") -> Person:
        """Follows the link of a mail that asks for a confirmation."""
        link = Link("confirm", self.customer, datetime.now(UTC), locale=self.look.locale, subject=self.ask(kind))
        with self.site.api.database.reading() as conn:
            token = box(conn, self.site.api.keyring).write(link)
        self.page.goto(f"/c/{token}")
        return self

    def at(self, path: str) -> Person:
        """Opens a page by its address."""
        self.page.goto(path)
        return self


def person(site: Site, look: Look) -> Person:
    """A window, and a customer with a past whom nobody else has met."""
    return Person(site, site.person(look), look, with_a_past(site.api, somebody()))


@dataclass(frozen=True)
class State:
    """What leads there, and what is on the page then and not before.

    Args:
        seldom: another state is built alike; it is looked at only where everything is (CONSENT_TEST_LOOKS=all).
    """

    reach: Callable[[Person], object]
    shows: str
    seldom: bool = False


def _overtaken(one: Person) -> None:
    one.come().turn("everything")
    one.site.api.turn(one.customer, ("email", "*", "silent"))
    one.press(SAVE)


def _others(one: Person) -> None:
    one.come().press("form[action$='/pause'] button")
    one.site.api.turn(one.customer, ("email", "*", "everything"))
    one.at("/preferences")


def _ended(one: Person) -> None:
    one.come().page.context.clear_cookies()
    one.press(SAVE)


def _nobody_to_ask(one: Person) -> None:
    nobody = one.site.api.customer(f"loyalty:{one.customer.int % 10**9}")
    replace(one, customer=nobody).come(by_campaign=True).turn("silent", 0).press(SAVE)
    replace(one, customer=nobody).come(by_campaign=True).turn("daily", 0).press(SAVE)


def _refused_twice(one: Person) -> None:
    one.come("louder")
    one.site.api.turn(one.customer, ("*", "offers/wine", "silent"))
    one.press("button.choice")


def _read_out(one: Person) -> None:
    one.agent("C-4711").turn("everything").press("#desk button[formaction$='/check']")
    one.page.locator("input[name=read_out]").check()
    one.press("main form button.main")


def _stopped(one: Person) -> None:
    one.ask()
    one.agent().press("form[action$='/suppress'] button")


def _two(one: Person) -> None:
    other = somebody()
    one.site.api.customer(other)
    one.agent().fill(identifier=other.partition(":")[2]).press("form[action$='/merge'] button")


OF_THE_DESK = {
    "the desk, saved": State(lambda one: one.come().turn("silent").press(SAVE), DONE, seldom=True),
    "the desk, undone": State(lambda one: one.come().turn("silent").press(SAVE, UNDO), DONE),
    "the desk, what would change": State(
        lambda one: one.come().turn("everything").press("#desk button[formaction$='/check']"), "#louder .notice"
    ),
    "the desk, quieter everything": State(
        lambda one: one.come().press("form[action$='/quieter'] button"), DONE, seldom=True
    ),
    "the desk, nothing at all": State(
        lambda one: one.come().press("form[action$='/nothing'] button"), DONE, seldom=True
    ),
    "the desk, paused": State(lambda one: one.come().press("form[action$='/pause'] button"), "form[action$='/resume']"),
    "the desk, waiting": State(lambda one: one.come(by_campaign=True).turn("everything").press(SAVE), WAITING),
    "the desk, nobody to ask": State(_nobody_to_ask, WRONG),
    "the desk, asked too often": State(lambda one: one.come().at("/preferences?unasked=often"), WRONG, seldom=True),
    "the desk, an old tab": State(_overtaken, WRONG),
    "the desk, made louder by others": State(_others, "form[action$='/seen']"),
    "the desk, when the visit has ended": State(_ended, SORRY),
}
OF_CONFIRMATIONS = {
    "confirm, louder": State(lambda one: one.asked(), "form[action='/confirm/drop']"),
    "confirm, louder, done": State(lambda one: one.asked().press("form[action='/confirm'] button"), DONE, seldom=True),
    "confirm, an address": State(lambda one: one.asked("address"), "form[action='/confirm/drop'] button"),
    "confirm, an address, done": State(lambda one: one.asked("address").press("form[action='/confirm'] button"), DONE),
    "confirm, taken back": State(
        lambda one: one.asked().press("form[action='/confirm/drop'] button"), ".message.info", seldom=True
    ),
    "confirm, overtaken": State(lambda one: one.asked().at("/confirm?result=overtaken"), ".message.info", seldom=True),
    "confirm, taken": State(lambda one: one.asked("address").at("/confirm?result=taken"), WRONG, seldom=True),
}
OF_A_CUSTOMER = {
    "louder, done": State(lambda one: one.come("louder").press("button.choice"), DONE),
    "louder, waiting": State(lambda one: one.come("louder", by_campaign=True).press("button.choice"), WAITING),
    "louder, turned meanwhile": State(_refused_twice, "#meanwhile"),
    "me, settings saved": State(
        lambda one: one.come().at("/me").press("form[action='/me/settings'] button"), DONE, seldom=True
    ),
    "me, a mail is sent": State(
        lambda one: one.come().at("/me").fill(value=somebody()[6:]).press("form[action='/me/details'] button"),
        WAITING,
    ),
    "me, not an address": State(
        lambda one: one.come().at("/me").fill(value="none").press("form[action='/me/details'] button"), PROBLEM
    ),
    "link, sent": State(
        lambda one: one.at("/link").fill(email="ann@example.com").press("form[action='/link'] button"), DONE
    ),
    "link, not an address": State(
        lambda one: one.at("/link").fill(email="none").press("form[action='/link'] button"), PROBLEM, seldom=True
    ),
    "link, the visit has ended": State(lambda one: one.at("/preferences"), ".message.info", seldom=True),
    "link, too old": State(lambda one: one.come().at("/link?because=old"), "form[action='/link/mine']"),
    "link, signed out": State(lambda one: one.come().press("form[action='/sign-out'] button"), DONE, seldom=True),
    "forgotten": State(lambda one: one.come().at("/me/forget").press("main button.main"), "h1"),
}
OF_THE_SERVICE_DESK = {
    "agent, no such key": State(
        lambda one: one.at("/desk").fill(key="csk_none").press("form[action='/desk'] button"), PROBLEM, seldom=True
    ),
    "agent, signed out": State(
        lambda one: one.agent().press("form[action='/desk/sign-out'] button"), DONE, seldom=True
    ),
    "agent, the session has ended": State(lambda one: one.at("/desk?because=ended"), ".message.info", seldom=True),
    "agent, nobody found": State(
        lambda one: one.agent().at("/desk").fill(identifier="+447700900999").press("form[action='/desk/find'] button"),
        PROBLEM,
    ),
    "agent, the word is written down": State(
        lambda one: one.agent("C-4711"), "#f-reference[value='C-4711']", seldom=True
    ),
    "agent, saved": State(lambda one: one.agent().turn("silent").press(SAVE), DONE, seldom=True),
    "agent, saved louder": State(_read_out, DONE),
    "agent, without a reference": State(lambda one: one.agent().turn("everything").press(SAVE), WRONG),
    "agent, open matters": State(_stopped, "form[action$='/lift']"),
    "agent, both to be merged": State(_two, "a.button"),
    "agent, what happened": State(lambda one: one.agent("C-4711").press("main p a"), "ol.events"),
    "agent, no such page": State(lambda one: one.agent().at("/desk/none"), SORRY),
}
STATES: Mapping[str, State] = OF_THE_DESK | OF_CONFIRMATIONS | OF_A_CUSTOMER | OF_THE_SERVICE_DESK
