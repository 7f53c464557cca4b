"""Generated requests, sound and broken ones: the service answers as openapi.yaml says, never 5xx.

Bounded and without chance: the same requests in every run. A failure prints the request as a curl command.
Requests go through WSGI to the whole application on a real database, each with a key of a role that may call
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
from zlib import crc32

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
# To another method these are `/v1/permits/{permit_id}` and `/v1/customers/{customer_id}`, with an id that nobody
# has. And in a batch a broken row is an error on its row: the answer is 200.
PATHS_UNDER_AN_ID = {
    "/v1/permits/batch",
    "/v1/permits/use-batch",
    "/v1/permits/release-batch",
    "/v1/customers/lookup",
}
CONFIG = {
    "generation": {"with-security-parameters": False},
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
    case.operation.schema.app = api.app  # requests go through WSGI, without a server
    # Of sound requests every fourth goes as it was generated: which ones, the request itself decides.
    if is_sound(case) and number_of(case) // 4 % 4:
        point_at_what_there_is(api, case)
    case.call_and_validate(
        headers=authorization(api, case),
        additional_checks=[answers_as_documented],
        excluded_checks=checks_that_do_not_apply(case),
        app=api.app,
    )


def test_links_can_be_walked(api: Api) -> None:
    """From a new customer to their dials, from a permit to its use: along the document's links."""

    schema.app = api.app

    class Walk(schema.as_state_machine()):  # type: ignore[misc]
        """A walk along links, each step with a key that may take it."""

        def get_call_kwargs(self, case: Case) -> dict[str, Any]:
            """What every call is made with."""
            if is_sound(case) and not case.path_parameters:
                point_at_what_there_is(api, case)
            return {"headers": authorization(api, case), "app": api.app}

        def validate_response(self, response: Any, case: Case, **options: Any) -> None:
            """As documented, too."""
            case.validate_response(
                response,
                headers=authorization(api, case),
                additional_checks=[answers_as_documented],
                transport_kwargs=options,
                recorder=self.recorder,
            )

    walk: type[APIStateMachine] = Walk
    walk.run(
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


def number_of(case: Case) -> int:
    """A number that the request itself decides, the same in every run."""
    return crc32(f"{case.method} {case.path}{case.query!r}{case.body!r}".encode())


def authorization(api: Api, case: Case) -> dict[str, str]:
    """The header with a key of one of the roles that may call this; none where none is needed."""
    roles = [role for role in case.operation.definition.raw["x-roles"] if role in api.keys]
    return {"Authorization": f"Bearer {api.keys[roles[number_of(case) % len(roles)]]}"} if roles else {}


def checks_that_do_not_apply(case: Case) -> list[Any]:
    """Where the contract knows better than the check."""
    names = []
    if case.path in PATHS_UNDER_AN_ID:
        names += ["unsupported_method", "allow_header_conformance"]
    if "RowError" in str(case.operation.definition.raw["responses"]):
        names.append("negative_data_rejection")
    return schemathesis.checks.CHECKS.get_by_names(names)


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
    """Puts real customers, permits, names and times in the place of made-up ones."""
    path = dict(case.path_parameters or {})
    if "customer_id" in path:
        path["customer_id"] = new_customer(api)
    if "permit_id" in path:
        path["permit_id"] = new_permit(api)
    if "suppression_id" in path:
        path["suppression_id"] = new_suppression(api)
    if path:
        case.path_parameters = path
    if isinstance(case.body, dict):
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
