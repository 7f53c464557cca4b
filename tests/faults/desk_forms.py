"""The forms of the desk, for customers and at the service desk, each for people whom nobody has met."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent_service.confirmations.service import ask_louder
from consent_service.dials.model import Change, Notice
from consent_service.history.model import Actor
from tests.service_desk.desk import looking_after, path, signed_in
from tests.support.api import Api
from tests.support.pages import browser, hidden, link_to
from tests.web.asking import somebody

_numbers = itertools.count(1)
Send = Callable[[], TestResponse]
DIALS = ("*", "offers/wine", "weekly"), ("email", "offers", "weekly")
UNTIL = "2031-01-01T00:00:00Z"
NOTICE = ("notice_id", "notice_version", "notice_locale")


@dataclass(frozen=True)
class Form:
    """A form that writes.

    Args:
        prepare: makes what is needed, for people whom nobody has met; what sends the form, as often as it is called.
        repeats: sent again after an answer that was lost, it has its effect once more, and that does no harm.
        steps: sent again it goes a step further: it is not tried whether a repetition has one effect.
    """

    prepare: Callable[[Api], Send]
    repeats: bool = False
    steps: bool = False


def asking(api: Api) -> tuple[UUID, UUID]:
    """Somebody who has asked for more through a campaign's link: (customer, what waits)."""
    ben = api.customer(somebody())
    actor = Actor("customer", str(ben), customer_id=ben, link="newsletter")
    changes, notice = [Change("*", "offers", "weekly")], Notice("preferences", "1", "en")
    with api.database.transaction() as conn:
        return ben, ask_louder(conn, api.keyring, actor, ben, changes, notice=notice, locale="en")


def _sender(api: Api, client: FlaskClient, where: str, fields: dict[str, str]) -> Send:
    """Sends the form with the cookies of now, whatever came of it before: as a browser whose answer was lost."""
    cookie = client.get_cookie("consent")
    assert cookie is not None

    def send() -> TestResponse:
        again = browser(api)
        again.set_cookie("consent", cookie.value)
        return again.post(where, data=fields)

    return send


def _desk(form: str, *names: str, agent: bool = False, **fields: str) -> Form:
    """A form of somebody's desk; `names` are hidden fields that go along, {event} is the act that set their dials."""

    def prepare(api: Api) -> Send:
        ben = api.customer(somebody())
        assert api.turn(ben, *DIALS).status_code == 200
        event = api.events(ben)[-1]["id"]
        if form == "/resume":
            paused = api.call("PUT", f"/v1/customers/{ben}/pause", {"until": UNTIL}, role="desk")
            assert paused.status_code == 200
        if agent:
            client, where = signed_in(api), path(ben)
            page = looking_after(client, ben, "C-1")
        else:
            client, where = browser(api), "/preferences"
            client.get(link_to(api, ben))
            page = client.get(where)
        sent = {name: hidden(page, name) for name in ("csrf_token", *names)}
        return _sender(
            api, client, where + form, sent | {name: one.format(event=event) for name, one in fields.items()}
        )

    return Form(prepare, steps=form == "/quieter")


def _suppressed(form: str) -> Form:
    def prepare(api: Api) -> Send:
        ben, client = api.customer(somebody()), signed_in(api)
        stop = {"customer": f"id:{ben}", "kind": "marketing", "reason": "asked"}
        if form == "/lift":
            assert api.post("/v1/suppressions", stop, role="desk").status_code == 201
        page = looking_after(client, ben, "C-1")
        fields = {"csrf_token": hidden(page, "csrf_token")}
        more = {"kind": "all"} if form == "/suppress" else {"suppression": hidden(page, "suppression")}
        return _sender(api, client, path(ben) + form, fields | more)

    # Two stops in place of one stop no more than one does; both are seen, and lifted.
    return Form(prepare, repeats=form == "/suppress")


