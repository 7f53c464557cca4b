"""Makes one customer on request: new, or found to be known already. Nothing of a known one is changed.

An erased person comes back only here, as a new and empty customer, and only by the desk's hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from consent_service.customers import profile, store
from consent_service.customers.fields import check_fields
from consent_service.customers.model import Reference
from consent_service.customers.service import declared_kinds, shown, store_new
from consent_service.customers.store import Holders, NewCustomer
from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.history.model import Actor
from consent_service.keyring.service import Keyring

# Each attempt but the first means that another request took or gave up an identifier within the last one.
MOST_ATTEMPTS = 5


class _TakenError(Exception):
    """An identifier was taken by another transaction while ours waited for it."""


def create(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    references: Sequence[Reference],
    given: Mapping[str, str | None],
) -> tuple[dict[str, Any], bool]:
    """(the customer, whether it is new): of these identifiers, when nobody has one of them.

    Identifiers of exclusive kinds say who it is; a shared one may be others' as well, and decides only when
    no exclusive one stands beside it. Two requests at once for one address make one customer.

    Args:
        given: time_zone, locale, segment of a new customer.

    Raises:
        ConsentError: identifiers_conflict when they are not one customer's, ambiguous_customer,
            customer_erased when somebody else than the desk asks for an erased person, role_not_allowed for a
            segment from a campaign key, unknown_identifier_kind, and what check_fields raises.
    """
    if actor.role == "campaign" and given.get("segment") is not None:
        raise ConsentError("role_not_allowed", "A campaign key may not set a segment.")
    wanted = list(dict.fromkeys(references))
    kinds = declared_kinds(conn, wanted)
    check_fields(conn, given)
    if shared := [ref for ref in wanted if kinds[ref.kind]]:
        store.lock_names(conn, keyring, shared)
    for _ in range(MOST_ATTEMPTS):
        owner = _owner_of_all(store.holders(conn, keyring, wanted), kinds)
        if owner is None:
            try:
                with conn.transaction():  # a savepoint: a lost race gives back what it took
                    return _create(conn, keyring, actor, wanted, kinds, given), True
            except _TakenError:
                continue
        known = profile.find(conn, keyring, owner)
        if known is not None:
            return known, False
    raise ConsentError("identifiers_conflict", "The identifiers keep changing hands. Ask again.")


def _create(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    wanted: Sequence[Reference],
    kinds: Mapping[str, bool],
    given: Mapping[str, str | None],
) -> dict[str, Any]:
    new = NewCustomer(uuid4(), wanted, **given)
    if len(store.claim(conn, keyring, dict.fromkeys(wanted, new.customer_id), kinds)) < len(wanted):
        raise _TakenError
    # Looked up after the claim: whoever erased the last owner has committed by now.
    if store.revive(conn, keyring, wanted) and actor.role not in profile.DESK:
        raise ConsentError("customer_erased", "Only the service desk brings an erased person back.")
    store_new(conn, keyring, actor, [new], source="api")
    return shown(new.customer_id, wanted, new)


def _owner_of_all(holders: Mapping[Reference, Holders], kinds: Mapping[str, bool]) -> UUID | None:
    """The customer who has all of them; None when nobody has one that says who it is."""
    exclusive = [ref for ref in holders if not kinds[ref.kind]]
    if not any(holders[ref].customer_ids for ref in exclusive or holders):
        return None
    owners = set.intersection(*(one.customer_ids for one in holders.values()))
    if len(owners) > 1:
        raise ConsentError("ambiguous_customer", "Several customers hold these identifiers. Add another one.")
    if not owners:
        raise ConsentError(
            "identifiers_conflict",
            "The identifiers are not all one customer's. Add to or merge that customer.",
        )
    return owners.pop()
