"""The rules page as plain Python: may we contact this customer?

This module is a second reading of sections 2 and 3 of the rules, held against the service's own decision by
tests. It owns no clock, no database and no defaults of its own, is slow on purpose, and never imports the
service: a mistake that both shared would not be seen.

Source: rules, sections 1 to 3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

EVERY = "*"
ESSENTIAL_BASES = frozenset({"contract", "legal_obligation", "vital_interest"})
MICROSECOND = timedelta(microseconds=1)
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


# The catalogue: what can be dialled.


@dataclass(frozen=True)
class Cap:
    """At most `contacts` per rolling window of `per_seconds`."""

    contacts: int
    per_seconds: int


@dataclass(frozen=True)
class Level:
    """A step on the volume dial; position 0 is the quietest. `cap` is None unless the mode is capped."""

    name: str
    position: int
    mode: str
    cap: Cap | None


@dataclass(frozen=True)
class QuietHours:
    """Wall-clock times [start, end), over midnight where start > end."""

    start: time
    end: time

    def hold_at(self, wall: time) -> bool:
        if self.start < self.end:
            return self.start <= wall < self.end
        return wall >= self.start or wall < self.end


@dataclass(frozen=True)
class Channel:
    name: str
    identifier: str
    quiet_hours: QuietHours | None


@dataclass(frozen=True)
class Topic:
    """A topic with everything it inherits.

    `basis_from` and `default_from` are the topics that declare the basis and the default level; the latter
    two are None where no self-or-ancestor declares one.
    """

    path: str
    basis: str
    basis_from: str
    default_level: Level | None
    default_from: str | None
    consent_lasts_seconds: int | None

    @property
    def essential(self) -> bool:
        return self.basis in ESSENTIAL_BASES


@dataclass(frozen=True)
class Policy:
    """A cap of the house at a place, for everybody where `segment` is None."""

    name: str
    channel: str
    topic: str
    cap: Cap
    segment: str | None


@dataclass(frozen=True)
class Catalogue:
    time_zone: str
    levels: Mapping[str, Level]
    channels: Mapping[str, Channel]
    topics: Mapping[str, Topic]
    policies: tuple[Policy, ...]

    @property
    def silent(self) -> Level:
        return next(level for level in self.levels.values() if level.mode == "silent")

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Catalogue:
        """The catalogue that a valid catalogue file describes; nothing is checked here."""
        levels = {
            row["name"]: Level(row["name"], position, row["mode"], _cap(row) if "per" in row else None)
            for position, row in enumerate(document["levels"])
        }
        channels = {
            name: Channel(name, row["identifier"], _quiet_hours(row.get("quiet_hours")))
            for name, row in document["channels"].items()
        }
        topics = {path: _topic(path, document["topics"], levels) for path in document["topics"]}
        policies = tuple(
            Policy(row["name"], row["channel"], row["topic"], _cap(row), row.get("segment"))
            for row in document.get("policies") or ()
        )
        return cls(document["time_zone"], levels, channels, topics, policies)


def duration(text: str) -> timedelta:
    """The length of an ISO 8601 duration of days, hours, minutes and seconds."""
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        raise ValueError(f"not a duration: {text!r}")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _seconds(text: str) -> int:
    return duration(text) // timedelta(seconds=1)


def _cap(row: Mapping[str, Any]) -> Cap:
    return Cap(row["contacts"], _seconds(row["per"]))


def _quiet_hours(row: Mapping[str, str] | None) -> QuietHours | None:
    return QuietHours(time.fromisoformat(row["from"]), time.fromisoformat(row["to"])) if row else None


def _self_and_ancestors(path: str) -> Iterator[str]:
    """The topic itself, then its parent, and so on up to the root."""
    yield path
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _topic(path: str, rows: Mapping[str, Mapping[str, Any]], levels: Mapping[str, Level]) -> Topic:
    def declared_by(field: str) -> str | None:
        return next((p for p in _self_and_ancestors(path) if field in rows.get(p, {})), None)

    basis_from, default_from = declared_by("basis"), declared_by("default_level")
    lasts_from = declared_by("consent_lasts")
    if basis_from is None:
        raise ValueError(f"topic {path!r} has no basis")
    return Topic(
        path=path,
        basis=rows[basis_from]["basis"],
        basis_from=basis_from,
        default_level=levels[rows[default_from]["default_level"]] if default_from else None,
        default_from=default_from,
        consent_lasts_seconds=_seconds(rows[lasts_from]["consent_lasts"]) if lasts_from else None,
    )


@cache
def covers(place: tuple[str, str], contact: tuple[str, str]) -> bool:
    """Whether a place (channel or *, topic or *) covers a contact (channel, topic)."""
    return place[0] in (EVERY, contact[0]) and place[1] in (EVERY, *_self_and_ancestors(contact[1]))


# The customer: what they and the desk have set, and what has happened.


@dataclass(frozen=True)
class Dial:
    channel: str
    topic: str
    level: str
    expires_at: datetime | None = None

    @property
    def place(self) -> tuple[str, str]:
        return (self.channel, self.topic)


@dataclass(frozen=True)
class Pause:
    channel: str
    until: datetime


@dataclass(frozen=True)
class Suppression:
    """A hard stop of kind `marketing` or `all`; channel None stops every one."""

    channel: str | None
    kind: str


@dataclass(frozen=True)
class PointSuppression:
    """A suppression of one contact point, whoever has it."""

    point: tuple[str, str]
    channel: str | None
    kind: str


@dataclass(frozen=True)
class Contact:
    """A contact made under the dials, or in one of the customer's dialogues (by its place), or for a milestone."""

    channel: str
    topic: str
    contacted_at: datetime
    dialogue: int | None = None
    milestone: int | None = None


