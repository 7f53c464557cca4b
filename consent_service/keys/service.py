"""API keys and customers' tokens: make, find, revoke; counters and stored answers. Never shows a key twice.

A customer's token is signed, not stored: it says which customer until when, under the service's own key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from itsdangerous import BadSignature, URLSafeTimedSerializer
from uuid_utils.compat import uuid7

from consent_service.clock import format_time
from consent_service.database import Connection, Database, load
from consent_service.errors import ConsentError
from consent_service.history import service as history
from consent_service.history.model import Actor, Event
from consent_service.keyring.model import NOBODY, InvalidTag, is_as_signed
from consent_service.keyring.service import Keyring
from consent_service.keys.model import ROLES, TOKEN_PREFIX, ApiKey, new_secret, secret_hash, topics_of

SQL = load("consent_service.keys", "keys.sql")
TOKEN_SECONDS = 3600
LONGEST_NAME = 100


def create(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    *,
    role: str,
    name: str,
    topics: Sequence[str] | None = None,
    requests_per_minute: int | None = None,
) -> tuple[UUID, str]:
    """(id, the key itself): the key is shown this once and stored only as a hash.

    Raises:
        ConsentError: invalid_value, unknown_topic, key_name_taken (a key of another role has the name).
    """
    if role not in ROLES:
        raise ConsentError("invalid_value", f"A role is one of {', '.join(ROLES)}.")
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise ConsentError("invalid_value", f"A key's name has 1 to {LONGEST_NAME} printable characters.")
    if topics and role != "campaign":
        raise ConsentError("invalid_value", "Only a campaign key is limited to topics.")
    unknown = conn.run(SQL["unknown_topics"], {"topics": topics_of(topics) or []}).fetchone()
    if unknown:
        raise ConsentError("unknown_topic", "A key is limited to topics of the catalogue, or `*`.")
    conn.run(SQL["lock_name"], {"name": name})
    if conn.run(SQL["other_role_of_name"], {"name": name, "role": role}).fetchone():
        raise ConsentError("key_name_taken", "A key of another role has this name. Choose another name.")
    secret, key_id = new_secret(), uuid7()
    row = conn.run(
        SQL["insert"],
        {
            "key_id": key_id,
            "name": name,
            "role": role,
            "topics": topics_of(topics),
            "secret_hash": secret_hash(secret),
            "requests_per_minute": requests_per_minute,
        },
    ).fetchone()
    assert row is not None
    after = {"key_id": str(key_id), "name": name, "role": role, "topics": topics_of(topics)}
    history.record(conn, keyring, [Event(NOBODY, "key.created", actor, row["created_at"], {"after": after})])
    return key_id, secret


def find(conn: Connection, secret: str) -> ApiKey | None:
    """The key that this secret is, when it is not revoked; its last use is noted to the minute."""
    hashed = secret_hash(secret)
    return find_many(conn, [hashed]).get(hashed)


def find_many(conn: Connection, secret_hashes: Sequence[bytes]) -> dict[bytes, ApiKey]:
    """The keys whose secrets have these hashes; revoked ones are missing. Their last use is noted to the minute."""
    found, due = {}, []
    for row in conn.run(SQL["find"], {"secret_hashes": list(dict.fromkeys(secret_hashes))}):
        if row["revoked_at"] is None:
            hashed = row.pop("secret_hash")
            if row.pop("use_is_due"):
                due.append(row["key_id"])
            found[hashed] = _key(row)
    if due:
        conn.run(SQL["touch"], {"key_ids": due})
    return found


def find_by_id(conn: Connection, key_id: UUID) -> ApiKey | None:
    """The key of this id, when it is not revoked."""
    row = conn.run(SQL["by_id"], {"key_id": key_id}).fetchone()
    return _key(row) if row is not None else None


def find_by_name(conn: Connection, name: str) -> ApiKey:
    """The newest key of this name that is not revoked.

    Raises:
        ConsentError: not_found.
    """
    found = [key for key in list_keys(conn) if key.name == name and key.revoked_at is None]
    if not found:
        raise ConsentError("not_found", "There is no key of this name that is not revoked.")
    return found[-1]


def list_keys(conn: Connection) -> list[ApiKey]:
    """All keys, revoked ones too, by name and age."""
    return [_key(row) for row in conn.run(SQL["list"])]


def revoke(conn: Connection, keyring: Keyring, actor: Actor, key_id: UUID) -> None:
    """Revokes a key at once; again: nothing.

    Raises:
        ConsentError: not_found.
    """
    row = conn.run(SQL["revoke"], {"key_id": key_id}).fetchone()
    if row is None:
        if conn.run(SQL["exists"], {"key_id": key_id}).fetchone() is None:
            raise ConsentError("not_found", "There is no such key.")
        return
    before = {"key_id": str(key_id), "name": row["name"], "role": row["role"]}
    history.record(conn, keyring, [Event(NOBODY, "key.revoked", actor, row["revoked_at"], {"before": before})])


def count_request(conn: Connection, subject: str) -> tuple[int, int]:
    """(requests of the subject in this minute with this one, seconds until the minute ends)."""
    row = conn.run(SQL["count_request"], {"subject": subject}).fetchone()
    assert row is not None
    return row["requests"], row["resets_in_seconds"]


def mint_token(conn: Connection, keyring: Keyring, customer_id: UUID, key_name: str) -> str:
    """A bearer token for acting as this customer during TOKEN_SECONDS."""
    return TOKEN_PREFIX + str(_tokens(conn, keyring).dumps([str(customer_id), key_name]))


def read_token(conn: Connection, keyring: Keyring, token: str) -> UUID | None:
    """The customer that a token acts as; None when it is expired, not one of ours, or its maker's key is revoked."""
    if not is_as_signed(token):
        return None
    try:
        customer_id, name = _tokens(conn, keyring).loads(token.removeprefix(TOKEN_PREFIX), max_age=TOKEN_SECONDS)
        owner = UUID(customer_id)
    except (BadSignature, ValueError, TypeError):
        return None
    # Whoever loses their key loses the tokens that they made with it.
    return owner if conn.run(SQL["name_is_live"], {"name": name}).fetchone() else None


