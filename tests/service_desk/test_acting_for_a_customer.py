"""What the service desk does on a customer's word: louder with evidence and notice, quieter without, and on record."""

from __future__ import annotations

from uuid import UUID

import pytest
from flask.testing import FlaskClient

from tests.dials.test_desk_page import followed, reason, save, text
from tests.service_desk.desk import looking_after, path, signed_in
from tests.support.api import NOTICE, Api
from tests.support.pages import browser, hidden, link_to, post
from tests.support.soundness import expect_sound
from tests.web.asking import footprint, rows

READ_OUT = {"read_out": "1"}


@pytest.fixture
def ben(api: Api) -> UUID:
    return api.customer("email:ben@example.com", "phone:+447700900123", time_zone="Europe/Paris")


@pytest.fixture
def agent(api: Api) -> FlaskClient:
    return signed_in(api)


def turned(api: Api, customer: UUID) -> dict[tuple[str, str], str]:
    shown = api.call("GET", f"/v1/customers/{customer}/dials", role="desk").json["dials"]
    return {(one["channel"], one["topic"]): one["level"] for one in shown}


def test_looking_changes_nothing(api: Api, ben: UUID, agent: FlaskClient) -> None:
    before = footprint(api)
    for address in (path(ben), f"{path(ben)}?by=email", f"{path(ben)}?saved={ben}&waiting=1", "/desk"):
        assert agent.get(address).status_code == 200
        assert agent.head(address).status_code == 200
    assert footprint(api) == before


def test_at_the_top_stands_whether_to_call_and_about_what(api: Api, ben: UUID, agent: FlaskClient) -> None:
    api.turn(ben, ("phone", "offers/wine", "monthly"))
    page = text(looking_after(agent, ben))
    assert page.index("By: Phone call") < page.index("The customer's word") < page.index("Everything together")
    assert "Offers No . They have not asked for it." in page
    expected = api.check(f"id:{ben}", "phone", "offers/wine")
    assert ("Wine Yes . There is room for it." in page) == expected["allowed"]
    assert "Your orders Yes . They need to know this." in page


def test_the_glance_is_the_answer_of_the_check(api: Api, ben: UUID, agent: FlaskClient) -> None:
    api.turn(ben, ("*", "offers", "monthly"), ("*", "events", "silent"))
    assert "Offers Yes . There is room for it." in text(agent.get(f"{path(ben)}?by=email"))
    api.post("/v1/contacts", {"customer": f"id:{ben}", "channel": "email", "topic": "offers"})
    page = text(agent.get(f"{path(ben)}?by=email"))
    assert "Offers No . They have heard as much as they want. Possible again:" in page
    assert "Events No . They want to hear nothing of it." in page
    # A channel that is none shows calls.
    assert "By: Phone call" in text(agent.get(f"{path(ben)}?by=fax"))


def test_louder_needs_evidence_and_the_notice_read_out(api: Api, ben: UUID, agent: FlaskClient) -> None:
    wanted = {("*", "offers"): "weekly"}
    before = footprint(api)
    bare = save(agent, looking_after(agent, ben), wanted, path(ben), **READ_OUT)
    assert bare.status_code == 422
    assert "write down the call or letter first" in text(bare)
    unread = save(agent, looking_after(agent, ben, "C-4711"), wanted, path(ben))
    assert unread.status_code == 422
    assert "read the notice out" in text(unread)
    assert footprint(api) == before
    # What was chosen is still chosen: the form is sent again, once it is read out.
    done = followed(agent, save(agent, unread, wanted, path(ben), **READ_OUT))
    assert "Saved. It holds from now on." in text(done)
    assert turned(api, ben) == {("*", "offers"): "weekly"}


def test_history_says_who_acted_for_whom_how_it_came_and_what_was_read_out(
    api: Api, ben: UUID, agent: FlaskClient
) -> None:
    page = looking_after(agent, ben, "C-4711")
    followed(agent, save(agent, page, {("*", "offers"): "weekly"}, path(ben), **READ_OUT))
    event = api.events(ben)[-1]
    assert event["type"] == "dials.changed"
    assert event["customer_id"] == str(ben)
    assert event["actor"] == {"role": "desk", "name": "desk key"}
    assert (event["source"], event["evidence"]) == ("phone", {"reference": "C-4711"})
    assert event["notice"] == {**NOTICE, "text": "We keep your choices and follow them."}
    assert event["request_id"] is not None


