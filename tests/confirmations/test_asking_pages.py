"""The pages on which something is asked for that waits: what is quieter is done, what waits is shown and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from tests.confirmations.test_confirming import WITH_CONFIRMATION, dials_of, mailed, waiting
from tests.support.api import Api
from tests.support.mailserver import Mailbox, mail_server
from tests.support.pages import browser, hidden, link_to, post
from tests.support.soundness import expect_sound

NOTICE = {"notice_id": "preferences", "notice_version": "1", "notice_locale": "en"}


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mail_server() as running:
        yield running


@pytest.fixture
def ben(api: Api) -> UUID:
    return api.customer("email:ben@example.com", "phone:+442079460018")


def desk(api: Api, owner: UUID, *, by_campaign: bool = True) -> FlaskClient:
    client = browser(api)
    client.get(link_to(api, owner, by_campaign=by_campaign))
    return client


def save(client: FlaskClient, *turned: tuple[str, str]) -> str:
    """Saves dials by place; where it leads."""
    page = client.get("/preferences")
    seen = hidden(page, "seen")
    names = {one.partition("=")[2].rpartition(":")[0]: one.partition("=")[0] for one in seen.split(" ")}
    fields = {"seen": seen, **NOTICE, **{names[place]: level for place, level in turned}}
    answer = post(client, page, "/preferences", fields)
    assert answer.status_code == 303, answer.get_data(as_text=True)
    return str(answer.headers["Location"])


def test_a_desk_by_a_campaigns_link_saves_what_is_quieter_and_asks_about_the_rest(
    api: Api, box: Mailbox, ben: UUID
) -> None:
    client = desk(api, ben)
    assert "waiting=1" in save(client, ("*:offers", "weekly"), ("email:*", "silent"))
    assert dials_of(api, ben) == {("email", "*"): "silent"}
    shown = client.get("/preferences").get_data(as_text=True)
    assert "Please look into your mail" in shown
    assert "Offers: About weekly." in shown
    assert "ben@example.com" not in shown
    mailed(api, box)
    assert box.recipients == ["ben@example.com"]
    expect_sound(api.made)


def test_what_waits_is_taken_back_in_one_step(api: Api, ben: UUID) -> None:
    client = desk(api, ben)
    save(client, ("*:offers", "weekly"))
    page = client.get("/preferences")
    answer = post(client, page, "/confirm/withdraw", {"change": hidden_button(page.get_data(as_text=True))})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/preferences")
    assert waiting(api, ben) == []


def hidden_button(html: str) -> str:
    return html.split('name="change" value="')[1].split('"')[0]


def test_a_channel_that_no_mail_confirms_is_told_and_the_quieter_part_is_saved(api: Api, ben: UUID) -> None:
    api.apply(WITH_CONFIRMATION)
    client = desk(api, ben, by_campaign=False)
    assert "unasked=desk" in save(client, ("sms:offers", "weekly"), ("email:*", "silent"))
    assert dials_of(api, ben) == {("email", "*"): "silent"}
    told = client.get("/preferences?unasked=desk").get_data(as_text=True)
    assert "Please call or write to our service desk: they confirm it with you" in told


def test_a_pause_that_a_campaigns_link_ends_waits(api: Api, ben: UUID) -> None:
    client = desk(api, ben)
    post(client, client.get("/preferences"), "/preferences/pause", {"until": "days", "channel": "*"})
    answer = post(client, client.get("/preferences"), "/preferences/resume", {"channel": "*"})
    assert answer.headers["Location"] == "/preferences?waiting=1"
    assert [one.pauses for one in waiting(api, ben)] == [{"*": None}]
    assert "The pause ends: Everything" in client.get("/preferences").get_data(as_text=True)


def test_more_like_this_from_a_campaigns_message_waits(api: Api, ben: UUID) -> None:
    client = browser(api)
    client.get(link_to(api, ben, "louder", by_campaign=True, place=("email", "offers/wine")))
    page = client.get("/louder")
    html = page.get_data(as_text=True)
    wanted = html.split('name="to" value="')[1].split('"')[0]
    answer = post(client, page, "/louder", {"to": wanted, "dials": hidden(page, "dials"), **NOTICE})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/louder?waiting=1")
    assert dials_of(api, ben) == {}
    (asked,) = waiting(api, ben)
    assert asked.source == "link"
    assert "Please look into your mail" in client.get("/louder").get_data(as_text=True)
