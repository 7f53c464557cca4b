"""`replay`: what a dial would have stopped in past sends, from real logs and from odd ones, without a trace."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from consent_service.cli import run
from tests.commands.conftest import Done, rejects, rows, without_settings
from tests.support.api import shared
from tests.support.cluster import clean_environment

Write = Callable[..., Path]
HEADER = "customer,channel,topic,contacted_at\n"


@pytest.fixture
def replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """`replay(log, "--level", "weekly")`, in an empty working directory; afterwards that nothing was left."""
    without_settings(monkeypatch)
    elsewhere, temporary = tmp_path / "elsewhere", tmp_path / "tmp"
    elsewhere.mkdir()
    temporary.mkdir()
    tmp_path.chmod(0o711)
    temporary.chmod(0o711)
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    def call(*arguments: object) -> Done:
        code = run(["replay", *(str(argument) for argument in arguments)])
        printed = capsys.readouterr()
        assert list(temporary.iterdir()) == []
        assert list(elsewhere.iterdir()) == []
        return Done(code, printed.out, printed.err)

    return call


@pytest.fixture(scope="session")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contact log of The Complete Journey: a letter for each household and campaign, at its start."""
    folder = shared("data/complete-journey")
    with (folder / "campaign_descriptions.csv").open(encoding="utf-8", newline="") as file:
        campaigns = {row["campaign_id"]: row for row in csv.DictReader(file)}
    log = tmp_path_factory.mktemp("journey") / "log.csv"
    with (
        (folder / "campaigns.csv").open(encoding="utf-8", newline="") as file,
        log.open("w", encoding="utf-8", newline="") as output,
    ):
        writer = csv.writer(output)
        writer.writerow(["customer", "channel", "topic", "contacted_at"])
        for row in csv.DictReader(file):
            campaign = campaigns[row["campaign_id"]]
            at = f"{campaign['start_date']}T09:00:00Z"
            writer.writerow([f"household:{row['household_id']}", "post", campaign["campaign_type"], at])
    return log


@pytest.mark.parametrize(("level", "refused", "households"), [("weekly", 37, 36), ("monthly", 1579, 817)])
def test_a_dial_over_real_campaigns(
    journey: Path, replay: Callable[..., Done], level: str, refused: int, households: int
) -> None:
    out = journey.with_name(f"{level}.csv")
    done = replay(journey, "--level", level, "--json", "--refused", out)
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert (found["contacts"], found["customers"], found["rejected"]) == (6589, 1559, 0)
    assert (found["refused"], found["customers_refused"]) == (refused, households)
    assert found["by_reason"] == {"volume_reached": refused}
    assert sum(found["by_topic"].values()) == sum(found["by_month"].values()) == refused
    written = rows(out)
    assert len(written) == refused
    assert len({row["customer"] for row in written}) == households


def test_a_cap_of_ones_own_and_a_refused_contact_does_not_count(replay: Callable[..., Done], write: Write) -> None:
    days = ["01", "10", "20", "31"]
    log = write(HEADER + "".join(f"email:a@example.com,mail,x/{day},2026-03-{day}T09:00:00Z\n" for day in days))
    done = replay(log, "--contacts", "1", "--per", "P30D", "--json")
    found = json.loads(done.out)
    # The fourth comes exactly 30 days after the first: the refused ones between took no room.
    assert (found["refused"], found["customers_refused"]) == (2, 1)
    assert [row["topic"] for row in rows(log.with_name("input.csv.refused.csv"))] == ["x/10", "x/20"]
    assert [row["next_allowed_at"] for row in rows(log.with_name("input.csv.refused.csv"))] == [
        "2026-03-31T09:00:00Z"
    ] * 2


def test_rows_in_any_order_and_people_named_in_any_way(replay: Callable[..., Done], write: Write) -> None:
    people = [
        "id:2b0a5b5e-0000-4000-8000-000000000001",
        "Membership-No:7",
        "postal:1 Sample Lane",
        "phone:+44 20 7946 0018",
    ]
    log = write(
        HEADER
        + "".join(f"{one},Our Mail,A & B,2026-03-02T09:00:00Z\n" for one in people)
        + "".join(f"{one},Our Mail,A & B,2026-03-01T09:00:00+01:00\n" for one in people)
        + "phone:+442079460018,sms,C,2026-03-03T00:00:00Z\n"
        + "nobody,sms,C,2026-03-03T00:00:00Z\nemail:x@example.com,sms,C,soon\nemail:x@example.com,sms\n"
    )
    done = replay(log, "--level", "weekly")
    assert done.code == 0
    assert done.out.startswith("5 of 9 contacts (55.6 %) would have been refused, to 4 of 4 customers.")
    assert "A & B" in done.out
    assert "2026-03" in done.out
    assert "contacts a second" in done.out
    assert "3 rows were not taken" in done.err
    assert sorted(rejects(log)) == [
        (11, "invalid_customer_reference"),
        (12, "invalid_timestamp"),
        (13, "invalid_value"),
    ]
    assert {row["contacted_at"] for row in rows(log.with_name("input.csv.refused.csv"))} == {
        "2026-03-02T09:00:00Z",
        "2026-03-03T00:00:00Z",
    }


