"""Holds live answers against openapi.yaml: whatever the service says must be what the document promises.

An answer is checked for its status, headers, media type and body. Bodies are held closer than clients should:
here a field that the document does not name is a fault. A problem's `code` must stand in the description of
the response that the operation lists, so that the lists of codes there stay true.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from flask.testing import FlaskClient
from jsonschema_rs import Draft202012Validator, ValidationError
from werkzeug.datastructures import Headers
from werkzeug.test import TestResponse

from consent_service.errors import CODES

DOCUMENT = Path(__file__).parents[2] / "openapi.yaml"
METHODS = ("get", "put", "post", "delete", "patch")
PROBLEM = "application/problem+json"
CODE_IN_TEXT = re.compile(r"`([a-z_]+)`")
# Files of the page at /docs: they are no calls.
UNDOCUMENTED_PATHS = re.compile(r"/docs/[^/]+")
# The C loader reads the document in a tenth of the time.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Json = Any


class BrokenContractError(AssertionError):
    """The service gave an answer that openapi.yaml does not promise."""


@cache
def document() -> dict[str, Json]:
    """openapi.yaml, read once; not to be changed."""
    read: dict[str, Json] = yaml.load(DOCUMENT.read_bytes(), Loader=_LOADER)  # noqa: S506 - a safe loader
    return read


@dataclass(frozen=True)
class Operation:
    """One operation of the document, with its references followed one step where that is needed."""

    path: str
    method: str
    content: Mapping[str, Json]

    @property
    def name(self) -> str:
        """Method and path, as people say them."""
        return f"{self.method.upper()} {self.path}"

    @property
    def roles(self) -> frozenset[str]:
        """Who may call it; empty: everybody."""
        return frozenset(self.content["x-roles"])

    @property
    def parameters(self) -> dict[str, Mapping[str, Json]]:
        """Parameters by name, those of the path too."""
        listed = [*document()["paths"][self.path].get("parameters", ()), *self.content.get("parameters", ())]
        return {one["name"]: one for one in map(follow, listed)}

    @property
    def responses(self) -> dict[int, Mapping[str, Json]]:
        """Responses by status. A description beside a reference wins over the referenced one."""
        return {
            int(status): {**follow(one), **{k: v for k, v in one.items() if k != "$ref"}}
            for status, one in self.content["responses"].items()
        }

    def codes(self, status: int) -> frozenset[str]:
        """The error codes that the description of a problem response names; none without such a response."""
        text = self.responses.get(status, {}).get("description", "")
        return frozenset(CODE_IN_TEXT.findall(text)) & CODES.keys()


@dataclass(frozen=True)
class Answer:
    """What came back over HTTP."""

    status: int
    headers: Headers
    content: bytes

    @property
    def mimetype(self) -> str:
        """The media type without parameters; empty when there is none."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def follow(node: Mapping[str, Json]) -> Mapping[str, Json]:
    """What a node is, or refers to."""
    while "$ref" in node:
        target: Json = document()
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


@cache
def operations() -> tuple[Operation, ...]:
    """All operations, in the document's order."""
    return tuple(
        Operation(path, method, item[method])
        for path, item in document()["paths"].items()
        for method in METHODS
        if method in item
    )


def operation_of(method: str, path: str) -> Operation | None:
    """The operation that a request meets; a path that is spelt out goes before one with parameters."""
    fitting = [one for one in operations() if one.method == method.lower() and _pattern(one.path).fullmatch(path)]
    return min(fitting, key=lambda one: one.path.count("{"), default=None)


def has_path(path: str) -> bool:
    """True when the document has the path, with whatever method."""
    return any(_pattern(one).fullmatch(path) for one in document()["paths"])


@cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)))


def validate_response(method: str, path: str, response: TestResponse) -> None:
    """Returns when the answer is one that the document promises for this request.

    Args:
        path: as the app got it: decoded, without a query.

    Raises:
        BrokenContractError: it is not; the text says in what.
    """
    validate_answer(method, path, Answer(response.status_code, response.headers, response.get_data()))


def validate_answer(method: str, path: str, answer: Answer) -> None:
    """The same for an answer that came another way than through Flask's test client."""
    where = f"{method} {path} → {answer.status}"
    if method in ("HEAD", "OPTIONS") or UNDOCUMENTED_PATHS.fullmatch(path):
        return
    operation = operation_of(method, path)
    if operation is None:
        _validate_router_error(where, path, answer)
        return
    listed = operation.responses.get(answer.status)
    if listed is None:
        if answer.status == 400 and answer.mimetype == PROBLEM and _json(where, answer)["code"] == "bad_request":
            return  # a request that no server can read: said once, in the introduction of the document
        raise BrokenContractError(f"{where}: the status is not documented. Body: {answer.content[:500]!r}")
    _validate_headers(where, listed, answer)
    content = listed.get("content")
    if content is None:
        if answer.content:
            raise BrokenContractError(f"{where}: no body is documented. Body: {answer.content[:500]!r}")
        return
    if answer.mimetype not in content:
        raise BrokenContractError(f"{where}: {answer.mimetype} is not documented, {', '.join(content)} is")
    if not answer.mimetype.endswith("json"):
        return
    body = _json(where, answer)
    _complain(where, _validator(operation.path, operation.method, answer.status, answer.mimetype).iter_errors(body))
    if answer.mimetype == PROBLEM:
        _validate_problem(where, body, answer.status)
        if body["code"] not in operation.codes(answer.status):
            raise BrokenContractError(
                f"{where}: the code {body['code']} is not named in the description of"
                f" {operation.name} {answer.status}. Detail: {body['detail']}"
            )


