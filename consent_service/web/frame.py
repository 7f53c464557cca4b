"""What is around every request: its id, what each answer wears, and its line in the log.

It heeds nothing that a client says of itself, except the id of a request when a machine made that, and what a
trusted proxy adds. The Host header is read by nobody: links begin with CONSENT_PUBLIC_URL, and no redirect
exists, so that an unexpected one is neither refused (probes and callers inside use other names) nor of use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any

import orjson
from flask import Flask, Response
from uuid_utils import uuid4

from consent_service import logs
from consent_service.proxies import Proxies
from consent_service.settings import Settings
from consent_service.web.current import kept, this_request
from consent_service.web.parts import parts

# A UUID or 32 hexadecimal digits: what programs make. A word that somebody chose could name a person, and the
# id stands in the log.
_REQUEST_ID = re.compile(r"[0-9A-Fa-f]{8}-?(?:[0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}")
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_ID, _BEGAN = "consent_service.request_id", "consent_service.began"
_PROBLEM = "application/problem+json"
POLICY = "Content-Security-Policy"
REFERRER = "Referrer-Policy"
HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    (REFERRER, "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
CONTENT_SECURITY_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# What an answer may say otherwise for itself.
_MAY_BE_OWN = frozenset((POLICY, REFERRER))
# A year. Not for subdomains: they are not ours to decide about.
HSTS = ("Strict-Transport-Security", "max-age=31536000")

Start = Callable[..., Any]


def install(app: Flask, settings: Settings) -> None:
    """Puts the frame around an app. Before other parts are installed: its line is written last."""
    app.before_request(_begin)
    app.after_request(_end)
    app.wsgi_app = _Dressing(app.wsgi_app, settings)  # type: ignore[method-assign]


def client_address() -> str:
    """The address that this request is counted by; an IPv6 one stands for its network.

    Behind a proxy that is not in CONSENT_TRUSTED_PROXIES it is the proxy's.
    """
    environ = this_request().environ
    peer = environ.get("REMOTE_ADDR") or ""
    return parts().settings.trusted_proxies.client(peer, environ.get("HTTP_X_FORWARDED_FOR"))


def headers_of(settings: Settings) -> list[tuple[str, str]]:
    """What every answer wears, besides a policy for its content."""
    return [*HEADERS, HSTS] if settings.public_url.startswith("https://") else list(HEADERS)


def _begin() -> None:
    kept().request_id = this_request().environ[_ID]


def _end(response: Response) -> Response:
    asked, known = this_request(), kept()
    rule, key, actor = asked.url_rule, known.get("api_key"), known.get("actor")
    method, status = asked.method, response.status_code
    logs.write(
        "info",
        "request",
        {
            "request_id": asked.environ[_ID],
            "key_id": key.key_id if key is not None else None,
            "role": actor.role if actor is not None else key.role if key is not None else None,
            # The rule and not the path, the method only when it is one: the rest is the client's own words.
            "method": method if method in _METHODS else None,
            "route": rule.rule if rule is not None else None,
            "status": status,
            "code": _code(response) if status >= 400 else None,
            "duration_ms": round((perf_counter() - asked.environ[_BEGAN]) * 1000, 3),
        },
    )
    return response


def _code(response: Response) -> str | None:
    if response.mimetype != _PROBLEM or not (body := response.get_data()):
        return None
    code: str = orjson.loads(body)["code"]
    return code


class _Dressing:
    """WSGI: names the request, takes a trusted proxy's word for the scheme, adds headers to whatever answer comes."""

    def __init__(self, app: Callable[..., Iterable[bytes]], settings: Settings) -> None:
        self._app = app
        self._proxies: Proxies = settings.trusted_proxies
        self._headers = headers_of(settings)
        self._with_policy = [(POLICY, CONTENT_SECURITY_POLICY), *self._headers]

    def __call__(self, environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        environ[_BEGAN] = perf_counter()
        sent = environ.get("HTTP_X_REQUEST_ID", "")
        environ[_ID] = request_id = sent if _REQUEST_ID.fullmatch(sent) else str(uuid4())
        scheme = environ.get("HTTP_X_FORWARDED_PROTO")
        if scheme in ("http", "https") and self._proxies.trusts(environ.get("REMOTE_ADDR") or ""):
            environ["wsgi.url_scheme"] = scheme

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            own = {name for name, _ in headers} & _MAY_BE_OWN
            usual = [one for one in self._with_policy if one[0] not in own] if own else self._with_policy
            return start_response(status, [*headers, ("X-Request-Id", request_id), *usual], *rest)

        return self._app(environ, start)
