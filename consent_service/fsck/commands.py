"""The command line's `fsck`: does everything in the database agree?"""

from __future__ import annotations

import json

import click

from consent_service.commands import opened, progress
from consent_service.fsck import service
from consent_service.fsck.service import Progress

FOUND_SOMETHING = 1


@click.command("fsck")
@click.option("--quick", is_flag=True, help="Only what SQL can see: no event is opened, no index read through.")
@click.option("--json", "as_json", is_flag=True, help="The report for programs.")
def fsck(quick: bool, as_json: bool) -> int:
    """Check that settings, ledger, history and indexes agree. Changes nothing; the service may run.

    Ends with 0 when all is well, with 1 when something was found. A finding names rows by their ids.
    """
    with opened() as one:
        settings = one.database.settings
        with progress(None, "events") as bar:

            def begin(total: int) -> Progress:
                bar.reset(total)
                return bar.update

            report = service.check(
                settings.service_url(), settings.migration_url, one.keyring, quick=quick, progress=begin
            )
    if as_json:
        click.echo(json.dumps(report.shown(), indent=2))
    else:
        for line in report.lines():
            click.echo(line)
    return 0 if report.clean else FOUND_SOMETHING
