"""The customer's desk as a browser without scripts has it: what it says, and what each of its forms does."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent_service.dials.reach import Place
from tests.support.api import CATALOGUE, NOTICE, Api
from tests.support.pages import browser, hidden, link_to, post
from tests.web.asking import footprint, somebody

NOTICE_FIELDS = ("notice_id", "notice_version", "notice_locale", "shown_at", "seen")


@pytest.fixture
def ben(api: Api) -> UUID:
    return api.customer("email:ben@example.com")


def visiting(api: Api, customer: UUID, *, by_campaign: bool = False) -> tuple[FlaskClient, TestResponse]:
    """The customer's browser, and the desk in it."""
    client = browser(api)
    client.get(link_to(api, customer, by_campaign=by_campaign, locale="en"))
    page = client.get("/preferences")
    assert page.status_code == 200
    return client, page


def field(page: TestResponse, place: Place) -> str:
    """The name of a dial's field."""
    found = re.search(rf"(d\d+)={re.escape(':'.join(place))}:", hidden(page, "seen"))
    assert found is not None, place
    return found[1]


def save(
    client: FlaskClient,
    page: TestResponse,
    wanted: Mapping[Place, str],
    path: str = "/preferences",
    **more: str | list[str],
) -> TestResponse:
    """Turns dials on a page and sends its form."""
    fields = {name: hidden(page, name) for name in NOTICE_FIELDS}
    return post(
        client, page, path, {**fields, **{field(page, place): level for place, level in wanted.items()}, **more}
    )


def text(page: TestResponse) -> str:
    """What a page says, without its tags."""
    plain = re.sub(r"<[^>]*>", " ", page.get_data(as_text=True))
    return re.sub(r"\s+", " ", html.unescape(plain))


def followed(client: FlaskClient, answer: TestResponse) -> TestResponse:
    assert answer.status_code == 303, text(answer)
    return client.get(answer.headers["Location"])


def reason(api: Api, customer: UUID, channel: str, topic: str) -> str:
    return str(api.check(f"id:{customer}", channel, topic)["reason"])


def test_looking_changes_nothing(api: Api, ben: UUID) -> None:
    client, _ = visiting(api, ben)
    before = footprint(api)
    for _ in range(20):
        assert client.get("/preferences").status_code == 200
        assert client.head("/preferences").status_code == 200
    assert footprint(api) == before


def test_a_dial_turned_on_the_page_is_in_the_next_answer(api: Api, ben: UUID) -> None:
    client, page = visiting(api, ben)
    assert reason(api, ben, "email", "offers/wine") == "no_consent"
    told = followed(client, save(client, page, {("*", "offers"): "weekly"}))
    assert reason(api, ben, "email", "offers/wine") == "allowed"
    assert "Saved. It holds from now on." in text(told)
    assert "Offers Nothing About weekly" in text(told)
    event = api.events(ben)[-1]
    assert event["notice"] == {**NOTICE, "text": "We keep your choices and follow them."}
    assert (event["source"], event["actor"]["role"]) == ("web", "customer")
    assert event["id"] in text(told)


def test_the_page_shows_a_permit_taken_a_second_ago(api: Api, ben: UUID) -> None:
    api.turn(ben, ("*", "offers", "monthly"))
    client, page = visiting(api, ben)
    assert "1 of 1 in the last 30 days" not in text(page)
    api.post("/v1/permits", {"customer": f"id:{ben}", "channel": "email", "topic": "offers"})
    assert "1 of 1 in the last 30 days · next possible on" in text(client.get("/preferences"))


def test_only_what_was_changed_is_turned(api: Api, ben: UUID) -> None:
    client, page = visiting(api, ben)
    api.turn(ben, ("sms", "*", "silent"))
    followed(client, save(client, page, {("email", "*"): "weekly", ("sms", "*"): "everything"}))
    shown = api.call("GET", f"/v1/customers/{ben}/dials", role="desk").json["dials"]
    assert {(one["channel"], one["level"]) for one in shown} == {("email", "weekly"), ("sms", "silent")}


