"""Styles, scripts and pictures of pages: small on the way, the same whatever the way."""

from __future__ import annotations

import gzip

import pytest
from flask.testing import FlaskClient

from consent_service.web import assets
from tests.support.api import Api
from tests.support.pages import browser

NAMES = ("pages.css", "desk.css", "pages.js", "desk.js", "icon.svg")


@pytest.fixture
def client(shared: Api) -> FlaskClient:
    return browser(shared)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_packed_for_whoever_takes_it_so(client: FlaskClient, name: str) -> None:
    plain = client.get(assets.url(name))
    packed = client.get(assets.url(name), headers={"Accept-Encoding": "br, gzip"})
    refused = client.get(assets.url(name), headers={"Accept-Encoding": "gzip;q=0"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data == refused.data
    assert {plain.headers["Vary"], packed.headers["Vary"]} == {"Accept-Encoding"}
    assert "immutable" in packed.headers["Cache-Control"]


def test_a_style_goes_out_without_what_only_its_writers_need(client: FlaskClient) -> None:
    style = client.get(assets.url("pages.css")).get_data(as_text=True)
    assert "/*" not in style
    assert "\n " not in style
    assert style.startswith("@property")


def test_another_version_of_a_file_is_the_present_one_and_not_kept(client: FlaskClient) -> None:
    old = client.get("/static/0123456789abcdef/pages.css")
    assert old.data == client.get(assets.url("pages.css")).data
    assert old.headers["Cache-Control"] == "no-store"


def test_browsers_get_their_icon(client: FlaskClient) -> None:
    icon = client.get("/favicon.ico")
    assert icon.status_code == 200
    assert icon.content_type == "image/vnd.microsoft.icon"


def test_a_page_is_packed_for_who_takes_that_and_its_length_tells_nothing(shared: Api) -> None:
    plain = browser(shared).get("/link")
    assert "Content-Encoding" not in plain.headers
    lengths = set()
    for _ in range(20):
        packed = browser(shared).get("/link", headers={"Accept-Encoding": "gzip"})
        assert packed.headers["Content-Encoding"] == "gzip"
        assert "Accept-Encoding" in packed.vary
        assert gzip.decompress(packed.data).startswith(b"<!doctype html>")
        lengths.add(len(packed.data))
    assert len(lengths) > 5, "its length says nothing of what is in it"
