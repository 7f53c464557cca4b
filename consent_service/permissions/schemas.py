"""Reads the bodies of this slice by hand: they come ten thousand rows at a time, and each check waits for it.

Every reader gives the row or the error that stands in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from consent_service.clock import parse_time
from consent_service.customers.ids import decode_id
from consent_service.errors import ConsentError
from consent_service.permissions.model import (
    LONGEST_PERMIT_SECONDS,
    SHORTEST_PERMIT_SECONDS,
    USUAL_PERMIT_SECONDS,
    Asked,
    Question,
    Report,
)
from consent_service.web.rows import LONGEST_NAME, LONGEST_REFERENCE, field, fields, text

LONGEST_CAMPAIGN, LONGEST_EXTERNAL_ID = 200, 200
# Beyond it the calendar would end before the decision has played its windows and quiet hours forward.
LATEST_YEAR = 9000
_CHECK = {"customer", "channel", "topic", "at"}
_CONTACT = {"customer", "channel", "topic", "campaign"}
_PERMIT = _CHECK | {"campaign", "milestone_id", "expires_in_seconds"}
_REPORT = _CONTACT | {"contacted_at", "external_id"}


def question(row: object) -> Question:
    """{customer, channel, topic, at?}"""
    found = fields(row, _CHECK)
    at = found.get("at")
    return Question(
        text(found, "customer", LONGEST_REFERENCE),
        text(found, "channel", LONGEST_NAME),
        text(found, "topic", LONGEST_NAME),
        _time(found, "at") if at is not None or "at" in found else None,
    )


def permit(row: object) -> Asked:
    """{customer, channel, topic, at?, campaign?, milestone_id?, expires_in_seconds?}"""
    found = fields(row, _PERMIT)
    seconds = found.get("expires_in_seconds", USUAL_PERMIT_SECONDS)
    if type(seconds) is not int or not SHORTEST_PERMIT_SECONDS <= seconds <= LONGEST_PERMIT_SECONDS:
        detail = f"A whole number from {SHORTEST_PERMIT_SECONDS} to {LONGEST_PERMIT_SECONDS} is expected."
        raise field("expires_in_seconds", "invalid_value", detail)
    asked = question({name: value for name, value in found.items() if name in _CHECK})
    return Asked(replace(asked, milestone_id=_milestone(found)), _campaign(found), seconds)


def contact(row: object) -> Asked:
    """{customer, channel, topic, campaign?}"""
    found = fields(row, _CONTACT)
    return Asked(question({name: value for name, value in found.items() if name in _CHECK}), _campaign(found))


def report(row: object) -> Report:
    """{customer, channel, topic, contacted_at, campaign?, external_id}"""
    found = fields(row, _REPORT)
    asked = question({name: value for name, value in found.items() if name in _CHECK})
    return Report(
        asked.customer,
        asked.channel,
        asked.topic,
        _time(found, "contacted_at"),
        text(found, "external_id", LONGEST_EXTERNAL_ID),
        _campaign(found),
    )


def permit_id(row: object) -> str:
    """The id of a permit; a malformed one is one that nobody has."""
    if not isinstance(row, str):
        raise ConsentError("invalid_value", "A permit's id is expected.")
    return row


def truth(body: Mapping[str, Any], name: str) -> bool:
    """An optional true or false; false when it is not there."""
    value = body.get(name, False)
    if type(value) is not bool:
        raise field(name, "invalid_value", "true or false is expected.")
    return value


def _milestone(found: Mapping[str, Any]) -> UUID | None:
    if "milestone_id" not in found:
        return None
    decoded = decode_id(text(found, "milestone_id", LONGEST_EXTERNAL_ID))
    if decoded is None:
        raise field("milestone_id", "unknown_milestone", "There is no such milestone.")
    return decoded[1]


def _campaign(found: Mapping[str, Any]) -> str | None:
    return text(found, "campaign", LONGEST_CAMPAIGN) if "campaign" in found else None


def _time(found: Mapping[str, Any], name: str) -> Any:
    if name not in found:
        raise field(name, "missing_field", "A time is expected.")
    try:
        instant = parse_time(found[name])
    except ConsentError as error:
        raise field(name, error.code, error.detail) from error
    if instant.year > LATEST_YEAR:
        raise field(name, "invalid_timestamp", "The time is too far ahead.")
    return instant