@dataclass(frozen=True)
class Permit:
    """An open permit: neither used nor released nor void. Whether it expired depends on the instant."""

    channel: str
    topic: str
    expires_at: datetime
    dialogue: int | None = None
    milestone: int | None = None


@dataclass(frozen=True)
class Dialogue:
    """A conversation that the customer opened; at most `contacts` in all."""

    topic: str
    channels: tuple[str, ...]
    until: datetime
    contacts: int
    any_time: bool = False
    closed: bool = False


@dataclass(frozen=True)
class Milestone:
    """A day on which, and some days after, one contact was asked for. `channel` None: no contact at all."""

    topic: str
    channel: str | None
    due_on: date
    window_days: int
    dropped: bool = False


@dataclass(frozen=True)
class Customer:
    """One customer's world. `state` is unknown, erased or active; an identifier is (kind, value); dialogues stand in
    the order in which they were opened.

    Every instant in it is in UTC, because adding to a zone's own time would follow its wall clock.
    """

    state: str = "active"
    time_zone: str | None = None
    segment: str | None = None
    identifiers: tuple[tuple[str, str], ...] = ()
    dials: tuple[Dial, ...] = ()
    pauses: tuple[Pause, ...] = ()
    suppressions: tuple[Suppression, ...] = ()
    point_suppressions: tuple[PointSuppression, ...] = ()
    contacts: tuple[Contact, ...] = ()
    permits: tuple[Permit, ...] = ()
    dialogues: tuple[Dialogue, ...] = ()
    milestones: tuple[Milestone, ...] = ()


# The question and the answer.


@dataclass(frozen=True)
class Question:
    """May this customer be contacted so at this instant?

    `point` is the identifier that the asker named, `milestone` the place of the one that a permit is asked for,
    `dialogue` that of the one in which the permit that is used was given.
    """

    catalogue: Catalogue
    customer: Customer
    channel: Channel
    topic: Topic
    instant: datetime
    point: tuple[str, str] | None
    count_permits: bool
    milestone: int | None
    dialogue: int | None

    @property
    def contact(self) -> tuple[str, str]:
        return (self.channel.name, self.topic.path)


@dataclass(frozen=True)
class Governing:
    """A dial, default or policy over the contact. `used` and `room` are None where there is no cap."""

    kind: str
    channel: str
    topic: str
    level: str | None
    used: int | None
    room: int | None


@dataclass(frozen=True)
class Answer:
    allowed: bool
    reason: str
    level: str | None
    remaining: int | None
    next_allowed_at: datetime | None
    governed_by: tuple[Governing, ...]
    dialogue: int | None = None
    milestone: int | None = None