def test_an_old_tab_makes_nothing_louder_over_what_is_newer(api: Api, ben: UUID) -> None:
    api.turn(ben, ("email", "*", "weekly"))
    client, page = visiting(api, ben)
    api.turn(ben, ("email", "*", "rarely"))
    wanted = {("email", "*"): "daily", ("*", "offers"): "weekly", ("sms", "*"): "silent"}
    answer = save(client, page, wanted)
    assert answer.status_code == 409
    assert "Email: you saw “About weekly”, it now stands at “A few times a year”" in text(answer)
    assert "“About daily” was not saved." in text(answer)
    # Nothing was made louder, and what was made quieter holds.
    shown = api.call("GET", f"/v1/customers/{ben}/dials", role="desk").json["dials"]
    assert {(one["channel"], one["topic"], one["level"]) for one in shown} == {
        ("email", "*", "rarely"),
        ("sms", "*", "silent"),
    }
    # The page shows what holds now: from there it is a new choice.
    followed(client, save(client, answer, {("email", "*"): "daily"}))
    assert api.call("GET", f"/v1/customers/{ben}/dials", role="desk").json["dials"][0]["level"] == "daily"


def test_an_old_tab_makes_quieter(api: Api, ben: UUID) -> None:
    api.turn(ben, ("email", "*", "daily"))
    client, page = visiting(api, ben)
    api.turn(ben, ("email", "*", "weekly"))
    followed(client, save(client, page, {("email", "*"): "silent"}))
    assert reason(api, ben, "email", "events") == "silent"


def test_changes_are_shown_before_they_are_saved(api: Api, ben: UUID) -> None:
    api.turn(ben, ("email", "*", "weekly"))
    client, page = visiting(api, ben)
    before = footprint(api)
    wanted = {("email", "*"): "daily", ("*", "events"): "silent"}
    shown = save(client, page, wanted, "/preferences/check")
    assert shown.status_code == 200
    assert footprint(api) == before
    assert "Email About weekly About daily louder" in text(shown)
    assert "Events About monthly Nothing quieter" in text(shown)
    assert "We keep your choices and follow them." in text(shown)
    again = {
        name: hidden(shown, name)
        for name in (*NOTICE_FIELDS, field(page, ("email", "*")), field(page, ("*", "events")))
    }
    followed(client, post(client, shown, "/preferences", again))
    assert reason(api, ben, "email", "events") == "silent"
    back = post(client, shown, "/preferences/edit", again)
    assert back.status_code == 200


def test_a_quieter_choice_is_shown_no_notice(api: Api, ben: UUID) -> None:
    client, page = visiting(api, ben)
    shown = save(client, page, {("*", "*"): "silent"}, "/preferences/check")
    assert "We keep your choices" not in text(shown)


def test_what_was_saved_can_be_undone(api: Api, ben: UUID) -> None:
    api.turn(ben, ("email", "*", "weekly"))
    client, page = visiting(api, ben)
    told = followed(client, save(client, page, {("email", "*"): "silent", ("*", "offers"): "daily"}))
    # Undoing "silent" is louder: the notice stands with it.
    assert "Before you turn it up again" in text(told)
    fields = {name: hidden(told, name) for name in ("event", *NOTICE_FIELDS)}
    again = followed(client, post(client, told, "/preferences/undo", fields))
    assert "Email Nothing About weekly" in text(again)
    shown = api.call("GET", f"/v1/customers/{ben}/dials", role="desk").json["dials"]
    assert [(one["channel"], one["topic"], one["level"]) for one in shown] == [("email", "*", "weekly")]


def test_undoing_leaves_what_was_turned_since(api: Api, ben: UUID) -> None:
    client, page = visiting(api, ben)
    told = followed(client, save(client, page, {("email", "*"): "weekly", ("sms", "*"): "weekly"}))
    fields = {name: hidden(told, name) for name in ("event", *NOTICE_FIELDS)}
    api.turn(ben, ("email", "*", "silent"))
    post(client, told, "/preferences/undo", fields)
    shown = api.call("GET", f"/v1/customers/{ben}/dials", role="desk").json["dials"]
    assert [(one["channel"], one["level"]) for one in shown] == [("email", "silent")]


def test_somebody_elses_act_cannot_be_undone(api: Api, ben: UUID) -> None:
    other = api.customer(somebody())
    api.turn(other, ("*", "offers", "daily"))
    client, page = visiting(api, ben)
    event = api.events(other)[-1]["id"]
    assert post(client, page, "/preferences/undo", {"event": event}).status_code == 404
    assert post(client, page, "/preferences/undo", {"event": "x"}).status_code == 404


