"""Conversations in words: how each stands, what was said, and the lines of a proposal. Decides nothing.

Whoever shows a conversation says it in these words. What people wrote is escaped, and read in its own direction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

from consent_service.catalogue.model import EVERY, ancestors
from consent_service.clock import parse_time
from consent_service.dialogues import forms
from consent_service.dialogues.forms import WrittenTerms
from consent_service.dialogues.model import LINE_KINDS, Dialogue, line_of
from consent_service.dials.desk import Facts
from consent_service.dials.words import Sentences
from consent_service.i18n import N_, Words

STOPPED = ("suppressed", "paused")
DESK = ("desk", "admin")
# What is told of what was done.
DONE = {
    "opened": N_("The conversation has begun. We may answer within its limits."),
    "said": N_("Your message stands below. We read it here; you need not do anything more."),
    "answered": N_("Your answer is recorded. What you accepted holds from now on."),
    "terms": N_("The limits are changed. They hold from now on."),
    "closed": N_("The conversation is closed. Nothing more is sent in it."),
}
# What a person can be told on the page itself; anything else is an error page.
REFUSED = {
    "proposal_answered": N_("This proposal was answered already. Nothing was done now."),
    "proposal_withdrawn": N_("This proposal was taken back meanwhile. Nothing was done."),
    "dialogue_closed": N_("This conversation was closed meanwhile. Nothing was done."),
    "dialogue_expired": N_("The time of this conversation is over. Nothing was done."),
    "dialogue_full": N_("There is no room for more in this conversation. Please begin a new one."),
    "stale_version": N_("The limits were changed meanwhile, so nothing was widened. Below is what holds now."),
    "confirmation_required": N_(
        "One of these has to be confirmed from your mail first, so nothing was done. Say no to it here, and turn that"
        " dial on the page of your preferences: there we send you the mail."
    ),
    "topic_retired": N_("One of these is not to be had any more, so nothing was done. Say no to it, or write to us."),
    "too_many_dialogues": N_("You have as many open conversations as there may be. Please close one first."),
}
REFUSED |= dict.fromkeys(
    ("channel_retired", "unknown_topic", "unknown_channel", "unknown_level", "invalid_timestamp"),
    REFUSED["topic_retired"],
)


@dataclass(frozen=True)
class Change:
    """Something old that is to become something new; `old` None: only the new is known."""

    about: Markup
    old: Markup | None
    new: Markup
    direction: str = ""


@dataclass(frozen=True)
class Field:
    """A value of a specification: what it is called, how it reads, and how a form has it."""

    label: str
    shown: Markup
    written: str
    kind: str  # text, long, choice


@dataclass(frozen=True)
class ShownLine:
    """A line of a proposal or of an answer.

    Args:
        may_change: whether there is a form that changes it.
        levels: that can be chosen instead, as (value, label, language), and the value that is proposed.
        terms: that can be written instead; `named` says which.
    """

    number: int
    kind: str
    text: str | None
    answer: str | None
    changes: Sequence[Change] = ()
    fields: Sequence[Field] = ()
    may_change: bool = False
    levels: Sequence[tuple[str, str, str]] = ()
    level: str = ""
    terms: WrittenTerms | None = None
    named: Sequence[str] = ()


@dataclass(frozen=True)
class Told:
    """An entry in words.

    Args:
        own: said by the customer, or for them.
        what: a sentence; empty for a message, which speaks for itself.
    """

    number: int
    kind: str
    own: bool
    who: Markup
    at: str
    what: Markup
    text: str | None
    lines: Sequence[ShownLine]
    state: str | None
    turns_dials: bool = False


@dataclass(frozen=True)
class Standing:
    """A conversation as it stands. `stops`: by which of its channels nothing comes all the same, and why."""

    dialogue: Dialogue
    left: int
    topic: Markup
    channels: Markup
    limit: str
    until: str
    ended: str
    stops: Sequence[Markup] = field(default=())

    @property
    def is_open(self) -> bool:
        """Whether the company may still answer."""
        return self.dialogue.state == "open"


class Talk:
    """Speaks of one customer's conversations, over the facts of one moment."""

    def __init__(self, words: Words, facts: Facts) -> None:
        self.words, self.facts = words, facts
        self.say = Sentences(words, facts.catalogue, facts.at)

    def gettext(self, text: str, **values: object) -> Markup:
        """A text of the catalogs, as safe HTML."""
        return self.say.gettext(text, **values)

    # How it stands.

    def standing(self, dialogue: Dialogue) -> Standing:
        """One conversation as it stands."""
        return Standing(
            dialogue,
            left=dialogue.shown()["contacts_left"],
            topic=self.topic(dialogue.topic),
            channels=self.channels(dialogue.terms.channels),
            limit=self.limit(dialogue.terms.contacts),
            until=self.until(dialogue.terms.until),
            ended=self._ended(dialogue),
            stops=self._stops(dialogue) if dialogue.state == "open" else (),
        )

    def topic(self, name: str) -> Markup:
        """A topic with those above it."""
        return Markup(" › ").join(self.say.topic(one) for one in self._with_those_above(name))

    def topics(self) -> list[tuple[str, str]]:
        """(name, label without markup) of every topic that a conversation can be about."""
        catalogue = self.facts.catalogue
        return [
            (
                name,
                " › ".join(self.words.label(catalogue.topics[one].label, one) for one in self._with_those_above(name)),
            )
            for name in catalogue.live_topics
        ]

    def _with_those_above(self, topic: str) -> list[str]:
        return [*(one for one in ancestors(topic) if one in self.facts.catalogue.topics), topic]

    def channels(self, names: Sequence[str]) -> Markup:
        """Channels by name, in the order of the catalogue."""
        order = list(self.facts.catalogue.channels)
        known = sorted(names, key=lambda name: order.index(name) if name in order else len(order))
        return self.say.listed(self.say.channel(name) for name in known)

    def limit(self, contacts: int) -> str:
        """How much may come in all."""
        return self.words.ngettext("%(num)s message or call", "%(num)s messages or calls", contacts)

    def until(self, at: datetime) -> str:
        """Until when; a day where it ends with one, which is then part of it."""
        if forms.ends_a_day(at, self.words.zone):
            return self.words.date(forms.last_day_of(at, self.words.zone))
        return self.words.time(at)

    def any_time(self, any_time: bool) -> str:
        """Whether quiet hours hold."""
        return self.words.gettext("in quiet hours too") if any_time else self.words.gettext("not in quiet hours")

    def _ended(self, dialogue: Dialogue) -> str:
        if dialogue.state == "expired":
            return self.words.gettext("Its time ended on %(when)s.", when=self.words.time(dialogue.terms.until))
        if dialogue.closed_at is None:
            return ""
        when = self.words.time(dialogue.closed_at)
        if dialogue.closed_by == "customer":
            return self.words.gettext("You closed it on %(when)s.", when=when)
        return self.words.gettext("Our service desk closed it on %(when)s.", when=when)

    def _stops(self, dialogue: Dialogue) -> list[Markup]:
        return self.stops(dialogue.topic, dialogue.terms.channels)

    def stops(self, topic: str, channels: Sequence[str]) -> list[Markup]:
        """What a pause or a stop of the customer's holds back all the same, channels that are alike together."""
        found: dict[tuple[str, datetime | None], list[str]] = {}
        for channel in channels:
            decision = self.facts.decisions.get((channel, topic))
            if decision is not None and decision.reason in STOPPED:
                until = self._paused_until(channel) if decision.reason == "paused" else None
                found.setdefault((decision.reason, until), []).append(channel)
        return [self._stop(until, names) for (_, until), names in found.items()]

    def _paused_until(self, channel: str) -> datetime | None:
        ends = [self.facts.pauses[name] for name in (EVERY, channel) if name in self.facts.pauses]
        return max(ends, default=None)

    def _stop(self, until: datetime | None, channels: Sequence[str]) -> Markup:
        named = self.channels(channels)
        if until is None:
            return self.gettext("By %(channels)s nothing comes: we have been asked to stop it for you.", channels=named)
        when = self.words.time(until)
        return self.gettext(
            "By %(channels)s nothing comes until %(when)s: you have set a pause.", channels=named, when=when
        )

    # What was said.

    def tell(self, entry: Mapping[str, Any]) -> Told:
        """An entry, as entries.page has it, in words."""
        own = entry["role"] == "customer"
        is_open = entry["state"] == "open"
        lines = [self._line(one, asked=is_open) for one in entry["lines"]]
        if entry["terms"]:
            changes = self._terms(entry["terms"]["after"], entry["terms"]["before"])
            lines = [ShownLine(1, "terms", None, None, changes)]
        return Told(
            number=entry["number"],
            kind=entry["kind"],
            own=own,
            who=self._who(entry, own),
            at=self.words.time(parse_time(entry["said_at"])),
            what=self._what(entry, own),
            text=entry["text"],
            lines=lines,
            state=entry["state"],
            turns_dials=is_open and any(one.kind == "dial" for one in lines),
        )

    def _who(self, entry: Mapping[str, Any], own: bool) -> Markup:
        if own:
            return self.gettext("You")
        if entry["role"] in DESK:
            return self.gettext("Our service desk")
        return Markup("<bdi>{}</bdi>").format(entry["by"] or self.words.gettext("We"))

    def _what(self, entry: Mapping[str, Any], own: bool) -> Markup:
        kind = entry["kind"]
        if kind == "opening":
            return self.gettext("Conversation begun") if own else self.gettext("Conversation begun on your word")
        if kind in ("message", "fact"):
            return Markup("")
        told = {
            "proposal": self.gettext("A proposal"),
            "acceptance": self.gettext("Proposal accepted"),
            "refusal": self.gettext("No to the proposal"),
            "withdrawal": self.gettext("Proposal taken back"),
            "counter_proposal": self.gettext("Proposal accepted with changes"),
            "terms": self.gettext("Limits changed"),
            "closing": self.gettext("Conversation closed"),
        }
        return told.get(kind, escape(kind))

    # Lines.

    def _line(self, shown: Mapping[str, Any], *, asked: bool) -> ShownLine:
        line = line_of(shown)
        base = ShownLine(shown["line"], line.kind, line.text, shown.get("answer"))
        if line.kind == "dial":
            return self._dial(base, line.value, asked=asked)
        if line.kind == "terms":
            terms = forms.proposed(line.value, self.words.zone)
            changes = self._terms(line.value, None)
            return replace(base, changes=changes, may_change=True, terms=terms, named=tuple(line.value))
        leaves = forms.leaves_of(line.value)
        may_change = line.kind in LINE_KINDS and 0 < len(leaves) <= forms.MOST_FIELDS
        return replace(base, fields=[self._field(path, value) for path, value in leaves], may_change=may_change)

    def _dial(self, base: ShownLine, value: Mapping[str, Any], *, asked: bool) -> ShownLine:
        place = value["channel"], value["topic"]
        catalogue = self.facts.catalogue
        known = (place[0] == EVERY or place[0] in catalogue.channels) and (
            place[1] == EVERY or place[1] in catalogue.topics
        )
        old, direction = None, ""
        if asked and known:
            standing, wanted = self.facts.standing(place), self._level_at(place, value["level"])
            old = self.say.level(standing)
            if wanted is not None and wanted.position != standing.position:
                louder = wanted.position > standing.position
                direction = self.words.gettext("louder") if louder else self.words.gettext("quieter")
        change = Change(self.say.place(place), old, self._level(value["level"]), direction)
        levels = [
            (one.name, self.words.label(one.label), self.words.language_of(one.label) or "")
            for one in catalogue.levels.values()
        ]
        if value["level"] is None:
            levels.insert(0, ("", self.words.gettext("No setting of its own"), ""))
        return replace(base, changes=[change], may_change=known, levels=levels, level=value["level"] or "")

    def _level_at(self, place: tuple[str, str], level: str | None) -> Any:
        return self.facts.rest(place) if level is None else self.facts.catalogue.levels.get(level)

    def _level(self, level: str | None) -> Markup:
        if level is None:
            return self.gettext("No setting of its own")
        found = self.facts.catalogue.levels.get(level)
        return self.say.level(found) if found is not None else escape(level)

    def _terms(self, after: Mapping[str, Any], before: Mapping[str, Any] | None) -> list[Change]:
        shown: dict[str, tuple[Markup, Callable[[Any], str]]] = {
            "channels": (self.gettext("By which ways"), self.channels),
            "contacts": (self.gettext("At most"), self.limit),
            "until": (self.gettext("Until"), lambda text: self.until(parse_time(text))),
            "any_time": (self.gettext("When"), self.any_time),
        }
        return [
            Change(about, escape(read(before[name])) if before else None, escape(read(after[name])))
            for name, (about, read) in shown.items()
            if name in after and (before is None or before[name] != after[name])
        ]

    def against(self, told: Told, dialogue: Dialogue) -> Told:
        """An open proposal whose new limits stand beside those that hold."""
        held = dialogue.terms.shown()
        lines = [replace(one, changes=self._beside(one, held)) if one.kind == "terms" else one for one in told.lines]
        return replace(told, lines=lines)

    def _beside(self, line: ShownLine, held: Mapping[str, Any]) -> list[Change]:
        now = {one.about: one.new for one in self._terms({name: held[name] for name in line.named}, None)}
        return [Change(one.about, now.get(one.about), one.new) for one in line.changes]

    def _field(self, path: Sequence[str | int], value: Any) -> Field:
        label = " › ".join(
            self.words.number(one + 1) if isinstance(one, int) else str(one).replace("_", " ") for one in path
        )
        written = forms.as_written(value)
        if isinstance(value, bool):
            said = self.words.gettext("Yes") if value else self.words.gettext("No")
            return Field(label, escape(said), written, "choice")
        shown = Markup("<bdi>{}</bdi>").format(written or "–")
        return Field(label, shown, written, "long" if "\n" in written or len(written) > 60 else "text")
