"""HTTP: checks, permits, contacts and reports, one by one and in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from flask import Blueprint, Response, g

from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.keys.model import secret_hash
from consent_service.permissions import schemas, service
from consent_service.permissions.checks import Check
from consent_service.permissions.contacts import CONTACT, contact_many
from consent_service.permissions.model import Asked, Decision, Outcome, Question, Scope
from consent_service.permissions.permits import PERMIT, release_many, reserve_many, show, use_many
from consent_service.permissions.reports import report_many
from consent_service.permissions.taking import Way
from consent_service.permissions.together import TAKERS, Wanted
from consent_service.web.auth import access, admit, identify, key_sent
from consent_service.web.current import this_request
from consent_service.web.json import answer, read_object
from consent_service.web.parts import parts
from consent_service.web.rows import rows
from consent_service.web.write import concerns, may_come_again, write

blueprint = Blueprint("permissions", __name__)

Many = Callable[..., Sequence[Outcome | ConsentError]]
Row = TypeVar("Row")


ASKERS = frozenset(("campaign", "desk", "auditor"))
LONGEST_READ_AHEAD = 4096  # bytes


@blueprint.post("/v1/permissions/check")
@access(*ASKERS, by_view=True)
def check() -> Response:
    """May this contact be made? Changes nothing. Those who ask at the same moment are decided together."""
    question, key = _asked_ahead(schemas.question), key_sent()
    if isinstance(question, Question) and key is not None:
        checked = parts().checks.ask(Check(secret_hash(key), question))
        admit(checked.key, ASKERS)
        decision = checked.decision
    else:
        decision = _check_alone(question)
    if isinstance(decision, ConsentError):
        raise decision
    return answer(decision.shown())


def _check_alone(question: Question | ConsentError | None) -> Decision | ConsentError:
    """Who has no key is told so first, then what is wrong with the question."""
    joined = parts()
    with joined.database.reading() as conn:
        actor = identify(conn, joined.keyring, ASKERS)
        if question is None:
            question = schemas.question(read_object())
        return service.decide_many(conn, joined.keyring, [question], scope=Scope.of(actor))[0]


def _asked_ahead(read: Callable[[object], Row]) -> Row | ConsentError | None:
    """What is asked, or what is wrong with it, which nobody is told who has no key; None: too long to be read first."""
    if not 0 < (this_request().content_length or 0) <= LONGEST_READ_AHEAD:
        return None
    try:
        return read(read_object())
    except ConsentError as error:
        return error


@blueprint.post("/v1/permissions/check-batch")
@access(*ASKERS)
def check_batch() -> Response:
    """The same for up to 10,000 contacts; rows do not see each other."""
    body = read_object()
    questions = rows(body, "checks", schemas.question, also=["explain"])
    explain = schemas.truth(body, "explain")
    with parts().database.reading() as conn:
        decisions = service.decide_many(conn, parts().keyring, questions, scope=Scope.of(g.actor), explain=explain)
    return answer({"results": [_row(decision, explain) for decision in decisions]})


def _row(decision: Decision | ConsentError, explain: bool) -> dict[str, Any]:
    return decision.row() if isinstance(decision, ConsentError) else decision.shown(explain=explain)


def _take(way: Way, read: Callable[[object], Asked], alone: Callable[[], Response]) -> Response:
    """Asks and writes together with those who ask at the same moment, or else alone."""
    asked, key = _asked_ahead(read), key_sent()
    if isinstance(asked, Asked) and key is not None and not may_come_again():
        taken = parts().together.take(Wanted(secret_hash(key), g.request_id, way, asked))
        if taken.outcome is not None:
            admit(taken.key, TAKERS)
            return _one([taken.outcome])
    with parts().database.reading() as conn:
        identify(conn, parts().keyring, TAKERS)
    return alone()


@blueprint.post("/v1/permits")
@access(*TAKERS, by_view=True)
def reserve() -> Response:
    """Asks, and reserves room."""
    return _take(PERMIT, schemas.permit, _reserve_alone)


@write
def _reserve_alone(conn: Connection) -> Response:
    return _one(reserve_many(conn, parts().keyring, g.actor, [schemas.permit(read_object())]))


@blueprint.get("/v1/permits/<permit_id>")
@access("campaign")
def show_permit(permit_id: str) -> Response:
    """State and decision of an own permit."""
    with parts().database.reading() as conn:
        return answer(show(conn, parts().keyring, g.actor, permit_id))


@blueprint.post("/v1/permits/<permit_id>/use")
@access("campaign")
@write
def use(conn: Connection, permit_id: str) -> Response:
    """Asks again, and records the contact in the permit's room."""
    return _one(use_many(conn, parts().keyring, g.actor, [permit_id]))


