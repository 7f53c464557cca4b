"""Generated requests, sound and broken ones: the service answers as openapi.yaml says, never 5xx.

Bounded and without chance: the same requests in every run. A failure prints the request as a curl command.
Requests go through WSGI to the whole application on a real database, each with a key of a role that may call
the operation; sound ones are pointed at customers, permits and names that there are, so that they get past
the door.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any
from urllib.parse import unquote
from zlib import crc32

import pytest
import schemathesis
from hypothesis import HealthCheck
from hypothesis import settings as bounds
from schemathesis.config import SchemathesisConfig
from werkzeug.datastructures import Headers

from consent_service.settings import Settings
from tests.contract.counting import Counting
from tests.support.api import CATALOGUE, Api
from tests.support.cluster import TestDatabase
from tests.support.contract import DOCUMENT, Answer, document, operation_of, validate_answer
from tests.support.requests import REAL_IDS, new_customer, real

# How many calls are promised: `make fuzz` asks for 50000; the usual run has less time, and makes some 3,700. Of each
# example come up to three calls (it is tried without a key too), and each operation has some dozen of its own.
CALLS = int(os.environ.get("CONSENT_TEST_FUZZ_CALLS", "500"))
EXAMPLES_PER_OPERATION = max(10, CALLS // 55)
QUIET = list(HealthCheck)
# A sound body may still name a level that there is not, or hold a control character: 400 and 422 are right.
SOUND_STATUSES = ["2xx", "400", "401", "403", "404", "409", "412", "422"]
BROKEN_STATUSES = ["400", "401", "403", "404", "405", "409", "412", "413", "415", "422"]
# To another method these are `/v1/permits/{permit_id}` and `/v1/customers/{customer_id}`, with an id that
# nobody has. In a batch a broken row is an error on its row: the answer is 200.
PATHS_UNDER_AN_ID = {
    "/v1/permits/batch",
    "/v1/permits/use-batch",
    "/v1/permits/release-batch",
    "/v1/customers/lookup",
    "/v1/customers/facts",
}
SOUND_IDEMPOTENCY_KEY = re.compile(document()["components"]["parameters"]["IdempotencyKey"]["schema"]["pattern"])
_numbers = itertools.count(1)
CONFIG = {
    "generation": {"with-security-parameters": False},
    "checks": {
        "positive_data_acceptance": {"expected-statuses": SOUND_STATUSES},
        "negative_data_rejection": {"expected-statuses": BROKEN_STATUSES},
    },
}
Case = schemathesis.Case[Any]


class ForStrangers(TestDatabase):
    """A database whose service lets more unauthenticated requests pass: each success is tried without a key too."""

    def settings(self, **settings: str) -> Settings:
        """With a limit that is not reached."""
        return super().settings(CONSENT_ADDRESS_REQUESTS_PER_MINUTE="1000000", **settings)


@pytest.fixture(scope="module")
def api(module_database: TestDatabase) -> Iterator[Api]:
    """The application with the tests' catalogue and a key for each role."""
    urls = module_database.owner_url, module_database.service_url
    made = Api(ForStrangers(module_database.name, *urls), CATALOGUE)
    made.app.extensions["counting"] = Counting(made.app)
    yield made
    made.close()


schema = schemathesis.openapi.from_path(DOCUMENT, config=SchemathesisConfig.from_dict(CONFIG))


@schema.parametrize()
@bounds(
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
    headers = authorization(api, case) | fresh_idempotency_key(case)
    with api.app.extensions["counting"].generated():
        case.call_and_validate(
            headers=headers,
            additional_checks=[answers_as_documented],
            excluded_checks=checks_that_do_not_apply(case),
            app=api.app,
        )


def test_as_many_calls_were_made_as_promised() -> None:
    """After the others of this file, so it is not for a run of some of them."""
    if not Counting.calls:
        pytest.skip("no calls were made in this run")
    assert Counting.calls >= CALLS


def is_sound(case: Case) -> bool:
    """True for a request that follows the document."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return False
    return all(part.mode.is_positive for part in case.meta.components.values())


def number_of(case: Case) -> int:
    """A number that the request itself decides, the same in every run."""
    return crc32(f"{case.method} {case.path_parameters} {case.path}{case.query!r}{case.body!r}".encode())


def authorization(api: Api, case: Case) -> dict[str, str]:
    """The header with a key of one of the roles that may call this; none where none is needed."""
    roles = [role for role in case.operation.definition.raw["x-roles"] if role in api.keys]
    return {"Authorization": f"Bearer {api.keys[roles[number_of(case) % len(roles)]]}"} if roles else {}


def fresh_idempotency_key(case: Case) -> dict[str, str]:
    """A key of its own for each request that has a sound one: else all but the first would be `reused`."""
    sent = str(case.headers["Idempotency-Key"]) if "Idempotency-Key" in (case.headers or ()) else ""
    return {"Idempotency-Key": f"generated-{next(_numbers)}"} if SOUND_IDEMPOTENCY_KEY.fullmatch(sent) else {}


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
    if "#" in path or "?" in path or (operation_of(case.method, path) is None and response.status_code == 404):
        return
    validate_answer(case.method.upper(), path, Answer(response.status_code, headers, response.content))


def point_at_what_there_is(api: Api, case: Case) -> None:
    """Puts real customers, permits, names and times in the place of made-up ones."""
    path = {name: REAL_IDS[name](api) for name in case.path_parameters or {} if name in REAL_IDS}
    if "customer_id" in path and case.path.endswith(("/erase", "/merge")):
        path["customer_id"] = new_customer(api)
    case.path_parameters.update(path)
    if isinstance(case.body, dict):
        case.body = real(api, deepcopy(case.body))
