"""The floors in SQL: the decision without HTTP and Python by pgbench, and from psycopg in batches.

The text measured is decide.sql itself; only its parameters are replaced.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor

import psycopg
from psycopg.rows import dict_row

from benchmarks import life
from benchmarks.world import World
from consent_service.customers.service import Resolved
from consent_service.permissions import store
from consent_service.permissions.model import Question

# As the service's connections are set; see database/pool.py.
OPTIONS = "-c plan_cache_mode=force_generic_plan -c jit=off"
ID = life.ID_SQL.format(number=":number")

# A single question of the most usual kind, asked with an identifier: customers by number, all else fixed.
PARAMETERS = {
    "customer_ids": f"ARRAY[{ID}]",
    "erased": "ARRAY[false]",
    "channels": "ARRAY['email']",
    "topics": "ARRAY['offers/wine']",
    "ats": "ARRAY[NULL]",
    "value_kinds": "ARRAY['email']",
    "value_hashes": f"ARRAY[uuid_send({ID}) || uuid_send({ID})]",
    "now": "NULL",
    "count_permits": "true",
    "key_topics": "ARRAY['*']",
    "limited": "true",
    "accept_retired": "false",
    "bounded": "true",
    "not_before_now": "false",
    "explain": "true",
}
ACTIVE = "SELECT customer_id FROM customer WHERE customer_id = ANY (%s) AND state = 'active'"
STATEMENTS = 20
SELECT_1 = "SELECT 1;\n"
COMMIT = "INSERT INTO benchmark_commit (customer_id, content) VALUES (md5(:number::text)::uuid, repeat('x', 500));\n"


def decide_script(customers: int) -> str:
    """decide.sql as pgbench runs it, about a random customer each time."""
    statement = re.sub(r"%\((\w+)\)s", lambda found: PARAMETERS[found[1]], _without_comments(store.DECIDE))
    return f"\\set number random(0, {customers - 1})\n{statement}\n"


def commit_script(customers: int) -> str:
    """A small row, committed durably: the least that recording anything takes."""
    return f"\\set number random(0, {customers - 1})\n{COMMIT}"


def prepare(world: World) -> None:
    """The table that `commit_script` writes into."""
    with psycopg.connect(world.server.owner_url, autocommit=True) as conn:
        conn.execute("DROP TABLE IF EXISTS benchmark_commit")
        conn.execute("CREATE TABLE benchmark_commit (customer_id uuid, content text)")
        conn.execute("GRANT INSERT ON benchmark_commit TO consent_service")


def clean_up(world: World) -> None:
    """Removes that table, and the contacts that were recorded: the next run finds the same room."""
    with psycopg.connect(world.server.owner_url, autocommit=True) as conn:
        conn.execute("DROP TABLE IF EXISTS benchmark_commit")
        conn.execute("DELETE FROM contact WHERE key_name = 'benchmark'")
        conn.execute("VACUUM (ANALYZE) contact, event, event_content")


def pgbench(world: World, script: str, *, clients: int, seconds: float) -> float:
    """Transactions a second of a prepared script."""
    with tempfile.NamedTemporaryFile("w", prefix="consent-bench-", suffix=".sql") as file:
        file.write(script)
        file.flush()
        done = subprocess.run(
            [world.program("pgbench"), "-n", "-M", "prepared", "-f", file.name, "-c", str(clients),
             "-j", str(min(clients, 2)), "-T", str(max(1, round(seconds)))],
            env={**os.environ, **_environment(world)},
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + 60,
        )  # fmt: skip
    found = re.search(r"tps = ([\d.]+) \(without", done.stdout)
    if done.returncode or found is None:
        raise RuntimeError(f"pgbench: {done.stderr[-2000:]}")
    return float(found[1])


def decide_batches(world: World, *, connections: int, seconds: float, rows: int = 1000) -> float:
    """Decisions a second of bare decide.sql, so many questions a statement, each connection in its own process."""
    jobs = [(world.database.service_url, world.customers, rows, seconds, number) for number in range(connections)]
    with ProcessPoolExecutor(connections, multiprocessing.get_context("spawn")) as pool:
        return sum(pool.map(_decide, *zip(*jobs, strict=True)))


def _decide(url: str, customers: int, rows: int, seconds: float, number: int) -> float:
    rng = random.Random(number)
    with psycopg.connect(url, autocommit=True, prepare_threshold=0, row_factory=dict_row, options=OPTIONS) as conn:
        wanted = [life.customer_id(n) for n in life.numbers(rng, customers, STATEMENTS * rows)]
        # Not the merged ones: a look-up never leads to them.
        found = conn.execute(ACTIVE, [wanted]).fetchall()
        who = [Resolved(row["customer_id"], "known", "email", b"-" * 32) for row in rng.choices(found, k=len(wanted))]
        asked = [Question("", *life.QUESTIONS.pick(rng)) for _ in who]
        statements = [(asked[at : at + rows], who[at : at + rows]) for at in range(0, len(who), rows)]
        store.decide(conn, *statements[0], explain=False)
        began, done = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            store.decide(conn, *statements[done % len(statements)], explain=False)
            done += 1
        return done * rows / (time.perf_counter() - began)


def _environment(world: World) -> dict[str, str]:
    found = psycopg.conninfo.conninfo_to_dict(world.database.service_url)
    return {
        "PGHOST": str(found["host"]),
        "PGPORT": str(found["port"]),
        "PGUSER": str(found["user"]),
        "PGDATABASE": str(found["dbname"]),
        "PGOPTIONS": OPTIONS,
    }


def _without_comments(statement: str) -> str:
    return re.sub(r"--[^\n]*", "", statement)
