"""What others loosened since the customer last looked: stops that were lifted, pauses that were ended."""

from __future__ import annotations

from uuid import UUID

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.dials.test_desk_page import followed, reason, text, visiting
from tests.support.api import Api
from tests.support.pages import hidden, post
from tests.support.soundness import expect_sound

OTHERS = "Others made this louder since you were here"
NUMBER = "phone:+447700900123"


@pytest.fixture
def ben(api: Api) -> UUID:
    return api.customer("email:ben@example.com", NUMBER)


def stop(api: Api, **fields: str) -> str:
    return str(api.post("/v1/suppressions", {"kind": "marketing", "reason": "asked", **fields}, role="desk").json["id"])


def lift(api: Api, suppression: str) -> None:
    assert api.call("DELETE", f"/v1/suppressions/{suppression}", role="desk").status_code == 204


def undone(client: FlaskClient, page: TestResponse) -> TestResponse:
    fields = {"quieter": "1", **{name: hidden(page, name) for name in ("event", "shown_at")}}
    return followed(client, post(client, page, "/preferences/undo", fields))


@pytest.mark.parametrize("channel", [None, "sms"])
def test_a_stop_on_the_person_that_was_lifted_comes_first_and_stands_again_in_one_step(
    api: Api, ben: UUID, channel: str | None
) -> None:
    lift(api, stop(api, customer=f"id:{ben}", **({"channel": channel} if channel else {})))
    assert reason(api, ben, "sms", "events") == "allowed"
    client, page = visiting(api, ben)
    shown = text(page)
    assert shown.index(OTHERS) < shown.index("As it stands")
    assert f"Advertising was stopped, and is no longer: {'Text message' if channel else 'Everything'}" in shown
    assert OTHERS not in text(undone(client, page))
    assert reason(api, ben, "sms", "events") == "suppressed"
    assert reason(api, ben, "email", "events") == ("allowed" if channel else "suppressed")
    event = api.events(ben)[-1]
    assert (event["type"], event["source"], event["actor"]["role"]) == ("suppression.set", "web", "customer")
    # Sent again: nothing more.
    before = api.events(ben)
    undone(client, page)
    assert api.events(ben) == before
    expect_sound(api.made)


def test_a_stop_on_a_number_that_was_lifted_stands_again_for_the_person_alone(api: Api, ben: UUID) -> None:
    lift(api, stop(api, contact_point=NUMBER, kind="all"))
    client, page = visiting(api, ben)
    assert "Messages were stopped, and are no longer: Text message" in text(page)
    assert OTHERS not in text(undone(client, page))
    assert reason(api, ben, "sms", "orders") == "suppressed"
    assert reason(api, ben, "phone", "orders") == "suppressed"
    assert reason(api, ben, "email", "orders") == "essential"
    expect_sound(api.made)


def test_what_another_stop_still_holds_is_not_told(api: Api, ben: UUID) -> None:
    stop(api, customer=f"id:{ben}")
    for one in (
        stop(api, customer=f"id:{ben}", channel="sms"),
        stop(api, contact_point=NUMBER),
    ):
        lift(api, one)
    _, page = visiting(api, ben)
    assert OTHERS not in text(page)
    # But a stop of advertising does not hold what one of everything held.
    lift(api, stop(api, customer=f"id:{ben}", kind="all"))
    assert OTHERS in text(visiting(api, ben)[1])


def test_a_lifted_stop_is_told_until_the_customer_has_acted(api: Api, ben: UUID) -> None:
    lift(api, stop(api, customer=f"id:{ben}"))
    client, page = visiting(api, ben)
    seen = followed(client, post(client, page, "/preferences/seen", {"shown_at": hidden(page, "shown_at")}))
    assert OTHERS not in text(seen)
    assert reason(api, ben, "sms", "events") == "allowed"


@pytest.mark.parametrize("channel", ["*", "sms"])
def test_a_pause_that_others_ended_comes_first_and_holds_again_in_one_step(api: Api, ben: UUID, channel: str) -> None:
    until = "2031-01-01T00:00:00Z"
    path = f"/v1/customers/{ben}/pause"
    assert api.call("PUT", path, {"until": until, "channel": channel}, role="desk").status_code == 200
    assert api.call("DELETE", f"{path}?channel={channel}", role="desk").status_code in (200, 204)
    client, page = visiting(api, ben)
    assert OTHERS in text(page)
    assert "A pause was ended or made shorter." in text(page)
    assert OTHERS not in text(undone(client, page))
    assert reason(api, ben, "sms", "events") == "paused"
    pauses = api.call("GET", f"/v1/customers/{ben}/dials", role="desk").json["pauses"]
    assert [(one["channel"], one["until"]) for one in pauses] == [(channel, until)]
