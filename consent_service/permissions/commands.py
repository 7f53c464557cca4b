"""The command line's `contacts import` and `screen`: parses, calls the services, prints."""

from __future__ import annotations

import csv
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

import click

from consent_service.clock import format_time, parse_time
from consent_service.commands import FILE, NEW_FILE, Opened, lines_of, opened, progress
from consent_service.csvfile import BadRow, Rejects, Row, Table, batches, new_file, open_table
from consent_service.errors import ConsentError
from consent_service.history.model import Actor
from consent_service.keys import service as keys
from consent_service.permissions import screening
from consent_service.permissions.model import Report, Scope
from consent_service.permissions.reports import report_many
from consent_service.permissions.schemas import LONGEST_CAMPAIGN

if TYPE_CHECKING:
    from tqdm import tqdm

IMPORT = Actor("system", "contacts import")
BATCH = 5000
ANSWER = ("allowed", "reason", "next_allowed_at", "remaining", "decided_at")
PERMIT = ("permit_id", "expires_at")


@click.group("contacts")
def contacts() -> None:
    """The ledger of contacts made."""


@contacts.command("import")
@click.argument("file", type=FILE)
@click.option("--channel", help="For rows that name none.")
@click.option("--topic", help="For rows that name none.")
def import_command(file: Path, channel: str | None, topic: str | None) -> None:
    """Record the contacts in FILE that were made: customer,channel,topic,contacted_at,campaign.

    Unknown customers become customers without dials. The same file again records nothing twice.
    """
    recorded = before = 0
    needed = ["customer", "contacted_at"] + ([] if channel else ["channel"]) + ([] if topic else ["topic"])
    with ExitStack() as stack:
        table = stack.enter_context(open_table(file, needed))
        one = stack.enter_context(opened())
        rejects = stack.enter_context(Rejects(file))
        bar = stack.enter_context(progress(lines_of(file) - 1))
        with one.database.reading() as conn:
            identity = one.keyring.service(conn)
        seen: Counter[str] = Counter()

        def report(row: Row) -> Report:
            cells = {name: value.strip() for name, value in row.cells.items()}
            fields = (
                cells["customer"],
                cells.get("channel") or channel or "",
                cells.get("topic") or topic or "",
                cells["contacted_at"],
                cells.get("campaign", ""),
            )
            text = "\x1f".join(fields)
            # A row is known again by its fields and its occurrence among equal rows; hashed with the
            # service's key, because the fields name a person.
            seen[text] += 1
            external_id = identity.identity_hash("contacts import", f"{text}\x1f{seen[text]}").hex()
            at = parse_time(fields[3])
            if len(fields[4]) > LONGEST_CAMPAIGN:
                raise ConsentError("invalid_value", f"campaign: at most {LONGEST_CAMPAIGN} characters.")
            return Report(fields[0], fields[1], fields[2], at, external_id, fields[4] or None)

        for rows in batches(table, rejects, BATCH):
            new, known = _record(one, rows, report, rejects)
            recorded, before = recorded + new, before + known
            bar.update(len(rows))
    click.echo(f"{recorded} contacts recorded, {before} were recorded before.")
    if told := rejects.told():
        click.echo(told, err=True)


def _record(one: Opened, rows: Sequence[Row], report: Callable[[Row], Report], rejects: Rejects) -> tuple[int, int]:
    reports: list[Report | ConsentError] = []
    for row in rows:
        try:
            reports.append(report(row))
        except ConsentError as error:
            reports.append(error)
    results = one.database.repeatedly(lambda conn: report_many(conn, one.keyring, IMPORT, reports))
    new = known = 0
    for row, result in zip(rows, results, strict=True):
        if isinstance(result, ConsentError):
            rejects.add(row, result)
        elif result.new:
            new += 1
        else:
            known += 1
    return new, known


