"""What the desk's forms carry besides its dials: the notice that was shown, an event, until when. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from consent_service.dials import saving
from consent_service.dials.model import Notice
from consent_service.errors import ConsentError

MONTHS, DAYS = 3, 30
Form = Mapping[str, str]


def kept(form: Form, again: Sequence[str]) -> list[tuple[str, str]]:
    """The fields of a choice, to be sent once more."""
    return [(name, form[name]) for name, _ in saving.changed_fields(form)] + [("again", one) for one in again]


def notice(form: Form) -> Notice | None:
    """The notice that stood beside the form; None when there was none."""
    fields = [form.get(f"notice_{name}", "") for name in ("id", "version", "locale")]
    return Notice(*fields) if all(fields) else None


def event_id(form: Form) -> UUID:
    """The event that a form is about.

    Raises:
        ConsentError: not_found, when it names none.
    """
    try:
        return UUID(form.get("event", ""))
    except ValueError as error:
        raise ConsentError("not_found") from error


def saved(parameters: Form) -> UUID | None:
    """The event that an address says was saved just now."""
    try:
        return UUID(parameters["saved"]) if "saved" in parameters else None
    except ValueError:
        return None


def until(form: Form, time_zone: str) -> datetime:
    """When a pause ends: some days or months from now, or the first moment of a day, where the customer is.

    Raises:
        ConsentError: invalid_timestamp.
    """
    now = datetime.now(ZoneInfo(time_zone))
    asked = form.get("until", "")
    if asked == "days":
        return now + timedelta(days=DAYS)
    if asked == "months":
        return _months_later(now)
    try:
        return datetime.combine(date.fromisoformat(form.get("date", "")), time(), now.tzinfo)
    except ValueError as error:
        raise ConsentError("invalid_timestamp", "date: it is no day of the calendar.") from error


def _months_later(now: datetime) -> datetime:
    """The same day some months later; the month's last where it has none."""
    months = now.year * 12 + now.month - 1 + MONTHS
    for day in (now.day, 30, 29, 28):
        try:
            return now.replace(year=months // 12, month=months % 12 + 1, day=day)
        except ValueError:
            continue
    raise AssertionError("not reached: every month has 28 days")
