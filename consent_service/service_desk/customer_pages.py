"""Pages of the service desk about one customer: may I call, their dials, what is done on their word.

Every change is a POST through the service of its slice, as the agent and on the customer's behalf: history says who
acted, how the customer's word came, and what shows it. What a customer has seen themself is never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar
from uuid import UUID

from flask import Blueprint, Response, g, redirect, request
from markupsafe import Markup

from consent_service.catalogue.service import load_catalogue
from consent_service.confirmations import service as confirmations
from consent_service.confirmations.model import PendingChange
from consent_service.confirmations.words import told
from consent_service.customers import confirming, profile, suppressions
from consent_service.customers.model import parse_reference
from consent_service.customers.service import require
from consent_service.customers.words import detail_in_words
from consent_service.database import Connection
from consent_service.dials import forms, saving
from consent_service.dials.desk import Facts
from consent_service.dials.drawing import draw
from consent_service.dials.reach import Place
from consent_service.dials.saving import Chosen, Said, Saved
from consent_service.errors import ConsentError
from consent_service.i18n import N_, words
from consent_service.service_desk import conversation
from consent_service.service_desk.conversation import SOURCES
from consent_service.service_desk.glance import glance
from consent_service.service_desk.pages import agent_page, customer_path, kinds_in_words, show
from consent_service.web.pages import speaking
from consent_service.web.parts import parts

PREFIX = "/desk/customers/<uuid:customer_id>"
blueprint = Blueprint("looked_after", __name__, template_folder="templates", url_prefix=PREFIX)
Done = TypeVar("Done")

_UNCONFIRMED = N_(
    "What is louder has to be confirmed first: by a mail to the customer, and there is no address for it, or by you,"
    " under “Numbers and addresses”."
)
# What was not done, and what it takes. Other errors are pages of their own.
PROBLEMS: Mapping[str, str] = {
    "evidence_required": N_(
        "This needs a reference: write down the call or letter first, under “The customer's word”."
    ),
    "notice_required": N_("This makes something louder: read the notice out, tick that you did, and save again."),
    "invalid_timestamp": N_("The day must lie ahead, within ten years."),
    "invalid_value": N_("Something in what was sent is not as it should be. Please look at it, and try once more."),
    "unknown_channel": N_("There is no such channel any more."),
    "unknown_customer": N_("Nobody has this."),
    "invalid_customer_reference": N_("This is not well formed. Numbers are written as +44 20 7183 8750."),
    "unknown_identifier_kind": N_("Choose what it is."),
    "ambiguous_customer": N_("Several customers have this. Use something that only one of them has."),
    "same_customer": N_("These are one customer already."),
    "confirmation_required": _UNCONFIRMED,
    "identifiers_conflict": N_(
        "Somebody else here has this. Look at both under “Merge with another customer”; do not tell the customer."
    ),
    "last_identifier": N_("It is the only one: without it nobody could find this customer again."),
    "identifier_suppressed": N_("A stop stands on it and holds by it. Lift the stop first, under “Open matters”."),
}


@blueprint.get("")
@agent_page
def customer(customer_id: UUID) -> Any:
    """May I call, about what; the desk; what stands open."""
    with parts().database.reading() as conn:
        owner = require(conn, customer_id, g.actor)
    return page_of(owner) if owner == customer_id else redirect(customer_path(owner), 303)


@blueprint.post("/word")
@agent_page
def word(customer_id: UUID) -> Any:
    """Writes down how the customer's word comes in this conversation."""

    def work(_: Connection, owner: UUID) -> None:
        conversation.keep(owner, request.form.get("source", ""), request.form.get("reference", ""))

    return on_behalf(customer_id, work)


@blueprint.post("/check")
@agent_page
def check(customer_id: UUID) -> Response:
    """What a choice would come to, before it is saved; changes nothing."""
    chosen = _chosen()
    return page_of(customer_id, "service_desk/check.html", chosen=dict(chosen.wanted), form=chosen)


@blueprint.post("/edit")
@agent_page
def edit(customer_id: UUID) -> Response:
    """Back to the desk with what is chosen and not saved."""
    return page_of(customer_id, chosen=dict(_chosen().wanted))


@blueprint.post("")
@agent_page
def save(customer_id: UUID) -> Any:
    """Turns what was changed."""
    chosen = _chosen()

    def work(conn: Connection, owner: UUID) -> Saved:
        return _ask(conn, owner, saving.save(conn, parts().keyring, g.actor, owner, chosen, _said()))

    return on_behalf(customer_id, work, chosen)


@blueprint.post("/undo")
@agent_page
def undo(customer_id: UUID) -> Any:
    """Takes back what an event turned."""
    event_id = forms.event_id(request.form)

    def work(conn: Connection, owner: UUID) -> Saved:
        return _ask(conn, owner, saving.undo(conn, parts().keyring, g.actor, owner, event_id, _said(), quieter=False))

    return on_behalf(customer_id, work)


@blueprint.post("/quieter")
@agent_page
def quieter(customer_id: UUID) -> Any:
    """Everything that is heard, one level quieter."""
    return on_behalf(
        customer_id, lambda conn, owner: saving.quieter_everything(conn, parts().keyring, g.actor, owner, _said())
    )


@blueprint.post("/nothing")
@agent_page
def nothing(customer_id: UUID) -> Any:
    """Nothing at all any more."""
    return on_behalf(
        customer_id, lambda conn, owner: saving.nothing_at_all(conn, parts().keyring, g.actor, owner, _said())
    )


