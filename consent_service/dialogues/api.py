"""HTTP: dialogues, what is said in them, and proposals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, g, request

from consent_service.customers.service import require
from consent_service.database import Connection
from consent_service.dialogues import entries, proposals, service
from consent_service.dialogues.model import MOST_ENTRIES, Dialogue, Opening, Terms
from consent_service.dialogues.schemas import (
    AnswerBody,
    ChangeBody,
    ClosingBody,
    EntryBody,
    OpeningBody,
    answers_of,
    lines_of,
)
from consent_service.dials.model import Notice
from consent_service.errors import ConsentError
from consent_service.history.model import Actor
from consent_service.web.auth import access
from consent_service.web.fields import limit_parameter, only_parameters, path_id, read
from consent_service.web.json import answer
from consent_service.web.parts import parts
from consent_service.web.write import concerns, write

blueprint = Blueprint("dialogues", __name__)
MOST_AT_ONCE, USUAL_AT_ONCE = 200, 50


@blueprint.post("/v1/customers/<customer_id>/dialogues")
@access("desk", "customer", "campaign")
@write
def open_dialogue(conn: Connection, customer_id: str) -> Response:
    """Opens a dialogue: the customer, or the desk on their word."""
    owner = require(conn, path_id(customer_id), g.actor)
    concerns(owner)
    body = read(OpeningBody())
    terms = Terms(tuple(body["channels"]), body["until"], body["contacts"], body["any_time"])
    opening = Opening(body["topic"], body["subject"], terms, body["message"])
    opened = service.open_dialogue(conn, parts().keyring, _on_word(body), owner, opening)
    return answer(_shown(conn, opened), 201, headers={"Location": f"/v1/dialogues/{opened.id}"})


@blueprint.get("/v1/customers/<customer_id>/dialogues")
@access("desk", "auditor", "customer")
def list_dialogues(customer_id: str) -> Response:
    """A customer's dialogues, newest first."""
    parameters = only_parameters("limit", "cursor")
    most = limit_parameter(parameters, most=MOST_AT_ONCE, usual=USUAL_AT_ONCE)
    with parts().database.snapshot() as conn:
        owner = require(conn, path_id(customer_id), g.actor)
        found, cursor = service.newest(conn, parts().keyring, owner, before=parameters.get("cursor"), most=most)
    return answer({"dialogues": [one.shown() for one in found], "next_cursor": cursor})


@blueprint.get("/v1/dialogues/<dialogue_id>")
@access("desk", "auditor", "customer", "campaign")
def show_dialogue(dialogue_id: str) -> Response:
    """A dialogue with what was said in it, in its order."""
    parameters = only_parameters("limit", "cursor")
    most = limit_parameter(parameters, most=MOST_AT_ONCE, usual=MOST_AT_ONCE)
    with parts().database.snapshot() as conn:
        found = service.find(conn, parts().keyring, g.actor, dialogue_id)
        return answer(_shown(conn, found, after=_number(parameters.get("cursor", "0"), "invalid_cursor"), most=most))


@blueprint.patch("/v1/dialogues/<dialogue_id>")
@access("desk", "customer")
@write
def change_terms(conn: Connection, dialogue_id: str) -> Response:
    """Changes the terms: narrower by the customer or the desk on their word, wider by the customer."""
    body = read(ChangeBody())
    actor = _on_word(body)
    changes = {name: value for name, value in body.items() if name not in ("source", "evidence")}
    if "channels" in changes:
        changes["channels"] = tuple(changes["channels"])
    changed = service.change_terms(conn, parts().keyring, actor, dialogue_id, changes)
    concerns(changed.customer_id)
    return answer(_shown(conn, changed))


@blueprint.post("/v1/dialogues/<dialogue_id>/entries")
@access("desk", "customer", "campaign")
@write
def add_entry(conn: Connection, dialogue_id: str) -> Response:
    """Adds a message, a proposal, or the withdrawal of one."""
    body = read(EntryBody())
    where = conn, parts().keyring, g.actor, dialogue_id
    if "message" in body:
        return _entry(conn, *service.say(*where, body["message"]))
    if "proposal" in body:
        proposal = body["proposal"]
        return _entry(conn, *proposals.propose(*where, text=proposal["text"], lines=lines_of(proposal["lines"])))
    withdrawal = body["withdrawal"]
    return _entry(conn, *proposals.withdraw(*where, withdrawal["proposal"], text=withdrawal["text"]))


@blueprint.post("/v1/dialogues/<dialogue_id>/entries/<number>/answer")
@access("customer")
@write
def answer_proposal(conn: Connection, dialogue_id: str, number: str) -> Response:
    """Answers a proposal line by line; what is taken up is done."""
    body = read(AnswerBody())
    notice = Notice(**body["notice"]) if body["notice"] else None
    asked = conn, parts().keyring, g.actor, dialogue_id, _number(number, "not_found")
    said = proposals.answer(*asked, answers_of(body["lines"]), notice=notice, text=body["text"])
    return _entry(conn, *said)


@blueprint.post("/v1/dialogues/<dialogue_id>/close")
@access("desk", "customer")
@write
def close_dialogue(conn: Connection, dialogue_id: str) -> Response:
    """Closes a dialogue for good."""
    if request.get_data(cache=True):
        read(ClosingBody())
    closed = service.close(conn, parts().keyring, g.actor, dialogue_id)
    concerns(closed.customer_id)
    return answer(_shown(conn, closed))


def _on_word(body: Mapping[str, Any]) -> Actor:
    """Whoever acts, with how the customer's word came."""
    actor: Actor = replace(g.actor, source=body["source"], evidence=body["evidence"])
    return actor


def _shown(conn: Connection, found: Dialogue, *, after: int = 0, most: int = MOST_AT_ONCE) -> dict[str, Any]:
    said, last = entries.page(conn, parts().keyring, found, after=after, most=most)
    stops = service.stopped(conn, parts().keyring, found) if found.state == "open" else []
    return {**found.shown(), "stopped": stops, "entries": said, "next_cursor": str(last) if last else None}


def _entry(conn: Connection, dialogue: Dialogue, number: int) -> Response:
    concerns(dialogue.customer_id)
    said, _ = entries.page(conn, parts().keyring, dialogue, after=number - 1, most=1)
    return answer(said[0], 201)


def _number(text: str, code: str) -> int:
    """The number of an entry in a path or a cursor."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST_ENTRIES)) + 2):
        raise ConsentError(code, "Entries are numbered from 1.")
    return int(text)