def _dropped(api: Api) -> Send:
    ben, change_id = asking(api)
    client = signed_in(api)
    fields = {"csrf_token": hidden(looking_after(client, ben), "csrf_token"), "pending": str(change_id)}
    return _sender(api, client, f"{path(ben)}/drop", fields)


def _named(form: str) -> Form:
    """What is done with one of several names of a customer."""

    def prepare(api: Api) -> Send:
        ben, client = api.customer(somebody(), somebody()), signed_in(api)
        page = looking_after(client, ben, "C-1")
        return _sender(api, client, path(ben) + form, {name: hidden(page, name) for name in ("csrf_token", "point")})

    return Form(prepare)


def _accepted(api: Api) -> Send:
    ben, client = api.customer(somebody()), browser(api)
    client.get(link_to(api, ben))
    number = {"kind": "phone", "value": f"+4477009{next(_numbers):05}"}
    assert client.post("/me/details", data={"csrf_token": hidden(client.get("/me"), "csrf_token"), **number})
    agent = signed_in(api)
    page = looking_after(agent, ben, "C-1")
    fields = {name: hidden(page, name) for name in ("csrf_token", "pending")}
    return _sender(api, agent, f"{path(ben)}/accept", fields)


def _merged(api: Api) -> Send:
    ben, other, client = api.customer(somebody()), api.customer(somebody()), signed_in(api)
    fields = {"csrf_token": hidden(looking_after(client, ben, "C-1"), "csrf_token"), "other": str(other)}
    return _sender(api, client, f"{path(ben)}/merge", fields)


def _signing_in(api: Api) -> Send:
    client = browser(api)
    fields = {"csrf_token": hidden(client.get("/desk"), "csrf_token"), "key": api.keys["desk"]}
    return _sender(api, client, "/desk", fields)


def _signing_out(api: Api) -> Send:
    client = signed_in(api)
    fields = {"csrf_token": hidden(client.get("/desk"), "csrf_token")}
    return _sender(api, client, "/desk/sign-out", fields)


def _desks(prefix: str, *, agent: bool) -> dict[str, Form]:
    shown = () if agent else ("shown_at",)
    return {
        f"POST {prefix}": _desk("", "seen", *shown, agent=agent, d0="silent"),
        f"POST {prefix}/undo": _desk("/undo", *NOTICE, *shown, agent=agent, event="{event}", read_out="1"),
        f"POST {prefix}/quieter": _desk("/quieter", *shown, agent=agent),
        f"POST {prefix}/nothing": _desk("/nothing", *shown, agent=agent),
        f"POST {prefix}/pause": _desk("/pause", *shown, agent=agent, until="date", date="2030-05-01"),
        f"POST {prefix}/resume": _desk("/resume", *shown, agent=agent),
    }


_CUSTOMER = "/desk/customers/<uuid:customer_id>"
DESK_FORMS: dict[str, Form] = {
    **_desks("/preferences", agent=False),
    "POST /preferences/seen": _desk("/seen", "shown_at"),
    **_desks(_CUSTOMER, agent=True),
    f"POST {_CUSTOMER}/suppress": _suppressed("/suppress"),
    f"POST {_CUSTOMER}/lift": _suppressed("/lift"),
    f"POST {_CUSTOMER}/drop": Form(_dropped),
    f"POST {_CUSTOMER}/merge": Form(_merged),
    f"POST {_CUSTOMER}/confirm": _named("/confirm"),
    f"POST {_CUSTOMER}/remove": _named("/remove"),
    f"POST {_CUSTOMER}/accept": Form(_accepted),
    # Of the session that was begun with an answer that was lost nobody knows the secret; it ends by itself.
    "POST /desk": Form(_signing_in, repeats=True),
    "POST /desk/sign-out": Form(_signing_out),
}
# They answer what is asked in a body, or write into the cookie of whoever asks.
DESK_READING = {
    *(f"POST {prefix}/{one}" for prefix in ("/preferences", _CUSTOMER) for one in ("check", "edit")),
    "POST /desk/find",
    f"POST {_CUSTOMER}/word",
}