def decide(
    catalogue: Catalogue,
    customer: Customer,
    channel: str,
    topic: str,
    instant: datetime,
    *,
    point: tuple[str, str] | None = None,
    count_permits: bool = True,
    milestone: int | None = None,
    dialogue: int | None = None,
    play_forward: bool = True,
) -> Answer:
    """The whole answer of section 2. An unknown channel or topic is a KeyError, never a yes.

    `count_permits` is False when a permit is used: caps then count only ledger entries. Without `play_forward`
    nobody looks for `next_allowed_at`, which takes long.
    """
    question = Question(
        catalogue=catalogue,
        customer=customer,
        channel=catalogue.channels[channel],
        topic=catalogue.topics[topic],
        instant=instant.astimezone(UTC),
        point=point,
        count_permits=count_permits,
        milestone=milestone,
        dialogue=dialogue,
    )
    reason, allowed = first_match(question)
    governed_by = tuple(_governing(question, limit) for limit in listed_limits(question))
    inside = reason in ("in_dialogue", "quiet_hours")
    serving = serving_dialogue(question) if inside else None
    kept = milestone if inside and serving is None and milestone_serves(question) else None
    inside = serving is not None or kept is not None
    counted = reason in ("volume_reached", "quiet_hours", "allowed") and not inside
    dialled = counted or reason in ("silent", "on_request_only")
    rooms = [entry.room for entry in governed_by if entry.room is not None]
    return Answer(
        allowed=allowed,
        reason=reason,
        level=quietest_level(question).name if dialled else None,
        remaining=_left(question, serving, rooms if counted else []),
        next_allowed_at=next_allowed_at(question, reason) if play_forward else None,
        governed_by=governed_by,
        dialogue=serving,
        milestone=kept,
    )


def _left(question: Question, serving: int | None, rooms: list[int]) -> int | None:
    if serving is not None:
        return contacts_left(question, serving)
    return min(rooms) if rooms else None


# Section 2, the rows in their order.


def is_erased(question: Question) -> bool:
    return question.customer.state == "erased"


def is_unknown(question: Question) -> bool:
    return question.customer.state == "unknown"


def is_suppressed(question: Question) -> bool:
    """A suppression of the customer, or of one contact point used, on this channel."""

    def stops(suppression: Suppression | PointSuppression) -> bool:
        on_channel = suppression.channel in (None, question.channel.name)
        return on_channel and (suppression.kind == "all" or not question.topic.essential)

    customer = question.customer
    points = contact_points_used(question)
    return any(stops(suppression) for suppression in customer.suppressions) or any(
        stops(suppression) for suppression in customer.point_suppressions if suppression.point in points
    )


def is_essential(question: Question) -> bool:
    return question.topic.essential


def is_paused(question: Question) -> bool:
    return any(
        pause.channel in (EVERY, question.channel.name) and pause.until > question.instant
        for pause in question.customer.pauses
    )


def contacts_left(question: Question, place: int) -> int:
    """What is left of a dialogue. A milestone's contact takes nothing of it."""
    customer = question.customer
    made = sum(one.dialogue == place and one.milestone is None for one in customer.contacts)
    if question.count_permits:
        made += sum(
            one.dialogue == place and one.milestone is None and one.expires_at > question.instant
            for one in customer.permits
        )
    return customer.dialogues[place].contacts - made


def serving_dialogue(question: Question) -> int | None:
    """The first opened that covers the contact and has contacts left, unless the milestone serves."""
    if milestone_serves(question):
        return None
    for place, one in enumerate(question.customer.dialogues):
        at_home = question.count_permits or place == question.dialogue
        is_open = not one.closed and question.instant < one.until and at_home
        covered = question.channel.name in one.channels and covers((EVERY, one.topic), question.contact)
        if is_open and covered and contacts_left(question, place) > 0:
            return place
    return None


def milestone_holds(question: Question) -> bool:
    """Whether the milestone that was named lets a contact be made: in its window, where the customer is, once."""
    if question.milestone is None:
        return False
    customer, place = question.customer, question.milestone
    one, zone = customer.milestones[place], zone_of(question)
    if one.dropped or one.channel != question.channel.name or not covers((EVERY, one.topic), question.contact):
        return False
    if any(made.milestone == place for made in customer.contacts):
        return False
    if question.count_permits and any(
        permit.milestone == place and permit.expires_at > question.instant for permit in customer.permits
    ):
        return False
    return midnight(one.due_on, zone) <= question.instant < midnight(one.due_on + timedelta(days=one.window_days), zone)


def milestone_serves(question: Question) -> bool:
    """It obeys quiet hours always: then a dialogue may still serve, where there is one."""
    if not milestone_holds(question):
        return False
    without = replace(question, milestone=None)
    return not is_quiet(question, question.instant) or serving_dialogue(without) is None


def is_in_dialogue(question: Question) -> bool:
    """Inside a dialogue or a milestone's window; in quiet hours only where the dialogue says `any_time`."""
    quiet = is_quiet(question, question.instant)
    serving = serving_dialogue(question)
    if serving is not None:
        return not quiet or question.customer.dialogues[serving].any_time
    return milestone_serves(question) and not quiet


def is_in_dialogue_in_quiet_hours(question: Question) -> bool:
    return serving_dialogue(question) is not None or milestone_serves(question)


