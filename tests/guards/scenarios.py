"""What each guard keeps from happening, played by one caller on a small world.

A scenario is a function of the application; it raises AssertionError when the guard is not there.
"""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import dict_row

from consent_service.catalogue.service import apply_catalogue
from consent_service.database.connection import Connection
from consent_service.errors import ConsentError
from tests.support.api import CATALOGUE, SYSTEM, Api
from tests.support.cluster import TestDatabase

MICROSECOND = timedelta(microseconds=1)
BEN = "email:ben@example.com"
Json = dict[str, Any]
Scenario = Callable[[Api], None]


def ben(api: Api, *places: tuple[str, str, str | None], names: tuple[str, ...] = (BEN,)) -> UUID:
    made = api.customer(*names)
    if places:
        assert api.turn(made, *places).status_code == 200
    return made


def reason(api: Api, at: datetime | None = None, *, channel: str = "email", topic: str = "events") -> str:
    asked = {} if at is None else {"at": at.isoformat()}
    return str(api.check(BEN, channel, topic, **asked)["reason"])


def window_edge(api: Api) -> None:
    """An entry made at s counts while s > at − W: at s + W it has left."""
    ben(api, ("*", "events", "weekly"))
    made = datetime.now(UTC) - timedelta(days=2)
    report = {"customer": BEN, "channel": "email", "topic": "events", "contacted_at": made.isoformat(),
              "external_id": "1"}  # fmt: skip
    assert api.post("/v1/contacts/reports", {"contacts": [report]}).json["results"][0].get("id")
    leaves = made + timedelta(days=7)
    assert reason(api, leaves - MICROSECOND) == "volume_reached"
    assert reason(api, leaves) == "allowed", "counted at the edge of its window"


def permit_edge(api: Api) -> None:
    """An open permit counts while expires_at > at."""
    ben(api, ("*", "events", "weekly"))
    made = api.post("/v1/permits", {"customer": BEN, "channel": "email", "topic": "events"}).json
    ends = datetime.fromisoformat(made["expires_at"])
    assert reason(api, ends - MICROSECOND) == "volume_reached"
    assert reason(api, ends) == "allowed", "counted at its end"


def quiet_edges(api: Api) -> None:
    """Quiet hours are [from, to): quiet at their first instant, not at their last."""
    ben(api, ("*", "events", "everything"))
    day = datetime.now(ZoneInfo("Europe/London")).replace(minute=0, second=0, microsecond=0) + timedelta(days=2)
    begins, ends = day.replace(hour=20), day.replace(hour=9)
    assert reason(api, begins - MICROSECOND, channel="phone") == "allowed"
    assert reason(api, begins, channel="phone") == "quiet_hours", "a call at the first instant"
    assert reason(api, ends - MICROSECOND, channel="phone") == "quiet_hours"
    assert reason(api, ends, channel="phone") == "allowed", "quiet at the last instant"


def pause_edge(api: Api) -> None:
    """A pause holds until its end and not at it."""
    one = ben(api, ("*", "events", "everything"))
    until = datetime.now(UTC) + timedelta(days=2)
    body = {"until": until.isoformat()}
    assert api.call("PUT", f"/v1/customers/{one}/pause", body, role="desk").status_code == 200
    assert reason(api, until - MICROSECOND) == "paused"
    assert reason(api, until) == "allowed", "paused at its end"


def consent_edge(api: Api) -> None:
    """A consent grants until it expires and not at that instant."""
    one = ben(api, ("*", "offers/garden", "everything"))
    dials = api.call("GET", f"/v1/customers/{one}/dials", role="desk").json["dials"]
    ends = datetime.fromisoformat(dials[0]["expires_at"])
    assert reason(api, ends - MICROSECOND, topic="offers/garden") == "allowed"
    assert reason(api, ends, topic="offers/garden") == "consent_expired", "granted at its end"


def idempotency(api: Api) -> None:
    """The same request again is answered, not done again."""
    one = ben(api, ("*", "events", "everything"))
    body = {"customer": BEN, "channel": "email", "topic": "events"}
    answers = [api.post("/v1/contacts", body, headers={"Idempotency-Key": "once"}) for _ in range(2)]
    assert len({answer.json.get("id") for answer in answers}) == 1, "done twice"
    assert [event["type"] for event in api.events(one)].count("contact.recorded") == 1


def role(api: Api) -> None:
    """An auditor sends nothing, a campaign key makes no keys."""
    ben(api, ("*", "events", "everything"))
    body = {"customer": BEN, "channel": "email", "topic": "events"}
    assert api.post("/v1/contacts", body, role="auditor").status_code == 403, "an auditor made contact"
    assert api.post("/v1/keys", {"name": "more", "role": "admin"}).status_code == 403


def token(api: Api, customer_id: UUID) -> str:
    made = api.post(f"/v1/customers/{customer_id}/tokens", role="desk").json
    return str(made["token"])


