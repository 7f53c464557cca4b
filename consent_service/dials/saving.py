"""Saves what was chosen on a desk: turns, undoes, one step down everywhere, nothing at all.

Only what somebody changed is sent on, and it is compared with what stands by then: quieter always applies; louder over
something that others have turned meanwhile does not, and is told. What is louder and needs a confirmation waits for it
while the quieter part is done at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from consent_service.customers import suppressions
from consent_service.customers.model import ID, Reference
from consent_service.customers.service import require_locked
from consent_service.database import Connection
from consent_service.dials import looking, service, store
from consent_service.dials.desk import ALL, Desk, Facts, desk, is_louder, one_step_down
from consent_service.dials.model import Change, Notice, Wish
from consent_service.dials.reach import Place
from consent_service.errors import ConsentError
from consent_service.history.model import Actor
from consent_service.keyring.service import Keyring

MOST_DIALS = 5000
STOPPED_AGAIN = "taken back by the customer"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a form of the desk says.

    Args:
        seen: what each dial showed, by place.
        wanted: what is chosen, where it differs from that.
        again: places whose consent is given once more.
    """

    seen: Mapping[Place, str]
    wanted: Mapping[Place, str]
    again: frozenset[Place] = frozenset()


@dataclass(frozen=True, slots=True)
class Said:
    """How a wish arrived: its source, the notice that was shown, and evidence where somebody acts for the customer."""

    source: str = "web"
    notice: Notice | None = None
    evidence: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Conflict:
    """A louder wish over what was turned meanwhile: nothing was done."""

    place: Place
    seen: str
    standing: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Saved:
    """What came of it: the event of what was turned (None: nothing was), and what was not done.

    Args:
        conflicts: louder over something newer.
        withheld: louder, not done because of the conflicts.
        waiting: louder, waits for a confirmation.
    """

    event_id: UUID | None = None
    conflicts: tuple[Conflict, ...] = ()
    withheld: tuple[Place, ...] = ()
    waiting: tuple[Change, ...] = ()


def read_form(form: Mapping[str, str], again: Sequence[str] = ()) -> Chosen:
    """What a form says, by itself: the names of its fields hold for no other form.

    Raises:
        ConsentError: invalid_value.
    """
    seen = {place: showed for _, place, showed in _fields(form)}
    wanted = {place: form[name] for name, place in changed_fields(form)}
    repeated = frozenset(place for name, place, _ in _fields(form) if name in again and place not in wanted)
    return Chosen(seen, wanted, repeated)


def changed_fields(form: Mapping[str, str]) -> list[tuple[str, Place]]:
    """The fields in which something else was chosen than they showed, with their places."""
    return [(name, place) for name, place, showed in _fields(form) if form.get(name, showed) != showed]


def _fields(form: Mapping[str, str]) -> list[tuple[str, Place, str]]:
    """(name of the field, place, what it showed) of every dial of a form."""
    listed = form.get("seen", "").split(" ")
    if len(listed) > MOST_DIALS:
        raise ConsentError("invalid_value", "seen: there are more dials than any desk has.")
    found = []
    for one in listed:
        name, _, rest = one.partition("=")
        parts = rest.split(":")
        if len(parts) != 3:
            raise ConsentError("invalid_value", "seen: it is not what the page sent along.")
        found.append((name, (parts[0], parts[1]), parts[2]))
    return found


def save(conn: Connection, keyring: Keyring, actor: Actor, customer_id: UUID, chosen: Chosen, said: Said) -> Saved:
    """Turns what was changed; see the head of this module.

    Raises:
        ConsentError: unknown_customer; notice_required and evidence_required where something louder would be done.
    """
    owner = require_locked(conn, keyring, customer_id, actor).customer_id
    shown = desk(looking.facts(conn, keyring, owner))
    standing = {one.place: one.saved for one in shown.dials}
    values = {one.place: {stop.value for stop in one.stops} for one in shown.dials}
    changes: list[Change] = []
    louder: set[Place] = set()
    conflicts: list[Conflict] = []
    for place, value in chosen.wanted.items():
        if value not in values.get(place, ()) or value == standing[place]:
            continue  # gone from the catalogue since, or there already
        level = value or None
        is_up = is_louder(shown.facts, shown.reaches, place, level)
        if is_up and standing[place] != chosen.seen[place]:
            conflicts.append(Conflict(place, chosen.seen[place], standing[place], value))
            continue
        changes.append(Change(*place, level))
        if is_up:
            louder.add(place)
    for place in chosen.again:
        if place in shown.facts.dials and standing[place] == chosen.seen[place]:
            changes.append(Change(*place, standing[place]))
            louder.add(place)
    withheld = tuple(louder) if conflicts else ()
    done = [one for one in changes if (one.channel, one.topic) not in withheld]
    event_id, waiting = _turn(conn, keyring, actor, owner, done, said, louder)
    return Saved(event_id, tuple(conflicts), withheld, waiting)


