"""Dialogues for tests that are not about them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from werkzeug.test import TestResponse

from tests.support.api import EVIDENCE, Api

UNTIL = "2027-10-01T00:00:00Z"


def opened(api: Api, customer: UUID, topic: str = "offers/wine") -> str:
    """The id of a dialogue, opened by the desk on the customer's word."""
    until = (datetime.now(UTC) + timedelta(days=300)).isoformat()
    opening = {"topic": topic, "subject": "A circle", "channels": ["email"], "until": until, "contacts": 5}
    how = {"source": "phone", "evidence": EVIDENCE}
    answer = api.post(f"/v1/customers/{customer}/dialogues", {**opening, **how}, role="desk")
    assert answer.status_code == 201, answer.get_data(as_text=True)
    return str(answer.json["id"])


def ended(api: Api, customer: UUID, *, closed: bool) -> None:
    """Closes the customer's dialogues, or lets them expire."""
    change = (
        "closed_at = now(), closed_by = 'customer'"
        if closed
        else "opened_at = now() - interval '2 days', until = now() - interval '1 day'"
    )
    with api.made.owner() as conn:
        conn.execute(f"UPDATE dialogue SET {change} WHERE customer_id = %s", [customer])  # type: ignore[arg-type]


def name(api: Api, dialogue: str, **said: Any) -> Mapping[str, Any]:
    """Somebody is named, by the desk on the customer's word."""
    body = {"name": "Dora", "relation": "sister", "evidence": EVIDENCE, **said}
    answer = api.post(f"/v1/dialogues/{dialogue}/people", body, role="desk")
    assert answer.status_code == 201, answer.get_data(as_text=True)
    found: Mapping[str, Any] = answer.json
    return found


def invite(api: Api, person: Mapping[str, Any], shown_as: str | None = None) -> str:
    """The path of an invitation."""
    body = {"shown_as": shown_as, "evidence": EVIDENCE}
    answer = api.post(f"/v1/people/{person['id']}/invitation", body, role="desk")
    assert answer.status_code == 201, answer.get_data(as_text=True)
    return str(answer.json["url"]).removeprefix(api.settings.public_url)


def circle(api: Api, dialogue: str, key: str | None = None) -> list[dict[str, Any]]:
    """Whom the customer named, as whoever holds the key sees them; the desk without one."""
    answer = api.call("GET", f"/v1/dialogues/{dialogue}/people", role="desk", key=key)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    found: list[dict[str, Any]] = answer.json["people"]
    return found


def tell(api: Api, dialogue: str, **said: Any) -> TestResponse:
    """Something is told, by the desk on the customer's word."""
    body = {"name": "size", "value": "42", "purpose": "shoes", "until": UNTIL, "evidence": EVIDENCE, **said}
    return api.post(f"/v1/dialogues/{dialogue}/facts", body, role="desk")
