"""What `serve --demo` loads into an empty service: the example catalogue, made-up customers, a key for each role.

All of it is one transaction through the real services, so that a demo is there as a whole or not at all. Keys
are printed once, after the commit, and never again. It must never touch a service that has a catalogue.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any
from uuid import UUID

import click
import yaml

from consent_service.catalogue.service import apply_catalogue, load_catalogue
from consent_service.customers import creation, profile, suppressions
from consent_service.customers.model import parse_reference
from consent_service.customers.suppressions import Stop
from consent_service.database import Connection, Database
from consent_service.dials import service as dials
from consent_service.dials import store as dials_store
from consent_service.dials.model import Change, Notice, Wish
from consent_service.errors import ConsentError
from consent_service.history.model import Actor
from consent_service.keyring.service import Keyring
from consent_service.keys import service as keys
from consent_service.keys.model import ROLES
from consent_service.links.service import own_link
from consent_service.permissions.model import Report
from consent_service.permissions.reports import report_many
from consent_service.settings import Settings

DEMO = Actor("system", "demo")
NOTICE = Notice("preferences", "1", "en")
DESK = Actor("desk", "demo desk")
SENDER = Actor("campaign", "demo campaign", topics=("*",))


@dataclass(frozen=True)
class Turned:
    """Dials that a customer turned so many days ago, on their preference page."""

    days_ago: int
    places: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Sent:
    """A message that a customer got so many days ago."""

    days_ago: int
    channel: str
    topic: str


@dataclass(frozen=True)
class Person:
    """A made-up customer and what happened to them, oldest first."""

    about: str
    identifiers: Sequence[str]
    story: Sequence[Turned | Sent]
    paused_days: int = 0
    complained_on: str | None = None


# The domain and the numbers are kept free for stories (RFC 2606, Ofcom): nobody can be reached by them.
CAST = {
    "Ada": Person(
        "turned everything down",
        ["email:ada@example.com", "phone:+442079460018", "postal:Ada Quill, 1 Sample Lane, Exampleham"],
        [
            Turned(90, [("*", "offers", "weekly")]),
            Sent(40, "email", "offers/wine"),
            Sent(26, "email", "offers/garden"),
            Turned(12, [("*", "*", "silent")]),
            Sent(3, "email", "orders"),
        ],
    ),
    "Ben": Person(
        "loves wine: all of it, but at most three emails a week",
        ["email:ben@example.com", "phone:+447700900123", "loyalty:634004"],
        [
            Turned(60, [("*", "offers/wine", "everything"), ("email", "*", "busy")]),
            Sent(19, "email", "offers/wine"),
            Sent(11, "email", "offers/wine/red"),
            Sent(10, "email", "offers/wine"),
        ],
    ),
    "Cleo": Person(
        "never turned a dial; an event was announced to her nine days ago",
        ["email:cleo@example.com"],
        [Sent(9, "email", "events")],
    ),
    "Dev": Person(
        "wants garden offers monthly; on holiday, so all is paused for three weeks",
        ["email:dev@example.com", "postal:7 Sample Lane, Exampleham"],
        [
            Turned(200, [("*", "offers/garden", "monthly")]),
            Sent(75, "email", "offers/garden"),
            Sent(35, "post", "offers/garden"),
        ],
        paused_days=21,
    ),
    "Eve": Person(
        "wanted offers, then called one spam: suppressed by email",
        ["email:eve@example.com", "phone:+442079460022"],
        [Turned(30, [("*", "offers", "monthly")]), Sent(29, "email", "offers")],
        complained_on="email",
    ),
}
CHECK = {"customer": "email:ben@example.com", "channel": "email", "topic": "offers/wine"}
SILENCE = {"changes": [{"channel": "email", "topic": "*", "level": "silent"}], "source": "web"}


@dataclass(frozen=True)
class Loaded:
    """What is shown once: secrets by role, and Ben's id, bearer token and the path of his link."""

    keys: Mapping[str, str]
    ben: UUID
    token: str
    link: str


