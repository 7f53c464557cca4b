"""The command line's `backup` and `restore`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from consent_service.backups import service
from consent_service.backups.archive import BackupError, read_facts
from consent_service.commands import FILE, NEW_FILE, cleaning_up
from consent_service.settings import Settings, secret_file


@click.command("backup")
@click.argument("path", metavar="FILE", type=NEW_FILE)
@click.option("--force", is_flag=True, help="Overwrite FILE.")
def backup(path: Path, force: bool) -> None:
    """Write the whole database into FILE, whether the service runs or not.

    FILE appears when it is complete. It needs the root secret to be of use, which it does not hold.
    """
    settings = Settings.without_secret(os.environ)
    with cleaning_up():
        facts = service.backup(settings, path, overwrite=force)
    click.echo(f"{path}: {path.stat().st_size} bytes, as of {facts.made_at}, schema {facts.schema}")
    if settings.database_url is None:
        where = f"{secret_file(settings.data_dir)} or CONSENT_SECRET_KEY"
    else:
        where = "CONSENT_SECRET_KEY"
    click.echo(f"The root secret is not inside, and nothing can be read without it: keep {where} too, elsewhere.")


@click.command("restore")
@click.argument("path", metavar="FILE", type=FILE)
@click.option("--replace", is_flag=True, help="Also when the data directory holds data, which is then lost.")
def restore(path: Path, replace: bool) -> None:
    """Make the backup in FILE the embedded database. The service must not run.

    The root secret of the backup's day must be given: in the data directory as secret.key, or as
    CONSENT_SECRET_KEY.
    """
    settings = Settings.without_secret(os.environ)
    if settings.database_url is not None:
        raise BackupError(_by_hand(path))
    if not secret_file(settings.data_dir).exists() and not {"CONSENT_SECRET_KEY", "CONSENT_SECRET_KEY_FILE"} & set(
        os.environ
    ):
        # A new one would be generated, which opens nothing.
        raise BackupError(
            f"there is no root secret: put the one of the backup's day into {secret_file(settings.data_dir)}"
            " or CONSENT_SECRET_KEY"
        )
    with cleaning_up():
        done = service.restore(Settings.from_environment(os.environ), path, replace_data=replace)
    for name in done.applied:
        click.echo(f"applied {name}")
    click.echo(f"{settings.data_dir} holds the database as of {done.facts.made_at}.")
    click.echo("People who were erased after that are back: erase them again before the service runs.")


def _by_hand(path: Path) -> str:
    facts = read_facts(path)
    return (
        "restore works on the embedded database only. With DATABASE_URL: create an empty database and the role"
        f" consent_service, run `pg_restore --exit-on-error --no-owner --dbname=NEW_DATABASE {path}` as the login that"
        " owns it, point DATABASE_URL there and run `consent-service migrate`. People erased after"
        f" {facts.made_at} must be erased again"
    )
