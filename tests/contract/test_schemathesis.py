"""Generated requests, sound and broken ones: the service answers as openapi.yaml says, never 5xx.

Bounded and without chance: the same requests in every run. A failure prints the request as a curl command.
The requests go through WSGI to the whole application on a real database, each with a key of a role that may call
the operation; sound ones are pointed at customers, permits and names that there are, so that they get past
the door.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.generation.stateful.state_machine import APIStateMachine
from werkzeug.datastructures import Headers

from tests.support.api import CATALOGUE, NOTICE, Api
from tests.support.cluster import TestDatabase
from tests.support.contract import DOCUMENT, Answer, document, operation_of, validate_answer

EXAMPLES_PER_OPERATION = 25
WALKS, STEPS_PER_WALK = 15, 6
QUIET = list(HealthCheck)
# A sound body may still name a level that there is not, or hold a control character: 400 and 422 are right.
SOUND_STATUSES = ["2xx", "400", "401", "403", "404", "409", "412", "422"]
BROKEN_STATUSES = ["400", "401", "403", "404", "405", "409", "412", "413", "415", "422"]
CONFIG = {
    "generation": {"max-examples": EXAMPLES_PER_OPERATION, "deterministic": True},
    "checks": {
        "positive_data_acceptance": {"expected-statuses": SOUND_STATUSES},
        "negative_data_rejection": {"expected-statuses": BROKEN_STATUSES},
    },
}
Case = schemathesis.Case[Any]
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def api(module_database: TestDatabase) -> Iterator[Api]:
    """The application with the tests' catalogue and a key for each role."""
    made = Api(module_database, CATALOGUE)
    yield made
    made.close()


schema = schemathesis.openapi.from_path(DOCUMENT, config=SchemathesisConfig.from_dict(CONFIG))


@pytest.fixture(autouse=True)
def schema_goes_to_the_app(api: Api) -> None:
    """Requests go through WSGI, without a server."""
    schema.app = api.app


@schema.parametrize()
@settings(
    max_examples=EXAMPLES_PER_OPERATION,
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=QUIET,
)
def test_generated_requests_are_answered_as_documented(api: Api, case: Case) -> None:
    """Status, headers, media type, body and code, and broken requests are refused."""
    if is_sound(case):
        point_at_what_there_is(api, case)
    case.call_and_validate(headers=authorization(api, case), additional_checks=[answers_as_documented])


@pytest.mark.parametrize("name", sorted(document()["components"]["schemas"]["Role"]["enum"]))
def test_every_role_is_generated_for(name: str) -> None:
    """No role's operations are left out by `authorization`."""
    roles = {role_for(one["x-roles"]) for item in document()["paths"].values() for one in item.values()
             if isinstance(one, dict) and one.get("x-roles")}  # fmt: skip
    assert name in roles | {"auditor"}


def test_links_can_be_walked(api: Api) -> None:
    """From a new customer to their dials, from a permit to its use: along the document's links."""

    class Walk(schema.as_state_machine()):
        """A walk along links, each step with a key that may take it."""

        def get_call_kwargs(self, case: Case) -> dict[str, Any]:
            """What every call is made with."""
            if is_sound(case) and not case.path_parameters:
                point_at_what_there_is(api, case)
            return {"headers": authorization(api, case)}

        def validate_response(self, response: Any, case: Case, **options: Any) -> None:
            """As documented, too."""
            super().validate_response(response, case, additional_checks=[answers_as_documented], **options)

    walk: type[APIStateMachine] = Walk
    walk.run(  # type: ignore[no-untyped-call]
        settings=settings(
            max_examples=WALKS,
            stateful_step_count=STEPS_PER_WALK,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=QUIET,
        )
    )


def is_sound(case: Case) -> bool:
    """True for a request that follows the document."""
    return case.meta is not None and case.meta.generation.mode.is_positive


