"""The way in and out: "send me my link" answers the same for everybody, and nothing that a page shows is a secret."""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent_service.customers.model import parse_reference
from consent_service.customers.service import create_unknown_many
from consent_service.database import connection
from consent_service.links import requests
from tests.support.api import SYSTEM, Api
from tests.support.pages import browser, hidden, link_to, post
from tests.web.asking import footprint, somebody


def ask(api: Api, address: str, client: FlaskClient | None = None) -> TestResponse:
    client = client or browser(api)
    return post(client, client.get("/link"), "/link", {"email": address})


def waiting(api: Api) -> int:
    with api.made.owner() as conn:
        row = conn.execute("SELECT count(*) FROM link_request WHERE ciphertext IS NOT NULL").fetchone()
    assert row is not None
    return int(row[0])


def words_of(page: TestResponse) -> str:
    """What a page says, without the token of its forms."""
    return page.get_data(as_text=True).split('name="csrf_token"')[0] + page.get_data(as_text=True).split(">")[-1]


def test_an_address_is_taken_whether_somebody_has_it_or_not(api: Api) -> None:
    known, gone = somebody(), somebody()
    api.customer(known)
    erased = api.customer(gone)
    api.post(f"/v1/customers/{erased}/erase", role="desk")
    answers = []
    for address in (known, gone, somebody(), "email:someone@exämple.com"):
        client = browser(api)
        sent = ask(api, address.removeprefix("email:"), client)
        assert (sent.status_code, sent.headers["Location"]) == (303, "/link/sent")
        answers.append((sent.get_data(), words_of(client.get("/link/sent"))))
    assert len(set(answers)) == 1
    assert waiting(api) == 4


def test_what_was_asked_for_is_ciphertext(api: Api) -> None:
    ask(api, "ann.person@example.com")
    with api.made.owner() as conn:
        row = conn.execute("SELECT link_request::text FROM link_request").fetchone()
    assert row is not None
    assert "ann" not in row[0]
    assert b"ann.person".hex() not in row[0]


