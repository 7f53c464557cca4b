"""Limits of requests hold over all workers, exactly, and stop nobody else."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.support.api import Api
from tests.support.cluster import WebService, web_service
from tests.web.asking import rows

CLIENTS = 12
ASKED = 240
KEYS_LIMIT = 57
ADDRESS_LIMIT = 41


@pytest.fixture(scope="module")
def two_workers(shared: Api) -> Iterator[WebService]:
    """Two processes that answer."""
    settings = {
        "CONSENT_ADDRESS_REQUESTS_PER_MINUTE": str(ADDRESS_LIMIT),
        "CONSENT_TRUSTED_PROXIES": "127.0.0.1",
    }
    with web_service(shared.made, workers=2, settings=settings) as running:
        yield running


def ask(one: HTTPConnection, key: str, address: str = "203.0.113.5") -> int:
    one.request("GET", "/v1/me", headers={"Authorization": f"Bearer {key}", "X-Forwarded-For": address})
    answer = one.getresponse()
    answer.read()
    return answer.status


def storm(service: WebService, key: str) -> list[int]:
    """The statuses of ASKED requests that CLIENTS clients send at once, each on a connection of its own."""
    ready = threading.Barrier(CLIENTS)

    def client(_: int) -> list[int]:
        one = HTTPConnection("127.0.0.1", service.port, timeout=30)
        ready.wait(30)
        return [ask(one, key) for _ in range(ASKED // CLIENTS)]

    with ThreadPoolExecutor(CLIENTS) as pool:
        return [status for many in pool.map(client, range(CLIENTS)) for status in many]


def windows(api: Api, subject: str) -> list[int]:
    """How often callers of this kind were counted, by minute."""
    return [
        count
        for (count,) in rows(
            api, "SELECT sum(requests) FROM request_count WHERE subject LIKE %s GROUP BY window_start", subject
        )
    ]


def test_a_keys_limit_is_exact_over_two_workers(shared: Api, two_workers: WebService) -> None:
    key = shared.key("desk", "stormy", requests_per_minute=KEYS_LIMIT)
    key_id = rows(shared, "SELECT key_id FROM api_key WHERE name = 'stormy'")[0][0]
    statuses = storm(two_workers, key)
    counted = windows(shared, f"key:{key_id}")
    assert set(statuses) == {200, 429}
    # Usually one minute; when its turn falls into the storm, each of the two lets its own number pass.
    assert statuses.count(200) == sum(min(KEYS_LIMIT, int(count)) for count in counted)
    assert sum(map(int, counted)) == ASKED


def test_an_addresses_limit_is_exact_over_two_workers(shared: Api, two_workers: WebService) -> None:
    rows(shared, "DELETE FROM request_count WHERE subject LIKE 'address:%%'")
    statuses = storm(two_workers, "csk_nobodys")
    counted = windows(shared, "address:%")
    assert set(statuses) == {401, 429}
    assert statuses.count(401) == sum(min(ADDRESS_LIMIT, int(count)) for count in counted)
    # Another client of the same proxy is not held.
    one = HTTPConnection("127.0.0.1", two_workers.port, timeout=30)
    assert ask(one, "csk_nobodys", "198.51.100.77") == 401


def test_with_the_minute_the_count_begins_anew(shared: Api) -> None:
    key = shared.key("desk", "minutely", requests_per_minute=3)
    key_id = rows(shared, "SELECT key_id FROM api_key WHERE name = 'minutely'")[0][0]
    for _ in range(2):
        statuses = []
        while not statuses or statuses[-1] == 200:
            statuses.append(shared.call("GET", "/v1/me", key=key).status_code)
        # The minute may turn on its own meanwhile: then as many again.
        assert statuses.count(200) in (3, 6)
        # As if a minute had gone by.
        rows(
            shared,
            "UPDATE request_count SET window_start = window_start - interval '5 minutes' WHERE subject = %s"
            " AND window_start > clock_timestamp() - interval '3 minutes'",
            f"key:{key_id}",
        )
        rows(shared, "DELETE FROM request_count WHERE window_start < clock_timestamp() - interval '3 minutes'")
    assert shared.call("GET", "/v1/me", key=key).status_code == 200


def test_a_storm_on_a_limited_key_holds_nobody_who_has_no_limit(shared: Api, two_workers: WebService) -> None:
    """Beside a storm on one counted row others wait as long as beside one that counts nothing, give or take."""
    limited = shared.key("desk", "hot", requests_per_minute=KEYS_LIMIT)
    free = shared.key("desk", "cold")
    beside_counting = beside(lambda: storm(two_workers, limited), two_workers, shared.keys["auditor"])
    beside_free = beside(lambda: storm(two_workers, free), two_workers, shared.keys["auditor"])
    assert beside_counting < 5 * beside_free + 0.05


def beside(load: Callable[[], Any], service: WebService, key: str) -> float:
    """The median time of a request while the load lasts."""
    thread = threading.Thread(target=load)
    one = HTTPConnection("127.0.0.1", service.port, timeout=30)
    assert ask(one, key) == 200
    thread.start()
    took = []
    while thread.is_alive() or not took:
        begin = time.perf_counter()
        assert ask(one, key) == 200
        took.append(time.perf_counter() - begin)
    thread.join()
    return statistics.median(took)
