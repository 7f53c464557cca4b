"""How much processor time trees of processes have used: what a shared machine disturbs least."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def used_seconds(root: int) -> float:
    """Seconds of the process, of its children that live, and of those that it has waited for."""
    total = 0.0
    for pid in [root, *_children(root)]:
        fields = _stat(pid)
        if fields:
            # utime, stime, and the same of children that were waited for.
            total += sum(int(field) for field in fields[11:15])
    return total / _TICKS


def _children(root: int) -> list[int]:
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [number for number in numbers if (fields := _stat(number)) and int(fields[1]) == root]


def _stat(pid: int) -> list[str]:
    """The fields after the name: state, parent, …; none when the process has gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
