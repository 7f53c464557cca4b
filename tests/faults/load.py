"""Traffic for a service that is being killed: it contacts, reserves, uses and turns, and remembers what it was told."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from tests.faults.served import Caller
from tests.support.api import EVIDENCE, NOTICE

TOLD_SECONDS = 30.0
REST_SECONDS = 0.005  # between two acts of a caller: the service is to be killed, not starved
CHANNEL, TOPIC = "email", "offers/wine"


@dataclass
class Memory:
    """What callers were told.

    `epochs`: per customer, odd while their email fader is silent and that was confirmed.
    `levels`: the last confirmed level of that fader. `contacts`: ids of all confirmed contacts.
    """

    epochs: dict[str, int]
    levels: dict[str, str] = field(default_factory=dict)
    contacts: set[str] = field(default_factory=set)
    silences: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass
class Load:
    """Threads of callers until `stop`."""

    port: int
    campaign: str
    desk: str
    customers: Sequence[str]
    takers: int = 2

    def __post_init__(self) -> None:
        self.memory = Memory(dict.fromkeys(self.customers, 0))
        self._stop = threading.Event()
        self._lock = threading.Lock()
        works = [self._turn, *[self._take] * self.takers]
        self._threads = [threading.Thread(target=self._run, args=[work], daemon=True) for work in works]

    def start(self) -> None:
        """Begins."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> Memory:
        """Ends, when every request that was begun has been told its outcome; what was told."""
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * TOLD_SECONDS)
        assert not any(thread.is_alive() for thread in self._threads)
        return self.memory

    def _run(self, work: Callable[[Caller, Caller], None]) -> None:
        campaign, desk = Caller(self.port, self.campaign), Caller(self.port, self.desk)
        try:
            while not self._stop.is_set():
                work(campaign, desk)
                time.sleep(REST_SECONDS)
        except Exception as error:
            self.memory.problems.append(repr(error))
        finally:
            self.memory.problems += campaign.problems + desk.problems
            campaign.hang_up()
            desk.hang_up()

    def _turn(self, campaign: Caller, desk: Caller) -> None:
        one = random.choice(self.customers)
        self._set(desk, one, random.choice(["busy", "everything"]))
        self._set(desk, one, "silent")
        # Straight away, on another connection and so perhaps another worker.
        campaign.hang_up()
        self._contact(campaign, one)

    def _set(self, desk: Caller, one: str, level: str) -> None:
        if level != "silent":
            self.memory.epochs[one] += self.memory.epochs[one] % 2
        change = {"channel": CHANNEL, "topic": "*", "level": level}
        wish = {"changes": [change], "source": "phone", "evidence": EVIDENCE, "notice": NOTICE}
        reply = desk.until_told("PATCH", f"/v1/customers/{one}/dials", wish, str(uuid4()), TOLD_SECONDS)
        if reply.status != 200:
            self.memory.problems.append(f"a turn was refused: {reply}")
        self.memory.levels[one] = level
        if level == "silent":
            self.memory.epochs[one] += 1
            self.memory.silences += 1

    def _take(self, campaign: Caller, _: Caller) -> None:
        one = random.choice(self.customers)
        if random.random() < 0.5:
            self._contact(campaign, one)
            return
        permit = self._granted(campaign, one, "/v1/permits", {"customer": f"id:{one}", **ABOUT})
        if permit is not None and random.random() < 0.8:
            used = self._granted(campaign, one, f"/v1/permits/{permit}/use", {})
            self._remember(used)

    def _contact(self, campaign: Caller, one: str) -> None:
        self._remember(self._granted(campaign, one, "/v1/contacts", {"customer": f"id:{one}", **ABOUT}))

    def _granted(self, campaign: Caller, one: str, path: str, body: object) -> str | None:
        """The id of what was granted, which must not be while the customer is known to be silent."""
        epoch = self.memory.epochs[one]
        reply = campaign.until_told("POST", path, body, str(uuid4()), TOLD_SECONDS)
        if reply.status >= 300:
            return None
        if epoch % 2 and self.memory.epochs[one] == epoch:
            self.memory.problems.append(f"granted after a confirmed silent: {path} {reply}")
        return str(reply.body["id"])

    def _remember(self, contact: str | None) -> None:
        if contact is not None:
            with self._lock:
                self.memory.contacts.add(contact)


ABOUT = {"channel": CHANNEL, "topic": TOPIC}
