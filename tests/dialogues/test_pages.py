"""The customer's conversations as a browser without scripts has them: what they say, and what each form does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.customers.people import dials, somebody, types
from tests.dialogues.conftest import Talk, somebody_talking
from tests.dials.test_desk_page import followed, text
from tests.support.api import CATALOGUE, Api
from tests.support.pages import browser, hidden, link_to, post
from tests.web.asking import footprint

LOUDER: dict[str, Any] = {"text": "Now and then", "dial": {"channel": "email", "topic": "offers", "level": "monthly"}}
TERMS: dict[str, Any] = {"terms": {"contacts": 5, "channels": ["email", "phone", "sms"]}}
MADE: dict[str, Any] = {"specification": {"size": 42, "stitching": {"colour": "red", "double": True}}}
NOTICE_FIELDS = ("notice_id", "notice_version", "notice_locale")


def day(ahead: int) -> str:
    return (datetime.now(UTC) + timedelta(days=ahead)).date().isoformat()


def visiting(api: Api, customer: UUID, **link: Any) -> FlaskClient:
    client = browser(api)
    client.get(link_to(api, customer, locale="en", **link))
    return client


class Reader:
    """The customer of a talk, on its page."""

    def __init__(self, talk: Talk, **link: Any) -> None:
        self.talk, self.path = talk, f"/dialogues/{talk.id}"
        self.client = visiting(talk.api, talk.customer_id, **link)
        self.page = self.look()

    def look(self) -> TestResponse:
        self.page = self.client.get(self.path)
        assert self.page.status_code == 200, text(self.page)
        return self.page

    def sends(self, path: str, **fields: Any) -> TestResponse:
        return post(self.client, self.page, self.path + path, fields)

    def limits(self, **fields: Any) -> TestResponse:
        """The form of the limits, with these of them changed."""
        shown = self.talk.shown()
        sent: dict[str, Any] = {
            "seen-channels": shown["channels"],
            "seen-until": hidden(self.page, "seen-until"),
            "seen-contacts": hidden(self.page, "seen-contacts"),
        }
        sent |= {name.removeprefix("seen-"): value for name, value in sent.items()}
        return self.sends("/terms", **{**sent, **fields})

    def answers(self, number: int, **fields: Any) -> TestResponse:
        notice = {name: hidden(self.page, name) for name in NOTICE_FIELDS if name in self.page.get_data(as_text=True)}
        return self.sends(f"/proposals/{number}", **notice, **fields)


@pytest.fixture
def reader(talk: Talk) -> Reader:
    return Reader(talk)


def begun(client: FlaskClient, **fields: Any) -> TestResponse:
    page = client.get("/dialogues/new?topic=offers/wine")
    sent = {"shown_at": hidden(page, "shown_at"), "topic": "offers/wine", "subject": "A wedding", "message": "Sixty"}
    sent |= {"channels": ["email"], "contacts": "3", "until": day(30)}
    return post(client, page, "/dialogues/new", {**sent, **fields})


def test_looking_changes_nothing(reader: Reader) -> None:
    reader.talk.proposal(LOUDER, TERMS, MADE)
    before = footprint(reader.talk.api)
    for path in ("/dialogues", "/dialogues/new", reader.path):
        for method in ("GET", "HEAD"):
            assert reader.client.open(path, method=method).status_code == 200
    assert footprint(reader.talk.api) == before


def test_a_conversation_begins_from_a_topic(shared_api: Api) -> None:
    ben = shared_api.customer(somebody())
    client = visiting(shared_api, ben)
    assert 'href="/dialogues/new?topic=offers/wine"' in client.get("/preferences").get_data(as_text=True)
    form = client.get("/dialogues/new?topic=offers/wine").get_data(as_text=True)
    assert '<option value="offers/wine" selected>' in form
    assert 'name="channels" value="email" checked' in form
    assert f'value="{day(30)}"' in form
    page = followed(client, begun(client))
    assert "The conversation has begun." in text(page)
    assert "A wedding" in text(page)
    assert shared_api.check(f"id:{ben}", "email", "offers/wine")["reason"] == "in_dialogue"
    event = shared_api.events(ben)[-1]
    assert (event["type"], event["source"], event["actor"]["role"]) == ("dialogue.opened", "web", "customer")


def test_without_a_subject_it_is_called_as_its_topic(shared_api: Api) -> None:
    client = visiting(shared_api, shared_api.customer(somebody()))
    page = followed(client, begun(client, subject="  "))
    assert "Offers › Wine" in text(page)


def test_a_form_that_is_sent_again_begins_one_conversation(shared_api: Api) -> None:
    ben = shared_api.customer(somebody())
    client = visiting(shared_api, ben)
    page = client.get("/dialogues/new")
    sent = {"shown_at": hidden(page, "shown_at"), "topic": "offers", "channels": ["email"], "contacts": "3"}
    sent |= {"until": day(3), "subject": "A gift", "message": ""}
    answers = [post(client, page, "/dialogues/new", sent) for _ in range(2)]
    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    assert types(shared_api, ben).count("dialogue.opened") == 1
    other = post(client, page, "/dialogues/new", {**sent, "message": "And a card"})
    assert other.headers["Location"] != answers[0].headers["Location"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("channels", []),
        ("contacts", "0"),
        ("contacts", "101"),
        ("contacts", "½"),
        ("until", "soon"),
        ("until", "2020-01-01"),
        ("until", "9999-12-31"),
        ("subject", "x" * 201),
        ("message", "x" * 4001),
    ],
)
def test_what_is_wrong_in_the_form_is_said_at_its_field(shared_api: Api, field: str, value: Any) -> None:
    ben = shared_api.customer(somebody())
    client = visiting(shared_api, ben)
    answer = begun(client, **{"message": "Kept words", field: value})
    assert answer.status_code == 422
    assert f'href="#f-{field}"' in answer.get_data(as_text=True)
    assert f'id="f-{field}-error"' in answer.get_data(as_text=True)
    if field != "message":
        assert "Kept words" in text(answer)
    assert "dialogue.opened" not in types(shared_api, ben)


def test_a_pause_that_stops_it_is_said_when_it_begins_and_in_the_list(shared_api: Api) -> None:
    ben = shared_api.customer(somebody())
    until = (datetime.now(UTC) + timedelta(days=9)).isoformat()
    paused = shared_api.call("PUT", f"/v1/customers/{ben}/pause", {"until": until, "channel": "email"}, role="desk")
    assert paused.status_code < 300
    client = visiting(shared_api, ben)
    page = followed(client, begun(client, channels=["email", "phone"]))
    for one in (page, client.get("/dialogues"), client.get("/dialogues/new")):
        assert "By Email nothing comes until" in text(one)
    assert shared_api.check(f"id:{ben}", "email", "offers/wine")["reason"] == "paused"


def test_the_list_has_open_ones_first_and_what_is_left_of_each(shared_api: Api) -> None:
    talk = somebody_talking(shared_api, subject="The first")
    asked = {"customer": f"id:{talk.customer_id}", "channel": "email", "topic": "offers"}
    assert shared_api.post("/v1/contacts", asked).status_code == 201
    second = talk.opens(subject="The second").json["id"]
    shared_api.call("POST", f"/v1/dialogues/{second}/close", {}, key=talk.token)
    shown = text(visiting(shared_api, talk.customer_id).get("/dialogues"))
    assert shown.index("The first") < shown.index("Ended") < shown.index("The second")
    assert "3 messages or calls 2 left" in shown
    assert "You wait for our answer" in shown


def test_a_message_stands_once_however_often_it_is_sent(reader: Reader) -> None:
    seen = hidden(reader.page, "seen")
    for _ in range(2):
        page = followed(reader.client, reader.sends("/message", message="Which\r\ncolour?", seen=seen))
    assert reader.talk.kinds() == ["opening", "message"]
    assert reader.talk.shown()["entries"][-1]["text"] == "Which\ncolour?"
    assert "Your message stands below." in text(page)
    followed(reader.client, reader.sends("/message", message="Which\r\ncolour?", seen="2"))
    assert reader.talk.kinds() == ["opening", "message", "message"]


@pytest.mark.parametrize("message", ["", "  \r\n ", "x" * 4001])
def test_a_message_that_cannot_stand_is_told_and_kept(reader: Reader, message: str) -> None:
    answer = reader.sends("/message", message=message, seen="1")
    assert answer.status_code == 422
    assert 'id="f-message-error"' in answer.get_data(as_text=True)
    assert reader.talk.kinds() == ["opening"]


def test_it_is_closed_in_one_step_and_nothing_is_said_in_it_any_more(reader: Reader) -> None:
    seen = hidden(reader.page, "seen")
    for _ in range(2):
        page = followed(reader.client, reader.sends("/close"))
        assert "You closed it on" in text(page)
    assert reader.talk.kinds() == ["opening", "closing"]
    answer = reader.sends("/message", message="One more", seen=seen)
    assert answer.status_code == 409
    assert "This conversation was closed meanwhile." in text(answer)


def test_only_the_limits_that_were_changed_are_set(reader: Reader) -> None:
    before = reader.talk.shown()
    followed(reader.client, reader.limits(contacts="2"))
    after = reader.talk.shown()
    assert (after["contacts"], after["until"], after["channels"]) == (2, before["until"], before["channels"])
    reader.look()
    page = followed(reader.client, reader.limits(contacts="10", until=day(60), any_time="1"))
    assert "At most 10 messages or calls" in text(page)
    assert reader.talk.shown()["any_time"] is True
    assert types(reader.talk.api, reader.talk.customer_id)[-2:] == ["dialogue.narrowed", "dialogue.widened"]


def test_an_old_tab_widens_nothing_over_what_is_newer(reader: Reader) -> None:
    reader.talk.customer("PATCH", body={"contacts": 1})
    answer = reader.limits(contacts="2")
    assert answer.status_code == 409
    assert "nothing was widened" in text(answer)
    assert reader.talk.shown()["contacts"] == 1
    # Narrower is never stale.
    followed(reader.client, reader.limits(channels=["email"]))
    assert (reader.talk.shown()["contacts"], reader.talk.shown()["channels"]) == (1, ["email"])


def test_a_proposal_shows_what_would_change_and_the_notice(reader: Reader) -> None:
    reader.talk.proposal(LOUDER, TERMS, MADE)
    shown = text(reader.look())
    assert "Offers by Email Nothing About monthly louder" in shown
    assert "At most 3 messages or calls 5 messages or calls" in shown
    assert "stitching › colour red" in shown
    assert "We keep your choices and follow them." in shown
    assert "checked" not in reader.page.get_data(as_text=True).split('class="line')[1].split("</fieldset>")[0]


def test_what_is_accepted_is_done_once(reader: Reader) -> None:
    number = reader.talk.proposal(LOUDER, TERMS, MADE)
    reader.look()
    for _ in range(2):
        page = followed(reader.client, reader.answers(number, all="accept", text="Gladly"))
        assert "Your answer is recorded." in text(page)
    assert dials(reader.talk.api, reader.talk.customer_id) == {("email", "offers"): "monthly"}
    assert reader.talk.kinds() == ["opening", "proposal", "acceptance", "terms"]
    other = reader.answers(number, all="refuse")
    assert other.status_code == 409
    assert "This proposal was answered already." in text(other)


def test_a_proposal_is_answered_line_by_line_and_each_kind_can_be_changed(reader: Reader) -> None:
    number = reader.talk.proposal(LOUDER, TERMS, MADE, LOUDER | {"dial": LOUDER["dial"] | {"channel": "phone"}})
    reader.look()
    fields: dict[str, Any] = {"l1": "change", "l1-level": "rarely", "l2": "change", "l3": "change", "l4": "refuse"}
    fields |= {"l2-contacts": "2", "l2-channels": ["email"], "l3-0": "44", "l3-1": "blue", "l3-2": "no"}
    page = followed(reader.client, reader.answers(number, **fields))
    assert dials(reader.talk.api, reader.talk.customer_id) == {("email", "offers"): "rarely"}
    shown = reader.talk.shown()
    assert (shown["contacts"], shown["channels"]) == (2, ["email"])
    entry = shown["entries"][2]
    assert entry["kind"] == "counter_proposal"
    assert entry["lines"][2]["specification"] == {"size": 44, "stitching": {"colour": "blue", "double": False}}
    assert "Proposal accepted with changes" in text(page)


def test_a_line_without_an_answer_is_told_and_nothing_is_done(reader: Reader) -> None:
    number = reader.talk.proposal(LOUDER, MADE)
    reader.look()
    answer = reader.answers(number, l1="accept", text="Kept words")
    assert answer.status_code == 422
    assert "Line 2 of the proposal has no answer" in text(answer)
    assert "Kept words" in text(answer)
    assert reader.talk.kinds() == ["opening", "proposal"]


def test_a_proposal_that_was_taken_back_is_answered_by_nobody(reader: Reader) -> None:
    number = reader.talk.proposal(LOUDER)
    reader.look()
    reader.talk.company("POST", "/entries", {"withdrawal": {"proposal": number}})
    answer = reader.answers(number, all="accept")
    assert answer.status_code == 409
    assert "taken back meanwhile" in text(answer)
    assert dials(reader.talk.api, reader.talk.customer_id) == {}


def test_from_a_campaigns_link_no_words_are_shown_and_less_is_possible_but_nothing_more(talk: Talk) -> None:
    talk.opens(subject="Secret subject")
    number = talk.proposal({"text": "Secret line", **MADE})
    reader = Reader(talk, by_campaign=True)
    for path in ("/dialogues", "/dialogues/new", reader.path):
        shown = text(reader.client.get(path))
        assert "Secret" not in shown
        assert "A gift" not in shown
        assert "Mail me my own link" in shown
    before = footprint(talk.api)
    assert begun_by(reader).status_code == 303
    assert reader.sends("/message", message="Hello", seen="1").status_code == 303
    assert reader.answers(number, all="accept").status_code == 303
    refused = reader.limits(contacts="50")
    assert refused.status_code == 422
    assert "Mail me my own link" in text(refused)
    assert footprint(talk.api) == before
    followed(reader.client, reader.limits(contacts="1"))
    assert talk.shown()["contacts"] == 1
    followed(reader.client, reader.sends("/close"))
    assert talk.shown()["state"] == "closed"


def begun_by(reader: Reader) -> TestResponse:
    fields = {"shown_at": "2026-01-01T00:00:00Z", "topic": "offers", "channels": ["email"], "contacts": "3"}
    return post(reader.client, reader.page, "/dialogues/new", {**fields, "until": day(3)})


def test_anothers_conversation_is_not_there(reader: Reader, shared_api: Api) -> None:
    stranger = visiting(shared_api, shared_api.customer(somebody()))
    for path in (reader.path, "/dialogues/x", "/dialogues/" + "A" * 43):
        assert stranger.get(path).status_code == 404
    page = stranger.get("/dialogues")
    before = footprint(shared_api)
    for step in ("/message", "/close", "/terms", "/proposals/1", "/proposals/x", "/proposals/0"):
        fields = {"message": "x", "seen": "1", "channels": ["email"], "contacts": "1", "until": day(1)}
        assert post(stranger, page, reader.path + step, fields).status_code == 404, step
    assert footprint(shared_api) == before


def test_no_form_works_without_its_token(reader: Reader) -> None:
    number = reader.talk.proposal(LOUDER)
    for step in ("/message", "/close", "/terms", f"/proposals/{number}"):
        answer = reader.client.post(reader.path + step, data={"message": "x", "all": "accept"})
        assert answer.status_code == 403, step
    assert reader.client.post("/dialogues/new", data={}).status_code == 403
    assert reader.talk.kinds() == ["opening", "proposal"]


def test_a_long_conversation_begins_with_what_is_newest(reader: Reader) -> None:
    for number in range(60):
        reader.talk.customer("POST", "/entries", {"message": f"Word {number}."})
    shown = reader.look().get_data(as_text=True)
    assert "Word 59." in shown
    assert "Word 5." not in shown
    earlier = reader.client.get(f"{reader.path}?after=0").get_data(as_text=True)
    assert "Word 5." in earlier
    assert "Word 59." not in earlier


def test_what_has_to_be_confirmed_by_mail_is_told_and_nothing_is_done(module_database: Any) -> None:
    channels = {**CATALOGUE["channels"], "email": {**CATALOGUE["channels"]["email"], "confirm": True}}
    api = Api(module_database, {**CATALOGUE, "channels": channels})
    try:
        reader = Reader(somebody_talking(api))
        number = reader.talk.proposal(LOUDER, TERMS)
        reader.look()
        answer = reader.answers(number, all="accept")
        assert answer.status_code == 422
        assert "has to be confirmed from your mail first, so nothing was done" in text(answer)
        assert reader.talk.kinds() == ["opening", "proposal"]
        followed(reader.client, reader.answers(number, l1="refuse", l2="accept"))
        assert reader.talk.shown()["contacts"] == 5
    finally:
        api.apply(CATALOGUE)
        api.close()
