"""HTTP: the caller's own key, and an admin's list of keys."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, g

from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.keys import service
from consent_service.keys.model import MOST_REQUESTS_PER_MINUTE, ROLES
from consent_service.web.auth import access
from consent_service.web.fields import Body, Choice, Text, Whole, items, read, read_uuid
from consent_service.web.json import answer
from consent_service.web.parts import parts
from consent_service.web.write import store_instead, write

blueprint = Blueprint("keys", __name__)
MOST_TOPICS = 500


class NewKey(Body):
    """POST /v1/keys."""

    name = Text(required=True, longest=service.LONGEST_NAME)
    role = Choice(ROLES, required=True)
    topics = items(Text(longest=600), most=MOST_TOPICS, load_default=None)
    requests_per_minute = Whole(least=1, most=MOST_REQUESTS_PER_MINUTE, load_default=None)


@blueprint.get("/v1/me")
@access(*ROLES)
def me() -> Response:
    """Who the caller is: name, role, topics, limits."""
    key = g.api_key
    return answer(
        {
            "name": key.name,
            "role": key.role,
            "topics": list(key.topics) if key.topics is not None else None,
            "limits": {"requests_per_minute": key.requests_per_minute},
        }
    )


@blueprint.get("/v1/keys")
@access("admin")
def list_keys() -> Response:
    """All keys without their secrets."""
    with parts().database.reading() as conn:
        return answer({"keys": [service.shown(key) for key in service.list_keys(conn)]})


@blueprint.post("/v1/keys")
@access("admin")
@write
def create_key(conn: Connection) -> Response:
    """A new key; `key` is shown this once."""
    key_id, secret = service.create(conn, parts().keyring, g.actor, **read(NewKey()))
    store_instead({"id": str(key_id), "key": None})
    return answer({"id": str(key_id), "key": secret}, 201)


@blueprint.delete("/v1/keys/<key_id>")
@access("admin")
@write
def revoke_key(conn: Connection, key_id: str) -> Response:
    """Revokes a key at once."""
    found: UUID | None = read_uuid(key_id)
    if found is None:
        raise ConsentError("not_found", "There is no such key.")
    service.revoke(conn, parts().keyring, g.actor, found)
    return Response(status=204)
