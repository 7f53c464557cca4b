"""Asks the application in this process, and watches: which part takes how long, which statements run, how they run.

The parts are named functions of the service, timed while the watch lasts. A name that is no longer there is told, not
hidden: then this file is behind the code.
"""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from benchmarks.world import World
from consent_service.app import create_app
from consent_service.database.connection import Connection
from consent_service.database.queries import Statement

# What a request passes through: label, module, attribute (or Class.attribute).
STEPS = (
    ("authentication", "consent_service.web.auth", "_identified"),
    ("reading the body", "consent_service.permissions.api", "read_object"),
    ("looking the customer up", "consent_service.permissions.service", "resolve_many"),
    ("looking the customer up", "consent_service.permissions.taking", "resolve_many"),
    ("locking the customer", "consent_service.permissions.taking", "lock_many"),
    ("deciding", "consent_service.permissions.store", "decide"),
    ("writing the row", "consent_service.permissions.store", "insert"),
    ("writing the event", "consent_service.history.service", "record"),
    ("writing the answer", "consent_service.permissions.api", "answer"),
    ("a connection of the pool", "psycopg_pool", "ConnectionPool.getconn"),
    ("begin and commit", "psycopg.transaction", "Transaction.__enter__"),
    ("begin and commit", "psycopg.transaction", "Transaction.__exit__"),
    ("waiting for the database", "consent_service.database.connection", "Connection.wait"),
)
REST = "Flask, and what is not named here"


@dataclass
class Watch:
    """What was seen: seconds of processor and of the clock by step, without those of the steps inside."""

    requests: int = 0
    processor: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    clock: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    waits: int = 0
    statements: list[tuple[Statement, Mapping[str, Any]]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


class _Stack:
    """The steps that are open; time belongs to the innermost one."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._open: list[str] = []
        self._since = (0.0, 0.0)
        self._thread = threading.get_ident()

    @property
    def is_ours(self) -> bool:
        """False in other threads of the service, such as those that watch the database."""
        return threading.get_ident() == self._thread

    def enter(self, label: str) -> None:
        self._charge()
        self._open.append(label)

    def leave(self) -> None:
        self._charge()
        self._open.pop()

    def _charge(self) -> None:
        now = time.thread_time(), time.perf_counter()
        if self._open:
            self._watch.processor[self._open[-1]] += now[0] - self._since[0]
            self._watch.clock[self._open[-1]] += now[1] - self._since[1]
        self._since = now


def watch(world: World, path: str, bodies: Sequence[bytes]) -> Watch:
    """Posts the bodies to the application, one after the other, and says where their time went."""
    found = Watch(requests=len(bodies))
    app = create_app(world.settings, world.database.service_url)
    try:
        for body in bodies[: max(1, len(bodies) // 10)]:  # opens the pool, plans the statements
            _post(app, path, body, world.key)
        stack = _Stack(found)
        with _timed(stack, found), _recorded(stack, found):
            for body in bodies:
                stack.enter(REST)
                _post(app, path, body, world.key)
                stack.leave()
    finally:
        app.extensions["consent_service"].database.close()
    return found


@contextlib.contextmanager
def _timed(stack: _Stack, found: Watch) -> Iterator[None]:
    with contextlib.ExitStack() as patches:
        for label, module, attribute in STEPS:
            owner: Any = import_module(module)
            *outer, name = attribute.split(".")
            for one in outer:
                owner = getattr(owner, one, None)
            original = getattr(owner, name, None)
            if original is None:
                found.missing.append(f"{module}.{attribute}")
                continue
            patches.enter_context(_replaced(owner, name, _timing(stack, label, original)))
        yield


@contextlib.contextmanager
def _recorded(stack: _Stack, found: Watch) -> Iterator[None]:
    run, wait = Connection.run, Connection.wait

    def recording(conn: Connection, statement: Statement, params: Mapping[str, Any] | None = None) -> Any:
        if stack.is_ours:
            found.statements.append((statement, params or {}))
        return run(conn, statement, params)

    def counting(*args: Any, **kwargs: Any) -> Any:
        found.waits += stack.is_ours
        return wait(*args, **kwargs)

    with _replaced(Connection, "run", recording), _replaced(Connection, "wait", counting):
        yield


@contextlib.contextmanager
def _replaced(owner: Any, name: str, new: Any) -> Iterator[None]:
    inherited = name not in vars(owner)
    old = getattr(owner, name)
    setattr(owner, name, new)
    try:
        yield
    finally:
        if inherited:
            delattr(owner, name)
        else:
            setattr(owner, name, old)


def _timing(stack: _Stack, label: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        if not stack.is_ours:
            return original(*args, **kwargs)
        stack.enter(label)
        try:
            return original(*args, **kwargs)
        finally:
            stack.leave()

    return timed


def _post(app: Any, path: str, body: bytes, key: str) -> None:
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_AUTHORIZATION": f"Bearer {key}",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    answer = app(environ, lambda *_: None)
    b"".join(answer)
    answer.close()
