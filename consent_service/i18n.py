"""The languages of pages and mails: catalogs of translations; dates, numbers and lists as CLDR writes them.

Pages and mails use the same catalogs: each slice keeps its own in `translations/`, and here they are joined. Babel
alone does it, without Flask, because mails are written where there is no request. Nothing may fall back in silence:
a test fails when a catalog lacks a text.
"""

from __future__ import annotations

import datetime as calendar
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, time, timedelta
from functools import cache
from importlib import resources
from typing import Literal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_skeleton, format_time, format_timedelta, get_datetime_format
from babel.lists import format_list
from babel.numbers import format_decimal
from babel.support import NullTranslations, Translations

USUAL = "en"
# English as the world writes it: 12 December 2026, 08:15.
_CLDR = {"en": "en_001"}
LOCALES = (USUAL, "de", "fr", "ar")
# The packages that have texts for people, each with a folder `translations`.
PACKAGES = ("web", "links", "mail", "confirmations", "dials", "dialogues", "customers", "history", "service_desk")
MOST_LANGUAGES = 20  # that are read of an Accept-Language header
_RANGE = re.compile(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]{1,30})?\s*(?:;\s*q=([01](?:\.\d{0,3})?)\s*)?")


def N_(text: str) -> str:  # noqa: N802  (the name by which texts are collected)
    """Marks a text for the catalogs that is looked up later."""
    return text


def supported(tag: str | None) -> str | None:
    """The locale of ours that a language tag means (`de-AT` is `de`); None when we have none."""
    language = (tag or "").replace("_", "-").partition("-")[0].lower()
    return language if language in LOCALES else None


def preferred(header: str) -> str | None:
    """The locale that an Accept-Language header likes best. Source: RFC 9110, 12.5.4."""
    liked = []
    for position, one in enumerate(header.split(",")[:MOST_LANGUAGES]):
        match = _RANGE.fullmatch(one)
        if match and (locale := supported(match[1])) and (quality := float(match[2] or 1)) > 0:
            liked.append((-quality, position, locale))
    return min(liked)[2] if liked else None


@cache
def words(locale: str, time_zone: str = "UTC") -> Words:
    """The words of a locale of ours; times are shown in the zone.

    Raises:
        ValueError: no locale of ours, or no zone that is known here.
    """
    if locale not in LOCALES:
        raise ValueError(f"there are no words in {locale}")
    return Words(locale, time_zone)


class Words:
    """Texts, dates, numbers and lists in one language. Made by `words`, kept, and never changed."""

    def __init__(self, locale: str, time_zone: str) -> None:
        self.locale = locale
        self.cldr = Locale.parse(_CLDR.get(locale, locale))
        self.direction: str = self.cldr.text_direction
        self.zone = ZoneInfo(time_zone)
        self._catalog = _catalog(locale)

    def gettext(self, text: str, **values: object) -> str:
        """The text in this language, `%(name)s` filled in."""
        found = self._catalog.ugettext(text)
        return found % values if values else found

    def ngettext(self, one: str, many: str, num: int, **values: object) -> str:
        """The form of a text that this language uses for the number; `%(num)s` is the number as it writes it."""
        return self._catalog.ungettext(one, many, num) % {"num": self.number(num), **values}

    def pgettext(self, context: str, text: str, **values: object) -> str:
        """The same for a text that means something else elsewhere."""
        found = self._catalog.upgettext(context, text)
        return str(found % values if values else found)

    def date(self, at: datetime | calendar.date) -> str:
        """A day, as "12 December 2026", in the customer's zone."""
        return format_date(self._local(at), "long", locale=self.cldr)

    def day(self, at: datetime | calendar.date) -> str:
        """A day without its year, as "12 December"."""
        noon = datetime.combine(self._local(at), time(12), self.zone)
        return format_skeleton("MMMMd", noon, tzinfo=self.zone, locale=self.cldr)

    def time(self, at: datetime) -> str:
        """Day and time to the minute, as "12 December 2026, 08:15", in the customer's zone."""
        day, clock = self.date(at), format_time(at, "short", tzinfo=self.zone, locale=self.cldr)
        return str(get_datetime_format("short", locale=self.cldr)).replace("{1}", day).replace("{0}", clock)

    def number(self, value: float) -> str:
        """A number with this language's digits and separators."""
        return format_decimal(value, locale=self.cldr)

    def duration(self, seconds: int) -> str:
        """How long, in one unit: "30 days", "12 hours"."""
        unit: Literal["day", "hour", "minute"] = (
            "day" if seconds % 86400 == 0 else "hour" if seconds % 3600 == 0 else "minute"
        )
        # No value reaches the threshold: the unit stays the one that was chosen.
        return format_timedelta(timedelta(seconds=seconds), unit, threshold=10**9, locale=self.cldr)

    def listed(self, items: Sequence[str]) -> str:
        """ "a, b and c"."""
        return format_list(items, locale=self.cldr)

    def label(self, labels: Mapping[str, str], otherwise: str = "") -> str:
        """What the catalogue calls something in this language, else in the usual one, else in any."""
        return labels.get(self.locale) or labels.get(USUAL) or next(iter(labels.values()), otherwise) or otherwise

    def language_of(self, labels: Mapping[str, str]) -> str | None:
        """The language of what `label` answers, where it is not this one: for `lang` attributes, and for records."""
        if self.locale in labels:
            return None
        return USUAL if USUAL in labels else next(iter(labels), None)

    def _local(self, at: datetime | calendar.date) -> calendar.date:
        return at.astimezone(self.zone).date() if isinstance(at, datetime) else at


@cache
def _catalog(locale: str) -> NullTranslations:
    joined: Translations | None = None
    for package in PACKAGES:
        folder = resources.files("consent_service").joinpath(package, "translations")
        path = folder.joinpath(locale, "LC_MESSAGES", "messages.mo")
        if path.is_file():
            with path.open("rb") as file:
                one = Translations(file)
            # The first one brings the rule for plurals; all are of one language.
            joined = one if joined is None else joined.merge(one)
    return NullTranslations() if joined is None else joined


def negotiated(choices: Iterable[str | None]) -> str:
    """The first choice that we have words in, else the usual language."""
    return next((found for one in choices if (found := supported(one))), USUAL)
