"""The statements of who a customer is, with rows turned into what the services speak of.

Identifiers come in as references and go to the database as keyed hash and ciphertext only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from consent_service.customers.model import BUILT_IN_KINDS, ID, Reference
from consent_service.database import Connection, Statement, load
from consent_service.errors import ConsentError
from consent_service.keyring.model import NOBODY, DataKey
from consent_service.keyring.service import Keyring

SQL = load("consent_service.customers", "customers.sql")


@dataclass(slots=True)
class Holders:
    """Who has an identifier now, and whether an erased person had it. `value_hash` is None for an `id:`."""

    value_hash: bytes | None
    customer_ids: set[UUID] = field(default_factory=set)
    erased: bool = False


@dataclass(frozen=True, slots=True)
class NewCustomer:
    """A customer to be stored, whose identifiers have been claimed."""

    customer_id: UUID
    references: Sequence[Reference]
    time_zone: str | None = None
    locale: str | None = None
    segment: str | None = None


def one(conn: Connection, statement: Statement, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row of a statement that always has one.

    Raises:
        ConsentError: internal, when it has none.
    """
    row = conn.run(statement, values).fetchone()
    if row is None:
        raise ConsentError("internal")
    return row


def kinds_of(conn: Connection, references: Iterable[Reference]) -> Mapping[str, bool]:
    """Whether each declared kind is shared; asks the catalogue only about kinds that are not built in."""
    if {ref.kind for ref in references} <= BUILT_IN_KINDS.keys() | {ID}:
        return BUILT_IN_KINDS
    return {row["name"]: row["shared"] for row in conn.run(SQL["kinds"])} | BUILT_IN_KINDS


def hash_of(conn: Connection, keyring: Keyring, reference: Reference) -> bytes:
    """The keyed hash under which an identifier is found."""
    return keyring.service(conn).identity_hash(reference.kind, reference.value)


def holders(conn: Connection, keyring: Keyring, references: Iterable[Reference]) -> dict[Reference, Holders]:
    """Who has each identifier, or is meant by each `id:`; one statement."""
    asked = list(references)
    if not asked:
        return {}
    named, ids = _by_name_or_id(asked)
    sought = _sought(conn, keyring, named, ids)
    found = {ref: Holders(None) for ref in ids}
    found.update((ref, Holders(value_hash)) for ref, value_hash in zip(named, sought["hashes"], strict=True))
    for row in conn.run(SQL["find"], sought):
        position = row["position"]
        answer = found[named[position - 1] if position > 0 else ids[-position - 1]]
        if row["erased"]:
            answer.erased = True
        else:
            answer.customer_ids.add(row["customer_id"])
    return found


def foresee_holders(conn: Connection, keyring: Keyring, references: Sequence[Reference]) -> None:
    """Says that `holders` of these references is the statement after the next one."""
    if references:
        conn.foresee(SQL["find"], _sought(conn, keyring, *_by_name_or_id(references)))


def _by_name_or_id(references: Sequence[Reference]) -> tuple[list[Reference], list[Reference]]:
    return [ref for ref in references if ref.kind != ID], [ref for ref in references if ref.kind == ID]


def _sought(
    conn: Connection, keyring: Keyring, named: Sequence[Reference], ids: Sequence[Reference]
) -> dict[str, list[Any]]:
    return {
        "kinds": [ref.kind for ref in named],
        "hashes": [hash_of(conn, keyring, ref) for ref in named],
        "ids": [ref.customer_id for ref in ids],
    }


def lock_names(conn: Connection, keyring: Keyring, references: Iterable[Reference]) -> None:
    """One creator at a time for identifiers of shared kinds, until the transaction ends."""
    keys = {int.from_bytes(hash_of(conn, keyring, ref)[:8], "big", signed=True) for ref in references}
    conn.run(SQL["lock_names"], {"lock_keys": sorted(keys)})


