"""What a new catalogue leaves out: retired, deleted, or refused while something stands on it."""

from __future__ import annotations

import copy
from typing import Any

import psycopg
import pytest

from consent_service.catalogue import store
from consent_service.keyring.model import NOBODY
from tests.catalogue.bench import ADA, Bench, without
from tests.catalogue.documents import SMALL

# Retired, deleted, and back again.


def test_a_topic_nobody_has_anything_on_is_deleted(bench: Bench) -> None:
    bench.apply(SMALL)
    bench.ada()
    assert bench.apply(without("topics", "news")).deleted == ("topic news",)
    assert "news" not in bench.catalogue().topics


def test_a_topic_with_a_dial_is_retired_and_comes_back_only_louder(bench: Bench) -> None:
    bench.apply(SMALL)
    bench.ada()
    bench.dial("email", "news", "monthly")
    gone = without("topics", "news")
    assert bench.apply(gone).retired == ("topic news",)
    loaded = bench.catalogue()
    assert loaded.topics["news"].retired
    assert "news" not in loaded.live_topics
    assert bench.apply(gone).changed is False
    with bench.database.reading() as conn:
        row = store.current(conn)
    assert row is not None
    assert (row["retired_topics"], row["retired_channels"]) == (["news"], [])
    assert [one["pointer"] for one in bench.refusal(SMALL).errors] == ["/topics/news"]
    bench.apply(SMALL, accept_louder=True)
    assert not bench.catalogue().topics["news"].retired


def test_a_dial_that_was_removed_still_keeps_its_topic(bench: Bench) -> None:
    bench.apply(SMALL)
    bench.ada()
    bench.dial("email", "news", None)
    assert bench.apply(without("topics", "news")).retired == ("topic news",)


AT = "2026-01-01Z"
SENT = {
    "customer_id": ADA,
    "key_name": "k",
    "event_id": ADA,
    "counts": True,
    "topic": "news",
    "channel": "post",
}
STANDING: list[tuple[str, dict[str, Any], bool]] = [
    (
        "contact",
        {
            **SENT,
            "contact_id": ADA,
            "contacted_at": AT,
            "recorded_at": AT,
            "permitted": True,
            "reason": "allowed",
        },
        True,
    ),
    ("permit", {**SENT, "permit_id": ADA, "reserved_at": AT, "valid_from": AT, "expires_at": AT}, True),
    (
        "pause",
        {
            "customer_id": ADA,
            "channel": "post",
            "until": AT,
            "set_at": AT,
            "source": "web",
            "role": "customer",
            "event_id": ADA,
        },
        False,
    ),
    (
        "suppression",
        {
            "customer_id": ADA,
            "suppression_id": ADA,
            "channel": "post",
            "kind": "all",
            "set_at": AT,
            "role": "desk",
            "event_id": ADA,
        },
        False,
    ),
    (
        "point_suppression",
        {
            "identifier_kind": "postal",
            "value_hash": b"x",
            "suppression_id": ADA,
            "channel": "post",
            "kind": "all",
            "set_at": AT,
            "role": "desk",
            "event_id": ADA,
        },
        False,
    ),
]


@pytest.mark.parametrize(("table", "values", "has_topic"), STANDING, ids=[one[0] for one in STANDING])
def test_whatever_stands_on_a_channel_or_topic_keeps_it(
    bench: Bench, table: str, values: dict[str, Any], has_topic: bool
) -> None:
    bench.apply(SMALL)
    bench.ada()
    bench.add(table, **values)
    document = without("topics", "news")
    del document["channels"]["post"]
    applied = bench.apply(document)
    assert "channel post" in applied.retired
    assert ("topic news" in applied.retired) is has_topic
    assert bench.catalogue().channels["post"].retired


def test_a_dial_at_a_channel_keeps_the_channel(bench: Bench) -> None:
    bench.apply(SMALL)
    bench.ada()
    bench.dial("post", "*", "silent")
    assert bench.apply(without("channels", "post")).retired == ("channel post",)
    assert "/channels/post" in [one["pointer"] for one in bench.refusal(SMALL).errors]


# What cannot go.


def test_a_level_cannot_go_while_a_dial_stands_at_it(bench: Bench) -> None:
    bench.apply(SMALL)
    bench.ada()
    document = copy.deepcopy(SMALL)
    del document["levels"][3]
    bench.dial("email", "*", "everything")
    assert [one["pointer"] for one in bench.refusal(document, accept_louder=True).errors] == ["/levels"]


