"""The shapes of bodies about what customers tell."""

from __future__ import annotations

from typing import Any

from marshmallow import validates_schema

from consent_service.customers.model import LONGEST_REFERENCE
from consent_service.dialogues.facts import LONGEST_NAME, LONGEST_PURPOSE, LONGEST_VALUE, MOST_CUSTOMERS
from consent_service.dialogues.people_schemas import Said
from consent_service.web.fields import Body, Coded, Text, Time, items

LONGEST_TOPIC = 600


class NewFact(Said):
    """POST /v1/dialogues/{id}/facts."""

    name = Text(longest=LONGEST_NAME, required=True)
    value = Text(longest=LONGEST_VALUE, required=True)
    purpose = Text(longest=LONGEST_PURPOSE, required=True)
    until = Time(required=True)


class FactChange(Said):
    """PATCH /v1/facts/{id}."""

    value = Text(longest=LONGEST_VALUE)
    purpose = Text(longest=LONGEST_PURPOSE)
    until = Time()


class FactQuestion(Body):
    """POST /v1/customers/facts: exactly one of customer and customers."""

    customer = Text(longest=LONGEST_REFERENCE)
    customers = items(Text(longest=LONGEST_REFERENCE), most=MOST_CUSTOMERS)
    topic = Text(longest=LONGEST_TOPIC, load_default=None, allow_none=True)

    @validates_schema
    def _check_one(self, data: dict[str, Any], **_: Any) -> None:
        if ("customer" in data) == ("customers" in data):
            raise Coded("invalid_value", "Exactly one of customer and customers is expected.")
