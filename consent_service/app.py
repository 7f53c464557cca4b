"""Joins the parts to an application: the only place that knows all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Flask

from consent_service.catalogue.api import blueprint as catalogue
from consent_service.confirmations.api import blueprint as removing
from consent_service.confirmations.pages import blueprint as confirmations
from consent_service.customers.api import blueprint as customers
from consent_service.customers.pages import blueprint as me
from consent_service.customers.suppressions_api import blueprint as suppressions
from consent_service.database import Database
from consent_service.dialogues.api import blueprint as dialogues
from consent_service.dialogues.facts_api import blueprint as facts
from consent_service.dialogues.invitation_pages import blueprint as invitations
from consent_service.dialogues.pages import blueprint as conversations
from consent_service.dialogues.people_api import blueprint as people
from consent_service.dials.api import blueprint as dials
from consent_service.dials.message_pages import blueprint as messages
from consent_service.dials.pages import blueprint as desk
from consent_service.gathering import Gathering
from consent_service.history.api import blueprint as history
from consent_service.history.pages import blueprint as happened
from consent_service.keyring.service import Keyring
from consent_service.keys.api import blueprint as keys
from consent_service.links.api import blueprint as minting
from consent_service.links.pages import blueprint as links
from consent_service.permissions.api import blueprint as permissions
from consent_service.permissions.checks import check_many
from consent_service.permissions.together import Together
from consent_service.service_desk.case_pages import blueprint as cases
from consent_service.service_desk.customer_pages import blueprint as looked_after
from consent_service.service_desk.pages import blueprint as service_desk
from consent_service.settings import Settings
from consent_service.web import auth, frame, pages, patience, problems, session
from consent_service.web.docs import blueprint as docs
from consent_service.web.health import blueprint as health
from consent_service.web.parts import Parts


def create_app(settings: Settings, database_url: str) -> Flask:
    """The WSGI application. Opens nothing: the pool comes with the first request, after the fork.

    Args:
        database_url: the service's login, which owns nothing.
    """
    app = _Synchronous(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.url_map.strict_slashes = True
    app.url_map.merge_slashes = False
    seconds = settings.answer_timeout_seconds
    left = partial(patience.seconds_left, seconds)
    database, keyring = Database(database_url, settings, patience=left), Keyring(*settings.secrets)
    checks = Gathering(partial(check_many, database, keyring), left)
    app.extensions["consent_service"] = Parts(settings, database, keyring, checks, Together(database, keyring, left))
    frame.install(app, settings)
    app.before_request(partial(patience.begin, seconds))
    auth.install(app)
    problems.install(app)
    session.install(app, settings)
    pages.install(app)
    for part in (
        health,
        docs,
        catalogue,
        keys,
        customers,
        suppressions,
        dials,
        permissions,
        history,
        minting,
        removing,
    ):
        app.register_blueprint(part)
    for part in (
        pages.blueprint,
        links,
        desk,
        messages,
        me,
        happened,
        confirmations,
        service_desk,
        looked_after,
        cases,
        dialogues,
        conversations,
        people,
        facts,
        invitations,
    ):
        app.register_blueprint(part)
    return app


class _Synchronous(Flask):
    """Flask without its look at each function, a dozen times a request, whether it is a coroutine: none of ours is."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func
