"""What is measured, part by part. Each returns figures; the bars are judged in `table`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks import bare_sql, empty_route, requests, visits
from benchmarks.life import HOT_TOPIC
from benchmarks.rounds import Figure, Run, alternate, http, latencies, pgbench, processor_time, rate

CONTACT_CLIENTS = 16
OPEN_RATE = 500
OPEN_CONNECTIONS = 32
PAGE_RATE = 100
VISITORS = 300  # people whose desks are looked at in turn
PREPARED = 20_000  # different requests that are made beforehand
EMPTY_POST = "empty route, POST"
TWO_BARE = "bare decide.sql, 1,000 a statement, 2 connections"
COMMIT = "durable commit of one small row, pgbench"


def sql(run: Run) -> list[Figure]:
    """The bare decision by pgbench, one question a statement, against SELECT 1."""
    decide, works = bare_sql.decide_script(run.world.customers), {}
    for clients in (1, 4):
        for name, script in (("SELECT 1", bare_sql.SELECT_1), ("decide.sql", decide)):
            works[f"{name}, pgbench, {clients} client{'s' * (clients > 1)}"] = pgbench(run, script, clients=clients)
    found = alternate(run.rounds, works)
    return [
        Figure(name, values["/s"], floor=name.replace("decide.sql", "SELECT 1") if "decide" in name else None)
        for name, values in found.items()
    ]


def check(run: Run) -> list[Figure]:
    """The highest rate of single checks against that of the same bytes to the empty route."""
    key, customers = run.world.key, run.world.customers
    asked = requests.checks(1, customers, PREPARED, key)
    same = requests.checks(1, customers, PREPARED, key, path=empty_route.PATH)
    get = [requests.request("GET", empty_route.PATH, key)]
    found = alternate(
        run.rounds,
        {
            "empty": http(run, "empty", same, to=run.empty),
            "check": http(run, "check", asked, to=run.service, world=run.world),
            "get": http(run, "get", get, to=run.empty),
        },
    )
    return [
        rate(EMPTY_POST, found["empty"], note="the floor: the same bytes to a route that does nothing"),
        rate("empty route, GET", found["get"], floor=EMPTY_POST),
        rate("check", found["check"], floor=EMPTY_POST),
        processor_time(f"{EMPTY_POST}, processor time", found["empty"]),
        processor_time("check, processor time", found["check"], floor=f"{EMPTY_POST}, processor time"),
    ]


def open_loop(run: Run) -> list[Figure]:
    """Latencies at a fixed rate, counted from the planned instant, beside those of the empty route."""
    key, customers = run.world.key, run.world.customers
    asked = requests.checks(2, customers, PREPARED, key)
    same = requests.checks(2, customers, PREPARED, key, path=empty_route.PATH)
    found = alternate(
        run.rounds,
        {
            "empty": http(run, "open empty", same, to=run.empty, **_open(run)),
            "check": http(run, "open check", asked, to=run.service, world=run.world, **_open(run)),
        },
    )
    floor = f"empty route at {OPEN_RATE}/s"
    return latencies(floor, found["empty"]) + latencies(f"check at {OPEN_RATE}/s", found["check"], floor=floor)


def batch(run: Run) -> list[Figure]:
    """Checks by the thousand over HTTP against the bare statement on as many connections as there are cores."""
    asked = requests.batches(3, run.world.customers, 40, run.world.key)
    found = alternate(
        run.rounds,
        {
            "one": lambda: {"/s": bare_sql.decide_batches(run.world, connections=1, seconds=run.seconds)},
            "two": lambda: {"/s": bare_sql.decide_batches(run.world, connections=2, seconds=run.seconds)},
            "http": http(run, "batch", asked, to=run.service, world=run.world, connections=4),
        },
    )
    return [
        Figure("bare decide.sql, 1,000 a statement, 1 connection", found["one"]["/s"]),
        Figure(TWO_BARE, found["two"]["/s"]),
        rate("decisions in batches of 1,000", found["http"], floor=TWO_BARE, times=1000),
    ]


def contact(run: Run) -> list[Figure]:
    """Ask and record, one at a time by many clients, against as many durable commits."""
    asked = bare_sql.allowed(run.world, requests.questions(4, run.world.customers, 3 * PREPARED))
    sent = [requests.request("POST", requests.CONTACT, run.world.key, one) for one in asked]
    bare_sql.prepare(run.world)
    try:
        found = alternate(
            run.rounds,
            {
                "commit": pgbench(run, bare_sql.COMMIT, clients=CONTACT_CLIENTS),
                "contact": http(
                    run, "contact", sent, to=run.service, world=run.world, connections=CONTACT_CLIENTS
                ),
            },
        )  # fmt: skip
    finally:
        bare_sql.clean_up(run.world)
    return [Figure(COMMIT, found["commit"]["/s"]), rate("ask and record", found["contact"], floor=COMMIT)]


def hot(run: Run) -> list[Figure]:
    """Ask and record for one customer by many clients: granted each time, and refused each time at a full cap."""
    works = {}
    for outcome, topic in (("granted", HOT_TOPIC), ("refused", "offers/wine")):
        sent = requests.hot_contacts(run.world.customers, run.world.key, topic=topic)
        works[f"ask and record, one hot customer, {outcome}"] = http(
            run, outcome, sent, to=run.service, world=run.world, connections=CONTACT_CLIENTS
        )
    try:
        found = alternate(run.rounds, works)
    finally:
        bare_sql.clean_up(run.world)
    return [rate(name, values) for name, values in found.items()]


def growth(run: Run) -> list[Figure]:
    """The same load on a smaller world and on this one."""
    assert run.smaller is not None
    small, small_service = run.smaller
    few = requests.checks(5, small.customers, PREPARED, small.key)
    many = requests.checks(5, run.world.customers, PREPARED, run.world.key)
    found = alternate(
        run.rounds,
        {
            "few": http(run, "few", few, to=small_service, world=small, **_open(run)),
            "many": http(run, "many", many, to=run.service, world=run.world, **_open(run)),
            "sql few": pgbench(run, bare_sql.decide_script(small.customers), world=small),
            "sql many": pgbench(run, bare_sql.decide_script(run.world.customers)),
        },
    )
    names = [f"check at {OPEN_RATE}/s of {one.customers:,}" for one in (small, run.world)]
    bare = [f"decide.sql, pgbench, of {one.customers:,}" for one in (small, run.world)]
    return [
        *latencies(names[0], found["few"]),
        *latencies(names[1], found["many"], floor=names[0]),
        Figure(bare[0], found["sql few"]["/s"]),
        Figure(bare[1], found["sql many"]["/s"], floor=bare[0]),
    ]


def pages(run: Run) -> list[Figure]:
    """The desk's page at a fixed rate: its first byte comes with its last, as it is sent whole."""
    sent = visits.desks(run.world, run.service[0], VISITORS)
    same = [one.replace(visits.DESK.encode(), empty_route.PATH.encode(), 1) for one in sent]
    found = alternate(
        run.rounds,
        {
            "empty": http(run, "empty page", same, to=run.empty, **_open(run, PAGE_RATE)),
            "desk": http(run, "desk page", sent, to=run.service, world=run.world, **_open(run, PAGE_RATE)),
        },
    )
    floor, name = f"empty route at {PAGE_RATE}/s", f"desk page at {PAGE_RATE}/s"
    return [
        *latencies(floor, found["empty"]),
        *latencies(name, found["desk"], floor=floor),
        processor_time(f"{floor}, processor time", found["empty"]),
        processor_time(f"{name}, processor time", found["desk"], floor=f"{floor}, processor time"),
    ]


PARTS: Mapping[str, Callable[[Run], list[Figure]]] = {
    "sql": sql,
    "check": check,
    "open": open_loop,
    "batch": batch,
    "contact": contact,
    "hot": hot,
    "growth": growth,
    "pages": pages,
}


def _open(run: Run, per_second: int = OPEN_RATE) -> dict[str, Any]:
    return {"connections": OPEN_CONNECTIONS, "per_second": float(per_second), "seconds": 2 * run.seconds}
