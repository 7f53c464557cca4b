"""Applying a catalogue to a real database: what is stored, refused, recorded, and in which order."""

from __future__ import annotations

import copy
import threading

import pytest

from consent_service.catalogue import service, store
from consent_service.catalogue.service import Applied
from consent_service.catalogue.validation import parse_catalogue
from consent_service.database import Connection
from consent_service.errors import ConsentError
from tests.catalogue.bench import ADA, Bench, with_topic, without
from tests.catalogue.documents import SMALL
from tests.support.cluster import TestDatabase


def test_before_the_first_there_is_none(bench: Bench) -> None:
    assert bench.catalogue() is None
    with bench.database.reading() as conn:
        assert service.current(conn) is None


def test_the_first_catalogue_is_stored_as_it_means(any_database: TestDatabase) -> None:
    bench = Bench(any_database)
    applied = bench.apply(SMALL)
    assert (applied.version, applied.changed, applied.retired) == (1, True, ())
    assert "topic offers/wine" in applied.added
    loaded = bench.catalogue()
    assert loaded == parse_catalogue(SMALL)
    assert loaded.version == 1
    with bench.database.reading() as conn:
        document = service.current(conn)
    assert document == SMALL
    assert list(document["topics"]) == list(SMALL["topics"])
    bench.database.close()


def test_topics_stand_with_their_effective_values(bench: Bench) -> None:
    bench.apply(SMALL)
    query = "SELECT basis, basis_topic, essential, default_level, default_topic, covered_by FROM topic WHERE name = %s"
    assert bench.rows(query, "events/local") == [
        ("legitimate_interest", "events", False, "monthly", "events", ["*", "events", "events/local"])
    ]
    assert bench.rows(query, "orders") == [("contract", "orders", True, None, None, ["*", "orders"])]


def test_history_tells_who_applied_what(bench: Bench) -> None:
    bench.apply(SMALL)
    bench.apply(with_topic("surveys", basis="consent"))
    second, first = bench.events()
    assert [first["type"], second["type"]] == ["catalogue.applied"] * 2
    assert first["actor"] == {"role": "system", "name": "tests"}
    assert first["before"] is None
    assert second["before"] == first["after"] == {"version": 1, "sha256": service.fingerprint(SMALL)}
    assert second["after"]["version"] == 2
    assert second["details"] == {"accepted_louder": []}


def test_the_same_again_changes_nothing(bench: Bench) -> None:
    bench.apply(SMALL)
    again = copy.deepcopy(SMALL)
    again["levels"][2]["per"] = "PT168H"
    again["topics"]["offers"] = dict(reversed(again["topics"]["offers"].items()))
    assert bench.apply(again) == Applied(1, changed=False)
    assert len(bench.events()) == 1
    assert bench.rows("SELECT count(*) FROM catalogue_version") == [(1,)]


def test_another_order_of_topics_is_another_version(bench: Bench) -> None:
    bench.apply(SMALL)
    document = {**SMALL, "topics": dict(reversed(SMALL["topics"].items()))}
    assert bench.apply(document).version == 2
    assert list(bench.catalogue().topics) == list(document["topics"])


def test_a_fault_changes_nothing(bench: Bench) -> None:
    bench.apply(SMALL)
    error = bench.refusal(with_topic("news", basis="hope"))
    assert (error.code, error.status) == ("invalid_catalogue", 422)
    assert len(bench.events()) == 1


def test_a_zone_that_only_the_service_knows_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consent_service.catalogue.values.time_zones", lambda: {"Mars/Base", "Europe/London"})
    error = bench.refusal({**SMALL, "time_zone": "Mars/Base"})
    assert [(one["pointer"], one["code"]) for one in error.errors] == [("/time_zone", "unknown_time_zone")]


# Louder.


def test_a_louder_catalogue_is_refused_and_can_be_accepted_on_record(bench: Bench) -> None:
    bench.apply(SMALL)
    bench.ada()
    louder = without("policies")
    error = bench.refusal(louder)
    assert (error.code, error.status) == ("louder_catalogue", 409)
    assert [one["pointer"] for one in error.errors] == ["/policies"]
    applied = bench.apply(louder, accept_louder=True)
    assert [change.pointer for change in applied.accepted_louder] == ["/policies"]
    recorded = [{"pointer": "/policies", "detail": "the policy house ceiling is removed"}]
    assert bench.events()[0]["details"] == {"accepted_louder": recorded}
    assert bench.rows("SELECT accepted_louder FROM catalogue_version WHERE version = 2") == [(recorded,)]
    assert bench.rows("SELECT count(*) FROM policy") == [(0,)]


def test_without_customers_nothing_is_louder(bench: Bench) -> None:
    bench.apply(SMALL)
    assert bench.apply(without("policies")).accepted_louder == ()


def test_a_dial_makes_a_new_topic_under_it_louder(bench: Bench) -> None:
    bench.apply(SMALL)
    bench.ada()
    bench.dial("email", "offers", "silent")
    bench.apply(with_topic("offers/garden"))
    bench.dial("post", "offers", "weekly")
    document = with_topic("offers/garden")
    document["topics"]["offers/roses"] = {}
    assert [one["pointer"] for one in bench.refusal(document).errors] == ["/topics/offers~1roses"]


# At once.


def test_of_two_applied_at_once_each_is_a_version(bench: Bench) -> None:
    bench.apply(SMALL)
    documents = [with_topic(f"surveys{n}", basis="consent") for n in range(6)]
    versions: list[int] = []
    threads = [threading.Thread(target=lambda d=d: versions.append(bench.apply(d).version)) for d in documents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(versions) == list(range(2, 8))
    assert len(bench.catalogue().live_topics) == len(SMALL["topics"]) + 1


def test_the_same_twice_at_once_is_one_version(bench: Bench) -> None:
    threads = [threading.Thread(target=bench.apply, args=[SMALL]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bench.rows("SELECT version FROM catalogue_version") == [(1,)]


def test_it_waits_for_whoever_decides_and_then_sees_what_they_did(bench: Bench) -> None:
    """A dial turned up under the shared lock is there when the new topic below it is judged."""
    bench.apply(SMALL)
    bench.ada()
    refused: list[ConsentError] = []

    def apply() -> None:
        refused.append(bench.refusal(with_topic("offers/garden")))

    with bench.database.transaction() as conn:
        conn.execute("SELECT pg_advisory_xact_lock_shared(%s)", [store.CATALOGUE_LOCK])
        thread = threading.Thread(target=apply)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        _turn(conn)
    thread.join(10)
    assert [one["pointer"] for one in refused[0].errors] == ["/topics/offers~1garden"]


def _turn(conn: Connection) -> None:
    conn.execute(
        "INSERT INTO dial"
        " (customer_id, channel, topic, level, set_at, last_act_at, recorded_at, source, role, event_id)"
        " VALUES (%(ada)s, 'email', 'offers', 'weekly', now(), now(), now(), 'web', 'customer', %(ada)s)",
        {"ada": ADA},
    )
