"""CSV files as people have them: read row by row, bad rows kept aside with line number and reason.

A byte-order mark, `;` for `,` and CR LF are taken as they come. Must never lose a row silently: a row is
either given to the caller or stands in the rejects file; a quote that is never closed costs its own line and
no other.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from consent_service.errors import ConsentError

LONGEST_FIELD = 100_000
LONGEST_LINE = 1_000_000
MOST_COLUMNS = 1_000
_SURROGATES = dict.fromkeys(range(0xDC80, 0xDD00), "\N{REPLACEMENT CHARACTER}")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line on which it ends in the file, and its cells by column."""

    line: int
    cells: Mapping[str, str]
    values: Sequence[str]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read: the line on which it ends, why, and what cells it seems to have."""

    line: int
    error: ConsentError
    values: Sequence[str]


class _Lines:
    """The lines of a file; those of a record that could not be read can be given once more."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._again: deque[str] = deque()
        self._record: list[str] = []
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._file.readline(LONGEST_LINE + 1)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) > LONGEST_LINE:
            detail = f"Line {self.number} has more than {LONGEST_LINE} characters: this is no CSV file."
            raise ConsentError("invalid_value", detail)
        self._record.append(line)
        return line

    def begin(self) -> None:
        """What comes is a new record."""
        self._record.clear()

    def give_up(self) -> str:
        """The first line of the record, which is bad; the others are read again, as records of their own."""
        first, *others = self._record or [""]
        self._again.extendleft(reversed(others))
        self.number -= len(others)
        return first.rstrip("\r\n")


@dataclass
class Table:
    """A CSV file that is being read."""

    path: Path
    columns: list[str]
    delimiter: str
    _lines: _Lines = field(repr=False)
    _reader: Any = field(repr=False)

    def rows(self) -> Iterator[Row | BadRow]:
        """Every row that is not a blank line, in the file's order."""
        while True:
            self._lines.begin()
            try:
                values = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                text = self._lines.give_up()
                refused = ConsentError("invalid_value", f"The row cannot be read: {error}.")
                yield BadRow(self._lines.number, refused, [text.translate(_SURROGATES)])
                continue
            if not values:
                continue
            fault = self._fault(values)
            if fault is None:
                yield Row(self._lines.number, dict(zip(self.columns, values, strict=True)), values)
            else:
                yield BadRow(self._lines.number, fault, [value.translate(_SURROGATES) for value in values])

    def _fault(self, values: Sequence[str]) -> ConsentError | None:
        if len(values) != len(self.columns):
            detail = f"The row has {len(values)} cells, the header {len(self.columns)}."
            return ConsentError("invalid_value", detail)
        text = "".join(values)
        if "\0" in text:
            return ConsentError("control_character", "The row holds a NUL character.")
        if _is_not_utf8(text):
            return ConsentError("invalid_encoding", "The row is not UTF-8.")
        return None


@contextlib.contextmanager
def open_table(path: Path, needed: Sequence[str]) -> Iterator[Table]:
    """Opens a CSV file with a header.

    Args:
        needed: columns that must be there.

    Raises:
        ConsentError: missing_field for a missing column, invalid_value for a file without a header,
            invalid_encoding.
    """
    csv.field_size_limit(LONGEST_FIELD)
    # Bytes that are no UTF-8 come through as lone surrogates, so that they cost their own row only.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        first = file.readline(LONGEST_LINE)
        file.seek(0)
        delimiter = ";" if first.count(";") > first.count(",") else ","
        lines = _Lines(file)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            columns = [name.strip() for name in next(reader, [])]
        except csv.Error as error:
            detail = f"The header of {path.name} cannot be read: {error}."
            raise ConsentError("invalid_value", detail) from error
        if _is_not_utf8(first):
            raise ConsentError("invalid_encoding", f"{path.name} is not UTF-8.")
        if not columns or len(columns) > MOST_COLUMNS or len(set(columns)) != len(columns):
            raise ConsentError("invalid_value", f"{path.name} has no header with different names of columns.")
        missing = [name for name in needed if name not in columns]
        if missing:
            raise ConsentError("missing_field", f"{path.name} has no column {', '.join(missing)}.")
        yield Table(path, columns, delimiter, lines, reader)


def _is_not_utf8(text: str) -> bool:
    return not text.isascii() and any("\udc80" <= character <= "\udcff" for character in text)


class Rejects:
    """Rows that could not be taken: `<file>.rejects.csv`, made when the first one comes."""

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(path.name + ".rejects.csv")
        self.count = 0
        self._stack = contextlib.ExitStack()
        self._writer: Any = None

    def __enter__(self) -> Rejects:
        self.path.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, row: Row | BadRow, error: ConsentError | None = None) -> None:
        """Keeps a row with its line number and the reason: `error`, or what made it a bad row."""
        if self._writer is None:
            # It holds what the input held: for its owner only.
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            file = self._stack.enter_context(os.fdopen(handle, "w", encoding="utf-8", newline=""))
            self._writer = csv.writer(file, lineterminator="\n")
            self._writer.writerow(["line", "code", "detail", "row"])
        reason = error or (row.error if isinstance(row, BadRow) else ConsentError("invalid_value"))
        self.count += 1
        self._writer.writerow([row.line, reason.code, reason.detail, _written(row.values)])

    def told(self) -> str:
        """Where they are, in a sentence; empty when there are none."""
        rows = "One row was" if self.count == 1 else f"{self.count} rows were"
        return f"{rows} not taken: see {self.path}" if self.count else ""


def batches(table: Table, rejects: Rejects, size: int) -> Iterator[list[Row]]:
    """The table's rows, `size` at a time; those that cannot be read go to the rejects."""
    rows: list[Row] = []
    for row in table.rows():
        if isinstance(row, Row):
            rows.append(row)
        else:
            rejects.add(row)
        if len(rows) == size:
            yield rows
            rows = []
    if rows:
        yield rows


def _written(values: Sequence[str]) -> str:
    """The cells as a line of CSV."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue()


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[IO[str]]:
    """A file that gets its name when it is complete; what stood under the name stays when the block fails.

    It is for its owner only, because it holds what the input held; a file that is replaced keeps its mode. A link,
    a pipe or a device is written to as it is.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        with path.open("w", encoding="utf-8", newline="") as file:
            yield file
        return
    draft = path.with_name(path.name + ".part")
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            os.fchmod(handle, mode)
            yield file
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
