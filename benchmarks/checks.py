"""How fast is asking? Decisions against floors measured in the same run: figures and ratios, no verdict.

Run by `make bench`. It starts a throw-away PostgreSQL and a gunicorn with two workers on 127.0.0.1, and ends them.
"""

from __future__ import annotations

import http.client
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable

from consent_service.customers.model import parse_reference
from consent_service.customers.service import create_unknown_many, resolve_many
from consent_service.history.model import Actor
from consent_service.permissions import service, store
from consent_service.permissions.contacts import contact_many
from consent_service.permissions.model import Asked, Question
from tests.support.api import CATALOGUE, Api
from tests.support.cluster import cluster, web_service

CUSTOMERS = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
ROUNDS = 5
ACTOR = Actor("system", "benchmark")
PLACES = """
INSERT INTO dial
SELECT customer_id, place.channel, place.topic, place.level, now(), now(), now(), NULL, 'api', 'system',
       gen_random_uuid()
FROM customer, (VALUES ('email', 'offers', 'busy'), ('*', 'offers', 'daily'), ('*', '*', 'everything'))
  place (channel, topic, level)
"""
PAST = """
INSERT INTO contact
SELECT customer_id, gen_random_uuid(), 'past', 'email', 'offers', NULL, now() - n * interval '20 days', now(),
       NULL, NULL, true, 'allowed', true, gen_random_uuid()
FROM customer, generate_series(1, 4) n
"""


def rate(work: Callable[[], int]) -> float:
    """The median of ROUNDS rates a second; `work` answers how many it did."""
    rates = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        done = work()
        rates.append(done / (time.perf_counter() - began))
    return statistics.median(rates)


def http_rate(port: int, method: str, path: str, body: bytes | None, key: str, *, clients: int = 4) -> float:
    """Requests a second of a few clients that keep their connections, during two seconds a round."""

    def client(until: float, counts: list[int]) -> None:
        conn = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        count = 0
        while time.perf_counter() < until:
            conn.request(method, path, body, headers)
            answer = conn.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            count += 1
        counts.append(count)
        conn.close()

    def one_round() -> int:
        counts: list[int] = []
        until = time.perf_counter() + 2
        threads = [threading.Thread(target=client, args=(until, counts)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts)

    return rate(one_round)


def seed(api: Api) -> list[str]:
    """Customers with three dials and four past contacts each; how to name them."""
    names = [f"email:customer{number}@example.com" for number in range(CUSTOMERS)]
    for start in range(0, CUSTOMERS, 5000):
        with api.database.transaction() as conn:
            create_unknown_many(
                conn, api.keyring, ACTOR, [parse_reference(one) for one in names[start : start + 5000]], source="import"
            )
    with api.made.owner() as conn:
        conn.execute(PLACES)
        conn.execute(PAST)
        conn.execute("ANALYZE")
    return names


def main() -> None:
    """Prints a table of rates and ratios."""
    rows: list[tuple[str, float, str, float]] = []
    with cluster() as server:
        api = Api(server.migrated(), CATALOGUE)
        names = seed(api)
        questions = [Question(name, "email", "offers/wine") for name in names[:1000]]
        with api.database.reading() as conn:

            def select_one() -> int:
                for _ in range(2000):
                    conn.execute("SELECT 1").fetchone()
                return 2000

            def single() -> int:
                for question in questions[:500]:
                    service.decide_many(conn, api.keyring, [question])
                return 500

            resolved = resolve_many(conn, api.keyring, [one.customer for one in questions])
            floor = rate(select_one)
            bare = rate(lambda: len(store.decide(conn, questions, resolved, explain=False)))
            batch = rate(lambda: len(service.decide_many(conn, api.keyring, questions, explain=False)))
            rows += [
                ("SELECT 1 on one connection", floor, "", 1.0),
                ("single decision on one connection", one := rate(single), "of SELECT 1", one / floor),
                ("bare decide.sql, 1,000 a statement", bare, "", 1.0),
                ("batch of 1,000 with look-up", batch, "of bare decide.sql", batch / bare),
            ]
        asks = iter(range(0, CUSTOMERS, 1000))

        def contacts() -> int:
            start = next(asks)
            with api.database.transaction() as conn:
                asked = [Asked(Question(name, "email", "offers/wine")) for name in names[start : start + 1000]]
                return len(contact_many(conn, api.keyring, ACTOR, asked))

        made = rate(contacts)
        rows.append(("ask and record, 1,000 a transaction", made, "of bare decide.sql", made / bare))
        with web_service(api.made) as web:
            key = api.keys["campaign"]
            ask = {"customer": names[0], "channel": "email", "topic": "offers/wine"}
            empty = http_rate(web.port, "GET", "/health/live", None, key)
            check = http_rate(web.port, "POST", "/v1/permissions/check", json.dumps(ask).encode(), key)
            many = json.dumps({"checks": [{**ask, "customer": name} for name in names[:1000]]}).encode()
            batches = 1000 * http_rate(web.port, "POST", "/v1/permissions/check-batch", many, key)
            rows += [
                ("HTTP: empty route", empty, "", 1.0),
                ("HTTP: check", check, "of the empty route", check / empty),
                ("HTTP: checks in batches of 1,000", batches, "of bare decide.sql", batches / bare),
            ]
        api.close()
    print(f"{CUSTOMERS:,} customers, median of {ROUNDS} rounds")
    for name, found, against, ratio in rows:
        print(f"{name:<40} {found:>10,.0f} /s" + (f"   {ratio:6.2f} {against}" if against else ""))


if __name__ == "__main__":
    main()