@blueprint.delete("/v1/permits/<permit_id>")
@access("campaign")
@write
def release(conn: Connection, permit_id: str) -> Response:
    """Gives the room back."""
    outcome = release_many(conn, parts().keyring, g.actor, [permit_id])[0]
    if isinstance(outcome, ConsentError):
        raise outcome
    return Response(status=204)


@blueprint.post("/v1/contacts")
@access(*TAKERS, by_view=True)
def contact() -> Response:
    """Asks and records in one step."""
    return _take(CONTACT, schemas.contact, _contact_alone)


@write
def _contact_alone(conn: Connection) -> Response:
    return _one(contact_many(conn, parts().keyring, g.actor, [schemas.contact(read_object())]))


@blueprint.post("/v1/permits/batch")
@access("campaign")
@write
def reserve_batch(conn: Connection) -> Response:
    """Up to 10,000 permits; an earlier row's room is gone for a later one."""
    return _many(conn, reserve_many, rows(read_object(), "permits", schemas.permit))


@blueprint.post("/v1/contacts/batch")
@access("campaign")
@write
def contact_batch(conn: Connection) -> Response:
    """Up to 10,000 contacts; an earlier row's room is gone for a later one."""
    return _many(conn, contact_many, rows(read_object(), "contacts", schemas.contact))


@blueprint.post("/v1/permits/use-batch")
@access("campaign")
@write
def use_batch(conn: Connection) -> Response:
    """Uses up to 10,000 permits."""
    return _by_id(conn, use_many)


@blueprint.post("/v1/permits/release-batch")
@access("campaign")
@write
def release_batch(conn: Connection) -> Response:
    """Releases up to 10,000 permits."""
    return _by_id(conn, release_many)


@blueprint.post("/v1/contacts/reports")
@access("campaign")
@write
def report(conn: Connection) -> Response:
    """Records contacts that were made already."""
    reports = rows(read_object(), "contacts", schemas.report)
    results = report_many(conn, parts().keyring, g.actor, reports)
    return answer({"results": [one.row() if isinstance(one, ConsentError) else one.shown() for one in results]})


def _one(outcomes: Sequence[Outcome | ConsentError]) -> Response:
    outcome = outcomes[0]
    if isinstance(outcome, ConsentError):
        raise outcome
    decision = outcome.body if outcome.granted else outcome.body["decision"]
    if decision["customer_id"] is not None:
        concerns(UUID(decision["customer_id"]))
    if outcome.granted:
        return answer(outcome.body, outcome.status)
    response = answer({**outcome.body, "request_id": g.request_id}, outcome.status)
    response.mimetype = "application/problem+json"
    return response


def _by_id(conn: Connection, many: Many) -> Response:
    ids = rows(read_object(), "ids", schemas.permit_id)
    # An id that is no string cannot be anybody's permit: its row gets the error, the others are worked on.
    outcomes = list(many(conn, parts().keyring, g.actor, [one if isinstance(one, str) else "" for one in ids]))
    for place, one in enumerate(ids):
        if isinstance(one, ConsentError):
            outcomes[place] = one
    return _results(outcomes)


def _many(conn: Connection, many: Many, asked: Sequence[Any]) -> Response:
    return _results(many(conn, parts().keyring, g.actor, asked))


def _results(outcomes: Sequence[Outcome | ConsentError]) -> Response:
    return answer({"results": [_result(outcome) for outcome in outcomes]})


def _result(outcome: Outcome | ConsentError) -> dict[str, Any]:
    if isinstance(outcome, ConsentError):
        return outcome.row()
    body = dict(outcome.body)
    if not outcome.granted:
        body["error"] = {"code": body["code"], "detail": body["detail"]}
    return body
