"""32 clients do everything at once to a few customers at a time: the scenario, apart from the service.

Some hang up without reading their answer, and now and then a worker is killed. Afterwards every customer's
operations must fit one order, and so must the events that the service itself wrote down.
"""

from __future__ import annotations

import copy
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from tests.concurrency.crowd import Caller, Stage, at_once
from tests.concurrency.workers import workers_of
from tests.linearizability import promises
from tests.linearizability.acts import (
    Act,
    Answer,
    Check,
    Contact,
    EndPause,
    Operation,
    Place,
    Release,
    Reserve,
    SetPause,
    ShowDials,
    ShowPermit,
    Turn,
    Use,
)
from tests.linearizability.audits import audit, events, seen
from tests.linearizability.checker import unorderable
from tests.linearizability.model import Model, State
from tests.linearizability.recorder import Recorder
from tests.linearizability.report import told
from tests.support.api import CATALOGUE

# All that a client waits for is others: as many threads as clients.
THREADS = {"CONSENT_WEB_THREADS": "16"}
CAMPAIGNS = 20
DESKS = 12
HOT = 4  # customers at a time
LOST = 0.03  # of the answers
KILL_EVERY = 6  # groups of hot customers
CEILING = 40
CARRIES_VERSION = 0.4  # of the changes of dials

# No window ends while the test runs, and caps are wide enough to be filled and narrow enough to be full.
LEVELS = [
    {"name": "silent", "mode": "silent"},
    {"name": "on_request", "mode": "on_request"},
    {"name": "rarely", "mode": "capped", "contacts": 3, "per": "P90D"},
    {"name": "weekly", "mode": "capped", "contacts": 8, "per": "P7D"},
    {"name": "busy", "mode": "capped", "contacts": 16, "per": "P7D"},
    {"name": "everything", "mode": "open"},
]
CATALOGUE_OF_SIEGE: dict[str, Any] = copy.deepcopy(CATALOGUE) | {
    "levels": [{**level, "label": {"en": level["name"]}} for level in LEVELS],
    "policies": [
        {"name": "house ceiling", "channel": "*", "topic": "*", "contacts": CEILING, "per": "P30D"},
        {"name": "texts", "channel": "sms", "topic": "*", "contacts": 12, "per": "P7D"},
    ],
}
CATALOGUE_OF_SIEGE["topics"]["events"]["default_level"] = "weekly"

CONTACTS: list[Place] = [
    (channel, topic) for channel in ("email", "sms") for topic in ("offers/wine", "offers/garden", "events")
]
DIALS: list[Place] = [("*", "offers"), ("*", "offers/garden"), ("*", "*"), ("email", "*"), ("sms", "offers"),
                      ("*", "events"), ("email", "offers/wine")]  # fmt: skip
WISHES = [
    *["silent"] * 3,
    "on_request",
    *["rarely"] * 2,
    *["weekly"] * 4,
    *["busy"] * 4,
    *["everything"] * 3,
    None,
    None,
]
FIRST = (("*", "offers", "busy"), ("email", "*", "everything"))
UNTIL = [datetime.now(UTC).replace(microsecond=0) + timedelta(days=days) for days in (300, 600)]

OVER_THE_CEILING = """
SELECT c.customer_id, held.number
FROM customer c
CROSS JOIN LATERAL (
  SELECT (SELECT count(*) FROM contact k WHERE k.customer_id = c.customer_id AND k.counts)
       + (SELECT count(*) FROM permit p WHERE p.customer_id = c.customer_id AND p.counts AND p.state = 'open') AS number
) held
WHERE held.number > %(ceiling)s
"""


@dataclass
class Customer:
    """A hot customer, and what the clients know of them."""

    customer_id: str
    before: State
    permits: dict[str, list[str]] = field(default_factory=dict)  # ids by the key that may use them


