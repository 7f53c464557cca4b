"""HTTP: the people whom a customer names in a dialogue, for the customer and the service desk alone."""

from __future__ import annotations

from flask import Blueprint, Response, g

from consent_service.database import Connection
from consent_service.dialogues import people
from consent_service.dialogues.invitations import link_of
from consent_service.dialogues.people_schemas import NewInvitation, NewPerson, PersonChange
from consent_service.dialogues.word import on_their_word
from consent_service.web.auth import access
from consent_service.web.fields import only_parameters, read
from consent_service.web.json import answer
from consent_service.web.parts import parts
from consent_service.web.write import concerns, write

blueprint = Blueprint("people", __name__)


@blueprint.post("/v1/dialogues/<dialogue_id>/people")
@access("desk", "customer")
@write
def name_person(conn: Connection, dialogue_id: str) -> Response:
    """Names somebody."""
    body = read(NewPerson())
    actor = on_their_word(g.actor, body)
    held, own_id = people.hold(conn, parts().keyring, actor, dialogue_id)
    concerns(held.customer_id)
    said = {name: body[name] for name in ("name", "relation", "contact")}
    return answer(people.name_person(conn, parts().keyring, actor, held, own_id, **said), 201)


@blueprint.get("/v1/dialogues/<dialogue_id>/people")
@access("desk", "customer")
def list_people(dialogue_id: str) -> Response:
    """Whom the customer named, in the order of naming."""
    only_parameters()
    with parts().database.snapshot() as conn:
        owner, own_id = people.place(conn, g.actor, dialogue_id)
        return answer({"people": people.list_people(conn, parts().keyring, g.actor, owner, own_id)})


@blueprint.patch("/v1/people/<person_id>")
@access("desk", "customer")
@write
def change_person(conn: Connection, person_id: str) -> Response:
    """Sets name or relation."""
    body = read(PersonChange())
    actor = on_their_word(g.actor, body)
    held, own_id = people.hold(conn, parts().keyring, actor, person_id)
    concerns(held.customer_id)
    given = {name: value for name, value in body.items() if name in ("name", "relation")}
    return answer(people.change_person(conn, parts().keyring, actor, held, own_id, given))


@blueprint.delete("/v1/people/<person_id>")
@access("desk", "customer")
@write
def remove_person(conn: Connection, person_id: str) -> Response:
    """Forgets somebody; needs no evidence, as nothing that is quieter does."""
    held, own_id = people.hold(conn, parts().keyring, g.actor, person_id)
    people.remove_person(conn, parts().keyring, g.actor, held, own_id)
    return Response(status=204)


@blueprint.post("/v1/people/<person_id>/invitation")
@access("desk", "customer")
@write
def invite_person(conn: Connection, person_id: str) -> Response:
    """A link that the customer may pass on to the person; nobody else is told of it."""
    body = read(NewInvitation())
    actor = on_their_word(g.actor, body)
    held, own_id = people.hold(conn, parts().keyring, actor, person_id)
    concerns(held.customer_id)
    person, now = people.invited(conn, parts().keyring, actor, held, own_id, shown_as=body["shown_as"])
    url = parts().settings.public_url + link_of(conn, parts().keyring, held, own_id, now)
    return answer({"url": url, "person": person}, 201)
