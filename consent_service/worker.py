"""The background worker: does what is due, again and again, until it is told to stop.

Jobs live in the slices' services and take the database; this is only the loop. Several workers may run at
once, so a job takes what it works on by a lock of the database, never by being alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from consent_service import logs
from consent_service.confirmations import service as confirmations
from consent_service.database import Database
from consent_service.dialogues import facts
from consent_service.errors import ConsentError
from consent_service.keyring.service import Keyring
from consent_service.keys.service import forget_old
from consent_service.links import answering, requests
from consent_service.mail import service as mail
from consent_service.settings import Settings

log = logging.getLogger("consent_service.worker")

TICK_SECONDS = 1.0


@dataclass(frozen=True)
class Job:
    """A piece of work that is done every so often.

    Args:
        work: one bounded round; idempotent, as it may be cut off at any line and run again.
    """

    name: str
    every_seconds: float
    work: Callable[[Database], object]


def jobs(settings: Settings) -> Sequence[Job]:
    """What the worker does, in this order when several are due."""
    keyring = Keyring(*settings.secrets)
    return (
        Job("answer who asked for a link", 1.0, partial(answering.answer_waiting, keyring=keyring)),
        Job("send mail", 1.0, partial(mail.send_due, keyring=keyring, settings=settings)),
        Job("forget old answers and counters", 60.0, forget_old),
        Job("forget old mail", 3600.0, mail.forget_old),
        Job("forget who was sent a link", 3600.0, requests.forget_old),
        Job("forget old confirmations", 3600.0, confirmations.forget_old),
        Job("forget facts that have ended", 3600.0, facts.forget_old),
    )


def work(database: Database, due: Sequence[Job], stop: threading.Event) -> None:
    """Runs jobs when they are due until stop is set; a job that fails is logged and tried again next time."""
    next_at = {job.name: 0.0 for job in due}
    while not stop.is_set():
        for job in due:
            if time.monotonic() >= next_at[job.name] and not stop.is_set():
                _run(job, database)
                next_at[job.name] = time.monotonic() + job.every_seconds
        stop.wait(TICK_SECONDS)


def _run(job: Job, database: Database) -> None:
    try:
        job.work(database)
    except ConsentError as error:
        # The database is away, or the like: the text is ours and safe to log.
        log.warning("job failed", extra={"job": job.name, "detail": str(error), **logs.facts(error)})
    except Exception as error:
        # A bug in one job must not keep the others from being done.
        log.error("job failed", extra={"job": job.name, **logs.facts(error)})
