"""The shapes of bodies about customers and suppressions."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from consent_service.customers.model import (
    LONGEST_LOCALE,
    LONGEST_REASON,
    MOST_IDENTIFIERS,
    SUPPRESSION_KINDS,
    Reference,
    parse_reference,
)
from consent_service.errors import ConsentError
from consent_service.web.fields import Body, Choice, Coded, Free, Id, Text, items


class CustomerReference(fields.Field[Reference]):
    """A customer reference, kind:value, well formed."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Reference:
        try:
            return parse_reference(value)
        except ConsentError as error:
            raise Coded(error.code, error.detail) from error


class Changes(Body):
    """PATCH /v1/customers/{id}: what is named is set, null clears."""

    time_zone = Text(allow_none=True)
    locale = Text(longest=LONGEST_LOCALE, allow_none=True)
    segment = Text(allow_none=True)


class NewCustomer(Changes):
    """POST /v1/customers."""

    identifiers = items(CustomerReference(), most=MOST_IDENTIFIERS, required=True)


class Question(Body):
    """POST /v1/customers/lookup."""

    customer = CustomerReference(required=True)


class NamedIdentifier(Body):
    """POST /v1/customers/{id}/identifiers, and …/remove."""

    identifier = CustomerReference(required=True)


class Confirmation(Body):
    """POST /v1/customers/{id}/identifiers/confirm."""

    identifier = CustomerReference(required=True)
    evidence = Free(load_default=None, allow_none=True)


class Merge(Body):
    """POST /v1/customers/{id}/merge."""

    other = Id(required=True)


class Nothing(Body):
    """A body that says nothing: {}."""


class NewSuppression(Body):
    """POST /v1/suppressions: exactly one of customer and contact_point."""

    customer = CustomerReference()
    contact_point = CustomerReference()
    channel = Text(load_default=None, allow_none=False)
    kind = Choice(SUPPRESSION_KINDS, required=True)
    reason = Text(longest=LONGEST_REASON, required=True)
