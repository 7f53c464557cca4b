"""Pages of the service desk: the way in with a desk key, finding a customer, the way out.

What names a customer is sent in a form and never stands in an address; pages of one customer are `customer_pages.py`.
"""

from __future__ import annotations

import functools
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, g, redirect, request

from consent_service.catalogue.model import Catalogue
from consent_service.catalogue.service import load_catalogue
from consent_service.customers.model import EMAIL, ID, LONGEST_REFERENCE, PHONE
from consent_service.customers.service import resolve
from consent_service.customers.words import kind_in_words
from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.i18n import N_
from consent_service.keys import service as keys
from consent_service.keys.model import ApiKey
from consent_service.service_desk import service
from consent_service.web import session
from consent_service.web.auth import admit
from consent_service.web.pages import View, page, render, speaking
from consent_service.web.parts import parts

blueprint = Blueprint("service_desk", __name__, template_folder="templates")
HOME = "/desk"
ROLES = frozenset({"desk"})  # and with it admin
_OWN_NUMBER = N_("Our number of the customer")
# Why a search found nobody whom it could show.
_PROBLEMS = ("invalid_customer_reference", "unknown_identifier_kind", "ambiguous_customer")


def agent_page(view: View) -> View:
    """A page for whoever is signed in at the service desk: `g.actor` is set; others are shown the way in."""

    @functools.wraps(view)
    def run(**arguments: Any) -> Any:
        if is_signed_in():
            return view(**arguments)
        if request.method == "POST":
            return _sign_in_page(401, because="ended")
        return redirect(f"{HOME}?because=ended" if session.agent() else HOME, 303)

    return page(run)  # type: ignore[return-value]


def is_signed_in() -> bool:
    """Whether the request is of an agent whose session holds; `g.actor` is then the holder of its key."""
    secret = session.agent()
    if secret is None:
        return False
    with parts().database.reading() as conn:
        key = service.key_of(conn, secret)
    if key is None:
        return False
    admit(key, ROLES)
    return True


def show(template: str, status: int = 200, **values: Any) -> Response:
    """A page of the service desk; its head names the agent's key."""
    return render(template, status, agent=g.actor.name, **values)


@blueprint.get(HOME)
@page
def home() -> Any:
    """The way in, or the search for whoever is in."""
    return _find_page() if is_signed_in() else _sign_in_page(because=request.args.get("because", ""))


@blueprint.post(HOME)
@page
def sign_in() -> Any:
    """Takes a key and begins a session.

    Raises:
        ConsentError: rate_limited, when this client tried too many.
    """
    secret = request.form.get("key", "").strip()
    with parts().database.reading() as conn:
        key = keys.find(conn, secret)
    try:
        admit(key, ROLES)
    except ConsentError as error:
        if error.code not in ("unauthenticated", "role_not_allowed"):
            raise
        return _sign_in_page(error.status, wrong=error.code)
    assert key is not None
    session.open_agent(_begin(key))
    return redirect(HOME, 303)


@blueprint.post("/desk/sign-out")
@page
def sign_out() -> Any:
    """Ends the session, also where the cookie was copied to."""
    secret = session.agent()
    if secret is not None:
        parts().database.repeatedly(lambda conn: service.end(conn, secret))
    session.close_visit()
    return redirect(f"{HOME}?because=out", 303)


@blueprint.post("/desk/find")
@agent_page
def find() -> Any:
    """Leads to the customer whom an identifier means."""
    asked = request.form.get("identifier", "").strip()[:LONGEST_REFERENCE]
    kind = request.form.get("kind", "")
    with parts().database.reading() as conn:
        try:
            found = resolve(conn, parts().keyring, reference_of(asked, kind))
        except ConsentError as error:
            if error.code not in _PROBLEMS:
                raise
            return _find_page(error.status, asked=asked, kind=kind, problem=error.code)
    if found.customer_id is None:
        return _find_page(404, asked=asked, kind=kind, problem=found.state)
    return redirect(customer_path(found.customer_id), 303)


def customer_path(customer_id: UUID) -> str:
    """Where a customer's page is."""
    return f"{HOME}/customers/{customer_id}"


def reference_of(asked: str, kind: str) -> str:
    """What was typed as `kind:value`; without a kind it is guessed by how it looks."""
    if kind:
        return f"{kind}:{asked}"
    try:
        return f"{ID}:{UUID(asked)}"
    except ValueError:
        pass
    if asked[:1] in ("+", "0") and asked[1:2] not in ("", ":"):
        return f"{PHONE}:{asked}"
    return f"{EMAIL}:{asked}" if "@" in asked and ":" not in asked else asked


def kinds_in_words(catalogue: Catalogue | None) -> list[tuple[str, str]]:
    """(kind, what it is called) of everything that names a customer."""
    kinds = [*(catalogue.identifier_kinds if catalogue is not None else ()), ID]
    return [(one, speaking().gettext(_OWN_NUMBER) if one == ID else kind_in_words(speaking(), one)) for one in kinds]


def _begin(key: ApiKey) -> str:
    def work(conn: Connection) -> str:
        return service.begin(conn, key.key_id)

    return parts().database.repeatedly(work)


def _sign_in_page(status: int = 200, *, because: str = "", wrong: str = "") -> Response:
    return render("service_desk/sign_in.html", status, because=because, wrong=wrong)


def _find_page(status: int = 200, *, asked: str = "", kind: str = "", problem: str = "") -> Response:
    with parts().database.reading() as conn:
        options = kinds_in_words(load_catalogue(conn))
    return show("service_desk/find.html", status, asked=asked, kind=kind, problem=problem, options=options)
