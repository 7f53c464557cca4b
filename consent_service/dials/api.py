"""HTTP: a customer's dials and pauses."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, g, request

from consent_service.customers.service import require
from consent_service.database import Connection
from consent_service.dials import service
from consent_service.dials.model import MOST_CHANGES, SOURCES, Change, Notice, Wish
from consent_service.web.auth import access
from consent_service.web.fields import (
    Body,
    Choice,
    Free,
    Text,
    Time,
    items,
    nested,
    only_parameters,
    path_id,
    read,
)
from consent_service.web.json import answer
from consent_service.web.parts import parts
from consent_service.web.write import concerns, write

blueprint = Blueprint("dials", __name__)


class ChangeBody(Body):
    """One place of a change."""

    channel = Text(required=True)
    topic = Text(required=True, longest=600)
    level = Text(required=True, allow_none=True)


class NoticeBody(Body):
    """The notice that was shown."""

    id = Text(required=True)
    version = Text(required=True)
    locale = Text(required=True, longest=35)


class WishBody(Body):
    """PATCH /v1/customers/{id}/dials."""

    changes = items(nested(ChangeBody), most=MOST_CHANGES, required=True)
    source = Choice(SOURCES, required=True)
    evidence = Free(load_default=None, allow_none=True)
    notice = nested(NoticeBody, load_default=None, allow_none=True)
    occurred_at = Time(load_default=None, allow_none=True)


class PauseBody(Body):
    """PUT /v1/customers/{id}/pause."""

    until = Time(required=True)
    channel = Text(load_default="*")


@blueprint.get("/v1/customers/<customer_id>/dials")
@access("desk", "auditor", "customer")
def show_dials(customer_id: str) -> Response:
    """Dials, pauses and what they come to."""
    # In one snapshot: version, dials and mix are those of the same moment.
    with parts().database.snapshot() as conn:
        return _shown(conn, require(conn, path_id(customer_id), g.actor))


@blueprint.patch("/v1/customers/<customer_id>/dials")
@access("desk", "customer")
@write
def turn_dials(conn: Connection, customer_id: str) -> Response:
    """Turns dials, all or nothing."""
    owner = require(conn, path_id(customer_id), g.actor)
    concerns(owner)
    body = read(WishBody())
    wish = Wish(
        changes=tuple(Change(**change) for change in body["changes"]),
        source=body["source"],
        evidence=body["evidence"],
        notice=Notice(**body["notice"]) if body["notice"] else None,
        occurred_at=body["occurred_at"],
    )
    service.turn(conn, parts().keyring, g.actor, owner, wish, expected_version=_expected_version())
    return _shown(conn, require(conn, owner, g.actor))


@blueprint.put("/v1/customers/<customer_id>/pause")
@access("desk", "customer")
@write
def pause(conn: Connection, customer_id: str) -> Response:
    """Not until then."""
    owner = require(conn, path_id(customer_id), g.actor)
    concerns(owner)
    body = read(PauseBody())
    service.pause(conn, parts().keyring, g.actor, owner, body["channel"], body["until"])
    return _shown(conn, require(conn, owner, g.actor))


@blueprint.delete("/v1/customers/<customer_id>/pause")
@access("desk", "customer")
@write
def end_pause(conn: Connection, customer_id: str) -> Response:
    """Ends the pause of a channel, or the one for all."""
    owner = require(conn, path_id(customer_id), g.actor)
    channel = only_parameters("channel").get("channel", "*")
    service.end_pause(conn, parts().keyring, g.actor, owner, channel)
    return _shown(conn, require(conn, owner, g.actor))


def _shown(conn: Connection, owner: UUID) -> Response:
    # After a write `owner` is looked up anew: a merge may have come first while the write waited for its lock.
    body = service.show(conn, parts().keyring, owner)
    return answer(body, headers={"ETag": f'"{body["version"]}"'})


def _expected_version() -> int | None:
    sent = request.headers.get("If-Match")
    if sent is None or sent.strip() == "*":
        return None
    tag = sent.strip()
    # A weak or foreign tag is one that no version has. Source: RFC 9110, 13.1.1 (strong comparison).
    digits = tag[1:-1] if len(tag) > 2 and tag[0] == tag[-1] == '"' else ""
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else -1
