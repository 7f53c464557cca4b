"""Checks a whole database: that what stands agrees with itself, with history, and with its indexes.

It reads one snapshot, so a service that goes on working is no fault of it, and changes nothing. Customers are
told again a page at a time: memory holds a page, and one customer's ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from consent_service.database import Connection
from consent_service.database.inspecting import inspecting
from consent_service.database.migrate import MigrationError, differing
from consent_service.errors import ConsentError
from consent_service.fsck import store
from consent_service.fsck.comparing import Rows
from consent_service.fsck.model import BY_OPENING, BY_OWNER, BY_SQL, Report
from consent_service.fsck.nobody import Nobody
from consent_service.fsck.retelling import Retelling, Told
from consent_service.history.model import open_bytes
from consent_service.keyring.model import NOBODY, DataKey, InvalidTag
from consent_service.keyring.service import Keyring

PAGE = 200
ROLE = "consent_service"
Progress = Callable[[int], object]
WITHOUT_OWNER = "it needs the schema's owner: set CONSENT_MIGRATION_URL"


def check(
    service_url: str, owner_url: str | None, keyring: Keyring, *, quick: bool, progress: Callable[[int], Progress]
) -> Report:
    """All that is wrong with the database.

    Args:
        owner_url: login that owns the schema; None: what only it may look at is not checked.
        quick: SQL alone, without opening events.
        progress: is told the number of events that will be read and answers what to call with each few of them.

    Raises:
        Unavailable: the database does not answer.
        ConsentError: internal, when the root secret is not the one of this database.
    """
    with inspecting(service_url, role=ROLE) as conn:
        report = inspect(conn, keyring, quick=quick, progress=progress)
    _look_as_owner(owner_url, report)
    return report


def inspect(conn: Connection, keyring: Keyring, *, quick: bool, progress: Callable[[int], Progress]) -> Report:
    """What the service's own login can see, in the caller's snapshot."""
    report = Report(quick)
    report.customers, report.events = store.size(conn)
    for name in BY_SQL:
        report.look(name, store.violations(conn, name))
    if quick:
        report.not_checked.update(dict.fromkeys(BY_OPENING, "it opens every event; leave out --quick"))
    else:
        _open(conn, keyring, report, progress(report.events))
        report.checked += BY_OPENING
    return report


def _look_as_owner(owner_url: str | None, report: Report) -> None:
    if owner_url is None:
        report.not_checked.update(dict.fromkeys(BY_OWNER, WITHOUT_OWNER))
        return
    try:
        report.look("migrations_differ", differing(owner_url))
    except MigrationError as error:
        report.not_checked["migrations_differ"] = str(error)
    if report.quick:
        report.not_checked["index_does_not_match"] = "it reads every index; leave out --quick"
        return
    try:
        with inspecting(owner_url, read_only=False) as conn:
            report.look("index_does_not_match", store.mismatched_indexes(conn))
    except LookupError as error:
        report.not_checked["index_does_not_match"] = f"there is no amcheck: {error}"


def _open(conn: Connection, keyring: Keyring, report: Report, progress: Progress) -> None:
    service = keyring.service(conn)
    nobody = Nobody()
    for told in _opened(report, store.events(conn, {NOBODY: NOBODY}), {NOBODY: service.data_key}, progress):
        for check, one in nobody.hear(told):
            report.add(check, one)
        if len(nobody.erased) >= store.ROWS_AT_ONCE:
            _confirm_erased(conn, report, nobody)
    _confirm_erased(conn, report, nobody)
    for check, one in nobody.compare(
        points=store.everything(conn, "point_suppressions"),
        keys=store.everything(conn, "api_keys"),
        versions=store.everything(conn, "catalogue_versions"),
        erased=store.one(conn, "erased")["customers"],
    ):
        report.add(check, one)
    for row in store.everything(conn, "link_requests"):
        _try(report, "link_request_does_not_open", service.data_key, row["request_id"], row["ciphertext"])
    for page in store.owners(conn, PAGE):
        _tell_page(conn, keyring, report, {row["customer_id"]: row for row in page}, progress)


def _confirm_erased(conn: Connection, report: Report, nobody: Nobody) -> None:
    for one in store.not_erased(conn, nobody.take_erased()):
        report.add("erasure_differs_from_events", str(one))


def _tell_page(
    conn: Connection, keyring: Keyring, report: Report, owners: Mapping[UUID, Mapping[str, Any]], progress: Progress
) -> None:
    service = keyring.service(conn)

    def hashed(external_id: str) -> str:
        return service.identity_hash("external-id", external_id).hex()

    owned = store.lineages(conn, list(owners))
    keys = _keys(conn, keyring, report, owned)
    names = _names(conn, keyring, report, owners, keys)
    for table, check in _SEALED.items():
        _open_sealed(conn, report, owners, keys, (table, check))
    tables = {name: store.rows(conn, name, list(owners)) for name in _TABLES}
    opened = _opened(report, store.events(conn, owned), keys, progress)
    # Both are in the order of the owners' ids.
    told = {
        owner: _retold(Retelling(owner, hashed), some, report)
        for owner, some in groupby(opened, lambda told: owned[told.customer_id])
    }
    closed = {owner for one, owner in owned.items() if one not in keys}
    for owner, customer in owners.items():
        if owner in closed:
            continue  # found already: nothing can be told without the keys
        rows = Rows(customer, names[owner], **{name: tables[name].get(owner, []) for name in _TABLES})
        for check, one in told.get(owner, Retelling(owner, hashed)).compare(rows):
            report.add(check, one)


# What must open, and the check that says it does not.
_SEALED = {"mails": "mail_does_not_open", "circle": "circle_does_not_open"}
_TABLES = ("dials", "pauses", "suppressions", "permits", "contacts", "dialogues", "entries")


def _retold(retelling: Retelling, opened: Iterator[Told], report: Report) -> Retelling:
    for told in opened:
        try:
            retelling.hear(told)
        except (KeyError, TypeError, ValueError):
            # It is what was committed to, and does not say what its type has to say.
            report.add("event_does_not_open", str(told.event_id))
    return retelling


def _opened(
    report: Report, rows: Iterator[Mapping[str, Any]], keys: Mapping[UUID, DataKey], progress: Progress
) -> Iterator[Told]:
    for row in rows:
        progress(1)
        key = keys.get(row["customer_id"])
        if key is None or row["ciphertext"] is None:
            continue  # customer_without_key and event_without_content say so
        try:
            content = open_bytes(row["commitment"], key.open(row["ciphertext"], row["event_id"].bytes))
        except (InvalidTag, ValueError):
            report.add("event_does_not_open", str(row["event_id"]))
            continue
        yield Told(row["customer_id"], row["event_id"], row["type"], row["recorded_at"], content)


def _keys(conn: Connection, keyring: Keyring, report: Report, owned: Mapping[UUID, UUID]) -> Mapping[UUID, DataKey]:
    try:
        return keyring.find(conn, owned)
    except ConsentError:
        found: dict[UUID, DataKey] = {}
        for one in owned:
            try:
                found.update(keyring.find(conn, [one]))
            except ConsentError:
                report.add("key_does_not_open", str(one))
        return found


def _open_sealed(
    conn: Connection,
    report: Report,
    owners: Mapping[UUID, Mapping[str, Any]],
    keys: Mapping[UUID, DataKey],
    what: tuple[str, str],
) -> None:
    table, check = what
    for owner, rows in store.rows(conn, table, list(owners)).items():
        for row in rows if owner in keys else ():
            _try(report, check, keys[owner], row["id"], row["ciphertext"])


def _try(report: Report, check: str, key: DataKey, one: UUID, ciphertext: bytes) -> None:
    try:
        key.open(ciphertext, one.bytes)
    except InvalidTag:
        report.add(check, str(one))


def _names(
    conn: Connection,
    keyring: Keyring,
    report: Report,
    owners: Mapping[UUID, Mapping[str, Any]],
    keys: Mapping[UUID, DataKey],
) -> dict[UUID, dict[str, datetime | None]]:
    names: dict[UUID, dict[str, datetime | None]] = {owner: {} for owner in owners}
    service = keyring.service(conn)
    for owner, rows in store.rows(conn, "identifiers", list(owners)).items():
        for row in rows if owner in keys else ():
            kind, value_hash = row["kind"], bytes(row["value_hash"])
            try:
                value = keys[owner].open(row["ciphertext"], kind.encode() + b"\0" + value_hash).decode()
            except InvalidTag:
                report.add("identifier_does_not_open", str(owner))
                continue
            names[owner][f"{kind}:{value}"] = row["confirmed_at"]
            if service.identity_hash(kind, value) != value_hash:
                report.add("identifier_does_not_open", str(owner))
    return names
