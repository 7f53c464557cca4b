"""Files that pages load: packaged, read once by each process, under an address that changes with their content."""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from flask import Response, request

from consent_service.errors import ConsentError

_TYPES = {
    "pages.css": "text/css; charset=utf-8",
    "desk.css": "text/css; charset=utf-8",
    "dialogues.css": "text/css; charset=utf-8",
    "desk.js": "text/javascript; charset=utf-8",
    "pages.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_DAY_SECONDS = 86400


def url(name: str) -> str:
    """The address of a file of `web/static/`."""
    return f"/static/{_read(name).tag}/{name}"


def answer(version: str, name: str) -> Response:
    """The file, whatever version is asked for: a page of before an upgrade gets a style all the same.

    Raises:
        ConsentError: not_found.
    """
    if name not in _TYPES:
        raise ConsentError("not_found")
    file = _read(name)
    packed = request.accept_encodings["gzip"] > 0
    response = Response(file.packed if packed else file.content, content_type=_TYPES[name])
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if version == file.tag else "no-store"
    return response


def favicon() -> Response:
    """The icon where browsers look for it by themselves: its address never changes, so it is kept for a day."""
    response = Response(_read("favicon.ico").content, content_type="image/vnd.microsoft.icon")
    response.headers["Cache-Control"] = f"public, max-age={_DAY_SECONDS}"
    return response


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    packed: bytes
    tag: str


@cache
def _read(name: str) -> _File:
    """A file as it is sent: a style without its comments and indentation, which browsers need not load."""
    content = resources.files("consent_service.web").joinpath("static", name).read_bytes()
    if name.endswith(".css"):
        content = re.sub(rb"\n\s*", b"\n", re.sub(rb"/\*.*?\*/", b"", content, flags=re.DOTALL)).lstrip()
    return _File(content, gzip.compress(content, mtime=0), hashlib.sha256(content).hexdigest()[:16])
