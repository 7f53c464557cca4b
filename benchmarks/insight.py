"""Where the time goes: a request taken apart, and how each of its statements runs. Lines to print, no figures."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

import orjson
import psycopg

from benchmarks import bare_sql, requests
from benchmarks.life import HOT_TOPIC, email
from benchmarks.watching import Watch, watch
from benchmarks.world import World
from consent_service.database.queries import Statement

REQUESTS = 400
# Tables of the catalogue fit on a page each: reading them from end to end is the right way.
SMALL_ROWS = 1000


def asked(world: World, count: int = REQUESTS) -> dict[str, tuple[str, list[bytes]]]:
    """What is taken apart: (path, bodies) by name."""
    singles = requests.questions(6, world.customers, count)
    rows = requests.questions(7, world.customers, 1000)
    hot = {"customer": f"email:{email(world.customers)}", "channel": "email", "topic": HOT_TOPIC}
    return {
        "check": (requests.CHECK, [orjson.dumps(one) for one in singles]),
        "check-batch of 1,000": (requests.BATCH, [orjson.dumps({"checks": rows})] * max(2, count // 40)),
        "ask and record": (requests.CONTACT, [orjson.dumps(one) for one in bare_sql.allowed(world, singles)]),
        "ask and record, hot customer": (requests.CONTACT, [orjson.dumps(hot)] * max(2, count // 4)),
    }


def time_lines(world: World, count: int = REQUESTS) -> list[str]:
    """Each kind of request by its parts: µs of processor and of the clock, statements and waits a request."""
    lines = []
    for name, (path, bodies) in asked(world, count).items():
        lines += [*_parts(name, watch(world, path, bodies)), ""]
    bare_sql.clean_up(world)
    return lines


def plan_lines(world: World, count: int = REQUESTS) -> list[str]:
    """The last statements of each kind of request with plan, buffers and times, as the service runs them."""
    lines, named = [], _names()
    for name, (path, bodies) in asked(world, count).items():
        seen = watch(world, path, bodies[:20])
        last: dict[Statement, Mapping[str, Any]] = dict(seen.statements)
        lines.append(f"{name}:")
        with psycopg.connect(world.server.owner_url, options=bare_sql.OPTIONS) as conn:
            _undo(conn, last.values())
            conn.execute("SET ROLE consent_service")
            for statement, params in last.items():
                lines.append("  " + _plan(conn, named.get(str(statement), "?"), statement, params))
            conn.rollback()
        lines.append("")
    bare_sql.clean_up(world)
    return lines


def _parts(name: str, seen: Watch) -> list[str]:
    each = 1e6 / seen.requests
    processor, clock = sum(seen.processor.values()), sum(seen.clock.values())
    counts = f"{len(seen.statements) / seen.requests:.1f} statements, {seen.waits / seen.requests:.1f} waits"
    lines = [f"{name}: {each * clock:,.0f} µs, {each * processor:,.0f} µs of them processor of this process; {counts}"]
    for label in sorted(seen.clock, key=lambda one: -seen.clock[one]):
        part = f"{each * seen.clock[label]:>9,.0f} µs  {each * seen.processor[label]:>9,.0f} µs processor"
        lines.append(f"  {label:<36} {part}  {seen.clock[label] / clock:>4.0%}")
    if seen.missing:
        lines.append(f"  not found any more, see benchmarks/watching.py: {', '.join(seen.missing)}")
    counted = Counter(_names().get(str(statement), "?") for statement, _ in seen.statements)
    lines.append("  " + ", ".join(f"{name} {count / seen.requests:.1f}" for name, count in counted.items()))
    return lines


def _plan(conn: psycopg.Connection, name: str, statement: Statement, params: Mapping[str, Any]) -> str:
    """One line of what EXPLAIN (ANALYZE, BUFFERS) says, the third time; what it writes is rolled back."""
    given = [_literal(value) for value in statement.values(params)]
    conn.execute("SAVEPOINT plan")
    try:
        label = "plan_" + name.replace("/", "_")
        conn.execute(b"PREPARE " + label.encode() + b" AS " + bytes(statement.prepared))
        execute = f"EXECUTE {label}" + (f"({', '.join(given)})" if given else "")
        for _ in range(3):
            conn.execute("SAVEPOINT run")
            text = [row for (row,) in conn.execute(f"EXPLAIN (ANALYZE, BUFFERS) {execute}".encode())]
            conn.execute("ROLLBACK TO SAVEPOINT run")
        conn.execute(f"DEALLOCATE {label}".encode())
    except psycopg.Error as error:
        conn.execute("ROLLBACK TO SAVEPOINT plan")
        return f"{name}: {str(error).splitlines()[0]}"
    return _told(conn, name, "\n".join(text))


def _undo(conn: psycopg.Connection, given: Iterable[Mapping[str, Any]]) -> None:
    """Takes back, in this transaction, what the requests wrote, so that the same inserts run once more."""
    lists = [values for params in given for values in params.values() if isinstance(values, list)]
    owners = list({one for values in lists for one in values if isinstance(one, UUID)})
    conn.execute("SET LOCAL session_replication_role = replica")
    for table in ("event_content", "event", "contact"):
        conn.execute(f"DELETE FROM {table} WHERE customer_id = ANY (%s)".encode(), [owners])  # noqa: S608
    conn.execute("SET LOCAL session_replication_role = origin")


def _told(conn: psycopg.Connection, name: str, text: str) -> str:
    top = re.search(r"actual time=[\d.]+\.\.([\d.]+)", text)
    planning = re.search(r"Planning Time: ([\d.]+)", text)
    execution = re.search(r"Execution Time: ([\d.]+)", text)
    buffers = re.search(r"Buffers: (.*)", text)
    assert top
    assert planning
    assert execution
    large = [table for table in re.findall(r"Seq Scan on (\w+)", text) if _rows(conn, table) > SMALL_ROWS]
    nodes = len(re.findall(r"\(cost=", text))
    said = f"running {top[1]} ms, with start and end {execution[1]} ms, planning {planning[1]} ms, {nodes} nodes"
    worst = _worst_estimate(text)
    return (
        f"{name}: {said}, {buffers[1] if buffers else 'no buffers'}"
        + (f", READS ALL OF {', '.join(sorted(set(large)))}" if large else "")
        + (f", estimate off by {worst:.0f} ×" if worst >= 10 else "")
    )


def _worst_estimate(text: str) -> float:
    """How far the furthest estimate of rows is from what came, of nodes that ran."""
    found = re.findall(r"rows=(\d+) width=\d+\) \(actual time=\S+ rows=([\d.]+)", text)
    return max((max(float(a), 1) / max(float(b), 1) if float(a) > float(b) else max(float(b), 1) / max(float(a), 1))
                for a, b in found)  # fmt: skip


def _rows(conn: psycopg.Connection, table: str) -> float:
    row = conn.execute("SELECT reltuples FROM pg_class WHERE relname = %s", [table]).fetchone()
    return float(row[0]) if row else 0.0


def _literal(value: bytes | None) -> str:
    return "NULL" if value is None else "'" + value.decode().replace("'", "''") + "'"


def _names() -> dict[str, str]:
    """The service's statements: slice/name by text."""
    found: dict[str, str] = {}
    for module_name in [one for one in sys.modules if one.startswith("consent_service.")]:
        for value in vars(sys.modules[module_name]).values():
            if isinstance(value, Statement):
                found.setdefault(str(value), f"{module_name.split('.')[1]}/decide")
            elif isinstance(value, Mapping):
                found |= {
                    str(text): f"{module_name.split('.')[1]}/{name}"
                    for name, text in value.items()
                    if isinstance(text, Statement)
                }
    return found


INSIGHTS: Mapping[str, Callable[[World, int], list[str]]] = {"time": time_lines, "plans": plan_lines}
