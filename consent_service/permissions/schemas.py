"""Reads the bodies of this slice by hand: they come ten thousand rows at a time, and each check waits for it.

Every reader gives the row or the error that stands in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from consent_service.clock import parse_time
from consent_service.errors import ConsentError
from consent_service.permissions.model import (
    LONGEST_PERMIT_SECONDS,
    MOST_ROWS,
    SHORTEST_PERMIT_SECONDS,
    USUAL_PERMIT_SECONDS,
    Asked,
    Question,
    Report,
)
from consent_service.web.fields import pointer_step

LONGEST_REFERENCE, LONGEST_NAME, LONGEST_CAMPAIGN, LONGEST_EXTERNAL_ID = 512, 600, 200, 200
# Beyond it the calendar would end before the decision has played its windows and quiet hours forward.
LATEST_YEAR = 9000
_CHECK = {"customer", "channel", "topic", "at"}
_CONTACT = {"customer", "channel", "topic", "campaign"}
_PERMIT = _CHECK | {"campaign", "milestone_id", "expires_in_seconds"}
_REPORT = _CONTACT | {"contacted_at", "external_id"}

Row = TypeVar("Row")


def question(row: object) -> Question:
    """{customer, channel, topic, at?}"""
    found = _fields(row, _CHECK)
    at = found.get("at")
    return Question(
        _text(found, "customer", LONGEST_REFERENCE),
        _text(found, "channel", LONGEST_NAME),
        _text(found, "topic", LONGEST_NAME),
        _time(found, "at") if at is not None or "at" in found else None,
    )


def permit(row: object) -> Asked:
    """{customer, channel, topic, at?, campaign?, milestone_id?, expires_in_seconds?}"""
    found = _fields(row, _PERMIT)
    if "milestone_id" in found:
        _text(found, "milestone_id", LONGEST_EXTERNAL_ID)
        raise _field("milestone_id", "unknown_milestone", "There is no such milestone.")
    seconds = found.get("expires_in_seconds", USUAL_PERMIT_SECONDS)
    if type(seconds) is not int or not SHORTEST_PERMIT_SECONDS <= seconds <= LONGEST_PERMIT_SECONDS:
        detail = f"A whole number from {SHORTEST_PERMIT_SECONDS} to {LONGEST_PERMIT_SECONDS} is expected."
        raise _field("expires_in_seconds", "invalid_value", detail)
    asked = question({name: value for name, value in found.items() if name in _CHECK})
    return Asked(asked, _campaign(found), seconds)


def contact(row: object) -> Asked:
    """{customer, channel, topic, campaign?}"""
    found = _fields(row, _CONTACT)
    return Asked(question({name: value for name, value in found.items() if name in _CHECK}), _campaign(found))


def report(row: object) -> Report:
    """{customer, channel, topic, contacted_at, campaign?, external_id}"""
    found = _fields(row, _REPORT)
    asked = question({name: value for name, value in found.items() if name in _CHECK})
    return Report(
        asked.customer,
        asked.channel,
        asked.topic,
        _time(found, "contacted_at"),
        _text(found, "external_id", LONGEST_EXTERNAL_ID),
        _campaign(found),
    )


def permit_id(row: object) -> str:
    """The id of a permit; a malformed one is one that nobody has."""
    if not isinstance(row, str):
        raise ConsentError("invalid_value", "A permit's id is expected.")
    return row


def rows(
    body: Mapping[str, Any], name: str, reader: Callable[[object], Row], *, also: Sequence[str] = ()
) -> list[Row | ConsentError]:
    """The rows under `name`, each read or its error.

    Raises:
        ConsentError: the list itself is not as it must be: missing, empty, or longer than MOST_ROWS.
    """
    _fields(body, {name, *also})
    listed = body.get(name)
    if not isinstance(listed, list):
        raise _field(name, "invalid_value" if name in body else "missing_field", "A list is expected.")
    if not listed:
        raise _field(name, "invalid_value", "The list is empty.")
    if len(listed) > MOST_ROWS:
        raise ConsentError("too_many_items", f"At most {MOST_ROWS} rows in one call.")
    read: list[Row | ConsentError] = []
    for row in listed:
        try:
            read.append(reader(row))
        except ConsentError as error:
            read.append(error)
    return read


def truth(body: Mapping[str, Any], name: str) -> bool:
    """An optional true or false; false when it is not there."""
    value = body.get(name, False)
    if type(value) is not bool:
        raise _field(name, "invalid_value", "true or false is expected.")
    return value


def _fields(row: object, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise ConsentError("invalid_value", "An object is expected.")
    for name in row:
        if name not in known:
            raise _field(name, "unknown_field", "A field is not known here.")
    return row


def _text(found: Mapping[str, Any], name: str, longest: int) -> str:
    value = found.get(name)
    if not isinstance(value, str):
        code = "invalid_value" if name in found else "missing_field"
        raise _field(name, code, "A string is expected.")
    if not value or len(value) > longest:
        raise _field(name, "invalid_value", f"A string of 1 to {longest} characters is expected.")
    return value


def _campaign(found: Mapping[str, Any]) -> str | None:
    return _text(found, "campaign", LONGEST_CAMPAIGN) if "campaign" in found else None


def _time(found: Mapping[str, Any], name: str) -> Any:
    if name not in found:
        raise _field(name, "missing_field", "A time is expected.")
    try:
        instant = parse_time(found[name])
    except ConsentError as error:
        raise _field(name, error.code, error.detail) from error
    if instant.year > LATEST_YEAR:
        raise _field(name, "invalid_timestamp", "The time is too far ahead.")
    return instant


def _field(name: str, code: str, detail: str) -> ConsentError:
    pointer = pointer_step(name)
    return ConsentError(
        code,
        f"{pointer or 'The body'}: {detail}",
        errors=[{"pointer": pointer, "code": code, "detail": detail}],
    )
