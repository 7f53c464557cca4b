"""Loads `.sql` files of named statements.

A statement begins at a line `-- name: word`; what stands before the first one is the file's header. There is
no templating: a statement is the text that a reader sees.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


def load(package: str, filename: str) -> Mapping[str, str]:
    """The statements of a package's .sql file by name.

    Raises:
        ValueError: a name stands twice.
    """
    parts = _NAME.split(files(package).joinpath(filename).read_text(encoding="utf-8"))[1:]
    statements: dict[str, str] = {}
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        if name in statements:
            raise ValueError(f"{package}/{filename}: {name} stands twice")
        statements[name] = text.strip()
    return statements
