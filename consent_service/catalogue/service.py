"""Applies a catalogue, and shows the one that holds.

Owns the order of things: lock, validate, compare, write, record. Never touches a customer's settings, and
never lets a new catalogue make an existing customer louder unless the operator accepts that, on record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import rfc8785

from consent_service.catalogue import store
from consent_service.catalogue.louder import louder_changes
from consent_service.catalogue.louder_words import InUse, Louder
from consent_service.catalogue.model import Catalogue
from consent_service.catalogue.validation import invalid_catalogue, parse_catalogue
from consent_service.catalogue.values import Fault, step
from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.history import service as history
from consent_service.history.model import Actor, Event
from consent_service.keyring.model import NOBODY
from consent_service.keyring.service import Keyring


@dataclass(frozen=True)
class Applied:
    """What applying a catalogue did; names are as `topic offers/wine`.

    `changed` False: the same catalogue held already, and there is no new version.
    """

    version: int
    changed: bool
    added: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    accepted_louder: tuple[Louder, ...] = ()


@dataclass(frozen=True)
class _Gone:
    """Channels and topics that a new catalogue no longer has: kept as retired, or deleted."""

    retired_channels: set[str]
    retired_topics: set[str]
    deleted_channels: set[str]
    deleted_topics: set[str]


def apply_catalogue(
    conn: Connection, keyring: Keyring, actor: Actor, document: object, *, accept_louder: bool = False
) -> Applied:
    """Makes the document the catalogue, in the caller's transaction; it holds for everybody at commit.

    The same catalogue again changes nothing. After a crash before the commit the old catalogue holds.

    Raises:
        ConsentError: invalid_catalogue with every fault, or louder_catalogue with every louder change.
    """
    new = parse_catalogue(document)
    now = store.lock(conn)
    old = store.find(conn)
    if old is not None and _is_the_same(old, new):
        return Applied(old.version, changed=False)
    in_use = store.in_use(conn, old) if old else InUse(customers=False)
    gone = _gone(conn, old, new)
    if faults := list(_faults(conn, old, new, gone, in_use)):
        raise invalid_catalogue(faults)
    louder = louder_changes(old, new, in_use) if old else []
    if louder and not accept_louder:
        raise _refusal(louder)
    version = (old.version if old else 0) + 1
    accepted = [{"pointer": change.pointer, "detail": change.detail} for change in louder]
    store.put(conn, new, version=version, now=now, accepted_louder=accepted)
    store.retire(conn, channels=gone.retired_channels, topics=gone.retired_topics, now=now)
    store.delete_unused(conn, new, channels=gone.deleted_channels, topics=gone.deleted_topics)
    history.record(conn, keyring, [_event(actor, now, old, new, version, accepted)])
    return _applied(version, old, new, gone, louder)


def hold_catalogue(conn: Connection) -> None:
    """Until the transaction ends no catalogue is applied: it comes between decisions and acts, never within one."""
    store.share(conn)


def load_catalogue(conn: Connection) -> Catalogue | None:
    """The catalogue that holds, with retired channels and topics and every notice ever loaded.

    None before the first one was applied.
    """
    return store.find(conn)


def current(conn: Connection) -> dict[str, Any] | None:
    """The document of the catalogue that holds, as it was written; None before the first one."""
    row = store.current(conn)
    return row["document"] if row else None


def fingerprint(document: Mapping[str, Any]) -> str:
    """SHA-256 of a document in canonical form, in hex. Source: RFC 8785."""
    return hashlib.sha256(rfc8785.dumps(dict(document))).hexdigest()


def _is_the_same(old: Catalogue, new: Catalogue) -> bool:
    try:
        return parse_catalogue(old.document) == new
    except ConsentError:
        return False  # written under earlier rules: it is not what a valid document says now


def _gone(conn: Connection, old: Catalogue | None, new: Catalogue) -> _Gone:
    if old is None:
        return _Gone(set(), set(), set(), set())
    channels = old.live_channels.keys() - new.channels.keys()
    topics = old.live_topics.keys() - new.topics.keys()
    retired_channels = store.standing(conn, "channels", channels)
    retired_topics = store.standing(conn, "topics", topics)
    return _Gone(retired_channels, retired_topics, channels - retired_channels, topics - retired_topics)


def _faults(conn: Connection, old: Catalogue | None, new: Catalogue, gone: _Gone, in_use: InUse) -> Iterator[Fault]:
    """What is wrong with a catalogue only because of what stands in the database."""
    if not store.zone_is_known(conn, new.time_zone):
        detail = f"the database server knows no time zone {new.time_zone}"
        yield Fault("/time_zone", "unknown_time_zone", detail)
    if old is None:
        return
    yield from _level_faults(old, new, gone, in_use)
    for name in sorted(store.standing(conn, "segments", old.segments - new.segments)):
        yield Fault("/segments", "unknown_segment", f"the segment {name} cannot go while customers are in it")
    yield from _kind_faults(conn, old, new, gone)
    for key, notice in new.notices.items():
        if key in old.notices and old.notices[key].text != notice.text:
            index = list(new.notices).index(key)
            detail = f"version {key[1]} of the notice {key[0]} stands with another text: use a new version"
            yield Fault(step(step("/notices", index), "text"), "invalid_value", detail)


def _level_faults(old: Catalogue, new: Catalogue, gone: _Gone, in_use: InUse) -> Iterator[Fault]:
    dialled = {level for _, _, level in in_use.dials}
    retired = [
        topic for topic in old.topics.values() if topic.name not in new.topics and topic.name not in gone.deleted_topics
    ]
    for name in sorted(old.levels.keys() - new.levels.keys()):
        default_of = [topic.name for topic in retired if topic.default and topic.default.level == name]
        if name in dialled:
            detail = f"the level {name} cannot go while customers' dials stand at it"
            yield Fault("/levels", "unknown_level", detail)
        elif default_of:
            detail = f"the level {name} cannot go while it is the default of the retired topic {default_of[0]}"
            yield Fault("/levels", "unknown_level", detail)


def _kind_faults(conn: Connection, old: Catalogue, new: Catalogue, gone: _Gone) -> Iterator[Fault]:
    removed = old.identifier_kinds.keys() - new.identifier_kinds.keys()
    changed = {
        name
        for name, kind in new.identifier_kinds.items()
        if name in old.identifier_kinds and old.identifier_kinds[name].shared != kind.shared
    }
    for name in sorted(store.standing(conn, "kinds", removed | changed)):
        change = "go" if name in removed else "change whether it is shared"
        detail = f"the kind {name} cannot {change} while customers have such identifiers"
        yield Fault("/identifiers", "unknown_identifier_kind", detail)
    for channel in old.channels.values():
        kept = channel.name not in new.channels and channel.name not in gone.deleted_channels
        if kept and channel.identifier_kind in removed:
            kind = channel.identifier_kind
            detail = f"the kind {kind} cannot go: the retired channel {channel.name} has it"
            yield Fault("/identifiers", "unknown_identifier_kind", detail)


def _refusal(louder: Sequence[Louder]) -> ConsentError:
    count = "one change" if len(louder) == 1 else f"{len(louder)} changes"
    return ConsentError(
        "louder_catalogue",
        f"The catalogue has {count} that would make existing customers louder, the first at"
        f" {louder[0].pointer}: {louder[0].detail}. Nothing was applied; accept louder changes to go on.",
        errors=[change.as_error() for change in louder],
    )


def _event(
    actor: Actor,
    now: datetime,
    old: Catalogue | None,
    new: Catalogue,
    version: int,
    accepted: Sequence[Mapping[str, str]],
) -> Event:
    before = {"version": old.version, "sha256": fingerprint(old.document)} if old else None
    details = {
        "before": before,
        "after": {"version": version, "sha256": fingerprint(new.document)},
        "accepted_louder": list(accepted),
    }
    return Event(NOBODY, "catalogue.applied", actor, now, details)


def _applied(version: int, old: Catalogue | None, new: Catalogue, gone: _Gone, louder: Sequence[Louder]) -> Applied:
    known_channels = old.live_channels.keys() if old else set()
    known_topics = old.live_topics.keys() if old else set()
    return Applied(
        version=version,
        changed=True,
        added=(
            *(f"channel {name}" for name in new.channels if name not in known_channels),
            *(f"topic {name}" for name in new.topics if name not in known_topics),
        ),
        retired=_named(gone.retired_channels, gone.retired_topics),
        deleted=_named(gone.deleted_channels, gone.deleted_topics),
        accepted_louder=tuple(louder),
    )


def _named(channels: set[str], topics: set[str]) -> tuple[str, ...]:
    return (*(f"channel {name}" for name in sorted(channels)), *(f"topic {name}" for name in sorted(topics)))
