"""Permits and contacts that share a transaction are cut at every statement: all of them were written, or none was, and
each is told the truth.

They come without an Idempotency-Key, so nobody but their sender may ask again. Whoever is told yes or no finds just
that in the ledger and in the history, once; whoever is told neither gets `decision_unavailable`, and finds all of it
only where the answer of the commit was lost, else nothing.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent_service.gathering import Gathering
from tests.faults.test_fault_points import Stand, eventually
from tests.faults.use_cases import somebody_at
from tests.faults.wire import Cut, Watch
from tests.support.api import Api
from tests.support.soundness import expect_sound

SECONDS = 20.0
CAPS = {"busy": 5, "weekly": 1, "silent": 0}
CONTACT, PERMIT = "/v1/contacts", "/v1/permits"
YES, NO = 201, 409
# What one request leaves behind: rows of the ledger and of permits, and types of events.
Left = dict[str, int]
LEFT: dict[tuple[str, int], Left] = {
    (CONTACT, YES): {"contact": 1, "contact.recorded": 1},
    (PERMIT, YES): {"permit": 1, "permit.reserved": 1},
    (CONTACT, NO): {"contact.refused": 1},
    (PERMIT, NO): {"permit.refused": 1},
}


@dataclass(frozen=True)
class Asking:
    """A request without an Idempotency-Key; its campaign and request id tell it from all others."""

    path: str
    customer: UUID
    told: int  # when nothing is cut
    name: str = field(default_factory=lambda: str(uuid4()))

    def ask(self, api: Api) -> TestResponse:
        body = {"customer": f"id:{self.customer}", "channel": "email", "topic": "offers/wine", "campaign": self.name}
        headers = {"Authorization": f"Bearer {api.keys['campaign']}", "X-Request-Id": self.name}
        # A client each: they ask in threads.
        return FlaskClient(api.app, use_cookies=False).post(self.path, json=body, headers=headers)

    def left(self, api: Api, owner: psycopg.Connection[Any]) -> Left:
        """What stands of it, however often it was asked."""
        path = f"/v1/customers/{self.customer}/history"
        history = eventually(lambda: api.call("GET", path, role="auditor")).json["events"]
        found = Counter(event["type"] for event in history if event["request_id"] == self.name)
        for table in ("contact", "permit"):
            row = owner.execute(f"SELECT count(*) FROM {table} WHERE campaign = %s", [self.name]).fetchone()  # type: ignore[arg-type]
            found[table] = row[0] if row else 0
        return {what: count for what, count in found.items() if count}


@dataclass(frozen=True)
class Gathered:
    """Some who ask at the same moment, the first of whom does it for all; `held`: in the line of this customer."""

    asking: Sequence[Asking]
    held: UUID | None = None


def of_several_people(api: Api) -> Gathered:
    """Some of them come twice, some are refused."""
    ann, bob, cap, dee = (somebody_at(api, level) for level in ("busy", "busy", "weekly", "silent"))
    asking = [
        Asking(CONTACT, ann, YES),
        Asking(PERMIT, bob, YES),
        Asking(CONTACT, cap, YES),
        Asking(PERMIT, ann, YES),
        Asking(CONTACT, cap, NO),
        Asking(CONTACT, dee, NO),
    ]
    return Gathered(asking)


def in_the_line_of_one(api: Api) -> Gathered:
    """They have waited for a customer whom somebody held, and there is no room for all."""
    one = somebody_at(api, "busy")
    return Gathered([Asking((CONTACT, PERMIT)[number % 2], one, YES if number < 5 else NO) for number in range(6)], one)


class Meeting:
    """Lets those who ask come in order, while the first of them has begun."""

    def __init__(self, stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
        self._stand = stand
        self._complete: Callable[[Gathering[Any, Any]], None] | None = None
        self._thread = threading.get_ident()
        usual = Gathering._await_company

        def await_company(gathering: Gathering[Any, Any]) -> None:
            if self._complete is not None and threading.get_ident() == self._thread:
                self._complete(gathering)
            else:
                usual(gathering)

        monkeypatch.setattr(Gathering, "_await_company", await_company)

    def answers(
        self, gathered: Gathered, at: int | None = None, cut: Cut = Cut.BEFORE
    ) -> tuple[list[TestResponse], Watch]:
        """What each is answered, when the turn that they share is cut there."""
        api, first, others = self._stand.api, gathered.asking[0], gathered.asking[1:]
        free = api.app.extensions["consent_service"].together._free
        with (
            contextlib.ExitStack() as watching,
            ThreadPoolExecutor(len(others)) as pool,
            api.made.owner() as holder,
            contextlib.ExitStack() as holding,
        ):
            replies, watches = [], []

            def complete(gathering: Gathering[Any, Any]) -> None:
                if gathered.held is not None and gathering is free:
                    return  # finds the customer held, and comes again, in the line
                self._complete = None
                for number, one in enumerate(others, 2):
                    replies.append(pool.submit(one.ask, api))
                    _until(lambda number=number: len(gathering._waiting) == number)  # type: ignore[misc]
                holding.close()
                watches.append(watching.enter_context(self._stand.wire.watching(at, cut)))

            if gathered.held is not None:
                holding.enter_context(holder.transaction())
                holder.execute("SELECT FROM customer WHERE customer_id = %s FOR NO KEY UPDATE", [gathered.held])
            self._complete = complete
            answer = first.ask(api)
            watching.close()
            return [answer, *(one.result(SECONDS) for one in replies)], watches[0]


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, "they do not come together"
        time.sleep(0.001)


@pytest.fixture
def stand(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    with api.made.owner() as owner:
        yield Stand(api, monkeypatch, owner)


def every_point(clean: Watch) -> Iterator[tuple[int, Cut]]:
    """Before and after each statement; a commit also so that its answer is lost."""
    for number in clean.sent:
        yield number, Cut.BEFORE
        yield number, Cut.AFTER
        if number in clean.commits:
            yield number, Cut.LOST


@pytest.mark.parametrize("make", [of_several_people, in_the_line_of_one])
def test_those_who_are_cut_off_together_are_told_the_truth(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, make: Callable[[Api], Gathered]
) -> None:
    api, meeting = stand.api, Meeting(stand, monkeypatch)
    with api.made.owner() as owner:

        def left(gathered: Gathered) -> list[Left]:
            return [one.left(api, owner) for one in gathered.asking]

        meeting.answers(make(api))  # so that statements are prepared, and keys noted as used
        gathered, before = make(api), stand.standing()
        answers, clean = meeting.answers(gathered)
        assert [one.status_code for one in answers] == [one.told for one in gathered.asking]
        whole = [LEFT[one.path, one.told] for one in gathered.asking]
        assert left(gathered) == whole
        one_effect = stand.effect(before)
        assert len(clean.commits) == 1, "they share a transaction"

        for number, cut in every_point(clean):
            gathered, before = make(api), stand.standing()
            answers, watch = meeting.answers(gathered, number, cut)
            at = f"{cut.value} statement {number} of {clean.asked}"
            assert watch.happened, at
            told = {one.status_code for one in answers}
            lost = cut is Cut.LOST
            if told == {503}:
                assert {one.json["code"] for one in answers} == {"decision_unavailable"}, at
                assert all(one.headers["Retry-After"] for one in answers), at
            else:
                # After the look-up another connection may serve the rest; after the commit all is done.
                assert cut is Cut.AFTER, at
                assert number in clean.alone + clean.commits, at
                assert [one.status_code for one in answers] == [one.told for one in gathered.asking], at
            stored = lost or told != {503}
            assert left(gathered) == (whole if stored else [{} for _ in whole]), at
            assert stand.effect(before) == (one_effect if stored else {}), at
            if told != {503}:
                continue
            again = [eventually(lambda one=one: one.ask(api)) for one in gathered.asking]  # type: ignore[misc]
            if not stored:
                assert [one.status_code for one in again] == [one.told for one in gathered.asking], at
                assert stand.effect(before) == one_effect, at
            assert not _over_their_caps(owner), at
    expect_sound(api.made)


def _over_their_caps(owner: psycopg.Connection[Any]) -> list[Any]:
    """Customers with more contacts and open permits, all of this hour, than their one dial lets through."""
    rows = owner.execute(
        "SELECT level, (SELECT count(*) FROM contact c WHERE c.customer_id = dial.customer_id)"
        " + (SELECT count(*) FROM permit p WHERE p.customer_id = dial.customer_id AND p.state = 'open') FROM dial"
    )
    return [row for row in rows if row[1] > CAPS[row[0]]]
