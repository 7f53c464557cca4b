"""What a dial would have stopped in past sends: the log is asked again, in time order, by the real decision.

Every customer gets the loudest level at each topic and the tried level over everything, so that all topics
share one count. A contact is recorded when it is allowed; a refused one does not count. It runs in a throw-away
embedded database that leaves no trace, with the log's times as the clock.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from consent_service.catalogue.service import apply_catalogue
from consent_service.customers.model import BUILT_IN_KINDS, ID, Reference, parse_reference
from consent_service.customers.service import create_unknown_many
from consent_service.database import Database, load
from consent_service.database.embedded import EmbeddedServer, Sizing
from consent_service.database.migrate import migrate
from consent_service.errors import ConsentError
from consent_service.history.model import Actor
from consent_service.keyring.service import Keyring
from consent_service.permissions.contacts import contact_many
from consent_service.permissions.model import Asked, Outcome, Question
from consent_service.permissions.rounds import rounds
from consent_service.settings import Settings

SQL = load("consent_service.permissions", "replay.sql")
PASSED = ("allowed", "essential")
ACTOR = Actor("system", "replay")
BATCH = 5000
OWN_LEVEL = "tried"
# Everybody in the log is a number of this kind: no name gets into the database, and a log may name people by
# kinds, or by ids, that no catalogue has.
KIND = "replayed"


@dataclass(frozen=True, slots=True)
class Sent:
    """One contact of the log."""

    customer: str
    channel: str
    topic: str
    contacted_at: datetime


@dataclass
class Result:
    """What the dial would have done. `answers`: reason and next time of each contact, in the log's order."""

    answers: list[tuple[str, str | None]] = field(repr=False)
    contacts: int = 0
    customers: int = 0
    refused: int = 0
    customers_refused: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    by_topic: Counter[str] = field(default_factory=Counter)
    by_month: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def shown(self) -> dict[str, Any]:
        """The figures as JSON."""
        return {
            "contacts": self.contacts,
            "customers": self.customers,
            "refused": self.refused,
            "customers_refused": self.customers_refused,
            "by_reason": dict(self.by_reason.most_common()),
            "by_topic": dict(sorted(self.by_topic.items())),
            "by_month": dict(sorted(self.by_month.items())),
            "seconds": round(self.seconds, 3),
            "contacts_per_second": round(self.contacts / self.seconds) if self.seconds else None,
        }


@dataclass(frozen=True)
class Plan:
    """The catalogue to ask against, and what its names are for the names of the log.

    `kinds`: those of customers that may be asked about; None: all.
    """

    document: Mapping[str, Any]
    level: str
    channels: Mapping[str, str]
    topics: Mapping[str, str]
    kinds: frozenset[str] | None


def plan(
    log: Sequence[Sent],
    *,
    level: str | None,
    cap: tuple[int, str] | None,
    catalogue: Mapping[str, Any] | None,
) -> Plan:
    """The catalogue of a replay: the given one, or one made of the log's channels and topics.

    Args:
        level: a level of the catalogue (without one, of the shipped example), or
        cap: (contacts, per) of a level of one's own.

    Raises:
        ConsentError: unknown_level.
    """
    kinds = None
    if catalogue:
        channels, topics = {one: one for one in catalogue["channels"]}, {one: one for one in catalogue["topics"]}
        declared = [one if isinstance(one, str) else one["kind"] for one in catalogue.get("identifiers") or ()]
        kinds = frozenset({*declared, *BUILT_IN_KINDS, ID})
        document = {**catalogue, "identifiers": [*(catalogue.get("identifiers") or ()), KIND]}
    else:
        channels = _names(sent.channel for sent in log)
        topics = _names(sent.topic for sent in log)
        document = _of_log(channels, topics)
    if cap is not None:
        level, document = _with_level(document, cap)
    if level is None or level not in [one["name"] for one in document["levels"]]:
        known = ", ".join(one["name"] for one in document["levels"])
        raise ConsentError("unknown_level", f"The catalogue has no such level. It has {known}.")
    return Plan(document, level, channels, topics, kinds)


def _with_level(document: Mapping[str, Any], cap: tuple[int, str]) -> tuple[str, dict[str, Any]]:
    """(name, the catalogue with a level of that name and cap among its quietest capped ones)."""
    levels = list(document["levels"])
    name = OWN_LEVEL
    while name in [one["name"] for one in levels]:
        name += "-too"
    quieter = [place for place, one in enumerate(levels) if one["mode"] in ("silent", "on_request")]
    own = {"name": name, "mode": "capped", "contacts": cap[0], "per": cap[1], "label": {"en": "Tried"}}
    levels.insert(quieter[-1] + 1, own)
    return name, {**document, "levels": levels}


def _names(found: Iterable[str]) -> dict[str, str]:
    """Names that a catalogue may have for whatever a log calls its channels and topics."""
    return {name: f"name-{number}" for number, name in enumerate(sorted(set(found)))}


