"""How far a request has come, seen from its bytes: is all of it there?

It looks at the frame only (head, Content-Length, chunks), never waits and refuses nothing: what it cannot follow
it calls arrived, and gunicorn's parser, which gets exactly these bytes and no more, refuses it. `agrees` says
whether both saw the same end; where they did not, the connection must not serve another request.
"""

from __future__ import annotations

import enum
import re

from gunicorn.http.body import ChunkedReader, LengthReader
from gunicorn.http.message import Request

HEAD_BYTES = 64 * 1024
CHUNK_LINE_BYTES = 4096
TRAILER_BYTES = 64 * 1024
# What chunks may add to a body: many small ones would cost more to read than they carry.
AROUND_CHUNKS_BYTES = 256 * 1024

_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_CODING = b"\r\ntransfer-encoding:"
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n")
_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;|$)")


class Progress(enum.Enum):
    """How far a request has come."""

    COMING = enum.auto()
    ARRIVED = enum.auto()
    TOO_LARGE = enum.auto()  # its head


class Arrival:
    """Follows one request while its bytes gather.

    Args:
        max_body_bytes: a longer body is not waited for, since the application refuses it unread.
    """

    __slots__ = (
        "_body_bytes",
        "_chunk_at",
        "_chunked_bytes",
        "_max_body_bytes",
        "head_bytes",
        "waits_for_leave",
        "whole",
    )

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._body_bytes = 0
        self._chunk_at = 0  # where the line of the next chunk begins; 0: no chunks
        self._chunked_bytes = 0
        self.head_bytes = 0  # 0 until all of it is there
        self.whole = 0  # bytes of head and body; what follows is the next request
        self.waits_for_leave = False  # the client sends its body when it has got a 100 (Continue)

    def look(self, ahead: bytearray) -> Progress:
        """How far the request at the beginning of `ahead` has come; called again whenever there is more."""
        if not self.head_bytes:
            end = ahead.find(_END)
            if end < 0:
                return self._headless(ahead)
            self.head_bytes = self.whole = end + len(_END)
            self._read_frame(bytes(ahead[: self.head_bytes]).lower())
        if self._chunk_at:
            return self._follow_chunks(ahead)
        return Progress.ARRIVED if len(ahead) >= self.whole else Progress.COMING

    def agrees(self, request: Request) -> bool:
        """True when gunicorn's parser found the same frame; asked before the body is read."""
        reader = request.body.reader
        if isinstance(reader, ChunkedReader):
            return self._chunk_at < 0
        return isinstance(reader, LengthReader) and reader.length == self._body_bytes and not self._chunk_at

    def _headless(self, ahead: bytearray) -> Progress:
        if len(ahead) > HEAD_BYTES:
            return Progress.TOO_LARGE
        if ahead.count(b"\n") != ahead.count(b"\r\n"):
            # A head of bare line feeds would never end: the parser refuses it now.
            self.whole = len(ahead)
            return Progress.ARRIVED
        return Progress.COMING

    def _read_frame(self, head: bytes) -> None:
        at = head.find(_LENGTH)
        if _CODING in head:
            if at < 0 and _CHUNKED.search(head):
                self._chunk_at = self.head_bytes
        elif at >= 0:
            begin = at + len(_LENGTH)
            digits = head[begin : head.index(b"\r\n", begin)].strip(b" \t")
            if digits.isdigit() and len(digits) <= 15 and int(digits) <= self._max_body_bytes:
                self._body_bytes = int(digits)
                self.whole += self._body_bytes
        self.waits_for_leave = b"\r\nexpect:" in head and b" http/1.1\r\n" in head

    def _follow_chunks(self, ahead: bytearray) -> Progress:
        while self._chunk_at < len(ahead):
            if ahead[self._chunk_at - 2 : self._chunk_at] != b"\r\n":
                return self._as_it_is(ahead)
            line_end = ahead.find(b"\r\n", self._chunk_at, self._chunk_at + CHUNK_LINE_BYTES)
            if line_end < 0:
                too_long = len(ahead) - self._chunk_at >= CHUNK_LINE_BYTES
                return self._as_it_is(ahead) if too_long else Progress.COMING
            size = _SIZE.match(ahead[self._chunk_at : line_end])
            around = self._chunk_at - self.head_bytes - self._chunked_bytes
            if size is None or around > AROUND_CHUNKS_BYTES:
                return self._as_it_is(ahead)
            chunk_bytes = int(size[1], 16)
            if chunk_bytes == 0:
                return self._follow_trailers(ahead, line_end)
            if self._chunked_bytes + chunk_bytes > self._max_body_bytes:
                # Waited for as far as the application must see it to refuse it.
                seen = self._chunked_bytes + len(ahead) - line_end - 2
                return self._as_it_is(ahead) if seen > self._max_body_bytes else Progress.COMING
            self._chunked_bytes += chunk_bytes
            self._chunk_at = line_end + 2 + chunk_bytes + 2
        return Progress.COMING

    def _follow_trailers(self, ahead: bytearray, line_end: int) -> Progress:
        end = ahead.find(_END, line_end)  # of an empty trailer section: the line's own end and the empty line
        if end < 0:
            return self._as_it_is(ahead) if len(ahead) - line_end > TRAILER_BYTES else Progress.COMING
        self.whole = end + len(_END)
        self._chunk_at = -1
        return Progress.ARRIVED

    def _as_it_is(self, ahead: bytearray) -> Progress:
        self.whole = len(ahead)
        return Progress.ARRIVED
