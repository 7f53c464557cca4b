"""Pages of the service desk: a customer's stops, what waits for their confirmation, merging, and their history.

What makes anybody louder, or cannot be undone, is done only with the reference of a call or letter.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, g, request

from consent_service.confirmations import removing
from consent_service.confirmations import service as confirmations
from consent_service.customers import confirming, merge, profile, suppressions
from consent_service.customers.model import (
    ID,
    LONGEST_REASON,
    LONGEST_REFERENCE,
    SUPPRESSION_KINDS,
    Reference,
    parse_reference,
)
from consent_service.customers.service import require, resolve, unknown_customer
from consent_service.customers.words import detail_in_words
from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.history.pages import tell_page
from consent_service.service_desk.customer_pages import PREFIX, PROBLEMS, on_behalf, page_of
from consent_service.service_desk.pages import agent_page, customer_path, reference_of, show
from consent_service.web.pages import speaking
from consent_service.web.parts import parts

blueprint = Blueprint("cases", __name__, template_folder="templates", url_prefix=PREFIX)
USUAL_REASON = "on the customer's word"


@blueprint.get("/happened")
@agent_page
def happened(customer_id: UUID) -> Response:
    """A page of the customer's history."""
    asked = request.args.get("before")
    told, cursor = tell_page(customer_id, asked, mask=False)
    here = f"{customer_path(customer_id)}/happened"
    return show(
        "service_desk/happened.html",
        forms=customer_path(customer_id),
        events=told,
        newest=here if asked else "",
        older=f"{here}?before={cursor}" if cursor else "",
    )


@blueprint.post("/suppress")
@agent_page
def suppress(customer_id: UUID) -> Any:
    """Stops contact with the person, or by one of their numbers or addresses, whoever has it."""
    form = request.form
    reason = form.get("reason", "").strip()[:LONGEST_REASON] or USUAL_REASON
    stop = suppressions.Stop(form.get("channel") or None, form.get("kind", ""), reason)

    def work(conn: Connection, owner: UUID) -> None:
        if stop.kind not in SUPPRESSION_KINDS or not stop.reason.isprintable():
            raise ConsentError("invalid_value")
        if point := form.get("point"):
            if point not in profile.show(conn, parts().keyring, g.actor, owner)["identifiers"]:
                raise ConsentError("invalid_value")
            suppressions.suppress_point(conn, parts().keyring, g.actor, parse_reference(point), stop)
        else:
            suppressions.suppress_customer(conn, parts().keyring, g.actor, Reference(ID, str(owner)), stop)

    return on_behalf(customer_id, work)


@blueprint.post("/lift")
@agent_page
def lift(customer_id: UUID) -> Any:
    """Lifts a stop that reaches this customer; lifted by somebody else meanwhile: nothing."""

    def work(conn: Connection, owner: UUID) -> None:
        _require_evidence()
        names = profile.show(conn, parts().keyring, g.actor, owner)["identifiers"]
        points = [parse_reference(one) for one in names]
        reaching = suppressions.of_customer(conn, parts().keyring, owner, points)
        asked = request.form.get("suppression", "")
        if asked in {one.suppression_id for one in reaching}:
            suppressions.lift(conn, parts().keyring, g.actor, asked)

    return on_behalf(customer_id, work)


@blueprint.post("/confirm")
@agent_page
def confirm(customer_id: UUID) -> Any:
    """Keeps that a number or address is the customer's, as the call or letter shows."""

    def work(conn: Connection, owner: UUID) -> None:
        if (point := _point(conn, owner)) is not None:
            confirming.confirm_on_evidence(conn, parts().keyring, g.actor, owner, point, g.actor.evidence)

    return on_behalf(customer_id, work)


@blueprint.post("/remove")
@agent_page
def remove(customer_id: UUID) -> Any:
    """Takes a number or address away from the customer."""

    def work(conn: Connection, owner: UUID) -> None:
        if (point := _point(conn, owner)) is not None:
            removing.remove(conn, parts().keyring, g.actor, owner, point)

    return on_behalf(customer_id, work)


@blueprint.post("/accept")
@agent_page
def accept(customer_id: UUID) -> Any:
    """Adds a number or address that the customer asked to add, and that no mail could confirm."""

    def work(conn: Connection, owner: UUID) -> None:
        confirmations.accept(conn, parts().keyring, g.actor, owner, _id("pending"))

    return on_behalf(customer_id, work)


@blueprint.post("/drop")
@agent_page
def drop(customer_id: UUID) -> Any:
    """Takes back what waits for the customer's confirmation."""

    def work(conn: Connection, owner: UUID) -> None:
        confirmations.drop(conn, parts().keyring, g.actor, owner, _id("pending"))

    return on_behalf(customer_id, work)


@blueprint.post("/merge")
@agent_page
def merge_with(customer_id: UUID) -> Any:
    """Shows both customers; once the agent has seen them, makes them one."""
    if "other" not in request.form:
        return _both(customer_id)

    def work(conn: Connection, owner: UUID) -> None:
        _require_evidence()
        other = _id("other")
        if require(conn, other, g.actor) != owner:  # else it was sent again, and is done
            merge.merge(conn, parts().keyring, g.actor, owner, other)

    return on_behalf(customer_id, work)


def _both(customer_id: UUID) -> Response:
    asked = request.form.get("identifier", "").strip()[:LONGEST_REFERENCE]
    keyring = parts().keyring
    try:
        with parts().database.snapshot() as conn:
            owner = require(conn, customer_id, g.actor)
            other = resolve(conn, keyring, reference_of(asked, request.form.get("kind_of_other", ""))).customer_id
            if other is None:
                raise unknown_customer()
            if other == owner:
                raise ConsentError("same_customer")
            people = [profile.show(conn, keyring, g.actor, one)["identifiers"] for one in (owner, other)]
    except ConsentError as error:
        if error.code not in PROBLEMS:
            raise
        return page_of(customer_id, status=error.status, problem=PROBLEMS[error.code])
    both = [[detail_in_words(speaking(), one) for one in names] for names in people]
    return show("service_desk/merge.html", forms=customer_path(owner), both=both, other=other)


def _point(conn: Connection, owner: UUID) -> Reference | None:
    """The customer's name that the form is about; None: they have it no longer."""
    asked = request.form.get("point", "")
    names = profile.show(conn, parts().keyring, g.actor, owner)["identifiers"]
    return parse_reference(asked) if asked in names else None


def _id(name: str) -> UUID:
    try:
        return UUID(request.form.get(name, ""))
    except ValueError as error:
        raise ConsentError("not_found") from error


def _require_evidence() -> None:
    if not g.actor.evidence:
        raise ConsentError("evidence_required")