def role_for(roles: list[str]) -> str:
    """The role that a request is made in: the narrowest that may."""
    return next(role for role in ("campaign", "desk", "auditor", "admin") if role in roles)


def authorization(api: Api, case: Case) -> dict[str, str]:
    """The header with a key of a role that may call this; none where none is needed."""
    roles = case.operation.definition.raw["x-roles"]
    return {"Authorization": f"Bearer {api.keys[role_for(roles)]}"} if roles else {}


@schemathesis.check
def answers_as_documented(ctx: schemathesis.CheckContext, response: Any, case: Case) -> None:
    """What the other tests of the API ask of every answer."""
    headers = Headers([(name, value) for name, values in response.headers.items() for value in values])
    path = unquote(case.formatted_path)
    if (
        "#" in path
        or "?" in path
        or (operation_of(case.method, path) is None and response.status_code == 404)
    ):
        return
    validate_answer(case.method.upper(), path, Answer(response.status_code, headers, response.content))


def point_at_what_there_is(api: Api, case: Case) -> None:
    """Puts real customers, permits, names and times in the place of made-up ones, three times of four."""
    turn = next(numbers)
    if turn % 4 == 0:
        return  # as generated
    path = dict(case.path_parameters or {})
    if "customer_id" in path:
        path["customer_id"] = new_customer(api)
    if "permit_id" in path:
        path["permit_id"] = new_permit(api)
    if "suppression_id" in path:
        path["suppression_id"] = new_suppression(api)
    if path:
        case.path_parameters = path
    if isinstance(case.body, dict) and turn % 4 != 1:
        case.body = real(api, deepcopy(case.body))


def ahead(*, days: int) -> str:
    """A time some days from now."""
    return (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="seconds")


def new_customer(api: Api) -> str:
    """The id of a customer whose dial is turned up."""
    owner = api.customer(f"email:c{next(numbers)}@example.com")
    api.turn(owner, ("*", "events", "everything"))
    return str(owner)


def new_permit(api: Api) -> str:
    """The id of an open permit."""
    body = {"customer": f"id:{new_customer(api)}", "channel": "email", "topic": "events"}
    made: dict[str, str] = json.loads(api.post("/v1/permits", body).get_data())
    return made["id"]


def new_suppression(api: Api) -> str:
    """The id of a suppression."""
    body = {"customer": f"id:{new_customer(api)}", "kind": "marketing", "reason": "asked for it"}
    made: dict[str, str] = json.loads(api.post("/v1/suppressions", body, role="desk").get_data())
    return made["id"]


REAL: dict[str, Callable[[Api], Any]] = {
    "customer": lambda api: f"id:{new_customer(api)}",
    "other": new_customer,
    "contact_point": lambda _: f"email:point{next(numbers)}@example.com",
    "identifier": lambda _: f"loyalty:{next(numbers)}",
    "identifiers": lambda _: [f"loyalty:{next(numbers)}", f"email:new{next(numbers)}@example.com"],
    "channel": lambda _: "email",
    "topic": lambda _: "events",
    "level": lambda _: ("weekly", "silent", None)[next(numbers) % 3],
    "notice": lambda _: NOTICE,
    "evidence": lambda _: {"call": "C-1"},
    "time_zone": lambda _: "Europe/Paris",
    "segment": lambda _: "club",
    "at": lambda _: ahead(days=2),
    "until": lambda _: ahead(days=30),
    "occurred_at": lambda _: ahead(days=-1),
    "contacted_at": lambda _: ahead(days=-1),
    "topics": lambda _: None,
    "ids": lambda api: [new_permit(api), "no permit"],
}


def real(api: Api, body: Any) -> Any:
    """The body with real names in the fields that have some."""
    if isinstance(body, list):
        return [real(api, one) for one in body[:5]]
    if isinstance(body, dict):
        return {name: REAL[name](api) if name in REAL else real(api, value) for name, value in body.items()}
    return body
