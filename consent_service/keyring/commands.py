"""The command line's `secret`: a new root secret takes over the keys that an old one wraps."""

from __future__ import annotations

import time

import click

from consent_service.commands import opened, progress
from consent_service.errors import ConsentError

WAIT_SECONDS = 0.2
MOST_WAITS = 150


@click.group("secret")
def secret() -> None:
    """The root secret."""


@secret.command("rotate")
def rotate() -> None:
    """Wrap every key with CONSENT_SECRET_KEY that CONSENT_SECRET_KEY_PREVIOUS wraps.

    Run it after every process was started with both; the old secret may go when it has ended well. Broken off,
    it goes on where it was.
    """
    done = waits = 0
    with opened() as one:
        with one.database.reading() as conn:
            left = one.keyring.count_wrapped_otherwise(conn)
        with progress(left, "keys") as bar:
            while left:
                wrapped = one.database.repeatedly(one.keyring.rewrap)
                done += wrapped
                bar.update(wrapped)
                if wrapped:
                    continue
                # Keys that another transaction holds were passed over: mostly because they are being erased.
                with one.database.reading() as conn:
                    left = one.keyring.count_wrapped_otherwise(conn)
                waits += 1
                if left and waits > MOST_WAITS:
                    raise ConsentError("decision_unavailable", f"{left} keys are in use. Run the command again.")
                time.sleep(WAIT_SECONDS if left else 0)
    if done:
        click.echo(f"{done} keys are wrapped with the new secret. CONSENT_SECRET_KEY_PREVIOUS can be unset.")
    else:
        click.echo("Every key is wrapped with the secret in use: there is nothing to rotate.")
