"""A small world with something of everything that fsck looks at, made by the service itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from werkzeug.test import TestResponse

from tests.support.api import Api

CONTACT = {"channel": "email", "topic": "offers/wine"}


@dataclass(frozen=True)
class World:
    """Ids of who is in it: Ada, into whom Bea was merged; Cy, who was erased; Dan, who has nothing but dials."""

    ada: UUID
    bea: UUID
    cy: UUID
    dan: UUID

    @property
    def ids(self) -> dict[str, UUID]:
        return {"ada": self.ada, "bea": self.bea, "cy": self.cy, "dan": self.dan}


def make(api: Api) -> World:
    """Fills an empty service."""
    world = World(
        ada=api.customer("email:ada@example.com", "postal:1 Sample Lane", segment="club", time_zone="Europe/Rome"),
        bea=api.customer("email:bea@example.com", "postal:1 Sample Lane"),
        cy=api.customer("email:cy@example.com", "household:9"),
        dan=api.customer("email:dan@example.com", "household:9"),
    )
    for one in world.ids.values():
        good(api.turn(one, ("email", "offers", "busy"), ("*", "offers/garden", "monthly")), 200)
    good(api.turn(world.ada, ("*", "offers/garden", None)), 200)
    for one in (world.ada, world.bea, world.cy):
        _live(api, one)
        _talk(api, one)
    good(api.call("PATCH", f"/v1/customers/{world.ada}", {"locale": "it"}, role="desk"), 200)
    stop = {"contact_point": "email:ill@example.com", "kind": "marketing", "reason": "complaint"}
    good(api.post("/v1/suppressions", stop, role="desk"), 201)
    made = good(api.post("/v1/keys", {"role": "auditor", "name": "gone"}, role="admin"), 201)
    good(api.call("DELETE", f"/v1/keys/{made['id']}", role="admin"), 204)
    good(api.post(f"/v1/customers/{world.ada}/merge", {"other": str(world.bea)}, role="desk"), 200)
    good(api.turn(world.ada, ("email", "*", "busy")), 200)
    good(api.post(f"/v1/customers/{world.cy}/erase", role="desk"), 200)
    good(api.post("/v1/contacts", {"customer": f"id:{world.dan}", **CONTACT}), 201)
    return world


def _live(api: Api, one: UUID) -> None:
    asked = {"customer": f"id:{one}", **CONTACT}
    good(api.post("/v1/contacts", asked, headers={"Idempotency-Key": f"{one}"}), 201)
    used, released, _ = (good(api.post("/v1/permits", asked), 201)["id"] for _ in range(3))
    good(api.post(f"/v1/permits/{used}/use"), 201)
    good(api.call("DELETE", f"/v1/permits/{released}"), 204)
    made_at = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    report = {"customer": f"id:{one}", "channel": "sms", "topic": "events", "contacted_at": made_at}
    good(api.post("/v1/contacts/reports", {"contacts": [{**report, "external_id": "r1"}]}), 200)
    until = (datetime.now(UTC) + timedelta(days=5)).isoformat()
    good(api.call("PUT", f"/v1/customers/{one}/pause", {"until": until, "channel": "post"}, role="desk"), 200)
    stop = {"customer": f"id:{one}", "channel": "sms", "kind": "marketing", "reason": "asked for it"}
    good(api.post("/v1/suppressions", stop, role="desk"), 201)
    lifted = good(api.post("/v1/suppressions", {**stop, "channel": "phone"}, role="desk"), 201)["id"]
    good(api.call("DELETE", f"/v1/suppressions/{lifted}", role="desk"), 204)


def _talk(api: Api, one: UUID) -> None:
    """Two dialogues: one in which something of everything is said, and one that is closed."""
    token = good(api.post(f"/v1/customers/{one}/tokens", role="desk"), 201)["token"]
    until = (datetime.now(UTC) + timedelta(days=50)).isoformat()
    opening = {"topic": "offers", "subject": "A gift", "channels": ["email"], "until": until, "contacts": 3}
    path = f"/v1/customers/{one}/dialogues"
    made = f"/v1/dialogues/{good(api.post(path, opening, key=token), 201)['id']}"
    closed = good(api.post(path, {**opening, "message": "Blue?"}, key=token), 201)["id"]
    good(api.post(f"/v1/dialogues/{closed}/close", key=token), 200)
    terms, dial = {"terms": {"contacts": 5}}, {"dial": {"channel": "chat", "topic": "offers", "level": "silent"}}
    proposal = {"proposal": {"text": "Like this?", "lines": [terms, dial]}}
    for said in ({"message": "Which colour?"}, proposal, proposal, {"withdrawal": {"proposal": 3}}):
        good(api.post(f"{made}/entries", said), 201)
    lines = [{"line": line, "answer": "accept"} for line in (1, 2)]
    good(api.post(f"{made}/entries/4/answer", {"lines": lines}, key=token), 201)
    good(api.call("PATCH", made, {"contacts": 2}, key=token), 200)


def good(answer: TestResponse, status: int) -> Any:
    """The body of an answer that must have this status."""
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.get_json(silent=True)
