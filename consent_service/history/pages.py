"""Pages: what happened, in words, newest first."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from flask import Blueprint, g, request
from markupsafe import escape

from consent_service.catalogue.service import load_catalogue
from consent_service.customers.service import lineage, require
from consent_service.customers.words import detail_in_words
from consent_service.dials.words import Sentences
from consent_service.errors import Unavailable
from consent_service.history import service
from consent_service.history.cursors import cursors_of, cut, read_cursor
from consent_service.history.telling import Teller
from consent_service.web.pages import customer_page, desk_visit, render, speaking
from consent_service.web.parts import parts

blueprint = Blueprint("happened", __name__, template_folder="templates")
EVENTS_OF_A_PAGE = 25


@blueprint.get("/me/happened")
@customer_page
@desk_visit
def happened() -> Any:
    """A page of the customer's history; from a campaign's link without contact details and free words of others."""
    asked = request.args.get("before")
    with parts().database.snapshot() as conn:
        owner = require(conn, g.visit.customer_id, g.actor)
        catalogue = load_catalogue(conn)
        cursors = cursors_of(conn, parts().keyring, owner)
        before = read_cursor(cursors, asked) if asked else None
        most = EVENTS_OF_A_PAGE + 1
        events = service.page(conn, parts().keyring, lineage(conn, owner), most=most, before=before)
    if catalogue is None:
        raise Unavailable("There is no catalogue yet.")
    shown, cursor = cut(cursors, events, EVENTS_OF_A_PAGE)
    words, mask = speaking(), g.visit.link is not None
    names = Sentences(words, catalogue, datetime.now(UTC))
    levels = {name: escape(names.level(one)) for name, one in catalogue.levels.items()}
    teller = Teller(names, levels, partial(detail_in_words, words, mask=mask), masked=mask)
    return render(
        "history/happened.html",
        events=[teller.tell(one) for one in shown],
        newest="/me/happened" if asked else "",
        older=f"/me/happened?before={cursor}" if cursor else "",
    )
