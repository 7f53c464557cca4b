"""Who a reference means, and the customer's lock. Owns `customer`, `identifier` and `identifier_owner`.

Everything takes lists: one statement finds ten thousand people. Nothing is cached between calls. It must
never put an identifier in clear into a table or an error, and never bring an erased customer back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID, uuid4

from consent_service.customers import store
from consent_service.customers.model import Reference, not_a_string, parse_reference
from consent_service.customers.store import SQL, Holders, NewCustomer
from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.history import service as history
from consent_service.history.model import Actor, Event
from consent_service.keyring.model import DataKey
from consent_service.keyring.service import Keyring

# A customer that is merged while we wait for its lock leads to another one, which may be merged as well.
MOST_MERGES_FOLLOWED = 3


@dataclass(frozen=True, slots=True)
class Resolved:
    """Who a reference means. `error` stands instead of an answer when the question cannot be put.

    `kind` and `value_hash` are those of the identifier in the question; None for an `id:` reference.
    """

    customer_id: UUID | None
    state: Literal["known", "unknown", "erased"]
    kind: str | None = None
    value_hash: bytes | None = None
    error: ConsentError | None = None


@dataclass(frozen=True, slots=True)
class Locked:
    """A customer whose row this transaction holds, as it is under the lock."""

    customer_id: UUID
    key: DataKey
    version: int
    time_zone: str | None
    locale: str | None
    segment: str | None


def resolve_many(conn: Connection, keyring: Keyring, references: Sequence[object]) -> list[Resolved]:
    """Who each reference means, in the order asked. A merged customer's id leads to the survivor.

    Args:
        references: texts, or references parsed already; anything else, and an ill-formed text, gets an
            `error` on its row. Equal ones are parsed once.
    """
    parsed = {one: _parse(one) for one in references if isinstance(one, str | Reference)}
    wanted = dict.fromkeys(ref for ref in parsed.values() if isinstance(ref, Reference))
    kinds = store.kinds_of(conn, wanted)
    holders = store.holders(conn, keyring, (ref for ref in wanted if _is_declared(ref, kinds)))
    found = {ref: _resolved(ref, one) for ref, one in holders.items()}
    answers = {
        one: found.get(ref) or _failed(_undeclared()) if isinstance(ref, Reference) else _failed(ref)
        for one, ref in parsed.items()
    }
    return [answers[one] if isinstance(one, str | Reference) else _failed(not_a_string()) for one in references]


def foresee(conn: Connection, keyring: Keyring, references: Sequence[str]) -> None:
    """Says that `resolve_many` of these references follows the next statement: both go in one round trip."""
    parsed = (_parse(one) for one in dict.fromkeys(references))
    store.foresee_holders(conn, keyring, [one for one in dict.fromkeys(parsed) if isinstance(one, Reference)])


def resolve(conn: Connection, keyring: Keyring, reference: object) -> Resolved:
    """Who one reference means.

    Raises:
        ConsentError: invalid_customer_reference, unknown_identifier_kind, ambiguous_customer.
    """
    found = resolve_many(conn, keyring, [reference])[0]
    if found.error is not None:
        raise found.error
    return found


def lock_many(conn: Connection, keyring: Keyring, customer_ids: Iterable[UUID]) -> dict[UUID, Locked]:
    """Locks customers until the transaction ends: each id asked for, and the customer whom it means by then.

    A merged id leads to its survivor; unknown and erased ids are missing. Rows are locked in the order of
    their ids. Only an id that was merged is followed in another round, out of order: should that ever
    deadlock, the server ends one of the two and `Database.repeatedly` runs it again.
    """
    meant = {one: one for one in customer_ids}
    rows: dict[UUID, Mapping[str, Any]] = {}
    missing = set(meant)
    for _ in range(MOST_MERGES_FOLLOWED):
        if not missing:
            break
        keyring.foresee(conn, missing)  # read after the lock is held, as all of this transaction is
        found = conn.run(SQL["lock"], {"customer_ids": sorted(missing)}).fetchall()
        rows.update({row["customer_id"]: row for row in found})
        survivors = {row["customer_id"]: row["survivor_id"] for row in found if row["state"] == "merged"}
        if survivors:
            meant = {asked: survivors.get(one, one) for asked, one in meant.items()}
        missing = set(survivors.values()) - rows.keys()
    keys = keyring.find(conn, [one for one, row in rows.items() if row["state"] == "active"]) if rows else {}
    locked = {one: _locked(rows[one], key) for one, key in keys.items()}
    return {asked: locked[one] for asked, one in meant.items() if one in locked}


def lock_free(conn: Connection, keyring: Keyring, customer_ids: Iterable[UUID]) -> dict[UUID, Locked | None]:
    """Locks those of these customers whom nobody else holds, and waits for nobody; None for an erased one.

    Missing are those whom somebody holds, and ids that were merged: `lock_many` is for them.
    """
    wanted = sorted(set(customer_ids))
    if not wanted:
        return {}
    keyring.foresee(conn, wanted)
    rows = {row["customer_id"]: row for row in conn.run(SQL["lock_free"], {"customer_ids": wanted})}
    keys = keyring.find(conn, wanted)
    return {
        one: _locked(row, keys[one]) if one in keys else None for one, row in rows.items() if row["state"] != "merged"
    }


def require(conn: Connection, customer_id: UUID, actor: Actor) -> UUID:
    """The active customer whom an id in a URL means, for this actor; a merged id leads to its survivor.

    Raises:
        ConsentError: unknown_customer, in the same words for an id that never was, for an erased customer,
            and for a customer who asks about somebody else.
    """
    asked = [one for one in (customer_id, actor.customer_id) if one is not None]
    active = survivors(conn, asked)
    found = active.get(customer_id)
    own = active.get(actor.customer_id) if actor.customer_id is not None else None
    if found is None or (actor.is_customer and own != found):
        raise unknown_customer()
    return found


def require_locked(conn: Connection, keyring: Keyring, customer_id: UUID, actor: Actor) -> Locked:
    """The same customer, locked until the transaction ends.

    Raises:
        ConsentError: unknown_customer.
    """
    found = require(conn, customer_id, actor)
    locked = lock_many(conn, keyring, [found]).get(found)
    if locked is None:  # erased while we waited
        raise unknown_customer()
    return locked


def unknown_customer() -> ConsentError:
    """One error for everybody who is not there, whatever the reason."""
    return ConsentError("unknown_customer", "There is no such customer.")


def survivors(conn: Connection, customer_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """The active customer that each id leads to; unknown and erased ones are missing."""
    rows = conn.run(SQL["survivors"], {"customer_ids": list(customer_ids)})
    return {row["customer_id"]: row["survivor_id"] for row in rows}


def lineage(conn: Connection, customer_id: UUID) -> list[UUID]:
    """The id itself and the ids that were merged into it: whose events make up one history."""
    return [row["customer_id"] for row in conn.run(SQL["lineage"], {"customer_id": customer_id})]


def create_unknown_many(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    references: Sequence[Reference],
    *,
    type_: str = "customer.created",
    source: str,
) -> dict[Reference, UUID]:
    """Customers without dials for people whom nobody knows yet (reports, imports), set-based.

    Two callers at once make one customer. Answers with the customer of each reference, made here or meanwhile
    by another; missing are those of erased people, who are never brought back, and those that several hold.

    Raises:
        ConsentError: unknown_identifier_kind; also for an `id:`, which creates nobody.
    """
    wanted = {ref: uuid4() for ref in dict.fromkeys(references)}
    if not wanted:
        return {}
    kinds = declared_kinds(conn, wanted)
    if shared := [ref for ref in wanted if kinds[ref.kind]]:
        store.lock_names(conn, keyring, shared)
    taken = {ref for ref, one in store.holders(conn, keyring, shared).items() if one.customer_ids}
    claimed = store.claim(conn, keyring, {ref: new for ref, new in wanted.items() if ref not in taken}, kinds)
    # A new look, after everybody whom the claim waited for has committed: the erased stay erased.
    holders = store.holders(conn, keyring, wanted)
    erased = {ref for ref in claimed if holders[ref].erased}
    store.give_back(conn, keyring, {ref: wanted[ref] for ref in erased})
    claimed -= erased
    made = [NewCustomer(new, [ref]) for ref, new in wanted.items() if ref in claimed]
    store_new(conn, keyring, actor, made, type_=type_, source=source)
    return {
        ref: next(iter(one.customer_ids))
        for ref, one in holders.items()
        if len(one.customer_ids) == 1 and ref not in erased
    }


def store_new(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    new: Sequence[NewCustomer],
    *,
    type_: str = "customer.created",
    source: str,
) -> None:
    """Stores customers whose identifiers are claimed, each with its event."""
    if not new:
        return
    created, keys = store.insert(conn, keyring, new)
    events = [
        Event(
            one.customer_id,
            type_,
            actor,
            created[one.customer_id],
            {"before": None, "after": shown(one.customer_id, one.references, one), "source": source},
        )
        for one in new
    ]
    history.record(conn, keyring, events, keys=keys)


def shown(customer_id: UUID, references: Iterable[Reference], fields: NewCustomer | Locked) -> dict[str, Any]:
    """A customer as answers and events show them."""
    return {
        "id": str(customer_id),
        "identifiers": [ref.text for ref in references],
        "time_zone": fields.time_zone,
        "locale": fields.locale,
        "segment": fields.segment,
    }


def declared_kinds(conn: Connection, references: Iterable[Reference]) -> Mapping[str, bool]:
    """Whether each declared kind is shared.

    Raises:
        ConsentError: unknown_identifier_kind, when a reference is of none of them.
    """
    asked = list(references)
    kinds = store.kinds_of(conn, asked)
    if any(ref.kind not in kinds for ref in asked):
        raise _undeclared()
    return kinds


def _parse(one: str | Reference) -> Reference | ConsentError:
    try:
        return one if isinstance(one, Reference) else parse_reference(one)
    except ConsentError as error:
        return error


def _is_declared(reference: Reference, kinds: Mapping[str, bool]) -> bool:
    return reference.kind in kinds or reference.customer_id is not None


def _resolved(reference: Reference, holders: Holders) -> Resolved:
    kind = reference.kind if holders.value_hash is not None else None
    if len(holders.customer_ids) > 1:
        error = ConsentError("ambiguous_customer", "Several customers hold this identifier. Use another one.")
        return Resolved(None, "unknown", kind, holders.value_hash, error)
    if holders.customer_ids:
        return Resolved(next(iter(holders.customer_ids)), "known", kind, holders.value_hash)
    return Resolved(None, "erased" if holders.erased else "unknown", kind, holders.value_hash)


def _locked(row: Mapping[str, Any], key: DataKey) -> Locked:
    fields = (row["time_zone"], row["locale"], row["segment"])
    return Locked(row["customer_id"], key, row["version"], *fields)


def _failed(error: ConsentError) -> Resolved:
    return Resolved(None, "unknown", error=error)


def _undeclared() -> ConsentError:
    return ConsentError("unknown_identifier_kind", "The catalogue declares no such kind of identifier.")
