"""Reads the rows of links that are to be minted."""

from __future__ import annotations

import re

from consent_service.i18n import supported
from consent_service.links.model import PATHS, Wanted
from consent_service.web.rows import LONGEST_NAME, LONGEST_REFERENCE, field, fields, text

# Of those that a key mints: what a confirmation confirms is known to the service alone, who is invited to the customer.
PURPOSES = tuple(purpose for purpose in PATHS if purpose not in ("confirm", "invitation"))
_FIELDS = {"customer", "purpose", "channel", "topic", "locale"}
LONGEST_TAG = 35
_TAG = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")


def wanted(row: object) -> Wanted:
    """{customer, purpose?, channel?, topic?, locale?}"""
    found = fields(row, _FIELDS)
    customer = text(found, "customer", LONGEST_REFERENCE)
    purpose = found.get("purpose", "preferences")
    if not isinstance(purpose, str) or purpose not in PURPOSES:
        raise field("purpose", "invalid_value", f"One of {', '.join(PURPOSES)} is expected.")
    channel, topic = (text(found, name, LONGEST_NAME) if name in found else "" for name in ("channel", "topic"))
    if purpose in ("louder", "quieter") and not (channel or topic):
        raise field("topic", "missing_field", "Name the topic, or the channel, that there is to be more or less of.")
    locale = text(found, "locale", LONGEST_TAG) if "locale" in found else ""
    if locale and not _TAG.fullmatch(locale):
        raise field("locale", "invalid_value", "A language tag is expected, as de or fr-CA.")
    return Wanted(customer, purpose, channel, topic, supported(locale) or "")
