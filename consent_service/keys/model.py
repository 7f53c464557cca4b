"""API keys: what a key is, what its role includes, which topics it may use. No I/O."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

ROLES = ("campaign", "desk", "auditor", "admin")
KEY_PREFIX = "csk_"
MOST_REQUESTS_PER_MINUTE = 10_000_000
TOKEN_PREFIX = "cst_"  # noqa: S105 - a prefix, no secret


@dataclass(frozen=True)
class ApiKey:
    """A key as it is stored. `topics` None: every topic that is not essential."""

    key_id: UUID
    name: str
    role: str
    topics: tuple[str, ...] | None
    requests_per_minute: int | None
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


def new_secret() -> str:
    """256 random bits, as they are shown once."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def secret_hash(secret: str) -> bytes:
    """What is stored of a key. It has 256 random bits, so a plain hash is as strong as a slow one."""
    return hashlib.sha256(secret.encode()).digest()


def includes(role: str, allowed: frozenset[str]) -> bool:
    """True when a key of this role may call a route for `allowed` roles: an admin may all that desk and auditor may."""
    return role in allowed or (role == "admin" and bool(allowed & {"desk", "auditor"}))


def topics_of(topics: Sequence[str] | None) -> list[str] | None:
    """Sorted, without doubles; None stays None."""
    return sorted(set(topics)) if topics else None
