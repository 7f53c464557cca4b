"""docs/security.md promises tests: they must be there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_every_file_that_the_page_names_is_there() -> None:
    names = set(re.findall(r"`([\w./]+\.(?:py|sql))(?:::\w+)?`", PAGE))
    assert len(names) > 20
    folders = (ROOT / "tests", ROOT / "consent_service", ROOT)
    assert [name for name in sorted(names) if not any((folder / name).exists() for folder in folders)] == []


def test_every_test_that_the_page_names_is_there() -> None:
    named = re.findall(r"`([\w./]+\.py)::(\w+)`", PAGE)
    assert len(named) > 4
    for path, test in named:
        assert f"def {test}(" in (ROOT / "tests" / path).read_text(encoding="utf-8"), (path, test)
