"""One client's connection: what has come of its request, and what has not gone yet of its answer.

To gunicorn's parser and response it is the socket, but nothing here ever waits: the parser gets the bytes of
one request that has arrived and then the end, and an answer that the client does not take is kept.
"""

from __future__ import annotations

import enum
import socket
from collections import deque
from typing import Any

from consent_service.web.arrival import Arrival

RECEIVE_BYTES = 16 * 1024
RECEIVE_BODY_BYTES = 256 * 1024
# Of an answer that comes in pieces: sent together up to here.
TOGETHER_BYTES = 64 * 1024


class State(enum.Enum):
    """Whose turn it is."""

    COMING = enum.auto()  # the client's, in the middle of a request or before its first one
    KEPT = enum.auto()  # the client's, before another request
    ANSWERING = enum.auto()  # a thread's: nobody else touches the connection
    SENDING = enum.auto()  # the client's, who is to take the answer
    LINGERING = enum.auto()  # the client's, who is to close
    CLOSED = enum.auto()


class Connection:
    """A client's connection; belongs to the main loop, or while it is ANSWERING to a thread."""

    __slots__ = (
        "_out",
        "ahead",
        "arrival",
        "client",
        "deadline",
        "descriptor",
        "held_bytes",
        "keep",
        "known",
        "max_body_bytes",
        "server",
        "since",
        "sock",
        "state",
        "taken",
    )

    def __init__(self, sock: socket.socket, client: Any, server: Any, max_body_bytes: int, now: float) -> None:
        self.sock = sock
        self.descriptor = sock.fileno()
        self.client = client
        self.server = server
        self.max_body_bytes = max_body_bytes
        self.state = State.COMING
        self.since = now  # when this state began
        self.deadline = now  # when it must have ended
        self.known = False  # to the worker's epoll
        self.keep = False  # for another request, when the answer has gone
        self.ahead = bytearray()  # gathered: the request, and what the client sent after it
        self.taken = 0  # of the request, by the parser
        self.arrival = Arrival(max_body_bytes)
        self._out: deque[bytes | memoryview] = deque()
        self.held_bytes = 0  # of the answer

    def enter(self, state: State, now: float, seconds: float) -> None:
        """Begins a state that may last so long."""
        self.since = now
        self.deadline = now + seconds
        self.state = state

    def gather(self) -> bool:
        """Takes what has come; False when the client has gone.

        Raises:
            BlockingIOError: nothing has.
        """
        data = self.sock.recv(RECEIVE_BODY_BYTES if self.arrival.head_bytes else RECEIVE_BYTES)
        self.ahead += data
        return bool(data)

    def next_request(self) -> None:
        """Forgets the request that was answered."""
        del self.ahead[: self.arrival.whole]
        self.taken = 0
        self.arrival = Arrival(self.max_body_bytes)

    def recv(self, size: int) -> bytes:
        """Bytes of this request, for the parser; empty at its end."""
        end = min(self.taken + size, self.arrival.whole)
        piece = bytes(memoryview(self.ahead)[self.taken : end])
        self.taken = end
        return piece

    def sendall(self, data: bytes) -> None:
        """Sends it, or keeps it: see `flush`.

        Raises:
            OSError: the client has gone.
        """
        self._out.append(data)
        self.held_bytes += len(data)
        if self.held_bytes > TOGETHER_BYTES:
            self.flush()

    def flush(self) -> bool:
        """Sends what can be sent now; True when nothing is left.

        Raises:
            OSError: the client has gone.
        """
        out = self._out
        if len(out) > 1 and self.held_bytes <= TOGETHER_BYTES:
            together = b"".join(out)
            out.clear()
            out.append(together)
        while out:
            piece = out[0]
            try:
                sent = self.sock.send(piece)
            except BlockingIOError:
                return False
            self.held_bytes -= sent
            if sent < len(piece):
                out[0] = memoryview(piece)[sent:]
            else:
                out.popleft()
        return True

    def drop_answer(self) -> None:
        """Forgets what was not sent."""
        self._out.clear()
        self.held_bytes = 0
