"""What a thread does with a request that has arrived: parse it, refuse it or ask the application, write the answer.

gunicorn's parser and response are used as they are, with a stricter reading of what two programs could read
differently. It never waits for the client: its connection is a buffer both ways.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.body import ChunkedReader
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, NoMoreData, ParseException
from gunicorn.http.message import Request
from gunicorn.http.unreader import SocketUnreader

from consent_service import logs
from consent_service.errors import ConsentError
from consent_service.web import unread
from consent_service.web.connection import Connection
from consent_service.web.frame import HEADERS

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

log = logging.getLogger("consent_service.web")

_AUTHORITY = re.compile(r"https?://([^/?#]*)", re.IGNORECASE)
_REFUSALS = {LimitRequestLine: "uri_too_long", LimitRequestHeaders: "head_too_large"}


class Refused(Exception):
    """The request is well formed for gunicorn, but not for us."""


def answer(conn: Connection, cfg: Any, application: Application, keeps: Callable[[], bool]) -> bool:
    """Answers the request that has arrived; True when the connection may serve another one.

    Args:
        keeps: whether the worker still keeps connections.

    Raises:
        OSError: the client has gone.
    """
    try:
        request = _Request(cfg, SocketUnreader(conn), conn.client)
        _check(request)
    except (ParseException, NoMoreData, StopIteration, Refused) as error:
        return refuse(conn, _REFUSALS.get(type(error), "bad_request"), "The request is malformed.", error=error)
    same_frame = conn.arrival.agrees(request)
    response, environ = wsgi.create(request, conn, conn.client, conn.server, cfg, response_class=_Response)
    environ["wsgi.multithread"] = True
    body: Iterable[bytes] = ()
    try:
        body = application(environ, response.start_response)
        reader = request.body.reader
        # Chunks that the application left unread were not checked: where they end is only our guess.
        unread = isinstance(reader, ChunkedReader) and reader.parser is not None
        if not same_frame or unread or not keeps():
            response.force_close()
        for piece in body:
            response.write(piece)
        response.close()
    except OSError:
        raise
    except Exception as error:
        if response.headers_sent:
            log.error("the answer broke off", extra=logs.facts(error))
            raise ConnectionAbortedError("the answer broke off") from None
        return refuse(conn, "internal", "Something went wrong here.", error=error)
    finally:
        if hasattr(body, "close"):
            body.close()
    return not response.should_close()


def refuse(conn: Connection, code: str, detail: str, *, error: BaseException | None = None) -> bool:
    """Writes an answer that does not come from the application; False: the connection serves no more.

    Raises:
        OSError: the client has gone.
    """
    refusal = ConsentError(code, detail)
    conn.sendall(unread.refuse(refusal, HEADERS, error))
    return False


def _check(request: Any) -> None:
    """Refuses what a proxy before us could read in another way.

    Source: RFC 9112, 3.2 (Host, absolute-form) and 6.1 (Transfer-Encoding).

    Raises:
        Refused
    """
    host = None
    for name, value in request.headers:
        if name == "HOST":
            host = value
        elif name == "TRANSFER-ENCODING" and value.lower() != "chunked":
            raise Refused("a transfer coding")
    if host is None and request.version >= (1, 1):
        raise Refused("no Host")
    if not request.uri.startswith("/"):
        authority = _AUTHORITY.match(request.uri)
        if request.uri != "*" and (authority is None or authority[1].lower() != (host or "").lower()):
            raise Refused("another host in the target")
    # The main loop has told the client to go on; gunicorn would tell it once more.
    request._expected_100_continue = False


class _Request(Request):  # type: ignore[misc]
    """gunicorn's, without its own notion of trusted proxies: no header sets the scheme or a WSGI variable."""

    def _peer_trusted_for_forwarded(self) -> tuple[dict[str, str], list[str]]:
        return {}, []


class _Response(wsgi.Response):  # type: ignore[misc]
    """gunicorn's, without the Server header: a client need not know what answers."""

    def default_headers(self) -> list[str]:
        version = self.req.version
        headers = [
            f"HTTP/{version[0]}.{version[1]} {self.status}\r\n",
            f"Date: {_date()}\r\n",
            "Connection: close\r\n" if self.should_close() else "Connection: keep-alive\r\n",
        ]
        if self.chunked:
            headers.append("Transfer-Encoding: chunked\r\n")
        return headers


_date_now = (0, "")


def _date() -> str:
    # One tuple, replaced whole: threads see the old second or the new one.
    global _date_now  # noqa: PLW0603
    second, text = _date_now
    now = int(time.time())
    if now != second:
        text = util.http_date(now)
        _date_now = (now, text)
    return text
