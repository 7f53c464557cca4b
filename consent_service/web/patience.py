"""How long a request may still wait for the database: senders get an answer, or a clear "not now", in time.

A short request has one limit for all of its waiting. A batch has a second more for each 32 KiB of its body, so
that ten thousand rows are worked through; a database that is gone is noticed by its pulse, however long the
batch may take.
"""

from __future__ import annotations

import time

from flask import g, has_app_context

BYTES_A_SECOND = 32 * 1024


def begin(seconds: float, body_bytes: int = 0) -> None:
    """The limit of this request runs from now: at its start, and again when its body is here."""
    g.patience_seconds = seconds
    g.until = time.monotonic() + seconds + body_bytes / BYTES_A_SECOND


def body_arrived(body_bytes: int) -> None:
    """The sender's slowness is over; the rest is ours."""
    begin(g.patience_seconds, body_bytes)


def seconds_left(usual: float) -> float:
    """What is left for this request; `usual` outside of one. Not below 0."""
    if not has_app_context() or "until" not in g:
        return usual
    left: float = g.until - time.monotonic()
    return max(0.0, left)
