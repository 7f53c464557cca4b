"""A real PostgreSQL of our own, from a wheel, in the data directory: started, watched and stopped here.

Exactly one process owns it: the one that holds the lock file. Others use it while it runs. That the server is
alive is known from a connection, never from a pid file. It listens on a unix socket only, in a folder that
nobody else can enter. Nothing outside the data directory is changed, and no other process is ever signalled
than a postmaster that works in this data directory.

After a crash: of the server, the owner starts it again, however often that takes; of the owner, the server gets
SIGINT from the kernel and shuts down, and whoever owns the lock next waits for that or brings it about.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from consent_service.database.postgres_conf import HBA, Sizing, configuration
from consent_service.database.postgres_process import end, settle_predecessor
from consent_service.database.postgres_programs import (
    EmbeddedServerError,
    account_for,
    find_programs,
    run,
    spawn,
)
from consent_service.processes import Account
from consent_service.settings import make_data_dir

__all__ = ["EmbeddedServer", "EmbeddedServerError", "Sizing"]

OWNER = "consent"
SERVICE = "consent_service"
DATABASE = "consent"
PORT = 5432

WAIT_FOR_OWNER_SECONDS = 60.0
WAIT_FOR_USERS_SECONDS = 5.0
WAIT_TO_BE_ALONE_SECONDS = 2.0
PREDECESSOR_SECONDS = 60.0
RECOVERY_SECONDS = 1800.0
POLL_SECONDS = 0.02
MAX_SOCKET_PATH_BYTES = 100
MAX_LOG_BYTES = 10 * 2**20
NO_SPACE = os.strerror(errno.ENOSPC)


class EmbeddedServer:
    """The PostgreSQL of one data directory. Making the object does nothing yet.

    Start it from a thread that lives as long as the server is wanted: the kernel stops it with that thread.

    Args:
        data_dir: made when missing; the database lies in a folder of it that is named by the major version.
        pg_bin: folder of PostgreSQL's programs; None: the wheel's, else the system's newest.
        sizing: how large it may be.

    Raises:
        EmbeddedServerError: there are no programs.
    """

    def __init__(self, data_dir: Path, *, pg_bin: Path | None = None, sizing: Sizing | None = None) -> None:
        self.data_dir = data_dir.resolve()
        self.programs = find_programs(pg_bin)
        self.data = self.data_dir / f"postgres-{self.programs.major}"
        self.log = self.data_dir / "postgres.log"
        self.owned = False
        self._sizing = sizing or Sizing()
        self._socket_folder = _socket_folder(self.data_dir)
        self._account: Account | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def owner_url(self) -> str:
        """Conninfo of the superuser, who owns the schema."""
        return self.url(OWNER, DATABASE)

    @property
    def service_url(self) -> str:
        """Conninfo of the role that the service works as, which owns nothing."""
        return self.url(SERVICE, DATABASE)

    def url(self, user: str, database: str) -> str:
        """Conninfo of any role and database of this server."""
        return make_conninfo(host=str(self._socket_folder), port=PORT, user=user, dbname=database)

    @contextlib.contextmanager
    def running(self) -> Iterator[EmbeddedServer]:
        """The server for as long as the block: the one that runs, or one that is started and then stopped.

        Raises:
            EmbeddedServerError: it cannot be started, or its owner does not get it to answer.
        """
        with self._lock_file("users") as users:
            deadline = time.monotonic() + WAIT_FOR_OWNER_SECONDS
            while True:
                # Shared by all who use the server; the owner takes it alone before it stops the server.
                fcntl.flock(users, fcntl.LOCK_SH)
                with self._lock_file("lock") as lock:
                    if _try_lock(lock):
                        with self._ownership(lock, users, wait_for_users=None):
                            yield self
                        return
                # The owner makes the database after the server is up, on a first start.
                if self._connects(DATABASE):
                    yield self
                    return
                fcntl.flock(users, fcntl.LOCK_UN)
                self._give_up_after(deadline)
                time.sleep(0.1)

    @contextlib.contextmanager
    def owning(self, tell: Callable[[str], None] | None = None) -> Iterator[EmbeddedServer]:
        """The server, started by us: waits while another process, such as a short command, owns it.

        Args:
            tell: is told at once, in one line, when there is something to wait for.

        Raises:
            EmbeddedServerError: another process keeps it, or it cannot be started.
        """
        with self._lock_file("users") as users, self._lock_file("lock") as lock:
            deadline = time.monotonic() + WAIT_FOR_OWNER_SECONDS
            while not _try_lock(lock):
                if tell is not None:
                    tell(f"{self._taken()}; waiting up to {WAIT_FOR_OWNER_SECONDS:g} s for its end")
                    tell = None
                self._give_up_after(deadline)
                time.sleep(0.1)
            with self._ownership(lock, users, wait_for_users=WAIT_FOR_USERS_SECONDS):
                yield self

    @contextlib.contextmanager
    def alone(self) -> Iterator[EmbeddedServer]:
        """The server, started by us, with every other command kept waiting until the block ends.

        Raises:
            EmbeddedServerError: another process owns it or uses it and goes on doing so, or it cannot be started.
        """
        with self._lock_file("users") as users, self._lock_file("lock") as lock:
            deadline = time.monotonic() + WAIT_TO_BE_ALONE_SECONDS
            while not (_try_lock(lock) and _try_lock(users)):
                self._give_up_after(deadline)
                time.sleep(0.1)
            with self._ownership(lock, users, wait_for_users=None):
                yield self

    def restart_if_dead(self, give_up: Callable[[], bool] = lambda: False) -> bool:
        """Starts the server again when its process has ended; True when it had. For the owner only.

        Args:
            give_up: asked now and then while the server recovers, which may take long.

        Raises:
            EmbeddedServerError, OSError: it does not start, as on a full disk. The next call tries again.
        """
        if self._process is None or self._process.poll() is None:
            return False
        self._process = self._start(give_up)
        return True

    @contextlib.contextmanager
    def _ownership(self, lock: int, users: int, *, wait_for_users: float | None) -> Iterator[None]:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        try:
            self._prepare_files()
            self._process = self._start()
        except OSError as error:
            raise EmbeddedServerError(f"the embedded database in {self.data_dir}: {error}") from error
        self.owned = True
        try:
            self._prepare_cluster()
            yield
        finally:
            self.owned = False
            fcntl.flock(users, fcntl.LOCK_UN)
            _lock_alone(users, wait_for_users)
            self._stop()

    def _give_up_after(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise EmbeddedServerError(f"{self._taken()}: stop it first")

    def _taken(self) -> str:
        owner = (self.data_dir / "lock").read_text(encoding="ascii", errors="replace").strip()
        return f"process {owner or 'unknown'} uses the embedded database in {self.data_dir}"

    @contextlib.contextmanager
    def _lock_file(self, name: str) -> Iterator[int]:
        make_data_dir(self.data_dir)
        try:
            handle = os.open(self.data_dir / name, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise EmbeddedServerError(f"{self.data_dir / name} cannot be opened: {error.strerror}") from error
        try:
            yield handle
        finally:
            os.close(handle)  # releases the lock

    def _prepare_files(self) -> None:
        """Folders, database files and configuration, ready for a start."""
        self._account = account_for(self.data, [self.data_dir, self.programs.folder])
        if not self.data.exists():
            self._refuse_other_version()
            self._make_files()
        self._private_folder(self._socket_folder)
        for name, text in (
            ("postgresql.conf", configuration(self._sizing, self._socket_folder)),
            ("pg_hba.conf", HBA),
        ):
            # Overwritten in place, so that the file stays the database user's.
            (self.data / name).write_text(text, encoding="utf-8", errors="surrogateescape")

    def _refuse_other_version(self) -> None:
        others = sorted(path.name for path in self.data_dir.glob("postgres-*") if path.name[9:].isdigit())
        if others:
            raise EmbeddedServerError(
                f"{self.data_dir} holds {', '.join(others)} and the programs found are of version"
                f" {self.programs.major}: set CONSENT_PG_BIN to the programs of that version,"
                " or move the data with pg_dump"
            )

    def _make_files(self) -> None:
        # Made beside and renamed: a half-made cluster is never used.
        draft = self.data_dir / f"{self.data.name}.new"
        shutil.rmtree(draft, ignore_errors=True)
        self._private_folder(draft)
        options = ["-U", OWNER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-k"]
        if not self._sizing.durable:
            options.append("--no-sync")
        run([self.programs.folder / "initdb", "-D", draft, *options], self._account, cwd=self.data_dir)
        draft.rename(self.data)

    def _private_folder(self, path: Path) -> None:
        """Makes a folder that only the database's user may enter; refuses one that is somebody else's."""
        uid, gid = (self._account.uid, self._account.gid) if self._account else (os.geteuid(), os.getegid())
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (uid, os.geteuid()):
            raise EmbeddedServerError(f"{path} belongs to somebody else: remove it")
        path.chmod(0o700)
        if found.st_uid != uid:
            os.chown(path, uid, gid)

    def _start(self, give_up: Callable[[], bool] = lambda: False) -> subprocess.Popen[bytes]:
        if self.log.exists() and self.log.stat().st_size > MAX_LOG_BYTES:
            self.log.rename(self.log.with_suffix(".log.old"))
        log = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            deadline = time.monotonic() + PREDECESSOR_SECONDS
            while True:
                settle_predecessor(self.data, self._socket_folder / f".s.PGSQL.{PORT}")
                begin = os.fstat(log).st_size
                process = spawn(
                    [self.programs.folder / "postgres", "-D", str(self.data)],
                    self._account,
                    cwd=self.data_dir,
                    log=log,
                )
                if self._comes_up(process, give_up):
                    return process
                said = self._log_since(begin)
                # Backends of a killed postmaster may take a moment to notice; all else is for the operator.
                waits = ("shared memory" in said or "lock file" in said) and NO_SPACE not in said
                if not waits or time.monotonic() > deadline or give_up():
                    raise EmbeddedServerError(f"PostgreSQL does not start: {said or f'see {self.log}'}")
                time.sleep(0.2)
        finally:
            os.close(log)

    def _comes_up(self, process: subprocess.Popen[bytes], give_up: Callable[[], bool]) -> bool:
        """Waits until the server answers (True) or its process ends (False); recovery may take its time."""
        deadline = time.monotonic() + RECOVERY_SECONDS
        try:
            while process.poll() is None:
                if give_up():
                    end(process)
                    return False
                if self._connects():
                    return True
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(f"PostgreSQL runs but does not answer: see {self.log}")
                time.sleep(POLL_SECONDS)
        except BaseException:
            end(process)
            raise
        return False

    def _connects(self, database: str = "postgres") -> bool:
        try:
            psycopg.connect(self.url(OWNER, database), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _log_since(self, begin: int) -> str:
        with self.log.open("rb") as file:
            file.seek(begin)
            return " ".join(file.read(4000).decode(errors="replace").split())

    def _prepare_cluster(self) -> None:
        """The service's login and the database; every step may have been done by an earlier start."""
        with psycopg.connect(self.url(OWNER, "postgres"), autocommit=True) as conn:
            if conn.execute("SELECT FROM pg_roles WHERE rolname = %s", [SERVICE]).fetchone() is None:
                conn.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(SERVICE)))
            if conn.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
                conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            end(process)
            if self._socket_folder.parent != self.data_dir:
                with contextlib.suppress(OSError):
                    self._socket_folder.rmdir()


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_alone(handle: int, seconds: float | None) -> None:
    """Waits until nobody else holds the lock; after `seconds` (None: never) goes on without."""
    if seconds is None:
        fcntl.flock(handle, fcntl.LOCK_EX)
        return
    deadline = time.monotonic() + seconds
    while not _try_lock(handle) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _socket_folder(data_dir: Path) -> Path:
    inside = data_dir / "run"
    path = os.fsencode(inside / f".s.PGSQL.{PORT}.lock")
    # In a conninfo a comma separates hosts, and cannot be quoted.
    if len(path) <= MAX_SOCKET_PATH_BYTES and b"," not in path:
        return inside
    # The same for every process, whatever its TMPDIR; safe, because only a folder of our own is entered.
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:20]
    return Path("/tmp") / f"consent-service-{name}"  # noqa: S108
