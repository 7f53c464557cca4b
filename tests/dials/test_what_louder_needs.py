"""What a louder change needs, and how long a consent lasts, at the edges: the rules without I/O."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consent_service.dials.model import SECOND_HAND, Change, Notice, Place, Wish, at_second_hand, check_louder
from consent_service.errors import ConsentError

LAST_ACT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MONTH = timedelta(days=30)
SILENT, ON_REQUEST, WEEKLY, DAILY = range(4)
NOTICE = Notice("preferences", "1", "en")


def place(wanted: int = DAILY, topic: str = "offers", **fields: Any) -> Place:
    """Weekly since the last act, and turned to daily; its consent ends a month after it."""
    usual: dict[str, Any] = {
        "rest": SILENT,
        "standing": WEEKLY,
        "level": "weekly",
        "set_at": LAST_ACT,
        "last_act_at": LAST_ACT,
        "expires_at": LAST_ACT + MONTH,
        "consent_lasts": MONTH,
        "retired": None,
        "unconfirmed": (),
    }
    level = ("silent", "on_request", "weekly", "daily")[wanted]
    return Place(change=Change("email", topic, level), wanted=wanted, **{**usual, **fields})


def untouched(wanted: int, topic: str = "offers", **fields: Any) -> Place:
    """A place where nobody has turned a dial."""
    nothing = {"level": None, "set_at": None, "last_act_at": None, "expires_at": None, "standing": SILENT}
    return place(wanted, topic, **{**nothing, **fields})


def wish(source: str = "web", **fields: Any) -> Wish:
    return Wish(changes=(), source=source, **{"notice": NOTICE, "evidence": {"call": "C-1"}, **fields})


def refusal(of: Place, said: Wish, role: str = "desk") -> str | None:
    """The code that a louder change is refused with; None: it is not."""
    try:
        check_louder(of, said, role, "/changes/0", waits=bool(of.unconfirmed))
    except ConsentError as error:
        return error.code
    return None


def test_a_refusal_names_its_change() -> None:
    with pytest.raises(ConsentError) as refused:
        check_louder(place(), wish(notice=None), "customer", "/changes/3", waits=False)
    [error] = refused.value.errors
    assert (error["pointer"], error["code"]) == ("/changes/3", "notice_required")
    assert error["detail"] == refused.value.detail


@pytest.mark.parametrize("role", ["customer", "desk"])
def test_an_act_of_the_last_acts_own_instant_is_not_dated_before_it(role: str) -> None:
    assert refusal(place(), wish(occurred_at=LAST_ACT), role) is None
    assert refusal(place(), wish(occurred_at=LAST_ACT - MICROSECOND), role) == "superseded"


@pytest.mark.parametrize("source", sorted(SECOND_HAND))
def test_what_others_wrote_down_raises_no_dial_of_its_own_instant(source: str) -> None:
    assert refusal(place(), wish(source, occurred_at=LAST_ACT)) == "superseded"
    assert refusal(place(), wish(source, occurred_at=LAST_ACT + MICROSECOND)) is None


@pytest.mark.parametrize("what", ["topic", "channel"])
def test_what_is_retired_is_only_turned_down_whoever_asks(what: str) -> None:
    for role in ("customer", "desk"):
        assert refusal(place(retired=what), wish(), role) == f"{what}_retired"


def test_a_first_dial_is_a_word_only_where_it_is_louder_than_silent_at_a_topic() -> None:
    assert untouched(ON_REQUEST).first_word
    assert untouched(WEEKLY, standing=WEEKLY).first_word
    assert not untouched(SILENT).first_word
    assert not untouched(ON_REQUEST, standing=WEEKLY).first_word
    assert not untouched(DAILY, topic="*", standing=DAILY).first_word
    assert not place(DAILY).first_word


def test_a_consent_ends_wherever_the_level_is_louder_than_silent() -> None:
    for level in (ON_REQUEST, WEEKLY, DAILY):
        assert place(level).ends(LAST_ACT) == LAST_ACT + MONTH
    assert place(SILENT).ends(LAST_ACT) is None
    assert place(WEEKLY, consent_lasts=None).ends(LAST_ACT) is None
    removed = replace(place(WEEKLY), change=Change("email", "offers", None))
    assert removed.ends(LAST_ACT) is None


def test_the_same_again_renews_a_consent_only_when_it_then_ends_later() -> None:
    again = place(WEEKLY)
    assert not again.changes_at(LAST_ACT - MICROSECOND)
    assert not again.changes_at(LAST_ACT)
    assert again.changes_at(LAST_ACT + MICROSECOND)
    assert not place(WEEKLY, consent_lasts=None).changes_at(LAST_ACT + MICROSECOND)
    assert not place(WEEKLY, expires_at=None).changes_at(LAST_ACT + MICROSECOND)


def test_what_others_wrote_down_renews_a_consent_only_when_it_is_dated_after_the_last_act() -> None:
    later = LAST_ACT + timedelta(days=5)
    for occurred_at in (None, LAST_ACT - MICROSECOND, LAST_ACT):
        assert at_second_hand(place(), wish("api", occurred_at=occurred_at)).ends(later) == LAST_ACT + MONTH
    after = at_second_hand(place(), wish("api", occurred_at=LAST_ACT + MICROSECOND))
    assert after.ends(later) == later + MONTH
    assert at_second_hand(untouched(WEEKLY), wish("api", occurred_at=later)).ends(later) == later + MONTH
