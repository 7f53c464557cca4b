"""The command line's `keys`."""

from __future__ import annotations

from uuid import UUID

import click

from consent_service.commands import opened
from consent_service.errors import ConsentError
from consent_service.history.model import Actor
from consent_service.keys import service
from consent_service.keys.model import MOST_REQUESTS_PER_MINUTE, ROLES
from consent_service.keys.service import shown

ACTOR = Actor("system", "keys")


@click.group("keys")
def keys() -> None:
    """API keys: make, list, revoke."""


@keys.command("create")
@click.option("--role", required=True, type=click.Choice(ROLES), help="What the key may do.")
@click.option("--name", required=True, help="Whose key it is. Permits belong to the name.")
@click.option("--topic", "topics", multiple=True, help="Limits a campaign key; repeatable. Covers children; * is all.")
@click.option("--requests-per-minute", type=click.IntRange(1, MOST_REQUESTS_PER_MINUTE), help="No limit without it.")
def create(role: str, name: str, topics: tuple[str, ...], requests_per_minute: int | None) -> None:
    """Make a key. It is shown this once, alone on the last line."""
    with opened() as one, one.database.transaction() as conn:
        key_id, secret = service.create(
            conn,
            one.keyring,
            ACTOR,
            role=role,
            name=name,
            topics=topics or None,
            requests_per_minute=requests_per_minute,
        )
    click.echo(f"{role} key {key_id} for {name}. Keep it: it is not shown again.")
    click.echo(secret)


@keys.command("list")
def list_command() -> None:
    """All keys, without the keys themselves."""
    with opened() as one, one.database.reading() as conn:
        found = [shown(key) for key in service.list_keys(conn)]
    if not found:
        click.echo("There are no keys. Make one: consent-service keys create --role admin --name NAME")
    for key in found:
        topics = ",".join(key["topics"]) if key["topics"] else "-"
        used = f"last used {key['last_used_at'] or 'never'}"
        state = f"revoked {key['revoked_at']}" if key["revoked_at"] else used
        click.echo(f"{key['id']}  {key['role']:<9} {key['name']:<24} topics {topics}  {state}")


@keys.command("revoke")
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Revoke the key with this id, at once."""
    try:
        found = UUID(key_id)
    except ValueError as error:
        raise ConsentError("not_found", "There is no such key: `keys list` shows the ids.") from error
    with opened() as one, one.database.transaction() as conn:
        service.revoke(conn, one.keyring, ACTOR, found)
    click.echo(f"revoked {found}")
