"""Children that do not outlive us, and that may run as another user.

What happens here happens between fork and exec: the kernel is told to signal the child when the thread that
made it ends, however it ends, and root is given up for an account. Start such children before other threads,
from a thread that lives as long as they shall.
"""

from __future__ import annotations

import ctypes
import enum
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# linux/prctl.h, linux/securebits.h, linux/capability.h
_PR_SET_PDEATHSIG = 1
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_CAPABILITY_VERSION_3 = 0x20080522


class Capability(enum.IntEnum):
    """Parts of root's power. Source: capabilities(7)."""

    DAC_OVERRIDE = 1
    DAC_READ_SEARCH = 2
    SETGID = 6
    SETUID = 7
    SETPCAP = 8


@dataclass(frozen=True)
class Account:
    """The user that a child becomes; `capability` is the one part of root's power that it keeps, or None."""

    uid: int
    gid: int
    capability: Capability | None = None


def bound_to_us(account: Account | None, death_signal: int) -> Callable[[], None]:
    """What a child does between fork and exec, as `preexec_fn`: become the account, be bound to our life.

    Args:
        account: None: it stays who we are.
        death_signal: what the child gets when the thread that made it ends.
    """
    parent = os.getpid()
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def become() -> None:
        if account is not None:
            _become(libc, account)
        if libc is not None:
            # After the change of user, which would clear it.
            _check(libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0))
            if os.getppid() != parent:
                os._exit(1)  # the parent died before it could be watched

    return become


def permitted(*capabilities: Capability) -> bool:
    """True when this process has them all."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    found = re.search(r"^CapPrm:\s*([0-9a-f]+)$", status, re.MULTILINE)
    held = int(found[1], 16) if found else 0
    return all(held >> capability & 1 for capability in capabilities)


def _become(libc: ctypes.CDLL | None, account: Account) -> None:
    if account.capability is not None and libc is not None:
        # Keeps capabilities over setuid, and lets access(2) heed them: initdb looks for postgres with it.
        _check(libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0))
    os.setgroups([])
    os.setgid(account.gid)
    os.setuid(account.uid)
    if account.capability is not None and libc is not None:
        kept = 1 << account.capability
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        # effective, permitted, inheritable of capabilities 0-31, then of 32-63: everything else is given up.
        _check(libc.capset(header, (ctypes.c_uint32 * 6)(kept, kept, kept, 0, 0, 0)))
        _check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, account.capability, 0, 0))


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), "prctl or capset")
