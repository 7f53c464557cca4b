"""Following a link opens a visit, changes nothing, and leaves the token behind."""

from __future__ import annotations

from uuid import uuid4

from tests.support.api import Api
from tests.support.pages import browser, link_to, post
from tests.web.asking import footprint, somebody


def test_a_link_leads_on_without_its_token(api: Api) -> None:
    link = link_to(api, api.customer(somebody()))
    before = footprint(api)
    for _ in range(100):
        followed = browser(api).get(link)
        assert followed.status_code == 303
        assert followed.headers["Location"] == "/preferences"
        assert followed.headers["Referrer-Policy"] == "no-referrer"
        assert "HttpOnly" in followed.headers["Set-Cookie"]
    assert footprint(api) == before


def test_whatever_is_wrong_with_a_link_is_one_neutral_page(api: Api) -> None:
    good = link_to(api, api.customer(somebody()))
    bad = (good[:-1], good.replace("/p/", "/u/"), "/p/a", link_to(api, uuid4()))
    answers = [browser(api).get(path) for path in bad]
    assert {answer.status_code for answer in answers} == {404}
    assert all(answer.get_data(as_text=True).startswith("<!doctype html>") for answer in answers)


def test_a_page_speaks_the_language_of_the_link(api: Api) -> None:
    client = browser(api)
    client.get(link_to(api, api.customer(somebody()), locale="ar"))
    page = client.get("/link")
    assert '<html lang="ar" dir="rtl">' in page.get_data(as_text=True)
    assert post(client, page, "/language", {"locale": "fr", "back": "/link"}).headers["Location"] == "/link"
    assert '<html lang="fr" dir="ltr">' in client.get("/link").get_data(as_text=True)


def test_a_language_leads_back_to_no_other_site(api: Api) -> None:
    client = browser(api)
    for back in ("//evil.example", "https://evil.example", "/\\evil.example", ""):
        page = client.get("/link")
        assert post(client, page, "/language", {"locale": "fr", "back": back}).headers["Location"] == "/"


def test_a_form_without_its_token_or_from_another_site_is_refused(api: Api) -> None:
    client = browser(api)
    page = client.get("/link")
    assert client.post("/language", data={"locale": "fr"}).status_code == 403
    token = page.get_data(as_text=True).split('name="csrf_token" value="')[1].split('"')[0]
    sent = {"csrf_token": token, "locale": "fr"}
    assert client.post("/language", data=sent, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.post("/language", data=sent).status_code == 303
