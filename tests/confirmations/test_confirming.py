"""What is louder waits for a confirmation where the rules say so: asked by mail, used once, never over a newer word."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from werkzeug.test import TestResponse

from consent_service.confirmations import service
from consent_service.confirmations.model import MOST_AN_HOUR, Asked
from consent_service.customers.model import parse_reference
from consent_service.database import Connection
from consent_service.dials import service as dials
from consent_service.dials.model import Change, Notice, Wish
from consent_service.errors import ConsentError
from consent_service.history.model import Actor
from tests.support.api import CATALOGUE, Api
from tests.support.mailserver import Mailbox, deliver, mail_server, smtp_settings, text_of
from tests.support.pages import browser, link_to, post
from tests.support.soundness import expect_sound
from tests.web.asking import footprint

NOTICE = Notice("preferences", "1", "en")
UP = Change("email", "offers", "weekly")
WITH_CONFIRMATION = {
    **CATALOGUE,
    "channels": {
        name: {**one, "confirm": True} if name in ("email", "sms") else one
        for name, one in CATALOGUE["channels"].items()
    },
}
Answer = TypeVar("Answer")


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mail_server() as running:
        yield running


@pytest.fixture
def ben(api: Api) -> UUID:
    return api.customer("email:ben@example.com")


def customer(owner: UUID, link: str | None = None) -> Actor:
    return Actor("customer", str(owner), customer_id=owner, link=link)


def within(api: Api, work: Callable[[Connection], Answer]) -> Answer:
    return api.database.repeatedly(work)


def ask(api: Api, owner: UUID, *changes: Change, notice: Notice | None = NOTICE, **fields: Any) -> UUID:
    actor = customer(owner, "newsletter")
    return within(
        api,
        lambda conn: service.ask_louder(
            conn, api.keyring, actor, owner, changes, notice=notice, **{"locale": "en", **fields}
        ),
    )


def confirm(api: Api, owner: UUID, change_id: UUID) -> service.Outcome:
    return within(api, lambda conn: service.confirm(conn, api.keyring, customer(owner), owner, change_id))


def waiting(api: Api, owner: UUID) -> list[Asked]:
    return [one.asked for one in within(api, lambda conn: service.open_changes(conn, api.keyring, owner))]


def dials_of(api: Api, owner: UUID) -> Mapping[tuple[str, str], str]:
    shown = api.call("GET", f"/v1/customers/{owner}/dials", role="desk").json
    return {(one["channel"], one["topic"]): one["level"] for one in shown["dials"]}


def later(api: Api, interval: str) -> None:
    """Time goes by for what waits, and with it for the events that fsck compares: only used where it is not asked."""
    with api.made.owner() as conn:
        conn.execute(
            f"UPDATE pending_change SET asked_at = asked_at - interval '{interval}',"
            f" expires_at = expires_at - interval '{interval}'"
        )


def mailed(api: Api, box: Mailbox) -> str:
    """The path of the link in the newest mail."""
    deliver(api, smtp_settings(api, box))
    found = re.search(r"http://\S+", text_of(box.messages[-1]))
    assert found
    return urlsplit(found[0]).path


def refusal(work: Callable[[], object]) -> str:
    with pytest.raises(ConsentError) as refused:
        work()
    return refused.value.code


# Who has to wait.


@pytest.mark.parametrize("place", [UP, Change("*", "offers", "weekly"), Change("email", "events", "daily")])
def test_louder_through_a_campaigns_link_waits(api: Api, ben: UUID, place: Change) -> None:
    wish = Wish((place,), "link", notice=NOTICE)
    turn = lambda actor: within(api, lambda conn: dials.turn(conn, api.keyring, actor, ben, wish))  # noqa: E731
    assert refusal(lambda: turn(customer(ben, "newsletter"))) == "confirmation_required"
    assert turn(customer(ben)), "through one's own link it does not"


def test_quieter_through_a_campaigns_link_never_waits(api: Api, ben: UUID) -> None:
    wish = Wish((Change("*", "*", "silent"), Change("email", "events", "rarely")), "link")
    assert within(api, lambda conn: dials.turn(conn, api.keyring, customer(ben, "newsletter"), ben, wish))


def test_a_pause_is_not_ended_or_shortened_through_a_campaigns_link(api: Api, ben: UUID) -> None:
    actor, now = customer(ben, "newsletter"), datetime.now(UTC)
    pause = lambda days: within(  # noqa: E731
        api, lambda conn: dials.pause(conn, api.keyring, actor, ben, "*", now + timedelta(days=days))
    )
    pause(30)
    pause(60)
    assert refusal(lambda: pause(20)) == "confirmation_required"
    end = lambda: within(api, lambda conn: dials.end_pause(conn, api.keyring, actor, ben, "*"))  # noqa: E731
    assert refusal(end) == "confirmation_required"


@pytest.mark.parametrize(
    ("names", "place", "expected"),
    [
        (["email:ann@example.com"], ("email", "offers"), True),
        (["email:ann@example.com"], ("*", "offers"), True),
        (["email:ann@example.com"], ("post", "offers"), False),
        (["postal:1 Lane"], ("*", "offers"), False),
        (["phone:+442079460018"], ("*", "offers"), True),
    ],
)
def test_a_channel_that_asks_for_it_waits_until_a_contact_point_is_confirmed(
    api: Api, names: list[str], place: tuple[str, str], expected: bool
) -> None:
    api.apply(WITH_CONFIRMATION)
    ann = api.customer(*names)
    answer = api.turn(ann, (*place, "weekly"))
    assert (answer.status_code == 422) == expected
    if expected:
        assert answer.json["code"] == "confirmation_required"


# Asking and confirming.


def test_a_confirmation_turns_what_was_asked_and_says_what_it_refers_to(api: Api, box: Mailbox, ben: UUID) -> None:
    api.apply(WITH_CONFIRMATION)
    change_id = ask(api, ben, UP, source="link")
    assert dials_of(api, ben) == {}
    assert waiting(api, ben) == [Asked(parse_reference("email:ben@example.com"), "en", "link", (UP,), notice=NOTICE)]
    mailed(api, box)
    assert box.recipients == ["ben@example.com"]
    assert "Offers by Email: About weekly. At most one in 7 days." in text_of(box.messages[0])
    expect_sound(api.made)
    assert confirm(api, ben, change_id).result == "done"
    assert dials_of(api, ben) == {("email", "offers"): "weekly"}
    assert waiting(api, ben) == []
    events = {one["type"]: one for one in api.events(ben)}
    requested, changed = events["dials.requested"], events["dials.changed"]
    assert requested["actor"]["link"] == "newsletter"
    assert requested["notice"]["text"] == changed["notice"]["text"] == "We keep your choices and follow them."
    assert changed["evidence"] == {"request": requested["id"], "confirmed": "email"}
    assert events["confirmation.given"]["details"]["request"] == requested["id"]
    assert events["identifier.confirmed"]["after"]["identifier"] == "email:ben@example.com"
    assert api.turn(ben, ("email", "offers", "daily")).status_code == 200, "the address is confirmed now"
    expect_sound(api.made)


def test_it_is_used_once(api: Api, ben: UUID) -> None:
    change_id = ask(api, ben, UP)
    assert confirm(api, ben, change_id).result == "done"
    assert api.turn(ben, ("email", "offers", "silent")).status_code == 200
    assert confirm(api, ben, change_id).result == "before"
    assert dials_of(api, ben) == {("email", "offers"): "silent"}


def test_what_was_turned_since_stays_as_it_is_and_is_named(api: Api, ben: UUID) -> None:
    change_id = ask(api, ben, UP, Change("*", "events", "weekly"))
    assert api.turn(ben, ("email", "offers", "silent")).status_code == 200
    outcome = confirm(api, ben, change_id)
    assert (outcome.result, outcome.change.asked.left) == ("done", (("email", "offers"),))
    assert dials_of(api, ben) == {("email", "offers"): "silent", ("*", "events"): "weekly"}
    expect_sound(api.made)


def test_it_ends_after_fourteen_days(api: Api, ben: UUID) -> None:
    change_id = ask(api, ben, UP)
    later(api, "14 days")
    assert waiting(api, ben) == []
    assert confirm(api, ben, change_id).result == "late"
    assert dials_of(api, ben) == {}


def test_a_pause_ends_by_a_confirmation_unless_it_was_set_anew(api: Api, ben: UUID) -> None:
    until = datetime.now(UTC) + timedelta(days=60)
    for channel in ("*", "sms", "email"):
        within(api, lambda conn, channel=channel: dials.pause(conn, api.keyring, customer(ben), ben, channel, until))
    sooner = until - timedelta(days=30)
    change_id = ask(api, ben, notice=None, pauses={"*": None, "sms": sooner, "email": None})
    within(api, lambda conn: dials.pause(conn, api.keyring, customer(ben), ben, "email", until + timedelta(days=1)))
    outcome = confirm(api, ben, change_id)
    assert outcome.change.asked.left_pauses == ("email",)
    shown = api.call("GET", f"/v1/customers/{ben}/dials", role="desk").json["pauses"]
    assert {one["channel"]: datetime.fromisoformat(one["until"]) for one in shown} == {
        "sms": sooner,
        "email": until + timedelta(days=1),
    }
    expect_sound(api.made)


def test_what_is_asked_anew_takes_the_place_of_what_waited(api: Api, ben: UUID) -> None:
    first = ask(api, ben, UP)
    second = ask(api, ben, Change("email", "offers", "daily"))
    assert confirm(api, ben, first).result == "late"
    assert confirm(api, ben, second).result == "done"
    assert dials_of(api, ben) == {("email", "offers"): "daily"}
    expect_sound(api.made)


def test_nobody_is_flooded_with_mails(api: Api, ben: UUID) -> None:
    for _ in range(MOST_AN_HOUR):
        ask(api, ben, UP)
    assert refusal(lambda: ask(api, ben, UP)) == "rate_limited"


def test_it_can_be_taken_back(api: Api, ben: UUID) -> None:
    change_id = ask(api, ben, UP)
    for _ in range(2):
        within(api, lambda conn: service.drop(conn, api.keyring, customer(ben), ben, change_id))
    assert confirm(api, ben, change_id).result == "late"
    assert [one["type"] for one in api.events(ben)].count("confirmation.dropped") == 1
    expect_sound(api.made)


def test_what_a_mail_cannot_confirm_is_refused_at_once(api: Api) -> None:
    api.apply(WITH_CONFIRMATION)
    ann = api.customer("email:ann@example.com", "phone:+442079460018")
    assert refusal(lambda: ask(api, ann, Change("sms", "offers", "weekly"))) == "confirmation_required"
    assert refusal(lambda: ask(api, ann, Change("*", "offers", "weekly"))) == "confirmation_required"
    post_only = api.customer("postal:1 Lane")
    assert refusal(lambda: ask(api, post_only, Change("post", "offers", "weekly"))) == "confirmation_required"


def test_a_notice_is_needed_when_it_is_asked(api: Api, ben: UUID) -> None:
    assert refusal(lambda: ask(api, ben, UP, notice=None)) == "notice_required"
    assert refusal(lambda: ask(api, ben, UP, notice=Notice("preferences", "9", "en"))) == "unknown_notice"
    assert waiting(api, ben) == []


def test_what_the_catalogue_has_dropped_since_is_overtaken(api: Api, ben: UUID) -> None:
    change_id = ask(api, ben, Change("*", "offers/wine", "weekly"))
    topics = {name: one for name, one in CATALOGUE["topics"].items() if name != "offers/wine"}
    api.apply({**CATALOGUE, "topics": topics})
    assert confirm(api, ben, change_id).result == "overtaken"
    assert dials_of(api, ben) == {}
    expect_sound(api.made)


def test_somebody_else_cannot_confirm_it(api: Api, ben: UUID) -> None:
    change_id, other = ask(api, ben, UP), api.customer("email:eve@example.com")
    assert refusal(lambda: confirm(api, other, change_id)) == "not_found"


def test_a_merge_takes_what_waits_along_and_an_erasure_deletes_it(api: Api, box: Mailbox, ben: UUID) -> None:
    other = api.customer("email:benny@example.com")
    change_id = ask(api, other, UP)
    within(
        api,
        lambda conn: service.ask_address(
            conn, api.keyring, customer(other), other, parse_reference("email:benny@example.com"), locale="en"
        ),
    )
    address = within(api, lambda conn: service.open_changes(conn, api.keyring, other))[1].change_id
    assert confirm(api, other, address).result == "done"
    assert api.post(f"/v1/customers/{ben}/merge", {"other": str(other)}, role="desk").status_code == 200
    expect_sound(api.made)
    assert confirm(api, ben, change_id).result == "done"
    ask(api, ben, Change("*", "events", "daily"))
    assert api.post(f"/v1/customers/{ben}/erase", role="desk").status_code == 200
    with api.database.reading() as conn:
        row = conn.execute("SELECT (SELECT count(*) FROM pending_change) + (SELECT count(*) FROM mail) AS n").fetchone()
    assert row == {"n": 0}
    expect_sound(api.made)


# Addresses.


def ask_address(api: Api, owner: UUID, address: str) -> UUID | None:
    reference = parse_reference(f"email:{address}")
    return within(
        api, lambda conn: service.ask_address(conn, api.keyring, customer(owner), owner, reference, locale="de")
    )


def names_of(api: Api, owner: UUID) -> list[str]:
    return list(api.call("GET", f"/v1/customers/{owner}", role="desk").json["identifiers"])


def test_a_new_address_is_added_when_it_was_confirmed_there(api: Api, box: Mailbox, ben: UUID) -> None:
    change_id = ask_address(api, ben, "Ben.New@example.com")
    assert change_id is not None
    assert names_of(api, ben) == ["email:ben@example.com"]
    mailed(api, box)
    assert (box.recipients, box.messages[0]["Content-Language"]) == (["ben.new@example.com"], "de")
    assert confirm(api, ben, change_id).result == "done"
    assert names_of(api, ben) == ["email:ben@example.com", "email:ben.new@example.com"]
    assert ask_address(api, ben, "ben.new@example.com") is None, "it is confirmed already"
    expect_sound(api.made)


def test_an_address_that_is_taken_is_not_told_before_it_is_confirmed(api: Api, ben: UUID) -> None:
    api.customer("email:eve@example.com")
    change_id = ask_address(api, ben, "eve@example.com")
    assert change_id is not None
    assert confirm(api, ben, change_id).result == "taken"
    assert names_of(api, ben) == ["email:ben@example.com"]
    expect_sound(api.made)


def test_an_erased_person_comes_back_by_confirming_their_address(api: Api, ben: UUID) -> None:
    gone = api.customer("email:old@example.com")
    assert api.post(f"/v1/customers/{gone}/erase", role="desk").status_code == 200
    change_id = ask_address(api, ben, "old@example.com")
    assert change_id is not None
    assert confirm(api, ben, change_id).result == "done"
    assert "email:old@example.com" in names_of(api, ben)
    expect_sound(api.made)


# The page.


def test_opening_the_link_changes_nothing_and_the_button_confirms(api: Api, box: Mailbox, ben: UUID) -> None:
    ask(api, ben, UP)
    link, before = mailed(api, box), footprint(api)
    for _ in range(100):
        scanner = browser(api)
        assert scanner.get(link).headers["Location"] == "/confirm"
        assert "Offers by Email: About weekly." in scanner.get("/confirm").get_data(as_text=True)
    assert footprint(api) == before
    person = browser(api)
    person.get(link)
    page = person.get("/confirm")
    assert "We keep your choices and follow them." in page.get_data(as_text=True)
    done = post(person, page, "/confirm", {})
    assert (done.status_code, done.headers["Location"]) == (303, "/confirm?result=done")
    assert dials_of(api, ben) == {("email", "offers"): "weekly"}
    after = person.get("/confirm?result=done").get_data(as_text=True)
    assert "Confirmed" in after
    assert 'href="/preferences"' in after
    assert person.get("/preferences").status_code == 200


def test_the_page_names_what_was_left(api: Api, box: Mailbox, ben: UUID) -> None:
    ask(api, ben, UP)
    person = browser(api)
    person.get(mailed(api, box))
    page = person.get("/confirm")
    assert api.turn(ben, ("email", "offers", "silent")).status_code == 200
    post(person, page, "/confirm", {})
    shown = person.get("/confirm?result=done").get_data(as_text=True)
    assert "stays as it is" in shown
    assert "This holds now" not in shown


def test_a_second_click_says_that_it_is_confirmed(api: Api, box: Mailbox, ben: UUID) -> None:
    ask(api, ben, UP)
    link = mailed(api, box)
    for expected in ("done", "before"):
        person = browser(api)
        person.get(link)
        first = person.get("/confirm")
        if expected == "done":
            assert post(person, first, "/confirm", {}).headers["Location"].endswith(expected)
        else:
            assert "confirmed already" in first.get_data(as_text=True)
    assert [one["type"] for one in api.events(ben)].count("dials.changed") == 1


def test_no_means_that_all_stays_as_it_is(api: Api, box: Mailbox, ben: UUID) -> None:
    ask(api, ben, UP)
    person = browser(api)
    person.get(mailed(api, box))
    answer = post(person, person.get("/confirm"), "/confirm/drop", {})
    assert answer.status_code == 303
    assert "Nothing waits" in person.get(answer.headers["Location"]).get_data(as_text=True)
    assert (dials_of(api, ben), waiting(api, ben)) == ({}, [])


@pytest.mark.parametrize("locale", ["en", "de", "fr", "ar"])
def test_a_page_of_each_kind_in_each_language(api: Api, box: Mailbox, ben: UUID, locale: str) -> None:
    ask(api, ben, UP, locale=locale)
    person = browser(api)
    person.get(mailed(api, box))
    shown = person.get("/confirm")
    assert f'<html lang="{locale}"' in shown.get_data(as_text=True)
    for result in ("done", "before", "late", "overtaken", "taken", "nonsense"):
        assert person.get(f"/confirm?result={result}").status_code == 200


def test_the_link_of_a_confirmation_opens_nothing_else(api: Api, box: Mailbox, ben: UUID) -> None:
    """It may have gone to a mistyped address: whoever reads it there must not see whose it was."""
    ask_address(api, ben, "typo@example.com")
    stranger = browser(api)
    stranger.get(mailed(api, box))
    page = stranger.get("/confirm")
    assert "ben@example.com" not in page.get_data(as_text=True)
    for path in ("/preferences", "/unsubscribe", "/quieter", "/louder"):
        assert stranger.get(path).headers["Location"] == "/link?because=ended"


def test_without_such_a_link_there_is_nothing_to_confirm(api: Api, ben: UUID) -> None:
    visitor = browser(api)
    assert _location(visitor.get("/confirm")) == "/link?because=ended"
    visitor.get(link_to(api, ben))
    assert _location(visitor.get("/confirm")) == "/link?because=ended"


def _location(answer: TestResponse) -> str:
    return str(answer.headers["Location"])


def test_what_could_be_confirmed_long_ago_is_forgotten(api: Api, ben: UUID) -> None:
    ask(api, ben, UP)
    later(api, "43 days")
    service.forget_old(api.database)
    ask(api, ben, UP)
    later(api, "45 days")
    service.forget_old(api.database)
    with api.database.reading() as conn:
        assert conn.execute("SELECT count(*) AS n FROM pending_change").fetchone() == {"n": 0}
