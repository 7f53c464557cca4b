"""HTTP: what customers tell in dialogues, and the reading of it, which its customer sees in history."""

from __future__ import annotations

from flask import Blueprint, Response, g

from consent_service.database import Connection
from consent_service.dialogues import facts, people
from consent_service.dialogues.facts import Fact
from consent_service.dialogues.facts_schemas import FactChange, FactQuestion, NewFact
from consent_service.dialogues.word import on_their_word
from consent_service.errors import ConsentError
from consent_service.web.auth import access
from consent_service.web.fields import only_parameters, read
from consent_service.web.json import answer
from consent_service.web.parts import parts
from consent_service.web.write import concerns, write

blueprint = Blueprint("facts", __name__)
_PARTS = ("value", "purpose", "until")


@blueprint.post("/v1/dialogues/<dialogue_id>/facts")
@access("desk", "customer")
@write
def tell_fact(conn: Connection, dialogue_id: str) -> Response:
    """Tells something (201), or changes what the dialogue has by this name (200)."""
    body = read(NewFact())
    actor = on_their_word(g.actor, body)
    held, own_id = people.hold(conn, parts().keyring, actor, dialogue_id)
    concerns(held.customer_id)
    fact = Fact(body["name"], *(body[name] for name in _PARTS))
    told, is_new = facts.tell(conn, parts().keyring, actor, held, own_id, fact)
    return answer(told, 201 if is_new else 200)


@blueprint.get("/v1/dialogues/<dialogue_id>/facts")
@access("desk", "customer")
def list_facts(dialogue_id: str) -> Response:
    """What was told in a dialogue and holds; the desk's reading stands in the customer's history."""
    only_parameters()
    keyring = parts().keyring

    def work(conn: Connection) -> Response:
        held, own_id = people.hold(conn, keyring, g.actor, dialogue_id)
        return answer({"facts": facts.list_facts(conn, keyring, g.actor, held, own_id)})

    return parts().database.repeatedly(work)


@blueprint.patch("/v1/facts/<fact_id>")
@access("desk", "customer")
@write
def change_fact(conn: Connection, fact_id: str) -> Response:
    """Sets value, purpose or end."""
    body = read(FactChange())
    actor = on_their_word(g.actor, body)
    held, own_id = people.hold(conn, parts().keyring, actor, fact_id)
    concerns(held.customer_id)
    given = {name: body[name] for name in _PARTS if name in body}
    return answer(facts.change(conn, parts().keyring, actor, held, own_id, given))


@blueprint.delete("/v1/facts/<fact_id>")
@access("desk", "customer")
@write
def withdraw_fact(conn: Connection, fact_id: str) -> Response:
    """Withdraws a fact; needs no evidence, as nothing that is quieter does."""
    held, own_id = people.hold(conn, parts().keyring, g.actor, fact_id)
    facts.withdraw(conn, parts().keyring, g.actor, held, own_id)
    return Response(status=204)


@blueprint.post("/v1/customers/facts")
@access("campaign", "desk")
def read_facts() -> Response:
    """What a customer told, or up to 1,000, about topics that the key may use.

    Each reading is one: it is not kept under an Idempotency-Key, and asked again it is told in history again.
    """
    body, keyring = read(FactQuestion()), parts().keyring
    asked = body["customers"] if "customers" in body else [body["customer"]]
    answers = parts().database.repeatedly(
        lambda conn: facts.read_many(conn, keyring, g.actor, asked, topic=body["topic"])
    )
    if "customers" in body:
        return answer({"results": [one.row() if isinstance(one, ConsentError) else one for one in answers]})
    (only,) = answers
    if isinstance(only, ConsentError):
        raise only
    return answer(only)
