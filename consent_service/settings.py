"""What the operator decides: one frozen set of values, read from the environment once, at the start.

It refuses what it does not know and what does not have the right type, with one line that says what to do.
It never shows a secret: not in an error, not in a `repr`. Whoever needs a setting gets the object as an
argument; nobody else reads the environment.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.utils import parseaddr
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import psycopg

from consent_service.proxies import Proxies
from consent_service.relay import Relay

MIN_SECRET_CHARACTERS = 32
MAX_SECRET_CHARACTERS = 4096
MAX_SECONDS = 3600.0
LONGEST_MAIL_FROM = 320
# Of mail that no server takes, as it is only written into files.
UNSENT_MAIL_FROM = "consent-service@localhost.localdomain"

Value = TypeVar("Value")
Default = TypeVar("Default")


class SettingsError(Exception):
    """A setting is unknown, missing or ill-typed; the text is one line for the operator."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting of the service, checked.

    Args:
        database_url: None when the embedded PostgreSQL of `data_dir` is to be used.
        migration_url: the login that owns the schema; None when database_url is.
        data_dir: absolute.
        pg_bin: folder of PostgreSQL's programs for the embedded server; None: they are looked for.
        secrets: the root secret in use, then the one before it, if the operator still names one.
        public_url: without a slash at the end.
        link_lasts: for how long a link opens the customer's desk; turning down it works for ever.
        trusted_proxies: peers who may say for whom they ask.
        address_requests_per_minute: of requests without a valid key.
        smtp: who takes mail; None: it is written into the data directory.
        mail_from: From of that mail.
    """

    database_url: str | None = field(repr=False)
    migration_url: str | None = field(repr=False)
    data_dir: Path
    pg_bin: Path | None
    secrets: tuple[bytes, ...] = field(repr=False)
    public_url: str
    link_lasts: timedelta
    trusted_proxies: Proxies
    max_body_bytes: int
    address_requests_per_minute: int
    web_workers: int
    web_threads: int
    answer_timeout_seconds: float
    pool_timeout_seconds: float
    statement_timeout_seconds: float
    lock_timeout_seconds: float
    smtp: Relay | None
    mail_from: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """The settings of `environ`, with defaults for what it does not name.

        Without DATABASE_URL and without a secret it makes the data directory and a secret in it, so that
        the next start finds the same one.

        Raises:
            SettingsError: always one line.
        """
        return cls._read(environ, keeps_data=True)

    @classmethod
    def without_secret(cls, environ: Mapping[str, str]) -> Settings:
        """The settings of a command that opens no key, as it copies a database or works on a throw-away one.

        Nothing is made: no secret is asked for, none is generated, and `secrets` holds random bytes of this call.

        Raises:
            SettingsError: always one line.
        """
        return cls._read(environ, keeps_data=False)

    @classmethod
    def _read(cls, environ: Mapping[str, str], *, keeps_data: bool) -> Settings:
        source = _Source(environ)
        database_url = source.read("DATABASE_URL", _conninfo, None)
        migration_url = source.read("CONSENT_MIGRATION_URL", _conninfo, database_url)
        data_dir = source.read("CONSENT_DATA_DIR", _path, Path("var").absolute())
        secret, previous = _given_secrets(source)
        pg_bin = source.read("CONSENT_PG_BIN", _path, None)
        public_url = source.read("CONSENT_PUBLIC_URL", _public_url, "http://127.0.0.1:8080")
        link_days = source.whole("CONSENT_LINK_DAYS", 30, 1, 3650)
        trusted_proxies = source.read("CONSENT_TRUSTED_PROXIES", Proxies.parse, Proxies())
        max_body_bytes = source.whole("CONSENT_MAX_BODY_BYTES", 16 * 2**20, 1024, 2**30)
        requests_per_minute = source.whole("CONSENT_ADDRESS_REQUESTS_PER_MINUTE", 600, 1, 10**9)
        web_workers = source.whole("CONSENT_WEB_WORKERS", usable_cpus(), 1, 1024)
        web_threads = source.whole("CONSENT_WEB_THREADS", 8, 1, 256)
        answer_timeout_seconds = source.seconds("CONSENT_ANSWER_TIMEOUT_SECONDS", 1.8)
        pool_timeout_seconds = source.seconds("CONSENT_POOL_TIMEOUT_SECONDS", 1.5)
        statement_timeout_seconds = source.seconds("CONSENT_STATEMENT_TIMEOUT_SECONDS", 30.0)
        lock_timeout_seconds = source.seconds("CONSENT_LOCK_TIMEOUT_SECONDS", 1.5)
        smtp = source.read("CONSENT_SMTP_URL", Relay.parse, None)
        mail_from = source.read("CONSENT_MAIL_FROM", _mail_from, None)
        source.refuse_unknown()
        if smtp is not None and mail_from is None:
            raise SettingsError("CONSENT_MAIL_FROM is required with CONSENT_SMTP_URL: who the mail is from")
        if database_url is None and migration_url is not None:
            raise SettingsError("CONSENT_MIGRATION_URL is set and DATABASE_URL is not: set both or neither")
        if not keeps_data:
            secret, previous = secrets.token_bytes(MIN_SECRET_CHARACTERS), ()
        if secret is None and database_url is not None:
            raise SettingsError(
                "CONSENT_SECRET_KEY or CONSENT_SECRET_KEY_FILE is required with DATABASE_URL:"
                f" at least {MIN_SECRET_CHARACTERS} random characters, to be kept as long as the database"
            )
        return cls(
            database_url=database_url,
            migration_url=migration_url,
            data_dir=data_dir,
            pg_bin=pg_bin,
            # The secret is generated last: a start that is refused leaves nothing behind.
            secrets=(_generated_secret(data_dir) if secret is None else secret, *previous),
            public_url=public_url,
            link_lasts=timedelta(days=link_days),
            trusted_proxies=trusted_proxies,
            max_body_bytes=max_body_bytes,
            address_requests_per_minute=requests_per_minute,
            web_workers=web_workers,
            web_threads=web_threads,
            answer_timeout_seconds=answer_timeout_seconds,
            pool_timeout_seconds=pool_timeout_seconds,
            statement_timeout_seconds=statement_timeout_seconds,
            lock_timeout_seconds=lock_timeout_seconds,
            smtp=smtp,
            mail_from=mail_from or UNSENT_MAIL_FROM,
        )

    def service_url(self) -> str:
        """DATABASE_URL, for processes that do not start a database of their own.

        Raises:
            SettingsError: it is not set.
        """
        if self.database_url is None:
            raise SettingsError("DATABASE_URL is not set: `consent-service web` uses the embedded database and sets it")
        return self.database_url


def usable_cpus() -> int:
    """The CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_data_dir(data_dir: Path) -> None:
    """Makes the data directory if there is none. One that is there keeps its mode.

    Everything in it is private to its owner. The directory itself may be walked through, not listed: as
    root the database runs as another user, who has to get to its own folder.

    Raises:
        SettingsError: it cannot be made.
    """
    try:
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            data_dir.mkdir()
            data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
        if not data_dir.is_dir():
            raise SettingsError(f"CONSENT_DATA_DIR {data_dir} is not a directory")
    except OSError as error:
        raise SettingsError(f"CONSENT_DATA_DIR {data_dir} cannot be made: {error.strerror}") from error


