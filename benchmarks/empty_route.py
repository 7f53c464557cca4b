"""The floor of everything that goes over HTTP: one Flask route that does nothing, on the service's own server.

The same gunicorn settings, worker class, number of workers and threads as the service; what it does not have is
authentication, JSON to read, a database and anything to decide.
"""

from __future__ import annotations

import sys
from typing import Any

from flask import Flask, Response
from gunicorn.app.base import BaseApplication

from consent_service.settings import Settings
from consent_service.web.server import gunicorn_settings

PATH = "/empty"
BODY = b'{"allowed":false,"reason":"empty"}'


def create_app() -> Flask:
    """The application with its one route, for GET and POST; a body that is sent stays unread."""
    app = Flask(__name__, static_folder=None)

    @app.route(PATH, methods=["GET", "POST"])
    @app.route("/health/live")
    def empty() -> Response:
        return Response(BODY, 200, mimetype="application/json")

    return app


class _Server(BaseApplication):  # type: ignore[misc]
    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return create_app()


def main() -> None:
    """Serves on the port and with as many workers as the arguments say, until it is told to end."""
    port, workers = int(sys.argv[1]), int(sys.argv[2])
    # It needs no database; the settings want the name of one.
    settings = Settings.from_environment(
        {"DATABASE_URL": "postgresql://127.0.0.1/none", "CONSENT_SECRET_KEY": "of-nothing-" + "0123456789abcdef" * 4}
    )
    _Server(gunicorn_settings(settings, host="127.0.0.1", port=port, workers=workers)).run()


if __name__ == "__main__":
    main()
