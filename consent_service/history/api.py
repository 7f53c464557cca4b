"""HTTP: a customer's history, newest first, by opaque cursor."""

from __future__ import annotations

from flask import Blueprint, Response, g, request

from consent_service.customers.service import lineage, require
from consent_service.history import service
from consent_service.history.cursors import cursors_of, cut, read_cursor
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
        cursors = cursors_of(conn, parts().keyring, owner)
        before = read_cursor(cursors, parameters["cursor"]) if "cursor" in parameters else None
        events = service.page(conn, parts().keyring, lineage(conn, owner), most=most + 1, before=before)
    events, cursor = cut(cursors, events, most)
    headers = {}
    if cursor:
        headers["Link"] = f'<{request.path}?limit={most}&cursor={cursor}>; rel="next"'
    return answer({"events": events, "next_cursor": cursor}, headers=headers)
