"""Mail by STARTTLS and by smtps://, to servers with all kinds of certificates: only the right one hears a password."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword

from consent_service.relay import Relay, Tls
from consent_service.settings import Settings
from tests.mail.test_outbox import queue, rows
from tests.support.api import Api
from tests.support.certificates import DAY, Authority, authority
from tests.support.mailserver import Mailbox, deliver, mail_server, smtp_settings

HOST, LOGIN, PASSWORD = "127.0.0.1", "shop", "hush"
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
WAYS: tuple[Tls, ...] = ("starttls", "implicit")


@pytest.fixture
def ben(api: Api) -> UUID:
    return api.customer("email:ben@example.com")


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that this machine believes, and no other."""
    made = authority(tmp_path / "trusted")
    monkeypatch.setenv("SSL_CERT_FILE", str(made.certificate))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    return made


@contextmanager
def server(way: Tls, tls: ssl.SSLContext, heard: list[tuple[bytes, bytes]]) -> Iterator[Mailbox]:
    """A server that takes mail of nobody but the shop, and keeps the logins and passwords that it heard."""

    def ask(_server: Any, _session: Any, _envelope: Any, _mechanism: str, said: LoginPassword) -> AuthResult:
        heard.append((said.login, said.password))
        return AuthResult(success=(said.login, said.password) == (LOGIN.encode(), PASSWORD.encode()))

    encrypted: dict[str, Any] = {"tls_context": tls, "require_starttls": True}
    if way == "implicit":
        encrypted = {"ssl_context": tls, "auth_require_tls": False}  # it knows of TLS by STARTTLS only
    with mail_server(authenticator=ask, auth_required=True, **encrypted) as box:
        yield box


def settings_of(api: Api, way: Tls, box: Mailbox, password: str = PASSWORD) -> Settings:
    # A URL of this machine means no TLS.
    return replace(smtp_settings(api, box), smtp=Relay(HOST, box.port, way, LOGIN, password))


@pytest.mark.parametrize("way", WAYS)
def test_a_server_with_the_right_certificate_takes_the_mail(api: Api, ben: UUID, trusted: Authority, way: Tls) -> None:
    queue(api, ben)
    heard: list[tuple[bytes, bytes]] = []
    with server(way, trusted.server(HOST), heard) as box:
        assert deliver(api, settings_of(api, way, box)) == 1
    assert (box.recipients, heard) == (["ben@example.com"], [(b"shop", b"hush")])
    assert [one["state"] for one in rows(api)] == ["sent"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", ["another host", "ended", "unknown authority"])
def test_a_server_with_a_wrong_certificate_hears_neither_password_nor_mail(
    api: Api, ben: UUID, trusted: Authority, tmp_path: Path, way: Tls, fault: str
) -> None:
    contexts = {
        "another host": lambda: trusted.server("mail.elsewhere.example"),
        "ended": lambda: trusted.server(HOST, ends_in=-DAY),
        "unknown authority": lambda: authority(tmp_path / "unknown").server(HOST),
    }
    queue(api, ben)
    heard: list[tuple[bytes, bytes]] = []
    with server(way, contexts[fault](), heard) as box:
        assert deliver(api, settings_of(api, way, box)) == 0
    assert (box.messages, heard) == ([], [])
    # The server may be set right: it is tried again later.
    assert [(one["state"], one["attempts"]) for one in rows(api)] == [("queued", 1)]


@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_password_is_the_servers_matter_and_not_the_mails(
    api: Api, ben: UUID, trusted: Authority, way: Tls
) -> None:
    queue(api, ben)
    with server(way, trusted.server(HOST), []) as box:
        assert deliver(api, settings_of(api, way, box, password="wrong")) == 0
    assert box.messages == []
    assert [(one["state"], one["attempts"]) for one in rows(api)] == [("queued", 1)]
