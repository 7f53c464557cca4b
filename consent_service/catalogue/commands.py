"""The command line's `catalogue`: parses, calls the service, prints. Owns what an operator reads of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import click
import yaml

from consent_service.catalogue import service
from consent_service.catalogue.model import Catalogue
from consent_service.catalogue.yamlfile import LARGEST_FILE_BYTES, CatalogueFile, read_yaml
from consent_service.database.opening import open_database
from consent_service.errors import ConsentError
from consent_service.history.model import Actor
from consent_service.keyring.service import Keyring
from consent_service.settings import Settings

FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


@click.group("catalogue")
def catalogue() -> None:
    """What can be dialled: levels, channels, topics, policies, notices."""


@catalogue.command("apply")
@click.argument("file", type=FILE)
@click.option(
    "--accept-louder",
    is_flag=True,
    help="Apply changes that make existing customers louder; history records them.",
)
def apply_command(file: Path, accept_louder: bool) -> None:
    """Load FILE as the catalogue. It holds from the next request on, or not at all."""
    source, parsed = read_catalogue(file)
    settings = Settings.from_environment(os.environ)
    actor = Actor("system", "catalogue apply")
    try:
        with open_database(settings) as database, database.transaction() as conn:
            applied = service.apply_catalogue(
                conn, Keyring(*settings.secrets), actor, parsed.document, accept_louder=accept_louder
            )
    except ConsentError as error:
        if not error.errors:
            raise
        _list_faults(file, source, error)
        if error.code == "louder_catalogue":
            _end("Nothing was applied: this would make existing customers louder. --accept-louder applies it.")
        _end("Nothing was applied.")
    _tell(applied)


@catalogue.command("show")
def show_command() -> None:
    """Print the catalogue that holds, as a file that can be applied."""
    settings = Settings.from_environment(os.environ)
    with open_database(settings) as database, database.reading() as conn:
        document = service.current(conn)
    if document is None:
        _end("No catalogue was applied yet.")
    click.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110), nl=False)


def read_catalogue(file: Path) -> tuple[CatalogueFile, Catalogue]:
    """The catalogue in a file; prints all its faults and ends the command when there are any."""
    with file.open("rb") as opened:
        source = read_yaml(opened.read(LARGEST_FILE_BYTES + 1))
    try:
        return source, source.catalogue()
    except ConsentError as error:
        _list_faults(file, source, error)
        count = "one fault" if len(error.errors) == 1 else f"{len(error.errors)} faults"
        _end(f"{_printable(str(file))} has {count}.")


def _list_faults(file: Path, source: CatalogueFile, error: ConsentError) -> None:
    for fault in error.errors:
        place = f"{file}:{source.line(fault['pointer'])}: {fault['pointer'] or '/'}"
        click.echo(_printable(f"{place}: {fault['detail']}"), err=True)


def _tell(applied: service.Applied) -> None:
    if not applied.changed:
        click.echo(f"This catalogue holds already, as version {applied.version}; nothing was changed.")
        return
    click.echo(f"The catalogue is now version {applied.version}.")
    _list("New", applied.added)
    _list("Retired, because customers' settings stand on it", applied.retired)
    _list("Deleted", applied.deleted)
    _list(
        "Louder for existing customers, accepted",
        (f"{change.pointer}: {change.detail}" for change in applied.accepted_louder),
    )


def _list(title: str, lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(f"{title}: {line}")


def _printable(text: str) -> str:
    """The text without what a terminal would obey: names in a faulty file can hold anything."""
    return "".join(character if character.isprintable() else "�" for character in text)


def _end(text: str) -> NoReturn:
    click.echo(text, err=True)
    raise click.exceptions.Exit(1)