class _Source:
    """The environment, read name by name; whatever begins with CONSENT_ and was not read is unknown."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._known: set[str] = set()

    def read(self, name: str, parse: Callable[[str], Value], default: Default) -> Value | Default:
        self._known.add(name)
        if name not in self._environ:
            return default
        text = self._environ[name]
        if not text.strip():
            raise SettingsError(f"{name} is empty: give it a value or unset it")
        try:
            return parse(text)
        except ValueError as error:
            raise SettingsError(f"{name} {error}") from None

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        def parse(text: str) -> int:
            # int() would also take "1_000", " 7" and digits of other scripts.
            if not (text.isascii() and text.isdigit() and len(text) < 20 and low <= int(text) <= high):
                raise ValueError(f"must be a whole number from {low} to {high}")
            return int(text)

        return self.read(name, parse, default)

    def seconds(self, name: str, default: float) -> float:
        def parse(text: str) -> float:
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            # Below a millisecond PostgreSQL would read 0, which means "no limit".
            if not 0.001 <= value <= MAX_SECONDS:
                raise ValueError(f"must be a number of seconds from 0.001 to {MAX_SECONDS:.0f}")
            return value

        return self.read(name, parse, default)

    def refuse_unknown(self) -> None:
        unknown = {name for name in self._environ if name.startswith("CONSENT_")} - self._known
        if unknown:
            known = ", ".join(sorted(self._known))
            raise SettingsError(f"unknown setting {', '.join(sorted(unknown))}: known are {known}")


def _conninfo(text: str) -> str:
    try:
        psycopg.conninfo.conninfo_to_dict(text)
    except psycopg.Error:
        # libpq's own words may quote the password.
        raise ValueError("must be a postgresql:// URL or a conninfo string of PostgreSQL") from None
    return text


def _path(text: str) -> Path:
    if "\0" in text:
        raise ValueError("must be a path")
    return Path(text).expanduser().absolute()


def _public_url(text: str) -> str:
    message = "must be an http:// or https:// URL without user, query or fragment"
    try:
        parts = urlsplit(text)
        port_is_sound = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError(message) from None
    sound = parts.scheme in ("http", "https") and parts.hostname and port_is_sound
    if not sound or not text.isprintable() or "@" in parts.netloc or any(sign in text for sign in "?# "):
        raise ValueError(message)
    return text.rstrip("/")


def _mail_from(text: str) -> str:
    message = "must be an address, or `Name <address>`"
    name, address = parseaddr(text)
    local, _, domain = address.rpartition("@")
    sound = local and domain and address.isascii() and not any(sign.isspace() for sign in address)
    if not sound or not text.isprintable() or len(text) > LONGEST_MAIL_FROM:
        raise ValueError(message)
    try:
        Address(name, addr_spec=address)
    except (ValueError, HeaderParseError):
        raise ValueError(message) from None
    return text.strip()


def _secret(text: str) -> bytes:
    text = text.strip()
    if not MIN_SECRET_CHARACTERS <= len(text) <= MAX_SECRET_CHARACTERS:
        raise ValueError(f"must have {MIN_SECRET_CHARACTERS} to {MAX_SECRET_CHARACTERS} characters")
    return text.encode()


def _secret_of_file(text: str) -> bytes:
    try:
        with Path(text).open(encoding="utf-8") as file:
            content = file.read(MAX_SECRET_CHARACTERS + 2)
    except OSError as error:
        raise ValueError(f"names {text}, which cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"names {text}, which is not text in UTF-8") from None
    return _secret(content)


def _given_secrets(source: _Source) -> tuple[bytes | None, tuple[bytes, ...]]:
    """The root secret that the operator gave, if any, and the one before it, if any."""
    direct = source.read("CONSENT_SECRET_KEY", _secret, None)
    from_file = source.read("CONSENT_SECRET_KEY_FILE", _secret_of_file, None)
    previous = source.read("CONSENT_SECRET_KEY_PREVIOUS", _secret, None)
    if direct is not None and from_file is not None:
        raise SettingsError("CONSENT_SECRET_KEY and CONSENT_SECRET_KEY_FILE are both set: set one")
    current = direct if direct is not None else from_file
    if current is not None and current == previous:
        raise SettingsError("CONSENT_SECRET_KEY_PREVIOUS is the secret in use: unset it")
    return current, () if previous is None else (previous,)


def secret_file(data_dir: Path) -> Path:
    """Where the generated root secret of the embedded database lies."""
    return data_dir / "secret.key"


def _generated_secret(data_dir: Path) -> bytes:
    """The secret of the data directory, made when there is none.

    Two first starts at once agree: each writes a file of its own and links it to the name, and only one
    link succeeds. A crash before the link leaves no half-written secret under the name.
    """
    path = secret_file(data_dir)
    try:
        if not path.exists():
            make_data_dir(data_dir)
            handle, draft = tempfile.mkstemp(prefix="secret.", dir=data_dir)
            try:
                with os.fdopen(handle, "w", encoding="ascii") as file:
                    file.write(secrets.token_urlsafe(48) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                with contextlib.suppress(FileExistsError):
                    os.link(draft, path)
            finally:
                Path(draft).unlink()
            _sync_directory(data_dir)
        return _secret_of_file(str(path))
    except OSError as error:
        raise SettingsError(f"{path} cannot be made: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"the generated secret {error}") from None


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
