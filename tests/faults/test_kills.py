"""Killed again and again under load, the service keeps its word: kill -9 of each of its parts in turn.

`CONSENT_TEST_KILLS` says how many: 200 is the number that is promised, the usual run takes 20. The five seconds are
those of a machine that has time for it: where more than two processes a processor want to run, they grow alike.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import psycopg
import pytest

from consent_service.customers.ids import decode_id
from consent_service.database.embedded import EmbeddedServer
from tests.faults.load import ABOUT, Load
from tests.faults.served import Caller, Served, eventually, kill, serving

KILLS = int(os.environ.get("CONSENT_TEST_KILLS", "20"))
KINDS = ("worker of web", "postgres", "backend", "web")
SERVING_AGAIN_SECONDS = 5.0
CALM = 2.0  # processes that want to run, for each processor
MOST_SECONDS = 60.0
CUSTOMERS = 12
CATALOGUE = Path(__file__).parents[1] / "support" / "catalogue.yaml"


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="consent-kills-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_after_every_kill_it_serves_again_and_has_kept_its_word(folder: Path) -> None:
    with serving(folder) as served:
        load = begin(served)
        try:
            times = [(kind, kill_one(served, load, kind), longest()) for kind in (KINDS * KILLS)[:KILLS]]
        finally:
            memory = load.stop()
        report(times)
        assert memory.problems == []
        assert memory.silences > KILLS / 2, "there was hardly any load"
        assert memory.contacts
        expect_kept(served, load)
        checked = served.command("fsck", "--json")
        found = json.loads(checked.stdout)
        assert (checked.returncode, found["findings"], found["not_checked"]) == (0, [], {})
    late = [(kind, round(seconds, 1), round(most, 1)) for kind, seconds, most in times if seconds > most]
    assert late == []


def begin(served: Served) -> Load:
    """Keys, a catalogue, customers who take five mails a week, and callers at work."""
    assert served.command("catalogue", "apply", str(CATALOGUE)).returncode == 0
    desk, campaign = served.key("desk", "desk"), served.key("campaign", "newsletter", "--topic", "offers")
    caller = Caller(served.port, desk)
    customers = []
    for number in range(CUSTOMERS):
        made = caller.once("POST", "/v1/customers", {"identifiers": [f"email:k{number}@example.com"]})
        assert made is not None
        assert made.status == 201
        customers.append(made.body["id"])
    load = Load(served.port, campaign, desk, customers)
    for one in customers:
        load._set(caller, one, "busy")
        change = {"channel": "*", "topic": "offers", "level": "everything"}
        wish = {"changes": [change], "source": "phone", "evidence": {"call": "1"}}
        wish["notice"] = {"id": "preferences", "version": "1", "locale": "en"}
        turned = caller.once("PATCH", f"/v1/customers/{one}/dials", wish)
        assert turned is not None
        assert turned.status == 200
    load.start()
    return load


def kill_one(served: Served, load: Load, kind: str) -> float:
    """Kills one process of the kind; seconds until another one is in its place and a decision is made."""
    time.sleep(random.uniform(0.1, 0.5))
    eventually(lambda: served.victims(kind), MOST_SECONDS)
    victim = random.choice(served.victims(kind))
    kill([victim])
    caller = Caller(served.port, load.campaign)

    def serves() -> bool:
        now = served.victims(kind)
        caller.hang_up()
        decided = caller.once("POST", "/v1/permissions/check", {"customer": f"id:{load.customers[0]}", **ABOUT})
        return bool(now) and victim not in now and decided is not None and decided.status == 200 and caller.ready()

    return eventually(serves, MOST_SECONDS)


def longest() -> float:
    """How long it may take until a part serves again, as busy as the machine is now."""
    wanting = os.getloadavg()[0] / (os.cpu_count() or 1)
    return SERVING_AGAIN_SECONDS * max(1.0, wanting / CALM)


def report(times: list[tuple[str, float, float]]) -> None:
    """The figures, for those who run it by hand (pytest -s)."""
    for kind in KINDS:
        seconds = [one for what, one, _ in times if what == kind]
        if seconds:
            print(
                f"{kind}: {len(seconds)} kills, serving again after {median(seconds):.2f} s, at most {max(seconds):.2f}"
            )


def expect_kept(served: Served, load: Load) -> None:
    """Every confirmed contact is in the ledger, nothing else is, and every dial stands as it was confirmed last."""
    memory = load.memory
    with psycopg.connect(EmbeddedServer(served.data_dir).owner_url, autocommit=True) as conn:
        ledger = {row[0] for row in conn.execute("SELECT contact_id FROM contact")}
        dials = conn.execute("SELECT customer_id::text, level FROM dial WHERE channel = 'email' AND topic = '*'")
        stand = {str(customer): str(level) for customer, level in dials}
    assert {decoded[1] for one in memory.contacts if (decoded := decode_id(one))} == ledger
    assert stand == memory.levels
