"""Pages: following a link. A link opens a visit and sends the browser on, so that its token stands nowhere."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, g, redirect, request

from consent_service.errors import ConsentError
from consent_service.i18n import supported
from consent_service.links import service
from consent_service.links.model import Purpose
from consent_service.links.one_click import unsubscribe
from consent_service.links.service import Opened
from consent_service.web.pages import page, render, sent_by_programs
from consent_service.web.parts import parts
from consent_service.web.session import Visit, open_visit

blueprint = Blueprint("links", __name__, template_folder="templates")

# Where a visit goes on, by the purpose of the link that opened it.
_BEGINS: dict[Purpose, str] = {
    "preferences": "/preferences",
    "unsubscribe": "/unsubscribe",
    "louder": "/louder",
    "quieter": "/quieter",
    "confirm": "/confirm",
}
LASTS = timedelta(days=30)


@blueprint.get("/p/<token>", defaults={"purpose": "preferences"})
@blueprint.get("/u/<token>", defaults={"purpose": "unsubscribe"})
@blueprint.get("/m/<token>", defaults={"purpose": "louder"})
@blueprint.get("/l/<token>", defaults={"purpose": "quieter"})
@blueprint.get("/c/<token>", defaults={"purpose": "confirm"})
@page
def follow(purpose: Purpose, token: str) -> Any:
    """Opens a visit, changes nothing, and leaves the token behind.

    Raises:
        ConsentError: not_found, in the same words for whatever is wrong with a link.
    """
    with parts().database.reading() as conn:
        opened = service.open_link(conn, parts().keyring, purpose, token)
    if opened is None:
        raise ConsentError("not_found")
    if opened.is_erased:
        return render("links/erased.html", 410)
    open_visit(_visit(opened), supported(opened.link.locale) or supported(opened.locale))
    return redirect(_BEGINS[purpose], 303)


@blueprint.post("/u/<token>")
@sent_by_programs
def one_click(token: str) -> Response:
    """A mail program's unsubscription: at once, as often as it comes, without a question. Source: RFC 8058, 3.2.

    Raises:
        ConsentError: invalid_value, for a form that says something else; not_found, as for every link.
    """
    if request.form.get("List-Unsubscribe", "").strip().lower() != "one-click":
        raise ConsentError("invalid_value", "The form must say List-Unsubscribe=One-Click.")
    keyring = parts().keyring
    known = parts().database.repeatedly(lambda conn: unsubscribe(conn, keyring, token, request_id=g.request_id))
    if not known:
        raise ConsentError("not_found")
    return Response(status=200, mimetype="text/plain", headers={"Cache-Control": "no-store"})


def _visit(opened: Opened) -> Visit:
    link = opened.link
    return Visit(
        customer_id=opened.customer_id,
        purpose=link.purpose,
        link=opened.campaign,
        channel=link.channel,
        topic=link.topic,
        opens_desk=opened.is_fresh(LASTS),
        time_zone=opened.time_zone,
        began_at=int(time.time()),
    )


@blueprint.get("/link")
@page
def ask_for_link() -> Any:
    """The way in for whoever has no link at hand."""
    return render("links/ask.html")
