"""What `serve --demo` loads into an empty service: the example catalogue, made-up customers, a key for each role.

All of it is one transaction through the real services, so that a demo is there as a whole or not at all. Keys
are printed once, after the commit, and never again. It must never touch a service that has a catalogue.
"""

from __future__ import annotations

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
from consent_service.permissions.model import Report
from consent_service.permissions.reports import report_many
from consent_service.settings import Settings

DEMO = Actor("system", "demo")
NOTICE = Notice("preferences", "1", "en")
CAMPAIGN_KEY = "demo campaign"


@dataclass(frozen=True)
class Turn:
    """Dials that a customer turned so many days ago, on their preference page."""

    days_ago: int
    places: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Person:
    """A made-up customer. `contacts`: (days ago, channel, topic) of messages that they got."""

    name: str
    about: str
    identifiers: Sequence[str]
    turns: Sequence[Turn] = ()
    contacts: Sequence[tuple[int, str, str]] = ()
    paused_days: int = 0
    complained_on: str | None = None
    fields: Mapping[str, str] | None = None


# Numbers and the domain are kept free for stories (Ofcom, RFC 2606): nobody can be reached by them.
CAST = (
    Person(
        "Ada",
        "turned everything down",
        ["email:ada@example.com", "phone:+442079460018", "postal:Ada Quill, 1 Sample Lane, Exampleham"],
        [Turn(90, [("*", "offers", "weekly")]), Turn(12, [("*", "*", "silent")])],
        [(40, "email", "offers/wine"), (26, "email", "offers/garden"), (3, "email", "orders")],
    ),
    Person(
        "Ben",
        "loves wine: every offer, but by email at most three messages a week",
        ["email:ben@example.com", "phone:+447700900123", "loyalty:634004"],
        [Turn(60, [("*", "offers/wine", "everything"), ("email", "*", "busy")])],
        [(19, "email", "offers/wine"), (11, "email", "offers/wine/red"), (10, "sms", "offers/wine")],
        fields={"segment": "club"},
    ),
    Person(
        "Cleo",
        "never turned a dial: events at most monthly, and she had one nine days ago",
        ["email:cleo@example.com"],
        contacts=[(9, "email", "events")],
    ),
    Person(
        "Dev",
        "wants the garden monthly, and is on holiday: paused for three weeks",
        ["email:dev@example.com", "postal:7 Sample Lane, Exampleham"],
        [Turn(200, [("*", "offers/garden", "monthly")])],
        [(75, "email", "offers/garden"), (35, "post", "offers/garden")],
        paused_days=21,
    ),
    Person(
        "Eve",
        "asked for offers, then called an email spam: email is suppressed",
        ["email:eve@example.com", "phone:+442079460022"],
        [Turn(30, [("*", "offers", "monthly")])],
        [(29, "email", "offers")],
        complained_on="email",
    ),
)
BEN = CAST[1]


@dataclass(frozen=True)
class Loaded:
    """What is shown once: secrets by role, the ids of the cast by name, a bearer token of Ben's."""

    keys: Mapping[str, str]
    ids: Mapping[str, UUID]
    token: str


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
    secrets = {
        role: keys.create(conn, keyring, DEMO, role=role, name=f"demo {role}")[1] for role in ROLES
    }
    ids = {person.name: _add(conn, keyring, person, now) for person in CAST}
    token = profile.issue_token(conn, keyring, DEMO, ids[BEN.name])["token"]
    return Loaded(secrets, ids, token)


def _add(conn: Connection, keyring: Keyring, person: Person, now: datetime) -> UUID:
    references = [parse_reference(text) for text in person.identifiers]
    made, _ = creation.create(conn, keyring, DEMO, references, person.fields or {})
    customer_id = UUID(made["id"])
    themself = Actor("customer", made["id"], customer_id=customer_id)
    for turn in person.turns:
        wish = Wish(
            changes=tuple(Change(*place) for place in turn.places),
            source="web",
            notice=NOTICE,
            occurred_at=now - timedelta(days=turn.days_ago),
        )
        dials.turn(conn, keyring, themself, customer_id, wish)
    sender = Actor("campaign", CAMPAIGN_KEY, topics=("*",))
    reports = [
        Report(f"id:{customer_id}", channel, topic, now - timedelta(days=days_ago), f"demo-{place}", "demo")
        for place, (days_ago, channel, topic) in enumerate(person.contacts)
    ]
    for result in report_many(conn, keyring, sender, reports):
        if isinstance(result, ConsentError):
            raise result
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
        f"The API's page: {url}/docs"
    )


def _tell(url: str, loaded: Loaded) -> None:
    def title(text: str) -> None:
        click.echo()
        click.secho(text, bold=True)

    title("The demo: a wine and garden shop with five customers, all made up")
    for person in CAST:
        click.echo(f"  {person.identifiers[0]:<24} {person.about}")
    title("Keys, shown this once. Paste these lines into another terminal:")
    click.echo(f"  export API={url}")
    for role, secret in loaded.keys.items():
        click.echo(f"  export {role.upper()}={secret}")
    click.echo(f"  export BEN={loaded.ids[BEN.name]}")
    click.echo(f"  export BEN_TOKEN={loaded.token}   # Ben himself, for one hour")
    title("May Ben get a mail about wine?")
    click.echo(_curl("$API/v1/permissions/check", "$CAMPAIGN", CHECK))
    title("Be Ben and turn the email dial to silent. Then ask again:")
    click.echo(_curl("-X PATCH $API/v1/customers/$BEN/dials", "$BEN_TOKEN", SILENCE))
    title("Read on")
    click.echo(f"  {url}/docs   every call, to read and to try")
    click.echo("  README.md                    a tour of five minutes")
    click.echo()


CHECK: Mapping[str, Any] = {"customer": BEN.identifiers[0], "channel": "email", "topic": "offers/wine"}
SILENCE: Mapping[str, Any] = {"changes": [{"channel": "email", "topic": "*", "level": "silent"}], "source": "web"}


def _curl(call: str, credential: str, body: Mapping[str, Any]) -> str:
    written = yaml.safe_dump(dict(body), default_flow_style=True, default_style='"', width=10_000).strip()
    return f"  curl -s {call} -H \"Authorization: Bearer {credential}\" \\\n       --json '{written}'"