@click.command("screen")
@click.argument("audience", type=FILE)
@click.option("--channel", required=True)
@click.option("--topic", required=True)
@click.option("--at", help="Ask about this time (RFC 3339); without it, now.")
@click.option("--reserve", is_flag=True, help="Reserve room for every allowed row.")
@click.option("--key-name", help="Whose permits they are; needed with --reserve.")
@click.option("--output", type=NEW_FILE, help="Where to write; without it, standard output.")
def screen(
    audience: Path,
    channel: str,
    topic: str,
    at: str | None,
    reserve: bool,
    key_name: str | None,
    output: Path | None,
) -> None:
    """Answer for every row of AUDIENCE (column `customer`) whether it may be contacted, in its order."""
    if reserve != bool(key_name):
        raise click.UsageError("--reserve and --key-name go together.")
    instant = parse_time(at) if at else None
    question = screening.Question(channel, topic, instant)
    with ExitStack() as stack:
        table = stack.enter_context(open_table(audience, ["customer"]))
        rows = list(table.rows())
        if not rows:
            raise ConsentError("invalid_value", f"{audience.name} has a header and no rows.")
        # Opened before anything is asked: permits that nobody can be told of would only take room.
        file = stack.enter_context(new_file(output)) if output else sys.stdout
        one = stack.enter_context(opened())
        bar = stack.enter_context(progress(len(rows)))
        answers = _reserved(one, question, rows, key_name, bar) if key_name else _answered(one, question, rows, bar)
        reasons = _write(file, table, rows, answers, PERMIT if reserve else ())
    click.echo(", ".join(f"{reason} {count}" for reason, count in reasons.most_common()), err=True)


def _references(rows: Iterable[Row | BadRow]) -> list[str | ConsentError]:
    return [row.cells["customer"] if isinstance(row, Row) else row.error for row in rows]


def _answered(
    one: Opened, question: screening.Question, rows: Sequence[Row | BadRow], bar: tqdm[NoReturn]
) -> list[screening.Answer]:
    answers: list[screening.Answer] = []
    references = _references(rows)
    with one.database.snapshot() as conn:
        now = screening.begin(conn, question)
        for start in range(0, len(references), BATCH):
            batch = references[start : start + BATCH]
            answers += screening.answer(conn, one.keyring, question, batch, now)
            bar.update(len(batch))
    return answers


def _reserved(
    one: Opened, question: screening.Question, rows: Sequence[Row | BadRow], key_name: str, bar: tqdm[NoReturn]
) -> list[screening.Answer]:
    with one.database.reading() as conn:
        key = keys.find_by_name(conn, key_name)
        actor = Actor(key.role, key.name, topics=key.topics)
        if actor.role != "campaign":
            raise ConsentError("role_not_allowed", "Permits belong to campaign keys.")
        screening.begin(conn, question, Scope.of(actor))
    references = _references(rows)
    order = sorted(range(len(rows)), key=lambda position: (-_priority(rows[position]), position))
    answers: dict[int, screening.Answer] = {}
    for start in range(0, len(order), BATCH):
        positions = order[start : start + BATCH]
        batch = [references[position] for position in positions]
        reserved = one.database.repeatedly(
            partial(screening.reserve, keyring=one.keyring, actor=actor, question=question, references=batch)
        )
        answers.update(zip(positions, reserved, strict=True))
        bar.update(len(batch))
    return [answers[position] for position in range(len(rows))]


def _priority(row: Row | BadRow) -> float:
    """Higher is served first; a row without a number there is served as if it were 0."""
    try:
        priority = float(row.cells.get("priority") or 0) if isinstance(row, Row) else 0.0
    except ValueError:
        return 0.0
    return priority if math.isfinite(priority) else 0.0


def _write(
    file: IO[str],
    table: Table,
    rows: Sequence[Row | BadRow],
    answers: Sequence[screening.Answer],
    more: Sequence[str],
) -> Counter[str]:
    writer = csv.writer(file, delimiter=table.delimiter, lineterminator="\n")
    writer.writerow([*table.columns, *ANSWER, *more])
    reasons: Counter[str] = Counter()
    for row, one in zip(rows, answers, strict=True):
        width = len(table.columns)
        # A row that cannot be read shows what it seems to hold, in as many cells as there are columns.
        values = [*row.values[:width], *[""] * (width - len(row.values))]
        writer.writerow([*values, *(_cell(getattr(one, name)) for name in (*ANSWER, *more))])
        reasons[one.reason] += 1
    return reasons


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return format_time(value) if isinstance(value, datetime) else str(value)
