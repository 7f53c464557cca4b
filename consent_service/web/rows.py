"""Reads rows of bodies that come ten thousand at a time, by hand: each is read, or has its error in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from consent_service.errors import ConsentError
from consent_service.web.fields import pointer_step

MOST_ROWS = 10_000
LONGEST_REFERENCE, LONGEST_NAME = 512, 600

Row = TypeVar("Row")


def rows(
    body: Mapping[str, Any], name: str, reader: Callable[[object], Row], *, also: Sequence[str] = ()
) -> list[Row | ConsentError]:
    """The rows under `name`, each read or its error.

    Raises:
        ConsentError: the list itself is not as it must be: missing, empty, or longer than MOST_ROWS.
    """
    fields(body, {name, *also})
    listed = body.get(name)
    if not isinstance(listed, list):
        raise field(name, "invalid_value" if name in body else "missing_field", "A list is expected.")
    if not listed:
        raise field(name, "invalid_value", "The list is empty.")
    if len(listed) > MOST_ROWS:
        raise ConsentError("too_many_items", f"At most {MOST_ROWS} rows in one call.")
    read: list[Row | ConsentError] = []
    for row in listed:
        try:
            read.append(reader(row))
        except ConsentError as error:
            read.append(error)
    return read


def fields(row: object, known: set[str]) -> Mapping[str, Any]:
    """The row, when it is an object with no other fields than these.

    Raises:
        ConsentError: invalid_value, unknown_field.
    """
    if not isinstance(row, dict):
        raise ConsentError("invalid_value", "An object is expected.")
    for name in row:
        if name not in known:
            raise field(name, "unknown_field", "A field is not known here.")
    return row


def text(found: Mapping[str, Any], name: str, longest: int) -> str:
    """The string of 1 to `longest` characters that stands under this name.

    Raises:
        ConsentError: missing_field, invalid_value.
    """
    value = found.get(name)
    if not isinstance(value, str):
        code = "invalid_value" if name in found else "missing_field"
        raise field(name, code, "A string is expected.")
    if not value or len(value) > longest:
        raise field(name, "invalid_value", f"A string of 1 to {longest} characters is expected.")
    return value


def field(name: str, code: str, detail: str) -> ConsentError:
    """The error of one field; it is named where its name cannot be a person's."""
    pointer = pointer_step(name)
    return ConsentError(
        code,
        f"{pointer or 'The body'}: {detail}",
        errors=[{"pointer": pointer, "code": code, "detail": detail}],
    )
