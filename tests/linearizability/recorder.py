"""Does acts against a running service and writes down what was asked when, and what was answered when.

One clock for all clients; an answer that was not read is written down as lost, never as a refusal.
"""

from __future__ import annotations

import http.client
import itertools
import random
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.concurrency.crowd import Caller, Reply, asked
from tests.linearizability.acts import (
    Act,
    Answer,
    Check,
    Contact,
    Decision,
    EndPause,
    Operation,
    Release,
    Reserve,
    SetPause,
    Settings,
    ShowDials,
    ShowPermit,
    Turn,
    Use,
)
from tests.support.api import EVIDENCE, NOTICE

LINGER_SECONDS = 0.01
TOOK_EFFECT = (200, 201, 204, 409, 412)
UNDECIDED = 503  # not now; whether it happened is not said


class Unanswered(Exception):
    """The answer was lost: the act may have happened, or may happen yet."""


@dataclass(frozen=True)
class Request:
    """An act as HTTP has it."""

    method: str
    path: str
    body: Any = None
    version: int | None = None


class Recorder:
    """What was done to each customer, by id."""

    def __init__(self) -> None:
        self._histories: dict[str, list[Operation]] = defaultdict(list)
        self._numbers = itertools.count(1)

    def history(self, customer_id: str) -> list[Operation]:
        """All operations on one customer."""
        return self._histories[customer_id]

    def numbers(self) -> dict[str, int]:
        """How many operations there are, how many answers were lost, and how many of each outcome."""
        found: dict[str, int] = defaultdict(int)
        for one in itertools.chain.from_iterable(self._histories.values()):
            found["operations"] += 1
            found[_outcome(one)] += 1
        return dict(found)

    def note(
        self,
        customer_id: str,
        client: str,
        act: Act,
        since: int,
        until: int | None = None,
        answer: Answer | None = None,
        made: str | None = None,
    ) -> Operation:
        """Writes one operation down."""
        number = next(self._numbers)
        one = Operation(number, client, act, since, until, answer, made or f"?{number}")
        self._histories[customer_id].append(one)
        return one

    def do(self, caller: Caller, client: str, customer_id: str, act: Act, *, loses: bool) -> Operation | None:
        """Does one act and writes it down; with `loses` it hangs up and reads no answer. None: it never began."""
        request = as_request(customer_id, act)
        since = time.monotonic_ns()
        try:
            reply = _reply(caller, request, loses=loses)
        except ConnectionRefusedError:
            caller.hang_up()
            return None
        except (Unanswered, OSError, http.client.HTTPException):
            caller.hang_up()
            return self.note(customer_id, client, act, since)
        until = time.monotonic_ns()
        if reply.status == UNDECIDED:
            return self.note(customer_id, client, act, since)
        # Whatever else comes is a fault of the service's, or of the scenario's.
        assert reply.status in TOOK_EFFECT, f"{act} was answered {reply}"
        return self.note(customer_id, client, act, since, until, as_answer(act, reply), _made(reply))


def _reply(caller: Caller, request: Request, *, loses: bool) -> Reply:
    headers = {} if request.version is None else {"If-Match": f'"{request.version}"'}
    caller.send(request.method, request.path, request.body, **headers)
    if loses:
        time.sleep(random.uniform(0, LINGER_SECONDS))
        raise Unanswered
    return caller.receive()


def as_request(customer_id: str, act: Act) -> Request:
    """The call that does an act."""
    of_customer = f"/v1/customers/{customer_id}"
    match act:
        case Check(place):
            return Request("POST", "/v1/permissions/check", asked(customer_id, *place))
        case Contact(place):
            return Request("POST", "/v1/contacts", asked(customer_id, *place))
        case Reserve(place):
            return Request("POST", "/v1/permits", asked(customer_id, *place))
        case Use(permit):
            return Request("POST", f"/v1/permits/{permit}/use", {})
        case Release(permit):
            return Request("DELETE", f"/v1/permits/{permit}")
        case ShowPermit(permit):
            return Request("GET", f"/v1/permits/{permit}")
        case Turn(changes, version):
            wished = [{"channel": place[0], "topic": place[1], "level": level} for place, level in changes]
            wish = {"changes": wished, "source": "phone", "evidence": EVIDENCE, "notice": NOTICE}
            return Request("PATCH", f"{of_customer}/dials", wish, version)
        case SetPause(channel, until):
            return Request("PUT", f"{of_customer}/pause", {"channel": channel, "until": until.isoformat()})
        case EndPause(channel):
            return Request("DELETE", f"{of_customer}/pause?channel={channel}")
        case ShowDials():
            return Request("GET", f"{of_customer}/dials")
    raise AssertionError(f"{act} is no call")


def as_answer(act: Act, reply: Reply) -> Answer:
    """What the model's answer is compared with."""
    body = reply.body
    if reply.status in (409, 412):
        decision = as_decision(body["decision"]) if "decision" in body else None
        return Answer(reply.status, code=body["code"], decision=decision)
    match act:
        case Check() | Contact() | Reserve():
            return Answer(reply.status, decision=as_decision(body))
        case Use():
            # A repeated answer holds the decision of the first time.
            decision = as_decision(body) if reply.status == 201 else None
            return Answer(reply.status, decision=decision, contact=body["id"])
        case ShowPermit():
            return Answer(reply.status, state=body["state"])
        case Turn() | SetPause() | EndPause() | ShowDials():
            return Answer(reply.status, settings=as_settings(body))
    return Answer(reply.status)


def as_decision(body: dict[str, Any]) -> Decision:
    """A decision without its times."""
    names = ("kind", "channel", "topic", "level", "used", "room")
    governing = [tuple(row[name] for name in names) for row in body["governed_by"]]
    decision = Decision(body["reason"], body["level"], body["remaining"], tuple(sorted(governing, key=str)))
    assert decision.allowed == body["allowed"], body
    return decision


def as_settings(body: dict[str, Any]) -> Settings:
    """Dials and pauses as a call shows them."""
    dials = sorted(((row["channel"], row["topic"]), row["level"]) for row in body["dials"])
    pauses = sorted((row["channel"], datetime.fromisoformat(row["until"])) for row in body["pauses"])
    return Settings(body["version"], tuple(dials), tuple(pauses))


def _made(reply: Reply) -> str | None:
    return reply.body.get("id") if reply.status in (200, 201) else None


def _outcome(one: Operation) -> str:
    if one.answer is None:
        return "lost"
    if one.answer.decision is not None:
        return f"{type(one.act).__name__.lower()} {one.answer.decision.reason}"
    return f"{type(one.act).__name__.lower()} {one.answer.code or one.answer.state or one.answer.status}"
