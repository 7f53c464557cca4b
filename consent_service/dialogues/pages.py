"""Pages: the customer's conversations. Begin one, read and write in it, answer proposals, set its limits, end it.

Ending and narrowing take one step and no reason. From a link that a campaign minted, which others may have seen, no
words are shown, and nothing is said, begun or widened: who wants to asks for a link of their own.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, g, redirect, request

from consent_service.catalogue.service import hold_catalogue
from consent_service.clock import parse_time
from consent_service.customers import profile
from consent_service.customers.service import require, require_locked
from consent_service.database import Connection
from consent_service.dialogues import entries, forms, proposals, service
from consent_service.dialogues.forms import Written
from consent_service.dialogues.model import LONGEST_MESSAGE, LONGEST_SUBJECT, Dialogue, LineAnswer, Opening
from consent_service.dialogues.words import DONE, REFUSED, Standing, Talk
from consent_service.dials import looking
from consent_service.dials.forms import notice
from consent_service.errors import ConsentError
from consent_service.web.pages import View, customer_page, desk_visit, render, speaking
from consent_service.web.parts import parts

blueprint = Blueprint("conversations", __name__, template_folder="templates")

MOST_LISTED = 200
ENTRIES_OF_A_PAGE = 50


def own_link(view: View) -> View:
    """What is done only by a link that the service or the desk sent: others may have seen those of campaigns."""

    @functools.wraps(view)
    def run(**arguments: Any) -> Any:
        if g.visit.link is None:
            return view(**arguments)
        return redirect(_path(arguments["dialogue_id"]) if "dialogue_id" in arguments else "/dialogues", 303)

    return run  # type: ignore[return-value]


@blueprint.get("/dialogues")
@customer_page
@desk_visit
def listed() -> Any:
    """All conversations, open ones first."""
    before = request.args.get("before")
    with parts().database.snapshot() as conn:
        owner = require(conn, g.visit.customer_id, g.actor)
        found, cursor = service.newest(conn, parts().keyring, owner, before=before, most=MOST_LISTED)
        talk = _talk(conn, owner)
    shown = [talk.standing(one) for one in found]
    return render(
        "dialogues/list.html",
        talk=talk,
        open=[one for one in shown if one.is_open],
        ended=[one for one in shown if not one.is_open],
        older=f"/dialogues?before={cursor}" if cursor else "",
        newest="/dialogues" if before else "",
        own=g.visit.link is None,
    )


@blueprint.get("/dialogues/new")
@customer_page
@desk_visit
def begin() -> Any:
    """The form that a conversation begins with; sensible choices are made already."""
    return _begin(Written())


@blueprint.post("/dialogues/new")
@customer_page
@desk_visit
@own_link
def open_dialogue() -> Any:
    """Begins a conversation; sent once more, after an answer that was lost, it leads to the one that was begun."""
    form = request.form.to_dict(flat=False)
    terms, zone = forms.written(form), speaking().zone
    subject, message = forms.words_of(form, "subject"), forms.words_of(form, "message")
    wrong = terms.wrong(_today())
    wrong |= {"subject"} if len(subject) > LONGEST_SUBJECT else set()
    wrong |= {"message"} if len(message) > LONGEST_MESSAGE else set()
    written = Written(form, terms, frozenset(wrong))
    if wrong:
        return _begin(written, 422)
    opening = Opening(forms.one(form, "topic"), subject, terms.read(zone), message or None)
    shown_at = parse_time(forms.one(form, "shown_at"))

    def work(conn: Connection) -> str:
        hold_catalogue(conn)
        owner = require_locked(conn, parts().keyring, g.visit.customer_id, g.actor).customer_id
        named = opening if subject else replace(opening, subject=_name_of(conn, owner, opening.topic))
        already = _begun_since(conn, owner, named, shown_at)
        return already or service.open_dialogue(conn, parts().keyring, g.actor, owner, named).id

    try:
        made = parts().database.repeatedly(work)
    except ConsentError as error:
        if error.code not in REFUSED:
            raise
        return _begin(replace(written, refused=REFUSED[error.code]), error.status)
    return _done(made, "opened")


@blueprint.get("/dialogues/<dialogue_id>")
@customer_page
@desk_visit
def thread(dialogue_id: str) -> Any:
    """A conversation: its limits, and what was said, newest last."""
    return _thread(dialogue_id)


@blueprint.post("/dialogues/<dialogue_id>/message")
@customer_page
@desk_visit
@own_link
def say(dialogue_id: str) -> Any:
    """Adds a message of the customer's; the same one, sent once more from the same page, stands once."""
    form = request.form.to_dict(flat=False)
    text, seen = forms.words_of(form, "message"), forms.one(form, "seen")
    if not 0 < len(text) <= LONGEST_MESSAGE:
        return _thread(dialogue_id, 422, Written(form, wrong=frozenset({"message"})))

    def work(conn: Connection) -> None:
        _, dialogue = service.hold(conn, parts().keyring, g.actor, dialogue_id)
        after = min(forms.whole(seen), dialogue.entries)
        said, _ = entries.page(conn, parts().keyring, dialogue, after=after, most=ENTRIES_OF_A_PAGE)
        if not any(one["role"] == "customer" and one["text"] == text for one in said):
            service.say(conn, parts().keyring, g.actor, dialogue_id, text)

    return _act(dialogue_id, work, "said", Written(form))


