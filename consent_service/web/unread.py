"""What a client gets whose request never reached the application, because the server cannot read it.

gunicorn's own page repeats what was sent and tells what did not fit; here it is the same problem document as
everywhere, in the same headers, and the log gets the kind of the fault. Must never repeat a byte of the request.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from uuid import uuid4

import orjson
from gunicorn.http.errors import (
    ConfigurationProblem,
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    ParseException,
)

from consent_service import logs
from consent_service.errors import ConsentError
from consent_service.web.frame import CONTENT_SECURITY_POLICY, POLICY

log = logging.getLogger("consent_service.web")

# Faults of what we answer or how we are set up, though the parser's family name is theirs too.
_OURS = (ConfigurationProblem, InvalidResponseHeader, InvalidResponseHeaderName)
_PHRASES = {400: "Bad Request", 500: "Internal Server Error"}


def refuse(error: BaseException, headers: Iterable[tuple[str, str]]) -> bytes:
    """Logs why a request could not be read; the whole answer to it, after which the connection is closed."""
    is_theirs = isinstance(error, ParseException) and not isinstance(error, _OURS)
    refusal = ConsentError("bad_request" if is_theirs else "internal")
    request_id = str(uuid4())
    log.log(
        logging.WARNING if is_theirs else logging.ERROR,
        "request not read",
        extra={"request_id": request_id, "status": refusal.status, "code": refusal.code, **logs.facts(error)},
    )
    body = orjson.dumps(
        {
            "type": "about:blank",
            "title": refusal.title,
            "status": refusal.status,
            "code": refusal.code,
            "detail": refusal.detail,
            "request_id": request_id,
        }
    )
    lines = [
        f"HTTP/1.1 {refusal.status} {_PHRASES[refusal.status]}",
        "Connection: close",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        f"X-Request-Id: {request_id}",
        f"{POLICY}: {CONTENT_SECURITY_POLICY}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body
