"""What the server cannot read is refused in the same document and headers as everything else, and repeats nothing."""

from __future__ import annotations

import json

import pytest
from gunicorn.http.errors import InvalidHeader, InvalidRequestLine, InvalidResponseHeader

from consent_service.errors import ConsentError
from consent_service.settings import Settings
from consent_service.web.frame import headers_of
from consent_service.web.unread import refuse
from tests.privacy.markers import Marks
from tests.privacy.traffic import Caller, unreadable
from tests.support.cluster import WebService
from tests.web.test_frame import ISOLATING

MARKS = Marks("zq7mark", "700900471")
HEADERS = headers_of(Settings.without_secret({"CONSENT_PUBLIC_URL": "https://x.example"}))
INSIDE = (b"gunicorn", b"Traceback", b".py", b"Flask", b"Werkzeug", b"Python", b"<html", b"psycopg", b"SELECT")


def answer_to(code: str, error: Exception) -> tuple[bytes, dict[str, str], dict[str, object]]:
    """(status line, headers, problem) of the answer."""
    head, _, body = refuse(ConsentError(code), HEADERS, error).partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    headers = dict(line.decode().split(": ", 1) for line in lines)
    assert int(headers["Content-Length"]) == len(body)
    return status, headers, json.loads(body)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidRequestLine(f"GET /{MARKS.word}"), b"HTTP/1.1 400 Bad Request", "bad_request"),
        (InvalidHeader(MARKS.word), b"HTTP/1.1 400 Bad Request", "bad_request"),
        (InvalidResponseHeader(MARKS.word), b"HTTP/1.1 500 Internal Server Error", "internal"),
        (ValueError(MARKS.word), b"HTTP/1.1 500 Internal Server Error", "internal"),
    ],
)
def test_a_request_that_cannot_be_read_gets_the_usual_problem(error: Exception, status: bytes, code: str) -> None:
    line, headers, problem = answer_to(code, error)
    assert (line, problem["code"]) == (status, code)
    assert headers["Content-Type"] == "application/problem+json"
    assert (headers["Connection"], headers["Cache-Control"]) == ("close", "no-store")
    assert headers["X-Request-Id"] == problem["request_id"]
    assert headers["Strict-Transport-Security"]
    assert ISOLATING.items() <= headers.items()
    assert MARKS.word not in json.dumps([headers, problem])


def test_the_server_repeats_no_byte_of_what_it_cannot_read(gunicorn: WebService) -> None:
    caller = Caller(gunicorn.port, {})
    refusals = 0
    for sent in unreadable(MARKS):
        try:
            answer = caller.raw(sent)
        except ConnectionError:
            continue
        assert not MARKS.pattern.search(answer), (sent[:80], answer)
        head, _, body = answer.partition(b"\r\n\r\n")
        # The version that the server says of itself is looked at elsewhere.
        said = b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"server:")) + body
        for inside in INSIDE:
            assert inside.lower() not in said.lower(), (sent[:80], answer)
        refusals += b"application/problem+json" in head and b"X-Content-Type-Options: nosniff" in head
    assert refusals >= 10
