"""A database that is frozen, gone, restarted, full or held: clear refusals in time, and back without a hand's turn."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg

from tests.outages.patient import GRACE_SECONDS, SECONDS, Patient
from tests.support.api import CATALOGUE, Api
from tests.support.cluster import cluster, web_service


def test_a_frozen_database_is_a_clear_no_decision_within_two_seconds(sick: Patient) -> None:
    sick.expect_recovery()
    with sick.frozen():
        sick.expect_refusals()
    sick.expect_recovery()


def test_questions_that_a_freeze_meets_on_their_way_are_refused_in_time(sick: Patient) -> None:
    seen = []

    def ask() -> None:
        until = time.monotonic() + 3.0
        while time.monotonic() < until:
            seen.append(sick.ask())

    with ThreadPoolExecutor(16) as pool:
        asking = [pool.submit(ask) for _ in range(16)]
        time.sleep(0.3)
        with sick.frozen():
            time.sleep(2.0)
        for one in asking:
            one.result()
    assert {one.status for one in seen} == {200, 503}
    # Sixteen clients on eight threads: some wait for a thread first, and that in the same time.
    assert max(one.seconds for one in seen) <= 2 * SECONDS
    sick.expect_recovery()


def test_live_answers_at_once_while_a_crowd_waits_for_a_frozen_database(sick: Patient) -> None:
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            assert sick.ask().status in (200, 503)

    with ThreadPoolExecutor(24) as pool, sick.frozen():
        asking = [pool.submit(ask) for _ in range(24)]
        try:
            time.sleep(SECONDS)  # from here on nobody waits in vain
            slowest = max(sick.ask("/health/live").seconds for _ in range(40))
        finally:
            over.set()
        for one in asking:
            one.result()
    assert slowest <= 1
    sick.expect_recovery()


def test_a_single_frozen_backend_holds_up_nobody_for_longer_than_two_seconds(sick: Patient) -> None:
    for _ in range(20):
        sick.ask()
    with sick.owner() as conn:
        rows = conn.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'consent-service' ORDER BY backend_start"
        ).fetchall()
    victims = [pid for (pid,) in rows][:3]
    for pid in victims:
        os.kill(pid, signal.SIGSTOP)
    try:
        seen = [sick.ask() for _ in range(30)]
    finally:
        for pid in victims:
            os.kill(pid, signal.SIGCONT)
    assert {one.status for one in seen} <= {200, 503}
    assert max(one.seconds for one in seen) <= SECONDS + GRACE_SECONDS
    assert [one.status for one in seen].count(200) >= 20
    sick.expect_recovery()


def test_a_database_that_is_gone_is_refused_at_once_and_found_again(sick: Patient) -> None:
    sick.stop_server()
    time.sleep(0.5)
    sick.expect_refusals()
    time.sleep(4)  # long enough for growing delays to have grown
    assert sick.ask().seconds <= 1
    sick.start_server()
    sick.expect_recovery()


def test_a_restart_while_serving_costs_each_connection_at_most_one_request(sick: Patient) -> None:
    for _ in range(20):
        assert sick.ask().status == 200
    sick.stop_server()
    sick.start_server()
    statuses = [sick.ask().status for _ in range(60)]
    assert set(statuses) <= {200, 503}
    assert statuses.count(503) <= 2 * 8, statuses  # two workers, eight connections each
    sick.expect_recovery()


def test_a_customer_whom_somebody_holds_is_a_refusal_in_time_and_no_contact(sick: Patient) -> None:
    ledger = "SELECT count(*) FROM contact"
    with sick.owner() as holder, sick.owner() as reader:
        before = reader.execute(ledger).fetchone()
        with holder.transaction():
            holder.execute("SELECT FROM customer FOR NO KEY UPDATE")
            seen = sick.ask("/v1/contacts")
            assert seen.status == 503, seen
            assert seen.body["code"] == "decision_unavailable"
            assert seen.seconds <= SECONDS + GRACE_SECONDS
            assert sick.ask().status == 200  # a check takes no lock
        assert reader.execute(ledger).fetchone() == before
        assert sick.ask("/v1/contacts").status == 201


def test_a_server_without_a_connection_to_spare_serves_those_who_have_one(sick: Patient) -> None:
    assert sick.ask().status == 200
    hogs: list[psycopg.Connection[object]] = []
    try:
        while True:
            try:
                hogs.append(psycopg.connect(sick.owner_url, connect_timeout=2))
            except psycopg.OperationalError:
                break
        seen = [sick.ask() for _ in range(20)]
        assert {one.status for one in seen} <= {200, 503}
        assert 200 in {one.status for one in seen}
        assert max(one.seconds for one in seen) <= SECONDS + GRACE_SECONDS
        assert {one.headers.get("Retry-After") for one in seen if one.status == 503} <= {"1"}
    finally:
        for one in hogs:
            one.close()
    sick.expect_recovery()


def test_a_service_that_starts_without_its_database_serves_as_soon_as_there_is_one() -> None:
    with cluster() as own:
        database = own.migrated()
        api = Api(database, CATALOGUE)
        ben = api.customer("email:ben@example.com")
        api.turn(ben, ("*", "offers", "everything"))
        key = api.keys["campaign"]
        api.close()
        with web_service(database, workers=1) as first:
            sick = Patient(own, first, key, f"id:{ben}", database.owner_url)
            sick.stop_server()
        with web_service(database, workers=1) as second:
            sick = Patient(own, second, key, f"id:{ben}", database.owner_url)
            sick.expect_refusals()
            sick.start_server()
            sick.expect_recovery()
