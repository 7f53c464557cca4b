"""Contacts: ask and record in one step, at the moment of sending. Owns the table `contact`, the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from consent_service.clock import format_time
from consent_service.customers.ids import encode_id
from consent_service.customers.service import Resolved
from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.history.model import Actor, Event
from consent_service.keyring.service import Keyring
from consent_service.permissions.model import Asked, Decision, Outcome
from consent_service.permissions.taking import Claim, Clock, Page, Way, asked_details, take_many


def contact_many(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    asked: Sequence[Asked | ConsentError],
    *,
    instants: Sequence[datetime] | None = None,
) -> list[Outcome | ConsentError]:
    """Asks about each contact and records the allowed ones: 201 the contact, 409 the decision, or an error.

    Args:
        instants: replay's clock: when each contact was made; None: now.
    """

    claims = [one if isinstance(one, ConsentError) else Claim(actor, CONTACT, one) for one in asked]
    return take_many(conn, keyring, claims, clock=Clock(instants is None, instants))


def _granted(page: Page, actor: Actor, asked: Asked, _: Resolved, decision: Decision) -> Mapping[str, Any]:
    return add(page, actor, asked, decision)


CONTACT = Way("contact.refused", _granted)


def add(page: Page, actor: Actor, row: Asked, decision: Decision, *, permit_id: UUID | None = None) -> dict[str, Any]:
    """Adds a permitted contact and its event to the page; the answer's body."""
    assert decision.customer_id is not None
    contact_id = uuid7()
    details: dict[str, Any] = {
        **asked_details(row),
        "contact_id": encode_id(decision.customer_id, contact_id),
        "contacted_at": format_time(decision.instant),
        "permit_id": encode_id(decision.customer_id, permit_id) if permit_id else None,
        "decision": decision.shown(),
    }
    event = Event(decision.customer_id, "contact.recorded", actor, decision.decided_at, details)
    page.events.append(event)
    page.contacts.append(
        {
            "customer_id": decision.customer_id,
            "contact_id": contact_id,
            "key_name": actor.name,
            "channel": row.question.channel,
            "topic": row.question.topic,
            "campaign": row.campaign,
            "contacted_at": decision.instant,
            "recorded_at": decision.decided_at,
            "permit_id": permit_id,
            "external_id": None,
            "permitted": True,
            "reason": decision.reason,
            "counts": decision.counts,
            "dialogue_id": decision.dialogue_id,
            "milestone_id": decision.milestone_id,
            "event_id": event.event_id,
        }
    )
    return shown(details)


def shown(details: Mapping[str, Any]) -> dict[str, Any]:
    """A contact as the API shows it, from its event's details."""
    return {
        "id": details["contact_id"],
        "contacted_at": details["contacted_at"],
        "permit_id": details["permit_id"],
        "channel": details["channel"],
        "topic": details["topic"],
        "campaign": details["campaign"],
        **details["decision"],
    }
