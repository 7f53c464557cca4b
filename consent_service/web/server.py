"""gunicorn as this service runs it: its settings and the one socket that all workers share.

The application is loaded in each worker, after the fork. The socket is held by systemd, by `serve` or by the master:
it is never closed while somebody may still be waiting on it for another process.
"""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication

from consent_service import logs
from consent_service.settings import Settings, SettingsError
from consent_service.web.balance import Loads

GRACEFUL_SECONDS = 30
BACKLOG = 2048
MOST_CONNECTIONS = 2000  # of a worker; beyond it the slowest are dropped
SPARE_SLOTS = 8
LISTEN_FDS_START = 3  # where systemd puts what it passes
DEFAULT_HOST = "127.0.0.1"


def serve_web(settings: Settings, listener: socket.socket | None, *, workers: int) -> None:
    """Answers requests until SIGTERM or SIGINT; ends the process.

    Args:
        listener: None: the socket that systemd holds.
    """
    logs.install()
    _allow_descriptors()
    options = gunicorn_settings(settings, host=DEFAULT_HOST, port=0, workers=workers)
    if listener is not None:
        # gunicorn closes the descriptor when it has made its own of it.
        options["bind"] = [f"fd://{listener.detach()}"]
    _Server(options).run()


def held_by_systemd(environ: Mapping[str, str]) -> bool:
    """True when systemd, or whoever speaks as it does, has given this process a socket.

    Source: sd_listen_fds(3).

    Raises:
        SettingsError: it has given more than one.
    """
    if environ.get("LISTEN_PID") != str(os.getpid()) or environ.get("LISTEN_FDS", "0") == "0":
        return False
    if environ["LISTEN_FDS"] != "1":
        raise SettingsError("LISTEN_FDS must be 1: this service listens on one socket")
    return True


def listen_on(host: str, port: int) -> socket.socket:
    """A socket that listens there. Whoever holds it keeps what waits on it, whoever else ends.

    Raises:
        SettingsError: somebody else listens there, or it is no address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingsError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
    return listener


def gunicorn_settings(settings: Settings, *, host: str, port: int, workers: int) -> dict[str, Any]:
    """gunicorn's settings by their names; docs/decisions/0001 says why this worker."""
    memory = Path("/dev/shm")  # noqa: S108
    # While workers are replaced there are twice as many.
    loads = Loads(2 * workers + SPARE_SLOTS)

    def before_fork(_: Any, worker: Any) -> None:
        worker.load = loads.take(worker.age)
        worker.max_body_bytes = settings.max_body_bytes

    def after_end(_: Any, worker: Any) -> None:
        loads.free(worker.age)

    return {
        "bind": [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"],
        "backlog": BACKLOG,
        "worker_class": "consent_service.web.patient_worker.PatientWorker",
        "workers": workers,
        "threads": settings.web_threads,
        "worker_connections": MOST_CONNECTIONS,
        "pre_fork": before_fork,
        "child_exit": after_end,
        # It would be one path for all instances of a user.
        "control_socket_disable": True,
        # Longer than a proxy keeps idle connections: see deploy/nginx.conf.
        "keepalive": 15,
        # Of the worker's main loop, which is not the thread that waits for the database.
        "timeout": 60,
        "graceful_timeout": GRACEFUL_SECONDS,
        "limit_request_line": 4094,
        "limit_request_fields": 64,
        "limit_request_field_size": 8190,
        # HTTP/1 only.
        "http_protocols": "h1",
        "http2_cleartext": "off",
        "sendfile": False,
        # Heartbeats are file times; on a disk they could stall.
        "worker_tmp_dir": str(memory) if memory.is_dir() else None,
        "accesslog": None,
        "logger_class": "consent_service.web.server_log.ServerLog",
        # Who a request comes from is ours to say (CONSENT_TRUSTED_PROXIES). gunicorn would take the word of
        # everybody on this machine, and of everybody on a unix socket.
        "forwarded_allow_ips": "",
        "secure_scheme_headers": {},
        "forwarder_headers": "",
        "post_worker_init": _announce,
    }


def _announce(worker: Any) -> None:
    # Once: workers are counted through, also over restarts. By now it listens and the application is loaded.
    if worker.age == 1:
        logs.say(f"answering at {worker.sockets[0]}")


def _allow_descriptors() -> None:
    """Raises the soft limit of open files, which is often 1024, as far as we may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * MOST_CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class _Server(BaseApplication):  # type: ignore[misc]
    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        from consent_service.wsgi import application

        return application
