"""Single permits and contacts: those who ask at the same moment share a transaction, and its commit.

Nobody waits for a customer whom somebody else holds while others wait for them: who asks about such a one stands in
the line of that customer. Rows of one customer are taken one after the other, and the later sees what the earlier took.
What failed is never tried again once its commit was on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from consent_service.catalogue.service import hold_catalogue
from consent_service.customers.service import Locked, Resolved, foresee, lock_free, lock_many, resolve_many
from consent_service.database import Connection, Database, RolledBack
from consent_service.errors import ConsentError, Unavailable
from consent_service.gathering import Gathering, Lines
from consent_service.history.model import Actor
from consent_service.keyring.model import DataKey
from consent_service.keyring.service import Keyring
from consent_service.keys import service as keys
from consent_service.keys.model import ApiKey, includes
from consent_service.permissions.model import Asked, Outcome
from consent_service.permissions.taking import Claim, Held, Way, settled, take_held

TAKERS = frozenset(("campaign",))


@dataclass(frozen=True, slots=True)
class Wanted:
    """A permit or contact that is asked for, and the hash of the key that it is asked for with."""

    secret_hash: bytes = field(repr=False)
    request_id: str
    way: Way
    asked: Asked


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of it: the key (None: there is none, any more), and what its holder is answered.

    `outcome` None: nothing was done. Then whoever has a key that may ask goes alone, as a request of its own; and
    first, where `held_by_others` is a customer, into the line of that one.
    """

    key: ApiKey | None = None
    outcome: Outcome | ConsentError | None = None
    held_by_others: UUID | None = None


class Together:
    """The single permits and contacts of one process.

    Args:
        patience: seconds that the calling thread may still wait.
    """

    def __init__(self, database: Database, keyring: Keyring, patience: Callable[[], float]) -> None:
        self._database = database
        self._keyring = keyring
        self._free = Gathering(self._take_free, patience, repeats=False)
        self._lines = Lines(self._take_one_line, patience)

    def take(self, wanted: Wanted) -> Taken:
        """What came of one request.

        Raises:
            Unavailable: no decision, or nobody knows whether it was written.
        """
        taken = self._free.ask(wanted)
        if taken.held_by_others is not None:
            return self._lines.ask(taken.held_by_others, wanted)
        return taken

    def _take_free(self, wanted: Sequence[Wanted]) -> list[Taken]:
        return take_together(self._database, self._keyring, wanted, occupied=self._lines.standing())

    def _take_one_line(self, wanted: Sequence[Wanted]) -> list[Taken]:
        return take_together(self._database, self._keyring, wanted, waits=True)


def take_together(
    database: Database,
    keyring: Keyring,
    wanted: Sequence[Wanted],
    *,
    occupied: Collection[Hashable] = (),
    waits: bool = False,
) -> list[Taken]:
    """Does what is wanted, in one transaction, in the order given; one answer each.

    Args:
        occupied: customers who are somebody else's, without a look.
        waits: for customers whom somebody holds; else they are told so.

    Raises:
        Unavailable: for all of them; nobody knows whether anything was written.
    """
    try:
        askers, found = _looked_up(database, keyring, wanted)
    except Unavailable:
        raise
    except Exception:
        return [Taken() for _ in wanted]  # each finds out alone what is wrong, and with whom
    claims = {place: made for place, made in enumerate(map(_claim, askers, wanted)) if made is not None}
    taken = [Taken(key) for key in askers]
    if not claims:
        return taken

    def work(conn: Connection) -> dict[int, Taken]:
        hold_catalogue(conn)
        who = {place: found[place] for place in claims}
        named = {one.customer_id for one in who.values() if one.customer_id is not None}
        locked: Mapping[UUID, Locked | None]
        locked = lock_many(conn, keyring, named) if waits else lock_free(conn, keyring, named.difference(occupied))
        others = frozenset() if waits else named - locked.keys()
        going = [place for place in claims if who[place].customer_id not in others]
        held = Held([settled(who[place], locked) for place in going], _keys(locked))
        outcomes = take_held(conn, keyring, [claims[place] for place in going], held)
        done = {place: Taken(askers[place], outcome) for place, outcome in zip(going, outcomes, strict=True)}
        left = {place: Taken(askers[place], None, one.customer_id) for place, one in who.items() if place not in done}
        return done | left

    try:
        ended = database.once(work)
    except RolledBack:
        return taken  # certainly without effect: one of them may have spoilt it for the others
    return [ended.get(place, one) for place, one in enumerate(taken)]


def _looked_up(
    database: Database, keyring: Keyring, wanted: Sequence[Wanted]
) -> tuple[list[ApiKey | None], list[Resolved]]:
    """Who asks, and about whom, outside of the transaction: noting a key's use would hold up all others who use it."""
    with database.reading() as conn:
        references = [one.asked.question.customer for one in wanted]
        foresee(conn, keyring, references)
        found = keys.find_many(conn, [one.secret_hash for one in wanted])
        return [found.get(one.secret_hash) for one in wanted], resolve_many(conn, keyring, references)


def _claim(key: ApiKey | None, wanted: Wanted) -> Claim | None:
    """None for who may not, and for keys whose requests are counted first."""
    if key is None or not includes(key.role, TAKERS) or key.requests_per_minute is not None:
        return None
    return Claim(Actor(key.role, key.name, wanted.request_id, key.topics), wanted.way, wanted.asked)


def _keys(locked: Mapping[UUID, Locked | None]) -> dict[UUID, DataKey]:
    return {one.customer_id: one.key for one in locked.values() if one is not None}
