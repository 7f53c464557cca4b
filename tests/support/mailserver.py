"""A real SMTP server for tests: keeps what it takes, and refuses what it is told to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

from consent_service.keyring.service import Keyring
from consent_service.mail import service
from consent_service.settings import Settings
from tests.support.api import Api
from tests.support.cluster import free_port

FROM = "Shop <preferences@shop.example>"


@dataclass
class Mailbox:
    """What the server took. `answers`: what it says to the next messages instead of 250, in order.

    `taken`: is called when a message has been taken, before the server says so.
    """

    port: int
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    taken: Callable[[], object] = lambda: None

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """Takes a message, or not."""
        if self.answers:
            return self.answers.pop(0)
        found = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(found, EmailMessage)
        self.messages.append(found)
        self.recipients += envelope.rcpt_tos
        self.taken()
        return "250 taken"

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        """Nobody lives at `nobody@`."""
        if address.startswith("nobody@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 well"


@contextlib.contextmanager
def mail_server(**options: Any) -> Iterator[Mailbox]:
    """A server on this machine, which ends with the block."""
    box = Mailbox(free_port())
    controller = Controller(box, hostname="127.0.0.1", port=box.port, **options)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


def smtp_settings(api: Api, box: Mailbox) -> Settings:
    """Settings of a worker that hands mail over to the server."""
    return api.made.settings(CONSENT_SMTP_URL=f"smtp://127.0.0.1:{box.port}", CONSENT_MAIL_FROM=FROM)


def deliver(api: Api, settings: Settings) -> int:
    """A round of the worker."""
    return service.send_due(api.database, Keyring(*settings.secrets), settings)


def text_of(found: EmailMessage, kind: str = "plain") -> str:
    """The text, or the HTML, of a message."""
    part = found.get_body((kind,))
    assert part is not None
    written: str = part.get_content()
    return written