def own_id(api: Api) -> None:
    """A customer sees and changes their own, and nobody else's."""
    one, other = ben(api), api.customer("email:ann@example.com")
    answer = api.call("GET", f"/v1/customers/{other}/dials", key=token(api, one))
    assert answer.status_code == 404, "somebody else's dials"


def token_signature(api: Api) -> None:
    """A token whose customer was exchanged is no token."""
    one, other = ben(api), api.customer("email:ann@example.com")
    whole = token(api, one)
    prefix, payload, rest = whole[:4], *whole[4:].split(".", 1)
    content = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    content[0] = str(other)
    forged = base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).rstrip(b"=").decode()
    answer = api.call("GET", f"/v1/customers/{other}/dials", key=f"{prefix}{forged}.{rest}")
    assert answer.status_code == 401, "a forged token was taken"


def cursor_signature(api: Api) -> None:
    """A cursor that was changed is refused."""
    one = ben(api, ("*", "events", "everything"), ("sms", "*", "silent"))
    page = api.call("GET", f"/v1/customers/{one}/history?limit=1", role="auditor").json
    payload, signature = page["next_cursor"].rsplit(".", 1)
    content = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    content[0] = "2000-01-01T00:00:00Z"
    forged = base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).rstrip(b"=").decode()
    path = f"/v1/customers/{one}/history?limit=1&cursor={forged}.{signature}"
    assert api.call("GET", path, role="auditor").status_code == 400, "a forged cursor was taken"


def topic_limit(api: Api) -> None:
    """A key asks about its own topics only, and about an essential one only when it is named."""
    ben(api, ("*", "events", "everything"))
    for name, topics, topic in (("wine", ["offers/wine"], "events"), ("usual", None, "orders")):
        key = api.key("campaign", name, topics)
        body = {"customer": BEN, "channel": "email", "topic": topic}
        answer = api.post("/v1/permissions/check", body, key=key)
        assert answer.status_code == 403, f"the key {name} asked about {topic}"


def erased_by_name(api: Api) -> None:
    """An erased person who turns up in an audience is refused as such."""
    one = ben(api)
    assert api.post(f"/v1/customers/{one}/erase", role="desk").status_code < 300
    assert reason(api) == "erased", "the erasure is forgotten"


def erased_by_id(api: Api) -> None:
    """Nor does their id come back to life."""
    one = ben(api, ("*", "events", "everything"))
    assert api.post(f"/v1/customers/{one}/erase", role="desk").status_code < 300
    assert api.check(f"id:{one}", "email", "orders")["reason"] == "erased", "an erased id is asked"


def merged(api: Api) -> None:
    """The id of a merged customer leads to the survivor, whose silence holds."""
    survivor = ben(api, ("*", "events", "silent"))
    gone = api.customer("email:benjamin@example.com")
    assert api.post(f"/v1/customers/{survivor}/merge", {"other": str(gone)}, role="desk").status_code == 200
    decision = api.check(f"id:{gone}", "email", "events")
    assert (decision["reason"], decision["customer_id"]) == ("silent", str(survivor)), "the merged id has dials"


def louder_catalogue(api: Api) -> None:
    """A catalogue that would make existing customers louder is refused."""
    ben(api)
    louder = json.loads(json.dumps(CATALOGUE))
    louder["topics"]["events"]["default_level"] = "everything"
    refused = True
    with contextlib.suppress(ConsentError), api.database.transaction() as conn:
        apply_catalogue(conn, api.keyring, SYSTEM, louder)
        refused = False
    assert refused, "a louder catalogue was taken"


def louder_notice(api: Api) -> None:
    """A louder dial needs a notice."""
    one = ben(api)
    answer = api.turn(one, ("*", "offers", "everything"), notice=None)
    assert answer.status_code == 422, "louder without a notice"


def suppressed_point(api: Api) -> None:
    """A suppressed address is refused to whoever has it."""
    ben(api, ("*", "events", "everything"))
    body = {"contact_point": BEN, "kind": "marketing", "reason": "asked for it"}
    assert api.post("/v1/suppressions", body, role="desk").status_code == 201
    assert reason(api) == "suppressed", "written to a suppressed address"


def deadline(api: Api) -> None:
    """Waiting for a silent database has an end on our side."""
    with Connection.connect(api.made.service_url, autocommit=True, row_factory=dict_row) as conn:
        began = time.monotonic()
        conn.until = began + 0.2
        try:
            conn.execute("SELECT pg_sleep(1.5)")
        except psycopg.OperationalError:
            return
    raise AssertionError("waited for a silent database")


SCENARIOS: dict[str, Scenario] = {
    one.__name__: one
    for one in (
        window_edge, permit_edge, quiet_edges, pause_edge, consent_edge, idempotency, role, own_id, token_signature,
        cursor_signature, topic_limit, erased_by_name, erased_by_id, merged, louder_catalogue, louder_notice,
        suppressed_point, deadline,
    )
}  # fmt: skip


def play(name: str, database: TestDatabase) -> None:
    """One scenario on an empty database."""
    api = Api(database, CATALOGUE)
    try:
        SCENARIOS[name](api)
    finally:
        api.close()