def undo(
    conn: Connection, keyring: Keyring, actor: Actor, customer_id: UUID, event_id: UUID, said: Said, *, quieter: bool
) -> Saved:
    """Puts back what an event turned, wherever it still stands so.

    Args:
        quieter: only what was made louder by it.

    Raises:
        ConsentError: not_found; as `save`.
    """
    owner = require_locked(conn, keyring, customer_id, actor).customer_id
    found = looking.act(conn, keyring, owner, event_id)
    if found is None:
        raise ConsentError("not_found")
    if found.paused is not None:
        return _undo_pause(conn, keyring, actor, owner, found)
    if found.lifted is not None:
        return _stop_again(conn, keyring, actor, owner, found.lifted)
    shown = desk(looking.facts(conn, keyring, owner))
    changes, louder = [], set()
    for step in found.steps:
        stands = shown.facts.dials.get(step.place)
        if (stands.level if stands else None) != step.after or not _is_known(shown.facts, step):
            continue
        if is_louder(shown.facts, shown.reaches, step.place, step.before):
            if quieter:
                continue
            louder.add(step.place)
        changes.append(Change(*step.place, step.before))
    event, waiting = _turn(conn, keyring, actor, owner, changes, said, louder)
    return Saved(event, waiting=waiting)


def undo_is_louder(shown: Desk, found: looking.Act) -> bool:
    """Whether putting back what an act turned makes anything louder."""
    return any(
        _is_known(shown.facts, step) and is_louder(shown.facts, shown.reaches, step.place, step.before)
        for step in found.steps
    )


def quieter_everything(conn: Connection, keyring: Keyring, actor: Actor, customer_id: UUID, said: Said) -> Saved:
    """Everything that is heard, one level quieter."""
    owner = require_locked(conn, keyring, customer_id, actor).customer_id
    shown = desk(looking.facts(conn, keyring, owner))
    changes = [Change(*place, level) for place, level in one_step_down(shown)]
    return Saved(_turn(conn, keyring, actor, owner, changes, said, set())[0])


def nothing_at_all(conn: Connection, keyring: Keyring, actor: Actor, customer_id: UUID, said: Said) -> Saved:
    """The fader for everything, all the way down."""
    owner = require_locked(conn, keyring, customer_id, actor).customer_id
    levels = looking.facts(conn, keyring, owner).catalogue.levels
    return Saved(_turn(conn, keyring, actor, owner, [Change(*ALL, next(iter(levels)))], said, set())[0])


def pause(
    conn: Connection, keyring: Keyring, actor: Actor, customer_id: UUID, channel: str, until: datetime | None
) -> bool:
    """Pauses a channel or all ('*') until then, or ends the pause (None); False: that is louder, and has to wait.

    Raises:
        ConsentError: unknown_channel, invalid_timestamp, unknown_customer; evidence_required where somebody else than
            the customer ends or shortens it without.
    """
    owner = require_locked(conn, keyring, customer_id, actor).customer_id
    store.require_channel(conn, channel)
    before = store.pause(conn, owner, channel)
    is_shorter = before is not None and before["holds"] and (until is None or until < before["until"])
    if is_shorter and actor.link is not None:
        return False
    if is_shorter:
        _require_evidence(actor)
    if until is None:
        service.end_pause(conn, keyring, actor, owner, channel)
    else:
        service.pause(conn, keyring, actor, owner, channel, until)
    return True


def _turn(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    owner: UUID,
    changes: Sequence[Change],
    said: Said,
    louder: set[Place],
) -> tuple[UUID | None, tuple[Change, ...]]:
    """The event of what was turned, and what has to wait for a confirmation."""
    if louder and said.notice is None:
        raise ConsentError("notice_required")
    waiting = [one for one in changes if actor.link is not None and (one.channel, one.topic) in louder]
    rest = [one for one in changes if one not in waiting]
    while rest:
        wish = Wish(tuple(rest), said.source, said.evidence, said.notice if louder else None)
        try:
            with conn.transaction():
                turned = service.turn(conn, keyring, actor, owner, wish)
        except ConsentError as error:
            if error.code != "confirmation_required":
                raise
            refused = {int(one["pointer"].split("/")[2]) for one in error.errors}
            waiting += [one for index, one in enumerate(rest) if index in refused]
            rest = [one for index, one in enumerate(rest) if index not in refused]
            continue
        return store.last_event(conn, owner) if turned else None, tuple(waiting)
    return None, tuple(waiting)


def _undo_pause(conn: Connection, keyring: Keyring, actor: Actor, owner: UUID, found: looking.Act) -> Saved:
    assert found.paused is not None
    channel, before, after = found.paused
    if after is not None and (before is None or before < after):
        _require_evidence(actor)
    if before is not None and before > store.now(conn):
        service.pause(conn, keyring, actor, owner, channel, before)
    else:
        service.end_pause(conn, keyring, actor, owner, channel)
    return Saved()


def _stop_again(conn: Connection, keyring: Keyring, actor: Actor, owner: UUID, lifted: looking.Lifted) -> Saved:
    """What a stop held for the person is held again, by stops on the person: whoever shares a number is let be."""
    person = Reference(ID, str(owner))
    for channel in looking.loosened(conn, keyring, looking.facts(conn, keyring, owner), owner, lifted):
        stop = suppressions.Stop(channel, lifted.kind, STOPPED_AGAIN)
        suppressions.suppress_customer(conn, keyring, actor, person, stop)
    return Saved()


def _require_evidence(actor: Actor) -> None:
    """Whoever acts for a customer shows what makes them louder."""
    if not actor.is_customer and not actor.evidence:
        raise ConsentError("evidence_required", "Name the call or letter in evidence.")


def _is_known(found: Facts, step: looking.Step) -> bool:
    channel, topic = step.place
    return (
        (channel == "*" or channel in found.catalogue.live_channels)
        and (topic == "*" or topic in found.catalogue.live_topics)
        and (step.before is None or step.before in found.catalogue.levels)
    )
