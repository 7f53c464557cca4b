"""Times as they travel: RFC 3339 in and out, ISO 8601 durations of the catalogue.

The clock itself is the database's; statements take `now` (None: `clock_timestamp()`), which tests and replay
set. Nothing here asks the machine for the time.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from consent_service.errors import ConsentError

_RFC3339 = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))"
)
_DURATION = re.compile(r"P(?:(\d{1,4})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?)?")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
LONGEST_PERIOD_SECONDS = 400 * _DAY


def parse_time(text: object) -> datetime:
    """The instant of an RFC 3339 date-time with offset, in UTC, to the microsecond (finer digits are cut).

    Raises:
        ConsentError: invalid_timestamp. Source: RFC 3339, 5.6; leap seconds are refused.
    """
    match = _RFC3339.fullmatch(text) if isinstance(text, str) else None
    if match is None or not text.isascii():  # type: ignore[attr-defined]
        raise ConsentError("invalid_timestamp", "A time is RFC 3339 with an offset, as 2026-11-22T09:30:00Z.")
    year, month, day, hour, minute, second = (int(match[n]) for n in range(1, 7))
    microsecond = int((match[7] or "0")[:6].ljust(6, "0"))
    try:
        wall = datetime(year, month, day, hour, minute, second, microsecond, tzinfo=UTC)
        if match[8] is None:
            return wall
        offset_hours, offset_minutes = int(match[9]), int(match[10])
        if offset_hours > 23 or offset_minutes > 59:
            raise ValueError("offset out of range")
        offset = timedelta(hours=offset_hours, minutes=offset_minutes)
        return wall - offset if match[8] == "+" else wall + offset
    except (ValueError, OverflowError) as error:
        raise ConsentError("invalid_timestamp", "There is no such time.") from error


def format_time(instant: datetime) -> str:
    """RFC 3339 in UTC with Z; microseconds only where there are any."""
    utc = instant.astimezone(UTC)
    return utc.isoformat(timespec="microseconds" if utc.microsecond else "seconds").replace("+00:00", "Z")


def parse_duration(text: object) -> int:
    """Seconds of a `P[n]DT[n]H[n]M` duration: no weeks, months, years or seconds.

    Raises:
        ValueError: another form, or zero.
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) and text.isascii() else None
    if match is None or not any(match.groups()) or text.endswith("T"):  # type: ignore[attr-defined]
        raise ValueError("a duration is P[n]DT[n]H[n]M, as P30D or PT12H")
    days, hours, minutes = (int(part or 0) for part in match.groups())
    return days * _DAY + hours * _HOUR + minutes * _MINUTE


def format_duration(seconds: int) -> str:
    """The shortest `P[n]DT[n]H[n]M` of these seconds (whole minutes)."""
    days, rest = divmod(seconds, _DAY)
    hours, rest = divmod(rest, _HOUR)
    minutes = rest // _MINUTE
    clock = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    return "P" + (f"{days}D" if days else "") + (f"T{clock}" if clock else "")
