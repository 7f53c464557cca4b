"""Reads what the desk is drawn from, and what others made louder since the customer last looked. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from consent_service.catalogue.model import Catalogue
from consent_service.catalogue.model import Notice as NoticeOfCatalogue
from consent_service.catalogue.service import load_catalogue
from consent_service.clock import parse_time
from consent_service.customers import profile, suppressions
from consent_service.customers.model import parse_reference
from consent_service.customers.service import lineage
from consent_service.customers.suppressions import Standing
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
LIFTED = "suppression.lifted"
_TURNS = ("dials.changed", "pause.set", "pause.ended", LIFTED)


@dataclass(frozen=True, slots=True)
class Step:
    """A place before and after an act; None: no dial."""

    place: Place
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Lifted:
    """A stop that was lifted. `channel` None: it stopped every one, or every one that uses the kind of a contact point.

    `point_kind`: it stood on a contact point of this kind; None: on the person.
    """

    channel: str | None
    kind: str
    point_kind: str | None

    def channels(self, catalogue: Catalogue) -> list[str | None]:
        """The channels that it stopped for the person; [None]: every one there will ever be."""
        if self.channel is not None or self.point_kind is None:
            return [self.channel]
        return [one.name for one in catalogue.live_channels.values() if one.identifier_kind == self.point_kind]


@dataclass(frozen=True)
class Act:
    """An event of the history that turned dials (`steps`), changed a pause or lifted a stop."""

    event_id: UUID
    recorded_at: datetime
    actor: Mapping[str, Any]
    source: str | None
    steps: tuple[Step, ...]
    paused: tuple[str, datetime | None, datetime | None] | None
    lifted: Lifted | None = None


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
        is_shorter = one.paused is not None and _is_shorter(found, one.paused)
        if steps or is_shorter or (one.lifted is not None and loosened(conn, keyring, found, customer_id, one.lifted)):
            acts.append(replace(one, steps=steps))
    return acts[:MOST_SHOWN]


def loosened(conn: Connection, keyring: Keyring, found: Facts, customer_id: UUID, lifted: Lifted) -> list[str | None]:
    """The channels (None: every one) that a stop held and that no other stop holds as strictly now."""
    person = profile.find(conn, keyring, customer_id)
    names = [parse_reference(one) for one in person["identifiers"]] if person is not None else []
    stops = suppressions.of_customer(conn, keyring, customer_id, names)
    return [one for one in lifted.channels(found.catalogue) if not _is_held(found, stops, one, lifted.kind)]


def _is_held(found: Facts, stops: Sequence[Standing], channel: str | None, kind: str) -> bool:
    for stop in stops:
        if kind == "all" and stop.kind != "all":
            continue
        if stop.point is not None and (
            channel is None or found.catalogue.channels[channel].identifier_kind != stop.point.kind
        ):
            continue
        if stop.channel in (None, channel):
            return True
    return False


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
    paused = lifted = None
    if event["type"] == "dials.changed":
        steps = tuple(
            Step((was["channel"], was["topic"]), was["level"], now["level"])
            for was, now in zip(before, after, strict=True)
        )
    elif event["type"] == LIFTED:
        lifted = Lifted(before["channel"], before["kind"], before.get("identifier_kind"))
    else:
        channel = (before or after)["channel"]
        paused = (channel, _until(before), _until(after))
    return Act(
        UUID(event["id"]), parse_time(event["recorded_at"]), event["actor"], event["source"], steps, paused, lifted
    )


def _until(shown: Mapping[str, Any] | None) -> datetime | None:
    return parse_time(shown["until"]) if shown else None
