"""What a letter looks like: both kinds of text in the letter's language, and headers that do no harm."""

from __future__ import annotations

import re
from uuid import UUID, uuid4

import pytest

from consent_service.i18n import LOCALES
from consent_service.mail.model import NEEDED, SUBJECTS, Kind, Letter, message
from tests.support.mailserver import text_of

BASE = "https://preferences.example"
UNTIL = "2026-12-12T08:15:00+00:00"
VALUES = {"url": "/p/abc", "what": ["Wine by e-mail: up to <b>daily</b>"], "until": UNTIL}
ID = UUID("0193a1b2-0000-7000-8000-000000000001")


def letter(kind: Kind, locale: str = "en", to: str = "ben@example.com", **values: object) -> Letter:
    return Letter(kind, locale, to, {name: {**VALUES, **values}[name] for name in NEEDED[kind]}, "Europe/Berlin")


def test_a_letter_comes_back_as_it_was_packed() -> None:
    one = letter("confirm", "de")
    assert Letter.unpacked(one.packed()) == one
    assert "ben@" not in repr(one)


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("kind", SUBJECTS)
def test_text_and_html_say_the_same_in_the_letters_language(kind: Kind, locale: str) -> None:
    made = message(letter(kind, locale), ID, sender="Shop <p@shop.example>", public_url=BASE)
    assert made.get_content_type() == "multipart/alternative"
    plain, html = text_of(made), text_of(made, "html")
    assert f"{BASE}/p/abc" in plain
    assert f'href="{BASE}/p/abc"' in html
    assert f'<html lang="{locale}" dir="{"rtl" if locale == "ar" else "ltr"}">' in html
    assert made["Content-Language"] == locale
    assert ("Your" in plain or "you" in plain) == (locale == "en")
    if "until" in NEEDED[kind] and locale == "de":
        assert "12. Dezember 2026" in plain
        assert "09:15" in plain


def test_what_came_from_a_catalogue_is_text_in_html() -> None:
    made = message(letter("confirm"), ID, sender="p@shop.example", public_url=BASE)
    assert "up to <b>daily</b>" in text_of(made)
    assert "up to &lt;b&gt;daily&lt;/b&gt;" in text_of(made, "html")


def test_the_headers_say_that_a_machine_wrote_it_and_track_nobody() -> None:
    made = message(letter("link"), ID, sender="Shop <p@shop.example>", public_url=BASE)
    assert made["Auto-Submitted"] == "auto-generated"
    assert made["Message-ID"] == "<0193a1b2000070008000000000000001@shop.example>"
    assert (made["From"], made["To"]) == ("Shop <p@shop.example>", "ben@example.com")
    html = text_of(made, "html")
    assert re.findall(r"<(?:img|script|link|style|iframe)\b", html) == []
    assert set(re.findall(r'href="([^"]+)"', html)) == {f"{BASE}/p/abc"}


def test_every_attempt_has_the_same_message_id() -> None:
    first, second = (message(letter("link"), ID, sender="p@s.example", public_url=BASE) for _ in range(2))
    assert first["Message-ID"] == second["Message-ID"]
    other = message(letter("link"), uuid4(), sender="p@s.example", public_url=BASE)
    assert other["Message-ID"] != first["Message-ID"]


@pytest.mark.parametrize("to", ["o'brien+a/b=c@example.com", "a.b!#$%@xn--bcher-kva.example", "müller@example.com"])
def test_every_address_that_is_a_name_here_can_be_written_on_the_envelope(to: str) -> None:
    made = message(letter("link", to=to), ID, sender="p@shop.example", public_url=BASE)
    assert made["To"].addresses[0].addr_spec == to


def test_a_whole_address_stays_as_it_is() -> None:
    made = message(letter("link", url="https://other.example/x"), ID, sender="p@shop.example", public_url=BASE)
    assert "https://other.example/x" in text_of(made)


def test_a_letter_that_lacks_a_value_is_refused_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="needs exactly"):
        Letter("confirm", "en", "ben@example.com", {"url": "/c/x"})
