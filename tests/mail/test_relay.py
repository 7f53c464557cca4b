"""CONSENT_SMTP_URL and CONSENT_MAIL_FROM: what they mean, what is refused, and that no password shows."""

from __future__ import annotations

import pytest

from consent_service.relay import Relay
from consent_service.settings import SettingsError
from tests.test_settings import given

SMTP = "smtp://mail.example"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example", Relay("mail.example", 587, "starttls")),
        ("smtp://shop:h%40sh@mail.example:25/", Relay("mail.example", 25, "starttls", "shop", "h@sh")),
        ("smtps://shop:hush@mail.example", Relay("mail.example", 465, "implicit", "shop", "hush")),
        ("smtp://mail.example?starttls=no", Relay("mail.example", 25, "none")),
        ("smtp://127.0.0.1:1025", Relay("127.0.0.1", 1025, "none")),
        ("smtp://[::1]", Relay("::1", 25, "none")),
        ("smtp://localhost", Relay("localhost", 25, "none")),
    ],
)
def test_what_a_url_means(url: str, expected: Relay) -> None:
    assert Relay.parse(url) == expected
    assert given(CONSENT_SMTP_URL=url, CONSENT_MAIL_FROM="a@b.example").smtp == expected


@pytest.mark.parametrize(
    "url",
    [
        "mail.example",
        "http://mail.example",
        "smtp://",
        "smtp://mail.example:0",
        "smtp://mail.example:70000",
        "smtp://hidden-word@mail.example",
        "smtp://mail.example/path",
        "smtp://mail.example?starttls=yes",
        "smtp://mail.example#x",
        "smtp://mail .example",
    ],
)
def test_what_is_no_relay_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(SettingsError, match="CONSENT_SMTP_URL must be") as refused:
        given(CONSENT_SMTP_URL=url, CONSENT_MAIL_FROM="a@b.example")
    assert "hidden-word" not in str(refused.value)


def test_no_password_shows() -> None:
    assert "hush" not in repr(given(CONSENT_SMTP_URL="smtp://shop:hush@mail.example", CONSENT_MAIL_FROM="a@b.example"))


@pytest.mark.parametrize("sender", ["a@b.example", "Shop <a@b.example>", "Grün & Söhne <a@b.example>"])
def test_a_sender_is_an_address_with_or_without_a_name(sender: str) -> None:
    assert given(CONSENT_SMTP_URL=SMTP, CONSENT_MAIL_FROM=sender).mail_from == sender


@pytest.mark.parametrize("sender", ["shop", "a@", "@b.example", "a@b.example\r\nBcc: c@d.example", "a@b@c", "x" * 400])
def test_what_is_no_sender_is_refused(sender: str) -> None:
    with pytest.raises(SettingsError, match="CONSENT_MAIL_FROM must be"):
        given(CONSENT_SMTP_URL=SMTP, CONSENT_MAIL_FROM=sender)


def test_mail_that_is_sent_has_a_sender() -> None:
    with pytest.raises(SettingsError, match="CONSENT_MAIL_FROM is required"):
        given(CONSENT_SMTP_URL=SMTP)
