"""Gathers what the desk's templates show, for the customer's page and for the service desk's. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from markupsafe import Markup

from consent_service.catalogue.model import EVERY
from consent_service.catalogue.model import Notice as NoticeOfCatalogue
from consent_service.database import Connection
from consent_service.dials import looking
from consent_service.dials.desk import Desk, Turning, desk, turned, turnings
from consent_service.dials.looking import Act, Lifted
from consent_service.dials.outlook import outlook
from consent_service.dials.reach import Place
from consent_service.dials.saving import Conflict, Saved, undo_is_louder
from consent_service.dials.words import Sentences
from consent_service.i18n import Words
from consent_service.keyring.service import Keyring


@dataclass(frozen=True, slots=True)
class Told:
    """An act in words: the dials with their levels before and after, and whether undoing it is louder.

    Args:
        lifted: the channels that a stop held which was lifted, and whether it held all, or advertising only.
    """

    event_id: UUID
    recorded_at: datetime
    role: str
    name: str
    steps: tuple[tuple[Markup, Markup, Markup], ...]
    pause_ended: str | None
    lifted: tuple[Markup, bool] | None
    undo_is_louder: bool


@dataclass(frozen=True)
class Drawing:
    """A desk with its sentences.

    Args:
        others: what others made louder since the customer last looked, newest first.
        last: what was saved a moment ago; None: nothing to say.
        notice: to be shown with what is louder; None: the catalogue has none.
    """

    desk: Desk
    say: Sentences
    summary: list[tuple[Markup, Markup]]
    turnings: list[Turning]
    others: list[Told]
    last: Told | None
    notice: NoticeOfCatalogue | None
    conflicts: list[tuple[Markup, Markup, Markup, Markup]]

    @property
    def is_louder(self) -> bool:
        """Whether what is chosen needs the notice."""
        return any(one.louder for one in self.turnings)

    @property
    def now(self) -> datetime:
        """The moment that is shown."""
        return self.desk.facts.at


def draw(
    conn: Connection,
    keyring: Keyring,
    owner: UUID,
    words: Words,
    *,
    chosen: Mapping[Place, str] | None = None,
    last: UUID | None = None,
    saved: Saved | None = None,
) -> Drawing:
    """The desk of an active customer, in the caller's snapshot.

    Args:
        chosen: what is chosen and not saved; the summary is then what it would come to.
        last: an event of the customer's, to tell what was saved.
        saved: what could not be done.
    """
    found = looking.facts(conn, keyring, owner)
    shown = desk(found, chosen)
    say = Sentences(words, found.catalogue, found.at)
    changes = turnings(shown)
    reaches = turned(shown, {one.dial.place: one.new.value or None for one in changes}) if changes else None
    act = looking.act(conn, keyring, owner, last) if last is not None else None
    return Drawing(
        desk=shown,
        say=say,
        summary=say.summary(outlook(shown, reaches)),
        turnings=changes,
        others=[_told(say, shown, one) for one in looking.louder_by_others(conn, keyring, found, owner)],
        last=_told(say, shown, act) if act is not None else None,
        notice=looking.notice_of(found),
        conflicts=[_conflict(say, shown, one) for one in (saved.conflicts if saved is not None else ())],
    )


def _conflict(say: Sentences, shown: Desk, one: Conflict) -> tuple[Markup, Markup, Markup, Markup]:
    def level(name: str) -> Markup:
        return say.value(shown, one.place, name)

    return say.place(one.place), level(one.seen), level(one.standing), level(one.wanted)


def _lifted(say: Sentences, shown: Desk, lifted: Lifted) -> tuple[Markup, bool]:
    places = [(one or EVERY, EVERY) for one in lifted.channels(shown.facts.catalogue)]
    return say.listed([say.place(one) for one in places]), lifted.kind == "all"


def _told(say: Sentences, shown: Desk, act: Act) -> Told:
    return Told(
        act.event_id,
        act.recorded_at,
        act.actor["role"],
        act.actor["name"],
        tuple(
            (say.place(one.place), say.value(shown, one.place, one.before), say.value(shown, one.place, one.after))
            for one in act.steps
        ),
        act.paused[0] if act.paused is not None else None,
        _lifted(say, shown, act.lifted) if act.lifted is not None else None,
        undo_is_louder(shown, act),
    )
