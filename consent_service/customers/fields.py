"""Which time zones, locales and segments a customer may have."""

from __future__ import annotations

import functools
import re
import zoneinfo
from collections.abc import Mapping

from consent_service.customers.model import FIELDS, LONGEST_LOCALE
from consent_service.customers.store import SQL
from consent_service.database import Connection
from consent_service.errors import ConsentError

# The shape of a BCP 47 tag; whether its subtags are registered is nothing that a decision hangs on.
_LOCALE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
# What these mean depends on the machine.
_NO_ZONES = {"localtime", "Factory", "posixrules"}


def check_fields(conn: Connection, given: Mapping[str, str | None]) -> None:
    """Passes for values that a customer may have; None is one.

    Raises:
        ConsentError: unknown_time_zone, unknown_segment, invalid_value.
    """
    time_zone, locale, segment = (given.get(name) for name in FIELDS)
    if locale is not None and not (len(locale) <= LONGEST_LOCALE and _LOCALE.fullmatch(locale)):
        raise ConsentError("invalid_value", "A locale is a BCP 47 tag, as en or en-GB.")
    if time_zone is not None and not (
        time_zone in _zones() and conn.run(SQL["time_zone_exists"], {"time_zone": time_zone}).fetchone()
    ):
        raise ConsentError("unknown_time_zone", "A time zone is an IANA name, as Europe/London.")
    if segment is not None and not conn.run(SQL["segment_exists"], {"segment": segment}).fetchone():
        raise ConsentError("unknown_segment", "The catalogue has no such segment.")


@functools.cache
def _zones() -> frozenset[str]:
    """Names of the machine's zone files: they change only with the installed package."""
    return frozenset(zoneinfo.available_timezones() - _NO_ZONES)
