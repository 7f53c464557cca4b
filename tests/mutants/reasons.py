"""The lists of mutants that may live: what they are called, and why each may."""

from __future__ import annotations

from pathlib import Path


def reasons(listed: Path) -> dict[str, str]:
    """Names of mutants that may live, each with its reason: a line each, the reason indented, `#` for remarks."""
    found: dict[str, str] = {}
    name = ""
    for line in listed.read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            found[name] = f"{found.get(name, '')} {line.strip()}".strip()
        elif line and not line.startswith("#"):
            name = line
            assert name not in found, f"stands twice: {name}"
    return found
