"""Stops, what waits for a confirmation, merging, and the history, at the service desk."""

from __future__ import annotations

from copy import deepcopy
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from tests.dials.test_desk_page import followed, reason, save, text
from tests.service_desk.desk import looking_after, path, signed_in
from tests.support.api import CATALOGUE, Api
from tests.support.pages import browser, hidden, link_to, post
from tests.support.soundness import expect_sound
from tests.web.asking import footprint, rows

READ_OUT = {"read_out": "1"}


@pytest.fixture
def ben(api: Api) -> UUID:
    return api.customer("email:ben@example.com", "phone:+447700900123")


@pytest.fixture
def agent(api: Api) -> FlaskClient:
    return signed_in(api)


def test_a_person_is_stopped_without_a_reason_and_let_go_only_with_evidence(
    api: Api, ben: UUID, agent: FlaskClient
) -> None:
    page = looking_after(agent, ben)
    stop = {"point": "", "channel": "", "kind": "marketing", "reason": ""}
    told = followed(agent, post(agent, page, f"{path(ben)}/suppress", stop))
    assert "Stopped: advertising · by every channel · the person" in text(told)
    assert reason(api, ben, "email", "events") == "suppressed"
    event = api.events(ben)[-1]
    assert (event["type"], event["source"], event["actor"]["role"]) == ("suppression.set", "phone", "desk")
    lifting = {"suppression": hidden(told, "suppression")}
    refused = post(agent, told, f"{path(ben)}/lift", lifting)
    assert refused.status_code == 422
    assert "write down the call or letter first" in text(refused)
    assert reason(api, ben, "email", "events") == "suppressed"
    page = looking_after(agent, ben, "C-9")
    followed(agent, post(agent, page, f"{path(ben)}/lift", lifting))
    assert reason(api, ben, "email", "events") == "allowed"
    event = api.events(ben)[-1]
    assert (event["type"], event["evidence"]) == ("suppression.lifted", {"reference": "C-9"})
    # Again, from an old page: nothing more.
    assert post(agent, page, f"{path(ben)}/lift", lifting).status_code == 303
    expect_sound(api.made)


def test_a_number_is_stopped_whoever_has_it(api: Api, ben: UUID, agent: FlaskClient) -> None:
    page = looking_after(agent, ben, "C-9")
    stop = {"point": "phone:+447700900123", "channel": "phone", "kind": "all", "reason": "wrong number"}
    told = text(followed(agent, post(agent, page, f"{path(ben)}/suppress", stop)))
    assert "Stopped: everything · Phone call · Phone: +447700900123" in told
    assert reason(api, ben, "phone", "orders") == "suppressed"
    assert reason(api, ben, "email", "orders") == "essential"
    assert "wrong number" in text(agent.get(f"{path(ben)}/happened"))
    # Neither another's number, nor a kind or channel that is none.
    for wrong in ({"point": "phone:+447700900999"}, {"kind": "some"}, {"channel": "email"}, {"channel": "fax"}):
        assert post(agent, page, f"{path(ben)}/suppress", {**stop, **wrong}).status_code == 422, wrong


def test_a_stop_of_somebody_else_is_not_lifted_from_here(api: Api, ben: UUID, agent: FlaskClient) -> None:
    ada = api.customer("email:ada@example.com")
    body = {"customer": f"id:{ada}", "kind": "all", "reason": "asked"}
    made = api.post("/v1/suppressions", body, role="desk").json["id"]
    page = looking_after(agent, ben, "C-9")
    post(agent, page, f"{path(ben)}/lift", {"suppression": made})
    assert reason(api, ada, "email", "events") == "suppressed"


