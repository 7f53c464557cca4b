"""Measures in turn: a figure and its floor round by round, so that what the machine does meanwhile hits both."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks import bare_sql, driver
from benchmarks.processors import used_seconds
from benchmarks.world import World

CLIENTS = 8
TREES = ("web", "database")
Work = Callable[[], Mapping[str, float]]
Values = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Run:
    """What there is to measure on. `service` and `empty` are (port, process)."""

    world: World
    service: tuple[int, int]
    empty: tuple[int, int]
    rounds: int
    seconds: float
    smaller: tuple[World, tuple[int, int]] | None = None
    starts: dict[str, int] = field(default_factory=dict)  # where the next round goes on in the list of requests


@dataclass(frozen=True)
class Figure:
    """One measured thing: a value a round, the name of the figure that it is compared with, and what to know of it."""

    name: str
    values: Sequence[float]
    unit: str = "/s"
    floor: str | None = None
    note: str = ""

    @property
    def median(self) -> float:
        """The value that counts."""
        return statistics.median(self.values)


def alternate(rounds: int, works: Mapping[str, Work]) -> dict[str, dict[str, list[float]]]:
    """Runs all works in turn, every other round backwards; every value of every round, by work and name."""
    found: dict[str, dict[str, list[float]]] = {name: {} for name in works}
    for number in range(rounds):
        order = list(works.items())
        for name, work in order if number % 2 == 0 else reversed(order):
            for value_name, value in work().items():
                found[name].setdefault(value_name, []).append(value)
    return found


def http(
    run: Run,
    name: str,
    sent: Sequence[bytes],
    *,
    to: tuple[int, int],
    world: World | None = None,
    connections: int = CLIENTS,
    per_second: float | None = None,
    seconds: float | None = None,
) -> Work:
    """A work that asks a server for one round: rates, latencies and processor time a request.

    Args:
        name: of the list of requests; the next round goes on in it where this one ended.
        world: whose database's processor time is watched too.
    """
    port, process = to
    trees = {"web": process} | ({"database": world.postmaster()} if world else {})

    def work() -> Mapping[str, float]:
        before = {tree: used_seconds(pid) for tree, pid in trees.items()}
        first, lasts = run.starts.get(name, 0), seconds or run.seconds
        measured = driver.ask(
            port,
            sent,
            seconds=lasts,
            connections=connections,
            per_second=per_second,
            warm_seconds=min(0.5, lasts / 2),
            first=first,
        )
        run.starts[name] = first + measured.sent
        each = 1e6 / max(1, measured.sent)
        granted = sum(count for status, count in measured.statuses.items() if status in ("200", "201"))
        expected = granted + measured.statuses.get("409", 0)
        return {
            "/s": measured.per_second,
            "p50": measured.p50,
            "p95": measured.p95,
            "p99": measured.p99,
            "longest": measured.longest,
            "late": measured.late_p99,
            "driver": measured.processor_share,
            "granted": granted / max(1, measured.answered),
            "errors": sum(measured.errors.values()) + measured.answered - expected,
            **{f"{tree} µs": each * (used_seconds(pid) - before[tree]) for tree, pid in trees.items()},
        }

    return work


def pgbench(run: Run, script: str, *, clients: int = 1, world: World | None = None) -> Work:
    """A work that runs a script for one round."""
    return lambda: {"/s": bare_sql.pgbench(world or run.world, script, clients=clients, seconds=run.seconds)}


def rate(name: str, values: Values, *, floor: str | None = None, note: str = "", times: int = 1) -> Figure:
    """The figure of a closed loop; `times` what one request asks."""
    said = [note] if note else []
    said += _processor(values, times)
    said.append(f"p50 {_median(values, 'p50'):.1f} p99 {_median(values, 'p99'):.1f} ms")
    if _median(values, "granted") < 0.999:
        said.append(f"{_median(values, 'granted'):.0%} granted")
    said.append(f"driver {_median(values, 'driver'):.0%} of a core")
    return Figure(name, [times * value for value in values["/s"]], floor=floor, note=", ".join(said + _errors(values)))


def processor_time(name: str, values: Values, *, floor: str | None = None) -> Figure:
    """Processor time a request of all trees together: a ratio of two of these holds on a busy machine too."""
    trees = [values[f"{tree} µs"] for tree in TREES if f"{tree} µs" in values]
    return Figure(name, [sum(each) for each in zip(*trees, strict=True)], "µs", floor)


def latencies(name: str, values: Values, *, floor: str | None = None) -> list[Figure]:
    """The figures of an open loop."""
    said = [f"{_median(values, '/s'):.0f}/s answered", *_processor(values, 1)]
    said.append(f"driver {_median(values, 'driver'):.0%} of a core, late by {_median(values, 'late'):.2f} ms at p99")
    notes = {"p50": ", ".join(said + _errors(values))}
    return [
        Figure(f"{name}, {one}", values[one], "ms", f"{floor}, {one}" if floor else None, notes.get(one, ""))
        for one in ("p50", "p95", "p99", "longest")
    ]


def _processor(values: Values, times: int) -> list[str]:
    trees = [tree for tree in TREES if f"{tree} µs" in values]
    return [f"{_median(values, f'{tree} µs') / times:.0f} µs of {tree}" for tree in trees]


def _errors(values: Values) -> list[str]:
    return [f"ERRORS {sum(values['errors']):.0f}"] if sum(values["errors"]) else []


def _median(values: Values, name: str) -> float:
    return statistics.median(values[name])
