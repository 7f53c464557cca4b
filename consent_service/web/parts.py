"""The joined parts of the running service, as handlers reach them: settings, database, keyring."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app

from consent_service.database import Database
from consent_service.gathering import Gathering
from consent_service.keyring.service import Keyring
from consent_service.permissions.checks import Check, Checked
from consent_service.permissions.together import Together
from consent_service.settings import Settings


@dataclass(frozen=True)
class Parts:
    """What `create_app` joined."""

    settings: Settings
    database: Database
    keyring: Keyring
    checks: Gathering[Check, Checked]
    together: Together


def parts() -> Parts:
    """The parts of the app that serves this request."""
    joined: Parts = current_app.extensions["consent_service"]
    return joined
