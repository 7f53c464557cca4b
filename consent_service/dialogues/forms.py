"""What the forms of conversations carry: terms, and answers to the lines of a proposal. No I/O, no words.

A day stands for its end where the customer is: "until the 24th" lets the company answer on the 24th.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from consent_service.dialogues.model import (
    LARGEST_PROPOSAL,
    LINE_KINDS,
    LONGEST,
    LONGEST_MESSAGE,
    MOST_CHANNELS,
    MOST_CONTACTS,
    LineAnswer,
    Terms,
    line_of,
)
from consent_service.dialogues.proposals import terms_of
from consent_service.history.model import canonical

Form = Mapping[str, Sequence[str]]
Path = tuple[str | int, ...]
A_DAY = timedelta(days=1)
USUAL_DAYS, USUAL_CONTACTS = 30, 3
CONTACTS = (1, 2, 3, 5, 10, 20, 50, MOST_CONTACTS)  # that are offered
MOST_FIELDS = 60  # of a specification that is changed field by field


def one(form: Form, name: str) -> str:
    """The first value of a field; empty where there is none."""
    found = form.get(name)
    return found[0] if found else ""


def whole(text: str) -> int:
    """The number of an entry; 0, which none has, for what is no number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0


def words_of(form: Form, name: str) -> str:
    """What somebody wrote into a field of several lines. Browsers end them with CRLF."""
    return one(form, name).replace("\r\n", "\n").strip()


@dataclass(frozen=True, slots=True)
class WrittenTerms:
    """Terms as the fields of a form have them, sound or not."""

    channels: tuple[str, ...]
    until: str
    contacts: str
    any_time: bool

    def wrong(self, today: date) -> set[str]:
        """The fields that cannot be meant."""
        found = set()
        if not 0 < len(self.channels) <= MOST_CHANNELS:
            found.add("channels")
        if not (self.contacts.isascii() and self.contacts.isdigit() and 0 < int(self.contacts[:9]) <= MOST_CONTACTS):
            found.add("contacts")
        day = _day(self.until)
        if day is None or not today <= day <= last_day(today):
            found.add("until")
        return found

    def read(self, zone: ZoneInfo) -> Terms:
        """The terms, where nothing is wrong."""
        day = _day(self.until)
        assert day is not None  # `wrong` has been asked
        return Terms(self.channels, end_of(day, zone), int(self.contacts), self.any_time)


def written(form: Form, prefix: str = "") -> WrittenTerms:
    """The terms that stand in a form; `prefix` of its fields' names."""
    channels = tuple(dict.fromkeys(form.get(f"{prefix}channels", ())))
    until, contacts = one(form, f"{prefix}until"), one(form, f"{prefix}contacts")
    return WrittenTerms(channels, until, contacts, bool(one(form, f"{prefix}any_time")))


@dataclass(frozen=True)
class Written:
    """What somebody has written into the forms of a page, to be shown again; and what is wrong with it.

    Args:
        wrong: names of fields.
        lines: numbers of lines whose answer is missing or wrong, of the proposal `proposal`.
    """

    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    terms: WrittenTerms | None = None
    wrong: frozenset[str] = frozenset()
    proposal: int = 0
    lines: frozenset[int] = frozenset()
    refused: str = ""

    def said(self, name: str, otherwise: str = "") -> str:
        """What stood in a field."""
        return one(self.fields, name) if name in self.fields else otherwise


def drawn(terms: Terms, zone: ZoneInfo) -> WrittenTerms:
    """Terms as a form shows them."""
    return WrittenTerms(terms.channels, last_day_of(terms.until, zone).isoformat(), str(terms.contacts), terms.any_time)


def usual(channel: str, today: date) -> WrittenTerms:
    """What is chosen already where a conversation begins."""
    return WrittenTerms((channel,), (today + USUAL_DAYS * A_DAY).isoformat(), str(USUAL_CONTACTS), False)


def changed(asked: WrittenTerms, seen: WrittenTerms, zone: ZoneInfo) -> dict[str, Any]:
    """What was changed of the terms that a form showed, for service.change_terms."""
    read = asked.read(zone)
    names = ("channels", "until", "contacts", "any_time")
    return {name: getattr(read, name) for name in names if _differs(name, asked, seen)}


def _differs(name: str, asked: WrittenTerms, seen: WrittenTerms) -> bool:
    if name == "channels":
        return set(asked.channels) != set(seen.channels)
    return bool(getattr(asked, name) != getattr(seen, name))


def end_of(day: date, zone: ZoneInfo) -> datetime:
    """The first moment after a day."""
    return datetime.combine(day + A_DAY, time(), zone).astimezone(UTC)


def last_day_of(until: datetime, zone: ZoneInfo) -> date:
    """The last day of which something is before that moment."""
    return (until.astimezone(zone) - timedelta(microseconds=1)).date()


