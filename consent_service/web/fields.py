"""Strict fields for marshmallow, and how its messages become coded field errors.

marshmallow is generous by default ("yes" is true, 2.9 is 2): a consent service is not. Unknown fields are
refused, strings are strings, whole numbers are whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from flask import request
from marshmallow import RAISE, Schema, ValidationError, fields, validate

from consent_service.clock import parse_time
from consent_service.errors import ConsentError
from consent_service.web.json import read_object

LONGEST_NAME = 200
MOST_FIELD_ERRORS = 50
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


class Coded(ValidationError):
    """A field error with one of our codes."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}|{detail}")


class Body(Schema):
    """Base of all request bodies: unknown fields are refused."""

    class Meta:
        unknown = RAISE


class Text(fields.Field[str]):
    """A string of `shortest` to `longest` characters, taken as it is; other types are refused."""

    def __init__(self, *, longest: int = LONGEST_NAME, shortest: int = 1, **options: Any) -> None:
        super().__init__(**options)
        self.longest, self.shortest = longest, shortest

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> str:
        if not isinstance(value, str) or not self.shortest <= len(value) <= self.longest:
            raise Coded("invalid_value", f"A string of {self.shortest} to {self.longest} characters is expected.")
        return value


class Choice(Text):
    """One of a few words."""

    def __init__(self, words: tuple[str, ...], **options: Any) -> None:
        super().__init__(**options)
        self.words = words

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise Coded("invalid_value", f"One of {', '.join(self.words)} is expected.")
        return value


class Whole(fields.Field[int]):
    """A whole number within bounds; true, 2.0 and "2" are refused."""

    def __init__(self, *, least: int, most: int, **options: Any) -> None:
        super().__init__(**options)
        self.least, self.most = least, most

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> int:
        if type(value) is not int or not self.least <= value <= self.most:
            raise Coded("invalid_value", f"A whole number from {self.least} to {self.most} is expected.")
        return value


class Truth(fields.Field[bool]):
    """true or false, nothing that only looks like it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> bool:
        if type(value) is not bool:
            raise Coded("invalid_value", "true or false is expected.")
        return value


class Time(fields.Field[datetime]):
    """An RFC 3339 time with offset."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> datetime:
        try:
            return parse_time(value)
        except ConsentError as error:
            raise Coded(error.code, error.detail) from error


class Id(fields.Field[UUID]):
    """A uuid in its usual form."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> UUID:
        found = read_uuid(value)
        if found is None:
            raise Coded("invalid_value", "A customer's id is expected.")
        return found


class Free(fields.Field[dict[str, Any]]):
    """A JSON object of the sender's own, such as evidence; at most `largest` characters as text."""

    def __init__(self, *, largest: int = 10_000, **options: Any) -> None:
        super().__init__(**options)
        self.largest = largest

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or len(str(value)) > self.largest:
            raise Coded("invalid_value", f"An object of at most {self.largest} characters is expected.")
        return value


def read_uuid(value: object) -> UUID | None:
    """The uuid, when value is one in its usual 36 characters."""
    if not isinstance(value, str) or len(value) != 36:
        return None
    try:
        found = UUID(value)
    except ValueError:
        return None
    return found if str(found) == value.lower() else None


class Items(fields.List[Any]):
    """A list that is counted before its items are looked at."""

    def __init__(self, of: fields.Field[Any], *, most: int, **options: Any) -> None:
        super().__init__(of, **options)
        self.most = most

    def _deserialize(self, value: Any, *rest: Any, **options: Any) -> list[Any]:
        if isinstance(value, list) and len(value) > self.most:
            raise ConsentError("too_many_items", f"At most {self.most} items in one call.")
        return super()._deserialize(value, *rest, **options)


def items(of: fields.Field[Any], *, most: int, least: int = 1, **options: Any) -> Items:
    """A list of `least` to `most` items; more is too_many_items (413)."""
    return Items(of, most=most, validate=validate.Length(min=least), **options)


def read(schema: Schema, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The request's body, checked.

    Raises:
        ConsentError: what the body is refused for; the code is the first field's, `errors` has all of them.
    """
    try:
        loaded: dict[str, Any] = schema.load(read_object() if body is None else body)
        return loaded
    except ValidationError as error:
        raise refusal(error.messages) from error


def refusal(messages: object) -> ConsentError:
    """The domain error for marshmallow's messages: the code is the first field's, `errors` has all of them."""
    found = _flatten(messages, "")[:MOST_FIELD_ERRORS]
    first = found[0]
    return ConsentError(first["code"], f"{first['pointer'] or 'The body'}: {first['detail']}", errors=found)


def _flatten(messages: object, pointer: str) -> list[dict[str, str]]:
    if isinstance(messages, Mapping):
        found = []
        for name, inner in messages.items():
            found += _flatten(inner, pointer if name == "_schema" else pointer + pointer_step(str(name)))
        return found
    texts = messages if isinstance(messages, list) else [messages]
    return [_coded(str(text), pointer) for text in texts]


def pointer_step(name: str) -> str:
    """A pointer's step to a field; none, so that the pointer names the object, for a name that may be a person's."""
    return f"/{name}" if _PLAIN_NAME.fullmatch(name) else ""


def _coded(text: str, pointer: str) -> dict[str, str]:
    code, bar, detail = text.partition("|")
    if bar:
        return {"pointer": pointer, "code": code, "detail": detail}
    if text == "Unknown field.":
        return {"pointer": pointer, "code": "unknown_field", "detail": "A field is not known here."}
    if text.startswith("Missing data"):
        return {"pointer": pointer, "code": "missing_field", "detail": "This field is needed."}
    return {"pointer": pointer, "code": "invalid_value", "detail": text}


def nested(of: type[Schema], **options: Any) -> fields.Nested:
    """An object of another schema."""
    return fields.Nested(of, **options)


def path_id(text: str) -> UUID:
    """A customer's id in a path; a malformed one is one that nobody has.

    Raises:
        ConsentError: unknown_customer.
    """
    found = read_uuid(text)
    if found is None:
        raise ConsentError("unknown_customer", "There is no such customer.")
    return found


def only_parameters(*known: str) -> dict[str, str]:
    """The query's parameters: known ones, each once.

    Raises:
        ConsentError: invalid_parameter.
    """
    for name in request.args:
        if name not in known:
            raise ConsentError("invalid_parameter", f"The parameters known here are: {', '.join(known) or 'none'}.")
        if len(request.args.getlist(name)) > 1:
            raise ConsentError("invalid_parameter", f"{name} stands twice.")
        if _UNPRINTABLE.search(request.args[name]):
            raise ConsentError("invalid_parameter", f"{name} holds a control character.")
    return request.args.to_dict()


def limit_parameter(parameters: Mapping[str, str], *, most: int, usual: int) -> int:
    """The page size in `limit`.

    Raises:
        ConsentError: invalid_parameter.
    """
    text = parameters.get("limit")
    if text is None:
        return usual
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= most):
        raise ConsentError("invalid_parameter", f"limit is a whole number from 1 to {most}.")
    return int(text)