def test_quieter_needs_nothing(api: Api, ben: UUID, agent: FlaskClient) -> None:
    api.turn(ben, ("*", "offers", "weekly"))
    followed(agent, save(agent, looking_after(agent, ben), {("*", "offers"): "rarely"}, path(ben)))
    assert turned(api, ben)["*", "offers"] == "rarely"
    event = api.events(ben)[-1]
    assert (event["source"], event["evidence"], event["notice"]) == ("phone", None, None)
    assert event["actor"]["role"] == "desk"


def test_everything_quieter_and_nothing_at_all_are_one_step(api: Api, ben: UUID, agent: FlaskClient) -> None:
    api.turn(ben, ("*", "offers", "weekly"))
    page = looking_after(agent, ben)
    followed(agent, post(agent, page, f"{path(ben)}/quieter", {}))
    assert turned(api, ben)["*", "offers"] == "monthly"
    followed(agent, post(agent, page, f"{path(ben)}/nothing", {}))
    assert turned(api, ben)["*", "*"] == "silent"
    assert reason(api, ben, "email", "offers") == "silent"


def test_what_was_saved_is_undone_louder_with_what_louder_needs(api: Api, ben: UUID, agent: FlaskClient) -> None:
    api.turn(ben, ("*", "offers", "weekly"))
    page = looking_after(agent, ben)
    told = followed(agent, save(agent, page, {("*", "offers"): "silent"}, path(ben)))
    undoing = {"event": api.events(ben)[-1]["id"], **{f"notice_{name}": value for name, value in NOTICE.items()}}
    assert post(agent, told, f"{path(ben)}/undo", {**undoing, **READ_OUT}).status_code == 422
    page = looking_after(agent, ben, "C-1")
    followed(agent, post(agent, page, f"{path(ben)}/undo", {**undoing, **READ_OUT}))
    assert turned(api, ben)["*", "offers"] == "weekly"


def test_a_pause_needs_nothing_and_its_end_needs_evidence(api: Api, ben: UUID, agent: FlaskClient) -> None:
    page = looking_after(agent, ben)
    followed(agent, post(agent, page, f"{path(ben)}/pause", {"channel": "*", "until": "months"}))
    assert reason(api, ben, "email", "events") == "paused"
    event = api.events(ben)[-1]
    assert (event["type"], event["source"], event["actor"]["role"]) == ("pause.set", "phone", "desk")
    shorter = post(agent, page, f"{path(ben)}/pause", {"channel": "*", "until": "days"})
    ended = post(agent, page, f"{path(ben)}/resume", {"channel": "*"})
    assert (shorter.status_code, ended.status_code) == (422, 422)
    assert reason(api, ben, "email", "events") == "paused"
    page = looking_after(agent, ben, "letter of 3 May")
    followed(agent, post(agent, page, f"{path(ben)}/resume", {"channel": "*"}))
    assert reason(api, ben, "email", "events") == "allowed"
    assert api.events(ben)[-1]["evidence"] == {"reference": "letter of 3 May"}
    expect_sound(api.made)


def test_a_day_that_is_none_pauses_nothing_and_is_told(api: Api, ben: UUID, agent: FlaskClient) -> None:
    page = looking_after(agent, ben)
    for day in ("", "2020-01-01", "2026-02-31"):
        answer = post(agent, page, f"{path(ben)}/pause", {"channel": "*", "until": "date", "date": day})
        assert answer.status_code == 422
        assert "The day must lie ahead" in text(answer)