def consent_has_expired(question: Question) -> bool:
    silent = question.catalogue.silent
    granting = [dial for dial in topic_dials(question) if _level(question, dial).position > silent.position]
    expired = [d for d in granting if d.expires_at is not None and d.expires_at <= question.instant]
    return question.topic.basis == "consent" and bool(expired) and len(expired) == len(granting)


def has_no_consent(question: Question) -> bool:
    return question.topic.basis == "consent" and not topic_dials(question)


def is_silent(question: Question) -> bool:
    return any(limit.mode == "silent" for limit in limits(question))


def is_on_request_only(question: Question) -> bool:
    return any(limit.mode == "on_request" for limit in limits(question))


def has_no_room(question: Question) -> bool:
    return any(limit.cap is not None and room(question, limit) == 0 for limit in limits(question))


def is_in_quiet_hours(question: Question) -> bool:
    return is_quiet(question, question.instant)


def otherwise(_question: Question) -> bool:
    return True


ROWS: tuple[tuple[str, bool, Callable[[Question], bool]], ...] = (
    ("erased", False, is_erased),
    ("unknown_customer", False, is_unknown),
    ("suppressed", False, is_suppressed),
    ("essential", True, is_essential),
    ("paused", False, is_paused),
    ("in_dialogue", True, is_in_dialogue),
    ("quiet_hours", False, is_in_dialogue_in_quiet_hours),  # the second half of row 6
    ("consent_expired", False, consent_has_expired),
    ("no_consent", False, has_no_consent),
    ("silent", False, is_silent),
    ("on_request_only", False, is_on_request_only),
    ("volume_reached", False, has_no_room),
    ("quiet_hours", False, is_in_quiet_hours),
    ("allowed", True, otherwise),
)


def first_match(question: Question) -> tuple[str, bool]:
    """The reason and whether it is a yes: the first row that holds, the last of which always does."""
    return next((reason, allowed) for reason, allowed, holds in ROWS if holds(question))


# What stands over the contact.


@dataclass(frozen=True)
class Limit:
    """A dial, default or policy at its place. A policy has no level, an uncapped level no cap."""

    kind: str
    place: tuple[str, str]
    level: Level | None
    cap: Cap | None

    @property
    def mode(self) -> str | None:
        return self.level.mode if self.level else None


def _level(question: Question, dial: Dial) -> Level:
    return question.catalogue.levels[dial.level]


def covering_dials(question: Question) -> list[Dial]:
    """Every dial over the contact, expired ones too: they no longer grant, but still limit."""
    return [dial for dial in question.customer.dials if covers(dial.place, question.contact)]


def topic_dials(question: Question) -> list[Dial]:
    """The covering dials that are not faders."""
    return [dial for dial in covering_dials(question) if dial.topic != EVERY]


def default(question: Question) -> Limit:
    """The topic's default as a dial at (*, the topic that declares it); under consent that is silence."""
    topic = question.topic
    if topic.basis == "consent":
        return Limit("default", (EVERY, topic.basis_from), question.catalogue.silent, None)
    assert topic.default_level is not None
    assert topic.default_from is not None
    return Limit("default", (EVERY, topic.default_from), topic.default_level, topic.default_level.cap)


def default_limits(question: Question) -> bool:
    """It goes on limiting until a topic dial at least as loud as it covers the contact."""
    level = default(question).level
    assert level is not None
    return not any(_level(question, dial).position >= level.position for dial in topic_dials(question))


def limits(question: Question) -> list[Limit]:
    """Everything that must have room: dials, then the default while it limits, then house policies."""
    found = []
    for dial in covering_dials(question):
        level = _level(question, dial)
        found.append(Limit("dial", dial.place, level, level.cap))
    if default_limits(question):
        found.append(default(question))
    for policy in question.catalogue.policies:
        place = (policy.channel, policy.topic)
        if covers(place, question.contact) and policy.segment in (None, question.customer.segment):
            found.append(Limit("policy", place, None, policy.cap))
    return found


def listed_limits(question: Question) -> list[Limit]:
    """What `governed_by` names: nothing where there is no customer, and nothing over an essential topic."""
    if question.customer.state != "active" or question.topic.essential:
        return []
    return limits(question)


def quietest_level(question: Question) -> Level:
    """The quietest level among covering dials and the limiting default; one of the two always exists."""
    levels = [limit.level for limit in limits(question) if limit.level is not None]
    return min(levels, key=lambda level: level.position)


def contact_points_used(question: Question) -> set[tuple[str, str]]:
    """The identifier in the question if its kind is the channel's, else every one of that kind."""
    kind = question.channel.identifier
    if question.point is not None and question.point[0] == kind:
        return {question.point}
    return {identifier for identifier in question.customer.identifiers if identifier[0] == kind}


