"""A check that a merge overtakes looks up again, but not for ever; readiness proves the decision's own path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from consent_service.database import Statement
from consent_service.errors import ConsentError, Unavailable
from consent_service.permissions import service, store
from consent_service.permissions.model import Decision, Question
from tests.customers.people import merge, somebody
from tests.support.api import Api


class Overtaking:
    """Merges the customer who was just looked up into another one, as often as it is told."""

    def __init__(self, api: Api, customer_id: UUID, times: int) -> None:
        self.api, self.customer_id, self.times = api, customer_id, times
        self.look_up: Callable[..., Any] = service.resolve_many

    def __call__(self, *arguments: Any) -> Any:
        found = self.look_up(*arguments)
        if self.times:
            self.times -= 1
            survivor = self.api.customer(somebody())
            assert merge(self.api, survivor, self.customer_id).status_code == 200
            self.customer_id = survivor
        return found


def ask(api: Api, monkeypatch: pytest.MonkeyPatch, merges: int) -> Decision | ConsentError:
    """What is said of a customer who is merged so many times meanwhile."""
    name = somebody()
    customer_id = api.customer(name)
    api.turn(customer_id, ("email", "offers", "weekly"))
    overtaking = Overtaking(api, customer_id, merges)
    monkeypatch.setattr(service, "resolve_many", overtaking)
    with api.database.reading() as conn:
        [answer] = service.decide_many(conn, api.keyring, [Question(name, "email", "offers")])
    assert overtaking.times == 0
    assert isinstance(answer, Decision)
    assert answer.customer_id == overtaking.customer_id
    return answer


@pytest.mark.parametrize("merges", [1, 2])
def test_who_is_merged_meanwhile_is_looked_up_again(api: Api, monkeypatch: pytest.MonkeyPatch, merges: int) -> None:
    answer = ask(api, monkeypatch, merges)
    assert isinstance(answer, Decision)
    assert answer.reason == "allowed"


def test_who_is_merged_again_and_again_is_not_decided_about(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable):
        ask(api, monkeypatch, 3)


SOUND = str(store.DECIDE).rstrip().rstrip(";")
BROKEN = {
    "another error": SOUND.replace("'unknown_channel'", "'unknown_topic'"),
    "no answer": f"SELECT * FROM ({SOUND}) AS answer LIMIT 0",
    "two answers": f"SELECT answer.* FROM ({SOUND}) AS answer CROSS JOIN generate_series(1, 2)",
    "a decision": SOUND.replace("THEN 'unknown_channel'", "THEN NULL").replace("THEN 'unknown_topic'", "THEN NULL"),
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_readiness_is_proven_by_the_right_answer_alone(api: Api, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    with api.database.reading() as conn:
        service.prove_readiness(conn)
        monkeypatch.setattr(store, "DECIDE", Statement(text))
        with pytest.raises(Unavailable, match="decision path"):
            service.prove_readiness(conn)
