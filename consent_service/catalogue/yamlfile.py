"""Reads a catalogue's YAML text as plain JSON values, with the line of every place.

Reads YAML more strictly than YAML does: what YAML 1.1 silently makes of `21:00` (a number), `on` (true) or
`2026-01-01` (a date) is a fault that says so, as are names that stand twice and names that are no strings.
Aliases are not read at all, so a small file cannot unfold into a large one. JSON is YAML, and is read too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from consent_service.catalogue.model import Catalogue
from consent_service.catalogue.validation import invalid_catalogue, parse_catalogue
from consent_service.catalogue.values import Fault, step
from consent_service.errors import ConsentError

LARGEST_FILE_BYTES = 16 * 1024 * 1024
DEEPEST_NESTING = 16
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_WHOLE_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})")


_MISREADINGS = {
    "bool": "true or false: write true or false, or put it in quotes",
    "int": "a number: put it in quotes, or write a plain decimal number",
    "float": "a number with a fraction: put it in quotes, or write a whole number",
    "timestamp": "a date: put it in quotes",
}


@dataclass(frozen=True)
class CatalogueFile:
    """What a file holds: JSON values, the line of each place (from 1), and what could not be read."""

    content: object
    lines: Mapping[str, int]
    faults: tuple[Fault, ...]

    def line(self, pointer: str) -> int:
        """The line of a place, or of the nearest one around it that the file has."""
        while pointer not in self.lines and pointer:
            pointer = pointer.rpartition("/")[0]
        return self.lines.get(pointer, 1)

    def catalogue(self) -> Catalogue:
        """The catalogue in the file.

        Raises:
            ConsentError: invalid_catalogue; the faults of text and content are in the order of the file.
        """
        found = list(self.faults)
        unread = {fault.pointer for fault in found}
        if "" not in unread:
            try:
                catalogue = parse_catalogue(self.content)
                if not found:
                    return catalogue
            except ConsentError as error:
                found += [Fault(**one) for one in error.errors if one["pointer"] not in unread]
        raise invalid_catalogue(sorted(found, key=lambda fault: self.line(fault.pointer)))


def read_yaml(data: bytes) -> CatalogueFile:
    """The values in a file's bytes. Never raises: faults stand in the answer."""
    reader = _Reader()
    content = reader.read(data)
    return CatalogueFile(content, reader.lines, tuple(reader.faults))


class _UnreadableError(Exception):
    """The text as a whole cannot be read; the only fault then."""

    def __init__(self, detail: str, line: int) -> None:
        self.detail = detail
        self.line = line
        super().__init__(detail)


class _Reader:
    def __init__(self) -> None:
        self.lines: dict[str, int] = {}
        self.faults: list[Fault] = []

    def read(self, data: bytes) -> object:
        try:
            return self._value(_compose(data), "")
        except _UnreadableError as error:
            self._fault("", error.detail, error.line)
            return None

    def _fault(self, pointer: str, detail: str, line: int, code: str = "invalid_value") -> None:
        self.lines.setdefault(pointer, line)
        self.faults.append(Fault(pointer, code, detail))

    def _value(self, node: yaml.Node | None, pointer: str) -> object:
        if node is None:
            return None
        line = _line(node.start_mark)
        self.lines.setdefault(pointer, line)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, pointer, line)
        if node.tag not in (_TAG + "seq", _TAG + "map"):
            self._fault(pointer, f"the tag {node.tag} is not read here", line)
            return None
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, step(pointer, index)) for index, item in enumerate(node.value)]
        return self._mapping(node, pointer)

    def _mapping(self, node: yaml.Node, pointer: str) -> dict[str, object]:
        values: dict[str, object] = {}
        for key, value in node.value:
            line = _line(key.start_mark)
            if not isinstance(key, yaml.ScalarNode):
                self._fault(pointer, f"line {line}: a list or object cannot be a name", line)
                continue
            name = step(pointer, key.value)
            if key.value in values:
                detail = f"{key.value} stands twice: on line {self.lines[name]} and on line {line}"
                self._fault(name, detail, line, "duplicate_key")
                continue
            self.lines[name] = line
            if key.tag != _TAG + "str":
                self._fault(name, f"the name {key.value} is no string for YAML: put it in quotes", line)
            values[key.value] = self._value(value, name)
        return values

    def _scalar(self, node: yaml.ScalarNode, pointer: str, line: int) -> object:
        raw, tag = node.value, node.tag.removeprefix(_TAG)
        if tag == "str":
            return raw
        if tag == "null":
            return None
        if tag == "bool" and raw.lower() in ("true", "false"):
            return raw.lower() == "true"
        if tag == "int" and _WHOLE_NUMBER.fullmatch(raw):
            return int(raw)
        shown = raw if len(raw) <= 40 else raw[:40] + "…"
        if tag in _MISREADINGS:
            self._fault(pointer, f"YAML reads {shown} as {_MISREADINGS[tag]}", line)
        else:
            self._fault(pointer, f"the tag {node.tag} is not read here", line)
        return raw


def _compose(data: bytes) -> yaml.Node | None:
    """The nodes of the text; None of an empty one. Raises: _UnreadableError."""
    if len(data) > LARGEST_FILE_BYTES:
        raise _UnreadableError(f"the file is larger than {LARGEST_FILE_BYTES} bytes", 1)
    try:
        text = data.decode("utf-8-sig")
        # The events are looked at first: composing nodes is recursive, and follows aliases.
        _refuse_folded(text)
        return yaml.compose(text, Loader=_LOADER)
    except UnicodeDecodeError as error:
        raise _UnreadableError("the file is not UTF-8", data.count(b"\n", 0, error.start) + 1) from error
    except yaml.MarkedYAMLError as error:
        raise _UnreadableError(
            f"the file is not YAML: {error.problem}", _line(error.problem_mark or error.context_mark)
        ) from error
    except yaml.YAMLError as error:
        raise _UnreadableError(f"the file is not YAML: {str(error).splitlines()[0]}", 1) from error


def _refuse_folded(text: str) -> None:
    """Refuses what could be large or deep once it is unfolded: aliases, deep nesting, further documents."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=_LOADER):
        line = _line(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            raise _UnreadableError(f"aliases (*{event.anchor}) are not read here: write the value out", line)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if depth > DEEPEST_NESTING:
            raise _UnreadableError(f"the file is nested more than {DEEPEST_NESTING} deep", line)
        if documents > 1:
            raise _UnreadableError("the file holds a second document (---)", line)


def _line(mark: Any) -> int:
    return int(mark.line) + 1 if mark is not None else 1
