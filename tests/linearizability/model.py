"""One customer as a sequential machine: from a state and an act to the next state and the answer.

The decision itself is the independent rendering of the rules (tests/support/rules.py); this module owns what is
around it: dials, pauses, permits and the ledger, one act after the other. It never looks at the service, and
time stands still: no window, pause, permit or consent of these customers ends while they are watched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import Any

from tests.linearizability.acts import (
    Act,
    Answer,
    Audit,
    Check,
    Contact,
    Decision,
    Dials,
    EndPause,
    Holdings,
    Operation,
    Pauses,
    Place,
    Release,
    Reserve,
    SetPause,
    Settings,
    ShowDials,
    ShowPermit,
    Turn,
    Use,
)
from tests.support import rules

EVERY = "*"
AT = datetime(2026, 6, 17, 12, tzinfo=UTC)
JUST_BEFORE = AT - timedelta(seconds=1)
LATER = AT + timedelta(seconds=1)
ENDED = {"released": "permit_released", "void": "permit_void"}


@dataclass(frozen=True)
class Permit:
    """A permit: for what, and open, used, released or void; `contact` is the id of the one it was used for."""

    place: Place
    state: str = "open"
    contact: str | None = None


@dataclass(frozen=True)
class State:
    """Everything of one customer that an answer can depend on."""

    version: int = 0
    dials: Dials = ()
    pauses: Pauses = ()
    ledger: tuple[tuple[Place, int], ...] = ()
    permits: tuple[tuple[str, Permit], ...] = ()

    @property
    def settings(self) -> Settings:
        """As they are shown."""
        return Settings(self.version, self.dials, self.pauses)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.version, self.dials, self.pauses, self.ledger, self.permits))

    @cached_property
    def reserved(self) -> tuple[tuple[Place, int], ...]:
        """How many open permits there are for each place."""
        return _counted(Counter(one.place for _, one in self.permits if one.state == "open"))

    def permit(self, permit: str) -> Permit:
        """The permit of this id, which there is: nobody asks for one that was not given."""
        return dict(self.permits)[permit]

    def with_permit(self, permit: str, one: Permit) -> State:
        """The state in which it stands so."""
        return replace(self, permits=tuple(sorted({**dict(self.permits), permit: one}.items())))

    def with_contact(self, place: Place) -> State:
        """The state with one more entry in the ledger."""
        return replace(self, ledger=_counted(Counter(dict(self.ledger)) + Counter([place])))


class Model:
    """The machine for one catalogue."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._catalogue = rules.Catalogue.from_document(document)
        self._position = {name: level.position for name, level in self._catalogue.levels.items()}
        self._loudest = max(self._position.values())
        # The same questions come up again and again while orders are tried.
        self.decide = cache(self._decide)

    def step(self, state: State, operation: Operation) -> tuple[State, Answer]:
        """What an act comes to in a state. Ids that the service would make up are the operation's."""
        act, made = operation.act, operation.made
        match act:
            case Check(place):
                return state, Answer(200, decision=self._asked(state, place))
            case Contact(place):
                decision = self._asked(state, place)
                return (state.with_contact(place), Answer(201, decision=decision)) if decision.allowed \
                    else (state, _refused(decision))  # fmt: skip
            case Reserve(place):
                decision = self._asked(state, place)
                return (state.with_permit(made, Permit(place)), Answer(201, decision=decision)) if decision.allowed \
                    else (state, _refused(decision))  # fmt: skip
            case Use(permit):
                return self._use(state, permit, made)
            case Release(permit):
                return _release(state, permit)
            case ShowPermit(permit):
                return state, Answer(200, state=state.permit(permit).state)
            case Turn():
                return self._turn(state, act)
            case SetPause() | EndPause():
                return _pause(state, act)
            case ShowDials():
                return state, Answer(200, settings=state.settings)
            case Audit():
                return state, Answer(200, settings=state.settings, holdings=_holdings(state))

    def _asked(self, state: State, place: Place) -> Decision:
        return self.decide(state.dials, state.pauses, state.ledger, state.reserved, place)

    def _decide(
        self,
        dials: Dials,
        pauses: Pauses,
        ledger: tuple[tuple[Place, int], ...],
        reserved: tuple[tuple[Place, int], ...],
        place: Place,
    ) -> Decision:
        customer = rules.Customer(
            dials=tuple(rules.Dial(*where, level) for where, level in dials),
            # However far away their end is, it has not come.
            pauses=tuple(rules.Pause(channel, LATER) for channel, _ in pauses),
            contacts=tuple(rules.Contact(*where, JUST_BEFORE) for where, number in ledger for _ in range(number)),
            permits=tuple(rules.Permit(*where, LATER) for where, number in reserved for _ in range(number)),
        )
        found = rules.decide(self._catalogue, customer, *place, AT, play_forward=False)
        governing = [(one.kind, one.channel, one.topic, one.level, one.used, one.room) for one in found.governed_by]
        return Decision(found.reason, found.level, found.remaining, tuple(sorted(governing, key=str)))

    def _use(self, state: State, permit: str, made: str) -> tuple[State, Answer]:
        one = state.permit(permit)
        if one.state == "used":
            known = one.contact if one.contact is not None and not is_guess(one.contact) else made
            return state.with_permit(permit, replace(one, contact=known)), Answer(200, contact=known)
        if one.state != "open":
            return state, Answer(409, code=ENDED[one.state])
        # Asked again, with open permits set aside.
        decision = self.decide(state.dials, state.pauses, state.ledger, (), one.place)
        if not decision.allowed:
            return state.with_permit(permit, replace(one, state="void")), _refused(decision)
        used = state.with_permit(permit, replace(one, state="used", contact=made)).with_contact(one.place)
        return used, Answer(201, decision=decision, contact=made)

    def _turn(self, state: State, act: Turn) -> tuple[State, Answer]:
        dials = dict(state.dials)
        louder = any(self._stands(level, place) > self._stands(dials.get(place), place) for place, level in act.changes)
        if louder and act.version is not None and act.version != state.version:
            return state, Answer(412, code="stale_version")
        turned = [(place, level) for place, level in act.changes if self._is_news(place, level, dials.get(place))]
        for place, level in turned:
            if level is None:
                del dials[place]
            else:
                dials[place] = level
        after = replace(state, version=state.version + bool(turned), dials=tuple(sorted(dials.items())))
        return after, Answer(200, settings=after.settings)

    def _stands(self, level: str | None, place: Place) -> int:
        """The position of a place; without a dial it stands where the rules say."""
        if level is not None:
            return self._position[level]
        if place[1] == EVERY:
            return self._loudest
        usual = self._catalogue.topics[place[1]].default_level
        return usual.position if usual is not None else self._catalogue.silent.position

    def _is_news(self, place: Place, level: str | None, before: str | None) -> bool:
        if level != before:
            return True
        # The same again renews a consent that ends.
        lasts = place[1] != EVERY and self._catalogue.topics[place[1]].consent_lasts_seconds is not None
        return lasts and level is not None and self._position[level] > self._catalogue.silent.position


def is_guess(contact: str) -> bool:
    """True for the stand-in of an id that nobody was told."""
    return contact.startswith("?")


def _counted(counts: Counter[Any]) -> tuple[tuple[Any, int], ...]:
    return tuple(sorted(counts.items()))


def _refused(decision: Decision) -> Answer:
    return Answer(409, code="not_permitted", decision=decision)


def _release(state: State, permit: str) -> tuple[State, Answer]:
    one = state.permit(permit)
    if one.state == "used":
        return state, Answer(409, code="permit_used")
    if one.state == "open":
        state = state.with_permit(permit, replace(one, state="released"))
    return state, Answer(204)


def _pause(state: State, act: Act) -> tuple[State, Answer]:
    pauses = dict(state.pauses)
    match act:
        case SetPause(channel, until):
            pauses[channel] = until
        case EndPause(channel):
            pauses.pop(channel, None)
    now = tuple(sorted(pauses.items()))
    after = replace(state, version=state.version + (now != state.pauses), pauses=now)
    return after, Answer(200, settings=after.settings)


def _holdings(state: State) -> Holdings:
    permits = Counter((one.place, one.state) for _, one in state.permits)
    return Holdings(state.ledger, tuple((place, how, number) for (place, how), number in sorted(permits.items())))