def _tokens(conn: Connection, keyring: Keyring) -> URLSafeTimedSerializer:
    return keyring.service(conn).timed_signer("customer-token")


@dataclass(frozen=True)
class StoredAnswer:
    """What was answered to an idempotent request."""

    request_hash: bytes
    status: int
    body: bytes = field(repr=False)


def try_idempotency_lock(conn: Connection, key_name: str, idempotency_key: str) -> bool:
    """False while another transaction works on the same request.

    Here and below `idempotency_key` is a keyed hash of what the client sent: that may name a person.
    """
    row = conn.run(SQL["try_idempotency_lock"], {"key_name": key_name, "idempotency_key": idempotency_key}).fetchone()
    return bool(row and row["locked"])


def find_answer(conn: Connection, keyring: Keyring, key_name: str, idempotency_key: str) -> StoredAnswer | None:
    """The answer stored under this key in the last 72 hours, opened.

    Raises:
        ConsentError: customer_erased, when it spoke of somebody who was erased since.
    """
    row = conn.run(SQL["find_answer"], {"key_name": key_name, "idempotency_key": idempotency_key}).fetchone()
    if row is None:
        return None
    key = keyring.find(conn, [row["customer_id"]]).get(row["customer_id"])
    if key is None or not row["ciphertext"]:
        raise ConsentError("customer_erased", "This was done, and the customer was erased since.")
    try:
        body = key.open(row["ciphertext"], idempotency_key.encode())
    except InvalidTag as error:
        raise ConsentError("internal", "A stored answer does not open.") from error
    return StoredAnswer(row["request_hash"], row["status"], body)


def store_answer(
    conn: Connection,
    keyring: Keyring,
    key_name: str,
    idempotency_key: str,
    answer: StoredAnswer,
    *,
    customer_id: UUID = NOBODY,
) -> None:
    """Keeps an answer for 72 hours, encrypted under the customer's key (the nil uuid: the service's)."""
    keys = keyring.find(conn, [customer_id])
    if customer_id not in keys:  # erased within this very request
        customer_id, keys = NOBODY, keyring.find(conn, [NOBODY])
    conn.run(
        SQL["store_answer"],
        {
            "key_name": key_name,
            "idempotency_key": idempotency_key,
            "request_hash": answer.request_hash,
            "status": answer.status,
            "ciphertext": keys[customer_id].seal(answer.body, idempotency_key.encode()),
            "customer_id": customer_id,
        },
    )


def forget_old(database: Database) -> None:
    """Housekeeping: stored answers of more than 72 hours ago, counters of past minutes."""
    with database.reading() as conn:
        conn.run(SQL["forget_answers"])
        conn.run(SQL["forget_counts"])


def forget_answers_of(conn: Connection, customer_ids: Sequence[UUID]) -> None:
    """Erasure: stored answers that speak of these customers."""
    conn.run(SQL["forget_answers_of_customers"], {"customer_ids": list(customer_ids)})


def shown(key: ApiKey) -> dict[str, Any]:
    """A key as lists show it: never its secret."""

    def time(at: datetime | None) -> str | None:
        return format_time(at) if at else None

    return {
        "id": str(key.key_id),
        "name": key.name,
        "role": key.role,
        "topics": list(key.topics) if key.topics is not None else None,
        "requests_per_minute": key.requests_per_minute,
        "created_at": format_time(key.created_at),
        "revoked_at": time(key.revoked_at),
        "last_used_at": time(key.last_used_at),
    }


def _key(row: dict[str, Any]) -> ApiKey:
    topics = row["topics"]
    return ApiKey(**{**row, "topics": tuple(topics) if topics is not None else None})