def claim(
    conn: Connection, keyring: Keyring, owners: Mapping[Reference, UUID], shared: Mapping[str, bool]
) -> set[Reference]:
    """Takes identifiers for their owners; the ones that were free (of a shared kind: not this owner's yet).

    Waits for another transaction that takes or gives up the same one. Everybody takes them in the same order.
    """
    by_hash = {(ref.kind, hash_of(conn, keyring, ref)): ref for ref in owners}
    ordered = sorted(by_hash)
    customer_ids = [owners[by_hash[name]] for name in ordered]
    rows = conn.run(
        SQL["claim"],
        {
            "kinds": [kind for kind, _ in ordered],
            "hashes": [value_hash for _, value_hash in ordered],
            "holders": [
                owner if shared[kind] else NOBODY for (kind, _), owner in zip(ordered, customer_ids, strict=True)
            ],
            "customer_ids": customer_ids,
        },
    )
    return {by_hash[row["kind"], bytes(row["value_hash"])] for row in rows}


def give_back(conn: Connection, keyring: Keyring, owners: Mapping[Reference, UUID]) -> None:
    """Takes names from their owners: claims of this transaction, or what its owner gives up."""
    if owners:
        conn.run(SQL["give_back"], {**_names(conn, keyring, owners), "customer_ids": list(owners.values())})


def revive(conn: Connection, keyring: Keyring, references: Iterable[Reference]) -> bool:
    """The erased person came back: these identifiers' hashes stop answering. True when there was one."""
    return bool(conn.run(SQL["revive"], _names(conn, keyring, references)).fetchall())


def insert(
    conn: Connection, keyring: Keyring, new: Sequence[NewCustomer]
) -> tuple[Mapping[UUID, datetime], Mapping[UUID, DataKey]]:
    """Stores customers with a data key each and their names; (times of creation, keys) by customer."""
    rows = conn.run(
        SQL["insert"],
        {
            "customer_ids": [each.customer_id for each in new],
            "time_zones": [each.time_zone for each in new],
            "locales": [each.locale for each in new],
            "segments": [each.segment for each in new],
        },
    )
    created = {row["customer_id"]: row["created_at"] for row in rows}
    keyring.create(conn, created)
    keys = keyring.find(conn, created)
    insert_identifiers(conn, keyring, keys, [(each.customer_id, ref) for each in new for ref in each.references])
    return created, keys


def insert_identifiers(
    conn: Connection,
    keyring: Keyring,
    keys: Mapping[UUID, DataKey],
    names: Sequence[tuple[UUID, Reference]],
) -> datetime:
    """Stores names of customers, sealed under their keys; when the last was stored."""
    hashes = [hash_of(conn, keyring, ref) for _, ref in names]
    sealed = [
        keys[owner].seal(ref.value.encode(), _binding(ref.kind, value_hash))
        for (owner, ref), value_hash in zip(names, hashes, strict=True)
    ]
    values = {
        "customer_ids": [owner for owner, _ in names],
        "kinds": [ref.kind for _, ref in names],
        "hashes": hashes,
        "ciphertexts": sealed,
    }
    stored_at: datetime = one(conn, SQL["insert_identifiers"], values)["stored_at"]
    return stored_at


def identifiers(conn: Connection, keys: Mapping[UUID, DataKey]) -> dict[UUID, list[Reference]]:
    """What names each of these customers, opened with their keys, oldest first."""
    found: dict[UUID, list[Reference]] = {owner: [] for owner in keys}
    for row in conn.run(SQL["identifiers"], {"customer_ids": list(keys)}):
        found[row["customer_id"]].append(opened(keys[row["customer_id"]], row))
    return found


def opened(key: DataKey, row: Mapping[str, Any]) -> Reference:
    """The name in a row of `identifiers`."""
    clear = key.open(row["ciphertext"], _binding(row["kind"], row["value_hash"]))
    return Reference(row["kind"], clear.decode())


def _names(conn: Connection, keyring: Keyring, references: Iterable[Reference]) -> dict[str, list[str] | list[bytes]]:
    asked = list(references)
    return {"kinds": [ref.kind for ref in asked], "hashes": [hash_of(conn, keyring, ref) for ref in asked]}


def _binding(kind: str, value_hash: bytes) -> bytes:
    """What a name's ciphertext belongs to: it opens in no other row."""
    return kind.encode() + b"\0" + bytes(value_hash)
