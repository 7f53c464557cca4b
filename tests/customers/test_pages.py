"""What we know about a customer: details, language, time zone; all of it as a file; being forgotten."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent_service.customers.model import masked
from tests.customers.people import somebody, token
from tests.support.api import Api
from tests.support.pages import browser, link_to, post
from tests.support.soundness import expect_sound
from tests.web.asking import footprint

PAGES = ("/me", "/me/data", "/me/data/file", "/me/forget")


def visitor(api: Api, one: UUID, **link: Any) -> FlaskClient:
    client = browser(api)
    assert client.get(link_to(api, one, **link)).status_code == 303
    return client


def text(answer: TestResponse) -> str:
    return answer.get_data(as_text=True)


def shown(api: Api, one: UUID) -> dict[str, Any]:
    found: dict[str, Any] = api.call("GET", f"/v1/customers/{one}", role="auditor").json
    return found


def test_showing_changes_nothing(api: Api) -> None:
    client = visitor(api, api.customer(somebody(), "phone:+442079460018"))
    before = footprint(api)
    for _ in range(20):
        assert [client.get(path).status_code for path in PAGES] == [200] * len(PAGES)
        assert [client.head(path).status_code for path in PAGES] == [200] * len(PAGES)
    assert footprint(api) == before


def test_details_are_shown_several_of_a_kind_and_left_to_right(api: Api) -> None:
    names = ("email:ann@example.com", "email:ann@work.example.com", "phone:+442079460018")
    page = text(visitor(api, api.customer(*names), locale="ar").get("/me"))
    for name in names:
        assert f'<bdi dir="ltr">{name.partition(":")[2]}</bdi>' in page


def test_a_number_is_noted_alike_whoever_has_it(api: Api) -> None:
    """Free, somebody else's, an erased person's: the same answer, the same page, the same rows."""
    api.customer("phone:+442079460018")
    gone = api.customer("phone:+442079460019")
    assert api.post(f"/v1/customers/{gone}/erase", role="desk").status_code == 200
    seen = []
    for number in ("+44 20 7946 0017", "+44 20 7946 0018", "+44 20 7946 0019"):
        one, before = api.customer(somebody()), footprint(api)
        client = visitor(api, one)
        answer = post(client, client.get("/me"), "/me/details", {"kind": "phone", "value": number})
        assert answer.headers["Location"] == "/me?noted=1"
        after = footprint(api)
        told = re.sub(r'name="[a-z_]*token" value="[^"]*"|person\d+|[0-9a-f]{32}', "", text(client.get("/me?noted=1")))
        seen.append((told.replace(number.replace(" ", ""), ""), {name: after[name] != before[name] for name in after}))
        assert "waits for our service desk until" in told
        assert [event["type"] for event in api.events(one)][1:] == ["identifier.requested"]
        assert len(shown(api, one)["identifiers"]) == 1
    assert seen[0] == seen[1] == seen[2]
    expect_sound(api.made)


def test_what_waits_for_the_desk_is_taken_back_in_one_step(api: Api) -> None:
    client = visitor(api, api.customer(somebody()))
    post(client, client.get("/me"), "/me/details", {"kind": "phone", "value": "+44 20 7946 0017"})
    page = client.get("/me")
    answer = post(
        client, page, "/confirm/withdraw", {"change": re.findall('name="change" value="([^"]+)"', text(page))[0]}
    )
    assert answer.headers["Location"] == "/me"
    assert "waits for our service desk" not in text(client.get("/me"))


@pytest.mark.parametrize(("kind", "value"), [("phone", "12"), ("phone", "")])
def test_what_cannot_be_added_is_told_beside_its_field(api: Api, kind: str, value: str) -> None:
    one = api.customer(somebody())
    client = visitor(api, one)
    answer = post(client, client.get("/me"), "/me/details", {"kind": kind, "value": value})
    assert answer.status_code == 422
    assert "<title>Error: About me</title>" in text(answer)
    assert 'aria-invalid="true"' in text(answer)
    assert "it may be misspelt" in text(answer)
    assert len(shown(api, one)["identifiers"]) == 1


def test_an_address_is_added_once_it_is_confirmed_there(api: Api) -> None:
    """And nothing is said of whether somebody else has it."""
    api.customer("email:taken@example.com")
    one = api.customer(somebody())
    client = visitor(api, one)
    page = client.get("/me")
    for address in ("new@example.com", "taken@example.com"):
        answer = post(client, page, "/me/details", {"kind": "email", "value": address})
        assert answer.headers["Location"] == "/me?sent=1"
    assert len(shown(api, one)["identifiers"]) == 1
    assert [event["type"] for event in api.events(one)[-2:]] == ["identifier.requested"] * 2
    assert text(client.get("/me?sent=1")).count("waits for your confirmation") == 2
    assert post(client, page, "/me/details", {"kind": "id", "value": str(one)}).status_code == 422


def test_language_and_time_zone_hold_at_once(api: Api) -> None:
    one = api.customer(somebody())
    client = visitor(api, one)
    page = client.get("/me")
    assert "<option selected>Europe/London</option>" in text(page)
    sent = {"locale": "de", "time_zone": "Asia/Tokyo"}
    assert post(client, page, "/me/settings", sent).status_code == 303
    assert {name: shown(api, one)[name] for name in sent} == sent
    after = text(client.get("/me"))
    assert '<html lang="de"' in after
    assert "<option selected>Asia/Tokyo</option>" in after
    refused = post(client, page, "/me/settings", {"locale": "de", "time_zone": "Mars/Base"})
    assert refused.status_code == 422
    assert shown(api, one)["time_zone"] == "Asia/Tokyo"


def test_the_file_holds_all_that_the_api_shows(api: Api) -> None:
    one = api.customer("email:ann@example.com", "phone:+442079460018", time_zone="Europe/Paris", locale="fr")
    for number in range(30):
        api.turn(one, ("*", "offers", "weekly" if number % 2 else "daily"))
    api.post("/v1/contacts", {"customer": f"id:{one}", "channel": "email", "topic": "offers"})
    api.call("PUT", f"/v1/customers/{one}/pause", {"until": "2031-01-01T00:00:00Z"}, role="desk")
    answer = visitor(api, one).get("/me/data/file")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="my-preferences.json"'
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    found = orjson.loads(answer.get_data())
    own = token(api, one)
    assert found["customer"] == api.call("GET", f"/v1/customers/{one}", key=own).json
    assert found["settings"] == api.call("GET", f"/v1/customers/{one}/dials", key=own).json
    events = api.call("GET", f"/v1/customers/{one}/history?limit=200", key=own).json["events"]
    assert found["history"] == [event for event in events if event["type"] != "token.issued"]
    assert len(found["history"]) > 30


def test_forgetting_is_explained_asked_once_and_done(api: Api) -> None:
    one = api.customer("email:ann@example.com")
    client = visitor(api, one, locale="fr")
    page = client.get("/me/forget")
    assert text(page).split("<main")[1].count("<button") == 1
    answer = post(client, page, "/me/forget", {})
    assert answer.headers["Location"] == "/forgotten"
    last = client.get("/forgotten")
    assert '<html lang="fr"' in text(last)
    assert "ann" not in text(last)
    assert api.check("email:ann@example.com", "email", "offers")["reason"] == "erased"
    assert api.check(f"id:{one}", "email", "offers")["reason"] == "erased"
    # The visit is over, also in another tab; and a second time there is nobody left.
    assert client.get("/me").headers["Location"] == "/link?because=ended"


def test_in_another_browser_a_forgotten_customer_is_told_so(api: Api) -> None:
    one = api.customer(somebody())
    client, other = visitor(api, one), visitor(api, one)
    page = other.get("/me/forget")
    post(client, client.get("/me/forget"), "/me/forget", {})
    answer = other.get("/me")
    assert answer.status_code == 404
    assert text(answer).startswith("<!doctype html>")
    assert post(other, page, "/me/forget", {}).headers["Location"] == "/forgotten"


def test_a_link_of_a_campaign_shows_details_masked_and_changes_nothing_of_them(api: Api) -> None:
    names = ("email:ann.wood@example.com", "phone:+442079460018", "postal:7 Sample Lane, Exampleham")
    one = api.customer(*names)
    client = visitor(api, one, by_campaign=True)
    page = client.get("/me")
    assert "an…@example.com" in text(page)
    assert post(client, page, "/link/mine", {}).headers["Location"] == "/link/sent"
    for hidden_one in ("ann.wood", "7946", "Sample Lane"):
        assert hidden_one not in text(page)
    assert "/me/details" not in text(page)
    assert "/me/settings" not in text(page)
    assert "/me/data/file" not in text(client.get("/me/data"))
    assert "Forget me now" not in text(client.get("/me/forget"))
    before = footprint(api)
    assert client.get("/me/data/file").headers["Location"] == "/me"
    for path, fields in (
        ("/me/details", {"kind": "phone", "value": "+442079460019"}),
        ("/me/settings", {"time_zone": "Asia/Tokyo"}),
        ("/me/forget", {}),
    ):
        assert post(client, page, path, fields).headers["Location"] == "/me"
    assert footprint(api) == before


@pytest.mark.parametrize(
    ("reference", "shown_as"),
    [
        ("email:ann.wood@example.com", "email:an…@example.com"),
        ("email:ann@example.com", "email:a…@example.com"),
        ("email:a@example.com", "email:a…@example.com"),
        ("phone:+442079460018", "phone:+44…18"),
        ("postal:7 Sample Lane", "postal:7…"),
    ],
)
def test_what_is_masked_says_enough_for_its_owner_only(reference: str, shown_as: str) -> None:
    assert masked(reference) == shown_as


def test_an_old_link_opens_none_of_it(api: Api) -> None:
    client = visitor(api, api.customer(somebody()), minted_at=datetime(2020, 1, 1, tzinfo=UTC))
    for path in PAGES:
        assert client.get(path).headers["Location"] == "/link?because=old"


def test_a_form_from_elsewhere_forgets_nobody(api: Api) -> None:
    one = api.customer(somebody())
    client = visitor(api, one)
    client.get("/me/forget")
    assert client.post("/me/forget").status_code == 403
    assert client.post("/me/details", data={"kind": "phone", "value": "+442079460018"}).status_code == 403
    assert len(shown(api, one)["identifiers"]) == 1


def test_a_page_stays_small(api: Api) -> None:
    assert len(visitor(api, api.customer(somebody())).get("/me").get_data()) < 30_000
