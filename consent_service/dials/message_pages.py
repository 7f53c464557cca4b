"""Pages: what a link in a message leads to. Less, or nothing; one step less; one step more.

Showing changes nothing, for mail programs open links. Turning down is one click after the link, asks for no reason and
is never refused. Turning up shows its notice on the same page; by a link that a campaign minted it waits for a mail.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from flask import Blueprint, g, redirect, request
from werkzeug.wrappers import Response

from consent_service.catalogue.model import EVERY
from consent_service.catalogue.model import Notice as NoticeOfCatalogue
from consent_service.catalogue.service import hold_catalogue
from consent_service.confirmations import service as confirmations
from consent_service.customers.service import lineage, require, require_locked
from consent_service.database import Connection
from consent_service.dials import looking, service, steps
from consent_service.dials.model import Change, Notice, Wish
from consent_service.dials.steps import Step, Subject, subject
from consent_service.dials.words import Sentences
from consent_service.errors import ConsentError
from consent_service.history import service as history
from consent_service.i18n import Words
from consent_service.web.pages import customer_page, desk_visit, render, speaking
from consent_service.web.parts import parts

blueprint = Blueprint("message", __name__, template_folder="templates")

PAUSES = ("30-days", "3-months")
A_DAY = timedelta(days=1)
LONGEST_CHOICE = 200
SAME = "same"  # stands for the receipt where nothing had to change


@blueprint.get("/unsubscribe")
@customer_page
def unsubscribe() -> Any:
    """Less or nothing, in this order and with equal weight; or what was done a moment ago."""
    return _shown("dials/unsubscribe.html", _offers)


@blueprint.post("/unsubscribe")
@customer_page
def do_unsubscribe() -> Any:
    """Does what was chosen."""
    choice = request.form.get("to", "")[:LONGEST_CHOICE]

    def work(conn: Connection) -> UUID | None:
        about = _about(conn)
        kind, _, value = choice.partition(":")
        if kind == "pause" and value in PAUSES:
            return _pause(conn, about, value)
        return _turn_down(conn, _chosen(about, kind, value))

    return _done("/unsubscribe", parts().database.repeatedly(work))


@blueprint.get("/quieter")
@customer_page
def quieter() -> Any:
    """One step less, asked."""
    return _shown("dials/quieter.html", lambda about, _: {"step": steps.less(about)})


@blueprint.post("/quieter")
@customer_page
def do_quieter() -> Any:
    """One step less, done: down to the level that the page showed, however often it is sent."""
    wanted = request.form.get("to", "")

    def work(conn: Connection) -> UUID | None:
        about = _about(conn)
        known = (*steps.quieter(about), steps.nothing_about(about))
        return _turn_down(conn, next((one for one in known if one.level.name == wanted), None))

    return _done("/quieter", parts().database.repeatedly(work))


@blueprint.get("/louder")
@customer_page
@desk_visit
def louder() -> Any:
    """One step more, asked, with the notice."""
    return _shown("dials/louder.html", _louder)


@blueprint.post("/louder")
@customer_page
@desk_visit
def do_louder() -> Any:
    """One step more, done: unless the dials have been turned since the page was shown."""

    def work(conn: Connection) -> str:
        about = _about(conn)
        step = steps.more(about)
        if step is None or (step.level.name, _written(step)) != (request.form.get("to"), request.form.get("dials")):
            return "meanwhile=1"
        try:
            with conn.transaction():  # a savepoint: what is refused here may wait for a mail instead
                return f"saved={_turn(conn, step.changes, _notice_shown()) or SAME}"
        except ConsentError as error:
            if error.code != "confirmation_required":
                raise
            asked = _ask(conn, step)
            return "waiting=1" if asked == "asked" else f"unasked={asked}"

    return redirect(f"/louder?{parts().database.repeatedly(work)}", 303)


def _shown(template: str, more: Callable[[Subject, Words], dict[str, Any]]) -> Any:
    saved = _event_asked_for()
    with parts().database.snapshot() as conn:
        owner = require(conn, g.visit.customer_id, g.actor)
        facts = looking.facts(conn, parts().keyring, owner)
        act = looking.act(conn, parts().keyring, owner, saved) if saved else None
        words = speaking()
        pending = confirmations.waiting(conn, parts().keyring, owner, words, kind="louder")
    about = subject(facts, g.visit.channel, g.visit.topic)
    values: dict[str, Any] = {
        "about": about,
        "says": Sentences(words, facts.catalogue, facts.at),
        "levels": facts.catalogue.levels,
        "rest": facts.rest,
        "act": act,
        "same": request.args.get("saved") == SAME,
        "meanwhile": "meanwhile" in request.args,
        "pending": pending,
        "unasked": request.args.get("unasked", ""),
        "paused": _paused(about),
    }
    return render(template, **values, **({} if act else more(about, words)))


def _event_asked_for() -> UUID | None:
    asked = request.args.get("saved", SAME)
    if asked == SAME:
        return None
    try:
        return UUID(asked)
    except ValueError as error:
        raise ConsentError("not_found") from error


def _offers(about: Subject, words: Words) -> dict[str, Any]:
    until = {name: _until(name, about.facts.at) for name in PAUSES}
    ends = about.facts.pauses.get(EVERY)
    return {
        "quieter": steps.quieter(about),
        "nothing_about": steps.nothing_about(about),
        "nothing_by": steps.nothing_by(about) if about.topic else None,
        # A pause that is on is never shortened here, and hours more are no offer.
        "pauses": {name: words.date(at) for name, at in until.items() if ends is None or at - ends > A_DAY},
    }


def _louder(about: Subject, words: Words) -> dict[str, Any]:
    step = steps.more(about)
    notice = looking.notice_of(about.facts)
    return {
        "step": step,
        "dials": _written(step) if step else "",
        "notice": notice,
        "notice_locale": _locale_of(notice, words),
        "by_campaign": g.visit.link is not None,
    }


def _locale_of(notice: NoticeOfCatalogue | None, words: Words) -> str:
    """The language in which the notice is shown, for the page and for the record."""
    return (words.language_of(notice.text) or words.locale) if notice else ""


def _written(step: Step) -> str:
    """Which dials a step turns: what the page showed is compared with what it would be when it is sent."""
    return " ".join(f"{one.channel}:{one.topic}" for one in step.changes)


def _paused(about: Subject) -> datetime | None:
    names = [EVERY, *([about.channel.name] if about.channel else [])]
    return max((about.facts.pauses[name] for name in names if name in about.facts.pauses), default=None)


def _until(name: str, now: datetime) -> datetime:
    """When a pause that begins now ends; on the last of a month that has no such day."""
    if name == "30-days":
        return now + timedelta(days=30)
    more, month = divmod(now.month + 2, 12)
    last = calendar.monthrange(now.year + more, month + 1)[1]
    return now.replace(year=now.year + more, month=month + 1, day=min(now.day, last))


def _about(conn: Connection) -> Subject:
    """What the message was about as things stand, under the customer's lock."""
    hold_catalogue(conn)
    owner = require_locked(conn, parts().keyring, g.visit.customer_id, g.actor).customer_id
    return subject(looking.facts(conn, parts().keyring, owner), g.visit.channel, g.visit.topic)