def test_the_same_statements_run_for_known_and_unknown_addresses(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    known = somebody()
    api.customer(known)
    ran: list[str] = []
    run = connection.Connection.run

    def listening(self: connection.Connection, statement: object, *rest: object, **more: object) -> object:
        ran.append(getattr(statement, "name", repr(statement)))
        return run(self, statement, *rest, **more)  # type: ignore[arg-type]

    ask(api, somebody().removeprefix("email:"))  # so that nothing is done for the first time
    monkeypatch.setattr(connection.Connection, "run", listening)
    told = []
    for address in (known, somebody()):
        ran.clear()
        ask(api, address.removeprefix("email:"))
        told.append(tuple(ran))
    assert told[0] == told[1]
    assert len(told[0]) >= 2


def test_a_thousand_known_and_a_thousand_unknown_addresses_take_the_same_time(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In time of the processor, of client and service: the machine may be busy with other things."""
    monkeypatch.setattr(requests, "MOST_A_MINUTE", 10**9)
    known = [somebody() for _ in range(1000)]
    with api.database.transaction() as conn:
        create_unknown_many(conn, api.keyring, SYSTEM, [parse_reference(one) for one in known], source="api")
    client = browser(api)
    token = hidden(client.get("/link"), "csrf_token")
    spent: dict[bool, list[float]] = {True: [], False: []}
    bodies = set()
    for pair in zip(known, [somebody() for _ in known], strict=True):
        for is_known, address in zip((True, False), pair, strict=True):
            began = time.process_time()
            answer = client.post("/link", data={"csrf_token": token, "email": address.removeprefix("email:")})
            spent[is_known].append(time.process_time() - began)
            bodies.add((answer.status_code, answer.headers["Location"], answer.get_data()))
    assert len(bodies) == 1
    assert waiting(api) == 2000
    medians = {is_known: statistics.median(times) for is_known, times in spent.items()}
    assert abs(medians[True] - medians[False]) < 0.1 * medians[False], medians


@pytest.mark.parametrize("address", ["", "ann", "a@b@c", "ann@x.com\r\nBcc: b@x.com", "a@x.com,b@x.com", "a" * 400])
def test_what_is_no_address_is_said_so_and_goes_nowhere(api: Api, address: str) -> None:
    answer = ask(api, address)
    html = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "<title>Error: Send me my link</title>" in html
    assert 'aria-invalid="true"' in html
    assert waiting(api) == 0


def test_text_in_the_field_comes_back_as_text(api: Api) -> None:
    html = ask(api, '"><svg onload=alert(1)>').get_data(as_text=True)
    assert "<svg onload" not in html
    assert "&lt;svg onload=alert(1)&gt;" in html


def test_a_client_asks_ten_times_a_minute_whomever_it_asks_for(api: Api) -> None:
    known = somebody()
    api.customer(known)
    codes = [ask(api, address.removeprefix("email:")).status_code for address in [known] * 6 + [somebody()] * 6]
    assert codes in ([303] * 10 + [429] * 2, [303] * 12), "the minute of the database may have turned"
    assert waiting(api) == codes.count(303)


def test_a_form_from_another_site_sends_no_link(api: Api) -> None:
    client = browser(api)
    assert client.post("/link", data={"email": "ann@example.com"}).status_code == 403
    assert client.post("/sign-out").status_code == 403
    assert client.post("/link/mine").status_code in (401, 403)
    assert waiting(api) == 0


def test_an_old_link_offers_a_new_one_in_one_click(api: Api) -> None:
    ann = api.customer(somebody())
    client = browser(api)
    client.get(link_to(api, ann, minted_at=datetime.now(UTC) - timedelta(days=31)))
    page = client.get("/link?because=old")
    assert "opens your pages for 30 days only" in page.get_data(as_text=True)
    assert "/link/mine" in page.get_data(as_text=True)
    assert post(client, page, "/link/mine", {}).headers["Location"] == "/link/sent"
    assert waiting(api) == 1


def test_a_stranger_is_offered_no_link_of_somebody(api: Api) -> None:
    client = browser(api)
    page = client.get("/link?because=old")
    assert "/link/mine" not in page.get_data(as_text=True)
    assert post(client, page, "/link/mine", {}).status_code == 401
    assert waiting(api) == 0


def test_the_page_says_why_somebody_is_there(api: Api) -> None:
    for because, told in (("ended", "Your visit has ended"), ("out", "You are signed out"), ("<b>", "Send me my link")):
        html = browser(api).get("/link", query_string={"because": because}).get_data(as_text=True)
        assert told in html
        assert "<b>" not in html


def test_a_bare_address_leads_to_the_desk_or_to_the_way_in(api: Api) -> None:
    client = browser(api)
    assert "/link" in client.get("/").get_data(as_text=True)
    client.get(link_to(api, api.customer(somebody())))
    assert client.get("/").headers["Location"] == "/preferences"


def test_signing_out_ends_the_visit_and_keeps_the_language(api: Api) -> None:
    client = browser(api)
    client.get(link_to(api, api.customer(somebody()), locale="ar"))
    out = post(client, client.get("/link"), "/sign-out", {})
    assert out.headers["Location"] == "/link?because=out"
    assert client.get("/").status_code == 200, "nobody is there any more"
    assert '<html lang="ar"' in client.get("/link").get_data(as_text=True)


def test_looking_at_the_pages_changes_nothing(api: Api) -> None:
    ann = api.customer(somebody())
    before = footprint(api)
    for path in ("/", "/link", "/link?because=old", "/link/sent", link_to(api, ann), link_to(api, ann, "unsubscribe")):
        for method in ("GET", "HEAD"):
            for _ in range(100 if path.startswith("/u") else 5):
                assert browser(api).open(path, method=method).status_code in (200, 303)
    assert footprint(api) == before
