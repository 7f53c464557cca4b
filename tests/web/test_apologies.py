"""Errors as pages: every code in a person's words, in every language."""

from __future__ import annotations

from html import unescape

import pytest
from flask import Flask

from consent_service.app import create_app
from consent_service.errors import CODES, ConsentError
from consent_service.i18n import LOCALES, words
from consent_service.settings import Settings
from consent_service.web.apologies import apology
from consent_service.web.pages import error_page

NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture(scope="module")
def app() -> Flask:
    """The joined app; an error page asks no database."""
    environment = {"DATABASE_URL": NO_DATABASE, "CONSENT_SECRET_KEY": "only-for-tests-" + "0123456789" * 3}
    return create_app(Settings.from_environment(environment), NO_DATABASE)


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("code", CODES)
def test_every_error_is_said_in_a_persons_words(app: Flask, code: str, locale: str) -> None:
    """Neither its code nor what it is called for programs stands on the page."""
    status, title = CODES[code]
    detail = "what only a log should hold"
    with app.test_request_context("/preferences", headers={"Accept-Language": locale}):
        answer = error_page(ConsentError(code, detail))
    html, spoken, said = unescape(answer.get_data(as_text=True)), words(locale), apology(ConsentError(code))
    assert answer.status_code == status
    assert f"<h1>{spoken.gettext(said.title)}</h1>" in html
    assert spoken.gettext(said.text) in html
    assert code not in html.split("<main")[1]
    assert detail not in html
    assert title not in html or title == said.title


@pytest.mark.parametrize("code", CODES)
def test_an_error_of_a_form_says_whether_anything_was_changed(code: str) -> None:
    said = apology(ConsentError(code))
    told = ("Nothing", "Please try again", "look then whether it is there", "is kept here any more")
    assert any(words_of_it in said.text for words_of_it in told)
