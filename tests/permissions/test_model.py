"""How questions, answers and refusals are shown: order, pointers, scopes, and no person in a repr."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from consent_service.errors import ConsentError
from consent_service.history.model import Actor
from consent_service.permissions.checks import Check
from consent_service.permissions.model import Decision, Question, Report, Scope, row_error

NOW = datetime(2026, 6, 17, 12, 0, tzinfo=UTC)
WHOLE_SECOND, WITH_FRACTION = "2026-01-02T03:04:05+00:00", "2026-01-02T03:04:05.6+00:00"
SENT = "email:ben@example.com"


def place(
    kind: str,
    position: int | None,
    channel: str = "email",
    topic: str = "offers",
    *,
    policy: str | None = None,
    set_at: str = WHOLE_SECOND,
) -> list[Any]:
    """One place as decide.sql writes it."""
    limits = ["capped", policy, 1, 86_400, 0, 1]
    return [kind, channel, topic, None, position, *limits, set_at, None, None, None]


def shown(places: Sequence[Sequence[Any]], *, default_limits: bool = True) -> list[dict[str, Any]]:
    """What a decision under these places says that it is governed by."""
    decision = Decision(
        customer_id=None,
        allowed=True,
        reason="allowed",
        level=None,
        remaining=None,
        next_allowed_at=None,
        dialogue_id=None,
        milestone_id=None,
        decided_at=NOW,
        instant=NOW,
        essential=False,
        held_level=None,
        granted=True,
        default_limits=default_limits,
        places=places,
    )
    found: list[dict[str, Any]] = decision.shown()["governed_by"]
    return found


def test_what_governs_stands_quietest_first_and_policies_last() -> None:
    in_order = [
        place("dial", 1, "sms", "offers/wine"),
        place("dial", 2, "*", "offers"),
        place("dial", 2, "*", "offers/wine"),
        place("dial", 2, "email", "*"),
        place("default", 2, "*", "offers"),
        place("policy", None, "*", "*", policy="a ceiling"),
        place("policy", None, "*", "*", policy="no more"),
        place("policy", None, "email", "*", policy="a ceiling"),
    ]
    names = [(one["kind"], one["channel"], one["topic"], one["name"]) for one in shown(in_order)]
    assert names == [(kind, channel, topic, policy) for kind, channel, topic, _, _, _, policy, *_ in in_order]
    assert shown(in_order[::-1]) == shown(in_order)


def test_a_default_that_limits_no_longer_governs_nothing() -> None:
    places = [place("default", 2), place("dial", 3)]
    assert [one["kind"] for one in shown(places)] == ["default", "dial"]
    assert [one["kind"] for one in shown(places, default_limits=False)] == ["dial"]


def test_every_time_is_written_alike() -> None:
    whole, fraction = shown([place("dial", 1), place("dial", 2, set_at=WITH_FRACTION)])
    assert whole["set_at"] == "2026-01-02T03:04:05Z"
    assert fraction["set_at"] == "2026-01-02T03:04:05.600000Z"


@pytest.mark.parametrize(
    ("code", "pointer"),
    [
        ("unknown_channel", "/channel"),
        ("channel_retired", "/channel"),
        ("unknown_topic", "/topic"),
        ("topic_retired", "/topic"),
        ("invalid_timestamp", "/at"),
    ],
)
def test_a_question_that_cannot_be_asked_says_which_part_of_it(code: str, pointer: str) -> None:
    error = row_error(code)
    [named] = error.errors
    assert (error.code, named["pointer"], named["code"]) == (code, pointer, code)
    assert error.detail == f"{pointer}: {named['detail']}"


def test_a_topic_that_a_key_may_not_use_is_no_fault_of_a_part() -> None:
    error: ConsentError = row_error("topic_not_allowed")
    assert (error.code, error.errors) == ("topic_not_allowed", [])


@pytest.mark.parametrize("role", ["desk", "auditor", "admin", "customer", "system"])
def test_only_campaign_keys_are_limited_to_their_topics(role: str) -> None:
    assert Scope.of(Actor("campaign", "k", topics=("offers",))) == Scope(True, ("offers",))
    assert Scope.of(Actor("campaign", "k")) == Scope(True)
    assert not Scope.of(Actor(role, "k")).limited


def test_who_is_asked_about_and_with_which_key_stands_in_no_repr() -> None:
    question = Question(SENT, "email", "offers")
    report = Report(SENT, "email", "offers", NOW, "customer-4711")
    for one in (question, report, Check(b"a hash of a key", question)):
        assert SENT not in repr(one)
        assert "4711" not in repr(one)
        assert "a hash" not in repr(one)
