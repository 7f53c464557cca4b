"""The document's links: what one answer holds is what the next call takes.

For each link the call is made that it starts from, with the document's own example, and then the call that it
leads to, with the parameters that the link takes out of the request and the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.support.api import CATALOGUE, ROLES, Api
from tests.support.cluster import TestDatabase
from tests.support.contract import ContractClient, Operation, operations
from tests.support.requests import REAL_IDS, real

BY_ID = {one.content["operationId"]: one for one in operations()}
LINKS = [
    (one, name, link)
    for one in operations()
    for response in one.responses.values()
    for name, link in response.get("links", {}).items()
]


@pytest.fixture(scope="module")
def api(module_database: TestDatabase) -> Iterator[Api]:
    """The application; every answer is held against the document."""
    made = Api(module_database, CATALOGUE)
    made.app.test_client_class = ContractClient
    made.client = made.app.test_client()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("source", "link"),
    [(one, link) for one, _, link in LINKS],
    ids=[f"{one.content['operationId']}-{name}" for one, name, _ in LINKS],
)
def test_a_link_leads_to_a_call_that_succeeds(api: Api, source: Operation, link: dict[str, Any]) -> None:
    """With nothing but the link's parameters and the example of the body."""
    sent = {name: REAL_IDS[name](api) for name in source.parameters if name in REAL_IDS}
    if source.content["operationId"] == "getHistory":
        sent["limit"] = "1"  # so that there is a next page
    first = call(api, source, sent)
    assert first.status_code < 300, first.get_data(as_text=True)
    taken = {
        name.removeprefix("header."): evaluate(expression, sent, first)
        for name, expression in link["parameters"].items()
    }
    assert None not in taken.values()
    second = call(api, BY_ID[link["operationId"]], taken)
    assert second.status_code < 300, second.get_data(as_text=True)


def test_a_link_to_nothing_would_be_seen(api: Api) -> None:
    """The second call is a real one: an id that nobody has gives 404."""
    assert call(api, BY_ID["usePermit"], {"permit_id": "nobody's"}).status_code == 404


def call(api: Api, operation: Operation, sent: dict[str, str]) -> TestResponse:
    """Makes the call with these parameters and the first example of its body, as a role that may."""
    # A campaign key may ask to open a dialogue, and is told that only customers do.
    refused = {"campaign"} if operation.content["operationId"] == "openDialogue" else set()
    role = next(role for role in ROLES if role in operation.roles - refused)
    places: dict[str, dict[str, str]] = {"path": {}, "query": {}, "header": {}}
    for name, value in sent.items():
        places[operation.parameters[name]["in"]][name] = value
    return api.client.open(
        operation.path.format(**places["path"]),
        method=operation.method.upper(),
        query_string=places["query"],
        headers={"Authorization": f"Bearer {api.keys[role]}", **places["header"]},
        json=example(api, operation),
    )


def example(api: Api, operation: Operation) -> Any:
    """The first example of the body, pointed at what there is; None without a body."""
    if not operation.content.get("requestBody", {}).get("required"):
        return None
    media = operation.content["requestBody"]["content"]["application/json"]
    first = media["example"] if "example" in media else next(iter(media["examples"].values()))["value"]
    body = real(api, deepcopy(first))
    if operation.content["operationId"] == "createCustomer":
        body.pop("segment")  # a campaign key does not set it
    return body


def evaluate(expression: str, sent: dict[str, str], answer: TestResponse) -> Any:
    """The value of a runtime expression. Source: OpenAPI 3.1, runtime expressions."""
    if expression.startswith("$request.path."):
        return sent[expression.removeprefix("$request.path.")]
    if expression.startswith("$response.header."):
        return answer.headers[expression.removeprefix("$response.header.")]
    assert expression.startswith("$response.body#/")
    assert answer.json is not None
    return answer.json[expression.removeprefix("$response.body#/")]
