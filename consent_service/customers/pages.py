"""Pages: what we know about a customer. Contact details, language, time zone; all of it as a file; being forgotten.

From a link that a campaign minted, which others may have seen, details are masked and nothing of this is changed,
taken or erased: who wants to asks for a link of their own.
"""

from __future__ import annotations

import functools
import zoneinfo
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import orjson
from flask import Blueprint, Response, g, redirect, request
from markupsafe import Markup

from consent_service.catalogue.model import Catalogue, Channel
from consent_service.catalogue.service import load_catalogue
from consent_service.clock import parse_time
from consent_service.confirmations import removing
from consent_service.confirmations import service as confirmations
from consent_service.customers import confirming, erasure, profile
from consent_service.customers.confirming import Name
from consent_service.customers.model import EMAIL, LONGEST_REFERENCE, parse_reference
from consent_service.customers.service import lineage, require
from consent_service.customers.words import kind_in_words, value_in_words
from consent_service.database import Connection
from consent_service.dialogues import service as dialogues
from consent_service.dials import service as dials
from consent_service.errors import ConsentError
from consent_service.history import service as history
from consent_service.i18n import supported
from consent_service.web import session
from consent_service.web.pages import View, customer_page, desk_visit, page, render, speaking
from consent_service.web.parts import parts

blueprint = Blueprint("me", __name__, template_folder="templates")

EVENTS_AT_A_TIME, MOST_EVENTS = 500, 200_000
FILE = "my-preferences.json"
# What a detail can be wrong for that the person can mend or take elsewhere; anything else is an error page.
_KEPT = {"identifier_suppressed", "last_identifier"}
_REFUSED = {"invalid_customer_reference", "invalid_value"}


def own_visit(view: View) -> View:
    """What is done only by a link that the service or the desk sent: others may have seen those of campaigns."""

    @functools.wraps(view)
    def run(**arguments: Any) -> Any:
        return view(**arguments) if g.visit.link is None else redirect("/me", 303)

    return run  # type: ignore[return-value]


@blueprint.get("/me")
@customer_page
@desk_visit
def me() -> Any:
    """Contact details, language, time zone."""
    return _shown()


@blueprint.post("/me/details")
@customer_page
@desk_visit
@own_visit
def add_detail() -> Any:
    """Notes a contact detail, to be confirmed by a mail or looked at by the service desk; a wrong one is said beside
    the field that it was written in. Whether somebody else has it, nothing here knows.
    """
    kind, value = request.form.get("kind", ""), request.form.get("value", "")[:LONGEST_REFERENCE]

    def work(conn: Connection) -> str:
        if kind not in _kinds(conn):
            raise ConsentError("invalid_value", "There is no such choice on the page.")
        reference = parse_reference(f"{kind}:{value}")
        asked = (conn, parts().keyring, g.actor, g.visit.customer_id, reference)
        if confirmations.ask_address(*asked, locale=speaking().locale) is None:
            return "saved"
        return "sent" if kind == EMAIL else "noted"

    try:
        done = parts().database.repeatedly(work)
    except ConsentError as error:
        if error.code not in _REFUSED:
            raise
        return _shown(error=error, kind=kind, value=value)
    return redirect(f"/me?{done}=1", 303)


@blueprint.post("/me/details/remove")
@customer_page
@desk_visit
@own_visit
def remove_detail() -> Any:
    """Takes a contact detail away; one that is gone already stays so."""
    asked = request.form.get("detail", "")[:LONGEST_REFERENCE]

    def work(conn: Connection) -> None:
        removing.remove(conn, parts().keyring, g.actor, g.visit.customer_id, parse_reference(asked))

    try:
        parts().database.repeatedly(work)
    except ConsentError as error:
        if error.code not in _KEPT:
            raise
        return redirect(f"/me?kept={error.code}", 303)
    return redirect("/me?removed=1", 303)


@blueprint.post("/me/settings")
@customer_page
@desk_visit
@own_visit
def change_settings() -> Any:
    """Sets language and time zone; the pages speak and reckon so at once."""
    given = {name: request.form[name] for name in ("locale", "time_zone") if request.form.get(name)}
    parts().database.repeatedly(lambda conn: profile.change(conn, parts().keyring, g.actor, g.visit.customer_id, given))
    if (locale := supported(given.get("locale"))) is not None:
        session.choose_language(locale)
    if "time_zone" in given:
        session.show_times_in(given["time_zone"])
    return redirect("/me?saved=1", 303)


@blueprint.get("/me/data")
@customer_page
@desk_visit
def data() -> Any:
    """What the file holds, and the way to it."""
    return render("customers/data.html")


