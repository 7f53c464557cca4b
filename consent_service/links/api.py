"""HTTP: links for senders, minted in thousands."""

from __future__ import annotations

from flask import Blueprint, Response, g

from consent_service.errors import ConsentError
from consent_service.links import schemas
from consent_service.links.minting import mint_many
from consent_service.web.auth import access
from consent_service.web.json import answer, read_object
from consent_service.web.parts import parts
from consent_service.web.rows import rows

blueprint = Blueprint("minting", __name__)


@blueprint.post("/v1/links")
@access("campaign", "desk")
def mint() -> Response:
    """Links to the customers' pages, up to 10,000, each with the headers of the mail that it goes into."""
    wanted = rows(read_object(), "links", schemas.wanted)
    with parts().database.reading() as conn:
        minted = mint_many(conn, parts().keyring, g.api_key, wanted, public_url=parts().settings.public_url)
    return answer({"results": [one.row() if isinstance(one, ConsentError) else one.shown() for one in minted]})
