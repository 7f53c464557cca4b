"""HTTP: suppressions, hard stops on a person or on a contact point."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, g

from consent_service.customers import suppressions
from consent_service.customers.schemas import NewSuppression
from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.web.auth import access
from consent_service.web.fields import read
from consent_service.web.json import answer
from consent_service.web.parts import parts
from consent_service.web.write import concerns, write

blueprint = Blueprint("suppressions", __name__)


@blueprint.post("/v1/suppressions")
@access("desk")
@write
def create_suppression(conn: Connection) -> Response:
    """Sets a hard stop; it holds for every decision from its commit on."""
    body = read(NewSuppression())
    customer, point = body.get("customer"), body.get("contact_point")
    stop = suppressions.Stop(body["channel"], body["kind"], body["reason"])
    if customer is not None and point is None:
        made = suppressions.suppress_customer(conn, parts().keyring, g.actor, customer, stop)
        concerns(UUID(made["customer_id"]))
    elif point is not None and customer is None:
        made = suppressions.suppress_point(conn, parts().keyring, g.actor, point, stop)
    else:
        raise ConsentError("invalid_value", "Exactly one of customer and contact_point is expected.")
    return answer(made, 201)


@blueprint.delete("/v1/suppressions/<suppression_id>")
@access("desk")
@write
def lift_suppression(conn: Connection, suppression_id: str) -> Response:
    """Lifts a hard stop."""
    suppressions.lift(conn, parts().keyring, g.actor, suppression_id)
    return Response(status=204)
