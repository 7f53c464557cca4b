"""HTTP: taking a contact detail away from a customer."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, g

from consent_service.confirmations import removing
from consent_service.customers.schemas import NamedIdentifier
from consent_service.database import Connection
from consent_service.web.auth import access
from consent_service.web.fields import path_id, read
from consent_service.web.json import answer
from consent_service.web.parts import parts
from consent_service.web.write import concerns, write

blueprint = Blueprint("removing", __name__)


@blueprint.post("/v1/customers/<customer_id>/identifiers/remove")
@access("desk", "customer")
@write
def remove_identifier(conn: Connection, customer_id: str) -> Response:
    """Takes a name away from the customer; it stands in the body, because people stand in no address."""
    reference = read(NamedIdentifier())["identifier"]
    customer = removing.remove(conn, parts().keyring, g.actor, path_id(customer_id), reference)
    concerns(UUID(customer["id"]))
    return answer(customer)
