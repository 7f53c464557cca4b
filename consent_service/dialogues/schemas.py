"""The shapes of bodies about dialogues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, validates_schema

from consent_service.clock import format_time
from consent_service.dialogues.model import (
    ANSWERS,
    LINE_KINDS,
    LONGEST_MESSAGE,
    LONGEST_SUBJECT,
    LONGEST_TOPIC,
    MOST_CHANNELS,
    MOST_CONTACTS,
    MOST_ENTRIES,
    MOST_LINES,
    Line,
    LineAnswer,
)
from consent_service.dials.model import SOURCES
from consent_service.web.fields import Body, Choice, Coded, Free, Items, Text, Time, Truth, Whole, items, nested


class Channels(Items):
    """Names of channels, each once."""

    def __init__(self, **options: Any) -> None:
        super().__init__(Text(), most=MOST_CHANNELS, **options)

    def _deserialize(self, value: Any, *rest: Any, **options: Any) -> list[Any]:
        found = super()._deserialize(value, *rest, **options)
        if not found or len(set(found)) < len(found):
            raise Coded("invalid_value", "At least one channel is expected, each once.")
        return found


class TermsBody(Body):
    """New terms: what is named is changed."""

    channels = Channels()
    until = Time()
    contacts = Whole(least=1, most=MOST_CONTACTS)
    any_time = Truth()

    @validates_schema
    def _says_something(self, data: Mapping[str, Any], **_: Any) -> None:
        if not {"channels", "until", "contacts", "any_time"} & data.keys():
            raise ValidationError(["invalid_value|At least one of the terms is expected."])


class ChangeBody(TermsBody):
    """PATCH /v1/dialogues/{id}."""

    source = Choice(SOURCES, load_default=None, allow_none=True)
    evidence = Free(load_default=None, allow_none=True)


class OpeningBody(Body):
    """POST /v1/customers/{id}/dialogues."""

    topic = Text(required=True, longest=LONGEST_TOPIC)
    subject = Text(required=True, longest=LONGEST_SUBJECT)
    channels = Channels(required=True)
    until = Time(required=True)
    contacts = Whole(least=1, most=MOST_CONTACTS, required=True)
    any_time = Truth(load_default=False)
    message = Text(longest=LONGEST_MESSAGE, load_default=None, allow_none=True)
    source = Choice(SOURCES, load_default=None, allow_none=True)
    evidence = Free(load_default=None, allow_none=True)


class DialBody(Body):
    """One place of a dial."""

    channel = Text(required=True)
    topic = Text(required=True, longest=LONGEST_TOPIC)
    level = Text(required=True, allow_none=True)


class LineBody(Body):
    """One line of a proposal: exactly one kind of change."""

    text = Text(longest=LONGEST_MESSAGE, load_default=None, allow_none=True)
    dial = nested(DialBody)
    terms = nested(TermsBody)
    specification = Free()

    @validates_schema
    def _is_one_change(self, data: Mapping[str, Any], **_: Any) -> None:
        if sum(kind in data for kind in LINE_KINDS) != 1:
            raise ValidationError([f"invalid_value|Exactly one of {', '.join(LINE_KINDS)} is expected."])


class ProposalBody(Body):
    """A proposal."""

    text = Text(required=True, longest=LONGEST_MESSAGE)
    lines = items(nested(LineBody), most=MOST_LINES, required=True)


class WithdrawalBody(Body):
    """A proposal that is taken back."""

    proposal = Whole(least=1, most=2 * MOST_ENTRIES, required=True)
    text = Text(longest=LONGEST_MESSAGE, load_default=None, allow_none=True)


class EntryBody(Body):
    """POST /v1/dialogues/{id}/entries: exactly one of them."""

    message = Text(longest=LONGEST_MESSAGE)
    proposal = nested(ProposalBody)
    withdrawal = nested(WithdrawalBody)

    @validates_schema
    def _is_one(self, data: Mapping[str, Any], **_: Any) -> None:
        if len(data) != 1:
            raise ValidationError(["invalid_value|Exactly one of message, proposal, withdrawal is expected."])


class LineAnswerBody(Body):
    """What is said to one line; with `change`, the new values under the line's own kind."""

    line = Whole(least=1, most=MOST_LINES, required=True)
    answer = Choice(ANSWERS, required=True)
    dial = nested(DialBody)
    terms = nested(TermsBody)
    specification = Free()

    @validates_schema
    def _changes_what_it_says(self, data: Mapping[str, Any], **_: Any) -> None:
        if sum(kind in data for kind in LINE_KINDS) != (data.get("answer") == "change"):
            raise ValidationError(["invalid_value|With change, and only then, the line's new values are expected."])


class NoticeBody(Body):
    """The notice that was shown."""

    id = Text(required=True)
    version = Text(required=True)
    locale = Text(required=True, longest=35)


class AnswerBody(Body):
    """POST /v1/dialogues/{id}/entries/{number}/answer."""

    lines = items(nested(LineAnswerBody), most=MOST_LINES, required=True)
    notice = nested(NoticeBody, load_default=None, allow_none=True)
    text = Text(longest=LONGEST_MESSAGE, load_default=None, allow_none=True)


class ClosingBody(Body):
    """POST /v1/dialogues/{id}/close: {}."""


def lines_of(read: list[dict[str, Any]]) -> list[Line]:
    """Lines of a proposal that was read."""
    return [Line(*_change(one), one["text"]) for one in read]


def answers_of(read: list[dict[str, Any]]) -> list[LineAnswer]:
    """Answers that were read."""
    return [
        LineAnswer(one["line"], one["answer"], *(_change(one) if one["answer"] == "change" else (None, None)))
        for one in read
    ]


def _change(one: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """(kind, values as JSON) of a line."""
    kind = next(kind for kind in LINE_KINDS if kind in one)
    value = dict(one[kind])
    if kind == "terms" and "until" in value:
        value["until"] = format_time(value["until"])
    return kind, value