def test_two_are_merged_once_both_were_seen_and_with_evidence(api: Api, ben: UUID, agent: FlaskClient) -> None:
    other = api.customer("email:benjamin@example.com")
    api.turn(ben, ("*", "offers", "weekly"))
    api.turn(other, ("*", "offers", "rarely"))
    before = footprint(api)
    page = looking_after(agent, ben)
    both = post(agent, page, f"{path(ben)}/merge", {"identifier": "benjamin@example.com", "kind_of_other": ""})
    assert both.status_code == 200
    assert "ben@example.com" in text(both)
    assert "benjamin@example.com" in text(both)
    assert hidden(both, "other") == str(other)
    assert post(agent, both, f"{path(ben)}/merge", {"other": str(other)}).status_code == 422
    assert footprint(api) == before
    looking_after(agent, ben, "V-2")
    told = followed(agent, post(agent, both, f"{path(ben)}/merge", {"other": str(other)}))
    assert "benjamin@example.com" in text(told)
    event = api.events(ben)[-1]
    assert (event["type"], event["evidence"]) == ("customers.merged", {"reference": "V-2"})
    assert api.call("GET", f"/v1/customers/{ben}/dials", role="desk").json["dials"][0]["level"] == "rarely"
    expect_sound(api.made)


@pytest.mark.parametrize(
    ("identifier", "status"), [("cy@example.com", 404), ("ben@example.com", 422), ("x", 422), ("fax:1", 422)]
)
def test_whom_there_is_not_to_merge_with_is_told(
    api: Api, ben: UUID, agent: FlaskClient, identifier: str, status: int
) -> None:
    page = looking_after(agent, ben)
    answer = post(agent, page, f"{path(ben)}/merge", {"identifier": identifier})
    assert answer.status_code == status
    assert "Nothing was changed" in text(answer)


def test_the_history_is_the_customers_own_and_paged(api: Api, ben: UUID, agent: FlaskClient) -> None:
    for level in ("weekly", "monthly") * 14:
        api.turn(ben, ("*", "offers", level))
    page = agent.get(f"{path(ben)}/happened")
    assert "Our service desk ( desk key )" in text(page)
    older = [one for one in page.get_data(as_text=True).split('"') if one.startswith(f"{path(ben)}/happened?before=")]
    assert len(older) == 1
    assert "ben@example.com" in text(agent.get(older[0]))
    assert agent.get(f"{path(ben)}/happened?before=x").status_code == 400
    assert agent.get(f"{path(UUID(int=7))}/happened").status_code == 404


def confirming(api: Api) -> None:
    """E-mail is turned up only by whoever has the address."""
    catalogue = deepcopy(CATALOGUE)
    catalogue["channels"]["email"]["confirm"] = True
    api.apply(catalogue)


def test_what_has_to_be_confirmed_waits_and_is_taken_back(api: Api, ben: UUID, agent: FlaskClient) -> None:
    confirming(api)
    api.turn(ben, ("email", "*", "silent"))
    page = looking_after(agent, ben, "C-3")
    told = followed(agent, save(agent, page, {("email", "*"): "weekly", ("sms", "*"): "silent"}, path(ben), **READ_OUT))
    assert "Waits for the customer's confirmation until" in text(told)
    assert reason(api, ben, "email", "events") == "silent"
    assert reason(api, ben, "sms", "events") == "silent"
    assert rows(api, "SELECT count(*) FROM mail") == [(1,)]
    event = next(one for one in api.events(ben) if one["type"] == "dials.requested")
    assert (event["actor"]["role"], event["evidence"]) == ("desk", {"reference": "C-3"})
    dropped = followed(agent, post(agent, told, f"{path(ben)}/drop", {"pending": hidden(told, "pending")}))
    assert "Waits for the customer's confirmation until" not in text(dropped)


def test_what_nobody_can_confirm_is_told_and_the_rest_holds(api: Api, agent: FlaskClient) -> None:
    ada = api.customer("phone:+447700900456")
    catalogue = deepcopy(CATALOGUE)
    catalogue["channels"]["sms"]["confirm"] = True
    api.apply(catalogue)
    api.turn(ada, ("sms", "*", "silent"))
    page = looking_after(agent, ada, "C-3")
    wanted = {("sms", "*"): "weekly", ("post", "*"): "silent"}
    told = followed(agent, save(agent, page, wanted, path(ada), **READ_OUT))
    assert "or by you, under “Numbers and addresses”" in text(told)
    assert reason(api, ada, "sms", "events") == "silent"
    assert reason(api, ada, "post", "events") == "silent"