@blueprint.get("/me/data/file")
@customer_page
@desk_visit
@own_visit
def data_file() -> Response:
    """Everything that the API shows of a customer, in one file."""
    with parts().database.snapshot() as conn:
        owner = require(conn, g.visit.customer_id, g.actor)
        body = {
            "customer": profile.show(conn, parts().keyring, g.actor, owner),
            "settings": dials.show(conn, parts().keyring, owner),
            "dialogues": list(dialogues.everything(conn, parts().keyring, owner)),
            "history": list(_events(conn, owner)),
        }
    response = Response(orjson.dumps(body, option=orjson.OPT_INDENT_2), content_type="application/json")
    response.headers["Content-Disposition"] = f'attachment; filename="{FILE}"'
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.get("/me/forget")
@customer_page
@desk_visit
def ask_to_forget() -> Any:
    """What goes, what stays and why; and the one question."""
    return render("customers/forget.html")


@blueprint.post("/me/forget")
@customer_page
@desk_visit
@own_visit
def forget() -> Any:
    """Erases the person; the visit is over. Sent once more, after an answer that was lost, it is done already."""
    try:
        parts().database.repeatedly(lambda conn: erasure.erase(conn, parts().keyring, g.actor, g.visit.customer_id))
    except ConsentError as error:
        if error.code != "unknown_customer":
            raise
    session.close_visit()
    return redirect("/forgotten", 303)


@blueprint.get("/forgotten")
@page
def forgotten() -> Any:
    """The last page: it knows nobody any more."""
    return render("customers/forgotten.html")


def _shown(*, error: ConsentError | None = None, kind: str = "", value: str = "") -> Response:
    with parts().database.snapshot() as conn:
        customer = profile.show(conn, parts().keyring, g.actor, g.visit.customer_id)
        kinds = _kinds(conn)
        catalogue = load_catalogue(conn)
        waiting = confirmations.open_changes(conn, parts().keyring, UUID(customer["id"]))
        names = confirming.names_of(conn, parts().keyring, UUID(customer["id"]))
    words, mask = speaking(), g.visit.link is not None
    details: dict[str, list[tuple[str, Markup]]] = {}
    for reference in customer["identifiers"]:
        label = kind_in_words(words, reference.partition(":")[0])
        details.setdefault(label, []).append((reference, value_in_words(reference, mask=mask)))
    usual = catalogue.time_zone if catalogue is not None else "UTC"
    return render(
        "customers/me.html",
        422 if error else 200,
        details=details,
        kinds=[(one, kind_in_words(words, one)) for one in kinds],
        kind=kind or (kinds[0] if kinds else ""),
        value=value,
        error=error,
        chosen=supported(customer["locale"]) or words.locale,
        zone=customer["time_zone"] or usual,
        zones=_zones(),
        saved="saved" in request.args and not error,
        sent="sent" in request.args and not error,
        noted="noted" in request.args and not error,
        removed="removed" in request.args and not error,
        kept=request.args.get("kept", "") if not error else "",
        may_remove=not mask and len(customer["identifiers"]) > 1,
        waiting=[
            (value_in_words(one.asked.to.text, mask=mask), words.date(one.expires_at), one)
            for one in waiting
            if one.kind == "address"
        ],
        unconfirmed=words.listed([words.label(one.label) for one in _unconfirmed(catalogue, names)]),
        own=not mask,
    )


def _unconfirmed(catalogue: Catalogue | None, names: Sequence[Name]) -> list[Channel]:
    """Channels that the customer turns up only once the service desk has confirmed a number or address of theirs."""
    held = {one.reference.kind for one in names}
    confirmed = {one.reference.kind for one in names if one.confirmed_at is not None}
    channels = catalogue.live_channels.values() if catalogue is not None else ()
    waiting = held - confirmed - {EMAIL}
    return [one for one in channels if one.confirm and one.identifier_kind in waiting]


def _kinds(conn: Connection) -> list[str]:
    """Kinds by which channels reach people, in the order of the catalogue.

    An e-mail address is confirmed at the address itself; the others by the service desk.
    """
    catalogue = load_catalogue(conn)
    channels = catalogue.live_channels.values() if catalogue is not None else ()
    return list(dict.fromkeys(one.identifier_kind for one in channels))


def _events(conn: Connection, owner: UUID) -> Iterator[dict[str, Any]]:
    """All of a history, newest first, as the API shows it."""
    owners, before = lineage(conn, owner), None
    for _ in range(MOST_EVENTS // EVENTS_AT_A_TIME):
        events = history.page(conn, parts().keyring, owners, most=EVENTS_AT_A_TIME, before=before)
        yield from events
        if len(events) < EVENTS_AT_A_TIME:
            return
        before = parse_time(events[-1]["recorded_at"]), UUID(events[-1]["id"])


@functools.cache
def _zones() -> tuple[str, ...]:
    """Zones by place, as people choose them; the customer's own is offered besides."""
    return tuple(sorted(one for one in zoneinfo.available_timezones() if one.partition("/")[0] in _CONTINENTS))


_CONTINENTS = (
    *("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"),
)
