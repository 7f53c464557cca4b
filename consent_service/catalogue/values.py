"""Reads single values out of a document and notes what is wrong with them.

A reader never raises: it notes a fault with the value's place (RFC 6901 pointer) and answers None or an empty
collection, so that one pass finds every fault of a document. Knows JSON values and names, no catalogue.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import time
from functools import cache
from zoneinfo import available_timezones

from consent_service.clock import format_duration, parse_duration

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
LOCALE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,5}")
CLOCK_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")

DEEPEST_TOPIC = 8
MOST_LOCALES = 64
LONGEST_LABEL = 200
MOST_CONTACTS = 1_000_000
SHORTEST_PERIOD_SECONDS = 60

_A_NAME = "a name has 1 to 64 of a-z, 0-9, _ and -, and begins with a letter or digit"


@dataclass(frozen=True)
class Fault:
    """Something wrong at a place of a document; `code` is one of the domain errors' codes."""

    pointer: str
    code: str
    detail: str

    def as_error(self) -> dict[str, str]:
        """The fault as a member of `errors`."""
        return {"pointer": self.pointer, "code": self.code, "detail": self.detail}


def step(pointer: str, key: str | int) -> str:
    """The pointer one step further. Source: RFC 6901, 3 and 4."""
    return f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"


@cache
def time_zones() -> frozenset[str]:
    """The names of the time zone database; not `localtime`, which means another zone on each machine."""
    return frozenset(available_timezones() - {"localtime", "Factory"})


@dataclass(frozen=True)
class Value:
    """A value of the document, its place, and the list that its faults go to."""

    content: object
    pointer: str
    faults: list[Fault]

    def fault(self, detail: str, code: str = "invalid_value") -> None:
        """Notes a fault here."""
        self.faults.append(Fault(self.pointer, code, detail))

    def _inner(self, key: str | int, content: object) -> Value:
        return Value(content, step(self.pointer, key), self.faults)

    def members(self, most: int) -> dict[str, Value]:
        """The members of an object with free names; {} when it is none."""
        if not isinstance(self.content, Mapping):
            self.fault("an object is expected here", "object_expected")
            return {}
        if len(self.content) > most:
            self.fault(f"there are {len(self.content)} entries; at most {most} are allowed")
            return {}
        found = {}
        for key, content in self.content.items():
            if isinstance(key, str):
                found[key] = self._inner(key, content)
            else:
                self._inner(str(key), content).fault(f"the name {key} is no string: put it in quotes")
        return found

    def fields(self, required: Collection[str], optional: Collection[str] = ()) -> dict[str, Value]:
        """The fields of an object, those that are there; unknown and missing ones are faults."""
        found = self.members(10_000)
        for name in found.keys() - set(required) - set(optional):
            found.pop(name).fault(f"there is no field {name} here", "unknown_field")
        if isinstance(self.content, Mapping):
            for name in required:
                if name not in found:
                    self.missing(name)
        return found

    def missing(self, name: str) -> None:
        """Notes that a field is missing here."""
        self._inner(name, None).fault(f"{name} is missing", "missing_field")

    def is_named(self) -> Value:
        """The name that an object gives to this value, as a value of its own at the same place."""
        name = self.pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")
        return Value(name, self.pointer, self.faults)

    def items(self, most: int) -> list[Value]:
        """The items of a list; [] when it is none."""
        if not isinstance(self.content, list):
            self.fault("a list is expected here")
            return []
        if len(self.content) > most:
            self.fault(f"there are {len(self.content)} items; at most {most} are allowed")
            return []
        return [self._inner(index, content) for index, content in enumerate(self.content)]

    def string(self) -> str | None:
        """Any string."""
        if not isinstance(self.content, str):
            self.fault("a string is expected here: put it in quotes")
            return None
        return self.content

    def text(self, longest: int, *, lines: bool = False) -> str | None:
        """A text for people: 1 to `longest` characters, not blank, control characters only as line ends."""
        text = self.string()
        if text is None:
            return None
        if not text.strip() or len(text) > longest:
            self.fault(f"a text of 1 to {longest} characters is expected here")
            return None
        for character in text:
            category = unicodedata.category(character)
            if category == "Cs" or (category == "Cc" and not (lines and character in "\n\r\t")):
                self.fault(f"the text holds the character U+{ord(character):04X}, which is not allowed")
                return None
        return text

    def name(self) -> str | None:
        """A name of one word."""
        text = self.string()
        if text is not None and NAME.fullmatch(text) is None:
            self.fault(_A_NAME)
            return None
        return text

    def topic_path(self) -> str | None:
        """A topic's path: names with / between them."""
        text = self.string()
        if text is None:
            return None
        segments = text.split("/")
        if len(segments) > DEEPEST_TOPIC or not all(NAME.fullmatch(segment) for segment in segments):
            self.fault(f"a topic is 1 to {DEEPEST_TOPIC} names with / between them; {_A_NAME}")
            return None
        return text

    def one_of(self, names: Collection[str], what: str, code: str = "invalid_value") -> str | None:
        """A string out of a closed list of `what`, which stands in the message."""
        text = self.string()
        if text is not None and text not in names:
            shown = ", ".join(list(names)[:20]) + (", …" if len(names) > 20 else "")
            self.fault(f"{text[:64]!r} is no {what}; known are: {shown or 'none'}", code)
            return None
        return text

    def whole_number(self, lowest: int, highest: int) -> int | None:
        """A whole number in a range; neither a truth value nor 1.0."""
        number = self.content
        if isinstance(number, bool) or not isinstance(number, int) or not lowest <= number <= highest:
            self.fault(f"a whole number from {lowest} to {highest} is expected here")
            return None
        return number

    def truth(self) -> bool | None:
        """true or false."""
        if not isinstance(self.content, bool):
            self.fault("true or false is expected here")
            return None
        return self.content

    def duration(self, longest_seconds: int) -> int | None:
        """Seconds of a duration from one minute up."""
        try:
            seconds = parse_duration(self.content)
        except ValueError as error:
            self.fault(f"{error}; no weeks, months or years")
            return None
        if not SHORTEST_PERIOD_SECONDS <= seconds <= longest_seconds:
            self.fault(f"a duration from PT1M to {format_duration(longest_seconds)} is expected here")
            return None
        return seconds

    def clock_time(self) -> time | None:
        """A wall-clock time, HH:MM."""
        match = CLOCK_TIME.fullmatch(self.content) if isinstance(self.content, str) else None
        if match is None:
            self.fault('a time is "HH:MM" in quotes, from "00:00" to "23:59"')
            return None
        return time(int(match[1]), int(match[2]))

    def time_zone(self) -> str | None:
        """The name of a time zone."""
        text = self.string()
        if text is not None and text not in time_zones():
            self.fault("there is no such time zone; a name as Europe/London is expected", "unknown_time_zone")
            return None
        return text

    def texts(self, longest: int, *, lines: bool = False) -> dict[str, str]:
        """Texts by locale."""
        texts: dict[str, str] = {}
        seen: set[str] = set()
        members = self.members(MOST_LOCALES)
        if isinstance(self.content, Mapping) and not self.content:
            self.fault("a text in at least one language is expected here")
        for locale, value in members.items():
            if LOCALE.fullmatch(locale) is None:
                value.fault("a language is expected as the name here, as en or en-GB")
            if locale.lower() in seen:
                value.fault("this language stands twice", "duplicate_key")
            seen.add(locale.lower())
            texts[locale] = value.text(longest, lines=lines) or ""
        return texts
