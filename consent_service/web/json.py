"""JSON in and out: strict on the way in, fast on the way out.

Refused on the way in: other media types and encodings, a key twice in an object, NaN and huge numbers,
control characters, lone surrogates, deep nesting, bodies over the limit. No handler reads a body otherwise.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

import orjson
from flask import Request, Response, current_app
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from consent_service.errors import ConsentError
from consent_service.web.current import this_request
from consent_service.web.patience import body_arrived

MOST_DEPTH = 32
LARGEST_INTEGER = 2**53 - 1  # beyond it JSON numbers are not exact everywhere (RFC 8259, 6; RFC 8785)
LONGEST_NUMBER = 400  # characters
# Of a call that is about one thing. As JSON it may grow to thirty times its size, and it is parsed while others of
# the process wait; only calls that take thousands of rows have CONSENT_MAX_BODY_BYTES.
MOST_BYTES_OF_ONE = 2**20
_MANY = ("batch", "reports", "links")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
# A string, also one that never ends; possessive, so that no text makes it look twice.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[][{}]")


def read_object() -> dict[str, Any]:
    """The request's body as a JSON object.

    Raises:
        ConsentError: 400, 413 or 415 as errors.py names them.
    """
    asked = this_request()
    if asked.mimetype != "application/json":
        raise ConsentError("unsupported_media_type", "Send the body with Content-Type: application/json.")
    if asked.environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise ConsentError("unsupported_media_type", "Send the body without Content-Encoding.")
    value = parse(body_bytes())
    if not isinstance(value, dict):
        raise ConsentError("object_expected", "The body must be a JSON object.")
    return value


def body_bytes() -> bytes:
    """The body as it came, at most as long as the limit.

    Raises:
        ConsentError: body_too_large, or bad_request when the client broke off.
    """
    asked = this_request()
    limit = _limit(asked)
    length = asked.content_length
    # A body in chunks would be cut at the limit in silence: one byte more tells that there is more.
    asked.max_content_length = limit if length is not None else limit + 1
    try:
        body = asked.get_data(cache=True)
        if len(body) > limit:
            raise RequestEntityTooLarge
        if length is not None and len(body) < length:
            raise ClientDisconnected
        body_arrived(len(body))
        return body
    except RequestEntityTooLarge as error:
        raise ConsentError("body_too_large", "The body is longer than this service reads.") from error
    except (ClientDisconnected, ParseException) as error:  # the latter: chunks that are none
        raise ConsentError("bad_request", "The body ended early, or its chunks are broken.") from error


def _limit(asked: Request) -> int:
    limit: int = current_app.config["MAX_CONTENT_LENGTH"]
    takes_many = asked.url_rule is not None and asked.url_rule.rule.endswith(_MANY)
    return limit if takes_many else min(limit, MOST_BYTES_OF_ONE)


def parse(body: bytes) -> Any:
    """The JSON value in body, with everything refused that two readers could read differently."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConsentError("invalid_encoding", "The body must be UTF-8.") from error
    if body.startswith(codecs.BOM_UTF8):
        raise ConsentError("invalid_json", "The body must not begin with a byte-order mark.")
    if text.count("[") + text.count("{") > MOST_DEPTH:
        _refuse_depth(text)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        if error.msg.startswith("Invalid control character"):
            raise ConsentError("control_character", "A string holds an unescaped control character.") from error
        if "\0" in text:
            raise ConsentError("invalid_encoding", "The body must be UTF-8.") from error
        raise ConsentError("invalid_json", f"Not JSON at line {error.lineno}, column {error.colno}.") from error
    except RecursionError as error:
        raise ConsentError("json_too_deep", f"At most {MOST_DEPTH} levels are read.") from error
    if "\\u" in text or "\\b" in text or "\\f" in text or "\x7f" in text:
        _check_strings(value)
    return value


def _refuse_depth(text: str) -> None:
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub("", text)):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MOST_DEPTH:
            raise ConsentError("json_too_deep", f"At most {MOST_DEPTH} levels are read.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ConsentError("duplicate_key", "An object has the same key twice.")
    return found


def _refuse_number(_: str) -> NoReturn:
    raise ConsentError("invalid_number", "NaN and Infinity are no JSON numbers.")


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > LARGEST_INTEGER:
        raise ConsentError("invalid_number", "An integer is beyond what JSON carries exactly.")
    return int(digits)


def _float(digits: str) -> float:
    if len(digits) > LONGEST_NUMBER or abs(number := float(digits)) == float("inf"):
        raise ConsentError("invalid_number", "A number is out of range.")
    return number


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_refuse_number, parse_int=_integer, parse_float=_float
)


def _check_strings(value: Any) -> None:
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise ConsentError("invalid_unicode", "A string holds half of a surrogate pair.")
        if _FORBIDDEN.search(value):
            raise ConsentError("control_character", "A string holds a control character.")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_strings(key)
            _check_strings(item)
    elif isinstance(value, list):
        for item in value:
            _check_strings(item)


def answer(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response that no cache keeps."""
    usual = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    response = Response(orjson.dumps(body), status, usual)
    if headers:
        response.headers.update(headers)
    return response