def play(stage: Stage, customers: int, operations: int, *, kills: bool = True) -> dict[str, int]:
    """Besieges some new customers with about so many operations; how many there were of each outcome.

    Raises an AssertionError that shows the window when the answers of a customer fit no order.
    """
    model, recorder = Model(CATALOGUE_OF_SIEGE), Recorder()
    cast = [Customer(one, seen(stage, one)) for one in stage.customers(customers, *FIRST)]
    clients = [_Client(f"campaign {n}", stage.caller(), recorder) for n in range(CAMPAIGNS)]
    clients += [_Client(f"desk {n}", stage.caller("desk"), recorder, is_desk=True) for n in range(DESKS)]
    groups = [cast[start : start + HOT] for start in range(0, customers, HOT)]
    each = max(1, round(operations / len(groups) / len(clients)))
    for number, group in enumerate(groups):
        works: list[Callable[[], None]] = [partial(one.besiege, group, each) for one in clients]
        if kills and number % KILL_EVERY == KILL_EVERY - 1:
            works.append(partial(_kill_one, stage))
        at_once(works)
        for one in group:
            audit(stage, recorder, one.customer_id)
            expect_one_order(model, recorder.history(one.customer_id), one.before)
            expect_promises(stage, model, recorder, one)
    assert stage.rows(OVER_THE_CEILING, ceiling=CEILING) == []
    return recorder.numbers()


def expect_one_order(model: Model, history: Sequence[Operation], before: State) -> None:
    """There is an order that explains every answer."""
    window = unorderable(model, history, before)
    if window is not None:
        raise AssertionError(told(window))


def expect_promises(stage: Stage, model: Model, recorder: Recorder, customer: Customer) -> None:
    """No grant began after a confirmed silent, and each event of the service's own history follows from the last."""
    history = recorder.history(customer.customer_id)
    late = promises.granted_after_silent(history)
    assert not late, f"granted after silent was confirmed: {late[0]}"
    happened = events(stage, customer.customer_id)
    after = promises.follow(model, [one for one in happened if one["type"] != "customer.created"], State())
    _, told_by_events = model.step(after, history[-1])
    assert told_by_events == history[-1].answer, "the tables are not what the events lead to"


class _Client:
    """One of the crowd: picks a customer and an act, does it, and remembers what it was told."""

    def __init__(self, name: str, caller: Caller, recorder: Recorder, *, is_desk: bool = False) -> None:
        self._name = name
        self._caller = caller
        self._recorder = recorder
        self._is_desk = is_desk
        self._versions: dict[str, int] = {}
        self._random = random.Random()

    def besiege(self, group: Sequence[Customer], times: int) -> None:
        for _ in range(times):
            customer = self._random.choice(group)
            act = self._wish(customer) if self._is_desk else self._ask(customer)
            loses = self._random.random() < LOST
            done = self._recorder.do(self._caller, self._name, customer.customer_id, act, loses=loses)
            if done is not None and done.answer is not None:
                self._remember(customer, done, done.answer)

    def _ask(self, customer: Customer) -> Act:
        place = self._random.choice(CONTACTS)
        permits = customer.permits.get(self._caller.key, [])
        kinds = {Check: 5, Contact: 4, Reserve: 5, Use: 6, Release: 3, ShowPermit: 1}
        kind = self._random.choices(list(kinds), list(kinds.values()))[0]
        if kind in (Use, Release, ShowPermit) and permits:
            # Mostly a young one, which others are after as well.
            return kind(permits[-min(len(permits), self._random.choice([1, 1, 2, 3, 8]))])
        return kind(place) if kind in (Check, Contact, Reserve) else Reserve(place)

    def _wish(self, customer: Customer) -> Act:
        kind = self._random.choices([Turn, Check, ShowDials, SetPause, EndPause], [10, 4, 2, 1, 3])[0]
        if kind is Check:
            return Check(self._random.choice(CONTACTS))
        if kind is SetPause:
            return SetPause(self._random.choice(["email", "sms"]), self._random.choice(UNTIL))
        if kind is EndPause:
            return EndPause(self._random.choice(["email", "sms"]))
        if kind is ShowDials:
            return ShowDials()
        places = self._random.sample(DIALS, self._random.choice([1, 1, 2]))
        carries = self._random.random() < CARRIES_VERSION
        version = self._versions.get(customer.customer_id) if carries else None
        return Turn(tuple((place, self._random.choice(WISHES)) for place in places), version)

    def _remember(self, customer: Customer, done: Operation, answer: Answer) -> None:
        if isinstance(done.act, Reserve) and answer.status == 201:
            customer.permits.setdefault(self._caller.key, []).append(done.made)
        if answer.settings is not None:
            self._versions[customer.customer_id] = answer.settings.version


def _kill_one(stage: Stage) -> None:
    time.sleep(random.uniform(0, 0.1))  # in the middle of it
    os.kill(random.choice(workers_of(stage.pid)), signal.SIGKILL)
