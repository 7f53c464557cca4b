"""gunicorn's target: the application of the environment's settings."""

from __future__ import annotations

import os

from consent_service import logs
from consent_service.app import create_app
from consent_service.settings import Settings

logs.install()
_settings = Settings.from_environment(os.environ)
application = create_app(_settings, _settings.service_url())
