"""The supervisor of `consent-service serve`: database, web and worker as one thing that starts and stops.

It keeps its children running and ends them in order: first web, so that no request is cut off, then worker,
then the database. It holds the listening socket, so that whoever comes while web is away waits for the next one.
When it is killed itself, the kernel ends its children. It answers no request and holds no pool.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType

from consent_service import logs
from consent_service.database.embedded import EmbeddedServer, EmbeddedServerError
from consent_service.database.migrate import migrate
from consent_service.database.opening import embedded_server, located
from consent_service.processes import bound_to_us
from consent_service.settings import Settings, secret_file

TICK_SECONDS = 0.2
STOP_SECONDS = 40.0
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
# A child that ran this long was healthy, and is started again at once; one that cannot run is not started all the time.
HEALTHY_SECONDS = 5.0
# A database that cannot be started, as on a full disk, is tried again: whoever makes room waits no longer than this.
LONGEST_DATABASE_DELAY_SECONDS = 4.0


@dataclass
class Child:
    """One program that is kept running."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    # Open descriptors that it finds under the same numbers.
    descriptors: Sequence[int] = ()
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0

    def keep_running(self, now: float) -> None:
        """Starts it when it does not run and is not to wait."""
        if self.process is not None:
            code = self.process.poll()
            if code is None:
                return
            self.process = None
            # One that was killed from outside is not at fault, however soon that was.
            sound = code == -signal.SIGKILL or now - self.started_at >= HEALTHY_SECONDS
            self.failures = 0 if sound else self.failures + 1
            pause = f" in {self._delay():g} s" if self.failures else ""
            logs.say(f"{self.name} ended ({code}); it is started again{pause}")
            self.started_at = now
        if now - self.started_at < self._delay():
            return
        self.started_at = now
        self.process = subprocess.Popen(
            [sys.executable, "-m", "consent_service", *self.arguments],
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            pass_fds=self.descriptors,
            # Ctrl-C on the terminal is for the supervisor alone, who stops things in order.
            start_new_session=True,
            preexec_fn=bound_to_us(None, signal.SIGTERM),  # noqa: PLW1509  (no other thread runs here)
        )

    def stop(self) -> None:
        """Ends it: politely, and after a while not."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            logs.say(f"{self.name} does not end; it is killed")
            self.process.kill()
            self.process.wait()
        self.process = None

    def _delay(self) -> float:
        return min(FIRST_DELAY_SECONDS * 2.0 ** (self.failures - 1), LONGEST_DELAY_SECONDS) if self.failures else 0.0


@dataclass
class Revival:
    """Brings the embedded database back, for as long as it takes: what it needs may be somebody's hand elsewhere."""

    server: EmbeddedServer
    failures: int = 0
    next_at: float = 0.0

    def keep_running(self, now: float, give_up: Callable[[], bool]) -> None:
        """Starts it when it has ended; says once for each attempt why it does not start."""
        if now < self.next_at:
            return
        try:
            if self.server.restart_if_dead(give_up):
                logs.say("PostgreSQL had ended; it was started again")
            self.failures = 0
        except (EmbeddedServerError, OSError) as error:
            if give_up():
                return
            delay = min(FIRST_DELAY_SECONDS * 2.0**self.failures, LONGEST_DATABASE_DELAY_SECONDS)
            self.failures += 1
            self.next_at = now + delay
            logs.say(f"{error}; it is tried again in {delay:g} s")


def serve(settings: Settings, programs: Mapping[str, Sequence[str]], listener: socket.socket, *, demo: bool) -> None:
    """Runs the programs on a migrated database until SIGTERM or SIGINT.

    Args:
        programs: arguments of `consent-service` by the name of the child, in the order in which to stop them.
        listener: held open for the child named web, which finds it under the same descriptor; closed at the end.
        demo: load the example catalogue and customers first.

    Raises:
        SettingsError, EmbeddedServerError, MigrationError, ConsentError: it cannot start.
    """
    logs.install()
    with _database(settings) as (server, found):
        migrate(found.migration_url or found.service_url(), found.service_url())
        if demo:
            from consent_service.demo import load

            load(found)
        environment = child_environment(os.environ, found)
        children = [
            Child(name, arguments, environment, [listener.fileno()] if name == "web" else [])
            for name, arguments in programs.items()
        ]
        with stop_requests() as stop:
            try:
                _watch(server, children, stop)
            finally:
                # From now on who comes is refused, and does not wait for nobody.
                listener.close()
                for child in children:
                    child.stop()
    logs.say("stopped")


def child_environment(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """What children need to work on the database of these settings; not the login that owns the schema."""
    environment = {name: value for name, value in environ.items() if name != "CONSENT_MIGRATION_URL"}
    environment["DATABASE_URL"] = settings.service_url()
    if "CONSENT_SECRET_KEY" not in environ and "CONSENT_SECRET_KEY_FILE" not in environ:
        environment["CONSENT_SECRET_KEY_FILE"] = str(secret_file(settings.data_dir))
    return environment


@contextlib.contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """An event that the first SIGTERM, SIGINT or SIGHUP sets; a second one ends the process at once."""
    stop = threading.Event()
    words = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def ask(number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    before = {word: signal.signal(word, ask) for word in words}
    try:
        yield stop
    finally:
        for word, handler in before.items():
            signal.signal(word, handler)


@contextlib.contextmanager
def _database(settings: Settings) -> Iterator[tuple[EmbeddedServer | None, Settings]]:
    if settings.database_url is not None:
        yield None, settings
        return
    with embedded_server(settings).owning(logs.say) as server:
        yield server, located(settings, server)


def _watch(server: EmbeddedServer | None, children: Sequence[Child], stop: threading.Event) -> None:
    revival = Revival(server) if server is not None else None
    while not stop.is_set():
        if revival is not None:
            revival.keep_running(time.monotonic(), stop.is_set)
        for child in children:
            child.keep_running(time.monotonic())
        stop.wait(TICK_SECONDS)
