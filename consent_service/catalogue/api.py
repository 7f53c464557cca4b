"""HTTP: the catalogue that holds. It is applied on the command line only."""

from __future__ import annotations

from flask import Blueprint, Response

from consent_service.catalogue import store
from consent_service.clock import format_time
from consent_service.errors import ConsentError
from consent_service.web.auth import access
from consent_service.web.json import answer
from consent_service.web.parts import parts

blueprint = Blueprint("catalogue", __name__)


@blueprint.get("/v1/catalogue")
@access("campaign", "desk", "auditor", "admin")
def get_catalogue() -> Response:
    """The document as it was loaded, its version, and the names that were retired since."""
    with parts().database.reading() as conn:
        row = store.current(conn)
    if row is None:
        raise ConsentError("not_found", "No catalogue was loaded yet: run `consent-service catalogue apply FILE`.")
    return answer(
        {
            **row["document"],
            "version": row["version"],
            "applied_at": format_time(row["applied_at"]),
            "retired_channels": row["retired_channels"],
            "retired_topics": row["retired_topics"],
        }
    )
