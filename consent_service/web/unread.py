"""What a client gets whose request never reached the application, because the server cannot read it.

gunicorn's own page repeats what was sent and tells what did not fit; here it is the same problem document as
everywhere, in the same headers, and the log gets the kind of the fault. Must never repeat a byte of the request.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from http import HTTPStatus
from uuid import uuid4

import orjson

from consent_service import logs
from consent_service.errors import ConsentError
from consent_service.web.frame import CONTENT_SECURITY_POLICY, POLICY

log = logging.getLogger("consent_service.web")


def refuse(refusal: ConsentError, headers: Iterable[tuple[str, str]], error: BaseException | None = None) -> bytes:
    """Logs why a request is not read; the whole answer to it, after which the connection is closed.

    Args:
        headers: what every answer of the service wears.
        error: what the parser, or whoever was to answer, stumbled over.
    """
    request_id = str(uuid4())
    log.log(
        logging.ERROR if refusal.status >= 500 else logging.WARNING,
        "request not read",
        extra={
            "request_id": request_id,
            "status": refusal.status,
            "code": refusal.code,
            **(logs.facts(error) if error is not None else {}),
        },
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
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}",
        "Connection: close",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        f"X-Request-Id: {request_id}",
        f"{POLICY}: {CONTENT_SECURITY_POLICY}",
        *(f"{name}: {value}" for name, value in (*headers, *refusal.headers.items())),
    ]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body
