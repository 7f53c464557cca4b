"""Loads `.sql` files of named statements, and writes their parameters as PostgreSQL reads them.

A statement begins at a line `-- name: word`; what stands before the first one is the file's header. There is
no templating: a statement is the text that a reader sees. Every parameter says its type, `%(name)s::type`, so
that its value can be written without looking at it; the text itself never changes, so that it is prepared once.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

import psycopg

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
_PARAMETER = re.compile(r"%\((\w+)\)s(?:::(\w+(?:\[\])?))?|%%")
_COMMENT = re.compile(r"--.*")  # also in a text, which no statement of ours has: a test prepares them all
_numbers = itertools.count(1)

Writer = Callable[[Any], str]


class Statement(str):
    """A named statement: the text as it is written, and what a connection needs to prepare and run it.

    `prepared` has `$1` for the first parameter and so on. `is_typed` is False when a parameter's type has no
    writer here (JSON): such a statement is left to the driver.
    """

    def __init__(self, text: str) -> None:
        self.label = f"s{next(_numbers)}".encode()
        self._names: dict[str, str] = {}
        self.prepared = _PARAMETER.sub(self._number, _COMMENT.sub("", text)).encode()
        self.is_typed = all(type_ in _WRITERS for type_ in self._names.values())
        self._writers = [(name, _WRITERS.get(type_, str)) for name, type_ in self._names.items()]

    def _number(self, found: re.Match[str]) -> str:
        if found[1] is None:
            return "%"
        type_ = self._names.setdefault(found[1], found[2] or "")
        if type_ != (found[2] or ""):
            raise ValueError(f"parameter {found[1]} has two types")
        place = list(self._names).index(found[1]) + 1
        return f"${place}::{type_}" if type_ else f"${place}"

    def values(self, given: Mapping[str, Any]) -> list[bytes | None]:
        """The parameters in their order, in PostgreSQL's text format.

        Raises:
            psycopg.DataError: a text holds a NUL, which PostgreSQL cannot store.
        """
        written: list[bytes | None] = []
        for name, write in self._writers:
            value = given[name]
            if value is None:
                written.append(None)
                continue
            content = write(value).encode()
            if b"\0" in content:
                raise psycopg.DataError("PostgreSQL text cannot hold a NUL")
            written.append(content)
        return written


def _bytes(value: bytes) -> str:
    return "\\x" + value.hex()


def _boolean(value: bool) -> str:
    return "t" if value else "f"


def _array(write: Writer) -> Writer:
    """Elements that need no quotes: ids, numbers, times, truth values."""

    def array(values: Sequence[Any]) -> str:
        return "{" + ",".join(["NULL" if value is None else write(value) for value in values]) + "}"

    return array


def _texts(values: Sequence[str | None]) -> str:
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def _quoted(text: str) -> str:
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _byte_strings(values: Sequence[bytes | None]) -> str:
    return "{" + ",".join(["NULL" if value is None else f'"\\\\x{value.hex()}"' for value in values]) + "}"


def _time(value: Any) -> str:
    text: str = value.isoformat()
    return text


_WRITERS: Mapping[str, Writer] = {
    "text": str,
    "uuid": str,
    "integer": str,
    "bigint": str,
    "boolean": _boolean,
    "bytea": _bytes,
    "timestamptz": _time,
    "text[]": _texts,
    "uuid[]": _array(str),
    "integer[]": _array(str),
    "bigint[]": _array(str),
    "boolean[]": _array(_boolean),
    "bytea[]": _byte_strings,
    "timestamptz[]": _array(_time),
    "date[]": _array(_time),
}


def load(package: str, filename: str) -> Mapping[str, Statement]:
    """The statements of a package's .sql file by name.

    Raises:
        ValueError: a name stands twice, or a parameter has two types.
    """
    parts = _NAME.split(files(package).joinpath(filename).read_text(encoding="utf-8"))[1:]
    statements: dict[str, Statement] = {}
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        if name in statements:
            raise ValueError(f"{package}/{filename}: {name} stands twice")
        statements[name] = Statement(text.strip())
    return statements
