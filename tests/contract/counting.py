"""Counts the calls that generated requests really were, with what was answered; holds each to the closed list."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

from flask import Flask

from consent_service.errors import CODES

StartResponse = Callable[..., Any]


class BrokenCallError(AssertionError):
    """An answer that no call may get: 5xx, or a refusal with a code that is not on the list."""


class Counting:
    """Between an application and its caller.

    Args:
        app: its calls are counted while a block of `generated` runs; calls that only prepare are not.
    """

    calls: ClassVar[int] = 0
    statuses: ClassVar[Counter[int]] = Counter()
    codes: ClassVar[Counter[str]] = Counter()

    def __init__(self, app: Flask) -> None:
        self._wsgi_app = app.wsgi_app
        self._counts = False
        app.wsgi_app = self  # type: ignore[method-assign]

    @contextlib.contextmanager
    def generated(self) -> Iterator[None]:
        """The calls of this block are counted."""
        self._counts = True
        try:
            yield
        finally:
            self._counts = False

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        said: list[str] = []

        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            said.append(status)
            return start_response(status, headers, exc_info)

        body = self._wsgi_app(environ, start)
        if not self._counts:
            return body
        content = b"".join(body)
        getattr(body, "close", lambda: None)()
        self._note(environ, int(said[0].split()[0]), content)
        return [content]

    def _note(self, environ: dict[str, Any], status: int, content: bytes) -> None:
        of_all = type(self)
        of_all.calls += 1
        of_all.statuses[status] += 1
        if status < 400 or environ["REQUEST_METHOD"] == "HEAD":
            return
        code = json.loads(content)["code"]
        of_all.codes[code] += 1
        if status >= 500 or CODES.get(code, (0,))[0] != status:
            raise BrokenCallError(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}: {status} {code}")


def summary() -> Iterator[str]:
    """How many calls there were, by status and by code."""
    yield f"generated calls: {Counting.calls}"
    yield "  " + ", ".join(f"{status}: {count}" for status, count in sorted(Counting.statuses.items()))
    yield "  " + ", ".join(f"{code}: {count}" for code, count in Counting.codes.most_common())
