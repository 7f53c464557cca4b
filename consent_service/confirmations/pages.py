"""Pages: what a link in a confirmation's mail leads to. Showing asks and changes nothing; the button does it, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, g, redirect, request

from consent_service.catalogue.service import load_catalogue
from consent_service.confirmations import service
from consent_service.confirmations.words import told
from consent_service.customers.service import require
from consent_service.database import Connection
from consent_service.dials.service import as_shown, now
from consent_service.errors import ConsentError
from consent_service.web.pages import confirm_page, customer_page, render, speaking
from consent_service.web.parts import parts
from consent_service.web.session import language, open_visit

blueprint = Blueprint("confirmations", __name__, template_folder="templates")

RESULTS = ("done", "before", "late", "overtaken", "taken")


@blueprint.get("/confirm")
@confirm_page
def show() -> Any:
    """What was asked for, and a button; or what came of it."""
    with parts().database.snapshot() as conn:
        owner = require(conn, g.visit.customer_id, g.actor)
        change = service.find(conn, parts().keyring, owner, UUID(g.visit.subject))
        catalogue, at = load_catalogue(conn), now(conn)
        notice = as_shown(conn, change.asked.notice) if change else None
    if change is None:
        return render("confirmations/confirm.html", 404, result="late", change=None)
    result = request.args.get("result", "")
    if result not in RESULTS:
        result = {"open": "", "confirmed": "before"}.get(change.state, "late")
    what, left = (told(change.asked, speaking(), catalogue, at, left=one) if catalogue else [] for one in (False, True))
    return render("confirmations/confirm.html", result=result, change=change, notice=notice, what=what, left=left)


@blueprint.post("/confirm")
@confirm_page
def confirm() -> Any:
    """Does it. Who could do so reads the mailbox: their visit opens the desk from now on."""
    change_id = UUID(g.visit.subject)
    keyring = parts().keyring
    outcome = parts().database.repeatedly(
        lambda conn: service.confirm(conn, keyring, g.actor, require(conn, g.visit.customer_id, g.actor), change_id)
    )
    # Who comes again after an answer that was lost gets on as well; an old link does not.
    if outcome.result in ("done", "before") and outcome.change.expires_at > datetime.now(UTC):
        open_visit(replace(g.visit, purpose="preferences", opens_desk=True), language() or outcome.change.asked.locale)
    return redirect(f"/confirm?result={outcome.result}", 303)


@blueprint.post("/confirm/withdraw")
@customer_page
def withdraw() -> Any:
    """Takes back, from the page on which it was asked, what waits."""
    try:
        change_id = UUID(request.form.get("change", ""))
    except ValueError as error:
        raise ConsentError("not_found") from error
    keyring = parts().keyring

    def work(conn: Connection) -> str:
        owner = require(conn, g.visit.customer_id, g.actor)
        return service.drop(conn, keyring, g.actor, owner, change_id)

    kind = parts().database.repeatedly(work)
    return redirect("/me" if kind == "address" else "/preferences", 303)


@blueprint.post("/confirm/drop")
@confirm_page
def drop() -> Any:
    """Takes it back: nothing stays to be confirmed."""
    keyring = parts().keyring

    def work(conn: Connection) -> None:
        owner = require(conn, g.visit.customer_id, g.actor)
        service.drop(conn, keyring, g.actor, owner, UUID(g.visit.subject))

    parts().database.repeatedly(work)
    return redirect("/confirm?result=late", 303)
