"""gunicorn's log, led into ours: it has no handler and no format of its own, and no access log.

Its texts are partly put together from what clients sent; logs.py lets through what cannot hold any of that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from gunicorn.glogging import Logger


def _at(level: int, **usual: Any) -> Callable[..., None]:
    def say(self: ServerLog, text: str, *args: Any, **options: Any) -> None:
        # The place that a line names is the one that speaks, not this one.
        self.error_log.log(level, text, *args, **{"stacklevel": 2, **usual, **options})

    return say


class ServerLog(Logger):  # type: ignore[misc]
    """What gunicorn calls its logger class."""

    def setup(self, cfg: Any) -> None:
        """Everything from warnings on goes to the root logger."""
        self.cfg = cfg
        self.loglevel = logging.WARNING
        self._access_log_enabled = False
        for log in (self.error_log, self.access_log):
            log.handlers.clear()
            log.propagate = True
            log.setLevel(logging.WARNING)

    critical = _at(logging.CRITICAL)
    error = _at(logging.ERROR)
    warning = _at(logging.WARNING)
    info = _at(logging.INFO)
    debug = _at(logging.DEBUG)
    exception = _at(logging.ERROR, exc_info=True)
