"""Invitations: a link that a customer passes on to somebody whom they named, and what that person answers.

A link stores nothing and is bound to one person. What was answered before changes nothing of what the page shows or
does: whoever else holds the link, the customer among them, learns nothing by it. A yes makes a new customer, silent but
for what they chose, whom nobody can reach until they have confirmed their address; or it is said by a customer on a
visit of their own. History of the customer who asked says nothing of an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from consent_service.catalogue.model import EVERY, Catalogue, Topic, covers
from consent_service.catalogue.service import hold_catalogue, load_catalogue
from consent_service.confirmations import service as confirmations
from consent_service.customers.model import Reference
from consent_service.customers.service import Locked, lock_many, store_new, survivors
from consent_service.customers.store import NewCustomer
from consent_service.database import Connection
from consent_service.dialogues import people
from consent_service.dialogues.persons import A_DAY, MOST_ANSWERS, Person, Yes
from consent_service.dials import service as dials
from consent_service.dials.model import Change, Notice, Wish
from consent_service.errors import ConsentError
from consent_service.history import service as history
from consent_service.history.model import Actor, Event
from consent_service.keyring.service import Keyring
from consent_service.keys import service as keys
from consent_service.links.model import Link, path_of
from consent_service.links.service import box, open_link

# From one address of the network, whatever is answered.
MOST_A_MINUTE = 10


@dataclass(frozen=True, slots=True)
class Invited:
    """What the page of an invitation shows. `shown_as`: who asks; None: they are not to be shown."""

    shown_as: str | None
    catalogue: Catalogue | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Choice:
    """What a new customer chose: their address, levels by topic, the notice that was shown, their language."""

    address: Reference
    levels: dict[str, str]
    notice: Notice | None
    locale: str
    tells: bool


def link_of(conn: Connection, keyring: Keyring, held: Locked, person_id: UUID, minted_at: datetime) -> str:
    """The path of an invitation."""
    link = Link("invitation", held.customer_id, minted_at, subject=person_id)
    return path_of(link.purpose, box(conn, keyring).write(link))


def follow(conn: Connection, keyring: Keyring, token: str) -> tuple[UUID, UUID]:
    """(who named somebody, the person) of a link.

    Raises:
        ConsentError: not_found, for whatever is wrong with it.
    """
    opened = open_link(conn, keyring, "invitation", token)
    if opened is None or opened.is_erased or opened.link.subject is None:
        raise ConsentError("not_found")
    return opened.customer_id, opened.link.subject


def show(conn: Connection, keyring: Keyring, invitation: tuple[UUID, UUID]) -> Invited:
    """What the page shows, the same whatever was answered.

    Raises:
        ConsentError: not_found, when it is none any more: the person was taken back, the dialogue has ended.
    """
    owner = _owner(conn, invitation[0])
    key = keyring.find(conn, [owner]).get(owner)
    row = conn.run(people.SQL["find"], {"customer_id": owner, "person_id": invitation[1]}).fetchone()
    if key is None or row is None:
        raise ConsentError("not_found")
    person = Person.opened(key, row)
    at = _require_open(conn, owner, person)
    return Invited(person.shown_as, load_catalogue(conn), at)


def topics_to_choose(catalogue: Catalogue) -> list[Topic]:
    """The topics that are turned by themselves: what consent or interest governs, without those below another one."""
    governed = [one for one in catalogue.live_topics.values() if not one.essential]
    return [one for one in governed if not any(other is not one and covers(other.name, one.name) for other in governed)]


def say_yes_as_new(
    conn: Connection, keyring: Keyring, invitation: tuple[UUID, UUID], choice: Choice, *, request_id: str
) -> None:
    """Makes a customer of whoever says yes, silent but for what they chose, and sends a mail to confirm their address.

    Whether somebody has the address already is not looked at here: who confirms it is told.

    Raises:
        ConsentError: not_found, rate_limited, notice_required, unknown_level, unknown_topic.
    """
    hold_catalogue(conn)
    held, person, now = _held(conn, keyring, invitation, [])
    said = [one for one in person.said_yes if now - one.said_at < A_DAY]
    if len(said) >= MOST_ANSWERS:
        raise ConsentError("rate_limited", "This was answered too often.", headers={"Retry-After": "86400"})
    new = NewCustomer(uuid4(), [], locale=choice.locale)
    actor = Actor("customer", str(new.customer_id), request_id, customer_id=new.customer_id)
    store_new(conn, keyring, actor, [new], source="link")
    _turn(conn, keyring, actor, new.customer_id, choice)
    confirmations.ask_address(conn, keyring, actor, new.customer_id, choice.address, locale=choice.locale)
    _join(conn, keyring, actor, held, person, Yes(new.customer_id, now, choice.tells, known=False))


def say_yes(conn: Connection, keyring: Keyring, actor: Actor, invitation: tuple[UUID, UUID], *, tells: bool) -> None:
    """A customer says yes on a visit of their own. Their dials stay; who invited themself is nobody new.

    Raises:
        ConsentError: not_found.
    """
    assert actor.customer_id is not None
    themself = _owner(conn, actor.customer_id)
    held, person, now = _held(conn, keyring, invitation, [themself])
    if themself != held.customer_id:
        _join(conn, keyring, actor, held, person, Yes(themself, now, tells, known=True))


def say_no(conn: Connection, keyring: Keyring, invitation: tuple[UUID, UUID]) -> None:
    """Nobody keeps again the contact detail that the person was named by, and a yes that was said is taken back.

    Raises:
        ConsentError: not_found.
    """
    held, person, _ = _held(conn, keyring, invitation, [])
    people.refuse_naming(conn, person)
    people.store(conn, held, replace(person, said_yes=()))


def count_answer(conn: Connection, keyring: Keyring, client_address: str) -> None:
    """Counts an answer from an address of the network.

    Raises:
        ConsentError: rate_limited, when there were too many.
    """
    client = keyring.service(conn).identity_hash("invitation-client", client_address).hex()
    used, resets_in_seconds = keys.count_request(conn, f"invitations:{client}")
    if used > MOST_A_MINUTE:
        raise ConsentError("rate_limited", headers={"Retry-After": str(resets_in_seconds)})


def _held(
    conn: Connection, keyring: Keyring, invitation: tuple[UUID, UUID], others: Sequence[UUID]
) -> tuple[Locked, Person, datetime]:
    """(who asked, locked together with others; the person; the time)"""
    owner = _owner(conn, invitation[0])
    held = lock_many(conn, keyring, [owner, *others]).get(owner)
    if held is None:
        raise ConsentError("not_found")
    person = people.find(conn, held, invitation[1])
    return held, person, _require_open(conn, held.customer_id, person)


def _owner(conn: Connection, customer_id: UUID) -> UUID:
    found = survivors(conn, [customer_id]).get(customer_id)
    if found is None:
        raise ConsentError("not_found")
    return found


def _require_open(conn: Connection, owner: UUID, person: Person) -> datetime:
    """An invitation ends with its dialogue."""
    try:
        return people.require_open(conn, owner, person.dialogue_id)
    except ConsentError as error:
        raise ConsentError("not_found") from error


def _turn(conn: Connection, keyring: Keyring, actor: Actor, customer_id: UUID, choice: Choice) -> None:
    catalogue = load_catalogue(conn)
    if catalogue is None:
        return
    silent = next(one.name for one in catalogue.levels.values() if one.is_silent)
    topics = [one.name for one in topics_to_choose(catalogue)]
    if unknown := choice.levels.keys() - set(topics):
        raise ConsentError("unknown_topic", f"{len(unknown)} of the topics are not on the page any more.")
    changes = tuple(Change(EVERY, name, choice.levels.get(name, silent)) for name in topics)
    if changes:
        dials.turn(conn, keyring, actor, customer_id, Wish(changes, "link", notice=choice.notice))


def _join(conn: Connection, keyring: Keyring, actor: Actor, held: Locked, person: Person, yes: Yes) -> None:
    """Remembers who said yes, the newest few; in their own history, without a word of who asked. Again: nothing."""
    if any(
        (one.customer_id, one.tells, one.known) == (yes.customer_id, yes.tells, yes.known) for one in person.said_yes
    ):
        return
    earlier = [one for one in person.said_yes if one.customer_id != yes.customer_id]
    said_yes = (*earlier, yes)[-MOST_ANSWERS:]
    people.store(conn, held, replace(person, said_yes=said_yes))
    details: dict[str, Any] = {"source": "link", "tells_who_asked": yes.tells}
    history.record(conn, keyring, [Event(yes.customer_id, "invitation.accepted", actor, yes.said_at, details)])