def test_what_others_made_louder_is_shown_until_the_customer_has_acted(api: Api, ben: UUID) -> None:
    api.turn(ben, ("*", "offers", "daily"), ("sms", "*", "silent"))
    client, page = visiting(api, ben)
    assert "Others made this louder since you were here" in text(page)
    assert "Offers Nothing About daily" in text(page)
    assert "Text message Everything Nothing" not in text(page)
    fields = {"quieter": "1", **{name: hidden(page, name) for name in ("event", "shown_at")}}
    undone = followed(client, post(client, page, "/preferences/undo", fields))
    assert "Others made this louder" not in text(undone)
    assert reason(api, ben, "email", "offers") == "no_consent"
    # The quieter part of that act stands.
    assert reason(api, ben, "sms", "events") == "silent"


def test_what_was_made_louder_behind_a_page_is_not_taken_for_seen(api: Api, ben: UUID) -> None:
    client, page = visiting(api, ben)
    api.turn(ben, ("*", "offers", "daily"))
    shown = followed(client, post(client, page, "/preferences/seen", {"shown_at": hidden(page, "shown_at")}))
    assert "Others made this louder" in text(shown)
    shown = followed(client, post(client, shown, "/preferences/seen", {"shown_at": hidden(shown, "shown_at")}))
    assert "Others made this louder" not in text(shown)


def test_quieter_everything_is_one_step(api: Api, ben: UUID) -> None:
    api.turn(ben, ("*", "offers", "daily"), ("email", "*", "weekly"))
    client, page = visiting(api, ben)
    told = followed(client, post(client, page, "/preferences/quieter", {}))
    assert "Offers About daily Some times a week" in text(told)
    shown = api.call("GET", f"/v1/customers/{ben}/dials", role="desk").json["dials"]
    assert {(one["channel"], one["topic"], one["level"]) for one in shown} == {
        ("*", "offers", "busy"),
        ("email", "*", "monthly"),
        ("*", "events", "rarely"),
    }


def test_nothing_at_all_is_one_step(api: Api, ben: UUID) -> None:
    client, page = visiting(api, ben)
    followed(client, post(client, page, "/preferences/nothing", {}))
    assert reason(api, ben, "email", "events") == "silent"
    assert reason(api, ben, "email", "orders") == "essential"


@pytest.mark.parametrize(
    ("fields", "days"), [({"until": "days"}, 30), ({"until": "months"}, 91), ({"until": "date"}, 10)]
)
def test_a_pause_is_one_step(api: Api, ben: UUID, fields: dict[str, str], days: int) -> None:
    client, page = visiting(api, ben)
    day = (datetime.now(UTC) + timedelta(days=10)).date()
    fields = {**fields, "date": day.isoformat(), "channel": "email"}
    shown = followed(client, post(client, page, "/preferences/pause", fields))
    assert "Paused until" in text(shown)
    answer = api.check(f"id:{ben}", "email", "events")
    assert answer["reason"] == "paused"
    until = datetime.fromisoformat(
        api.call("GET", f"/v1/customers/{ben}/dials", role="desk").json["pauses"][0]["until"]
    )
    assert abs((until - datetime.now(UTC)).total_seconds() / 86400 - days) < 2
    followed(client, post(client, shown, "/preferences/resume", {"channel": "email"}))
    assert reason(api, ben, "email", "events") == "allowed"


@pytest.mark.parametrize("day", ["", "2026-02-30", "2001-01-01", "9999-12-31"])
def test_a_pause_until_no_day_is_a_page_that_says_so(api: Api, ben: UUID, day: str) -> None:
    client, page = visiting(api, ben)
    answer = post(client, page, "/preferences/pause", {"until": "date", "date": day, "channel": "*"})
    assert answer.status_code == 422
    assert answer.mimetype == "text/html"


def test_a_link_of_a_campaign_turns_down_and_not_up(api: Api, ben: UUID) -> None:
    api.turn(ben, ("*", "offers", "weekly"), ("email", "*", "monthly"))
    client, page = visiting(api, ben, by_campaign=True)
    told = followed(client, save(client, page, {("*", "offers"): "daily", ("email", "*"): "silent"}))
    assert "Waiting for your confirmation" in text(told)
    shown = api.call("GET", f"/v1/customers/{ben}/dials", role="desk").json["dials"]
    assert {(one["channel"], one["topic"], one["level"]) for one in shown} == {
        ("email", "*", "silent"),
        ("*", "offers", "weekly"),
    }
    assert api.events(ben)[-1]["actor"]["link"]
    # Neither is a pause ended, nor made shorter, nor a step down undone.
    client.post(
        "/preferences/pause", data={"csrf_token": hidden(told, "csrf_token"), "until": "months", "channel": "*"}
    )
    for path, fields in (("resume", {}), ("pause", {"until": "days"})):
        followed(client, post(client, told, f"/preferences/{path}", {"channel": "*", **fields}))
        assert reason(api, ben, "post", "offers") == "paused"
    fields = {name: hidden(told, name) for name in ("event", *NOTICE_FIELDS)}
    followed(client, post(client, told, "/preferences/undo", fields))
    assert api.call("GET", f"/v1/customers/{ben}/dials", role="desk").json["dials"][0]["level"] == "silent"


