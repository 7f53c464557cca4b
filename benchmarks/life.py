"""Made-up customers, skewed like life: most have turned few dials and heard little, some very many. No I/O.

What a customer is like hangs only on the seed and the number: `customer_id` and `reference` name customer n without
looking anywhere, in SQL too. Keys and nonces are random, and times count back from the instant of seeding.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, TypeVar
from uuid import UUID

import yaml

from consent_service.catalogue import yamlfile

Item = TypeVar("Item")
Place = tuple[str, str]

# Customer n's id, also as pgbench reckons it.
ID_SQL = "md5('customer ' || {number})::uuid"

# The hot customer is one more than are seeded: all that they have is a yes to everything at one topic.
HOT_TOPIC = "service-tips"


class Weighted:
    """Picks items by weight."""

    def __init__(self, weights: dict[Any, float]) -> None:
        self._items = list(weights)
        self._cumulative = list(accumulate(weights.values()))

    def pick(self, rng: random.Random) -> Any:
        """One of the items."""
        return rng.choices(self._items, cum_weights=self._cumulative)[0]


DIALS = Weighted({0: 30, 1: 32, 2: 18, 3: 9, 4: 5, 6: 3, 9: 2, 14: 1})
PLACES = Weighted(
    {
        ("*", "*"): 22,
        ("email", "*"): 18,
        ("sms", "*"): 9,
        ("phone", "*"): 12,
        ("post", "*"): 5,
        ("*", "offers"): 30,
        ("email", "offers"): 12,
        ("sms", "offers"): 4,
        ("*", "offers/wine"): 16,
        ("email", "offers/wine"): 8,
        ("email", "offers/wine/red"): 4,
        ("*", "offers/garden"): 9,
        ("post", "offers/garden"): 2,
        ("*", "events"): 14,
        ("email", "events"): 7,
        ("*", "events/club"): 4,
        ("*", "service-tips"): 12,
        ("email", "service-tips"): 3,
    }
)
FADER_LEVELS = Weighted(
    {"silent": 14, "on_request": 5, "rarely": 6, "monthly": 12, "weekly": 20, "busy": 15, "daily": 6, "everything": 22}
)
TOPIC_LEVELS = Weighted(
    {"silent": 18, "on_request": 3, "rarely": 6, "monthly": 15, "weekly": 20, "busy": 15, "daily": 5, "everything": 18}
)
CONTACTS = Weighted(
    {
        ("email", "offers/wine"): 28,
        ("email", "offers"): 20,
        ("email", "events"): 15,
        ("email", "orders"): 20,
        ("post", "offers"): 4,
        ("sms", "offers/garden"): 5,
        ("email", "service-tips"): 8,
    }
)
# What is asked is what is sent, in daylight or not: without channels that have quiet hours.
QUESTIONS = Weighted(
    {
        ("email", "offers/wine"): 34,
        ("email", "offers"): 22,
        ("email", "events"): 18,
        ("email", "orders"): 8,
        ("post", "offers/garden"): 6,
        ("email", "service-tips"): 12,
    }
)
ZONES = Weighted({None: 76, "Europe/London": 8, "Europe/Berlin": 8, "America/New_York": 8})
ESSENTIAL = {"orders", "recalls"}
MOST_CONTACTS = 300
CONSENT_LASTS = timedelta(days=730)


def catalogue() -> dict[str, Any]:
    """The example catalogue, with the house's ceiling on what it advertises only: `HOT_TOPIC` is without a cap."""
    path = yamlfile.__file__.replace("yamlfile.py", "example.yaml")
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        document: dict[str, Any] = yaml.safe_load(file)
    document["policies"] = [
        {"name": "house ceiling, offers", "channel": "*", "topic": "offers", "contacts": 4, "per": "P7D"},
        {"name": "house ceiling, events", "channel": "*", "topic": "events", "contacts": 2, "per": "P7D"},
        {"name": "few phone calls", "channel": "phone", "topic": "*", "contacts": 1, "per": "P30D"},
    ]
    return document


def customer_id(number: int) -> UUID:
    """Who customer n is; ID_SQL says the same."""
    return UUID(bytes=hashlib.md5(b"customer %d" % number, usedforsecurity=False).digest())


def email(number: int) -> str:
    """The address of customer n, in its normal form."""
    return f"customer{number}@example.com"


@dataclass(slots=True)
class Customer:
    """One made-up customer. `state` active, merged (into the customer before them) or erased."""

    number: int
    customer_id: UUID
    state: str = "active"
    time_zone: str | None = None
    segment: str | None = None
    identifiers: list[tuple[str, str]] = field(default_factory=list)
    dials: dict[Place, str] = field(default_factory=dict)
    turned_at: datetime | None = None
    pauses: list[tuple[str, datetime]] = field(default_factory=list)
    suppression: str | None = None  # the kind
    point_suppressed: bool = False
    contacts: list[tuple[str, str, datetime]] = field(default_factory=list)
    permits: list[tuple[str, str, datetime, datetime]] = field(default_factory=list)  # from, until


def person(rng: random.Random, number: int, now: datetime) -> Customer:
    """Customer n. `rng` is used up by the customers before; `now` is the instant that all times count back from."""
    one = Customer(number, customer_id(number))
    kind = rng.random()
    if kind < 0.003:
        one.state = "erased"
        return one
    if kind < 0.013 and number > 0:
        one.state = "merged"
        return one
    one.identifiers.append(("email", email(number)))
    if rng.random() < 0.5:
        one.identifiers.append(("phone", f"+4477{number:08d}"))
    if rng.random() < 0.2:
        one.identifiers.append(("loyalty", f"L{number:09d}"))
    one.time_zone = ZONES.pick(rng)
    one.segment = "club" if rng.random() < 0.1 else None
    _turn(rng, one, now)
    _stop(rng, one, now)
    _contact(rng, one, now)
    return one


def _turn(rng: random.Random, one: Customer, now: datetime) -> None:
    count = DIALS.pick(rng)
    if not count:
        return
    one.turned_at = now - timedelta(days=780 * rng.random() ** 1.5, seconds=60)
    while len(one.dials) < count:
        place = PLACES.pick(rng)
        one.dials[place] = (FADER_LEVELS if place[1] == "*" else TOPIC_LEVELS).pick(rng)


def _stop(rng: random.Random, one: Customer, now: datetime) -> None:
    if rng.random() < 0.03:
        channel = "*" if rng.random() < 0.6 else "email"
        one.pauses.append((channel, now + timedelta(days=120 * (rng.random() - 0.5))))
    if rng.random() < 0.01:
        one.suppression = "marketing" if rng.random() < 0.8 else "all"
    one.point_suppressed = rng.random() < 0.005
    if rng.random() < 0.02:
        begin = now - timedelta(hours=20 * rng.random())
        one.permits.append(("email", "offers", begin, begin + timedelta(days=7 * rng.random(), hours=1)))


def _contact(rng: random.Random, one: Customer, now: datetime) -> None:
    if rng.random() < 0.35:
        return
    # A heavy tail: half of all contacts go to a tenth of the people.
    for _ in range(min(MOST_CONTACTS, int(1.2 * rng.paretovariate(1.15)))):
        channel, topic = CONTACTS.pick(rng)
        one.contacts.append((channel, topic, now - timedelta(days=200 * rng.random() ** 1.4, seconds=60)))


def numbers(rng: random.Random, customers: int, count: int) -> Sequence[int]:
    """Customers to ask about: any of them, and now and then one who is not there."""
    return [rng.randrange(customers) if rng.random() < 0.99 else customers + rng.randrange(customers)
            for _ in range(count)]  # fmt: skip
