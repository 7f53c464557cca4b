"""Who is asking: API keys and customers' tokens, the roles a route allows, limits of requests.

Denied by default: a view without `@access` cannot be reached, and a test walks the URL map. A key stands only
in the Authorization header.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from flask import Flask, Response, current_app, g

from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.history.model import Actor
from consent_service.keyring.service import Keyring
from consent_service.keys import service as keys
from consent_service.keys.model import KEY_PREFIX, TOKEN_PREFIX, ApiKey, includes
from consent_service.web.current import kept, this_request
from consent_service.web.frame import client_address
from consent_service.web.parts import parts

View = TypeVar("View", bound=Callable[..., Any])
LONGEST_CREDENTIAL = 512


def access(*roles: str, by_view: bool = False) -> Callable[[View], View]:
    """Declares who may call a view: campaign, desk, auditor, admin, customer; no role: everybody, without a key.

    `customer` lets a customer act on `/v1/customers/{own id}/…` and nothing else. With `by_view` the view calls
    `identify` itself, on the connection that it goes on with.
    """

    def declare(view: View) -> View:
        view.access = frozenset(roles)  # type: ignore[attr-defined]
        view.identifies = by_view  # type: ignore[attr-defined]
        return view

    return declare


def install(app: Flask) -> None:
    """Checks every request before its view runs."""
    app.before_request(_authenticate)
    app.after_request(_tell_limits)


def _authenticate() -> None:
    rule = this_request().url_rule
    if rule is None:
        return  # the router's own 404 or 405 follows
    view = current_app.view_functions[rule.endpoint]
    allowed: frozenset[str] | None = getattr(view, "access", None)
    if allowed is None:
        if rule.endpoint == "static":
            return
        raise ConsentError("role_not_allowed", "This address is open to nobody.")
    # OPTIONS is answered without the view: it shows methods to holders of keys only.
    if not allowed or (getattr(view, "identifies", False) and this_request().method != "OPTIONS"):
        return
    with parts().database.reading() as conn:
        identify(conn, parts().keyring, allowed)


def identify(conn: Connection, keyring: Keyring, allowed: frozenset[str]) -> Actor:
    """Who is asking, also in `g.actor` from now on.

    Raises:
        ConsentError: unauthenticated, role_not_allowed, rate_limited.
    """
    g.actor = actor = _identified(conn, keyring, allowed)
    return actor


def admit(key: ApiKey | None, allowed: frozenset[str]) -> Actor:
    """The same for a key that was looked up already; None: there is no such key."""
    if key is not None and key.requests_per_minute is None:
        g.actor = actor = _role_holder(key, allowed)
        return actor
    with parts().database.reading() as conn:
        if key is None:
            raise _refused(conn, parts().keyring)
        g.actor = actor = _key_holder(conn, key, allowed)
        return actor


def key_sent() -> str | None:
    """The API key that stands in the Authorization header, looked up by nobody yet."""
    credential = _credential()
    return credential if credential.startswith(KEY_PREFIX) else None


def _credential() -> str:
    scheme, _, credential = this_request().environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    credential = credential.strip(" ")
    sound = scheme.lower() == "bearer" and len(credential) <= LONGEST_CREDENTIAL and credential.isascii()
    return credential if sound else ""


def _identified(conn: Connection, keyring: Keyring, allowed: frozenset[str]) -> Actor:
    credential = _credential()
    if credential.startswith(TOKEN_PREFIX):
        customer_id = keys.read_token(conn, keyring, credential)
        if customer_id is not None:
            return _customer(allowed, customer_id)
    elif credential.startswith(KEY_PREFIX) and (key := keys.find(conn, credential)):
        return _key_holder(conn, key, allowed)
    raise _refused(conn, keyring)


def _refused(conn: Connection, keyring: Keyring) -> ConsentError:
    _count_failure(conn, keyring)
    return ConsentError("unauthenticated", "Send a valid key as Authorization: Bearer <key>.")


def _customer(allowed: frozenset[str], customer_id: UUID) -> Actor:
    if "customer" not in allowed:
        raise ConsentError("role_not_allowed", "A customer may not do this.")
    return Actor("customer", str(customer_id), g.request_id, customer_id=customer_id)


def _key_holder(conn: Connection, key: ApiKey, allowed: frozenset[str]) -> Actor:
    if key.requests_per_minute is not None:
        used, resets_in_seconds = keys.count_request(conn, f"key:{key.key_id}")
        g.limit = (key.requests_per_minute, max(0, key.requests_per_minute - used), resets_in_seconds)
        if used > key.requests_per_minute:
            g.api_key = key
            raise ConsentError("rate_limited", headers={"Retry-After": str(resets_in_seconds)})
    return _role_holder(key, allowed)


def _role_holder(key: ApiKey, allowed: frozenset[str]) -> Actor:
    known = kept()
    known.api_key = key
    if not includes(key.role, allowed):
        raise ConsentError("role_not_allowed", f"The role {key.role} may not do this.")
    return Actor(key.role, key.name, known.request_id, key.topics)


def _count_failure(conn: Connection, keyring: Keyring) -> None:
    limit = parts().settings.address_requests_per_minute
    address = keyring.service(conn).identity_hash("address", client_address()).hex()
    used, resets_in_seconds = keys.count_request(conn, f"address:{address}")
    if used > limit:
        g.limit = (limit, 0, resets_in_seconds)
        raise ConsentError("rate_limited", headers={"Retry-After": str(resets_in_seconds)})


def _tell_limits(response: Response) -> Response:
    limit = kept().get("limit")
    if limit is not None:
        quota, left, resets_in_seconds = limit
        response.headers["RateLimit-Policy"] = f'"minute";q={quota};w=60'
        response.headers["RateLimit"] = f'"minute";r={left};t={resets_in_seconds}'
    return response
