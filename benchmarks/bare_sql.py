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
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import psycopg

from benchmarks import life
from benchmarks.world import World
from consent_service.customers.service import Resolved
from consent_service.database import Database
from consent_service.errors import ConsentError
from consent_service.keyring.service import Keyring
from consent_service.permissions import store
from consent_service.permissions.model import Question
from consent_service.permissions.service import decide_many
from tests.support.cluster import TestDatabase

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
    "milestone_ids": "ARRAY[NULL]",
    "dialogue_ids": "ARRAY[NULL]",
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
# A small row, committed durably: the least that recording anything takes.
COMMIT = """\\set number random(0, 1000000000)
INSERT INTO benchmark_commit (customer_id, content) VALUES (md5(:number::text)::uuid, repeat('x', 500));
"""


def decide_script(customers: int) -> str:
    """decide.sql as pgbench runs it, about a random customer each time."""
    statement = re.sub(r"%\((\w+)\)s", lambda found: PARAMETERS[found[1]], _without_comments(store.DECIDE))
    return f"\\set number random(0, {customers - 1})\n{statement}\n"


def prepare(world: World) -> None:
    """The table that `COMMIT` writes into."""
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
             "-j", str(min(clients, 2)), *(["-T", str(round(seconds))] if seconds >= 1 else ["-t", "20"])],
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
    """Decisions a second of the bare statement, so many questions at once, each connection in its own process."""
    jobs = [(world.database, world.customers, rows, seconds, number) for number in range(connections)]
    if connections == 1:
        return _decide(*jobs[0])
    with ProcessPoolExecutor(connections, multiprocessing.get_context("spawn")) as pool:
        return sum(pool.map(_decide, *zip(*jobs, strict=True)))


def allowed(world: World, bodies: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of the questions that are answered with yes now; all of them when none is."""
    opened, found = Database(world.database.service_url, world.settings), []
    keyring = Keyring(*world.settings.secrets)
    with opened.reading() as conn:
        for at in range(0, len(bodies), 5000):
            asked = bodies[at : at + 5000]
            answers = decide_many(conn, keyring, [Question(**body) for body in asked], explain=False)
            found += [
                body
                for body, answer in zip(asked, answers, strict=True)
                if not isinstance(answer, ConsentError) and answer.allowed
            ]
    opened.close()
    return found or list(bodies)


def warm(world: World, bodies: Sequence[Mapping[str, Any]]) -> None:
    """Brings into the server's memory what questions read, as in a service that has run for a while."""
    allowed(world, bodies)


def _decide(database: TestDatabase, customers: int, rows: int, seconds: float, number: int) -> float:
    rng = random.Random(number)
    with psycopg.connect(database.service_url) as conn:
        wanted = [life.customer_id(n) for n in life.numbers(rng, customers, STATEMENTS * rows)]
        # Not the merged ones: a look-up never leads to them.
        active = [who for (who,) in conn.execute(ACTIVE, [wanted])]
    who = [Resolved(one, "known", "email", b"-" * 32) for one in rng.choices(active, k=len(wanted))]
    asked = [Question("", *life.QUESTIONS.pick(rng)) for _ in who]
    statements = [(asked[at : at + rows], who[at : at + rows]) for at in range(0, len(who), rows)]
    opened = Database(database.service_url, database.settings())
    with opened.reading() as conn:
        store.decide(conn, *statements[0], explain=False)
        began, done = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            store.decide(conn, *statements[done % len(statements)], explain=False)
            done += 1
        found = done * rows / (time.perf_counter() - began)
    opened.close()
    return found


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
