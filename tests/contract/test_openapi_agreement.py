"""openapi.yaml and the service say the same: routes, roles, error codes, settings.

Nothing here asks the database: the app is made and looked at. What it answers is held against the document by
`tests.support.contract`, in every test that uses its client.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from consent_service import settings as settings_module
from consent_service.app import create_app
from consent_service.errors import CODES, ConsentError
from consent_service.keys.model import ROLES, includes
from consent_service.settings import Settings
from consent_service.web import write
from tests.support.contract import PROBLEM, Operation, document, follow, operations

ROOT = Path(__file__).parents[2]
NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"
# The files that the page at /docs loads: they are no calls.
UNDOCUMENTED_ENDPOINTS = {"docs.asset", "pages.asset"}
# Codes that no documented response gives: the router's, for methods that no path has; the command line's; the
# web server's, for what is no request yet; the pages'.
CODES_WITHOUT_OPERATION = {
    "method_not_allowed",
    "visit_ended",
    "csrf_failed",
    "invalid_catalogue",
    "louder_catalogue",
    "request_timeout",
    "uri_too_long",
    "head_too_large",
}
SETTING = re.compile(r"\b(DATABASE_URL|CONSENT_[A-Z_]*[A-Z])\b")

each_operation = pytest.mark.parametrize("operation", operations(), ids=lambda one: one.name)


@pytest.fixture(scope="module")
def app() -> Flask:
    """The joined app. It opens nothing before the first request."""
    environment = {"DATABASE_URL": NO_DATABASE, "CONSENT_SECRET_KEY": "only-for-tests-" + "0123456789" * 3}
    return create_app(Settings.from_environment(environment), NO_DATABASE)


@pytest.fixture(scope="module")
def routes(app: Flask) -> dict[tuple[str, str], str]:
    """Endpoints by (method, path as the document writes it)."""
    return {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)): rule.endpoint
        for rule in app.url_map.iter_rules()
        if rule.endpoint not in UNDOCUMENTED_ENDPOINTS
        # Pages are for people: what they show is no promise to programs.
        and not getattr(app.view_functions[rule.endpoint], "is_page", False)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def test_the_document_is_valid_openapi() -> None:
    """As the specification's own schema says."""
    assert [error.message for error in OpenAPIV31SpecValidator(document()).iter_errors()] == []


def test_every_route_is_documented_and_back(
    routes: Mapping[tuple[str, str], str],
) -> None:
    """Both ways."""
    assert {(one.method, one.path) for one in operations()} == set(routes)


@each_operation
def test_the_documented_roles_are_those_that_the_route_lets_in(
    operation: Operation, app: Flask, routes: Mapping[tuple[str, str], str]
) -> None:
    """With what follows: an admin may all that desk and auditor may."""
    view = app.view_functions[routes[operation.method, operation.path]]
    declared: frozenset[str] = getattr(view, "access")  # noqa: B009 - set by @access, unknown to types
    let_in = {role for role in ROLES if includes(role, declared)} | (declared & {"customer"})
    assert operation.roles == let_in


@each_operation
def test_the_description_and_the_security_name_the_same_roles(operation: Operation) -> None:
    """A reader, a generator of clients and a test see one thing."""
    lines = [line for line in operation.content["description"].splitlines() if line.startswith("Roles: ")]
    assert len(lines) == 1, "one line says who may call this"
    text = lines[0]
    told = set(ROLES) if "any key" in text else {role for role in ROLES if re.search(rf"\b{role}\b", text)}
    if "the customer" in text:
        told.add("customer")
    assert told == operation.roles
    security = operation.content.get("security", document()["security"])
    expected: list[dict[str, list[str]]] = [{"apiKey": []}] if operation.roles else []
    if "customer" in operation.roles:
        expected = [{"apiKey": []}, {"customerToken": []}]
    assert security == expected


def test_the_error_codes_are_those_of_the_service() -> None:
    """The closed list stands in one place of the document."""
    listed = document()["components"]["schemas"]["ErrorCode"]["enum"]
    assert sorted(listed) == sorted(CODES)


@each_operation
def test_problem_responses_name_codes_of_their_status(operation: Operation) -> None:
    """At least one each, and none that comes with another status."""
    for status, response in operation.responses.items():
        if status < 400:
            continue
        assert list(response["content"]) == [PROBLEM]
        named = operation.codes(status)
        assert named, f"{status} names no code"
        assert {code for code in named if CODES[code][0] != status} == set()


def test_every_error_code_is_named_by_some_operation() -> None:
    """A code that nobody gives is no part of the contract."""
    named = {code for one in operations() for status in one.responses for code in one.codes(status)}
    assert set(CODES) - named == CODES_WITHOUT_OPERATION


@each_operation
def test_every_operation_lists_what_it_can_always_answer(operation: Operation) -> None:
    """Whoever needs a key can be 401, 403 and 429; whoever reads the database can be 503; all can be 500."""
    statuses = set(operation.responses)
    assert 500 in statuses
    if operation.roles:
        assert {401, 403, 429, 503} <= statuses
    if "requestBody" in operation.content:
        assert {400, 413, 415, 422} <= statuses


