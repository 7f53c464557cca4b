"""Errors as RFC 9457 problem documents, also Flask's own; the only place where an exception becomes a response.

What is not a domain error becomes `internal`: its text goes to the log with the request id, never to the client.
"""

from __future__ import annotations

import logging
from typing import Any

import orjson
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from consent_service import logs
from consent_service.database.errors import translate
from consent_service.errors import ConsentError

log = logging.getLogger("consent_service.web")

_BY_STATUS = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
}
_OWN_HEADERS = {"content-type", "content-length"}


def install(app: Flask) -> None:
    """Makes the app answer every error as application/problem+json."""
    app.register_error_handler(Exception, respond)


def respond(error: Exception) -> Response:
    """The problem document of any exception."""
    response = problem(domain_error(error))
    if isinstance(error, HTTPException):
        for name, value in error.get_headers():
            if name.lower() not in _OWN_HEADERS:
                response.headers[name] = value
    return response


def domain_error(error: Exception) -> ConsentError:
    """What may be said of any exception; what may not is in the log."""
    if isinstance(error, HTTPException):
        code = _BY_STATUS.get(error.code or 500)
        return ConsentError(code or ("bad_request" if error.code and error.code < 500 else "internal"))
    domain = (error if isinstance(error, ConsentError) else translate(error)) or ConsentError("internal")
    if domain.status >= 500:
        # The text of a foreign exception may quote a row or a parameter: only its type and place are logged.
        known = {"request_id": g.get("request_id"), "detail": domain.detail, **logs.facts(error)}
        if domain.code == "internal":
            log.error("internal error", extra=known)
            # Ours may say what is wrong with the service: that is for its operators.
            domain = ConsentError("internal", "Tell us the request id, please.")
        else:
            log.warning("no answer can be had", extra=known)
    return domain


def problem(error: ConsentError) -> Response:
    """The problem document of a domain error."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
        **error.context,
    }
    if error.errors:
        body["errors"] = error.errors
    if g.get("request_id"):
        body["request_id"] = g.request_id
    response = Response(orjson.dumps(body), error.status, mimetype="application/problem+json")
    response.headers["Cache-Control"] = "no-store"
    response.headers.update(error.headers)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if request.method == "HEAD":
        response.set_data(b"")
    return response
