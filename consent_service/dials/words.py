"""The sentences of the desk: what a level means, what is heard and why, how much is used, and the summary.

Whoever shows dials says it in these words. Names of the catalogue that are in another language than the sentence keep
theirs in a `lang` attribute, so that they are read out rightly. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from markupsafe import Markup, escape

from consent_service.catalogue.model import EVERY, Cap, Catalogue, Level, Topic
from consent_service.dials.desk import FOLLOWS, Cell, Desk, Dial, Row, Stop
from consent_service.dials.outlook import ByChannel, Measure, Outlook
from consent_service.dials.reach import Governor, Place
from consent_service.i18n import Words

_DAY = 86400  # of a cap: “in 1 day” is nobody's way to say it
_SOON = timedelta(hours=36)
_SAME_YEAR = timedelta(days=330)


class Sentences:
    """Speaks of the things of one catalogue in one language. Everything it answers is safe HTML."""

    def __init__(self, words: Words, catalogue: Catalogue, at: datetime) -> None:
        self.words, self.catalogue, self.at = words, catalogue, at
        # A page says the same of many places.
        self._kept: dict[object, Markup] = {}
        self._levels: dict[tuple[str, bool], tuple[str, ...]] = {}

    def gettext(self, text: str, **values: object) -> Markup:
        """A text of the catalogs; values are escaped unless they are HTML already."""
        found = Markup(self.words.gettext(text))  # noqa: S704  (our own catalogs)
        return found % values if values else found

    def named(self, labels: Mapping[str, str]) -> Markup:
        """What the catalogue calls something."""
        key = ("named", id(labels))  # the catalogue's own, which it keeps
        if key not in self._kept:
            language = self.words.language_of(labels)
            text = escape(self.words.label(labels))
            self._kept[key] = Markup('<span lang="{}">{}</span>').format(language, text) if language else text
        return self._kept[key]

    def listed(self, items: Iterable[Markup]) -> Markup:
        """ "a, b and c"."""
        return Markup(self.words.listed(list(items)))  # noqa: S704  (only what was escaped)

    # Levels and dials.

    def level(self, level: Level) -> Markup:
        """A level by its name."""
        return self.named(level.label)

    def meaning(self, level: Level) -> Markup:
        """What a level means, as a sentence."""
        key = ("meaning", level.name)
        if key not in self._kept:
            self._kept[key] = self._meaning(level)
        return self._kept[key]

    def _meaning(self, level: Level) -> Markup:
        if level.mode == "silent":
            return self.gettext("You hear nothing.")
        if level.mode == "on_request":
            return self.gettext("Only in conversations that you begin.")
        if level.cap is None:
            return self.gettext("Whenever there is something.")
        if level.cap.per_seconds == _DAY:
            return escape(self.words.ngettext("At most one a day.", "At most %(num)s a day.", level.cap.contacts))
        told = self.words.ngettext(
            "At most one in %(duration)s.",
            "At most %(num)s in %(duration)s.",
            level.cap.contacts,
            duration=self.words.duration(level.cap.per_seconds),
        )
        return escape(told)

    def place(self, place: Place) -> Markup:
        """The name of a dial: the master, a channel's, a topic's, or one of a topic and channel."""
        channel, topic = place
        if topic == EVERY:
            return self.gettext("Everything") if channel == EVERY else self.channel(channel)
        if channel == EVERY:
            return self.topic(topic)
        return self.gettext("%(topic)s by %(channel)s", topic=self.topic(topic), channel=self.channel(channel))

    def channel(self, name: str) -> Markup:
        """A channel by its label."""
        found = self.catalogue.channels.get(name)
        return self.named(found.label) if found else escape(name)

    def topic(self, name: str) -> Markup:
        """A topic by its label; one that the catalogue does not declare by its path."""
        found = self.catalogue.topics.get(name)
        return self.named(found.label) if found else escape(name)

    def stop(self, dial: Dial, stop: Stop, above: Topic | None = None) -> Markup:
        """A position of a dial by name; that of a place without a setting says what it goes with."""
        if stop.level is not None:
            return self.level(stop.level)
        channel, topic = dial.place
        followed = (
            self.topic(topic) if channel != EVERY else self.named(above.label) if above else self.gettext("Everything")
        )
        return self.gettext("As “%(dial)s” says", dial=followed)

    def value(self, shown: Desk, place: Place, level: str | None) -> Markup:
        """A level by the name that history has of it; None or empty: no setting of its own."""
        if level and level in self.catalogue.levels:
            return self.level(self.catalogue.levels[level])
        if level:
            return escape(level)
        dial = next((one for one in shown.dials if one.place == place), None)
        follows = dial.stop(FOLLOWS) if dial is not None else None
        if dial is None or follows is None:
            return self.level(shown.facts.rest(place)) if dial is not None else self.gettext("No setting of its own")
        return self.stop(dial, follows, shown.above(place))

    def levels(self, dial: Dial, above: Topic | None = None, *, meanings: bool = True) -> list[tuple[str, ...]]:
        """The stops as the template's dial wants them: (value, label, meaning, language)."""
        told = [self._level(one.level, meanings) for one in dial.stops if one.level is not None]
        first = dial.stops[0]
        return told if first.level is not None else [(first.value, self.stop(dial, first, above), "", ""), *told]

    def _level(self, level: Level, meanings: bool) -> tuple[str, ...]:
        key = (level.name, meanings)
        if key not in self._levels:
            language = self.words.language_of(level.label) or ""
            meaning = self.meaning(level) if meanings else ""
            self._levels[key] = (level.name, self.words.label(level.label), meaning, language)
        return self._levels[key]

    def ends(self, dial: Dial) -> Markup | None:
        """Until when a consent holds, or that it ended; None without end."""
        if dial.ended_at is not None:
            return self.gettext("Your yes ended on %(date)s.", date=self.words.date(dial.ended_at))
        if dial.expires_at is not None:
            return self.gettext("Your yes holds until %(date)s.", date=self.words.date(dial.expires_at))
        return None

    # What is heard at a contact place, why, and how much of it is used.

    def heard(self, cell: Cell) -> Markup:
        """How loud it is in the end, in a few words."""
        nothing = self.level(next(iter(self.catalogue.levels.values())))
        if cell.suppressed or not cell.reach.granted or cell.reach.level is None:
            return nothing
        return self.level(cell.reach.level)

    def why(self, cell: Cell) -> Markup:
        """What makes it so; empty where the place's own dial does."""
        if cell.suppressed:
            return self.gettext("Stopped for you, whatever the dials say.")
        if not cell.reach.granted:
            return self._nothing(cell)
        holders = cell.reach.holders
        own = (cell.channel.name, cell.topic.name)
        told = []
        if holders and all(one.place != own for one in holders):
            told.append(self._held(holders[0]))
        if cell.reach.heard:
            told += [self._policy(one) for one in self._binding(cell)]
        if cell.paused_until is not None:
            told.append(self.paused(cell.paused_until))
        return Markup(" ").join(told)

    def _nothing(self, cell: Cell) -> Markup:
        ended = cell.reach.ended_at(self.at)
        if ended is not None:
            return self.gettext("Your yes ended on %(date)s.", date=self.words.date(ended))
        silent = [one for one in cell.reach.holders if one.kind == "dial"]
        if silent:
            return self._held(silent[0])
        return self.gettext("You have not asked for it.")

    def _held(self, one: Governor) -> Markup:
        assert one.level is not None
        level = self.level(one.level)
        if one.kind == "default":
            return self.gettext("“%(level)s” is what we assume, as you have not chosen.", level=level)
        return self.gettext("Held to “%(level)s” by your dial “%(dial)s”.", level=level, dial=self.place(one.place))

    def _binding(self, cell: Cell) -> list[Governor]:
        """The house's own caps that let less through than the dials do."""
        caps = [one.cap for one in cell.reach.over if one.kind != "policy" and one.cap is not None]
        return [
            one
            for one in cell.reach.policies
            if one.cap is not None and not any(cap.nests_in(one.cap) for cap in caps)
        ]  # fmt: skip

    def _policy(self, one: Governor) -> Markup:
        assert one.cap is not None
        limit = self.limit(one.cap)
        if one.place == (EVERY, EVERY):
            return self.gettext("We hold ourselves to %(limit)s in all.", limit=limit)
        return self.gettext("We hold ourselves to %(limit)s for “%(dial)s”.", limit=limit, dial=self.place(one.place))

    def used(self, cell: Cell) -> Markup:
        """How much is used and when the next message is possible; empty where nothing comes."""
        if cell.suppressed or not cell.reach.heard:
            return Markup("")
        told = []
        one = cell.tightest
        if one is not None and one.cap is not None and one.used is not None:
            told.append(self._counted(one.used, one.cap))
        if cell.possible_now:
            told.append(self.gettext("next possible now"))
        elif cell.next_at is not None:
            told.append(self.gettext("next possible on %(when)s", when=self.when(cell.next_at)))
        return Markup(" · ").join(told)

    def _counted(self, used: int, cap: Cap) -> Markup:
        key = (used, cap)
        if key not in self._kept:
            told = self.words.ngettext(
                "%(num)s of %(most)s in the last %(duration)s",
                "%(num)s of %(most)s in the last %(duration)s",
                used,
                most=self.words.number(cap.contacts),
                duration=self.words.duration(cap.per_seconds),
            )
            self._kept[key] = escape(told)
        return self._kept[key]

    def when(self, at: datetime) -> str:
        """A day ahead; with its time when it is soon, with its year when it is far."""
        ahead = at - self.at
        if ahead < _SOON:
            return self.words.time(at)
        return self.words.day(at) if ahead < _SAME_YEAR else self.words.date(at)

    def glance(self, row: Row) -> list[tuple[Markup, Markup]]:
        """What is heard of a topic: (channels, how loud), channels that are alike together."""
        found: dict[Markup, list[Markup]] = {}
        for cell in row.cells:
            found.setdefault(self.heard(cell), []).append(self.named(cell.channel.label))
        return [(self.listed(channels), heard) for heard, channels in found.items()]

    def topics(self, row: Row) -> Markup:
        """The topics right below a row."""
        return self.listed(self.named(one.topic.label) for one in row.below)

    def who(self, role: str, name: str) -> Markup:
        """Who acted, seen by the customer."""
        if role == "customer":
            return self.gettext("you")
        if role in ("desk", "admin"):
            return self.gettext("our service desk")
        return self.gettext("by import: %(name)s", name=name) if role == "system" else escape(name)

    def paused(self, until: datetime) -> Markup:
        """Until when."""
        return self.gettext("Paused until %(when)s.", when=self.when(until))

    # The summary.

    def limit(self, cap: Cap) -> Markup:
        """A cap within a sentence."""
        if cap not in self._kept:
            if cap.per_seconds == _DAY:
                told = self.words.ngettext("at most one a day", "at most %(num)s a day", cap.contacts)
            else:
                told = self.words.ngettext(
                    "at most one in %(duration)s",
                    "at most %(num)s in %(duration)s",
                    cap.contacts,
                    duration=self.words.duration(cap.per_seconds),
                )
            self._kept[cap] = escape(told)
        return self._kept[cap]

    def summary(self, found: Outlook) -> list[tuple[Markup, Markup]]:
        """(what it is about, sentence): one for each channel, then what holds for all of it."""
        told = [(self.named(one.channel.label), self._by_channel(one)) for one in found.channels]
        if found.caps:
            limits = self.listed(self.limit(cap) for cap in found.caps)
            told.append(
                (self.gettext("In all"), self.gettext("No more than this together: %(limits)s.", limits=limits))
            )
        if found.always:
            topics = self.listed(self.named(one.label) for one in found.always)
            told.append((self.gettext("Always"), self.gettext("%(topics)s: you need to know these.", topics=topics)))
        return told

    def _by_channel(self, one: ByChannel) -> Markup:
        if one.suppressed:
            return self.gettext("Stopped for you, whatever the dials say.")
        if not one.measures:
            return self.gettext("Nothing.")
        told = [self._measure(measure) for measure in one.measures]
        if one.caps:
            limits = self.listed(self.limit(cap) for cap in one.caps)
            told.append(self.gettext("All of it together %(limits)s.", limits=limits))
        if one.paused_until is not None:
            told.append(self.paused(one.paused_until))
        return Markup(" ").join(told)

    def _measure(self, one: Measure) -> Markup:
        topics = self.listed(self.named(topic.label) for topic in one.topics)
        if not one.caps:
            return self.gettext("%(topics)s.", topics=topics)
        limits = self.listed(self.limit(cap) for cap in one.caps)
        if len(one.topics) == 1:
            return self.gettext("%(topics)s: %(limits)s.", topics=topics, limits=limits)
        return self.gettext("%(topics)s: each %(limits)s.", topics=topics, limits=limits)