@blueprint.post("/dialogues/<dialogue_id>/terms")
@customer_page
@desk_visit
def change_terms(dialogue_id: str) -> Any:
    """Sets the limits: only what was changed on the page, and never wider over what is newer than the page."""
    form = request.form.to_dict(flat=False)
    asked, seen, zone = forms.written(form), forms.written(form, "seen-"), speaking().zone
    wrong = frozenset(asked.wrong(_today()))
    if wrong:
        return _thread(dialogue_id, 422, Written(form, asked, wrong))

    def work(conn: Connection) -> None:
        hold_catalogue(conn)
        _, dialogue = service.hold(conn, parts().keyring, g.actor, dialogue_id)
        changes = forms.changed(asked, seen, zone)
        is_old = forms.drawn(dialogue.terms, zone) != seen
        if is_old and replace(dialogue.terms, **changes).wider_than(dialogue.terms):
            raise ConsentError("stale_version")
        if changes:
            service.change_terms(conn, parts().keyring, g.actor, dialogue_id, changes)

    return _act(dialogue_id, work, "terms", Written(form, asked))


@blueprint.post("/dialogues/<dialogue_id>/close")
@customer_page
@desk_visit
def close(dialogue_id: str) -> Any:
    """Ends it, for good and without a question."""
    return _act(
        dialogue_id, lambda conn: service.close(conn, parts().keyring, g.actor, dialogue_id), "closed", Written()
    )


@blueprint.post("/dialogues/<dialogue_id>/proposals/<number>")
@customer_page
@desk_visit
@own_link
def answer(dialogue_id: str, number: str) -> Any:
    """Answers a proposal line by line; what is accepted is done at once, all of it or nothing."""
    form, zone = request.form.to_dict(flat=False), speaking().zone
    with parts().database.snapshot() as conn:
        dialogue = service.find(conn, parts().keyring, g.actor, dialogue_id)
        asked = forms.whole(number)
        lines = _proposed(conn, dialogue, asked)
    said, wrong = forms.answers(form, lines, zone)
    text = forms.words_of(form, "text") or None
    written = Written(form, proposal=asked, lines=frozenset(wrong))
    if wrong or len(text or "") > LONGEST_MESSAGE:
        fields = frozenset({"text"} if not wrong else ())
        return _thread(dialogue_id, 422, replace(written, wrong=fields))
    shown_notice = notice(request.form)

    def work(conn: Connection) -> None:
        where = conn, parts().keyring, g.actor, dialogue_id, asked
        proposals.answer(*where, said, notice=shown_notice, text=text)

    return _act(dialogue_id, work, "answered", written, said=said)


def _act(dialogue_id: str, work: Any, done: str, written: Written, *, said: Sequence[LineAnswer] | None = None) -> Any:
    """Does something in a transaction; what a person can be told is told on the page of the conversation."""
    try:
        parts().database.repeatedly(work)
    except ConsentError as error:
        if error.code == "proposal_answered" and said is not None and _answered_so(dialogue_id, written.proposal, said):
            return _done(dialogue_id, done)
        if error.code not in REFUSED:
            raise
        refused = REFUSED[error.code]
        if error.code == "confirmation_required" and g.visit.link is not None:
            refused = ""  # the page says how it can be done
        status = 409 if error.code == "stale_version" else error.status  # a page has no If-Match
        return _thread(dialogue_id, status, replace(written, refused=refused))
    return _done(dialogue_id, done)


def _answered_so(dialogue_id: str, number: int, said: Sequence[LineAnswer]) -> bool:
    """Whether the proposal was answered with just this, by an answer of ours that was lost on its way."""
    with parts().database.snapshot() as conn:
        dialogue = service.find(conn, parts().keyring, g.actor, dialogue_id)
        shown, _ = entries.page(conn, parts().keyring, dialogue, after=number - 1, most=1)
        told, _ = entries.page(conn, parts().keyring, dialogue, after=shown[0]["answered_by"] - 1, most=1)
    standing = {one["line"]: one for one in told[0]["lines"]}
    return all(
        one.line in standing
        and standing[one.line]["answer"] == one.answer
        and (one.kind is None or standing[one.line][one.kind] == one.value)
        for one in said
    )


def _begun_since(conn: Connection, owner: UUID, opening: Opening, shown_at: datetime) -> str | None:
    """The conversation that was begun with just this since the form was shown."""
    newest, _ = service.newest(conn, parts().keyring, owner, most=1)
    for one in newest:
        if one.opened_at < shown_at or (one.topic, one.subject) != (opening.topic, opening.subject):
            continue
        said, _ = entries.page(conn, parts().keyring, one, most=1)
        if said and said[0]["text"] == opening.message:
            return one.id
    return None


