"""Cases of what the decision says beside its reason: who may ask what, when, and what stands in the answer.

Each is asked of `decide.sql` as the slice's store asks it, on the catalogue of the tests and one customer, at a fixed
instant. The mutants of the statement are asked the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from consent_service.customers.service import Resolved
from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.permissions import store
from consent_service.permissions.model import Question, Scope
from tests.support.api import CATALOGUE
from tests.support.rules import Catalogue, Contact, Customer, Dial, Pause, PointSuppression
from tests.support.seeding import LONG_AGO, as_resolved, put_catalogue, put_customer

NOW = datetime(2026, 6, 17, 12, 0, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MOVED = "moved"
HOME, WORK = ("email", "ben@example.com"), ("email", "ben@work.example")


@dataclass(frozen=True)
class Case:
    """A question, what was done to the world before it, and what the answer must hold (or the error's code).

    Args:
        prepare: is called with the connection and the customer's id.
    """

    name: str
    expect: dict[str, Any] | str
    channel: str = "email"
    topic: str = "events"
    dials: tuple[Dial, ...] = ()
    at: datetime | None = None
    options: dict[str, Any] = field(default_factory=dict)
    catalogue: dict[str, Any] = field(default_factory=lambda: CATALOGUE)
    pauses: tuple[Pause, ...] = ()
    contacts: tuple[Contact, ...] = ()
    stopped: tuple[str, ...] = ()  # Ben's addresses that are suppressed
    point: tuple[str, str] | None = None  # the identifier that is asked with
    prepare: Callable[[Connection, UUID], object] = lambda _conn, _one: None

    def __str__(self) -> str:
        return self.name

    @property
    def customer(self) -> Customer:
        """Ben, who has two addresses."""
        return Customer(
            identifiers=(HOME, WORK),
            dials=self.dials,
            pauses=self.pauses,
            contacts=self.contacts,
            point_suppressions=tuple(PointSuppression(("email", one), None, "all") for one in self.stopped),
        )


def retire(table: str, name: str) -> Callable[[Connection, UUID], object]:
    return lambda conn, _: conn.execute(f"UPDATE {table} SET retired_at = %s WHERE name = %s".encode(), [NOW, name])


def merge_away(conn: Connection, one: UUID) -> None:
    other = uuid4()
    conn.execute("INSERT INTO customer (customer_id, created_at) VALUES (%s, %s)", [other, LONG_AGO])
    conn.execute("UPDATE customer SET state = 'merged', survivor_id = %s WHERE customer_id = %s", [other, one])


def erase(conn: Connection, one: UUID) -> None:
    conn.execute("UPDATE customer SET state = 'erased' WHERE customer_id = %s", [one])


def somebody_elses_point(conn: Connection, _one: UUID) -> None:
    """Ann's address is suppressed, and only hers."""
    ann = Customer(
        identifiers=(("email", "ann@example.com"),),
        point_suppressions=(PointSuppression(("email", "ann@example.com"), None, "all"),),
    )
    put_customer(conn, Catalogue.from_document(CATALOGUE), ann)


def changed(part: str, name: str, **values: Any) -> dict[str, Any]:
    """The catalogue with one thing otherwise."""
    return {**CATALOGUE, part: {**CATALOGUE[part], name: {**CATALOGUE[part][name], **values}}}


def quiet(begins: str, ends: str) -> dict[str, Any]:
    return changed("channels", "email", quiet_hours={"from": begins, "to": ends})


def limited(*topics: str) -> dict[str, Any]:
    return {"scope": Scope(limited=True, topics=topics or None)}


BOUNDED = {"bounded": True}
LOUD = Dial("*", "events", "everything", None)
GARDEN = Dial("*", "offers/garden", "everything", NOW)
CASES = (
    Case("a channel that there is not", "unknown_channel", channel="pigeon"),
    Case("a topic that there is not", "unknown_topic", topic="offers/cars"),
    Case("a retired channel", "channel_retired", prepare=retire("channel", "email")),
    Case("a retired topic", "topic_retired", prepare=retire("topic", "events")),
    Case("a contact made on a retired channel", {"reason": "allowed"}, prepare=retire("channel", "email"),
         options={"accept_retired": True}),
    Case("a contact made about a retired topic", {"reason": "allowed"}, prepare=retire("topic", "events"),
         options={"accept_retired": True}),
    Case("a merged customer", MOVED, prepare=merge_away),
    Case("an erased customer", {"reason": "erased", "allowed": False}, prepare=erase),
    # Keys and their topics.
    Case("a key for every topic, a usual one", {"reason": "allowed"}, options=limited()),
    Case("a key for every topic, an essential one", "topic_not_allowed", topic="orders", options=limited()),
    Case("a key for all, an essential one", {"reason": "essential"}, topic="orders", options=limited("*")),
    Case("a key for all, a usual one", {"reason": "allowed"}, options=limited("*")),
    Case("a key for its own topic", {"reason": "allowed"}, options=limited("offers", "events")),
    Case("a key for another topic", "topic_not_allowed", options=limited("offers")),
    Case("a key for the parent", {"reason": "no_consent"}, topic="offers/wine", options=limited("offers")),
    Case("a key for the child", "topic_not_allowed", topic="offers", options=limited("offers/wine")),
    Case("a key for an essential topic by name", {"reason": "essential"}, topic="orders", options=limited("orders")),
    Case("a key for the essential parent of a usual one", {"reason": "no_consent"}, topic="orders/tips",
         options=limited("orders")),
    Case("a desk asks about an essential one", {"reason": "essential", "allowed": True}, topic="orders"),
    # When one may ask about.
    Case("five minutes ago", {"instant": NOW - timedelta(minutes=5)}, at=NOW - timedelta(minutes=5), options=BOUNDED),
    Case("longer ago", "invalid_timestamp", at=NOW - timedelta(minutes=5) - MICROSECOND, options=BOUNDED),
    Case("400 days ahead", {"instant": NOW + timedelta(days=400)}, at=NOW + timedelta(days=400), options=BOUNDED),
    Case("later", "invalid_timestamp", at=NOW + timedelta(days=400) + MICROSECOND, options=BOUNDED),
    Case("long ago, of a report", {"instant": NOW - timedelta(days=800)}, at=NOW - timedelta(days=800),
         options={"bounded": False}),
    Case("no instant is now", {"instant": NOW, "decided_at": NOW}),
    Case("a permit for a moment ago is for now", {"instant": NOW}, at=NOW - timedelta(minutes=1),
         options={"not_before_now": True}),
    Case("a permit for tomorrow is for tomorrow", {"instant": NOW + timedelta(days=1), "decided_at": NOW},
         at=NOW + timedelta(days=1), options={"not_before_now": True}),
    Case("a permit without an instant is for now", {"instant": NOW}, options={"not_before_now": True}),
    Case("asked with the address that is not suppressed", {"reason": "allowed"}, stopped=(WORK[1],), point=HOME),
    Case("asked with the one that is", {"reason": "suppressed"}, stopped=(WORK[1],), point=WORK),
    Case("asked with none, one suppressed is enough", {"reason": "suppressed"}, stopped=(WORK[1],)),
    Case("asked with an address of another channel's kind", {"reason": "suppressed"}, stopped=(WORK[1],),
         point=("phone", "+442071838750")),
    Case("somebody else's suppressed address", {"reason": "allowed"}, prepare=somebody_elses_point),
    # Edges of quiet hours; the clock in London is an hour ahead of ours.
    Case("the first instant of the day's quiet hours", {"reason": "quiet_hours"}, catalogue=quiet("13:00", "17:00")),
    Case("the last instant before them", {"reason": "allowed"}, catalogue=quiet("13:00", "17:00"),
         at=NOW - MICROSECOND),
    Case("the first instant after them", {"reason": "allowed"}, catalogue=quiet("09:00", "13:00")),
    Case("the last instant of them", {"reason": "quiet_hours", "next_allowed_at": NOW},
         catalogue=quiet("09:00", "13:00"), at=NOW - MICROSECOND),
    Case("the first instant of the night's quiet hours", {"reason": "quiet_hours"}, catalogue=quiet("13:00", "09:00")),
    Case("the first instant after the night", {"reason": "allowed"}, catalogue=quiet("20:00", "13:00")),
    Case("room comes back at the end of the day's quiet hours", {"reason": "volume_reached", "next_allowed_at": NOW},
         catalogue=quiet("09:00", "13:00"), at=NOW - timedelta(days=1),
         contacts=(Contact("email", "events", NOW - timedelta(days=30)),)),
    Case("room comes back at the end of the night", {"reason": "volume_reached", "next_allowed_at": NOW},
         catalogue=quiet("20:00", "13:00"), at=NOW - timedelta(days=1),
         contacts=(Contact("email", "events", NOW - timedelta(days=30)),)),
    Case("room comes back in the first instant of quiet hours",
         {"reason": "volume_reached", "next_allowed_at": NOW + timedelta(hours=4)},
         catalogue=quiet("13:00", "17:00"), at=NOW - timedelta(days=1),
         contacts=(Contact("email", "events", NOW - timedelta(days=30)),)),
    Case("the clock jumps in the instant in which quiet hours end",
         {"reason": "quiet_hours", "next_allowed_at": datetime(2026, 3, 29, 1, 0, tzinfo=UTC)},
         catalogue=quiet("20:00", "01:00"), at=datetime(2026, 3, 28, 23, 30, tzinfo=UTC)),
    *(
        Case(f"the clock jumps, asked {micro} microseconds after the full minute",
             {"reason": "quiet_hours", "next_allowed_at": datetime(2026, 3, 29, 1, 0, tzinfo=UTC)},
             catalogue=quiet("20:00", "01:30"), at=datetime(2026, 3, 28, 23, 31, 0, micro, tzinfo=UTC))
        for micro in (1, 3, 123456)
    ),
    # A consent that ends in the instant in which a contact would be allowed again.
    Case("a consent ends with the pause", {"reason": "paused", "next_allowed_at": None}, topic="offers/garden",
         dials=(Dial("*", "offers/garden", "everything", NOW + timedelta(days=1)),),
         pauses=(Pause("*", NOW + timedelta(days=1)),)),
    Case("a consent ends after the pause", {"reason": "paused", "next_allowed_at": NOW + timedelta(days=1)},
         topic="offers/garden", pauses=(Pause("*", NOW + timedelta(days=1)),),
         dials=(Dial("*", "offers/garden", "everything", NOW + timedelta(days=1) + MICROSECOND),)),
    # What the mix of a customer says of a place.
    Case("essential is granted", {"essential": True, "granted": True, "held_level": None}, topic="orders"),
    Case("a default grants", {"essential": False, "granted": True, "held_level": "monthly"}),
    Case("a silent default grants nothing", {"granted": False, "reason": "silent", "held_level": "silent"},
         catalogue=changed("topics", "events", default_level="silent")),
    Case("a default on request grants", {"granted": True, "reason": "on_request_only", "held_level": "on_request"},
         catalogue=changed("topics", "events", default_level="on_request")),
    Case("a dial grants in the default's place", {"granted": True, "held_level": "everything"}, dials=(LOUD,)),
    Case("a dial at silent takes the default's grant", {"granted": False, "held_level": "silent", "reason": "silent"},
         dials=(Dial("*", "events", "silent", None),)),
    Case("a fader grants nothing", {"granted": False, "reason": "no_consent", "held_level": "silent", "level": None},
         topic="offers", dials=(Dial("*", "*", "everything", None),)),
    Case("a fader takes no grant", {"granted": True, "held_level": "silent", "reason": "silent", "level": "silent"},
         dials=(Dial("email", "*", "silent", None),)),
    Case("a consent grants", {"granted": True, "reason": "allowed", "level": "everything"}, topic="offers",
         dials=(Dial("*", "offers", "everything", None),)),
    Case("a consent that ends now grants no longer", {"granted": False, "reason": "consent_expired", "level": None},
         topic="offers/garden", dials=(GARDEN,)),
    Case("an ended dial over a default still counts as a grant", {"granted": True, "reason": "allowed"},
         dials=(Dial("*", "events", "everything", NOW - timedelta(days=1)),)),
    Case("nothing explains when nobody asks", {"governed_by": [], "reason": "allowed"}, options={"explain": False}),
)  # fmt: skip


def expect(conn: Connection, case: Case) -> Callable[[], bool]:
    """Puts the case's world into the tables; a function that asks and says whether the answer is the expected one."""
    put_catalogue(conn, case.catalogue)
    one = put_customer(conn, Catalogue.from_document(case.catalogue), case.customer)
    assert one is not None
    case.prepare(conn, one)
    who: Resolved = as_resolved(case.customer, one, case.point)

    def holds() -> bool:
        question = Question("", case.channel, case.topic, case.at)
        try:
            (found,) = store.decide(conn, [question], [who], now=NOW, **{"bounded": False, **case.options})
        except store.Moved:
            return case.expect == MOVED
        if isinstance(found, ConsentError) or isinstance(case.expect, str):
            return isinstance(found, ConsentError) and found.code == case.expect
        return all(getattr(found, name) == value for name, value in case.expect.items())

    return holds
