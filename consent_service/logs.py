"""The log of every process of the service: JSON lines on standard error, and what may stand in one.

A line holds words of this program, numbers, times and ids that machines made. It never holds anything of a
person, nor what a client sent: no path, query, header or body, no address, no value of a statement, and of an
exception only its type and place, because its text may quote a row. So nobody can write into the log either:
every line is one line of ASCII, whatever happens. docs/security.md says what each field is.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import orjson

STANDARD_ERROR = 2
OWN = "consent_service"
# What our own loggers may add to a line with `extra`; anything else stays out.
FIELDS = ("request_id", "error", "sqlstate", "place", "detail", "job", "status", "code")
MOST_PLACES = 6
MOST_CAUSES = 5
_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE

_out: int | None = None


def install(out: int = STANDARD_ERROR) -> None:
    """Sends everything that this process says of itself to the log; again: changes nothing.

    Before it, and in short commands that never call it, `write` writes nothing.
    """
    global _out  # noqa: PLW0603 - a process has one standard error
    _out = out
    logging.basicConfig(handlers=[_Handler()], level=logging.WARNING, force=True)
    logging.getLogger(OWN).setLevel(logging.INFO)
    sys.excepthook = _uncaught
    sys.unraisablehook = _unraisable
    threading.excepthook = _uncaught_in_thread
    warnings.showwarning = _warning  # type: ignore[assignment]


def write(level: str, event: str, fields: Mapping[str, object]) -> None:
    """One line; nothing when the log is not installed. A log that nobody reads stops no request.

    It is one write(2), so that lines of several processes do not run into each other.

    Args:
        fields: values that JSON has; the caller answers for what stands in them.
    """
    if _out is None:
        return
    line = {"time": datetime.now(UTC), "level": level, "event": event, "pid": os.getpid(), **fields}
    try:
        written = orjson.dumps(line, option=_OPTIONS)
    except TypeError:  # half a surrogate pair, or what is no JSON
        written = json.dumps(line, default=str).encode() + b"\n"
    with contextlib.suppress(OSError):  # the reader has gone, or the disk is full
        os.write(_out, written if written.isascii() and b"\x7f" not in written else _escaped(written))


def say(text: str) -> None:
    """One line for the operator: plain on a terminal and before the log is installed, else as all others are."""
    if _out is None or sys.stderr.isatty():
        print(f"{OWN.replace('_', '-')}: {text}", file=sys.stderr, flush=True)
    else:
        write("info", text, {})


def _escaped(line: bytes) -> bytes:
    """The same with everything escaped that a terminal or a reader of lines could take for something else."""
    return json.dumps(json.loads(line)).replace("\x7f", "\\u007f").encode("ascii") + b"\n"


def place(error: BaseException) -> str:
    """Where an exception came from: files and lines, innermost last."""
    return _frames(error.__traceback__)


def kind(error: BaseException) -> str:
    """The types of an exception and of what caused it, outermost first."""
    names: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(names) < MOST_CAUSES:
        names.append(type(cause).__name__)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return " < ".join(names)


def sqlstate(error: BaseException) -> str | None:
    """The database's five characters for what went wrong, where an exception or its cause has some."""
    cause: BaseException | None = error
    for _ in range(MOST_CAUSES):
        if cause is None:
            return None
        state = getattr(cause, "sqlstate", None)
        if isinstance(state, str):
            return state
        cause = cause.__cause__ or cause.__context__
    return None


def facts(error: BaseException) -> dict[str, str | None]:
    """What a line may say of an exception, as `extra` of our loggers."""
    return {"error": kind(error), "sqlstate": sqlstate(error), "place": place(error)}


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        write(record.levelname.lower(), *_told(record))


def _told(record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
    """(event, fields) of a record. Of other people's loggers only what cannot hold a value comes through."""
    fields: dict[str, Any] = {"logger": record.name}
    if record.name.partition(".")[0] == OWN:
        event = record.getMessage()
        fields |= {name: record.__dict__[name] for name in FIELDS if record.__dict__.get(name) is not None}
    else:
        event = _template(record)
        fields["place"] = f"{record.filename}:{record.lineno}"
    if record.exc_info and record.exc_info[1] is not None:
        fields |= {name: value for name, value in facts(record.exc_info[1]).items() if value is not None}
    return event, fields


def _template(record: logging.LogRecord) -> str:
    # A text with arguments is the program's own, the arguments may be anybody's. One without may have been put
    # together from both: its place says which it is.
    if not isinstance(record.msg, str) or not record.args or isinstance(record.args, Mapping):
        return "told by a library"
    try:
        return record.msg % tuple(map(_harmless, record.args))
    except (TypeError, ValueError):
        return record.msg


class _Withheld:
    def __repr__(self) -> str:
        return "…"


def _harmless(argument: object) -> object:
    if isinstance(argument, BaseException):
        return kind(argument)
    return argument if type(argument) in (int, float, bool) else _Withheld()


def _uncaught(_type: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    write("critical", "the process ends by an error", facts(error))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        write("error", "a thread ends by an error", facts(args.exc_value))


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    if args.exc_value is not None:
        write("error", "an error could not be raised", facts(args.exc_value))


def _warning(_text: object, category: type[Warning], filename: str, lineno: int, *_: object, **__: object) -> None:
    write("warning", "python warns", {"error": category.__name__, "place": f"{_short(filename)}:{lineno}"})


def _frames(trace: TracebackType | None) -> str:
    places = []
    while trace is not None:
        places.append(f"{_short(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " > ".join(places[-MOST_PLACES:])


def _short(filename: str) -> str:
    return filename.rsplit("/", 1)[-1]
