"""Links are minted by the thousand, each with the headers of its mail; a row that cannot be has its error."""

from __future__ import annotations

import time
from typing import Any

import pytest

from consent_service.customers.model import LONGEST_REFERENCE
from tests.support.api import CATALOGUE, Api
from tests.support.pages import browser
from tests.web.asking import footprint, refused, somebody

ROW = {"channel": "email", "topic": "offers/wine"}


def mint(api: Api, *rows: Any, **options: Any) -> list[dict[str, Any]]:
    answer = api.post("/v1/links", {"links": list(rows)}, **options)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    results: list[dict[str, Any]] = answer.json["results"]
    return results


def path(api: Api, url: str) -> str:
    assert url.startswith(api.settings.public_url + "/")
    return url.removeprefix(api.settings.public_url)


def test_each_row_gets_its_link_and_the_headers_of_its_mail(api: Api) -> None:
    ann = somebody()
    api.customer(ann)
    before = footprint(api)
    purposes = {"preferences": "p", "unsubscribe": "u", "louder": "m", "quieter": "l"}
    results = mint(api, *({"customer": ann, "purpose": purpose, **ROW} for purpose in purposes))
    for first, result in zip(purposes.values(), results, strict=True):
        headers = result["headers"]
        assert path(api, result["url"]).startswith(f"/{first}/")
        assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert headers["List-Unsubscribe"].startswith(f"<{api.settings.public_url}/u/")
        assert headers["List-Help"].startswith(f"<{api.settings.public_url}/p/")
        for url in (result["url"], headers["List-Unsubscribe"][1:-1], headers["List-Help"][1:-1]):
            assert browser(api).get(path(api, url)).status_code == 303
    assert footprint(api) == before, "a link is its token: nothing is stored"


def test_a_preferences_link_is_what_a_row_asks_for_that_says_nothing_else(api: Api) -> None:
    ann = somebody()
    api.customer(ann)
    result = mint(api, {"customer": ann})[0]
    assert result["headers"]["List-Help"] == f"<{result['url']}>"


def test_a_link_opens_the_pages_in_the_language_asked_for(api: Api) -> None:
    ann = somebody()
    api.customer(ann, locale="fr")
    for sent, spoken in (({}, "fr"), ({"locale": "de-AT"}, "de"), ({"locale": "it"}, "fr")):
        client = browser(api)
        client.get(path(api, mint(api, {"customer": ann, **sent})[0]["url"]))
        assert f'<html lang="{spoken}"' in client.get("/link").get_data(as_text=True)


def test_a_row_that_cannot_be_minted_has_its_error(api: Api) -> None:
    ann, gone = somebody(), somebody()
    api.customer(ann)
    erased = api.customer(gone)
    api.post(f"/v1/customers/{erased}/erase", role="desk")
    wrong: list[tuple[Any, str]] = [
        ({"customer": somebody()}, "unknown_customer"),
        ({"customer": gone}, "customer_erased"),
        ({"customer": f"id:{erased}"}, "customer_erased"),
        ({"customer": "email:nobody"}, "invalid_customer_reference"),
        ({"customer": "shoe:42"}, "unknown_identifier_kind"),
        ({"customer": ann, "channel": "fax"}, "unknown_channel"),
        ({"customer": ann, "channel": "*"}, "unknown_channel"),
        ({"customer": ann, "topic": "shoes"}, "unknown_topic"),
        ({"customer": ann, "topic": "*"}, "unknown_topic"),
        ({"customer": ann, "purpose": "confirm"}, "invalid_value"),
        ({"customer": ann, "purpose": "Unsubscribe"}, "invalid_value"),
        ({"customer": ann, "purpose": ["unsubscribe"]}, "invalid_value"),
        ({"customer": ann, "purpose": None}, "invalid_value"),
        ({"customer": ann, "purpose": "louder"}, "missing_field"),
        ({"customer": ann, "purpose": "quieter"}, "missing_field"),
        ({"customer": ann, "locale": "de DE"}, "invalid_value"),
        ({"customer": ann, "locale": ""}, "invalid_value"),
        ({"customer": ann, "subject": "x"}, "unknown_field"),
        ({"customer": "email:" + "a" * LONGEST_REFERENCE}, "invalid_customer_reference"),
        ({}, "missing_field"),
        (7, "invalid_value"),
    ]
    results = mint(api, {"customer": ann, **ROW}, *(row for row, _ in wrong), {"customer": ann, **ROW})
    assert [one["error"]["code"] for one in results[1:-1]] == [code for _, code in wrong]
    assert "url" in results[0]
    assert "url" in results[-1]


def test_rows_that_are_all_wrong_are_answered_too(api: Api) -> None:
    assert [one["error"]["code"] for one in mint(api, 7, {})] == ["invalid_value", "missing_field"]


@pytest.mark.parametrize(
    ("topics", "minted"),
    [(None, ["offers", "offers/wine", "events"]), (["offers"], ["offers", "offers/wine"]), (["orders"], ["orders"]),
     (["*"], ["offers", "offers/wine", "events", "orders"])],
)  # fmt: skip
def test_a_campaign_key_mints_for_its_own_topics(api: Api, topics: list[str] | None, minted: list[str]) -> None:
    ann = somebody()
    api.customer(ann)
    asked = ["offers", "offers/wine", "events", "orders"]
    key = api.key("campaign", "limited", topics)
    results = mint(api, *({"customer": ann, "topic": topic} for topic in asked), key=key)
    assert [topic for topic, one in zip(asked, results, strict=True) if "url" in one] == minted
    assert {one["error"]["code"] for one in results if "error" in one} <= {"topic_not_allowed"}
    # What it may ask about is what it may mint for.
    for topic in asked:
        answer = api.post("/v1/permissions/check", {"customer": ann, "channel": "email", "topic": topic}, key=key)
        assert (answer.status_code == 200) == (topic in minted)


def test_the_desk_mints_for_every_topic_and_nobody_else_mints(api: Api) -> None:
    ann = somebody()
    api.customer(ann)
    for role in ("desk", "admin"):
        assert "url" in mint(api, {"customer": ann, "topic": "orders"}, role=role)[0]
    refused(api.post("/v1/links", {"links": [{"customer": ann}]}, role="auditor"), "role_not_allowed")


def test_a_retired_topic_can_still_be_turned_down_by_link(api: Api) -> None:
    ann = somebody()
    api.turn(api.customer(ann), ("email", "events", "weekly"))
    api.apply({**CATALOGUE, "topics": {name: one for name, one in CATALOGUE["topics"].items() if name != "events"}})
    assert "url" in mint(api, {"customer": ann, "purpose": "unsubscribe", "channel": "email", "topic": "events"})[0]


def test_ten_thousand_links_come_in_one_answer(api: Api) -> None:
    people = [somebody() for _ in range(50)]
    for one in people:
        api.customer(one)
    began = time.process_time()
    results = mint(api, *({"customer": people[n % 50], "purpose": "quieter", **ROW} for n in range(10_000)))
    spent = time.process_time() - began
    assert len({one["url"] for one in results}) == 50, "the same link is the same token: it says when, to the second"
    assert spent < 10, f"{spent:.1f} s of processor time, of client and service, for 10,000 links"
