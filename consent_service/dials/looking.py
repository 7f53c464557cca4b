"""Reads what the desk is drawn from, and what others made louder since the customer last looked. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from consent_service.catalogue.model import Notice as NoticeOfCatalogue
from consent_service.catalogue.service import load_catalogue
from consent_service.clock import parse_time
from consent_service.customers.service import lineage
from consent_service.database import Connection
from consent_service.dials import store
from consent_service.dials.desk import Facts
from consent_service.dials.reach import Dialled, Place
from consent_service.errors import Unavailable
from consent_service.history import service as history
from consent_service.keyring.service import Keyring
from consent_service.permissions import service as permissions
from consent_service.permissions.model import Decision, Question

MOST_SHOWN = 20
_TURNS = ("dials.changed", "pause.set", "pause.ended")


@dataclass(frozen=True, slots=True)
class Step:
    """A place before and after an act; None: no dial."""

    place: Place
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Act:
    """An event of the history that turned dials (`steps`) or changed a pause."""

    event_id: UUID
    recorded_at: datetime
    actor: Mapping[str, Any]
    source: str | None
    steps: tuple[Step, ...]
    paused: tuple[str, datetime | None, datetime | None] | None


def facts(conn: Connection, keyring: Keyring, customer_id: UUID) -> Facts:
    """All of the desk; in a snapshot, or under the customer's lock.

    Raises:
        Unavailable: there is no catalogue yet.
    """
    catalogue = load_catalogue(conn)
    if catalogue is None:
        raise Unavailable("There is no catalogue yet.")
    places = [(channel, topic) for topic in catalogue.live_topics for channel in catalogue.live_channels]
    asked = [Question(f"id:{customer_id}", channel, topic) for channel, topic in places]
    decided = permissions.decide_many(conn, keyring, asked)
    decisions = {place: one for place, one in zip(places, decided, strict=True) if isinstance(one, Decision)}
    return Facts(
        catalogue=catalogue,
        at=next((one.decided_at for one in decisions.values()), None) or store.now(conn),
        version=store.version(conn, customer_id),
        dials={
            (row["channel"], row["topic"]): Dialled(row["level"], row["expires_at"])
            for row in store.dials(conn, customer_id)
        },
        pauses={row["channel"]: row["until"] for row in store.pauses(conn, customer_id)},
        decisions=decisions,
    )


def notice_of(found: Facts) -> NoticeOfCatalogue | None:
    """The notice to show with a louder change: the first of the catalogue that holds; None when it has none."""
    for one in found.catalogue.document.get("notices") or ():
        return found.catalogue.notices.get((one["id"], one["version"]))
    return None


def act(conn: Connection, keyring: Keyring, customer_id: UUID, event_id: UUID) -> Act | None:
    """One act of the customer's history; None when there is none of this id that turned anything."""
    found = history.find(conn, keyring, lineage(conn, customer_id), [event_id]).get(event_id)
    return _act(found) if found is not None and found["type"] in _TURNS else None


def louder_by_others(conn: Connection, keyring: Keyring, found: Facts, customer_id: UUID) -> list[Act]:
    """What others made louder since the customer last looked, and what still stands so; newest first."""
    after = store.seen_at(conn, customer_id)
    events = history.of_types(
        conn, keyring, lineage(conn, customer_id), _TURNS, after=after, most=MOST_SHOWN * 2
    )  # fmt: skip
    acts: list[Act] = []
    told: set[Place] = set()
    for event in events:
        one = _act(event)
        steps = tuple(step for step in one.steps if step.place not in told)
        told.update(step.place for step in one.steps)
        if one.actor["role"] == "customer":
            continue
        steps = tuple(_raised(found, steps))
        if steps or (one.paused is not None and _is_shorter(found, one.paused)):
            acts.append(Act(one.event_id, one.recorded_at, one.actor, one.source, steps, one.paused))
    return acts[:MOST_SHOWN]


def _raised(found: Facts, steps: Sequence[Step]) -> Iterator[Step]:
    levels = found.catalogue.levels
    for step in steps:
        if step.place[0] != "*" and step.place[0] not in found.catalogue.live_channels:
            continue
        if step.place[1] != "*" and step.place[1] not in found.catalogue.live_topics:
            continue
        rest = found.rest(step.place)
        before = levels.get(step.before, rest) if step.before is not None else rest
        after = levels.get(step.after, rest) if step.after is not None else rest
        stands = found.dials.get(step.place)
        if after.position > before.position and (stands.level if stands else None) == step.after:
            yield step


def _is_shorter(found: Facts, paused: tuple[str, datetime | None, datetime | None]) -> bool:
    channel, before, after = paused
    if before is None or before <= found.at or found.pauses.get(channel) != after:
        return False
    return after is None or after < before


def _act(event: Mapping[str, Any]) -> Act:
    before, after = event["before"], event["after"]
    steps: tuple[Step, ...] = ()
    paused = None
    if event["type"] == "dials.changed":
        steps = tuple(
            Step((was["channel"], was["topic"]), was["level"], now["level"])
            for was, now in zip(before, after, strict=True)
        )
    else:
        channel = (before or after)["channel"]
        paused = (channel, _until(before), _until(after))
    return Act(
        UUID(event["id"]), parse_time(event["recorded_at"]), event["actor"], event["source"], steps, paused
    )  # fmt: skip


def _until(shown: Mapping[str, Any] | None) -> datetime | None:
    return parse_time(shown["until"]) if shown else None
