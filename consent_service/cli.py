"""The command line: parses, calls a service, prints. Rules live in the slices.

What goes wrong is one line on standard error, with exit code 2 for a setting or an argument, else 1.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import NoReturn

import click

from consent_service import __version__, logs
from consent_service.backups.archive import BackupError
from consent_service.backups.commands import backup, restore
from consent_service.catalogue.commands import catalogue
from consent_service.database import migrate as migrations
from consent_service.database.embedded import EmbeddedServerError
from consent_service.database.opening import OpeningError, open_database
from consent_service.dials.commands import dials
from consent_service.errors import ConsentError
from consent_service.fsck.commands import fsck
from consent_service.keyring.commands import secret
from consent_service.keys.commands import keys
from consent_service.mail.sending import folder_of
from consent_service.permissions.commands import contacts, screen
from consent_service.permissions.replay_commands import replay_command
from consent_service.serve import serve, stop_requests
from consent_service.settings import Settings, SettingsError
from consent_service.web.server import LISTEN_FDS_START, held_by_systemd, listen_on, serve_web
from consent_service.worker import jobs, work

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8080

HOST = click.option("--host", default=DEFAULT_HOST, show_default=True, help="Address to listen on.")
PORT = click.option("--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True)
WORKERS = click.option(
    "--workers", type=click.IntRange(1, 1024), help="Processes that answer; default CONSENT_WEB_WORKERS."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="consent-service")
def cli() -> None:
    """Preference and consent service: customers turn volume dials, senders ask before each contact."""


@cli.command("serve")
@HOST
@PORT
@WORKERS
@click.option("--demo", is_flag=True, help="Load the example catalogue and made-up customers, if there are none.")
def serve_command(host: str, port: int, workers: int | None, demo: bool) -> None:
    """Run everything: web, worker and, without DATABASE_URL, the embedded PostgreSQL."""
    os.environ.setdefault("CONSENT_PUBLIC_URL", f"http://127.0.0.1:{port}")
    settings = read_settings()
    with _listener(host, port) as listener:
        programs = {"web": _web_arguments(settings, listener, workers), "worker": ["worker"]}
        serve(settings, programs, listener, demo=demo)


@cli.command("web")
@HOST
@PORT
@WORKERS
@click.option("--descriptor", type=click.IntRange(3), hidden=True, help="Of a listening socket that is open already.")
def web_command(host: str, port: int, workers: int | None, descriptor: int | None) -> None:
    """Answer requests. With DATABASE_URL the schema must be there: see `migrate`.

    A socket that systemd holds (LISTEN_FDS) takes the place of --host and --port.
    """
    settings = read_settings()
    if descriptor is not None:
        listener = socket.socket(fileno=descriptor)
    elif settings.database_url is not None and held_by_systemd(os.environ):
        serve_web(settings, None, workers=workers or settings.web_workers)
        return
    else:
        listener = _listener(host, port)
    with listener:
        if settings.database_url is not None:
            serve_web(settings, listener, workers=workers or settings.web_workers)
        serve(settings, {"web": _web_arguments(settings, listener, workers)}, listener, demo=False)


@cli.command("worker")
def worker_command() -> None:
    """Do what is due in the background."""
    settings = read_settings()
    logs.install()
    with stop_requests() as stop, open_database(settings) as database:
        if settings.smtp is None:
            logs.say(f"CONSENT_SMTP_URL is not set: mail is written to {folder_of(settings)}")
        work(database, jobs(settings), stop)


@cli.command("migrate")
def migrate_command() -> None:
    """Bring the schema to the newest version."""
    settings = read_settings()
    if settings.database_url is None:
        # Opening the embedded database migrates it.
        with open_database(settings):
            click.echo("the schema is up to date")
        return
    applied = migrations.migrate(settings.migration_url or settings.database_url, settings.database_url)
    for name in applied:
        click.echo(f"applied {name}")
    click.echo("the schema is up to date")


for command in (catalogue, keys, contacts, dials, screen, replay_command, secret, backup, restore, fsck):
    cli.add_command(command)


def read_settings() -> Settings:
    """The settings of this process's environment.

    Raises:
        SettingsError: one line for the operator.
    """
    return Settings.from_environment(os.environ)


def main() -> NoReturn:
    """The program `consent-service`: runs one command and ends the process."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command; its exit code, which is also what a command may return."""
    try:
        code = cli.main(arguments, prog_name="consent-service", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except SettingsError as error:
        return _complain(str(error), 2)
    except (EmbeddedServerError, migrations.MigrationError, OpeningError, BackupError) as error:
        return _complain(str(error), 1)
    except ConsentError as error:
        return _complain(f"{error.detail} ({error.code})", 1)
    except OSError as error:
        # A file of the operator's: a disk that is full, a folder that may not be written to.
        return _complain(": ".join(str(part) for part in (error.filename, error.strerror or error) if part), 1)
    except (KeyboardInterrupt, click.Abort):
        return _complain("interrupted", 130)
    except Exception as error:
        # A bug. The text of the exception may quote a row of somebody's: type and place name the line of code.
        return _complain(f"internal error: {logs.kind(error)} at {logs.place(error)}", 1)
    return code if isinstance(code, int) else 0


def _complain(text: str, code: int) -> int:
    click.echo(f"consent-service: {' '.join(text.split())}", err=True)
    return code


def _listener(host: str, port: int) -> socket.socket:
    """The socket that systemd gives, or one of our own."""
    if not held_by_systemd(os.environ):
        return listen_on(host, port)
    os.set_inheritable(LISTEN_FDS_START, False)
    return socket.socket(fileno=LISTEN_FDS_START)


def _web_arguments(settings: Settings, listener: socket.socket, workers: int | None) -> list[str]:
    descriptor = str(listener.fileno())
    return ["web", "--descriptor", descriptor, "--workers", str(workers or settings.web_workers)]