def ends_a_day(until: datetime, zone: ZoneInfo) -> bool:
    """Whether that moment is the end of a day."""
    return end_of(last_day_of(until, zone), zone) == until


def last_day(today: date) -> date:
    """The last day until which a conversation that begins today may last."""
    return today + LONGEST - 2 * A_DAY


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


# Answers to a proposal.


def answers(form: Form, lines: Sequence[Mapping[str, Any]], zone: ZoneInfo) -> tuple[list[LineAnswer], set[int]]:
    """(what is said to each line of a proposal, the lines whose answer is missing or cannot be meant).

    Args:
        lines: as entries show them.
    """
    at_once = one(form, "all")
    said, wrong = [], set()
    for shown in lines:
        number = shown["line"]
        word = at_once if at_once in ("accept", "refuse") else one(form, f"l{number}")
        answer = _answer(form, shown, word, zone)
        if answer is None:
            wrong.add(number)
        else:
            said.append(answer)
    return said, wrong


def _answer(form: Form, shown: Mapping[str, Any], word: str, zone: ZoneInfo) -> LineAnswer | None:
    number = shown["line"]
    if word in ("accept", "refuse"):
        return LineAnswer(number, word)
    line = line_of(shown)
    if word != "change" or line.kind not in LINE_KINDS:
        return None
    value = _changed_value(form, f"l{number}-", line.kind, line.value, zone)
    if value is None:
        return None
    if value == line.value:
        return LineAnswer(number, "accept")
    return LineAnswer(number, "change", line.kind, value)


def _changed_value(
    form: Form, prefix: str, kind: str, value: Mapping[str, Any], zone: ZoneInfo
) -> dict[str, Any] | None:
    if kind == "dial":
        return {**value, "level": one(form, f"{prefix}level") or None} if f"{prefix}level" in form else None
    if kind == "terms":
        return _changed_terms(form, prefix, value, zone)
    return _changed_specification(form, prefix, value)


def _changed_terms(form: Form, prefix: str, value: Mapping[str, Any], zone: ZoneInfo) -> dict[str, Any] | None:
    asked, seen = written(form, prefix), proposed(value, zone)
    today = datetime.now(zone).date()
    if asked.wrong(today) & value.keys():
        return None
    # What the proposal does not name has no field, and is not read.
    full = replace(
        seen, **{name: getattr(asked, name) for name in value if _differs(name, asked, seen)}
    )  # fmt: skip
    terms = full.read(zone).shown()
    return {name: terms[name] if _differs(name, full, seen) else value[name] for name in value}


def proposed(value: Mapping[str, Any], zone: ZoneInfo) -> WrittenTerms:
    """The terms of a line as a form shows them; what it does not name is filled up with what no form shows."""
    rest = Terms(("*",), datetime.now(UTC) + A_DAY, 1, any_time=False)
    return drawn(replace(rest, **terms_of(value)), zone)


def _changed_specification(form: Form, prefix: str, value: Mapping[str, Any]) -> dict[str, Any] | None:
    leaves = leaves_of(value)
    if len(leaves) > MOST_FIELDS or any(f"{prefix}{index}" not in form for index in range(len(leaves))):
        return None
    made: Any = value
    for index, (path, old) in enumerate(leaves):
        text = words_of(form, f"{prefix}{index}")
        if len(text) > LONGEST_MESSAGE:
            return None
        if text != as_written(old):
            made = _with(made, path, _typed(text, old))
    return dict(made) if len(canonical(made)) <= LARGEST_PROPOSAL else None


def leaves_of(value: Mapping[str, Any]) -> list[tuple[Path, Any]]:
    """(path, value) of everything in a specification that can be changed by itself, in its order."""
    return list(flat(value)) if value else []


def flat(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The same, from somewhere within it."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from flat(inner, (*path, name))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from flat(inner, (*path, index))
    else:
        yield path, value


def as_written(value: Any) -> str:
    """A value of a specification as a field has it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value in ({}, []):
        return ""
    return str(value).replace("\r\n", "\n").strip()


def _typed(text: str, old: Any) -> Any:
    """The text as what the old value was, where it can be read so."""
    if isinstance(old, bool):
        return text == "yes"
    if isinstance(old, int | float):
        for kind in (int, float):
            try:
                number = kind(text)
            except ValueError:
                continue
            return number if abs(number) < 2**53 else text
    return text


def _with(value: Any, path: Path, new: Any) -> Any:
    """A copy of the value with one place of it changed."""
    if not path:
        return new
    first, rest = path[0], path[1:]
    if isinstance(value, Mapping):
        return {name: _with(inner, rest, new) if name == first else inner for name, inner in value.items()}
    return [_with(inner, rest, new) if index == first else inner for index, inner in enumerate(value)]