def _chosen(about: Subject, kind: str, value: str) -> Step | None:
    """What a choice of the page means by now; None for a level that is not below what is heard any more.

    Raises:
        ConsentError: invalid_value, for what no page offers.
    """
    if kind == "level" and value in about.facts.catalogue.levels:
        return next((one for one in steps.quieter(about) if one.level.name == value), None)
    found = {"topic": steps.nothing_about(about), "channel": steps.nothing_by(about)}.get(kind)
    if found is None:
        raise ConsentError("invalid_value", "There is no such choice on the page.")
    return found


def _turn_down(conn: Connection, step: Step | None) -> UUID | None:
    return _turn(conn, step.changes, None) if step is not None else None


def _turn(conn: Connection, changes: tuple[Change, ...], notice: Notice | None) -> UUID | None:
    """The event of it; None when it stood so already."""
    wish = Wish(changes, "link", notice=notice)
    turned = service.turn(conn, parts().keyring, g.actor, g.visit.customer_id, wish)
    return _last_event(conn) if turned else None


def _ask(conn: Connection, step: Step) -> str:
    owner, locale = g.visit.customer_id, speaking().locale
    return confirmations.ask_if_possible(
        conn, parts().keyring, g.actor, owner, step.changes, notice=_notice_shown(), locale=locale, source="link"
    )


def _pause(conn: Connection, about: Subject, name: str) -> UUID | None:
    until, ends = _until(name, about.facts.at), about.facts.pauses.get(EVERY)
    if ends is not None and ends >= until:
        return None
    service.pause(conn, parts().keyring, g.actor, g.visit.customer_id, EVERY, until)
    return _last_event(conn)


def _last_event(conn: Connection) -> UUID:
    owner = require(conn, g.visit.customer_id, g.actor)
    return UUID(history.page(conn, parts().keyring, lineage(conn, owner), most=1)[0]["id"])


def _notice_shown() -> Notice | None:
    shown = [request.form.get(f"notice_{name}", "") for name in ("id", "version", "locale")]
    return Notice(*shown) if all(shown) else None


def _done(path: str, event_id: UUID | None) -> Response:
    return redirect(f"{path}?saved={event_id or SAME}", 303)
