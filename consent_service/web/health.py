"""Health: *live* says that the process answers, database or not; *ready* that a real decision can be made."""

from __future__ import annotations

from flask import Blueprint, Response

from consent_service.database import schema
from consent_service.permissions import service as permissions
from consent_service.web.auth import access
from consent_service.web.json import answer
from consent_service.web.parts import parts

blueprint = Blueprint("health", __name__)


@blueprint.get("/health/live")
@access()
def live() -> Response:
    """200 while the process answers."""
    return answer({"status": "live"})


@blueprint.get("/health/ready")
@access()
def ready() -> Response:
    """200 when the decision path answers, also on an empty service: it asks about a customer who cannot exist."""
    with parts().database.reading() as conn:
        schema.require(conn)
        permissions.prove_readiness(conn)
        parts().keyring.service(conn)
    return answer({"status": "ready"})
