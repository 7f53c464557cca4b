"""What is measured: each part asks its figure and its floor in turn, round by round, so that drift hits both.

A part gets the run and returns figures; the bars that the issue of speed sets are judged in `table`, not here.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks import bare_sql, driver, empty_route, requests
from benchmarks.driver import Measured
from benchmarks.processors import used_seconds
from benchmarks.world import World

CLIENTS = 8
CONTACT_CLIENTS = 16
OPEN_RATE = 500.0
OPEN_CONNECTIONS = 32
PREPARED = 20_000  # different requests that are made beforehand


@dataclass(frozen=True)
class Run:
    """What there is to measure on."""

    world: World
    service: tuple[int, int]  # port, process
    empty: tuple[int, int]
    rounds: int
    seconds: float
    smaller: tuple[World, tuple[int, int]] | None = None
    starts: dict[str, int] = field(default_factory=dict)  # where the next round goes on in the list of requests


@dataclass(frozen=True)
class Figure:
    """One measured thing: a value a round, and what else is worth saying."""

    name: str
    values: Sequence[float]
    unit: str = "/s"
    floor: str | None = None  # the name of the figure that it is compared with
    note: str = ""

    @property
    def median(self) -> float:
        """The value that counts."""
        return statistics.median(self.values)


Work = Callable[[], Mapping[str, float]]


def alternate(rounds: int, works: Mapping[str, Work]) -> dict[str, dict[str, list[float]]]:
    """Runs all of them in turn, round by round; every value of every round, by work and name."""
    found: dict[str, dict[str, list[float]]] = {name: {} for name in works}
    for number in range(rounds):
        order = list(works.items())
        for name, work in order if number % 2 == 0 else reversed(order):
            for value_name, value in work().items():
                found[name].setdefault(value_name, []).append(value)
    return found


def http(
    run: Run,
    sent: Sequence[bytes],
    *,
    to: tuple[int, int],
    world: World | None,
    name: str,
    connections: int = CLIENTS,
    per_second: float | None = None,
    seconds: float | None = None,
) -> dict[str, float]:
    """Asks a server for a round; rates, latencies and processor time per request by name."""
    port, process = to
    trees = {"web": process} | ({"database": world.postmaster()} if world else {})
    before = {tree: used_seconds(pid) for tree, pid in trees.items()}
    first = run.starts.get(name, 0)
    measured: Measured = driver.ask(
        port,
        sent,
        seconds=seconds or run.seconds,
        connections=connections,
        per_second=per_second,
        first=first,
    )
    run.starts[name] = first + measured.sent
    processor = {
        f"{tree} µs": 1e6 * (used_seconds(pid) - before[tree]) / max(1, measured.sent) for tree, pid in trees.items()
    }
    granted = sum(count for status, count in measured.statuses.items() if status in ("200", "201"))
    refused = measured.statuses.get("409", 0)
    return {
        "/s": measured.per_second,
        "p50": measured.p50,
        "p95": measured.p95,
        "p99": measured.p99,
        "longest": measured.longest,
        "late p99": measured.late_p99,
        "driver share": measured.processor_share,
        "granted": granted / max(1, measured.answered),
        "errors": sum(measured.errors.values()) + measured.answered - granted - refused,
        **processor,
    }


def check(run: Run) -> list[Figure]:
    """The highest rate of single checks against that of the same bytes to the empty route."""
    key, customers = run.world.key, run.world.customers
    asked = requests.checks(1, customers, PREPARED, key)
    same = requests.checks(1, customers, PREPARED, key, path=empty_route.PATH)
    get = [requests.request("GET", empty_route.PATH, key)]
    found = alternate(
        run.rounds,
        {
            "empty": lambda: http(run, same, to=run.empty, world=None, name="empty"),
            "check": lambda: http(run, asked, to=run.service, world=run.world, name="check"),
            "get": lambda: http(run, get, to=run.empty, world=None, name="get"),
        },
    )
    return [
        _rate("empty route, POST", found["empty"], note="the floor: the same bytes to a route that does nothing"),
        _rate("empty route, GET", found["get"], floor="empty route, POST"),
        _rate("check", found["check"], floor="empty route, POST"),
    ]


def open_loop(run: Run) -> list[Figure]:
    """Latencies at a fixed rate, counted from the planned instant, beside those of the empty route."""
    key, customers = run.world.key, run.world.customers
    asked = requests.checks(2, customers, PREPARED, key)
    same = requests.checks(2, customers, PREPARED, key, path=empty_route.PATH)
    options = {"connections": OPEN_CONNECTIONS, "per_second": OPEN_RATE, "seconds": 2 * run.seconds}
    found = alternate(
        run.rounds,
        {
            "empty": lambda: http(run, same, to=run.empty, world=None, name="open empty", **options),
            "check": lambda: http(run, asked, to=run.service, world=run.world, name="open check", **options),
        },
    )
    return _latencies("empty route at 500/s", found["empty"]) + _latencies(
        "check at 500/s", found["check"], floor="empty route at 500/s"
    )


def batch(run: Run) -> list[Figure]:
    """Checks by the thousand over HTTP against the bare statement on as many connections."""
    asked = requests.batches(3, run.world.customers, 60, run.world.key)
    found = alternate(
        run.rounds,
        {
            "bare 1": lambda: {"/s": bare_sql.decide_batches(run.world, connections=1, seconds=run.seconds)},
            "bare 2": lambda: {"/s": bare_sql.decide_batches(run.world, connections=2, seconds=run.seconds)},
            "http": lambda: http(run, asked, to=run.service, world=run.world, name="batch", connections=4),
        },
    )
    decisions = {name: [1000 * value for value in values] if name == "/s" else values
                 for name, values in found["http"].items()}  # fmt: skip
    return [
        Figure("bare decide.sql, 1,000 a statement, 1 connection", found["bare 1"]["/s"]),
        Figure("bare decide.sql, 1,000 a statement, 2 connections", found["bare 2"]["/s"]),
        _rate("decisions in batches of 1,000", decisions, floor="bare decide.sql, 1,000 a statement, 2 connections"),
    ]


def contact(run: Run) -> list[Figure]:
    """Ask and record, one at a time by many clients, against as many durable commits."""
    asked = requests.contacts(4, run.world.customers, PREPARED, run.world.key)
    bare_sql.prepare(run.world)
    commit = bare_sql.commit_script(run.world.customers)
    found = alternate(
        run.rounds,
        {
            "commit": lambda: {"/s": bare_sql.pgbench(run.world, commit, clients=CONTACT_CLIENTS, seconds=run.seconds)},
            "contact": lambda: http(
                run, asked, to=run.service, world=run.world, name="contact", connections=CONTACT_CLIENTS
            ),
        },
    )
    bare_sql.clean_up(run.world)
    return [
        Figure("durable commit of one small row, pgbench", found["commit"]["/s"]),
        _rate("ask and record", found["contact"], floor="durable commit of one small row, pgbench"),
    ]


def hot(run: Run) -> list[Figure]:
    """Ask and record for one customer by many clients: granted each time, and refused each time at a full cap."""
    yes = requests.hot_contacts(run.world.customers, run.world.key, topic="service-tips")
    full = requests.hot_contacts(run.world.customers, run.world.key, topic="offers/wine")
    found = alternate(
        run.rounds,
        {
            "yes": lambda: http(run, yes, to=run.service, world=run.world, name="hot", connections=CONTACT_CLIENTS),
            "full": lambda: http(run, full, to=run.service, world=run.world, name="full", connections=CONTACT_CLIENTS),
        },
    )
    bare_sql.clean_up(run.world)
    return [
        _rate("ask and record, one hot customer, granted", found["yes"]),
        _rate("ask and record, one hot customer, refused", found["full"]),
    ]


def sql(run: Run) -> list[Figure]:
    """The bare decision by pgbench, one question a statement, against SELECT 1."""
    decide = bare_sql.decide_script(run.world.customers)
    works: dict[str, Work] = {}
    for clients in (1, 4):
        for name, script in (("SELECT 1", bare_sql.SELECT_1), ("decide.sql", decide)):
            works[f"{name}, pgbench, {clients} client{'s' * (clients > 1)}"] = _bench(run, script, clients)
    found = alternate(run.rounds, works)
    return [
        Figure(name, values["/s"], floor=name.replace("decide.sql", "SELECT 1") if "decide" in name else None)
        for name, values in found.items()
    ]


def growth(run: Run) -> list[Figure]:
    """The same load on a smaller world and on this one."""
    assert run.smaller is not None
    small, small_service = run.smaller
    options = {"connections": OPEN_CONNECTIONS, "per_second": OPEN_RATE, "seconds": 2 * run.seconds}
    few = requests.checks(5, small.customers, PREPARED, small.key)
    many = requests.checks(5, run.world.customers, PREPARED, run.world.key)
    found = alternate(
        run.rounds,
        {
            "few": lambda: http(run, few, to=small_service, world=small, name="few", **options),
            "many": lambda: http(run, many, to=run.service, world=run.world, name="many", **options),
            "sql few": _bench(run, bare_sql.decide_script(small.customers), 1, small),
            "sql many": _bench(run, bare_sql.decide_script(run.world.customers), 1),
        },
    )
    few_name, many_name = f"check at 500/s, {small.customers:,}", f"check at 500/s, {run.world.customers:,}"
    return [
        *_latencies(few_name, found["few"]),
        *_latencies(many_name, found["many"], floor=few_name),
        Figure(f"decide.sql, pgbench, {small.customers:,}", found["sql few"]["/s"]),
        Figure(f"decide.sql, pgbench, {run.world.customers:,}", found["sql many"]["/s"],
               floor=f"decide.sql, pgbench, {small.customers:,}"),
    ]  # fmt: skip


PARTS: Mapping[str, Callable[[Run], list[Figure]]] = {
    "sql": sql,
    "check": check,
    "open": open_loop,
    "batch": batch,
    "contact": contact,
    "hot": hot,
    "growth": growth,
}


def _bench(run: Run, script: str, clients: int, world: World | None = None) -> Work:
    return lambda: {"/s": bare_sql.pgbench(world or run.world, script, clients=clients, seconds=run.seconds)}


def _rate(name: str, values: Mapping[str, Sequence[float]], *, floor: str | None = None, note: str = "") -> Figure:
    said = [note] if note else []
    said += _processor(values)
    said.append(f"p50 {statistics.median(values['p50']):.1f} p99 {statistics.median(values['p99']):.1f} ms")
    if statistics.median(values["granted"]) < 0.999:
        said.append(f"{statistics.median(values['granted']):.0%} granted")
    said.append(f"driver {statistics.median(values['driver share']):.0%} of a core")
    if sum(values["errors"]):
        said.append(f"ERRORS {sum(values['errors']):.0f}")
    return Figure(name, values["/s"], floor=floor, note=", ".join(said))


def _latencies(name: str, values: Mapping[str, Sequence[float]], *, floor: str | None = None) -> list[Figure]:
    said = [f"{statistics.median(values['/s']):.0f}/s answered"]
    said += _processor(values)
    said.append(f"driver late {statistics.median(values['late p99']):.2f} ms at p99")
    if sum(values["errors"]):
        said.append(f"ERRORS {sum(values['errors']):.0f}")
    return [
        Figure(
            f"{name}, {one}",
            values[one],
            "ms",
            f"{floor}, {one}" if floor else None,
            ", ".join(said) if one == "p50" else "",
        )
        for one in ("p50", "p95", "p99", "longest")
    ]


def _processor(values: Mapping[str, Sequence[float]]) -> list[str]:
    """Processor time a request, of the trees that were watched."""
    return [
        f"{statistics.median(values[f'{tree} µs']):.0f} µs of {tree}"
        for tree in ("web", "database")
        if f"{tree} µs" in values
    ]