def test_changes_are_shown_before_they_are_saved(api: Api, ben: UUID, agent: FlaskClient) -> None:
    before = footprint(api)
    page = looking_after(agent, ben, "C-1")
    checked = save(agent, page, {("*", "offers"): "weekly"}, f"{path(ben)}/check")
    assert checked.status_code == 200
    assert "I have read this out to the customer." in text(checked)
    assert f'action="{path(ben)}"' in checked.get_data(as_text=True)
    again = save(agent, page, {("*", "offers"): "weekly"}, f"{path(ben)}/edit")
    assert "May we make contact now?" in text(again)
    assert footprint(api) == before


def test_a_stale_page_makes_nothing_louder(api: Api, ben: UUID, agent: FlaskClient) -> None:
    api.turn(ben, ("email", "*", "weekly"))
    page = looking_after(agent, ben, "C-1")
    api.turn(ben, ("email", "*", "rarely"))
    answer = save(agent, page, {("email", "*"): "daily"}, path(ben), **READ_OUT)
    assert answer.status_code == 409
    assert "was not saved" in text(answer)
    assert turned(api, ben)["email", "*"] == "rarely"


def test_what_the_desk_made_louder_is_still_shown_to_the_customer(api: Api, ben: UUID, agent: FlaskClient) -> None:
    page = looking_after(agent, ben, "C-1")
    followed(agent, save(agent, page, {("*", "offers"): "weekly"}, path(ben), **READ_OUT))
    looking_after(agent, ben)
    assert rows(api, "SELECT count(*) FROM desk_visit") == [(0,)]
    client = browser(api)
    client.get(link_to(api, ben, locale="en"))
    assert "Others made this louder since you were here" in text(client.get("/preferences"))
    # Following a customer's link in the same browser signs the agent out.
    agent.get(link_to(api, ben, locale="en"))
    assert agent.get(path(ben)).status_code == 303


def test_a_reference_holds_for_its_own_customer_only(api: Api, ben: UUID, agent: FlaskClient) -> None:
    ada = api.customer("email:ada@example.com")
    looking_after(agent, ben, "C-1")
    answer = save(agent, looking_after(agent, ada), {("*", "offers"): "weekly"}, path(ada), **READ_OUT)
    assert answer.status_code == 422
    # And it is one short line from a list of ways.
    page = looking_after(agent, ada)
    for source, reference in (("web", "C"), ("import", "C"), ("phone", "x" * 101), ("phone", "a\u2028b")):
        said = {"source": source, "reference": reference}
        assert post(agent, page, f"{path(ada)}/word", said).status_code == 422


def test_nobody_acts_for_somebody_who_is_not_there(api: Api, ben: UUID, agent: FlaskClient) -> None:
    api.post(f"/v1/customers/{ben}/erase", role="desk")
    home = agent.get("/desk")
    for customer in (ben, UUID(int=7)):
        assert agent.get(path(customer)).status_code == 404
        assert post(agent, home, f"{path(customer)}/nothing", {}).status_code == 404
    assert agent.get("/desk/customers/7").status_code == 404


def test_a_form_without_its_token_is_refused(api: Api, ben: UUID, agent: FlaskClient) -> None:
    page = looking_after(agent, ben, "C-1")
    before = footprint(api)
    every = [
        "/suppress",
        "/lift",
        "/drop",
        "/confirm",
        "/accept",
        "/remove",
        "/merge",
        "",
        "/word",
        "/check",
        "/edit",
        "/undo",
        "/quieter",
        "/nothing",
        "/pause",
        "/resume",
    ]
    assert {path(ben) + one for one in every} | {"/desk", "/desk/find", "/desk/sign-out"} == forms_of(api, ben)
    for address in forms_of(api, ben):
        assert agent.post(address, data={}).status_code == 403, address
        fields = {"csrf_token": hidden(page, "csrf_token")}
        elsewhere = agent.post(address, data=fields, headers={"Sec-Fetch-Site": "cross-site"})
        assert elsewhere.status_code == 403, address
    assert footprint(api) == before


def forms_of(api: Api, customer: UUID) -> set[str]:
    """Every address of the service desk that takes a form."""
    return {
        rule.rule.replace("<uuid:customer_id>", str(customer))
        for rule in api.app.url_map.iter_rules()
        if rule.rule.startswith("/desk") and "POST" in (rule.methods or ())
    }
