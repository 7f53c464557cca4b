"""Files that pages load: packaged, read once by each process, under an address that changes with their content."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources

from flask import Response

from consent_service.errors import ConsentError

_TYPES = {
    "pages.css": "text/css; charset=utf-8",
    "desk.css": "text/css; charset=utf-8",
    "desk.js": "text/javascript; charset=utf-8",
    "pages.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_DAY_SECONDS = 86400


def url(name: str) -> str:
    """The address of a file of `web/static/`."""
    return f"/static/{_read(name)[1]}/{name}"


def answer(version: str, name: str) -> Response:
    """The file, whatever version is asked for: a page of before an upgrade gets a style all the same.

    Raises:
        ConsentError: not_found.
    """
    if name not in _TYPES:
        raise ConsentError("not_found")
    content, tag = _read(name)
    response = Response(content, content_type=_TYPES[name])
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if version == tag else "no-store"
    return response


def favicon() -> Response:
    """The icon where browsers look for it by themselves: its address never changes, so it is kept for a day."""
    response = Response(_read("favicon.ico")[0], content_type="image/vnd.microsoft.icon")
    response.headers["Cache-Control"] = f"public, max-age={_DAY_SECONDS}"
    return response


@cache
def _read(name: str) -> tuple[bytes, str]:
    content = resources.files("consent_service.web").joinpath("static", name).read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:16]
