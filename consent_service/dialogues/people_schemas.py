"""The shapes of bodies about people whom customers name."""

from __future__ import annotations

from consent_service.customers.schemas import CustomerReference
from consent_service.dialogues.persons import LONGEST_NAME, LONGEST_RELATION
from consent_service.dials.model import SECOND_HAND, SOURCES
from consent_service.web.fields import Body, Choice, Free, Text

WAYS = tuple(one for one in SOURCES if one not in SECOND_HAND)


class Said(Body):
    """How the customer's word arrived, where the desk acts on it."""

    source = Choice(WAYS)
    evidence = Free()


class NewPerson(Said):
    """POST /v1/dialogues/{id}/people."""

    name = Text(longest=LONGEST_NAME, required=True)
    relation = Text(longest=LONGEST_RELATION, required=True)
    contact = CustomerReference(load_default=None, allow_none=True)


class PersonChange(Said):
    """PATCH /v1/people/{id}."""

    name = Text(longest=LONGEST_NAME)
    relation = Text(longest=LONGEST_RELATION)


class NewInvitation(Said):
    """POST /v1/people/{id}/invitation: as whom the customer is shown; null: not at all."""

    shown_as = Text(longest=LONGEST_NAME, load_default=None, allow_none=True)