@blueprint.post("/pause")
@agent_page
def pause(customer_id: UUID) -> Any:
    """Nothing until then, by one channel or by all."""

    def work(conn: Connection, owner: UUID) -> None:
        until = forms.until(request.form, _time_zone(conn, owner))
        saving.pause(conn, parts().keyring, g.actor, owner, request.form.get("channel", "*"), until)

    return on_behalf(customer_id, work)


@blueprint.post("/resume")
@agent_page
def resume(customer_id: UUID) -> Any:
    """Ends a pause."""

    def work(conn: Connection, owner: UUID) -> None:
        saving.pause(conn, parts().keyring, g.actor, owner, request.form.get("channel", "*"), None)

    return on_behalf(customer_id, work)


def _ask(conn: Connection, owner: UUID, saved: Saved) -> Saved:
    """Has the customer asked by mail for what waits; without an address it is withheld, and the rest holds."""
    if not saved.waiting:
        return saved
    said = _said()
    try:
        with conn.transaction():
            confirmations.ask_louder(
                conn,
                parts().keyring,
                g.actor,
                owner,
                saved.waiting,
                notice=said.notice,
                locale=speaking().locale,
                source=said.source,
            )
    except ConsentError as error:
        if error.code != "confirmation_required":
            raise
        return replace(saved, waiting=(), withheld=tuple((one.channel, one.topic) for one in saved.waiting))
    return saved


def on_behalf(customer_id: UUID, work: Callable[[Connection, UUID], Done], chosen: Chosen | None = None) -> Any:
    """Does something on the customer's word in a transaction, and leads back; what it lacks is said on the page."""
    agent = g.actor

    def run(conn: Connection) -> tuple[UUID, Done]:
        owner = require(conn, customer_id, agent)
        g.actor = conversation.of_customer(owner).acting(agent)
        return owner, work(conn, owner)

    try:
        owner, done = parts().database.repeatedly(run)
    except ConsentError as error:
        if error.code not in PROBLEMS:
            raise
        wanted = dict(chosen.wanted) if chosen is not None else None
        return page_of(customer_id, status=error.status, chosen=wanted, problem=PROBLEMS[error.code])
    if not isinstance(done, Saved):
        return redirect(customer_path(owner), 303)
    if done.conflicts:
        return page_of(owner, status=409, saved=done)
    after = [f"saved={done.event_id}"] if done.event_id is not None else []
    after += ["waiting=1"] if done.waiting else ["withheld=1"] if done.withheld else []
    return redirect(customer_path(owner) + (f"?{'&'.join(after)}" if after else ""), 303)


def page_of(
    customer_id: UUID,
    template: str = "service_desk/customer.html",
    status: int = 200,
    *,
    chosen: dict[Place, str] | None = None,
    form: Chosen | None = None,
    saved: Saved | None = None,
    problem: str = "",
) -> Response:
    last = saved.event_id if saved is not None else forms.saved(request.args)
    with parts().database.snapshot() as conn:
        owner = require(conn, customer_id, g.actor)
        person = profile.show(conn, parts().keyring, g.actor, owner)
        g.words = words(speaking().locale, _time_zone(conn, owner))
        drawing = draw(conn, parts().keyring, owner, g.words, chosen=chosen, last=last, saved=saved)
        points = [parse_reference(one) for one in person["identifiers"]]
        stops = suppressions.of_customer(conn, parts().keyring, owner, points)
        pending = confirmations.open_changes(conn, parts().keyring, owner)
        names = confirming.names_of(conn, parts().keyring, owner)
    if not problem and "withheld" in request.args:
        problem = _UNCONFIRMED
    facts = drawing.desk.facts
    said = conversation.of_customer(owner)
    return show(
        template,
        status,
        drawing=replace(drawing, others=[]),  # shown to the customer, when they come
        forms=customer_path(owner),
        waiting="waiting" in request.args or (saved is not None and bool(saved.waiting)),
        form=form,
        kept=forms.kept(request.form, request.form.getlist("again")) if form is not None else [],
        acting_for={"read_out": g.words.gettext("I have read this out to the customer.")},
        person=person,
        details=[(one, detail_in_words(g.words, one)) for one in person["identifiers"]],
        names=[(one, detail_in_words(g.words, one.reference.text)) for one in names],
        stops=[(one, detail_in_words(g.words, one.point.text) if one.point else "") for one in stops],
        matters=[(one, _waiting(one, facts)) for one in pending],
        kinds=kinds_in_words(facts.catalogue),
        glance=glance(facts, drawing.say, request.args.get("by", "")),
        said=said,
        sources=[(name, g.words.gettext(text)) for name, text in SOURCES.items()],
        problem=g.words.gettext(problem) if problem else "",
    )


def _waiting(one: PendingChange, facts: Facts) -> list[Markup | str]:
    """What a confirmation would bring about."""
    if one.kind == "address":
        return [detail_in_words(g.words, one.asked.to.text)]
    return [*told(one.asked, g.words, facts.catalogue, facts.at)]


def _time_zone(conn: Connection, owner: UUID) -> str:
    """Where the customer is: times on the page and the days of pauses are theirs."""
    found = profile.find(conn, parts().keyring, owner)
    if found is not None and found["time_zone"]:
        return str(found["time_zone"])
    catalogue = load_catalogue(conn)
    return catalogue.time_zone if catalogue is not None else "UTC"


def _chosen() -> Chosen:
    return saving.read_form(request.form, request.form.getlist("again"))


def _said() -> Said:
    """The word as dials record it; the notice counts once the agent says that it was read out."""
    notice = forms.notice(request.form) if "read_out" in request.form else None
    return Said(g.actor.source, notice, g.actor.evidence)
