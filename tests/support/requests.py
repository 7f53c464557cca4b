"""Makes requests out of the contract's examples and generated ones: real customers, names and times in their place.

What stands in openapi.yaml is made up. Pointed at what there is in the tests' database, the same request gets
past the look-up and does something.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from tests.dialogues.conversations import name, opened, tell
from tests.support.api import EVIDENCE, NOTICE, Api

MOST_ROWS = 5
_numbers = itertools.count(1)


def new_customer(api: Api) -> str:
    """The id of a customer who wants every message."""
    owner = api.customer(f"email:made-up-{next(_numbers)}@example.com")
    assert api.turn(owner, ("*", "events", "everything")).status_code == 200
    return str(owner)


def turning_customer(api: Api) -> str:
    """The id of the customer whose dials and pauses requests change, again and again."""
    return _standing(api, "TURNING_CUSTOMER")


def open_customer(api: Api) -> str:
    """The id of the customer whom requests contact: nothing turns their dials down."""
    return _standing(api, "OPEN_CUSTOMER")


def _standing(api: Api, name: str) -> str:
    found: str | None = api.app.config.get(name)
    if found is None:
        found = api.app.config[name] = new_customer(api)
    return found


def new_permit(api: Api) -> str:
    """The id of an open permit of the campaign key."""
    body = {"customer": f"id:{new_customer(api)}", "channel": "email", "topic": "events"}
    return _id(api.post("/v1/permits", body).json)


def new_suppression(api: Api) -> str:
    """The id of a suppression."""
    body = {"contact_point": f"email:stopped-{next(_numbers)}@example.com", "kind": "all", "reason": "asked for it"}
    return _id(api.post("/v1/suppressions", body, role="desk").json)


def new_dialogue(api: Api) -> str:
    """The id of an open dialogue, with a proposal in it."""
    terms = {"channels": ["email"], "until": in_days(30), "contacts": 3}
    body = {"topic": "events", "subject": "A ball", **terms, "source": "phone", "evidence": EVIDENCE}
    made = _id(api.post(f"/v1/customers/{new_customer(api)}/dialogues", body, role="desk").json)
    proposal = {"text": "A waltz?", "lines": [{"specification": {"tempo": 180}}]}
    assert api.post(f"/v1/dialogues/{made}/entries", {"proposal": proposal}, role="desk").status_code == 201
    return made


def new_key(api: Api) -> str:
    """The id of a key that nobody uses."""
    return _id(api.post("/v1/keys", {"name": f"spare {next(_numbers)}", "role": "desk"}, role="admin").json)


def in_days(days: int) -> str:
    """A time some days from now."""
    return (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="seconds")


def real(api: Api, body: Any) -> Any:
    """A body with real values in the fields that need some; long lists are cut."""
    if isinstance(body, list):
        return [real(api, one) for one in body[:MOST_ROWS]]
    if isinstance(body, dict):
        return {name: REAL[name](api) if name in REAL else real(api, value) for name, value in body.items()}
    return body


def _id(answer: Any) -> str:
    found: str = answer["id"]
    return found


REAL_IDS: dict[str, Callable[[Api], str]] = {
    "customer_id": turning_customer,
    "permit_id": new_permit,
    "suppression_id": new_suppression,
    "key_id": new_key,
    "dialogue_id": new_dialogue,
    "person_id": lambda api: str(name(api, opened(api, UUID(new_customer(api))))["id"]),
    "fact_id": lambda api: _id(tell(api, opened(api, UUID(new_customer(api)))).json),
}

REAL: dict[str, Callable[[Api], Any]] = {
    "customer": lambda api: f"id:{open_customer(api)}",
    "other": new_customer,
    "contact_point": lambda _: f"email:stopped-{next(_numbers)}@example.com",
    "identifier": lambda _: f"loyalty:{next(_numbers)}",
    "identifiers": lambda _: [f"loyalty:{next(_numbers)}", f"email:new-{next(_numbers)}@example.com"],
    "channel": lambda _: "email",
    "channels": lambda _: ["email"],
    "topic": lambda _: "events",
    "level": lambda _: "silent",
    "notice": lambda _: NOTICE,
    "evidence": lambda _: EVIDENCE,
    "time_zone": lambda _: "Europe/Paris",
    "segment": lambda _: "club",
    "at": lambda _: in_days(2),
    "until": lambda _: in_days(30),
    "occurred_at": lambda _: in_days(-1),
    "contacted_at": lambda _: in_days(-1),
    "topics": lambda _: None,
    "ids": lambda api: [new_permit(api), "no permit"],
}