@each_operation
def test_writes_take_an_idempotency_key_and_say_what_comes_of_it(operation: Operation) -> None:
    """The key, the header of a replay and its three refusals go together."""
    takes_key = "Idempotency-Key" in operation.parameters
    successes = [response for status, response in operation.responses.items() if status < 300]
    assert all(("Idempotency-Replayed" in one.get("headers", {})) == takes_key for one in successes)
    assert ("invalid_idempotency_key" in operation.codes(400)) == takes_key
    assert ("idempotency_in_progress" in operation.codes(409)) == takes_key
    assert ("idempotency_key_reused" in operation.codes(422)) == takes_key
    if operation.method in ("get", "delete"):
        assert not takes_key


@each_operation
def test_request_bodies_take_no_unknown_fields(operation: Operation) -> None:
    """Every object in them is closed, down to the last."""
    body = operation.content.get("requestBody")
    if body is None:
        return
    assert body["required"] is not body["content"]["application/json"]["schema"].get("$ref", "").endswith("/Nothing")
    assert list(body["content"]) == ["application/json"]
    for schema in _objects(body["content"]["application/json"]["schema"]):
        assert schema.get("additionalProperties") is False, schema


def _objects(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    schema = follow(schema)
    if "properties" in schema:
        yield schema
    parts = [*schema.get("properties", {}).values(), *schema.get("allOf", ()), *schema.get("anyOf", ())]
    if isinstance(schema.get("items"), Mapping):
        parts.append(schema["items"])
    for part in parts:
        yield from _objects(part)


@each_operation
def test_every_body_has_an_example_and_every_example_is_valid(operation: Operation) -> None:
    """Requests, answers, problems, parameters and headers."""
    bodies = [operation.content["requestBody"]] if "requestBody" in operation.content else []
    bodies += [response for response in operation.responses.values() if "content" in response]
    for body in bodies:
        for media in body["content"].values():
            examples = [one["value"] for one in media.get("examples", {}).values()]
            examples += [media["example"]] if "example" in media else []
            assert examples
            for example in examples:
                _assert_valid(media["schema"], example)
    for parameter in operation.parameters.values():
        if "example" in parameter:
            _assert_valid(parameter["schema"], parameter["example"])
    for response in operation.responses.values():
        for header in map(follow, response.get("headers", {}).values()):
            _assert_valid(header["schema"], header["example"])


def _assert_valid(schema: Mapping[str, Any], value: object) -> None:
    whole = Draft202012Validator({**schema, "components": document()["components"]}, validate_formats=True)
    assert [error.message for error in whole.iter_errors(value)] == []


def test_links_lead_to_operations_and_their_parameters() -> None:
    """A link that names nothing would be followed by nobody."""
    by_id = {one.content["operationId"]: one for one in operations()}
    assert len(by_id) == len(operations())
    links = [link for one in operations() for response in one.responses.values()
             for link in response.get("links", {}).values()]  # fmt: skip
    assert links
    for link in links:
        target = by_id[link["operationId"]]
        assert {name.removeprefix("header.") for name in link["parameters"]} <= set(target.parameters)


def test_every_setting_is_in_the_readme_and_back() -> None:
    """Names of environment variables in settings.py against the first column of README's table."""
    read = set(SETTING.findall(Path(settings_module.__file__).read_text(encoding="utf-8")))
    rows = re.findall(r"^\|(.+?)\|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert read == {name for first in rows for name in SETTING.findall(first)}


def test_a_reader_of_the_package_gets_the_document_at_the_top() -> None:
    """The packaged file is the same one: a link in the checkout, a copy in the wheel."""
    assert (ROOT / "consent_service" / "openapi.yaml").read_bytes() == (ROOT / "openapi.yaml").read_bytes()


def test_roles_of_the_document_are_those_of_the_keys() -> None:
    """In the enum that a new key is made with."""
    assert document()["components"]["schemas"]["Role"]["enum"] == list(ROLES)


@pytest.mark.parametrize(
    ("sent", "is_one"),
    [("a", True), ('"a"', True), ("a b", True), ('a"b', True), ('"a b"', True), ('""a', True), ('"', True),
     ('""', False), ("", False), ("x" * 255, True), ("x" * 256, False), ("caf\xe9", False), ("a\tb", False)],
)  # fmt: skip
def test_the_documented_idempotency_keys_are_those_that_are_taken(app: Flask, sent: str, is_one: bool) -> None:
    """The pattern of the document against the service's own reading."""
    schema = document()["components"]["parameters"]["IdempotencyKey"]["schema"]
    assert Draft202012Validator(schema).is_valid(sent) == is_one
    with app.test_request_context(headers={"Idempotency-Key": sent}):
        try:
            taken = write._idempotency_key() is not None
        except ConsentError:
            taken = False
    assert taken == is_one
