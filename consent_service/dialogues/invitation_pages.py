"""Pages: an invitation, for somebody whom a customer named. Without a login; showing changes nothing.

The page is the same whatever was answered before. A customer on a visit of their own is linked as they are; anybody
else becomes a customer once they have confirmed their address.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, redirect, request

from consent_service.customers.model import EMAIL, LONGEST_REFERENCE, parse_reference
from consent_service.database import Connection
from consent_service.dialogues import invitations
from consent_service.dialogues.invitations import Choice, Invited
from consent_service.dials.model import Notice
from consent_service.dials.words import Sentences
from consent_service.errors import ConsentError
from consent_service.web.frame import client_address
from consent_service.web.pages import page, render, speaking
from consent_service.web.parts import parts
from consent_service.web.session import Visit, actor_of, invitation, open_invitation, visit

blueprint = Blueprint("invitations", __name__, template_folder="templates")

RESULTS = ("asked", "linked", "no")
LONGEST_CHOICE = 200


@blueprint.get("/i/<token>")
@page
def follow(token: str) -> Any:
    """Remembers the invitation, and leaves the token behind."""
    with parts().database.reading() as conn:
        customer_id, person_id = invitations.follow(conn, parts().keyring, token)
    open_invitation(customer_id, person_id)
    return redirect("/invitation", 303)


@blueprint.get("/invitation")
@page
def show() -> Any:
    """Who asks, if they allow it, and what yes and no would mean; or what was answered a moment ago."""
    result = request.args.get("result", "")
    if result in RESULTS:
        return render("dialogues/invitation.html", result=result, themself=_themself())
    return _asked()


@blueprint.post("/invitation/yes")
@page
def say_yes() -> Any:
    """Somebody new: their address, and what they want to hear."""
    keyring, asked = parts().keyring, _invitation()
    address = request.form.get("email", "").strip()[:LONGEST_REFERENCE]
    try:
        who = parse_reference(f"{EMAIL}:{address}")
    except ConsentError:
        return _asked(422, address=address, wrong=True)
    choice = Choice(who, _levels(), _notice(), speaking().locale, tells="tells" in request.form)

    def work(conn: Connection) -> None:
        invitations.say_yes_as_new(conn, keyring, asked, choice, request_id=g.request_id)

    _count()
    parts().database.repeatedly(work)
    return redirect("/invitation?result=asked", 303)


@blueprint.post("/invitation/link")
@page
def link() -> Any:
    """A customer, on a visit of their own."""
    keyring, asked, themself = parts().keyring, _invitation(), _themself()
    if themself is None:
        raise ConsentError("visit_ended", "Nothing was saved.")
    actor, tells = actor_of(themself), "tells" in request.form
    parts().database.repeatedly(lambda conn: invitations.say_yes(conn, keyring, actor, asked, tells=tells))
    return redirect("/invitation?result=linked", 303)


@blueprint.post("/invitation/no")
@page
def say_no() -> Any:
    """Not now, and not by this contact detail again."""
    keyring, asked = parts().keyring, _invitation()
    _count()
    parts().database.repeatedly(lambda conn: invitations.say_no(conn, keyring, asked))
    return redirect("/invitation?result=no", 303)


def _asked(status: int = 200, *, address: str = "", wrong: bool = False) -> Any:
    with parts().database.snapshot() as conn:
        shown = invitations.show(conn, parts().keyring, _invitation())
    values = {"shown_as": shown.shown_as, "address": address, "wrong": wrong, "chosen": _levels()}
    return render("dialogues/invitation.html", status, result="", themself=_themself(), **values, **_choices(shown))


def _choices(shown: Invited) -> dict[str, Any]:
    """What a new customer may choose; nothing without a notice to show."""
    catalogue = shown.catalogue
    notice = _first_notice(shown)
    if catalogue is None or notice is None:
        return {"topics": [], "levels": [], "notice": None}
    words = speaking()
    says = Sentences(words, catalogue, shown.at)
    levels = [
        (one.name, says.words.label(one.label), says.meaning(one), words.language_of(one.label) or "")
        for one in catalogue.levels.values()
    ]
    return {
        "topics": invitations.topics_to_choose(catalogue),
        "levels": levels,
        "notice": notice,
        "notice_locale": words.language_of(notice.text) or words.locale,
    }


def _first_notice(shown: Invited) -> Any:
    catalogue = shown.catalogue
    for one in (catalogue.document.get("notices") or ()) if catalogue else ():
        return catalogue.notices.get((one["id"], one["version"])) if catalogue else None
    return None


def _invitation() -> Any:
    """The invitation that was followed in this browser.

    Raises:
        ConsentError: not_found.
    """
    found = invitation()
    if found is None:
        raise ConsentError("not_found")
    return found


def _themself() -> Visit | None:
    """The visit of a customer who came by a link that only they have; a campaign's, or an old one, says too little."""
    found = visit()
    return found if found is not None and found.opens_desk and found.link is None else None


def _levels() -> dict[str, str]:
    """The levels that were chosen, by topic."""
    return {
        name.removeprefix("topic:"): value[:LONGEST_CHOICE]
        for name, value in request.form.items()
        if name.startswith("topic:")
    }


def _notice() -> Notice | None:
    shown = [request.form.get(f"notice_{name}", "")[:LONGEST_CHOICE] for name in ("id", "version", "locale")]
    return Notice(*shown) if all(shown) else None


def _count() -> None:
    with parts().database.transaction() as conn:
        invitations.count_answer(conn, parts().keyring, client_address())
