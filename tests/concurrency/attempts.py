"""32 clients reserve and make contacts, one by one and in batches, from few customers: the scenario, apart from the
service.

All that is held against the law is what lies in the tables afterwards: SQL counts for every room that was given,
at the moment when it was given, what its windows held.
"""

from __future__ import annotations

import copy
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from tests.concurrency.crowd import Caller, Reply, Stage, asked, at_once
from tests.support.api import CATALOGUE

CLIENTS = 32
CUSTOMERS = 2000
SKEW = 3  # some customers are asked about all the time, most now and then

LARGEST_BATCH = 200
MOST_OF_A_CUSTOMER = 3  # in a batch
SINGLE_CALLS = 0.9  # of the calls, a twelfth of the attempts
USES = 0.3  # of the permits
RELEASES = 0.05
SHORT_SECONDS, LONG_SECONDS = 60, 3600

# Windows of a minute, so that they roll while the test runs.
LEVELS = [
    {"name": "silent", "mode": "silent"},
    {"name": "weekly", "mode": "capped", "contacts": 1, "per": "P7D"},
    {"name": "busy", "mode": "capped", "contacts": 5, "per": "P7D"},
    {"name": "brisk", "mode": "capped", "contacts": 2, "per": "PT1M"},
    {"name": "everything", "mode": "open"},
]
CATALOGUE_OF_ATTEMPTS: dict[str, Any] = copy.deepcopy(CATALOGUE) | {
    "levels": [{**level, "label": {"en": level["name"]}} for level in LEVELS],
    "policies": [
        {"name": "house ceiling", "channel": "*", "topic": "*", "contacts": 12, "per": "P7D"},
        {"name": "texts", "channel": "sms", "topic": "*", "contacts": 1, "per": "PT1M"},
    ],
}
CATALOGUE_OF_ATTEMPTS["topics"]["events"]["default_level"] = "weekly"
PLACES = [(channel, topic) for channel in ("email", "sms", "post") for topic in ("offers/wine", "offers/garden")]

# Four kinds of customers: a dial over everything that is asked for, and for some a fader under it.
SET_DIALS = """
INSERT INTO dial (customer_id, channel, topic, level, set_at, last_act_at, recorded_at, source, role, event_id)
SELECT c.customer_id, d.channel, d.topic, d.level, now(), now(), now(), 'web', 'customer', c.customer_id
FROM (SELECT customer_id, row_number() OVER (ORDER BY customer_id) %% 4 AS kind FROM customer c
      WHERE NOT EXISTS (SELECT FROM dial d WHERE d.customer_id = c.customer_id)) c
JOIN (VALUES (0, '*', 'offers', 'busy'), (1, '*', 'offers', 'brisk'), (2, '*', 'offers', 'everything'),
             (2, 'email', '*', 'weekly'), (3, '*', 'offers', 'everything'), (3, 'post', 'offers/wine', 'brisk'))
  AS d (kind, channel, topic, level) ON d.kind = c.kind
RETURNING customer_id::text
"""

# For each cap: the most that any of its windows held when room was given, and for how many customers it was full.
# A window holds a contact made at s while s > t - W; a permit counts whole while it is open, and its contact from then.
FULLEST = """
WITH cap AS (
  SELECT d.customer_id, l.name, d.channel, d.topic, l.contacts, l.per_seconds
  FROM dial d JOIN level l ON l.name = d.level
  WHERE l.mode = 'capped'
  UNION ALL
  SELECT c.customer_id, p.name, p.channel, p.topic, p.contacts, p.per_seconds FROM customer c CROSS JOIN policy p
),
given AS (
  SELECT customer_id, channel, topic, contacted_at AS at FROM contact
  UNION ALL
  SELECT customer_id, channel, topic, reserved_at FROM permit
),
held AS (
  SELECT cap.customer_id, cap.name, cap.contacts, given.at,
    (SELECT count(*) FROM contact k
     WHERE k.customer_id = cap.customer_id AND (cap.channel = '*' OR k.channel = cap.channel)
       AND (cap.topic = '*' OR k.topic = cap.topic OR starts_with(k.topic, cap.topic || '/'))
       AND k.contacted_at > given.at - cap.per_seconds * interval '1 second' AND k.contacted_at <= given.at)
    + (SELECT count(*) FROM permit m
       WHERE m.customer_id = cap.customer_id AND (cap.channel = '*' OR m.channel = cap.channel)
         AND (cap.topic = '*' OR m.topic = cap.topic OR starts_with(m.topic, cap.topic || '/'))
         AND m.reserved_at <= given.at AND m.expires_at > given.at
         AND COALESCE(m.ended_at, 'infinity') > given.at) AS number
  FROM cap
  JOIN given ON given.customer_id = cap.customer_id AND (cap.channel = '*' OR given.channel = cap.channel)
    AND (cap.topic = '*' OR given.topic = cap.topic OR starts_with(given.topic, cap.topic || '/'))
)
SELECT name, contacts, max(number), count(DISTINCT customer_id) FILTER (WHERE number = contacts) FROM held GROUP BY 1, 2
"""
# Who got more than a brisk dial's two: a contact had left the window, or a permit had ended.
ROLLED = """
SELECT count(*) FROM (
  SELECT k.customer_id FROM contact k JOIN dial d ON d.customer_id = k.customer_id AND d.level = 'brisk'
  WHERE d.topic = 'offers' GROUP BY 1 HAVING count(*) > 2) more
"""


