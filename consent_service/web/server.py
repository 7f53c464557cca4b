"""gunicorn as this service runs it. The application is loaded in each worker, after the fork."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import click
from gunicorn.app.base import BaseApplication

from consent_service.settings import Settings, SettingsError

GRACEFUL_SECONDS = 30


def serve_web(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Answers requests until SIGTERM or SIGINT; ends the process.

    Raises:
        SettingsError: the address cannot be had.
    """
    refuse_taken_address(host, port)
    _Server(gunicorn_settings(settings, host=host, port=port, workers=workers)).run()


def refuse_taken_address(host: str, port: int) -> None:
    """Returns when nobody listens there: with reuse_port the kernel would let two services share an address.

    Raises:
        SettingsError: somebody does, or it is no address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise SettingsError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error


def gunicorn_settings(settings: Settings, *, host: str, port: int, workers: int) -> dict[str, Any]:
    """gunicorn's settings by their names; docs/decisions/0001 says why this worker."""
    memory = Path("/dev/shm")  # noqa: S108
    return {
        "bind": [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"],
        "worker_class": "consent_service.web.patient_worker.PatientWorker",
        "workers": workers,
        "threads": settings.web_threads,
        # A socket for each worker: of a shared one, a single worker may take all kept-alive connections.
        "reuse_port": True,
        # It would be one path for all instances of a user.
        "control_socket_disable": True,
        "keepalive": 15,
        # Of the worker's main loop, which is not the thread that waits for the database.
        "timeout": 60,
        "graceful_timeout": GRACEFUL_SECONDS,
        "limit_request_line": 4094,
        "limit_request_fields": 64,
        "limit_request_field_size": 8190,
        # Heartbeats are file times; on a disk they could stall.
        "worker_tmp_dir": str(memory) if memory.is_dir() else None,
        "accesslog": None,
        "errorlog": "-",
        "loglevel": "warning",
        "post_worker_init": _announce,
    }


def _announce(worker: Any) -> None:
    # Once: workers are counted through, also over restarts. By now it listens and the application is loaded.
    if worker.age == 1:
        click.echo(f"consent-service: answering at http://{worker.cfg.bind[0]}", err=True)


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
