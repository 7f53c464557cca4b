"""What permits and contacts have in common: rows that name nobody, people who move meanwhile, catalogues that wait."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest

from consent_service.errors import ConsentError
from consent_service.history.model import Actor
from consent_service.permissions import taking, together
from consent_service.permissions.contacts import contact_many
from consent_service.permissions.model import Asked, Question
from consent_service.permissions.permits import reserve_many, use_many
from tests.customers.people import erase, merge, somebody
from tests.support.api import Api

BEN = "email:ben@example.com"
ASK = {"customer": BEN, "channel": "email", "topic": "offers"}
CAMPAIGN = Actor("campaign", "campaign key", topics=("*",))


@pytest.fixture
def ben(api: Api) -> UUID:
    made = api.customer(BEN)
    api.turn(made, ("email", "offers", "busy"))
    return made


@pytest.mark.parametrize("noun", ["permits", "contacts"])
def test_a_row_that_names_nobody_has_its_error_and_the_others_are_taken(api: Api, ben: UUID, noun: str) -> None:
    rows = [{**ASK, "customer": "nonsense"}, ASK, {**ASK, "customer": "shoe:42"}, ASK]
    results = api.post(f"/v1/{noun}/batch", {noun: rows}).json["results"]
    assert [one["error"]["code"] for one in results[::2]] == ["invalid_customer_reference", "unknown_identifier_kind"]
    assert [one["remaining"] for one in results[1::2]] == [5, 4]
    only = api.post(f"/v1/{noun}/batch", {noun: rows[:1]}).json["results"]
    assert only == results[:1]


# Who asks alone, as with an Idempotency-Key, and who asks together with others, is looked up in different places.
ALONE = pytest.mark.parametrize(("where", "headers"), [(taking, {"Idempotency-Key": "1"}), (together, {})])


def meanwhile(monkeypatch: pytest.MonkeyPatch, where: ModuleType, act: Callable[[], object]) -> None:
    """Does it once, after the next look-up and before the lock."""
    look_up: Callable[..., Any] = where.resolve_many

    def then_act(*arguments: Any) -> Any:
        found = look_up(*arguments)
        monkeypatch.setattr(where, "resolve_many", look_up)
        act()
        return found

    monkeypatch.setattr(where, "resolve_many", then_act)


@ALONE
@pytest.mark.parametrize("path", ["/v1/permits", "/v1/contacts"])
def test_who_is_erased_before_the_lock_is_held_is_answered_as_erased(
    api: Api, ben: UUID, monkeypatch: pytest.MonkeyPatch, path: str, where: ModuleType, headers: dict[str, str]
) -> None:
    meanwhile(monkeypatch, where, lambda: erase(api, ben))
    answer = api.post(path, ASK, headers=headers)
    assert (answer.status_code, answer.json["decision"]["reason"]) == (409, "erased")


@ALONE
@pytest.mark.parametrize("path", ["/v1/permits", "/v1/contacts"])
def test_who_is_merged_before_the_lock_is_held_is_the_survivor(
    api: Api, ben: UUID, monkeypatch: pytest.MonkeyPatch, path: str, where: ModuleType, headers: dict[str, str]
) -> None:
    survivor = api.customer(somebody())
    meanwhile(monkeypatch, where, lambda: merge(api, survivor, ben))
    answer = api.post(path, ASK, headers=headers)
    assert (answer.status_code, answer.json["customer_id"]) == (201, str(survivor))
    assert api.check(BEN, "email", "offers")["remaining"] == 4


def test_no_catalogue_comes_between_a_decision_and_what_it_records(api: Api, ben: UUID) -> None:
    asked: list[Asked | ConsentError] = [Asked(Question(BEN, "email", "offers"))]
    permit = api.post("/v1/permits", ASK).json["id"]
    for act in (
        lambda conn: reserve_many(conn, api.keyring, CAMPAIGN, asked),
        lambda conn: contact_many(conn, api.keyring, CAMPAIGN, asked),
        lambda conn: use_many(conn, api.keyring, CAMPAIGN, [permit]),
    ):
        with api.database.transaction() as conn:
            act(conn)
            assert not api.catalogue_may_come()
        assert api.catalogue_may_come()