def load(settings: Settings) -> None:
    """Loads the demo into an empty service and prints what to try; says so when there is something already.

    Raises:
        ConsentError: the database does not answer, or holds what another secret sealed.
    """
    database = Database(settings.service_url(), settings)
    try:
        keyring = Keyring(*settings.secrets)
        with database.transaction() as conn:
            loaded = _fill(conn, keyring)
    finally:
        database.close()
    if loaded is None:
        _tell_again(settings.public_url)
    else:
        _tell(settings.public_url, loaded)


def _fill(conn: Connection, keyring: Keyring) -> Loaded | None:
    if load_catalogue(conn) is not None:
        return None
    text = files("consent_service.catalogue").joinpath("example.yaml").read_text(encoding="utf-8")
    if not apply_catalogue(conn, keyring, DEMO, yaml.safe_load(text)).changed:
        return None  # another first start was faster: it held the catalogue's lock until its commit
    now = dials_store.now(conn)
    secrets = {role: keys.create(conn, keyring, DEMO, role=role, name=f"demo {role}")[1] for role in ROLES}
    ids = {name: _add(conn, keyring, person, now) for name, person in CAST.items()}
    token = profile.issue_token(conn, keyring, DESK, ids["Ben"])["token"]
    return Loaded(secrets, ids["Ben"], token, own_link(conn, keyring, ids["Ben"], minted_at=now))


def _add(conn: Connection, keyring: Keyring, person: Person, now: datetime) -> UUID:
    references = [parse_reference(text) for text in person.identifiers]
    made, _ = creation.create(conn, keyring, DEMO, references, {})
    customer_id = UUID(made["id"])
    themself = Actor("customer", made["id"], customer_id=customer_id)
    for number, step in enumerate(person.story):
        at = now - timedelta(days=step.days_ago)
        if isinstance(step, Turned):
            changes = tuple(Change(*place) for place in step.places)
            wish = Wish(changes, "web", notice=NOTICE, occurred_at=at)
            dials.turn(conn, keyring, themself, customer_id, wish)
        else:
            report = Report(f"id:{customer_id}", step.channel, step.topic, at, f"demo-{number}")
            done = report_many(conn, keyring, SENDER, [report])[0]
            if isinstance(done, ConsentError):
                raise done
    if person.paused_days:
        dials.pause(conn, keyring, themself, customer_id, "*", now + timedelta(days=person.paused_days))
    if person.complained_on:
        stop = Stop(person.complained_on, "marketing", "called a message spam")
        suppressions.suppress_customer(conn, keyring, DEMO, references[0], stop)
    return customer_id


def _tell_again(url: str) -> None:
    click.echo(
        "The demo loads nothing: there is a catalogue already. Its keys were shown at the first start;\n"
        "`consent-service keys create --role desk --name NAME` makes others.\n"
        f"Ben's page, ben@example.com: ask for its link at {url}/link. The API's page: {url}/docs"
    )


def _tell(url: str, loaded: Loaded) -> None:
    def title(text: str) -> None:
        click.echo()
        click.secho(text, bold=True)

    title("The demo: a wine and garden shop with five customers, all made up")
    for person in CAST.values():
        click.echo(f"  {person.identifiers[0]:<24} {person.about}")
    title("Ben's own page: his volume dials, as he sees them")
    click.echo(f"  {url}{loaded.link}")
    title("Keys, shown this once. Paste these lines into another terminal:")
    click.echo(f"  export API={url}")
    for role, secret in loaded.keys.items():
        click.echo(f"  export {role.upper()}={secret}")
    click.echo(f"  export BEN={loaded.ben}")
    click.echo(f"  export BEN_TOKEN={loaded.token}   # Ben himself, for one hour")
    title("May Ben get a mail about wine?")
    click.echo(_curl("$API/v1/permissions/check", "$CAMPAIGN", CHECK))
    title("Be Ben and turn the email dial to silent. Then ask again:")
    click.echo(_curl("-X PATCH $API/v1/customers/$BEN/dials", "$BEN_TOKEN", SILENCE))
    title("Read on")
    click.echo(f"  {url}/docs   every call, to read and to try")
    click.echo("  README.md                    a tour of five minutes")
    click.echo()


def _curl(call: str, credential: str, body: Mapping[str, Any]) -> str:
    return f"  curl -s {call} -H \"Authorization: Bearer {credential}\" \\\n       --json '{json.dumps(body)}'"