CATALOGUE = """
time_zone: Europe/London
identifiers: [loyalty]
levels:
  - {name: quiet, mode: silent, label: {en: Nothing}}
  - {name: tried, mode: capped, contacts: 1, per: P1D, label: {en: Daily}}
  - {name: all, mode: open, label: {en: Everything}}
channels:
  email: {identifier: email, label: {en: Email}}
  sms: {identifier: phone, label: {en: Text}, quiet_hours: {from: "21:00", to: "08:00"}}
topics:
  offers: {basis: consent, label: {en: Offers}}
  orders: {basis: contract, label: {en: Orders}}
policies:
  - {name: house, channel: "*", topic: "*", contacts: 2, per: P7D}
"""


def test_with_a_catalogue_its_policies_quiet_hours_and_essential_topics_count(
    replay: Callable[..., Done], write: Write
) -> None:
    catalogue = write(CATALOGUE, "catalogue.yaml")
    log = write(
        HEADER + "loyalty:1,email,offers,2026-03-01T09:00:00Z\n"
        "loyalty:1,email,offers,2026-03-01T10:00:00Z\n"
        "loyalty:1,email,orders,2026-03-01T11:00:00Z\n"
        "loyalty:1,sms,offers,2026-03-02T22:00:00Z\n"
        "loyalty:1,email,offers,2026-03-03T09:00:00Z\n"
        "loyalty:1,email,offers,2026-03-05T09:00:00Z\n"
        "loyalty:1,fax,offers,2026-03-05T09:00:00Z\n"
        "loyalty:1,email,gossip,2026-03-05T09:00:00Z\n"
        "household:1,email,offers,2026-03-05T09:00:00Z\n"
    )
    done = replay(log, "--level", "tried", "--catalogue", catalogue, "--json")
    found = json.loads(done.out)
    assert (found["contacts"], found["refused"], found["rejected"]) == (6, 3, 3)
    assert found["by_reason"] == {"volume_reached": 2, "quiet_hours": 1}
    assert sorted(rejects(log)) == [(8, "unknown_channel"), (9, "unknown_topic"), (10, "unknown_identifier_kind")]
    own = json.loads(replay(log, "--contacts", "1", "--per", "P90D", "--catalogue", catalogue, "--json").out)
    assert own["by_reason"] == {"volume_reached": 4}


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--level", "weekly", "--contacts", "1", "--per", "P1D"),
        ("--contacts", "1"),
        ("--per", "P1D"),
        ("--contacts", "0", "--per", "P1D"),
        ("--contacts", "1", "--per", "1 week"),
        ("--contacts", "1", "--per", "P0D"),
        ("--contacts", "1", "--per", "P401D"),
    ],
)
def test_half_a_dial_is_refused(replay: Callable[..., Done], write: Write, arguments: tuple[str, ...]) -> None:
    log = write(f"{HEADER}email:a@example.com,mail,x,2026-03-01T09:00:00Z\n")
    assert replay(log, *arguments).code == 2


def test_what_cannot_be_replayed_is_one_line(replay: Callable[..., Done], write: Write, tmp_path: Path) -> None:
    row = "email:a@example.com,mail,x,2026-03-01T09:00:00Z\n"
    for text, arguments in (
        (HEADER + row, ("--level", "loud")),
        (HEADER, ("--level", "weekly")),
        ("customer\nx\n", ("--level", "weekly")),
        (HEADER + row, ("--level", "weekly", "--refused", tmp_path / "none" / "x.csv")),
    ):
        done = replay(write(text), *arguments)
        assert (done.code, done.out) == (1, "")
        assert len(done.err.splitlines()) == 1


def test_it_needs_neither_secret_nor_database_but_sound_settings(
    replay: Callable[..., Done], write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = write(f"{HEADER}email:a@example.com,mail,x,2026-03-01T09:00:00Z\n")
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert replay(log, "--level", "silent").out.startswith("1 of 1 contacts (100.0 %)")
    monkeypatch.setenv("CONSENT_OOPS", "1")
    assert replay(log, "--level", "silent").code == 2


def test_ended_in_the_middle_it_leaves_nothing(write: Write, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    tmp_path.chmod(0o711)
    temporary.chmod(0o711)
    log = write(HEADER + "".join(f"email:p{n}@example.com,mail,x,2026-03-01T09:00:00Z\n" for n in range(20_000)))
    process = subprocess.Popen(
        [sys.executable, "-m", "consent_service", "replay", str(log), "--level", "weekly"],
        env=clean_environment() | {"TMPDIR": str(temporary)},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(temporary.glob("consent-replay-*/postgres-*/postmaster.pid")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.strip() == "consent-service: interrupted"
    assert list(temporary.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["input.csv", "tmp"]
