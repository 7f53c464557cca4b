"""The configuration of the embedded PostgreSQL, fitted to the machine it runs on.

Nothing here lets personal data into the server's log: neither statements nor parameters nor the details of
errors are logged, the service gets all of them and logs what is fit. Written anew at each start; what
`ALTER SYSTEM` sets is read after it and stays.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from consent_service.settings import usable_cpus

MEGABYTE = 2**20

# Who can get to the socket at all is decided by its folder, which is the database user's alone (0700).
HBA = "local all all trust\nlocal replication consent trust\n"

_FIXED = {
    "listen_addresses": "''",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "lc_messages": "'C'",
    "default_text_search_config": "'pg_catalog.simple'",
    # Logged is what the server does: start, stop, crash, recovery. Not what it is asked.
    "log_destination": "'stderr'",
    "logging_collector": "off",
    "log_line_prefix": "'%m [%p] '",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_min_duration_statement": "-1",
    "log_statement": "'none'",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_checkpoints": "off",
    "log_autovacuum_min_duration": "-1",
    # Short statements by the thousand, on disks that seek well.
    "jit": "off",
    "random_page_cost": "1.1",
    "work_mem": "'16MB'",
    "wal_compression": "off",
    "max_wal_size": "'4GB'",
    "checkpoint_timeout": "'15min'",
    "checkpoint_completion_target": "0.9",
    "autovacuum_naptime": "'15s'",
}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}


@dataclass(frozen=True, kw_only=True)
class Sizing:
    """How large the server may be.

    Args:
        connections: at most this many at once.
        shared_buffers_bytes: None: a quarter of the memory, at most 2 GB.
        durable: False gives up what a crash would need, for throw-away databases of tests.
    """

    connections: int = 100
    shared_buffers_bytes: int | None = None
    durable: bool = True


def configuration(sizing: Sizing, socket_folder: Path) -> str:
    """The text of postgresql.conf."""
    memory = usable_memory_bytes()
    buffers = sizing.shared_buffers_bytes or max(32 * MEGABYTE, min(memory // 4, 2048 * MEGABYTE))
    cpus = usable_cpus()
    values = _FIXED | {
        "unix_socket_directories": _quoted_folder(socket_folder),
        "max_connections": str(sizing.connections),
        "shared_buffers": _megabytes(buffers),
        "effective_cache_size": _megabytes(max(buffers, memory * 5 // 8)),
        "maintenance_work_mem": _megabytes(max(16 * MEGABYTE, min(memory // 16, 512 * MEGABYTE))),
        "max_worker_processes": str(cpus + 8),
        "max_parallel_workers": str(cpus),
        "max_parallel_workers_per_gather": str(min(cpus, 4)),
        "dynamic_shared_memory_type": _shared_memory_type(),
    }
    if not sizing.durable:
        values |= _NOT_DURABLE
    lines = [f"{name} = {value}\n" for name, value in values.items()]
    return "# Written by consent-service at each start; use ALTER SYSTEM for changes.\n" + "".join(lines)


def usable_memory_bytes() -> int:
    """The machine's memory, or the container's if it has less."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(limit).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdigit():
            memory = min(memory, int(text))
    return memory


def _shared_memory_type() -> str:
    # Containers often have 64 MB in /dev/shm; a parallel query would fail there.
    try:
        return "posix" if shutil.disk_usage("/dev/shm").total >= 512 * MEGABYTE else "mmap"  # noqa: S108
    except OSError:
        return "posix"


def _megabytes(size: int) -> str:
    return f"'{size // MEGABYTE}MB'"


def _quoted_folder(path: Path) -> str:
    # One item of a list inside a string of the file: two ways of quoting, one in the other.
    item = '"' + str(path).replace('"', '""') + '"'
    return "'" + item.replace("\\", "\\\\").replace("'", "''") + "'"
