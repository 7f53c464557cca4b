"""How long a request may still wait for the database: senders get an answer, or a clear "not now", in time.

A short request has one limit for all of its waiting. A batch has a second more for each 32 KiB of its body, so
that ten thousand rows are worked through; a database that is gone is noticed by its pulse, however long the
batch may take.
"""

from __future__ import annotations

import time

from flask import has_app_context

from consent_service.web.current import kept

BYTES_A_SECOND = 32 * 1024


def begin(seconds: float, body_bytes: int = 0) -> None:
    """The limit of this request runs from now: at its start, and again when its body is here."""
    known = kept()
    known.patience_seconds = seconds
    known.until = time.monotonic() + seconds + body_bytes / BYTES_A_SECOND


def body_arrived(body_bytes: int) -> None:
    """The sender's slowness is over; the rest is ours."""
    begin(kept().patience_seconds, body_bytes)


def seconds_left(usual: float) -> float:
    """What is left for this request; `usual` outside of one. Not below 0."""
    until: float | None = kept().get("until") if has_app_context() else None
    return max(0.0, until - time.monotonic()) if until is not None else usual