def play(stage: Stage, attempts: int) -> Counter[str]:
    """Lets 32 clients make so many attempts, and holds what was given against every cap.

    Returns how many attempts there were, how many of them single calls, and how many were granted.
    """
    customer_ids = _customers(stage)
    callers = [stage.caller() for _ in range(CLIENTS)]
    works = [partial(_attempt, one, customer_ids, attempts // CLIENTS) for one in callers]
    made = sum(at_once(works), Counter[str]())
    expect_no_window_over_its_cap(stage)
    return made


def expect_no_window_over_its_cap(stage: Stage) -> None:
    """Nothing is over, and each cap was full for somebody: it is not for want of trying."""
    caps = stage.rows(FULLEST)
    assert len(caps) == 5, caps
    for name, most, held, full in caps:
        assert held <= most, f"a window of {name} held {held}, its cap is {most}"
        assert full, f"{name} was never full"


def _customers(stage: Stage) -> list[str]:
    """2000 people who became known by a report of a contact within the last minute."""
    run, now = uuid4().hex, datetime.now(UTC)
    reports = [
        {
            "customer": f"email:a{number}.{run}@example.com",
            "channel": "email",
            "topic": "offers/wine",
            "contacted_at": (now - timedelta(seconds=random.uniform(0, 60))).isoformat(),
            "external_id": f"{run}-{number}",
        }
        for number in range(CUSTOMERS)
    ]
    reply = stage.caller().post("/v1/contacts/reports", {"contacts": reports})
    assert reply.status == 200, reply
    return sorted({one for (one,) in stage.rows(SET_DIALS)})


def _attempt(caller: Caller, customer_ids: list[str], attempts: int) -> Counter[str]:
    made: Counter[str] = Counter()
    while made["attempts"] < attempts:
        rows = min(random.randint(1, LARGEST_BATCH), attempts - made["attempts"])
        granted = _one(caller, customer_ids, made) if random.random() < SINGLE_CALLS else _batch(
            caller, customer_ids, rows, made)  # fmt: skip
        if granted:
            _end_some(caller, granted)
    return made


def _one(caller: Caller, customer_ids: list[str], made: Counter[str]) -> list[str]:
    """One contact or permit; the permit's id."""
    question = _question(customer_ids)
    if random.random() < 0.5:
        reply, permit = caller.post("/v1/contacts", question), []
    else:
        reply = caller.post("/v1/permits", {**question, "expires_in_seconds": _lasts()})
        permit = [reply.body["id"]] if reply.status == 201 else []
    assert reply.status in (201, 409), reply
    assert reply.status == 201 or reply.reason == "volume_reached", reply
    made.update(attempts=1, single=1, granted=reply.status == 201)
    return permit


def _batch(caller: Caller, customer_ids: list[str], rows: int, made: Counter[str]) -> list[str]:
    """One batch of contacts or permits; the permits' ids."""
    questions: list[dict[str, Any]] = _questions(customer_ids, rows)
    name = random.choice(["contacts", "permits"])
    if name == "permits":
        questions = [{**one, "expires_in_seconds": _lasts()} for one in questions]
    reply = caller.post(f"/v1/{name}/batch", {name: questions})
    assert reply.status == 200, reply
    results = reply.body["results"]
    granted = [row["id"] for row in results if "error" not in row]
    assert all(_is_decided(row) for row in results), results
    made.update(attempts=rows, granted=len(granted))
    return granted if name == "permits" else []


def _is_decided(row: dict[str, Any]) -> bool:
    return "error" not in row or Reply(409, row).reason == "volume_reached"


def _end_some(caller: Caller, permits: list[str]) -> None:
    """Uses some permits and releases some; the others run out."""
    for name, share in (("use", USES), ("release", RELEASES)):
        ids = [one for one in permits if random.random() < share]
        if ids:
            reply = caller.post(f"/v1/permits/{name}-batch", {"ids": ids})
            assert reply.status == 200, reply


def _question(customer_ids: list[str]) -> dict[str, str]:
    return asked(customer_ids[int(len(customer_ids) * random.random() ** SKEW)], *random.choice(PLACES))


def _questions(customer_ids: list[str], rows: int) -> list[dict[str, Any]]:
    """Some about the same customers, but not many: those are worked on one after the other."""
    asks = Counter[str]()
    found: list[dict[str, Any]] = []
    while len(found) < rows:
        one = _question(customer_ids)
        asks[one["customer"]] += 1
        if asks[one["customer"]] <= MOST_OF_A_CUSTOMER:
            found.append(one)
    return found


def _lasts() -> int:
    return random.choice([SHORT_SECONDS, LONG_SECONDS])