# Section 3: counting.


def used(question: Question, limit: Limit) -> int:
    """Ledger entries inside the rolling window, and open permits, that the limit covers."""
    assert limit.cap is not None
    customer, topics = question.customer, question.catalogue.topics
    window_start = question.instant - timedelta(seconds=limit.cap.per_seconds)
    happened: list[Contact | Permit] = [c for c in customer.contacts if c.contacted_at > window_start]
    if question.count_permits:
        happened += [permit for permit in customer.permits if permit.expires_at > question.instant]
    counting = [
        entry
        for entry in happened
        if not topics[entry.topic].essential and entry.dialogue is None and entry.milestone is None
    ]
    return sum(covers(limit.place, (entry.channel, entry.topic)) for entry in counting)


def room(question: Question, limit: Limit) -> int:
    assert limit.cap is not None
    return max(0, limit.cap.contacts - used(question, limit))


def _governing(question: Question, limit: Limit) -> Governing:
    level = limit.level.name if limit.level else None
    if limit.cap is None:
        return Governing(limit.kind, *limit.place, level, None, None)
    return Governing(limit.kind, *limit.place, level, used(question, limit), room(question, limit))


# Playing time forward.


def next_allowed_at(question: Question, reason: str) -> datetime | None:
    """The first later instant at which the same question is answered yes, found by asking it again.

    Only an ending can turn a no into a yes, so it is enough to ask at each ending, and at the end of the
    quiet hours that an ending falls into.
    """
    if reason not in ("paused", "volume_reached", "quiet_hours"):
        return None
    candidates = {question.instant, *endings(question)}
    candidates |= {quiet_end(question, candidate) for candidate in candidates}
    for candidate in sorted(candidates):
        if candidate > question.instant and first_match(replace(question, instant=candidate))[1]:
            return candidate
    return None


def endings(question: Question) -> set[datetime]:
    """Every instant after the one asked about at which a pause, window, permit or consent ends."""
    customer = question.customer
    windows = {timedelta(seconds=limit.cap.per_seconds) for limit in limits(question) if limit.cap}
    ends = {pause.until for pause in customer.pauses}
    ends |= {contact.contacted_at + window for contact in customer.contacts for window in windows}
    ends |= {permit.expires_at for permit in customer.permits}
    ends |= {dial.expires_at for dial in customer.dials if dial.expires_at is not None}
    ends |= {dialogue.until for dialogue in customer.dialogues}
    ends |= {midnight(milestone.due_on, zone_of(question)) for milestone in customer.milestones}
    return {end for end in ends if end > question.instant}


def zone_of(question: Question) -> ZoneInfo:
    return ZoneInfo(question.customer.time_zone or question.catalogue.time_zone)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The day's midnight there: one that clocks skip is the moment of the jump, of two it is the second."""
    once = datetime.combine(day, time(0), zone)
    return max(once.astimezone(UTC), once.replace(fold=1).astimezone(UTC))


def is_quiet(question: Question, instant: datetime) -> bool:
    hours = question.channel.quiet_hours
    return hours is not None and hours.hold_at(instant.astimezone(zone_of(question)).time())


def quiet_end(question: Question, instant: datetime) -> datetime:
    """The first instant from this one on at which it is not quiet; the instant itself when it is not.

    While the zone's offset stands still the wall clock runs evenly, so the walk goes either to the end of
    the quiet hours or to the next change of the offset, and looks at the clock again there.
    """
    hours, zone = question.channel.quiet_hours, zone_of(question)
    while hours is not None and is_quiet(question, instant):
        wall = instant.astimezone(zone).replace(tzinfo=None)
        wall_end = datetime.combine(wall.date(), hours.end)
        if wall_end <= wall:
            wall_end += timedelta(days=1)
        evenly = instant + (wall_end - wall)
        instant = offset_change(zone, instant, evenly) or evenly
    return instant


def offset_change(zone: ZoneInfo, after: datetime, until: datetime) -> datetime | None:
    """The first instant in (after, until] with another UTC offset, or None.

    It steps by quarters of an hour, which no pair of changes fits into, and halves the step that changed.
    """

    def offset(instant: datetime) -> timedelta | None:
        return instant.astimezone(zone).utcoffset()

    low = after
    while low < until:
        high = min(low + timedelta(minutes=15), until)
        if offset(high) != offset(after):
            while high - low > MICROSECOND:
                middle = low + (high - low) // 2
                low, high = (middle, high) if offset(middle) == offset(after) else (low, middle)
            return high
        low = high
    return None
