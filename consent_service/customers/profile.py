"""What an active customer shows and may have changed: names, time zone, locale, segment; a token for them.

Every change is made under the customer's lock and leaves an event; what changes nothing leaves none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from consent_service.clock import format_time
from consent_service.customers import store, suppressions
from consent_service.customers.fields import check_fields
from consent_service.customers.model import FIELDS, MOST_IDENTIFIERS_OF_ONE, Reference
from consent_service.customers.service import (
    Locked,
    declared_kinds,
    require,
    require_locked,
    resolve,
    shown,
    unknown_customer,
)
from consent_service.customers.store import SQL
from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.history import service as history
from consent_service.history.model import Actor, Event
from consent_service.keyring.service import Keyring
from consent_service.keys import service as keys

DESK = ("desk", "admin")


def find(conn: Connection, keyring: Keyring, customer_id: UUID) -> dict[str, Any] | None:
    """The active customer as answers show it; None when there is none (any more)."""
    row = conn.run(SQL["show"], {"customer_id": customer_id}).fetchone()
    key = keyring.find(conn, [customer_id]).get(customer_id)
    if row is None or key is None:
        return None
    names = store.identifiers(conn, {customer_id: key})[customer_id]
    return {
        "id": str(customer_id),
        "identifiers": [ref.text for ref in names],
        **{name: row[name] for name in FIELDS},
    }


def show(conn: Connection, keyring: Keyring, actor: Actor, customer_id: UUID) -> dict[str, Any]:
    """The customer whom an id in a URL means.

    Raises:
        ConsentError: unknown_customer.
    """
    found = find(conn, keyring, require(conn, customer_id, actor))
    if found is None:  # erased within the last statement
        raise unknown_customer()
    return found


def look_up(conn: Connection, keyring: Keyring, reference: Reference) -> dict[str, Any]:
    """The customer whom a reference means.

    Raises:
        ConsentError: unknown_customer, also for an erased one; ambiguous_customer, unknown_identifier_kind.
    """
    customer_id = resolve(conn, keyring, reference).customer_id
    found = find(conn, keyring, customer_id) if customer_id is not None else None
    if found is None:
        raise unknown_customer()
    return found


def change(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    customer_id: UUID,
    given: Mapping[str, str | None],
) -> dict[str, Any]:
    """Sets the fields that `given` names, None clears one; the customer as it is then.

    Raises:
        ConsentError: unknown_customer, role_not_allowed when a customer gives a segment, and what
            check_fields raises.
    """
    if "segment" in given and actor.role not in DESK:
        raise ConsentError("role_not_allowed", "Only the service desk sets a segment.")
    check_fields(conn, given)  # before the lock: asking for a time zone takes its time
    locked = require_locked(conn, keyring, customer_id, actor)
    before: dict[str, str | None] = {name: getattr(locked, name) for name in FIELDS}
    after = before | dict(given)
    if after != before:
        row = store.one(conn, SQL["change"], {"customer_id": locked.customer_id, **after})
        details = {"before": before, "after": after, "source": _source(actor)}
        event = Event(locked.customer_id, "customer.changed", actor, row["changed_at"], details)
        history.record(conn, keyring, [event], keys={locked.customer_id: locked.key})
    names = store.identifiers(conn, {locked.customer_id: locked.key})[locked.customer_id]
    return {"id": str(locked.customer_id), "identifiers": [ref.text for ref in names], **after}


def add_identifier(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    customer_id: UUID,
    reference: Reference,
    *,
    is_confirmed: bool = False,
) -> tuple[dict[str, Any], bool]:
    """(the customer, whether the name is new to them); one that they have already changes nothing.

    Args:
        is_confirmed: whoever reads what is sent to it has just said so: an erased person may come back by it.

    Raises:
        ConsentError: unknown_customer, unknown_identifier_kind, invalid_value when there are too many names,
            identifiers_conflict when somebody else has it, customer_erased when an erased person had it and
            it is neither the desk nor they themselves who say so.
    """
    kinds = declared_kinds(conn, [reference])
    locked = require_locked(conn, keyring, customer_id, actor)
    names = store.identifiers(conn, {locked.customer_id: locked.key})[locked.customer_id]
    is_new = reference not in names
    if is_new:
        if len(names) >= MOST_IDENTIFIERS_OF_ONE:
            raise ConsentError("invalid_value", f"A customer has at most {MOST_IDENTIFIERS_OF_ONE} identifiers.")
        if not store.claim(conn, keyring, {reference: locked.customer_id}, kinds):
            raise ConsentError("identifiers_conflict", "Another customer has this identifier. Merge the two.")
        if store.revive(conn, keyring, [reference]) and actor.role not in DESK and not is_confirmed:
            raise ConsentError("customer_erased", "Only the service desk brings an erased person's name back.")
        _add(conn, keyring, actor, locked, reference)
        names = [*names, reference]
    return shown(locked.customer_id, names, locked), is_new


def _add(conn: Connection, keyring: Keyring, actor: Actor, locked: Locked, reference: Reference) -> None:
    own_key = {locked.customer_id: locked.key}
    added_at = store.insert_identifiers(conn, keyring, own_key, [(locked.customer_id, reference)])
    details = {"before": None, "after": {"identifier": reference.text}, "source": _source(actor)}
    event = Event(locked.customer_id, "identifier.added", actor, added_at, details)
    history.record(conn, keyring, [event], keys=own_key)


def remove_identifier(
    conn: Connection, keyring: Keyring, actor: Actor, customer_id: UUID, reference: Reference
) -> tuple[dict[str, Any], bool]:
    """(the customer, whether the name was theirs until now); one that is not theirs changes nothing.

    Whoever asks about the name then asks about somebody unknown, so that nothing is allowed which was not. It must
    not loosen a stop: one that stands on the name reaches the customer only through it, so the name stays until the
    desk has lifted the stop. The last name stays: nobody, the customer neither, could find them again.

    Raises:
        ConsentError: identifier_suppressed, last_identifier; role_not_allowed by a campaign's link; unknown_customer.
    """
    if actor.link is not None:
        raise ConsentError("role_not_allowed", "Contact details are only removed from your own link.")
    locked = require_locked(conn, keyring, customer_id, actor)
    names = store.identifiers(conn, {locked.customer_id: locked.key})[locked.customer_id]
    if reference not in names:
        return shown(locked.customer_id, names, locked), False
    if len(names) == 1:
        raise ConsentError("last_identifier", "It is the only one. Whoever wants to be gone is erased.")
    if suppressions.of_points(conn, keyring, [reference]):
        raise ConsentError("identifier_suppressed", "A stop stands on it, and reaches the customer through it.")
    _remove(conn, keyring, actor, locked, reference)
    return shown(locked.customer_id, [one for one in names if one != reference], locked), True


def _remove(conn: Connection, keyring: Keyring, actor: Actor, locked: Locked, reference: Reference) -> None:
    asked = {"customer_id": locked.customer_id, "kind": reference.kind}
    asked["value_hash"] = store.hash_of(conn, keyring, reference)
    row = store.one(conn, SQL["remove"], asked)
    store.give_back(conn, keyring, {reference: locked.customer_id})
    confirmed_at = format_time(row["confirmed_at"]) if row["confirmed_at"] else None
    before = {"identifier": reference.text, "confirmed_at": confirmed_at}
    details = {"before": before, "after": None, "source": _source(actor)}
    event = Event(locked.customer_id, "identifier.removed", actor, row["removed_at"], details)
    history.record(conn, keyring, [event], keys={locked.customer_id: locked.key})


def issue_token(conn: Connection, keyring: Keyring, actor: Actor, customer_id: UUID) -> dict[str, str]:
    """{token, expires_at}: a bearer token with which the desk acts as the customer, for one hour.

    It leaves an event: what is done with it stands in the customer's name.

    Raises:
        ConsentError: unknown_customer.
    """
    locked = require_locked(conn, keyring, customer_id, actor)
    row = store.one(conn, SQL["token_times"], {"seconds": keys.TOKEN_SECONDS})
    expires_at = format_time(row["expires_at"])
    details = {"after": {"expires_at": expires_at}, "source": "api"}
    event = Event(locked.customer_id, "token.issued", actor, row["issued_at"], details)
    history.record(conn, keyring, [event], keys={locked.customer_id: locked.key})
    return {
        "token": keys.mint_token(conn, keyring, locked.customer_id, actor.name),
        "expires_at": expires_at,
    }


def _source(actor: Actor) -> str:
    return "web" if actor.is_customer else "api"