def _of_log(channels: Mapping[str, str], topics: Mapping[str, str]) -> dict[str, Any]:
    example = yaml.safe_load(files("consent_service.catalogue").joinpath("example.yaml").read_text("utf-8"))
    label = {"en": "of the log"}
    return {
        "time_zone": "UTC",
        "identifiers": [KIND],
        "levels": example["levels"],
        "channels": {name: {"identifier": KIND, "label": label} for name in channels.values()},
        "topics": {name: {"basis": "consent", "label": label} for name in topics.values()},
    }


def replay(log: Sequence[Sent], asked: Plan, settings: Settings, tell: Callable[[int], object]) -> Result:
    """Asks the whole log again; rows that cannot be asked have the reason `error:<code>`.

    Args:
        tell: is called with the number of contacts done.
    """
    result = Result([("", None)] * len(log))
    names = _customers(log, asked, result)
    with _throw_away(settings) as (database, keyring):
        with database.transaction() as conn:
            apply_catalogue(conn, keyring, ACTOR, asked.document)
        everybody = [Reference(KIND, name) for name in dict.fromkeys(names) if name is not None]
        for start in range(0, len(everybody), BATCH):
            with database.transaction() as conn:
                create_unknown_many(conn, keyring, ACTOR, everybody[start : start + BATCH], source="import")
        with database.transaction() as conn:
            conn.run(SQL["give_dials"], {"level": asked.level})
        began = time.monotonic()
        order = sorted(
            (place for place, name in enumerate(names) if name is not None),
            key=lambda place: (log[place].contacted_at, place),
        )
        for positions in rounds([names[place] for place in order]):
            for start in range(0, len(positions), BATCH):
                batch = [order[position] for position in positions[start : start + BATCH]]
                questions = [_question(names[place], log[place], asked) for place in batch]
                instants = [log[place].contacted_at for place in batch]
                with database.transaction() as conn:
                    outcomes = contact_many(conn, keyring, ACTOR, questions, instants=instants)
                for place, outcome in zip(batch, outcomes, strict=True):
                    result.answers[place] = _answer(outcome)
                tell(len(batch))
        result.seconds = time.monotonic() - began
    _count(log, names, result)
    return result


def _customers(log: Sequence[Sent], asked: Plan, result: Result) -> list[str | None]:
    """The number that stands for each row's customer; None for a row whose customer cannot be asked about."""
    names: list[str | None] = []
    numbers: dict[Reference, str] = {}
    for place, sent in enumerate(log):
        try:
            reference = parse_reference(sent.customer)
            if asked.kinds is not None and reference.kind not in asked.kinds:
                raise ConsentError("unknown_identifier_kind")
            names.append(numbers.setdefault(reference, str(len(numbers))))
        except ConsentError as error:
            names.append(None)
            result.answers[place] = (f"error:{error.code}", None)
    return names


def _question(name: str | None, sent: Sent, asked: Plan) -> Asked:
    channel, topic = asked.channels.get(sent.channel, sent.channel), asked.topics.get(sent.topic, sent.topic)
    return Asked(Question(f"{KIND}:{name}", channel, topic))


def _answer(outcome: Outcome | ConsentError) -> tuple[str, str | None]:
    if isinstance(outcome, ConsentError):
        return f"error:{outcome.code}", None
    if outcome.granted:
        return "allowed", None
    decision = outcome.body["decision"]
    return decision["reason"], decision["next_allowed_at"]


def _count(log: Sequence[Sent], names: Sequence[str | None], result: Result) -> None:
    """Fills in the figures; rows that could not be asked are in none of them."""
    customers, refused = set[str | None](), set[str | None]()
    for sent, name, (reason, _) in zip(log, names, result.answers, strict=True):
        if reason.startswith("error:"):
            continue
        result.contacts += 1
        customers.add(name)
        if reason not in PASSED:
            result.refused += 1
            refused.add(name)
            result.by_reason[reason] += 1
            result.by_topic[sent.topic] += 1
            result.by_month[sent.contacted_at.strftime("%Y-%m")] += 1
    result.customers, result.customers_refused = len(customers), len(refused)


@contextlib.contextmanager
def _throw_away(settings: Settings) -> Iterator[tuple[Database, Keyring]]:
    """A database of its own, removed at the end with everything in it."""
    data_dir = Path(tempfile.mkdtemp(prefix="consent-replay-"))
    try:
        server = EmbeddedServer(data_dir, pg_bin=settings.pg_bin, sizing=Sizing(connections=20, durable=False))
        with server.owning() as running:
            migrate(running.owner_url, running.service_url)
            database = Database(running.service_url, replace(settings, statement_timeout_seconds=3600.0))
            try:
                yield database, Keyring(secrets.token_bytes(32))
            finally:
                database.close()
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
