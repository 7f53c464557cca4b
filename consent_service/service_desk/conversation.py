"""How a customer's word reached the agent, and what shows it: kept in the agent's cookie for the customer it is about.

It goes into every event of what is then done for this customer. Written once, it holds for the whole conversation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from flask import session

from consent_service.errors import ConsentError
from consent_service.history.model import Actor
from consent_service.i18n import N_

SOURCES: Mapping[str, str] = {
    "phone": N_("on the phone"),
    "letter": N_("by letter"),
    "form": N_("on a form"),
    "visit": N_("on a visit"),
    "email": N_("by e-mail"),
    "sms": N_("by text message"),
    "store": N_("in a shop"),
}
LONGEST_REFERENCE_OF_A_CALL = 100
MOST_AT_A_TIME = 4  # customers in several tabs
_KEPT = "conversations"


@dataclass(frozen=True, slots=True)
class Conversation:
    """`reference`: of the call or letter; empty: none was written down, and nothing can be made louder."""

    source: str = "phone"
    reference: str = ""

    @property
    def evidence(self) -> dict[str, str] | None:
        """As history keeps it."""
        return {"reference": self.reference} if self.reference else None

    def acting(self, actor: Actor) -> Actor:
        """The agent, acting on the customer's word."""
        return replace(actor, source=self.source, evidence=self.evidence)


def of_customer(customer_id: UUID) -> Conversation:
    """What was written down for this customer; nothing yet: on the phone."""
    kept = session.get(_KEPT, {}).get(customer_id.hex)
    return Conversation(*kept) if kept else Conversation()


def keep(customer_id: UUID, source: str, reference: str) -> None:
    """Writes down how this customer's word comes.

    Raises:
        ConsentError: invalid_value.
    """
    reference = reference.strip()
    sound = len(reference) <= LONGEST_REFERENCE_OF_A_CALL and (reference.isprintable() or not reference)
    if source not in SOURCES or not sound:
        raise ConsentError("invalid_value", "A reference is a short line of text.")
    others = [(one, said) for one, said in session.get(_KEPT, {}).items() if one != customer_id.hex]
    session[_KEPT] = dict([*others[1 - MOST_AT_A_TIME :], (customer_id.hex, [source, reference])])
