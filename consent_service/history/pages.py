"""Pages: what happened, in words, newest first."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from flask import Blueprint, g, request
from markupsafe import escape

from consent_service.catalogue.service import load_catalogue
from consent_service.customers.service import lineage, require
from consent_service.customers.words import detail_in_words
from consent_service.dials.words import Sentences
from consent_service.errors import Unavailable
from consent_service.history import service
from consent_service.history.cursors import cursors_of, cut, read_cursor
from consent_service.history.telling import Teller, Told
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
    told, cursor = tell_page(g.visit.customer_id, asked, mask=g.visit.link is not None)
    return render(
        "history/happened.html",
        events=told,
        newest="/me/happened" if asked else "",
        older=f"/me/happened?before={cursor}" if cursor else "",
    )


def tell_page(customer_id: UUID, asked: str | None, *, mask: bool) -> tuple[list[Told], str | None]:
    """(a page of a customer's history in words, newest first; the cursor of the next one, None when there is none).

    Args:
        asked: the cursor of this page; None: the newest.
        mask: without contact details and free words of others.

    Raises:
        ConsentError: unknown_customer, invalid_cursor.
    """
    with parts().database.snapshot() as conn:
        owner = require(conn, customer_id, g.actor)
        catalogue = load_catalogue(conn)
        cursors = cursors_of(conn, parts().keyring, owner)
        before = read_cursor(cursors, asked) if asked else None
        most = EVENTS_OF_A_PAGE + 1
        events = service.page(conn, parts().keyring, lineage(conn, owner), most=most, before=before)
    if catalogue is None:
        raise Unavailable("There is no catalogue yet.")
    shown, cursor = cut(cursors, events, EVENTS_OF_A_PAGE)
    words = speaking()
    names = Sentences(words, catalogue, datetime.now(UTC))
    levels = {name: escape(names.level(one)) for name, one in catalogue.levels.items()}
    teller = Teller(names, levels, partial(detail_in_words, words, mask=mask), masked=mask)
    return [teller.tell(one) for one in shown], cursor
