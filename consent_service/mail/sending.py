"""Hands messages over: to an SMTP server, or, without one, into files of the data directory.

It never tells an address, a subject or a server's words to the log: they may hold a person. Nobody waits for a server
longer than the timeout. Source: RFC 5321, 4.2.1 (4yz: try again, 5yz: do not).
"""

from __future__ import annotations

import os
import smtplib
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol
from uuid import UUID

from consent_service.relay import Relay
from consent_service.settings import Settings, make_data_dir

TIMEOUT_SECONDS = 10.0
FOLDER = "mail"


class Refused(Exception):
    """This message will never be taken."""


class NotNow(Exception):
    """It was not taken, and may be later. `server_is_away` says that the same holds for every other message."""

    def __init__(self, *, server_is_away: bool) -> None:
        super().__init__("not now")
        self.server_is_away = server_is_away


class Transport(Protocol):
    """Somebody who takes messages."""

    def send(self, made: EmailMessage, mail_id: UUID) -> None:
        """Hands one message over. Raises: Refused, NotNow."""


@contextmanager
def transport(settings: Settings) -> Iterator[Transport]:
    """The way out that the settings name, opened at the first message."""
    if settings.smtp is None:
        yield Folder(folder_of(settings), settings)
        return
    server = Server(settings.smtp)
    try:
        yield server
    finally:
        server.close()


def folder_of(settings: Settings) -> Path:
    """Where mail is written without an SMTP server."""
    return settings.data_dir / FOLDER


class Folder:
    """Writes each message into a file, once: the name is the mail's id. Its owner alone can read it."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self._path = path
        self._settings = settings

    def send(self, made: EmailMessage, mail_id: UUID) -> None:
        """A file is there as a whole or not at all; after a crash the next attempt writes the same one."""
        try:
            make_data_dir(self._settings.data_dir)
            self._path.mkdir(mode=0o700, exist_ok=True)
            handle, draft = tempfile.mkstemp(dir=self._path, prefix=".")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(made.as_bytes())
                    file.flush()
                    os.fsync(file.fileno())
                Path(draft).rename(self._path / f"{mail_id.hex}.eml")
            finally:
                Path(draft).unlink(missing_ok=True)
        except OSError as error:
            raise NotNow(server_is_away=True) from error


class Server:
    """One SMTP session, for some messages one after the other."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._session: smtplib.SMTP | None = None

    def send(self, made: EmailMessage, mail_id: UUID) -> None:  # noqa: ARG002  (it is in the Message-ID)
        """The server has taken it when this returns."""
        try:
            session = self._session = self._session or self._open()
            session.send_message(made)
        except smtplib.SMTPRecipientsRefused as error:
            self._reset()
            raise _judged(next(iter(error.recipients.values()))[0]) from error
        except smtplib.SMTPDataError as error:
            self._reset()
            raise _judged(error.smtp_code) from error
        except smtplib.SMTPNotSupportedError as error:
            # An address beyond ASCII, and a server that knows none. A server without STARTTLS is met in `_open`.
            raise Refused from error
        except (smtplib.SMTPException, OSError) as error:
            # The sender is refused, the password is wrong, the line is cut: nothing of this message's.
            self.close()
            raise NotNow(server_is_away=True) from error

    def close(self) -> None:
        """Ends the session."""
        session, self._session = self._session, None
        if session is not None:
            with suppress(smtplib.SMTPException, OSError):
                session.quit()
            session.close()

    def _open(self) -> smtplib.SMTP:
        relay = self._relay
        context = ssl.create_default_context()
        if relay.tls == "implicit":
            session: smtplib.SMTP = smtplib.SMTP_SSL(relay.host, relay.port, timeout=TIMEOUT_SECONDS, context=context)
        else:
            session = smtplib.SMTP(relay.host, relay.port, timeout=TIMEOUT_SECONDS)
        try:
            if relay.tls == "starttls":
                session.starttls(context=context)
            if relay.user is not None and relay.password is not None:
                session.login(relay.user, relay.password)
        except smtplib.SMTPNotSupportedError as error:
            session.close()
            raise NotNow(server_is_away=True) from error
        except BaseException:
            session.close()
            raise
        return session

    def _reset(self) -> None:
        with suppress(smtplib.SMTPException, OSError):
            if self._session is not None:
                self._session.rset()


def _judged(code: int) -> Refused | NotNow:
    return Refused() if code >= 500 else NotNow(server_is_away=False)
