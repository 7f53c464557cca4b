"""Cases of what the decision says beside its reason: who may ask what, when, and what stands in the answer.

Each is asked of `decide.sql` as the slice's store asks it, on the catalogue of the tests and one customer, at a fixed
instant. The mutants of the statement are asked the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from consent_service.customers.service import Resolved
from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.permissions import store
from consent_service.permissions.model import Question, Scope
from tests.support.api import CATALOGUE
from tests.support.rules import (
    Catalogue,
    Contact,
    Customer,
    Dial,
    Dialogue,
    Milestone,
    Pause,
    Permit,
    PointSuppression,
)
from tests.support.seeding import LONG_AGO, as_resolved, own_id, put_catalogue, put_customer

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
    dialogues: tuple[Dialogue, ...] = ()
    milestones: tuple[Milestone, ...] = ()
    permits: tuple[Permit, ...] = ()
    milestone: int | None = None  # the place of the one that is asked for
    used_in: int | None = None  # the place of the dialogue in which the permit that is used was given
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
            permits=self.permits,
            dialogues=self.dialogues,
            milestones=self.milestones,
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
ON_REQUEST = (Dial("*", "offers", "on_request", None),)
DAY, LATER = timedelta(days=1), NOW + timedelta(days=10)
TALK = Dialogue("offers/wine", ("email",), LATER, 2)
ANY_TIME = replace(TALK, any_time=True)
MADE = Contact("email", "offers/wine", NOW - DAY, dialogue=0)
REMINDER = Milestone("offers/wine", "email", NOW.date(), 5)
INSIDE: dict[str, Any] = {"reason": "in_dialogue", "allowed": True, "level": None, "dialogue": 0, "milestone": None}
OUTSIDE: dict[str, Any] = {"reason": "on_request_only", "allowed": False, "level": "on_request", "dialogue": None}
NOBODYS = -1
USING = {"count_permits": False}


def wine(name: str, expect: dict[str, Any] | str, *dialogues: Dialogue, **more: Any) -> Case:
    """About wine by email to somebody whose dials say: only when I ask."""
    return Case(name, expect, **{"topic": "offers/wine", "dials": ON_REQUEST, "dialogues": dialogues, **more})


def asked_for(name: str, expect: dict[str, Any] | str, kept: Milestone, **more: Any) -> Case:
    """About the first milestone of the same customer."""
    return wine(name, expect, **{"milestones": (kept,), "milestone": 0, **more})


def paused(name: str, next_allowed_at: datetime, **more: Any) -> Case:
    """For a day, with a dialogue that has one contact left."""
    expected = {"reason": "paused", "next_allowed_at": next_allowed_at}
    return wine(name, expected, replace(TALK, contacts=1), pauses=(Pause("*", NOW + DAY),), **more)


def release(conn: Connection, one: UUID) -> None:
    conn.execute("UPDATE permit SET state = 'released', ended_at = reserved_at WHERE customer_id = %s", [one])


IN_IT = Permit("email", "offers/wine", NOW + 2 * DAY, dialogue=0)
NIGHT = quiet("11:00", "17:00")  # in London, so until 16:00 here
MORNING = datetime(2026, 6, 17, 16, 0, tzinfo=UTC)
DIALOGUES = (
    wine("before a dialogue is opened", OUTSIDE),
    wine("inside a dialogue", {**INSIDE, "remaining": 2, "next_allowed_at": None}, TALK),
    wine("without any consent too", {**INSIDE, "remaining": 2}, TALK, dials=()),
    wine("a silent dial too", INSIDE, TALK, dials=(Dial("email", "*", "silent", None),)),
    wine("the last contact of a dialogue", {**INSIDE, "remaining": 1}, TALK, contacts=(MADE,)),
    wine("after the last", OUTSIDE, TALK, contacts=(MADE, MADE)),
    wine("a contact under the dials is none of the dialogue's", {**INSIDE, "remaining": 2}, TALK,
         contacts=(replace(MADE, dialogue=None),)),
    wine("a milestone's contact is none of the dialogue's", {**INSIDE, "remaining": 2}, TALK, milestones=(REMINDER,),
         contacts=(replace(MADE, dialogue=None, milestone=0),)),
    wine("a contact that was made long ago counts", {**INSIDE, "remaining": 1}, TALK,
         contacts=(replace(MADE, contacted_at=NOW - timedelta(days=500)),)),
    wine("an open permit in it counts", {**INSIDE, "remaining": 1}, TALK,
         permits=(Permit("email", "offers/wine", NOW + MICROSECOND, dialogue=0),)),
    wine("one that has expired does not", {**INSIDE, "remaining": 2}, TALK,
         permits=(Permit("email", "offers/wine", NOW, dialogue=0),)),
    wine("a permit's own room is set aside when it is used", {**INSIDE, "remaining": 1}, replace(TALK, contacts=1),
         permits=(Permit("email", "offers/wine", LATER, dialogue=0),), used_in=0, options=USING),
    wine("a permit under the dials is not used in a dialogue", OUTSIDE, TALK, options=USING),
    wine("a permit is used in its own dialogue", {**INSIDE, "dialogue": 1}, TALK, TALK, used_in=1, options=USING),
    wine("a closed dialogue", OUTSIDE, replace(TALK, closed=True)),
    wine("a permit of a closed dialogue", OUTSIDE, replace(TALK, closed=True), TALK, used_in=0, options=USING),
    wine("at the last instant", INSIDE, TALK, at=LATER - MICROSECOND),
    wine("at the instant in which it expires", OUTSIDE, TALK, at=LATER),
    wine("a pause stops it", {"reason": "paused", "next_allowed_at": NOW + DAY, "dialogue": None}, TALK,
         pauses=(Pause("*", NOW + DAY),)),
    wine("a pause that ends with it", {"reason": "paused", "next_allowed_at": None}, TALK,
         pauses=(Pause("*", LATER),)),
    wine("a suppression stops it", {"reason": "suppressed", "dialogue": None}, TALK, stopped=(HOME[1],)),
    wine("another channel", OUTSIDE, TALK, channel="sms"),
    wine("a second channel", INSIDE, replace(TALK, channels=("sms", "email"))),
    wine("the parent topic", OUTSIDE, TALK, topic="offers"),
    wine("a child topic", INSIDE, replace(TALK, topic="offers")),
    wine("an essential topic", {"reason": "essential", "dialogue": None}, replace(TALK, topic="orders"),
         topic="orders"),
    wine("of two the one that was opened first", {**INSIDE, "remaining": 5}, replace(TALK, contacts=5), TALK),
    wine("of two the one with contacts left", {**INSIDE, "dialogue": 1, "remaining": 2}, replace(TALK, contacts=1),
         TALK, contacts=(MADE,)),
    wine("quiet hours hold inside too", {"reason": "quiet_hours", "allowed": False, "level": None, "remaining": 2,
         "dialogue": 0, "next_allowed_at": MORNING}, TALK, catalogue=NIGHT),
    wine("any time", INSIDE, ANY_TIME, catalogue=NIGHT),
    wine("the first opened serves in quiet hours, and ends",
         {"reason": "quiet_hours", "dialogue": 0, "next_allowed_at": NOW + timedelta(hours=1)},
         replace(TALK, until=NOW + timedelta(hours=1)), ANY_TIME, catalogue=NIGHT),
    wine("it ends before quiet hours do", {"reason": "quiet_hours", "next_allowed_at": None},
         replace(TALK, until=MORNING), catalogue=NIGHT),
    wine("a permit in it ends, at any time",
         {"reason": "volume_reached", "next_allowed_at": NOW + timedelta(hours=1)},
         replace(ANY_TIME, contacts=1), topic="offers/wine", dials=(Dial("*", "offers/wine", "monthly", None),),
         permits=(Permit("email", "offers/wine", NOW + timedelta(hours=1), dialogue=0),),
         contacts=(replace(MADE, dialogue=None),)),
    wine("of two permits in it the first that ends makes room",
         {"reason": "volume_reached", "next_allowed_at": NOW + timedelta(hours=1)}, TALK,
         dials=(Dial("*", "offers/wine", "monthly", None),), contacts=(replace(MADE, dialogue=None),),
         permits=(IN_IT, replace(IN_IT, expires_at=NOW + timedelta(hours=1)))),
    paused("a permit under the dials takes nothing of it", NOW + DAY, permits=(replace(IN_IT, dialogue=None),)),
    paused("a permit in it does", NOW + 2 * DAY, permits=(IN_IT,)),
    paused("a permit in it that was released does not", NOW + DAY, permits=(IN_IT,), prepare=release),
    paused("a permit in it is used in it", NOW + DAY, permits=(IN_IT,), used_in=0, options=USING),
    # Milestones.
    asked_for("quiet hours end with its window", {"reason": "quiet_hours", "next_allowed_at": None}, REMINDER,
              at=datetime(2026, 6, 21, 20, 0, tzinfo=UTC), catalogue=quiet("20:00", "00:00")),
    asked_for("a milestone in its window",
              {"reason": "in_dialogue", "allowed": True, "level": None, "remaining": None, "milestone": 0}, REMINDER),
    asked_for("a milestone that is not named", OUTSIDE, REMINDER, milestone=None),
    asked_for("a milestone of nobody's", "unknown_milestone", REMINDER, milestone=NOBODYS),
    asked_for("the day's first moment where the customer is", {"reason": "in_dialogue"}, REMINDER,
              at=datetime(2026, 6, 16, 23, 0, tzinfo=UTC)),
    asked_for("the moment before", OUTSIDE, REMINDER, at=datetime(2026, 6, 16, 23, 0, tzinfo=UTC) - MICROSECOND),
    asked_for("the last moment", {"reason": "in_dialogue"}, REMINDER,
              at=datetime(2026, 6, 21, 23, 0, tzinfo=UTC) - MICROSECOND),
    asked_for("the moment after", OUTSIDE, REMINDER, at=datetime(2026, 6, 21, 23, 0, tzinfo=UTC)),
    asked_for("dropped", OUTSIDE, replace(REMINDER, dropped=True)),
    asked_for("through another channel", OUTSIDE, replace(REMINDER, channel="sms")),
    asked_for("an event for other systems", OUTSIDE, replace(REMINDER, channel=None)),
    asked_for("about another topic", OUTSIDE, REMINDER, topic="offers"),
    asked_for("once", OUTSIDE, REMINDER, contacts=(Contact("email", "offers/wine", NOW, milestone=0),)),
    asked_for("reserved by somebody", OUTSIDE, REMINDER, permits=(Permit("email", "offers/wine", LATER, milestone=0),)),
    asked_for("used by who reserved it", {"reason": "in_dialogue"}, REMINDER, options=USING,
              permits=(Permit("email", "offers/wine", LATER, milestone=0),)),
    asked_for("reserved until now", {"reason": "in_dialogue"}, REMINDER,
              permits=(Permit("email", "offers/wine", NOW, milestone=0),)),
    asked_for("it obeys quiet hours", {"reason": "quiet_hours", "next_allowed_at": MORNING}, REMINDER, catalogue=NIGHT),
    asked_for("it takes nothing of the dialogue's", {"reason": "in_dialogue", "remaining": None}, REMINDER,
              dialogues=(TALK,)),
    asked_for("in quiet hours a dialogue at any time serves", {**INSIDE, "remaining": 2}, REMINDER, catalogue=NIGHT,
              dialogues=(ANY_TIME,)),
    asked_for("a pause stops it", {"reason": "paused", "next_allowed_at": NOW + DAY}, REMINDER,
              pauses=(Pause("*", NOW + DAY),)),
)  # fmt: skip
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
    # Dialogues: offers/wine has no consent in these.
    *DIALOGUES,
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
        milestone = UUID(int=9) if case.milestone == NOBODYS else own_id(one, "milestone", case.milestone)
        question = Question("", case.channel, case.topic, case.at, milestone, own_id(one, "dialogue", case.used_in))
        try:
            (found,) = store.decide(conn, [question], [who], now=NOW, **{"bounded": False, **case.options})
        except store.Moved:
            return case.expect == MOVED
        if isinstance(found, ConsentError) or isinstance(case.expect, str):
            return isinstance(found, ConsentError) and found.code == case.expect
        answered = {"dialogue": found.dialogue_id, "milestone": found.milestone_id}
        expected = {
            name: own_id(one, name, value) if name in answered else value for name, value in case.expect.items()
        }
        return all(answered.get(name, getattr(found, name, None)) == value for name, value in expected.items())

    return holds
