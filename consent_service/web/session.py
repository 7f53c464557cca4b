"""Who visits the pages: a short session in a signed cookie, opened by a link. Holds no name and no contact detail.

Nothing is stored for a visit: mail scanners open links by the hundred. The cookie goes to this host only, no script
reads it, and it ends half an hour after the last page, or twelve hours after the first one. Calls of the API neither
read nor set it.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Flask, g, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask.wrappers import Request, Response

from consent_service.history.model import Actor
from consent_service.keyring.model import derive
from consent_service.settings import Settings

IDLE = timedelta(minutes=30)
LONGEST_SECONDS = 12 * 3600
_VISIT, _LANGUAGE, _AGENT, _INVITATION = "visit", "language", "agent", "invitation"


@dataclass(frozen=True, slots=True)
class Visit:
    """A customer on the pages.

    Args:
        purpose: of the link that opened it.
        link: name of the campaign key that minted the link; None: the desk's, or sent by the service itself.
        channel, topic: what the message was about that carried the link; empty: nothing in particular.
        opens_desk: False for an old link that may still turn down, and nothing else.
        time_zone: in which times are shown.
        began_at: Unix time.
        subject: id of what the link confirms, as hex; empty: nothing.
    """

    customer_id: UUID
    purpose: str
    link: str | None
    channel: str
    topic: str
    opens_desk: bool
    time_zone: str
    began_at: int
    subject: str = ""


def install(app: Flask, settings: Settings) -> None:
    """Signs cookies under the root secret, and reads those of the one before it."""
    secure = settings.public_url.startswith("https://")
    keys = [derive(secret, "page-session") for secret in settings.secrets]
    app.secret_key = keys[0]
    app.config.update(
        SECRET_KEY_FALLBACKS=keys[1:],
        SESSION_COOKIE_NAME="__Host-consent" if secure else "consent",
        SESSION_COOKIE_SECURE=secure,
        SESSION_COOKIE_HTTPONLY=True,
        # A link in a mail program on the web is followed from another site: Strict would lose the visit at once.
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        PERMANENT_SESSION_LIFETIME=IDLE,
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session
    )
    app.session_interface = _OfPages()


def open_visit(visit: Visit, language: str | None) -> None:
    """Begins a visit; an earlier one in the same browser ends."""
    session.clear()
    session.permanent = True
    session[_VISIT] = asdict(visit) | {"customer_id": visit.customer_id.hex}
    if language is not None:
        session[_LANGUAGE] = language


def visit() -> Visit | None:
    """The visit of this request; None when there is none, or it has lasted too long."""
    kept: dict[str, Any] | None = session.get(_VISIT)
    if kept is None:
        return None
    found = Visit(**kept | {"customer_id": UUID(kept["customer_id"])})
    return found if time.time() - found.began_at < LONGEST_SECONDS else None


def show_times_in(time_zone: str) -> None:
    """From now on the visit shows times in this zone."""
    session[_VISIT] = session[_VISIT] | {"time_zone": time_zone}


def close_visit() -> None:
    """Ends the visit; the language stays."""
    kept = session.get(_LANGUAGE)
    session.clear()
    if kept is not None:
        session[_LANGUAGE] = kept


def open_invitation(customer_id: UUID, person_id: UUID) -> None:
    """Remembers an invitation that was followed, beside the visit that there may be; an earlier one is forgotten."""
    session.permanent = True
    session[_INVITATION] = [customer_id.hex, person_id.hex, int(time.time())]


def invitation() -> tuple[UUID, UUID] | None:
    """(who named somebody, the person) of the invitation that was followed; None: there is none, or it is too old."""
    kept = session.get(_INVITATION)
    if kept is None or time.time() - kept[2] >= LONGEST_SECONDS:
        return None
    return UUID(kept[0]), UUID(kept[1])


def open_agent(secret: str) -> None:
    """Signs an agent of the service desk in; whatever the browser had before is gone, but for its language."""
    close_visit()
    session.permanent = True
    session[_AGENT] = secret


def agent() -> str | None:
    """The secret of the agent's session; whether it still holds is asked of the database."""
    secret: str | None = session.get(_AGENT)
    return secret


def language() -> str | None:
    """The language that the link or the visitor chose."""
    chosen: str | None = session.get(_LANGUAGE)
    return chosen


def choose_language(locale: str) -> None:
    """Keeps a language for the session."""
    session.permanent = True
    session[_LANGUAGE] = locale


def actor_of(found: Visit) -> Actor:
    """The customer, acting for themself."""
    return Actor("customer", str(found.customer_id), g.request_id, customer_id=found.customer_id, link=found.link)


class _OfPages(SecureCookieSessionInterface):
    """Flask's sessions, which cost nothing where no cookie came and none is set."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if "HTTP_COOKIE" not in request.environ:
            return self.session_class()
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if session.accessed or session.modified:
            super().save_session(app, session, response)
