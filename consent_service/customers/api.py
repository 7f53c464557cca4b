"""HTTP: customers, what names them, merging, tokens, erasure."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, g, request

from consent_service.clock import format_time
from consent_service.customers import confirming, creation, erasure, merge, profile
from consent_service.customers.schemas import (
    Changes,
    Confirmation,
    Merge,
    NamedIdentifier,
    NewCustomer,
    Nothing,
    Question,
)
from consent_service.customers.service import require
from consent_service.database import Connection
from consent_service.web.auth import access
from consent_service.web.fields import path_id, read
from consent_service.web.json import answer
from consent_service.web.parts import parts
from consent_service.web.write import concerns, write

blueprint = Blueprint("customers", __name__)


@blueprint.post("/v1/customers")
@access("desk", "campaign")
@write
def create_customer(conn: Connection) -> Response:
    """A customer with these identifiers: new (201), or the one who has them all (200)."""
    body = read(NewCustomer())
    references = body.pop("identifiers")
    customer, is_new = creation.create(conn, parts().keyring, g.actor, references, body)
    concerns(UUID(customer["id"]))
    return answer(customer, 201 if is_new else 200)


@blueprint.post("/v1/customers/lookup")
@access("desk", "auditor")
def look_up_customer() -> Response:
    """The customer whom a reference means."""
    reference = read(Question())["customer"]
    with parts().database.reading() as conn:
        return answer(profile.look_up(conn, parts().keyring, reference))


@blueprint.get("/v1/customers/<customer_id>")
@access("desk", "auditor", "customer")
def show_customer(customer_id: str) -> Response:
    """The customer with this id; a merged one's id shows the survivor."""
    with parts().database.reading() as conn:
        return answer(profile.show(conn, parts().keyring, g.actor, path_id(customer_id)))


@blueprint.patch("/v1/customers/<customer_id>")
@access("desk", "customer")
@write
def change_customer(conn: Connection, customer_id: str) -> Response:
    """Sets time zone, locale, segment."""
    customer = profile.change(conn, parts().keyring, g.actor, path_id(customer_id), read(Changes()))
    concerns(UUID(customer["id"]))
    return answer(customer)


@blueprint.post("/v1/customers/<customer_id>/identifiers")
@access("desk", "customer")
@write
def add_identifier(conn: Connection, customer_id: str) -> Response:
    """Gives the customer another name."""
    reference = read(NamedIdentifier())["identifier"]
    owner = path_id(customer_id)
    customer, is_new = profile.add_identifier(conn, parts().keyring, g.actor, owner, reference)
    concerns(UUID(customer["id"]))
    return answer(customer, 201 if is_new else 200)


@blueprint.post("/v1/customers/<customer_id>/identifiers/confirm")
@access("desk")
@write
def confirm_identifier(conn: Connection, customer_id: str) -> Response:
    """Keeps that a name is the customer's, on evidence."""
    body = read(Confirmation())
    asked = (conn, parts().keyring, g.actor, path_id(customer_id), body["identifier"])
    owner, confirmed_at = confirming.confirm_on_evidence(*asked, body["evidence"])
    concerns(owner)
    return answer({"identifier": body["identifier"].text, "confirmed_at": format_time(confirmed_at)})


@blueprint.post("/v1/customers/<customer_id>/merge")
@access("desk")
@write
def merge_customers(conn: Connection, customer_id: str) -> Response:
    """Makes two customers one: the one in the path survives."""
    other_id = read(Merge())["other"]
    customer = merge.merge(conn, parts().keyring, g.actor, path_id(customer_id), other_id)
    concerns(UUID(customer["id"]))
    return answer(customer)


@blueprint.post("/v1/customers/<customer_id>/tokens")
@access("desk")
@write
def issue_token(conn: Connection, customer_id: str) -> Response:
    """A bearer token, for one hour, for acting as this customer."""
    _read_nothing()
    owner = require(conn, path_id(customer_id), g.actor)
    concerns(owner)
    return answer(profile.issue_token(conn, parts().keyring, g.actor, owner), 201)


@blueprint.post("/v1/customers/<customer_id>/erase")
@access("desk", "customer")
@write
def erase_customer(conn: Connection, customer_id: str) -> Response:
    """Erases the person; nothing brings them back but the person."""
    _read_nothing()
    erasure.erase(conn, parts().keyring, g.actor, path_id(customer_id))
    return answer({"erased": True})


def _read_nothing() -> None:
    """These take no body; {} is let through."""
    if request.get_data(cache=True):
        read(Nothing())
