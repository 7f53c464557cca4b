"""What a check of the whole database says: findings and what could not be looked at. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_IDS = 5

# Each check by name, with the sentence that it reports. Those of the first part are the statements of fsck.sql.
BY_SQL: Mapping[str, str] = {
    "merged_customer_without_survivor": "merged customers lead to nobody who is active",
    "merged_customer_keeps_something": "merged customers still have what belongs to their survivor",
    "erased_customer_keeps_something": "erased customers still have something",
    "customer_without_key": "customers have no data key: their names and history cannot be opened",
    "key_of_nobody": "data keys belong to nobody, or to somebody who was erased",
    "identifier_without_owner": "names do not stand where names are unique, or not as their kind asks",
    "owner_without_identifier": "names that are taken are no names of their customer",
    "erased_identifier_in_use": "names count as erased and as somebody's",
    "answer_of_nobody": "stored answers belong to customers who never were",
    "event_of_nobody": "events belong to customers who never were",
    "event_without_content": "events have no content",
    "content_without_event": "contents have no event",
    "customer_without_creation": "customers have not exactly one event of their creation",
    "version_differs_from_events": "versions are not the number of changes in history",
    "dial_without_its_event": "dials do not name the event that turned them",
    "last_turn_stands_nowhere": "the newest turn of a customer is not what any of their dials says",
    "pause_without_its_event": "pauses do not name the event that set them",
    "last_pause_stands_nowhere": "the newest pause of a customer is not there",
    "suppression_without_its_event": "suppressions do not name the event that set them",
    "permit_without_its_event": "permits do not name the event that reserved them",
    "contact_without_its_event": "contacts do not name the event that recorded them",
    "mail_without_its_event": "mails that were sent or given up do not name the event that says so",
    "pending_change_without_its_event": "what waits for a confirmation does not name the events that say so",
    "dialogue_without_its_event": "dialogues do not name the event that opened them",
    "entry_without_its_event": "entries of dialogues do not name the event that says what was said",
    "entries_out_of_order": "dialogues do not begin with their opening, have gaps, or are not closed as they say",
    "event_without_its_entry": "what was said in history has not exactly one entry",
    "person_without_its_event": "named people do not name the event that says that somebody was named",
    "fact_without_its_event": "facts do not name the event that told or changed them",
    "event_without_its_permit": "reservations in history have not exactly one permit",
    "event_without_its_contact": "contacts in history are not exactly once in the ledger",
    "used_permit_without_its_contact": "used permits and their contacts do not agree",
    "contact_without_its_permit": "contacts name a permit that was not used for them",
    "times_out_of_order": "permits or contacts have times that cannot follow each other",
    "desk_session_of_a_wrong_key": "agents are signed in with a key that is none of the desk's, or before they began",
    "unknown_name": "settings or contacts stand on a channel or topic that the catalogue does not have",
    "cap_exceeded": "grants had no room under a dial or policy that has not changed since",
    "catalogue_is_not_its_newest_version": "the catalogue that holds is not the newest one that was applied",
    "index_not_valid": "indexes are not valid: rebuild them with REINDEX",
    "constraint_not_validated": "constraints are not validated",
    "trigger_switched_off": "triggers that keep history append-only are off or gone",
}
BY_OWNER: Mapping[str, str] = {
    "migrations_differ": "the schema is not the one of this version: run `consent-service migrate`, or a newer version",
    "index_does_not_match": "indexes do not hold what their tables hold: rebuild them with REINDEX",
}
BY_OPENING: Mapping[str, str] = {
    "key_does_not_open": "data keys do not open with the root secret",
    "event_does_not_open": "events do not open, or their content is not what was committed to",
    "mail_does_not_open": "mails that wait, changes that wait for a confirmation, or subjects of dialogues do not open",
    "circle_does_not_open": "named people, or facts that were told, do not open",
    "link_request_does_not_open": "requests for a link that wait to be looked up do not open",
    "identifier_does_not_open": "names do not open, or are found under another hash",
    "customer_differs_from_events": "time zone, locale, segment, names or confirmations are not what history says",
    "dial_differs_from_events": "dials are not what the last event about their place says",
    "pause_differs_from_events": "pauses are not what history says",
    "suppression_differs_from_events": "suppressions are not what history says",
    "permit_differs_from_events": "permits are not what history says",
    "contact_differs_from_events": "contacts are not what history says",
    "dialogue_differs_from_events": "dialogues, their terms or entries are not what history says",
    "granted_over_a_cap": "a grant counted less than what the ledger held, or had no room",
    "granted_against_a_dial": "a grant did not heed the dials that stood",
    "granted_under_a_stop": "something was granted during a pause or under a suppression",
    "key_differs_from_events": "API keys are not what history says",
    "erasure_differs_from_events": "erasures in history and erased customers are not the same",
    "catalogue_differs_from_events": "versions of the catalogue are not what history says",
}
MEANINGS = {**BY_SQL, **BY_OWNER, **BY_OPENING}


@dataclass
class Finding:
    """What one check found. `ids` are the first few: ids of rows, never anything of a person."""

    check: str
    found: int = 0
    ids: list[str] = field(default_factory=list)

    def add(self, one: str) -> None:
        """Counts one more, and keeps its id while there are few."""
        self.found += 1
        if len(self.ids) < MOST_IDS and one not in self.ids:
            self.ids.append(one)

    @property
    def meaning(self) -> str:
        """What it means, as a sentence that follows the number."""
        return MEANINGS[self.check]


@dataclass
class Report:
    """All that was looked at, and what was found.

    Args:
        not_checked: why, by check.
    """

    quick: bool
    customers: int = 0
    events: int = 0
    checked: list[str] = field(default_factory=list)
    not_checked: dict[str, str] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)

    def look(self, check: str, ids: Iterable[str]) -> None:
        """Notes a check that was made and what it found."""
        self.checked.append(check)
        for one in ids:
            self.add(check, one)

    def add(self, check: str, one: str) -> None:
        """Notes one violation."""
        self.findings.setdefault(check, Finding(check)).add(one)

    @property
    def clean(self) -> bool:
        """True when nothing was found."""
        return not self.findings

    def shown(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "clean": self.clean,
            "quick": self.quick,
            "customers": self.customers,
            "events": self.events,
            "findings": [
                {"check": one.check, "found": one.found, "ids": one.ids, "meaning": one.meaning}
                for one in self.findings.values()
            ],
            "checked": self.checked,
            "not_checked": self.not_checked,
        }

    def lines(self) -> Iterator[str]:
        """The report for people."""
        for one in self.findings.values():
            more = ", …" if one.found > len(one.ids) else ""
            yield f"{one.check}: {one.found}: {one.meaning} ({', '.join(one.ids)}{more})"
        for check, why in self.not_checked.items():
            yield f"{check}: not checked: {why}"
        what = f"{len(self.checked)} checks over {self.customers} customers and {self.events} events"
        yield f"{what}: {'all is well' if self.clean else f'{len(self.findings)} of them found something'}."
