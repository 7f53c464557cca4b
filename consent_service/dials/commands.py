"""The command line's `dials`: wishes that other systems wrote down.

An import never raises a dial that stands unless it is dated after it, and a blank level is unknown: the row
is kept aside, and nothing is assumed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from uuid import UUID

import click

from consent_service.catalogue.service import hold_catalogue
from consent_service.clock import parse_time
from consent_service.commands import FILE, Opened, lines_of, opened, progress
from consent_service.csvfile import Rejects, Row, batches, open_table
from consent_service.customers.model import parse_reference
from consent_service.customers.service import Resolved, create_unknown_many, lock_many, resolve_many
from consent_service.database import Connection
from consent_service.dials import service
from consent_service.dials.model import Change, Wish
from consent_service.errors import ConsentError
from consent_service.history.model import Actor

ACTOR = Actor("system", "dials import")
COLUMNS = ("customer", "channel", "topic", "level", "occurred_at")
BATCH = 500


@click.group("dials")
def dials() -> None:
    """The customers' volume dials."""


@dials.command("import")
@click.argument("file", type=FILE)
def import_command(file: Path) -> None:
    """Turn dials as the rows of FILE say, in its order: customer,channel,topic,level,occurred_at.

    Unknown customers are made. A row never makes a dial louder unless it is dated after the dial.
    """
    turned = same = 0
    with ExitStack() as stack:
        table = stack.enter_context(open_table(file, COLUMNS))
        source = {"file": file.name, "sha256": _digest(file)}
        one = stack.enter_context(opened())
        rejects = stack.enter_context(Rejects(file))
        bar = stack.enter_context(progress(lines_of(file) - 1))
        for batch in batches(table, rejects, BATCH):
            # A batch is one transaction; a row that is refused leaves no trace of itself in it.
            results = one.database.repeatedly(partial(_turn, one=one, rows=batch, source=source))
            for row, result in zip(batch, results, strict=True):
                if isinstance(result, ConsentError):
                    rejects.add(row, result)
                else:
                    turned, same = turned + result, same + (not result)
            bar.update(len(batch))
    click.echo(f"{turned} dials turned, {same} stood so already.")
    if told := rejects.told():
        click.echo(told, err=True)


def _digest(file: Path) -> str:
    with file.open("rb") as opened_file:
        return hashlib.file_digest(opened_file, "sha256").hexdigest()


def _turn(conn: Connection, one: Opened, rows: Sequence[Row], source: Mapping[str, str]) -> list[bool | ConsentError]:
    found = resolve_many(conn, one.keyring, [row.cells["customer"] for row in rows])
    hold_catalogue(conn)
    # All at once and in order, so that two imports never wait for each other.
    lock_many(conn, one.keyring, {who.customer_id for who in found if who.customer_id})
    results: list[bool | ConsentError] = []
    for row, who in zip(rows, found, strict=True):
        try:
            with conn.transaction():
                owner = _owner(conn, one, row.cells["customer"], who)
                results.append(service.turn(conn, one.keyring, ACTOR, owner, _wish(row, source)))
        except ConsentError as error:
            results.append(error)
    return results


def _owner(conn: Connection, one: Opened, reference: str, who: Resolved) -> UUID:
    """The customer of a row; somebody unknown becomes one, if the row holds."""
    if who.error is not None:
        raise who.error
    if who.customer_id is not None:
        return who.customer_id
    if who.state == "erased":
        raise ConsentError("customer_erased", "An import never brings a customer back.")
    if who.kind is None:
        raise ConsentError("unknown_customer", "No customer has this id.")
    parsed = parse_reference(reference)
    made = create_unknown_many(conn, one.keyring, ACTOR, [parsed], source="import").get(parsed)
    if made is None:  # erased, or given to several, since the look-up
        raise ConsentError("unknown_customer", "This name changed hands meanwhile. Import the row again.")
    return made


def _wish(row: Row, source: Mapping[str, str]) -> Wish:
    cells = {name: value.strip() for name, value in row.cells.items()}
    if not cells["level"]:
        raise ConsentError("missing_field", "level: blank means unknown, and nothing is turned.")
    return Wish(
        changes=(Change(cells["channel"], cells["topic"], cells["level"]),),
        source="import",
        evidence={**source, "line": row.line},
        occurred_at=parse_time(cells["occurred_at"]) if cells["occurred_at"] else None,
    )
