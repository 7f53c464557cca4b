"""The way in and out of the service desk: which keys open it, and when a session ends."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.dials.test_desk_page import text
from tests.service_desk.desk import found, looking_after, path, sign_in, signed_in
from tests.support.api import Api
from tests.support.pages import browser, post
from tests.web.asking import dumped, footprint, rows


@pytest.fixture
def ben(api: Api) -> UUID:
    return api.customer("email:ben@example.com", "phone:+447700900123", "loyalty:L-7", time_zone="Europe/Paris")


@pytest.mark.parametrize("role", ["desk", "admin"])
def test_a_key_of_the_desk_opens_it(api: Api, role: str) -> None:
    client = signed_in(api, role=role)
    page = client.get("/desk")
    assert "Find a customer" in text(page)
    assert f"{role} key" in text(page)


@pytest.mark.parametrize("role", ["campaign", "auditor"])
def test_a_key_of_another_role_does_not(api: Api, role: str) -> None:
    client = browser(api)
    answer = sign_in(client, api.keys[role])
    assert answer.status_code == 403
    assert "not one of the service desk's" in text(answer)
    assert rows(api, "SELECT count(*) FROM desk_session") == [(0,)]


def test_a_wrong_key_does_not_and_counts_against_guessing(api: Api) -> None:
    client = browser(api)
    answer = sign_in(client, "csk_" + "x" * 43)
    assert answer.status_code == 401
    assert "There is no such key" in text(answer)
    assert api.keys["desk"] not in answer.get_data(as_text=True)
    assert rows(api, "SELECT requests FROM request_count WHERE subject LIKE 'address:%%'") == [(1,)]
    limit = api.settings.address_requests_per_minute
    rows(api, "UPDATE request_count SET requests = %s", limit)
    assert sign_in(client, "csk_" + "y" * 43).status_code == 429


def test_without_a_session_there_is_only_the_way_in(api: Api, ben: UUID) -> None:
    client = browser(api)
    before = footprint(api)
    answer = client.get(path(ben))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/desk")
    assert "ben@example.com" not in text(client.get("/desk"))
    agents_page = looking_after(signed_in(api), ben)
    # A customer's visit is no session of the desk's, nor is a cookie that somebody made up.
    page = client.get("/desk")
    for form in ("", "/nothing", "/quieter", "/pause", "/resume", "/undo", "/check", "/word"):
        assert post(client, page, path(ben) + form, {}).status_code == 401, form
    assert post(client, page, "/desk/find", {"identifier": "ben@example.com"}).status_code == 401
    assert client.post(f"{path(ben)}/nothing", data={"csrf_token": ""}).status_code == 403
    assert "ben@example.com" in text(agents_page)
    assert {**before, "desk_session": 1} == footprint(api)


def test_a_revoked_key_ends_its_session_at_once(api: Api, ben: UUID) -> None:
    client = signed_in(api)
    page = looking_after(client, ben)
    rows(api, "UPDATE api_key SET revoked_at = clock_timestamp() WHERE role = 'desk'")
    before = footprint(api)
    assert client.get(path(ben)).headers["Location"] == "/desk?because=ended"
    answer = post(client, page, f"{path(ben)}/nothing", {})
    assert answer.status_code == 401
    assert "Your session has ended" in text(answer)
    assert footprint(api) == before


@pytest.mark.parametrize(
    ("column", "age", "status"),
    [
        ("seen_at", "29 minutes", 200),
        ("seen_at", "30 minutes", 303),
        ("began_at", "11 hours 59 minutes", 200),
        ("began_at", "12 hours", 303),
    ],
)
def test_a_session_ends_by_itself(api: Api, ben: UUID, column: str, age: str, status: int) -> None:
    client = signed_in(api)
    rows(api, f"UPDATE desk_session SET {column} = clock_timestamp() - %s::interval", age)
    assert client.get(path(ben)).status_code == status


def test_looking_keeps_a_session_and_the_next_one_forgets_those_that_ended(api: Api, ben: UUID) -> None:
    client = signed_in(api)
    rows(api, "UPDATE desk_session SET seen_at = clock_timestamp() - interval '20 minutes'")
    client.get(path(ben))
    assert rows(api, "SELECT clock_timestamp() - seen_at < interval '1 minute' FROM desk_session") == [(True,)]
    rows(api, "UPDATE desk_session SET seen_at = clock_timestamp() - interval '31 minutes'")
    signed_in(api)
    assert rows(api, "SELECT count(*) FROM desk_session") == [(1,)]


def test_signing_out_ends_it_also_for_a_copied_cookie(api: Api, ben: UUID) -> None:
    client = signed_in(api)
    cookie = client.get_cookie("consent")
    assert cookie is not None
    page = client.get("/desk")
    assert post(client, page, "/desk/sign-out", {}).headers["Location"] == "/desk?because=out"
    thief = browser(api)
    thief.set_cookie("consent", cookie.value)
    assert thief.get(path(ben)).status_code == 303
    assert rows(api, "SELECT count(*) FROM desk_session") == [(0,)]


def test_neither_the_key_nor_the_sessions_secret_is_stored(api: Api) -> None:
    client = signed_in(api)
    with client.session_transaction() as kept:
        secret = kept["agent"]
        assert api.keys["desk"] not in str(dict(kept))
    assert secret not in dumped(api, "desk_session")
    assert api.keys["desk"] not in dumped(api, "desk_session")


@pytest.mark.parametrize(
    ("identifier", "kind"),
    [
        ("ben@example.com", ""),
        (" BEN@example.com ", ""),
        ("+44 7700 900123", ""),
        ("email:ben@example.com", ""),
        ("loyalty:L-7", ""),
        ("L-7", "loyalty"),
        ("ben@example.com", "email"),
    ],
)
def test_a_customer_is_found_by_whatever_names_them(api: Api, ben: UUID, identifier: str, kind: str) -> None:
    answer = found(signed_in(api), identifier, kind)
    assert (answer.status_code, answer.headers.get("Location")) == (303, path(ben))


def test_a_customer_is_found_by_their_id_and_a_merged_one_leads_on(api: Api, ben: UUID) -> None:
    other = api.customer("email:benjamin@example.com")
    api.post(f"/v1/customers/{ben}/merge", {"other": str(other)}, role="desk")
    client = signed_in(api)
    assert found(client, str(ben)).headers["Location"] == path(ben)
    assert found(client, "benjamin@example.com").headers["Location"] == path(ben)
    assert client.get(path(other)).headers["Location"] == path(ben)


@pytest.mark.parametrize(
    ("identifier", "kind", "status", "says"),
    [
        ("cy@example.com", "", 404, "Nobody has this."),
        ("gone@example.com", "", 404, "asked to be forgotten"),
        ("12345", "phone", 422, "not well formed"),
        ("L-7", "", 422, "not well formed"),
        ("fax:1", "", 422, "Choose what it is."),
        ("5 Hill Road", "postal", 422, "Several customers have this."),
    ],
)
def test_who_is_not_found_is_told_in_words_and_never_in_an_address(
    api: Api, ben: UUID, identifier: str, kind: str, status: int, says: str
) -> None:
    api.customer("email:a@example.com", "postal:5 Hill Road")
    api.customer("email:b@example.com", "postal:5 Hill Road")
    gone = api.customer("email:gone@example.com")
    api.post(f"/v1/customers/{gone}/erase", role="desk")
    answer = found(signed_in(api), identifier, kind)
    assert answer.status_code == status
    assert says in text(answer)
    assert "Location" not in answer.headers


@pytest.mark.parametrize("locale", ["de", "fr", "ar"])
def test_every_page_speaks_the_agents_language(api: Api, ben: UUID, locale: str) -> None:
    client = signed_in(api)
    page = client.get("/desk")
    post(client, page, "/language", {"locale": locale, "back": "/desk"})
    for address in ("/desk", path(ben)):
        shown = client.get(address)
        assert f'lang="{locale}"' in shown.get_data(as_text=True)
        assert "May we make contact now" not in text(shown)
        assert "Find a customer" not in text(shown)


def test_an_error_at_the_desk_leads_back_to_the_desk(api: Api) -> None:
    for client in (browser(api), signed_in(api)):
        page = client.get("/desk/none", headers={"Accept": "text/html"}).get_data(as_text=True)
        assert 'href="/desk">To the service desk</a>' in page
        assert 'href="/link"' not in page
