"""The drill: a backup under traffic, the data directory lost, a restore, and everything as it was.

Ben loves wine and has an open permit, Dee gave her word on everything and is erased after the backup, Finn was
erased before it, Gus was merged into Hal, Ivy may not be written to at her address.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.backups.serving import (
    Rows,
    Traffic,
    command,
    database_in,
    privileges,
    rows,
    serving,
)
from tests.concurrency.crowd import Caller
from tests.support.api import CATALOGUE, Api
from tests.support.requests import in_days

QUESTIONS = [(channel, topic) for channel in ("email", "sms") for topic in ("offers/wine", "events", "orders")]
NOT_COMPARED = ("decided_at", "next_allowed_at", "request_id")


@dataclass
class Drill:
    """What was known before the data directory was lost."""

    folder: Path
    keys: dict[str, str]
    people: dict[str, str] = field(default_factory=dict)
    rows: Rows = field(default_factory=dict)
    privileges: set[tuple[Any, ...]] = field(default_factory=set)
    answers: list[Any] = field(default_factory=list)
    replayed: dict[str, Any] = field(default_factory=dict)
    permit: str = ""
    contacts_before: list[str] = field(default_factory=list)
    later: str = ""

    @property
    def file(self) -> Path:
        return self.folder / "night.backup"

    def caller(self, port: int, role: str) -> Caller:
        return Caller(port, self.keys[role], [])

    def ask_everything(self, port: int) -> list[Any]:
        """What checks, dials and histories say of everybody whom the backup knows."""
        campaign, auditor, found = self.caller(port, "campaign"), self.caller(port, "auditor"), []
        for name in self.people:
            for channel, topic in QUESTIONS:
                question = {"customer": f"email:{name}@example.com", "channel": channel, "topic": topic}
                found.append(campaign.post("/v1/permissions/check", question).body)
            paths = (f"/v1/customers/{self.people[name]}/{part}" for part in ("dials", "history?limit=200"))
            found += [auditor.call("GET", path).body for path in paths]
        return [{key: value for key, value in body.items() if key not in NOT_COMPARED} for body in found]

    def contact_once(self, port: int) -> Any:
        """A contact with an idempotency key: made the first time, said again every other time."""
        body = {"customer": "email:ben@example.com", "channel": "email", "topic": "events"}
        reply = self.caller(port, "campaign").post("/v1/contacts", body, **{"Idempotency-Key": '"drill-1"'})
        assert reply.status == 201, reply
        return reply.body


@pytest.fixture(scope="module")
def drill() -> Iterator[Drill]:
    """The service lives, is backed up under traffic, lives on, and its data directory is lost."""
    folder = Path(tempfile.mkdtemp(prefix="consent-backup-"))
    folder.chmod(0o711)
    try:
        with serving(folder / "data") as port:
            made = populate(folder, port)
            back_up_under_traffic(made, port)
            live_on(made, port)
            made.privileges = privileges(database_in(folder / "data"))
            # While it is served nobody restores over it, not even on demand.
            refused = command(folder / "data", "restore", made.file, "--replace")
            assert (refused.returncode, "stop it first" in refused.stderr) == (1, True)
        shutil.rmtree(folder / "data")
        yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def populate(folder: Path, port: int) -> Drill:
    api = Api(database_in(folder / "data"), CATALOGUE)
    made = Drill(folder, dict(api.keys))
    for name in ("ben", "dee", "finn", "gus", "hal", "ivy"):
        one = api.customer(f"email:{name}@example.com", f"phone:+44207183{len(made.people)}750")
        made.people[name] = str(one)
        assert api.turn(one, ("*", "offers", "everything"), ("*", "events", "weekly")).status_code == 200
    ben, hal = made.people["ben"], made.people["hal"]
    reserved = api.post("/v1/permits", {"customer": f"id:{ben}", "channel": "email", "topic": "offers/wine"})
    made.permit = reserved.json["id"]
    for method, path, body, role in (
        ("PUT", f"/v1/customers/{hal}/pause", {"until": in_days(30), "channel": "sms"}, "desk"),
        ("POST", f"/v1/customers/{hal}/merge", {"other": made.people["gus"]}, "desk"),
        ("POST", f"/v1/customers/{made.people['finn']}/erase", {}, "desk"),
        ("POST", "/v1/suppressions", {"contact_point": "email:ivy@example.com", "kind": "all", "reason": "x"}, "desk"),
        ("POST", "/v1/contacts", {"customer": f"id:{hal}", "channel": "email", "topic": "events"}, "campaign"),
    ):
        assert api.call(method, path, body, role=role).status_code < 300, path
    made.replayed = made.contact_once(port)
    made.answers = made.ask_everything(port)
    api.close()
    return made


def back_up_under_traffic(made: Drill, port: int) -> None:
    api = Api(database_in(made.folder / "data"))
    hot = [str(api.customer(f"email:hot{n}@example.com")) for n in range(20)]
    traffic = Traffic(port, made.keys["campaign"], hot)
    made.rows = rows(database_in(made.folder / "data"), of=list(made.people.values()))
    with traffic.flowing():
        made.contacts_before = list(traffic.contacts)
        done = command(made.folder / "data", "backup", made.file)
        assert done.returncode == 0, done.stderr
    assert "secret" in done.stdout.splitlines()[-1]
    assert set(traffic.statuses) <= {200, 201, 409}
    assert made.contacts_before
    api.close()


def live_on(made: Drill, port: int) -> None:
    desk = made.caller(port, "desk")
    made.later = desk.post("/v1/customers", {"identifiers": ["email:later@example.com"]}).body["id"]
    assert desk.turn(made.people["ben"], ("email", "*", "silent")).status == 200
    assert desk.post(f"/v1/customers/{made.people['dee']}/erase", {}).status < 300


@pytest.fixture(scope="module")
def restored(drill: Drill) -> Iterator[tuple[Drill, int]]:
    """A service on a new data directory that was filled from the backup."""
    data = drill.folder / "new"
    done = command(data, "restore", drill.file)
    assert done.returncode == 0, done.stderr
    assert "erase them again" in done.stdout.splitlines()[-1]
    with serving(data) as port:
        yield drill, port


def test_every_row_of_before_the_backup_is_there(restored: tuple[Drill, int]) -> None:
    drill, _ = restored
    found = rows(database_in(drill.folder / "new"), of=list(drill.people.values()))
    assert found.keys() == drill.rows.keys()
    missing = {name: drill.rows[name] - found[name] for name in found}
    assert not any(missing.values()), missing
    assert {name: len(found[name]) for name in found} == {name: len(drill.rows[name]) for name in found}
    assert {"dial", "permit", "contact", "event", "suppression"} <= {name for name in found if found[name]} | {
        "suppression"
    }


def test_every_contact_confirmed_before_it_is_there_with_its_event(restored: tuple[Drill, int]) -> None:
    drill, port = restored
    with psycopg.connect(database_in(drill.folder / "new").owner_url) as conn:
        count, orphans = conn.execute(
            "SELECT count(*), count(*) FILTER (WHERE e.event_id IS NULL) FROM contact k"
            " LEFT JOIN event e USING (customer_id, event_id)"
        ).fetchone() or (0, 0)
    assert count >= len(drill.contacts_before) + 2
    assert orphans == 0
    assert drill.caller(port, "desk").post("/v1/customers/lookup", {"customer": f"id:{drill.later}"}).status == 404


def test_checks_dials_and_histories_say_the_same(restored: tuple[Drill, int]) -> None:
    drill, port = restored
    assert drill.ask_everything(port) == drill.answers


def test_a_repeated_request_is_answered_as_it_was(restored: tuple[Drill, int]) -> None:
    drill, port = restored
    assert drill.contact_once(port) == drill.replayed


def test_an_open_permit_can_be_used_once(restored: tuple[Drill, int]) -> None:
    drill, port = restored
    campaign = drill.caller(port, "campaign")
    used = [campaign.post(f"/v1/permits/{drill.permit}/use", None) for _ in range(2)]
    assert [one.status for one in used] == [201, 200]
    assert used[0].body["id"] == used[1].body["id"]


def test_rights_triggers_and_constraints_are_as_before(restored: tuple[Drill, int]) -> None:
    drill, _ = restored
    database = database_in(drill.folder / "new")
    assert privileges(database) == drill.privileges
    for url in (database.service_url, database.owner_url):
        with psycopg.connect(url, autocommit=True) as conn:
            for statement in (
                "DELETE FROM event",
                "UPDATE event_content SET ciphertext = ''",
                "TRUNCATE event CASCADE",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    conn.execute(statement.encode())


def test_who_was_erased_since_is_back_and_can_be_erased_again(restored: tuple[Drill, int]) -> None:
    drill, port = restored
    desk = drill.caller(port, "desk")
    question = {"customer": "email:dee@example.com", "channel": "email", "topic": "events"}
    assert desk.post("/v1/permissions/check", question).body["reason"] != "erased"
    assert desk.post(f"/v1/customers/{drill.people['dee']}/erase", {}).status < 300
    assert desk.post("/v1/permissions/check", question).body["reason"] == "erased"
