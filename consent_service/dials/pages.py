"""Pages: the mixing desk. One page, one save; every change is a POST through the service, as the customer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from flask import Blueprint, Response, g, redirect, request

from consent_service.clock import parse_time
from consent_service.confirmations.service import ask_if_possible
from consent_service.confirmations.service import waiting as pending_of
from consent_service.customers.service import require
from consent_service.database import Connection
from consent_service.dials import forms, saving, store
from consent_service.dials.drawing import draw
from consent_service.dials.model import Change, Notice
from consent_service.dials.reach import Place
from consent_service.dials.saving import Chosen, Said, Saved
from consent_service.web.pages import customer_page, desk_visit, render, speaking
from consent_service.web.parts import parts

blueprint = Blueprint("desk", __name__, template_folder="templates")
HOME = "/preferences"
Answer = TypeVar("Answer")


@blueprint.get(HOME)
@customer_page
@desk_visit
def show() -> Response:
    """The desk as it stands."""
    return _page()


@blueprint.post("/preferences/check")
@customer_page
@desk_visit
def check() -> Response:
    """What a choice would come to, before it is saved; changes nothing."""
    chosen = _chosen()
    return _page("dials/check.html", chosen=dict(chosen.wanted), form=chosen)


@blueprint.post("/preferences/edit")
@customer_page
@desk_visit
def edit() -> Response:
    """Back to the desk with what is chosen and not saved."""
    return _page(chosen=dict(_chosen().wanted))


@blueprint.post(HOME)
@customer_page
@desk_visit
def save() -> Any:
    """Saves what was changed."""
    chosen, said = _chosen(), Said(notice=forms.notice(request.form))

    def work(conn: Connection, owner: UUID) -> tuple[Saved, str]:
        saved = saving.save(conn, parts().keyring, g.actor, owner, chosen, said)
        return saved, _ask(conn, owner, saved.waiting, said.notice)

    return _after(*_act(work))


@blueprint.post("/preferences/undo")
@customer_page
@desk_visit
def undo() -> Any:
    """Takes back what an event turned."""
    event_id, said = forms.event_id(request.form), Said(notice=forms.notice(request.form))
    only_quieter = "quieter" in request.form

    def work(conn: Connection, owner: UUID) -> tuple[Saved, str]:
        saved = saving.undo(conn, parts().keyring, g.actor, owner, event_id, said, quieter=only_quieter)
        return saved, _ask(conn, owner, saved.waiting, said.notice)

    return _after(*_act(work))


@blueprint.post("/preferences/quieter")
@customer_page
@desk_visit
def quieter() -> Any:
    """Everything that is heard, one level quieter."""
    return _after(_act(lambda conn, owner: saving.quieter_everything(conn, parts().keyring, g.actor, owner, Said())))


@blueprint.post("/preferences/nothing")
@customer_page
@desk_visit
def nothing() -> Any:
    """Nothing at all any more."""
    return _after(_act(lambda conn, owner: saving.nothing_at_all(conn, parts().keyring, g.actor, owner, Said())))


@blueprint.post("/preferences/seen")
@customer_page
@desk_visit
def seen() -> Any:
    """What others turned may stay so."""
    _act(lambda _conn, _owner: None)
    return redirect(HOME, 303)


@blueprint.post("/preferences/pause")
@customer_page
@desk_visit
def pause() -> Any:
    """Nothing until then, by one channel or by all."""
    return _pause(request.form.get("channel", "*"), forms.until(request.form, g.visit.time_zone))


@blueprint.post("/preferences/resume")
@customer_page
@desk_visit
def resume() -> Any:
    """Ends a pause."""
    return _pause(request.form.get("channel", "*"), None)


def _pause(channel: str, until: datetime | None) -> Any:
    def work(conn: Connection, owner: UUID) -> str:
        if saving.pause(conn, parts().keyring, g.actor, owner, channel, until):
            return ""
        return _ask(conn, owner, (), None, pauses={channel: until})

    told = _act(work)
    return redirect(f"{HOME}?{told}" if told else HOME, 303)


def _ask(
    conn: Connection,
    owner: UUID,
    changes: Sequence[Change],
    notice: Notice | None,
    pauses: Mapping[str, datetime | None] | None = None,
) -> str:
    """Asks by mail about what has to wait; what the next page is told of it."""
    if not changes and not pauses:
        return ""
    locale, keyring = speaking().locale, parts().keyring
    asked = ask_if_possible(conn, keyring, g.actor, owner, changes, notice=notice, locale=locale, pauses=pauses)
    return "waiting=1" if asked == "asked" else f"unasked={asked}"


def _page(
    template: str = "dials/preferences.html",
    status: int = 200,
    *,
    chosen: dict[Place, str] | None = None,
    form: Chosen | None = None,
    saved: Saved | None = None,
) -> Response:
    last = saved.event_id if saved is not None else forms.saved(request.args)
    with parts().database.snapshot() as conn:
        owner = require(conn, g.visit.customer_id, g.actor)
        drawing = draw(conn, parts().keyring, owner, speaking(), chosen=chosen, last=last, saved=saved)
        pending = pending_of(conn, parts().keyring, owner, speaking(), kind="louder")
    waiting = "waiting" in request.args or (saved is not None and bool(saved.waiting))
    again = forms.kept(request.form, request.form.getlist("again")) if form is not None else []
    values = {"drawing": drawing, "forms": HOME, "waiting": waiting, "form": form, "acting_for": None}
    values |= {"pending": pending, "unasked": request.args.get("unasked", "")}
    return render(template, status, kept=again, **values)


def _after(saved: Saved, asked: str = "") -> Any:
    if saved.conflicts:
        return _page(status=409, saved=saved)
    told = [f"saved={saved.event_id}"] if saved.event_id is not None else []
    told += [asked] if asked else []
    return redirect(f"{HOME}?{'&'.join(told)}" if told else HOME, 303)


def _act(work: Callable[[Connection, UUID], Answer]) -> Answer:
    """Does something of the customer's in a transaction; what the page showed of others' acts counts as seen then."""
    shown_at = parse_time(request.form["shown_at"]) if request.form.get("shown_at") else None

    def run(conn: Connection) -> Answer:
        owner = require(conn, g.visit.customer_id, g.actor)
        done = work(conn, owner)
        if shown_at is not None:  # after the work, which takes the customer's lock first
            store.see(conn, owner, shown_at)
        return done

    return parts().database.repeatedly(run)


def _chosen() -> Chosen:
    return saving.read_form(request.form, request.form.getlist("again"))
