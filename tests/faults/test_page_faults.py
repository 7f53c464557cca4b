"""Whatever statement of a page's write is cut off: it never was or it is whole, and sent again it has one effect."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from consent_service.links.model import Link, Purpose
from consent_service.links.service import box
from tests.dialogues.conversations import invite, name, opened
from tests.faults.desk_forms import DESK_FORMS, DESK_READING, Form, Send, asking
from tests.faults.test_fault_points import Stand, eventually, points
from tests.faults.use_cases import TALK
from tests.faults.wire import Cut
from tests.support.api import Api
from tests.support.pages import browser, hidden, link_to
from tests.support.soundness import expect_sound
from tests.web.asking import is_of_pages, somebody

_numbers = itertools.count(1)


def _one_click(api: Api) -> Send:
    ben = api.customer(somebody())
    assert api.turn(ben, ("*", "offers", "everything")).status_code == 200
    link = link_to(api, ben, "unsubscribe", place=("email", "offers/wine"))
    return lambda: browser(api).post(link, data={"List-Unsubscribe": "One-Click"})


def _asked(api: Api) -> Send:
    client = browser(api)
    fields = {"csrf_token": hidden(client.get("/link"), "csrf_token"), "email": "ann@example.com"}
    return lambda: client.post("/link", data=fields)


def _asked_by_visit(api: Api) -> Send:
    client = browser(api)
    client.get(link_to(api, api.customer(somebody())))
    fields = {"csrf_token": hidden(client.get("/link"), "csrf_token")}
    return lambda: client.post("/link/mine", data=fields)


def _sent(purpose: Purpose, path: str, shown: str, *hidden_ones: str, **fields: str) -> Callable[[Api], Send]:
    """A form that stands on a page of somebody who came by a link."""

    def prepare(api: Api) -> Send:
        ben = api.customer(somebody())
        assert api.turn(ben, ("*", "offers/wine", "weekly")).status_code == 200
        client = browser(api)
        client.get(link_to(api, ben, purpose, place=("email", "offers/wine")))
        page = client.get(shown)
        sent = fields | {name: hidden(page, name) for name in ("csrf_token", *hidden_ones)}
        number = next(_numbers)
        return lambda: client.post(path, data={name: value.format(number=number) for name, value in sent.items()})

    return prepare


def _detail_removed(api: Api) -> Send:
    name = somebody()
    client = browser(api)
    client.get(link_to(api, api.customer(somebody(), name)))
    fields = {"csrf_token": hidden(client.get("/me"), "csrf_token"), "detail": name}
    return lambda: client.post("/me/details/remove", data=fields)


def _confirmed(path: str) -> Callable[[Api], Send]:
    def prepare(api: Api) -> Send:
        ben, change_id = asking(api)
        link = Link("confirm", ben, datetime.now(UTC), subject=change_id)
        with api.database.reading() as conn:
            token = box(conn, api.keyring).write(link)
        client = browser(api)
        client.get(f"/c/{token}")
        fields = {"csrf_token": hidden(client.get("/confirm"), "csrf_token")}
        return lambda: client.post(path, data=fields)

    return prepare


def _withdrawn(api: Api) -> Send:
    ben, change_id = asking(api)
    client = browser(api)
    client.get(link_to(api, ben))
    fields = {"csrf_token": hidden(client.get("/link"), "csrf_token"), "change": change_id.hex}
    return lambda: client.post("/confirm/withdraw", data=fields)


def _in_talk(step: str, *hidden_ones: str, **fields: str) -> Callable[[Api], Send]:
    """A form of a conversation in which something is proposed."""

    def prepare(api: Api) -> Send:
        ben = api.customer(somebody())
        token = api.post(f"/v1/customers/{ben}/tokens", role="desk").json["token"]
        made = api.post(f"/v1/customers/{ben}/dialogues", TALK, key=token).json["id"]
        lines = [{"dial": {"channel": "sms", "topic": "offers", "level": "weekly"}}, {"terms": {"contacts": 5}}]
        proposal = {"proposal": {"text": "Like this?", "lines": lines}}
        assert api.post(f"/v1/dialogues/{made}/entries", proposal, role="desk").status_code == 201
        client = browser(api)
        client.get(link_to(api, ben))
        page = client.get(f"/dialogues/{made}")
        sent = fields | {name: hidden(page, name) for name in ("csrf_token", *hidden_ones)}
        until = sent.get("seen-until")
        sent |= {"until": until} if until else {}
        return lambda: client.post(f"/dialogues/{made}{step}", data=sent)

    return prepare


def _invited(how: str, **fields: str) -> Callable[[Api], Send]:
    """An answer to an invitation; to link, by a customer on a visit of their own."""

    def prepare(api: Api) -> Send:
        dialogue = opened(api, api.customer(somebody()))
        client = browser(api)
        if how == "link":
            client.get(link_to(api, api.customer(somebody())))
        page = client.get(invite(api, name(api, dialogue, contact=somebody())), follow_redirects=True)
        sent = {"csrf_token": hidden(page, "csrf_token"), **fields}
        return lambda: client.post(f"/invitation/{how}", data=sent)

    return prepare


def _talk_begun(api: Api) -> Send:
    ben = api.customer(somebody())
    client = browser(api)
    client.get(link_to(api, ben))
    page = client.get("/dialogues/new")
    sent = {name: hidden(page, name) for name in ("csrf_token", "shown_at")}
    day = (datetime.now(UTC) + timedelta(days=9)).date().isoformat()
    sent |= {"topic": "offers", "subject": "A gift", "channels": "email", "contacts": "3", "until": day}
    return lambda: client.post("/dialogues/new", data=sent)


_NOTICE = ("dials", "notice_id", "notice_version", "notice_locale")
FORMS: dict[str, Form] = {
    "POST /unsubscribe": Form(_sent("unsubscribe", "/unsubscribe", "/unsubscribe", to="channel")),
    "POST /quieter": Form(_sent("quieter", "/quieter", "/quieter", to="monthly")),
    "POST /louder": Form(_sent("louder", "/louder", "/louder", *_NOTICE, to="busy")),
    "POST /me/details": Form(_sent("preferences", "/me/details", "/me", kind="phone", value="+447700900{number:03}")),
    "POST /me/details/remove": Form(_detail_removed),
    "POST /me/settings": Form(_sent("preferences", "/me/settings", "/me", locale="fr", time_zone="Asia/Tokyo")),
    "POST /me/forget": Form(_sent("preferences", "/me/forget", "/me/forget")),
    "POST /confirm": Form(_confirmed("/confirm")),
    "POST /confirm/drop": Form(_confirmed("/confirm/drop")),
    "POST /confirm/withdraw": Form(_withdrawn),
    "POST /dialogues/new": Form(_talk_begun),
    "POST /dialogues/<dialogue_id>/message": Form(_in_talk("/message", "seen", message="Which colour?")),
    "POST /dialogues/<dialogue_id>/terms": Form(
        _in_talk("/terms", "seen-channels", "seen-until", "seen-contacts", channels="email", contacts="2")
    ),
    "POST /dialogues/<dialogue_id>/close": Form(_in_talk("/close")),
    "POST /dialogues/<dialogue_id>/proposals/<number>": Form(_in_talk("/proposals/2", *_NOTICE[1:], all="accept")),
    "POST /u/<token>": Form(_one_click),
    # The worker sends one mail for what came twice.
    # Two customers, of whom nobody has confirmed either.
    "POST /invitation/yes": Form(_invited("yes", email="fay@example.com"), repeats=True),
    "POST /invitation/link": Form(_invited("link", tells="1")),
    "POST /invitation/no": Form(_invited("no")),
    "POST /link": Form(_asked, repeats=True),
    "POST /link/mine": Form(_asked_by_visit, repeats=True),
} | DESK_FORMS
# They change the visitor's own cookie only, or nothing.
WRITING_NOTHING = {"POST /language", "POST /sign-out"} | DESK_READING


@pytest.fixture
def stand(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    monkeypatch.setattr("consent_service.links.requests.MOST_A_MINUTE", 10**9)
    monkeypatch.setattr("consent_service.dialogues.invitations.MOST_A_MINUTE", 10**9)
    with api.made.owner() as owner:
        yield Stand(api, monkeypatch, owner)


@pytest.mark.parametrize("name", FORMS)
def test_a_form_that_is_cut_anywhere_has_one_effect_when_it_is_sent_again(stand: Stand, name: str) -> None:
    form = FORMS[name]
    form.prepare(stand.api)()  # so that statements are prepared
    send, before = form.prepare(stand.api), stand.standing()
    with stand.wire.watching() as clean:
        first = send()
    assert first.status_code < 400, first.get_data(as_text=True)
    one_effect = stand.effect(before)
    assert one_effect
    assert clean.commits, "a write is a transaction"
    for number, cut in points(clean):
        send, before = form.prepare(stand.api), stand.standing()
        with stand.wire.watching(number, cut) as watch:
            answer = send()
        assert watch.happened
        at = f"{cut.value} statement {number} of {clean.asked}"
        assert answer.status_code == 503 or (cut is Cut.AFTER and number in clean.alone), at
        had_effect = answer.status_code != 503 or (cut is Cut.LOST and number == clean.commits[-1])
        assert stand.effect(before) == (one_effect if had_effect else {}), at
        assert eventually(send).status_code == first.status_code, at
        twice = had_effect and form.repeats
        if had_effect and form.steps:
            continue
        assert stand.effect(before) == {what: (1 + twice) * count for what, count in one_effect.items()}, at
    expect_sound(stand.api.made)


def test_every_form_that_could_write_has_a_row(api: Api) -> None:
    writing = {
        f"{method} {rule.rule}"
        for rule in api.app.url_map.iter_rules()
        if is_of_pages(api.app, rule.endpoint)
        for method in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}
    }
    assert writing == FORMS.keys() | WRITING_NOTHING
