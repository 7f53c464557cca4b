"""Contacts that were made without asking: recorded whatever the answer, and marked with it.

Counted at `contacted_at`, judged by the settings of now. An unknown person becomes a customer without dials; of
an erased one only a total per day is kept. Must never refuse to record what was really sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from consent_service.clock import format_time
from consent_service.customers.ids import encode_id
from consent_service.customers.model import Reference, parse_reference
from consent_service.customers.service import Locked, Resolved, create_unknown_many
from consent_service.database import Connection
from consent_service.errors import ConsentError
from consent_service.history import service as history
from consent_service.history.model import Actor, Event
from consent_service.keyring.service import Keyring
from consent_service.permissions import store
from consent_service.permissions.model import Decision, Question, Report, Scope
from consent_service.permissions.rounds import rounds
from consent_service.permissions.taking import Page, hold

MOST_AHEAD = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Reported:
    """What became of a report; `contact_id` None: of an erased person only a total is kept.

    `new` is False for a report that had come before.
    """

    contact_id: str | None
    permitted: bool
    reason: str
    new: bool = True

    def shown(self) -> dict[str, Any]:
        """As the API shows it."""
        return {"id": self.contact_id, "permitted": self.permitted, "reason": self.reason}


@dataclass
class _Row:
    """One report on its way."""

    place: int
    report: Report
    who: Resolved
    new: bool = False


def report_many(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    reports: Sequence[Report | ConsentError],
    *,
    now: datetime | None = None,
) -> list[Reported | ConsentError]:
    """Records contacts that were made; what became of each, or its error, in the order given.

    The same `external_id` again (per customer and key name) answers with the first record.
    """
    results: list[Reported | ConsentError | None] = [
        report if isinstance(report, ConsentError) else None for report in reports
    ]
    now = now or store.now(conn)
    live = []
    for place, report in enumerate(reports):
        if isinstance(report, ConsentError):
            continue
        if report.contacted_at > now + MOST_AHEAD:
            results[place] = ConsentError("invalid_timestamp", "A contact that was made lies in the past.")
        else:
            live.append((place, replace(report, contacted_at=min(report.contacted_at, now))))
    live.sort(key=lambda row: (row[1].contacted_at, row[0]))
    rows, locked = _who(conn, keyring, actor, live, Scope.of(actor))
    for row in rows:
        results[row.place] = row.who.error
    judged = [row for row in rows if row.who.error is None]
    for positions in rounds([row.who.customer_id for row in judged]):
        _record(conn, keyring, actor, [judged[position] for position in positions], locked, results)
    return [result for result in results if result is not None]


def _who(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    live: Sequence[tuple[int, Report]],
    scope: Scope,
) -> tuple[list[_Row], dict[UUID, Locked]]:
    """Who was contacted, locked; unknown people of rows that can be recorded become customers."""
    references = [report.customer for _, report in live]
    found, locked = hold(conn, keyring, references)
    rows = [_Row(place, report, who) for (place, report), who in zip(live, found, strict=True)]
    unknown = [row for row in rows if row.who.error is None and row.who.state == "unknown"]
    if not unknown:
        return rows, locked
    for row, error in zip(unknown, _unaskable(conn, unknown, scope), strict=True):
        if error is not None:
            row.who = replace(row.who, error=error)
    newcomers: dict[Reference, list[_Row]] = {}
    for row in unknown:
        if row.who.error is None:
            if row.who.kind is None:
                row.who = replace(row.who, error=ConsentError("unknown_customer", "No customer has this id."))
            else:
                newcomers.setdefault(parse_reference(row.report.customer), []).append(row)
    create_unknown_many(conn, keyring, actor, list(newcomers), source="api")
    again, locked_again = hold(conn, keyring, [row.report.customer for many in newcomers.values() for row in many])
    for row, who in zip((row for many in newcomers.values() for row in many), again, strict=True):
        row.who, row.new = who, row is newcomers[parse_reference(row.report.customer)][0]
    return rows, {**locked, **locked_again}


def _unaskable(conn: Connection, rows: Sequence[_Row], scope: Scope) -> list[ConsentError | None]:
    decisions = _decide(conn, rows, scope)
    return [decision if isinstance(decision, ConsentError) else None for decision in decisions]


def _decide(conn: Connection, rows: Sequence[_Row], scope: Scope) -> list[Decision | ConsentError]:
    return store.decide(
        conn,
        [Question(row.report.customer, row.report.channel, row.report.topic, row.report.contacted_at) for row in rows],
        [row.who for row in rows],
        scope=scope,
        accept_retired=True,
        bounded=False,
    )


def _record(
    conn: Connection,
    keyring: Keyring,
    actor: Actor,
    rows: Sequence[_Row],
    locked: Mapping[UUID, Locked],
    results: list[Reported | ConsentError | None],
) -> None:
    page, erased = Page(), list[datetime]()
    # As a keyed hash: the sender's own id of a contact may well be an address or a customer's number.
    service = keyring.service(conn)
    hashes = [service.identity_hash("external-id", row.report.external_id).hex() for row in rows]
    known = store.reported(
        conn,
        actor.name,
        [
            (row.who.customer_id, external)
            for row, external in zip(rows, hashes, strict=True)
            if row.who.customer_id is not None
        ],
    )
    for row, external, decision in zip(rows, hashes, _decide(conn, rows, Scope.of(actor)), strict=True):
        if isinstance(decision, ConsentError):
            results[row.place] = decision
        elif decision.customer_id is None:
            erased.append(row.report.contacted_at)
            results[row.place] = Reported(None, False, "erased")
        elif first := known.get((decision.customer_id, external)):
            known_id = encode_id(decision.customer_id, first["contact_id"])
            results[row.place] = Reported(known_id, first["permitted"], first["reason"], new=False)
        else:
            results[row.place] = _add(page, actor, row, external, decision)
    store.insert(conn, "insert_contacts", page.contacts)
    if erased:
        store.count_erased(conn, erased)
    history.record(conn, keyring, page.events, keys={one.customer_id: one.key for one in locked.values()})


def _add(page: Page, actor: Actor, row: _Row, external: str, decision: Decision) -> Reported:
    assert decision.customer_id is not None
    contact_id = uuid7()
    permitted = decision.allowed and not row.new
    reason = "unknown_customer" if row.new else decision.reason
    details = {
        "channel": row.report.channel,
        "topic": row.report.topic,
        "campaign": row.report.campaign,
        "source": "api",
        "occurred_at": format_time(decision.instant),
        "contact_id": encode_id(decision.customer_id, contact_id),
        "contacted_at": format_time(decision.instant),
        "external_id": row.report.external_id,
        "permitted": permitted,
        "reason": reason,
        "decision": decision.shown(),
    }
    event = Event(decision.customer_id, "contact.reported", actor, decision.decided_at, details)
    page.events.append(event)
    page.contacts.append(
        {
            "customer_id": decision.customer_id,
            "contact_id": contact_id,
            "key_name": actor.name,
            "channel": row.report.channel,
            "topic": row.report.topic,
            "campaign": row.report.campaign,
            "contacted_at": decision.instant,
            "recorded_at": decision.decided_at,
            "permit_id": None,
            "external_id": external,
            "permitted": permitted,
            "reason": reason,
            "counts": decision.counts,
            "dialogue_id": decision.dialogue_id,
            "milestone_id": decision.milestone_id,
            "event_id": event.event_id,
        }
    )
    return Reported(encode_id(decision.customer_id, contact_id), permitted, reason)