def test_a_number_is_confirmed_on_evidence_and_its_channel_turned_up_then(api: Api, agent: FlaskClient) -> None:
    ada = api.customer("phone:+447700900456")
    catalogue = deepcopy(CATALOGUE)
    catalogue["channels"]["sms"]["confirm"] = True
    api.apply(catalogue)
    api.turn(ada, ("sms", "*", "silent"))
    page = looking_after(agent, ada)
    point = {"point": "phone:+447700900456"}
    assert post(agent, page, f"{path(ada)}/confirm", point).status_code == 422
    page = looking_after(agent, ada, "C-3")
    post(agent, page, f"{path(ada)}/confirm", {"point": "phone:+447700900457"})
    assert "identifier.confirmed" not in {one["type"] for one in api.events(ada)}
    assert "not confirmed" in text(agent.get(path(ada)))
    told = followed(agent, post(agent, page, f"{path(ada)}/confirm", point))
    assert "not confirmed" not in text(told)
    event = api.events(ada)[-1]
    assert (event["type"], event["source"]) == ("identifier.confirmed", "phone")
    assert event["evidence"] == {"reference": "C-3"}
    followed(agent, save(agent, told, {("sms", "*"): "weekly"}, path(ada), **READ_OUT))
    assert reason(api, ada, "sms", "events") == "allowed"
    expect_sound(api.made)


def test_a_number_is_removed_and_what_holds_by_it_stays(api: Api, ben: UUID, agent: FlaskClient) -> None:
    page = looking_after(agent, ben, "C-9")
    point = {"point": "phone:+447700900123"}
    post(agent, page, f"{path(ben)}/suppress", {**point, "channel": "sms", "kind": "all", "reason": ""})
    refused = post(agent, page, f"{path(ben)}/remove", point)
    assert refused.status_code == 409
    assert "Lift the stop first" in text(refused)
    post(agent, page, f"{path(ben)}/lift", {"suppression": hidden(agent.get(path(ben)), "suppression")})
    told = followed(agent, post(agent, page, f"{path(ben)}/remove", point))
    assert "+447700900123" not in text(told)
    event = api.events(ben)[-1]
    assert (event["type"], event["source"]) == ("identifier.removed", "phone")
    assert event["evidence"] == {"reference": "C-9"}
    assert post(agent, page, f"{path(ben)}/remove", point).status_code == 303  # again: nothing more
    assert api.events(ben)[-1] == event
    last = post(agent, page, f"{path(ben)}/remove", {"point": "email:ben@example.com"})
    assert last.status_code == 409
    assert "It is the only one" in text(last)
    expect_sound(api.made)


def test_a_number_that_the_customer_asked_for_is_added_here_or_found_to_be_taken(
    api: Api, ben: UUID, agent: FlaskClient
) -> None:
    ada = api.customer("email:ada@example.com")
    client = browser(api)
    client.get(link_to(api, ada))
    for number in ("+447700900456", "+447700900123"):
        post(client, client.get("/me"), "/me/details", {"kind": "phone", "value": number})
    page = looking_after(agent, ada)
    assert text(page).count("The customer asks to have this added") == 2
    free = {"pending": hidden(page, "pending")}
    told = followed(agent, post(agent, page, f"{path(ada)}/accept", free))
    assert "Phone: +447700900456 · not confirmed" in text(told)
    assert [one["type"] for one in api.events(ada)[-2:]] == ["identifier.added", "confirmation.given"]
    assert post(agent, page, f"{path(ada)}/accept", free).status_code == 303  # again: nothing more
    taken = post(agent, told, f"{path(ada)}/accept", {"pending": hidden(told, "pending")})
    assert taken.status_code == 409
    assert "Somebody else here has this" in text(taken)
    assert api.check("phone:+447700900123", "sms", "events")["customer_id"] == str(ben)
    expect_sound(api.made)


def test_nothing_of_a_person_stands_in_an_address(api: Api, ben: UUID, agent: FlaskClient) -> None:
    page = looking_after(agent, ben, "C-9")
    for shown in (page, agent.get(f"{path(ben)}/happened"), agent.get("/desk")):
        html = shown.get_data(as_text=True)
        for part in html.split('href="')[1:] + html.split('action="')[1:]:
            address = part.partition('"')[0]
            assert not any(one in address for one in ("ben", "7700900123", "%40", "@")), address
