"""The objects behind Flask's proxies, for what runs in every request: each look through a proxy costs a microsecond."""

from __future__ import annotations

from typing import Any

from flask import Request, g, request


def this_request() -> Request:
    """The request that this thread answers."""
    found: Request = request._get_current_object()  # type: ignore[attr-defined]
    return found


def kept() -> Any:
    """What parts of the service keep for each other during this request: the object behind Flask's `g`."""
    return g._get_current_object()