def test_louder_without_the_notice_is_refused(api: Api, ben: UUID) -> None:
    client, page = visiting(api, ben)
    fields = {"seen": hidden(page, "seen"), field(page, ("*", "offers")): "daily"}
    assert post(client, page, "/preferences", fields).status_code == 422
    assert reason(api, ben, "email", "offers") == "no_consent"


def test_a_form_without_its_token_does_nothing(api: Api, ben: UUID) -> None:
    client, page = visiting(api, ben)
    before = footprint(api)
    for path in ("", "/check", "/edit", "/quieter", "/nothing", "/undo", "/seen", "/pause", "/resume"):
        assert client.post(f"/preferences{path}", data={"seen": hidden(page, "seen")}).status_code == 403
    assert footprint(api) == before


@pytest.mark.parametrize("seen", ["", "d0", "d0=*:*", "d0=a:b:c:d", "d0=*:*:everything " * 6000])
def test_a_form_that_is_not_ours_is_a_page_that_says_so(api: Api, ben: UUID, seen: str) -> None:
    client, page = visiting(api, ben)
    for path in ("/preferences", "/preferences/check", "/preferences/edit"):
        answer = post(client, page, path, {"seen": seen})
        assert answer.status_code in (413, 422)
        assert answer.mimetype == "text/html"


def test_what_the_catalogue_lacks_is_not_turned(api: Api, ben: UUID) -> None:
    client, page = visiting(api, ben)
    fields = {"seen": "d0=fax:*:everything d1=*:shoes:daily d2=email:*:everything"}
    fields |= {"d0": "silent", "d1": "silent", "d2": "loud"}
    assert post(client, page, "/preferences", fields).status_code == 303
    assert api.call("GET", f"/v1/customers/{ben}/dials", role="desk").json["dials"] == []


def test_a_label_is_text_and_nothing_else(api: Api, ben: UUID) -> None:
    evil = '"><svg onload=alert(1)>'
    offers = {**CATALOGUE["topics"]["offers"], "label": {"en": evil}, "benefit": {"de": evil}}
    api.apply({**CATALOGUE, "topics": {**CATALOGUE["topics"], "offers": offers}})
    _, page = visiting(api, ben)
    assert "<svg" not in page.get_data(as_text=True)
    assert evil in text(page)


def test_a_consent_that_ended_can_be_said_again(api: Api, ben: UUID) -> None:
    place = ("email", "offers/garden")
    long_ago = (datetime.now(UTC) - timedelta(days=31)).isoformat()
    assert api.turn(ben, (*place, "weekly"), occurred_at=long_ago).status_code == 200
    client, page = visiting(api, ben)
    assert "Your yes ended on" in text(page)
    assert reason(api, ben, *place) == "consent_expired"
    followed(client, save(client, page, {}, again=[field(page, place)]))
    assert reason(api, ben, *place) == "allowed"
    assert api.events(ben)[-1]["notice"]["id"] == "preferences"


def test_a_merged_customer_is_the_survivor_and_an_erased_one_is_told(api: Api, ben: UUID) -> None:
    other = api.customer(somebody())
    client, _ = visiting(api, other)
    assert api.post(f"/v1/customers/{ben}/merge", {"other": str(other)}, role="desk").status_code == 200
    page = client.get("/preferences")
    followed(client, save(client, page, {("email", "*"): "silent"}))
    assert reason(api, ben, "email", "events") == "silent"
    assert api.post(f"/v1/customers/{ben}/erase", {}, role="desk").status_code < 300
    assert client.get("/preferences").status_code == 404


def test_an_old_link_does_not_open_the_desk(api: Api, ben: UUID) -> None:
    client = browser(api)
    client.get(link_to(api, ben, minted_at=datetime.now(UTC) - timedelta(days=40)))
    assert client.get("/preferences").headers["Location"].startswith("/link")