def test_a_level_cannot_go_while_a_retired_topic_has_it_as_default(bench: Bench) -> None:
    bench.apply(SMALL)
    bench.ada()
    bench.dial("email", "events/club", "silent")
    document = without("topics", "events/club")
    bench.apply(document)
    document["levels"] = [one for one in document["levels"] if one["name"] != "weekly"]
    error = bench.refusal(document, accept_louder=True)
    assert "retired topic events/club" in error.errors[0]["detail"]


def test_a_level_that_nothing_stands_at_goes(bench: Bench) -> None:
    bench.apply(SMALL)
    bench.ada()
    document = copy.deepcopy(SMALL)
    del document["levels"][3]
    bench.apply(document)
    assert list(bench.catalogue().levels) == ["silent", "monthly", "weekly"]


def test_levels_can_change_places(bench: Bench) -> None:
    bench.apply(SMALL)
    document = copy.deepcopy(SMALL)
    document["levels"][1:3] = reversed(document["levels"][1:3])
    bench.apply(document)
    assert list(bench.catalogue().levels) == ["silent", "weekly", "monthly", "everything"]


def test_a_segment_cannot_go_while_a_customer_is_in_it(bench: Bench) -> None:
    bench.apply(SMALL)
    bench.apply({**SMALL, "segments": ["club", "staff"]})
    bench.ada(segment="club")
    assert bench.apply(SMALL).changed
    error = bench.refusal(without("segments"), accept_louder=True)
    assert [one["pointer"] for one in error.errors] == ["/segments"]


@pytest.mark.parametrize("identifiers", [[], [{"kind": "loyalty", "shared": True}]], ids=["removed", "shared"])
def test_a_kind_stays_as_it_is_while_there_are_identifiers_of_it(bench: Bench, identifiers: list[Any]) -> None:
    bench.apply(SMALL)
    bench.ada()
    document = {**SMALL, "identifiers": [*identifiers, {"kind": "household", "shared": True}]}
    bench.add("identifier_owner", kind="loyalty", value_hash=b"x", holder=NOBODY, customer_id=ADA)
    error = bench.refusal(document, accept_louder=True)
    assert [one["pointer"] for one in error.errors] == ["/identifiers"]


def test_a_kind_nobody_has_goes(bench: Bench) -> None:
    bench.apply(SMALL)
    bench.ada()
    bench.apply(without("identifiers"))
    assert sorted(bench.catalogue().identifier_kinds) == ["email", "phone", "postal"]


def test_a_kind_cannot_go_while_a_retired_channel_has_it(bench: Bench) -> None:
    card = copy.deepcopy(SMALL)
    card["channels"]["card"] = {"identifier": "loyalty"}
    bench.apply(card)
    bench.ada()
    bench.dial("card", "*", "silent")
    bench.apply(SMALL)
    assert "retired channel card" in bench.refusal(without("identifiers")).errors[0]["detail"]


# Notices.


def test_a_notice_never_changes(bench: Bench) -> None:
    bench.apply(SMALL)
    document = copy.deepcopy(SMALL)
    document["notices"][0]["text"]["en"] = "We sell your choices."
    error = bench.refusal(document, accept_louder=True)
    assert [(one["pointer"], one["code"]) for one in error.errors] == [("/notices/0/text", "invalid_value")]
    assert bench.rows("SELECT text FROM notice") == [({"en": "We keep your choices."},)]


def test_a_notice_outlives_its_catalogue_and_still_never_changes(bench: Bench) -> None:
    bench.apply(SMALL)
    bench.apply({**SMALL, "notices": [{"id": "preferences", "version": "2", "text": {"en": "More."}}]})
    assert set(bench.catalogue().notices) == {("preferences", "1"), ("preferences", "2")}
    bench.refusal({**SMALL, "notices": [{"id": "preferences", "version": "1", "text": {"en": "Other."}}]})


def test_the_service_cannot_change_a_notice_or_a_version(bench: Bench) -> None:
    bench.apply(SMALL)
    for statement in (
        "UPDATE notice SET text = '{}'",
        "DELETE FROM notice",
        "UPDATE catalogue_version SET accepted_louder = '[]'",
        "DELETE FROM catalogue_version",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), bench.database.transaction() as conn:
            conn.execute(statement)
