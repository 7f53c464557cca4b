"""A small catalogue that has one of everything, for tests to change."""

from __future__ import annotations

from typing import Any

SMALL: dict[str, Any] = {
    "time_zone": "Europe/London",
    "identifiers": ["loyalty", {"kind": "household", "shared": True}],
    "segments": ["club"],
    "levels": [
        {"name": "silent", "mode": "silent", "label": {"en": "Nothing"}},
        {"name": "monthly", "mode": "capped", "contacts": 1, "per": "P30D"},
        {"name": "weekly", "mode": "capped", "contacts": 1, "per": "P7D"},
        {"name": "everything", "mode": "open"},
    ],
    "channels": {
        "email": {"identifier": "email", "confirm": True, "label": {"en": "Email"}},
        "sms": {"identifier": "phone", "quiet_hours": {"from": "21:00", "to": "08:00"}},
        "post": {"identifier": "postal"},
    },
    "topics": {
        "offers": {"basis": "consent", "consent_lasts": "P365D", "label": {"en": "Offers"}},
        "offers/wine": {"label": {"en": "Wine"}},
        "events": {"basis": "legitimate_interest", "default_level": "monthly"},
        "events/local": {},
        "events/club": {"default_level": "weekly"},
        "orders": {"basis": "contract"},
        "orders/tips": {"basis": "consent"},
        "recalls": {"basis": "legal_obligation"},
        "news": {"basis": "consent"},
    },
    "policies": [{"name": "house ceiling", "channel": "*", "topic": "*", "contacts": 4, "per": "P7D"}],
    "notices": [{"id": "preferences", "version": "1", "text": {"en": "We keep your choices."}}],
}
