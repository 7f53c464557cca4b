"""Pages: the way in and out. A link opens a visit and sends the browser on, so that its token stands nowhere."""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint, Response, g, redirect, request

from consent_service.customers.model import EMAIL, ID, LONGEST_REFERENCE, Reference, parse_reference
from consent_service.errors import ConsentError
from consent_service.i18n import supported
from consent_service.links import service
from consent_service.links.model import Purpose
from consent_service.links.one_click import unsubscribe
from consent_service.links.requests import ask
from consent_service.links.service import Opened
from consent_service.web.frame import client_address
from consent_service.web.pages import customer_page, page, render, sent_by_programs, speaking
from consent_service.web.parts import parts
from consent_service.web.session import Visit, close_visit, open_visit, visit

blueprint = Blueprint("links", __name__, template_folder="templates")

# Where a visit goes on, by the purpose of the link that opened it.
_BEGINS: dict[Purpose, str] = {
    "preferences": "/preferences",
    "unsubscribe": "/unsubscribe",
    "louder": "/louder",
    "quieter": "/quieter",
    "confirm": "/confirm",
}


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
        # A confirmation's link opens its own page only: it may have gone to a mistyped address.
        opens_desk=link.purpose != "confirm" and opened.is_fresh(parts().settings.link_lasts),
        time_zone=opened.time_zone,
        began_at=int(time.time()),
        subject=link.subject.hex if link.subject else "",
    )


@blueprint.get("/")
@page
def landing() -> Any:
    """Where a bare address leads: to the desk, or to the way in."""
    return redirect("/preferences", 303) if visit() is not None else render("links/landing.html")


@blueprint.get("/link")
@page
def link_form() -> Any:
    """The way in for whoever has no link at hand, or an old one; says why they are here."""
    g.visit = visit()
    return _link_form()


@blueprint.post("/link")
@page
def ask_for_link() -> Any:
    """Takes an address. The answer is the same, and takes as long, whether somebody has it or not."""
    address = request.form.get("email", "").strip()
    try:
        who = parse_reference(f"{EMAIL}:{address}")
    except ConsentError:
        return _link_form(422, address=address[:LONGEST_REFERENCE], wrong=True)
    return _asked(who)


@blueprint.post("/link/mine")
@customer_page
def ask_for_own_link() -> Any:
    """A new link in one step, for whoever is here by an old one or by a campaign's: to their own address."""
    return _asked(Reference(ID, str(g.visit.customer_id)))


@blueprint.get("/link/sent")
@page
def link_sent() -> Any:
    """What happens next, in the same words for everybody."""
    return render("links/sent.html")


@blueprint.post("/sign-out")
@page
def sign_out() -> Any:
    """Ends the visit."""
    close_visit()
    return redirect("/link?because=out", 303)


def _link_form(status: int = 200, *, address: str = "", wrong: bool = False) -> Response:
    because, days = request.args.get("because", ""), parts().settings.link_lasts.days
    return render("links/ask.html", status, because=because, days=days, address=address, wrong=wrong)


def _asked(who: Reference) -> Any:
    keyring, locale, address = parts().keyring, speaking().locale, client_address()
    parts().database.repeatedly(lambda conn: ask(conn, keyring, who, locale=locale, client_address=address))
    return redirect("/link/sent", 303)