def _name_of(conn: Connection, owner: UUID, topic: str) -> str:
    """What a conversation without a subject is called: as its topic."""
    return dict(_talk(conn, owner).topics()).get(topic, topic)[:LONGEST_SUBJECT]


def _proposed(conn: Connection, dialogue: Dialogue, number: int) -> list[dict[str, Any]]:
    """The lines of a proposal.

    Raises:
        ConsentError: not_found.
    """
    found, _ = entries.page(conn, parts().keyring, dialogue, after=max(0, number - 1), most=1)
    if not found or (found[0]["number"], found[0]["kind"]) != (number, "proposal"):
        raise ConsentError("not_found")
    lines: list[dict[str, Any]] = found[0]["lines"]
    return lines


def _begin(written: Written, status: int = 200) -> Response:
    with parts().database.snapshot() as conn:
        owner = require(conn, g.visit.customer_id, g.actor)
        talk = _talk(conn, owner)
        known = profile.show(conn, parts().keyring, g.actor, owner)["identifiers"]
    catalogue = talk.facts.catalogue
    topics = talk.topics()
    topic = written.said("topic") or request.args.get("topic", "") or g.visit.topic
    topic = topic if topic in catalogue.live_topics else (topics[0][0] if topics else "")
    terms = written.terms or forms.usual(_channel(talk, {one.partition(":")[0] for one in known}), _today())
    return render(
        "dialogues/begin.html",
        status,
        talk=talk,
        topics=topics,
        topic=topic,
        terms=terms,
        channels=_channels(talk, ()),
        stops=talk.stops(topic, list(catalogue.live_channels)),
        written=written,
        shown_at=written.said("shown_at") or talk.facts.at.isoformat(),
        own=g.visit.link is None,
        **_limits(),
    )


def _channel(talk: Talk, kinds: set[str]) -> str:
    """By which channel an answer is expected: the message's, else the first by which the customer can be reached."""
    live = talk.facts.catalogue.live_channels
    if g.visit.channel in live:
        return str(g.visit.channel)
    reachable = [name for name, one in live.items() if one.identifier_kind in kinds]
    return next(iter(reachable or live), "")


def _thread(dialogue_id: str, status: int = 200, written: Written | None = None) -> Response:
    written, own = written or Written(), g.visit.link is None
    with parts().database.snapshot() as conn:
        dialogue = service.find(conn, parts().keyring, g.actor, dialogue_id)
        after = _after(dialogue)
        found: list[dict[str, Any]] = []
        last = None
        if own:
            found, last = entries.page(conn, parts().keyring, dialogue, after=after, most=ENTRIES_OF_A_PAGE)
        talk = _talk(conn, dialogue.customer_id)
    standing = talk.standing(dialogue)
    told = [_told(talk, one, standing) for one in found]
    path, step = _path(dialogue.id), ENTRIES_OF_A_PAGE
    done = DONE.get(request.args.get("done", ""), "") if status == 200 else ""
    zone = speaking().zone
    return render(
        "dialogues/thread.html",
        status,
        talk=talk,
        it=standing,
        path=path,
        entries=told,
        earlier=f"{path}?after={max(0, after - step)}" if own and after else "",
        later=f"{path}?after={last}" if last else "",
        terms=written.terms or forms.drawn(dialogue.terms, zone),
        seen=forms.drawn(dialogue.terms, zone),
        channels=_channels(talk, dialogue.terms.channels),
        notice=looking.notice_of(talk.facts),
        written=written,
        done=done,
        own=own,
        **_limits(),
    )


def _told(talk: Talk, entry: Mapping[str, Any], standing: Standing) -> Any:
    told = talk.tell(entry)
    if told.state == "open" and not standing.is_open:
        return replace(told, state="lapsed")
    return talk.against(told, standing.dialogue) if told.state == "open" else told


def _after(dialogue: Dialogue) -> int:
    """After which entry the page begins: it shows the newest unless an address asks for earlier ones."""
    asked = request.args.get("after", "")
    return min(forms.whole(asked), dialogue.entries) if asked else max(0, dialogue.entries - ENTRIES_OF_A_PAGE)


def _talk(conn: Connection, owner: UUID) -> Talk:
    return Talk(speaking(), looking.facts(conn, parts().keyring, owner))


def _channels(talk: Talk, chosen: Sequence[str]) -> list[tuple[str, Any]]:
    """(name, label) of every channel that can be chosen, and of those that are, retired or not."""
    return [(name, talk.say.channel(name)) for name in dict.fromkeys((*talk.facts.catalogue.live_channels, *chosen))]


def _limits() -> dict[str, Any]:
    today = _today()
    return {
        "first_day": today.isoformat(),
        "last_day": forms.last_day(today).isoformat(),
        "counts": forms.CONTACTS,
        "longest_message": LONGEST_MESSAGE,
        "longest_subject": LONGEST_SUBJECT,
    }


def _today() -> date:
    return datetime.now(speaking().zone).date()


def _path(dialogue_id: str) -> str:
    return f"/dialogues/{dialogue_id}"


def _done(dialogue_id: str, done: str) -> Any:
    return redirect(f"{_path(dialogue_id)}?done={done}", 303)
