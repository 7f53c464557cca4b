"""The command line's `replay`: what would this dial have stopped in our past sends?"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import click

from consent_service.catalogue.commands import read_catalogue
from consent_service.clock import LONGEST_PERIOD_SECONDS, parse_duration, parse_time
from consent_service.commands import FILE, NEW_FILE, cleaning_up, lines_of, progress
from consent_service.csvfile import Rejects, Row, new_file, open_table
from consent_service.errors import ConsentError
from consent_service.permissions.replay import PASSED, Result, Sent, plan, replay
from consent_service.settings import Settings

COLUMNS = ("customer", "channel", "topic", "contacted_at")


@click.command("replay")
@click.argument("log", type=FILE)
@click.option("--level", help="A level of the catalogue; without --catalogue, of the shipped example.")
@click.option("--contacts", type=click.IntRange(1, 1_000_000), help="With --per: a cap of one's own.")
@click.option("--per", help="The window of --contacts: P[n]DT[n]H[n]M, as P30D.")
@click.option("--catalogue", type=FILE, help="Without it, kinds, channels and topics are those of the log.")
@click.option("--refused", type=NEW_FILE, help="Where the refused rows go; without it, LOG.refused.csv.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def replay_command(
    log: Path,
    level: str | None,
    contacts: int | None,
    per: str | None,
    catalogue: Path | None,
    refused: Path | None,
    as_json: bool,
) -> None:
    """Ask the contacts in LOG (customer,channel,topic,contacted_at) again, as if this dial had stood.

    It runs in a throw-away database: nothing of the log is kept.
    """
    cap = _cap(level, contacts, per)
    settings = Settings.without_secret(os.environ)
    document = read_catalogue(catalogue)[1].document if catalogue else None
    refused = refused or log.with_name(log.name + ".refused.csv")
    with Rejects(log) as rejects:
        rows, sent = _read(log, rejects)
        asked = plan(sent, level=level, cap=cap, catalogue=document)
        with new_file(refused) as file:
            with cleaning_up(), progress(len(sent), "contacts") as bar:
                result = replay(sent, asked, settings, bar.update)
            _write_refused(file, rows, result)
        for row, (reason, _) in zip(rows, result.answers, strict=True):
            if reason.startswith("error:"):
                rejects.add(row, ConsentError(reason.removeprefix("error:")))
    figures = {**result.shown(), "rejected": rejects.count}
    if as_json:
        click.echo(json.dumps(figures))
    else:
        _print(result, refused)
    if told := rejects.told():
        click.echo(told, err=True)


def _cap(level: str | None, contacts: int | None, per: str | None) -> tuple[int, str] | None:
    if (contacts is None) != (per is None) or (level is None) == (contacts is None):
        raise click.UsageError("Give --level, or --contacts with --per.")
    if contacts is None or per is None:
        return None
    try:
        seconds = parse_duration(per)
    except ValueError as error:
        raise click.UsageError(f"--per: {error}.") from error
    if not 60 <= seconds <= LONGEST_PERIOD_SECONDS:
        raise click.UsageError("--per: a window has one minute to 400 days.")
    return contacts, per


def _read(log: Path, rejects: Rejects) -> tuple[list[Row], list[Sent]]:
    rows, sent = [], []
    with open_table(log, COLUMNS) as table, progress(lines_of(log) - 1, "rows read") as bar:
        for row in table.rows():
            bar.update()
            if not isinstance(row, Row):
                rejects.add(row)
                continue
            try:
                cells = [row.cells[name].strip() for name in COLUMNS]
                sent.append(Sent(cells[0], cells[1], cells[2], parse_time(cells[3])))
                rows.append(row)
            except ConsentError as error:
                rejects.add(row, error)
    if not sent:
        raise ConsentError("invalid_value", f"{log.name} has no contact that can be asked about.")
    return rows, sent


def _write_refused(file: IO[str], rows: Sequence[Row], result: Result) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*COLUMNS, "reason", "next_allowed_at"])
    for row, (reason, next_at) in zip(rows, result.answers, strict=True):
        if reason not in PASSED and not reason.startswith("error:"):
            writer.writerow([*(row.cells[name] for name in COLUMNS), reason, next_at or ""])


def _print(result: Result, refused: Path) -> None:
    share = 100 * result.refused / max(result.contacts, 1)
    click.echo(
        f"{result.refused:,} of {result.contacts:,} contacts ({share:.1f} %) would have been refused, "
        f"to {result.customers_refused:,} of {result.customers:,} customers."
    )
    for title, counts in (
        ("by reason", dict(result.by_reason.most_common())),
        ("by topic", dict(sorted(result.by_topic.items()))),
        ("by month", dict(sorted(result.by_month.items()))),
    ):
        if counts:
            click.echo(f"\n{title}")
            for name, count in counts.items():
                click.echo(f"  {name:<24} {count:>10,}")
    click.echo(f"\nrefused rows: {refused}")
    click.echo(f"{result.contacts / max(result.seconds, 1e-9):,.0f} contacts a second in {result.seconds:.1f} s")
