"""HTTP: a customer's history, newest first, by opaque cursor."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from flask import Blueprint, Response, g, request
from itsdangerous import BadSignature, URLSafeSerializer

from consent_service.customers.service import lineage, require
from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.history import service
from consent_service.keyring.model import is_as_signed
from consent_service.web.auth import access
from consent_service.web.fields import limit_parameter, only_parameters, path_id
from consent_service.web.json import answer
from consent_service.web.parts import parts

blueprint = Blueprint("history", __name__)
MOST_EVENTS, USUAL_EVENTS = 200, 50


@blueprint.get("/v1/customers/<customer_id>/history")
@access("desk", "auditor", "customer")
def history(customer_id: str) -> Response:
    """What happened to this customer, newest first."""
    parameters = only_parameters("limit", "cursor")
    most = limit_parameter(parameters, most=MOST_EVENTS, usual=USUAL_EVENTS)
    with parts().database.reading() as conn:
        owner = require(conn, path_id(customer_id), g.actor)
        cursors = _cursors(conn, owner)
        before = _read(cursors, parameters["cursor"]) if "cursor" in parameters else None
        events = service.page(conn, parts().keyring, lineage(conn, owner), most=most + 1, before=before)
    more = len(events) > most
    events = events[:most]
    cursor = cursors.dumps([events[-1]["recorded_at"], events[-1]["id"]]) if more else None
    headers = {}
    if cursor:
        headers["Link"] = f'<{request.path}?limit={most}&cursor={cursor}>; rel="next"'
    return answer({"events": events, "next_cursor": cursor}, headers=headers)


def _cursors(conn: Connection, owner: UUID) -> URLSafeSerializer:
    return parts().keyring.service(conn).signer(f"history/{owner}")


def _read(cursors: URLSafeSerializer, text: str) -> tuple[datetime, UUID]:
    try:
        if not is_as_signed(text):
            raise BadSignature("spelled otherwise")
        recorded_at, event_id = cursors.loads(text)
        return datetime.fromisoformat(recorded_at), UUID(event_id)
    except (BadSignature, ValueError, TypeError) as error:
        raise ConsentError("invalid_cursor", "Take the cursor from the last page as it is.") from error