def _validate_router_error(where: str, path: str, answer: Answer) -> None:
    expected = "method_not_allowed" if has_path(path) else "not_found"
    if answer.mimetype != PROBLEM:
        raise BrokenContractError(f"{where}: {answer.mimetype} is no problem document")
    body = _json(where, answer)
    _complain(where, _problem_validator().iter_errors(body))
    _validate_problem(where, body, answer.status)
    if body["code"] != expected:
        raise BrokenContractError(f"{where}: the code is {body['code']}, not {expected}")
    if expected == "method_not_allowed" and not answer.headers.get("Allow"):
        raise BrokenContractError(f"{where}: there is no Allow header")


@cache
def _problem_validator() -> Draft202012Validator:
    return Draft202012Validator(
        {"$ref": "#/components/schemas/Problem", "components": {"schemas": _closed_components()}},
        validate_formats=True,
    )


def _validate_problem(where: str, body: Mapping[str, Json], status: int) -> None:
    if body["status"] != status:
        raise BrokenContractError(f"{where}: the problem says {body['status']}")
    if CODES[body["code"]][0] != status:
        raise BrokenContractError(f"{where}: {body['code']} belongs to {CODES[body['code']][0]}")


def _validate_headers(where: str, listed: Mapping[str, Json], answer: Answer) -> None:
    for name, reference in listed.get("headers", {}).items():
        header = follow(reference)
        text = answer.headers.get(name)
        if text is None:
            if header.get("required"):
                raise BrokenContractError(f"{where}: the header {name} is missing")
            continue
        value = int(text) if header["schema"].get("type") == "integer" and text.isdigit() else text
        _complain(f"{where}: header {name}", Draft202012Validator(header["schema"]).iter_errors(value))


def _json(where: str, answer: Answer) -> Json:
    try:
        return json.loads(answer.content)
    except ValueError as error:
        raise BrokenContractError(f"{where}: the body is not JSON: {answer.content[:500]!r}") from error


def _complain(where: str, errors: Iterator[ValidationError]) -> None:
    found = [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in errors]
    if found:
        raise BrokenContractError(f"{where}: " + "; ".join(found)[:3000])


@cache
def _validator(path: str, method: str, status: int, mimetype: str) -> Draft202012Validator:
    operation = next(one for one in operations() if (one.path, one.method) == (path, method))
    schema = operation.responses[status]["content"][mimetype]["schema"]
    return Draft202012Validator(
        {**_closed(schema), "components": {"schemas": _closed_components()}}, validate_formats=True
    )


@cache
def _closed_components() -> dict[str, Json]:
    return {name: _with_closed_parts(schema) for name, schema in document()["components"]["schemas"].items()}


def _closed(schema: Mapping[str, Json]) -> dict[str, Json]:
    """The schema of a whole value: an object of known fields may have no others."""
    found = _with_closed_parts(schema)
    return {**found, "unevaluatedProperties": False} if _names_its_fields(schema) else found


def _with_closed_parts(schema: Mapping[str, Json]) -> dict[str, Json]:
    """The same schema, its parts closed; itself open, since it may be one part of an allOf."""
    found = dict(schema)
    if "properties" in found:
        found["properties"] = {name: _closed(part) for name, part in found["properties"].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(found.get(name), Mapping):
            found[name] = _closed(found[name])
    for name in ("oneOf", "anyOf"):
        if name in found:
            found[name] = [_closed(part) for part in found[name]]
    if "allOf" in found:
        found["allOf"] = [_with_closed_parts(part) for part in found["allOf"]]
    return found


def _names_its_fields(schema: Mapping[str, Json]) -> bool:
    if "$ref" in schema:
        return _names_its_fields(follow(schema))
    return "properties" in schema or any(_names_its_fields(part) for part in schema.get("allOf", ()))


class ContractClient(FlaskClient):
    """A test client that holds every answer against the document.

    `app.test_client_class = ContractClient` makes `app.test_client()` one.
    """

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """The answer, validated."""
        response = super().open(*args, **kwargs)
        validate_response(response.request.method, response.request.path, response)
        return response
