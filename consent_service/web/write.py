"""The frame of every write: one transaction, and an Idempotency-Key kept in it.

The view gets the connection as its first argument. Effect, history and stored answer are one commit: after a
crash either all are there, and a retry is answered from the store, or none is. A refusal that was decided (409)
is stored as well; what could not be decided, or was badly asked, is not.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import orjson
from flask import Response, g, request

from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.keyring.model import NOBODY
from consent_service.keys import service as keys
from consent_service.web import problems
from consent_service.web.json import body_bytes
from consent_service.web.parts import parts

LONGEST_IDEMPOTENCY_KEY = 255
_STORED_HEADERS = ("ETag", "Location")


def write(view: Callable[..., Response]) -> Callable[..., Response]:
    """Runs a view in one transaction, repeated when the server rolled it back for another one."""

    @functools.wraps(view)
    def run(**arguments: Any) -> Response:
        body_bytes()  # before the transaction: a slow client holds no connection
        key = _idempotency_key() if request.method != "DELETE" else None

        def work(conn: Connection) -> Response:
            return _once(conn, key, view, arguments) if key else view(conn, **arguments)

        return parts().database.repeatedly(work)

    return run


def may_come_again() -> bool:
    """True for a request with an Idempotency-Key: its answer is kept in a transaction of its own."""
    return "Idempotency-Key" in request.headers


def concerns(customer_id: UUID) -> None:
    """Says whose key encrypts the stored answer of this request."""
    g.concerned_customer = customer_id


def _idempotency_key() -> str | None:
    sent = request.headers.get("Idempotency-Key")
    if sent is None:
        return None
    bare = sent.strip()
    if len(bare) >= 2 and bare[0] == bare[-1] == '"':
        bare = bare[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if not 1 <= len(bare) <= LONGEST_IDEMPOTENCY_KEY or not (bare.isascii() and bare.isprintable()):
        raise ConsentError(
            "invalid_idempotency_key", f"It has 1 to {LONGEST_IDEMPOTENCY_KEY} printable ASCII characters."
        )
    return bare


def _once(conn: Connection, key: str, view: Callable[..., Response], arguments: dict[str, Any]) -> Response:
    scope = f"customer:{g.actor.name}" if g.actor.is_customer else f"key:{g.actor.name}"
    asked = f"{request.method} {request.path}?{request.query_string.decode('latin-1')}\n".encode()
    # Keyed hashes of both: a key may name a person, and of a body that does a plain hash could be guessed.
    service = parts().keyring.service(conn)
    key = service.identity_hash("idempotency-key", key).hex()
    request_hash = service.identity_hash("request", hashlib.sha256(asked + body_bytes()).hexdigest())
    if not keys.try_idempotency_lock(conn, scope, key):
        raise ConsentError(
            "idempotency_in_progress", "The same request is still running.", headers={"Retry-After": "1"}
        )
    stored = keys.find_answer(conn, parts().keyring, scope, key)
    if stored is not None:
        if not hmac.compare_digest(stored.request_hash, request_hash):
            raise ConsentError("idempotency_key_reused", "Use a new Idempotency-Key for a new request.")
        return _replay(stored)
    response = _run(conn, view, arguments)
    if response.status_code < 300 or response.status_code == 409:
        keys.store_answer(
            conn,
            parts().keyring,
            scope,
            key,
            keys.StoredAnswer(request_hash, response.status_code, _packed(response)),
            customer_id=g.get("concerned_customer", NOBODY),
        )
    return response


def _run(conn: Connection, view: Callable[..., Response], arguments: dict[str, Any]) -> Response:
    try:
        # A savepoint: a decided refusal rolls back to here and is stored all the same.
        with conn.transaction():
            return view(conn, **arguments)
    except ConsentError as error:
        if error.status != 409:
            raise
        return problems.problem(error)


def store_instead(body: Mapping[str, Any]) -> None:
    """What a replay answers, where the answer itself holds what is shown once."""
    g.stored_body = orjson.dumps(body)


def _packed(response: Response) -> bytes:
    kept = [f"{name}: {response.headers[name]}" for name in _STORED_HEADERS if name in response.headers]
    head = "\n".join([response.mimetype or "", *kept])
    body: bytes = g.get("stored_body", response.get_data())
    return head.encode() + b"\n\n" + body


def _replay(stored: keys.StoredAnswer) -> Response:
    head, _, body = stored.body.partition(b"\n\n")
    mimetype, *headers = head.decode().split("\n")
    response = Response(body, stored.status, mimetype=mimetype or None)
    for line in headers:
        name, _, value = line.partition(": ")
        response.headers[name] = value
    response.headers["Cache-Control"] = "no-store"
    response.headers["Idempotency-Replayed"] = "true"
    return response
