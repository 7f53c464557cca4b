"""Every use case that writes: how to ask for it anew, and what a repetition does.

A route or command that is missing here fails a test: whoever adds one adds its row.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml

from consent_service.keyring.service import Keyring
from tests.dialogues.conversations import opened
from tests.fsck.world import CONTACT, good
from tests.support.api import CATALOGUE, EVIDENCE, NOTICE, Api
from tests.support.cluster import PREVIOUS_SECRET, SECRET

_numbers = itertools.count(1)
UNTIL = "2031-01-01T00:00:00Z"
SOON = (datetime.now(UTC) + timedelta(days=60)).isoformat()
PERSON = {"name": "Dora", "relation": "sister", "evidence": EVIDENCE}
FACT = {"name": "size", "value": "42", "purpose": "shoes", "until": "2027-10-01T00:00:00Z", "evidence": EVIDENCE}
MADE_AT = "2026-01-01T10:00:00Z"


@dataclass(frozen=True)
class Request:
    """One call of the API."""

    path: str
    body: Any = None
    role: str = "campaign"
    key: str | None = None  # of a customer, instead of a role's


@dataclass(frozen=True)
class Route:
    """A route that writes.

    Args:
        request: makes what is needed, for people whom nobody has met, and answers the call.
        again: status of the repetition when the first one had its effect. With an Idempotency-Key it is that of the
            first; DELETE takes none, and is idempotent by nature: what is gone is gone.
    """

    request: Callable[[Api], Request]
    again: int | None = None


@dataclass(frozen=True)
class Command:
    """A command that writes.

    Args:
        arguments: makes what is needed, and answers what follows the command's name.
        twice: the command has no memory of itself: after an answer that was lost it does its work once more, and its
            operator finds two. Else a repetition finds its work done.
    """

    arguments: Callable[[Api, Path], Sequence[object]]
    twice: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


def _name() -> str:
    return f"email:f{next(_numbers)}@example.com"


def somebody_at(api: Api, level: str) -> UUID:
    """Somebody whom nobody has met, with one dial: offers by mail."""
    made = api.customer(_name())
    good(api.turn(made, ("email", "offers", level)), 200)
    return made


def _somebody(api: Api) -> str:
    return str(somebody_at(api, "busy"))


def _asked(api: Api) -> dict[str, Any]:
    return {"customer": f"id:{_somebody(api)}", **CONTACT}


def _permit(api: Api) -> str:
    return str(good(api.post("/v1/permits", _asked(api)), 201)["id"])


def _suppression(api: Api) -> str:
    body = {"customer": f"id:{_somebody(api)}", "kind": "marketing", "reason": "complaint"}
    return str(good(api.post("/v1/suppressions", body, role="desk"), 201)["id"])


def _of(path: str, body: Any = None) -> Callable[[Api], Request]:
    """A call of the desk about somebody new."""
    return lambda api: Request(path.format(id=_somebody(api)), body() if callable(body) else body, "desk")


def _paused(api: Api) -> Request:
    one = _somebody(api)
    good(api.call("PUT", f"/v1/customers/{one}/pause", {"until": UNTIL}, role="desk"), 200)
    return Request(f"/v1/customers/{one}/pause", role="desk")


def _key(api: Api) -> Request:
    made = good(api.post("/v1/keys", {"role": "auditor", "name": _name()}, role="admin"), 201)
    return Request(f"/v1/keys/{made['id']}", role="admin")


def _circle(api: Api) -> str:
    return opened(api, UUID(_somebody(api)))


def _person(api: Api) -> str:
    return str(good(api.post(f"/v1/dialogues/{_circle(api)}/people", PERSON, role="desk"), 201)["id"])


def _fact(api: Api) -> str:
    return str(good(api.post(f"/v1/dialogues/{_circle(api)}/facts", FACT, role="desk"), 201)["id"])


def _merge(api: Api) -> Request:
    survivor, other = _somebody(api), _somebody(api)
    for one in (survivor, other):
        good(api.post("/v1/permits", {"customer": f"id:{one}", **CONTACT}), 201)
    return Request(f"/v1/customers/{survivor}/merge", {"other": other}, "desk")


def _confirmed(api: Api) -> Request:
    name = _name()
    body = {"identifier": name, "evidence": EVIDENCE}
    return Request(f"/v1/customers/{api.customer(name)}/identifiers/confirm", body, "desk")


def _removed(api: Api) -> Request:
    names = [_name(), _name()]
    return Request(f"/v1/customers/{api.customer(*names)}/identifiers/remove", {"identifier": names[0]}, "desk")


def _turn(api: Api) -> Request:
    places = [("email", "offers", "silent"), ("*", "offers/garden", "weekly"), ("sms", "*", "daily")]
    changes = [{"channel": channel, "topic": topic, "level": level} for channel, topic, level in places]
    body = {"changes": changes, "source": "phone", "evidence": EVIDENCE, "notice": NOTICE}
    return Request(f"/v1/customers/{_somebody(api)}/dials", body, "desk")


def _reports(api: Api) -> Request:
    row = {**CONTACT, "contacted_at": MADE_AT, "external_id": "1"}
    known, stranger = f"id:{_somebody(api)}", _name()
    rows = [{**row, "customer": known}, {**row, "customer": known, "external_id": "2"}, {**row, "customer": stranger}]
    return Request("/v1/contacts/reports", {"contacts": rows})


TALK = {"topic": "offers", "subject": "A gift", "channels": ["email"], "until": SOON, "contacts": 3}


def _dialogue(api: Api) -> tuple[str, str]:
    """(a dialogue of somebody new, their credential)."""
    one = _somebody(api)
    token = good(api.post(f"/v1/customers/{one}/tokens", role="desk"), 201)["token"]
    made = good(api.post(f"/v1/customers/{one}/dialogues", TALK, key=token), 201)
    return str(made["id"]), str(token)


def _in_dialogue(path: str, body: Any = None) -> Callable[[Api], Request]:
    """A call of the desk about a new dialogue."""
    return lambda api: Request(f"/v1/dialogues/{_dialogue(api)[0]}{path}", body, "desk")


def _answered(api: Api) -> Request:
    made, token = _dialogue(api)
    lines = [
        {"dial": {"channel": "sms", "topic": "offers", "level": "weekly"}},
        {"terms": {"contacts": 5}},
        {"specification": {"size": "42"}},
    ]
    proposal = {"proposal": {"text": "Like this?", "lines": lines}}
    number = good(api.post(f"/v1/dialogues/{made}/entries", proposal, role="desk"), 201)["number"]
    said = [{"line": line, "answer": "accept"} for line in (1, 2, 3)]
    return Request(f"/v1/dialogues/{made}/entries/{number}/answer", {"lines": said, "notice": NOTICE}, key=token)


def _some(make: Callable[[Api], Any], path: str, name: str) -> Callable[[Api], Request]:
    """A batch of two, and the first once more: a second round for one customer."""

    def request(api: Api) -> Request:
        rows = [make(api), make(api)]
        return Request(path, {name: [*rows, rows[0]]})

    return request


ROUTES: dict[str, Route] = {
    "POST /v1/customers": Route(
        lambda _: Request("/v1/customers", {"identifiers": [_name(), f"postal:{next(_numbers)} Lane"]}, "desk")
    ),
    "PATCH /v1/customers/<customer_id>": Route(_of("/v1/customers/{id}", {"locale": "it", "segment": "club"})),
    "POST /v1/customers/<customer_id>/identifiers": Route(
        _of("/v1/customers/{id}/identifiers", lambda: {"identifier": _name()})
    ),
    "POST /v1/customers/<customer_id>/identifiers/confirm": Route(_confirmed),
    "POST /v1/customers/<customer_id>/identifiers/remove": Route(_removed),
    "POST /v1/customers/<customer_id>/merge": Route(_merge),
    "POST /v1/customers/<customer_id>/tokens": Route(_of("/v1/customers/{id}/tokens")),
    "POST /v1/customers/<customer_id>/erase": Route(_of("/v1/customers/{id}/erase")),
    "POST /v1/suppressions": Route(
        lambda api: Request(
            "/v1/suppressions", {"customer": f"id:{_somebody(api)}", "kind": "all", "reason": "dead"}, "desk"
        )
    ),
    "DELETE /v1/suppressions/<suppression_id>": Route(
        lambda api: Request(f"/v1/suppressions/{_suppression(api)}", role="desk"), again=404
    ),
    "PATCH /v1/customers/<customer_id>/dials": Route(_turn),
    "PUT /v1/customers/<customer_id>/pause": Route(_of("/v1/customers/{id}/pause", {"until": UNTIL})),
    "DELETE /v1/customers/<customer_id>/pause": Route(_paused),
    "POST /v1/permits": Route(lambda api: Request("/v1/permits", _asked(api))),
    "POST /v1/permits/<permit_id>/use": Route(lambda api: Request(f"/v1/permits/{_permit(api)}/use", {})),
    "DELETE /v1/permits/<permit_id>": Route(lambda api: Request(f"/v1/permits/{_permit(api)}")),
    "POST /v1/permits/batch": Route(_some(_asked, "/v1/permits/batch", "permits")),
    "POST /v1/permits/use-batch": Route(_some(_permit, "/v1/permits/use-batch", "ids")),
    "POST /v1/permits/release-batch": Route(_some(_permit, "/v1/permits/release-batch", "ids")),
    "POST /v1/contacts": Route(lambda api: Request("/v1/contacts", _asked(api))),
    "POST /v1/contacts/batch": Route(_some(_asked, "/v1/contacts/batch", "contacts")),
    "POST /v1/contacts/reports": Route(_reports),
    "POST /v1/customers/<customer_id>/dialogues": Route(
        _of("/v1/customers/{id}/dialogues", {**TALK, "source": "phone", "evidence": EVIDENCE})
    ),
    "PATCH /v1/dialogues/<dialogue_id>": Route(_in_dialogue("", {"contacts": 2, "evidence": EVIDENCE})),
    "POST /v1/dialogues/<dialogue_id>/entries": Route(_in_dialogue("/entries", {"message": "Which colour?"})),
    "POST /v1/dialogues/<dialogue_id>/entries/<number>/answer": Route(_answered),
    "POST /v1/dialogues/<dialogue_id>/close": Route(_in_dialogue("/close", {})),
    "POST /v1/keys": Route(lambda _: Request("/v1/keys", {"role": "auditor", "name": _name()}, "admin")),
    "DELETE /v1/keys/<key_id>": Route(_key),
    "POST /v1/dialogues/<dialogue_id>/people": Route(
        lambda api: Request(f"/v1/dialogues/{_circle(api)}/people", {**PERSON, "contact": _name()}, "desk")
    ),
    "PATCH /v1/people/<person_id>": Route(
        lambda api: Request(f"/v1/people/{_person(api)}", {"relation": "aunt", "evidence": EVIDENCE}, "desk")
    ),
    "DELETE /v1/people/<person_id>": Route(lambda api: Request(f"/v1/people/{_person(api)}", role="desk"), again=404),
    "POST /v1/people/<person_id>/invitation": Route(
        lambda api: Request(f"/v1/people/{_person(api)}/invitation", {"evidence": EVIDENCE}, "desk")
    ),
    "POST /v1/dialogues/<dialogue_id>/facts": Route(
        lambda api: Request(f"/v1/dialogues/{_circle(api)}/facts", FACT, "desk")
    ),
    "PATCH /v1/facts/<fact_id>": Route(
        lambda api: Request(f"/v1/facts/{_fact(api)}", {"value": "43", "evidence": EVIDENCE}, "desk")
    ),
    "DELETE /v1/facts/<fact_id>": Route(lambda api: Request(f"/v1/facts/{_fact(api)}", role="desk"), again=404),
}
# Asked with a body, because references to people do not stand in a URL; they write nothing, but that facts were read.
READING_ROUTES = {
    "POST /v1/customers/facts",
    "POST /v1/customers/lookup",
    "POST /v1/links",
    "POST /v1/permissions/check",
    "POST /v1/permissions/check-batch",
}


def _file(folder: Path, header: str, *rows: str) -> Path:
    path = folder / f"{next(_numbers)}.csv"
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


def _contacts_file(api: Api, folder: Path) -> Sequence[object]:
    known, stranger = f"id:{_somebody(api)}", _name()
    header = "customer,channel,topic,contacted_at,campaign"
    rows = [f"{one},email,offers/wine,{MADE_AT},autumn" for one in (known, known, stranger)]
    return [_file(folder, header, *rows)]


def _dials_file(api: Api, folder: Path) -> Sequence[object]:
    known, stranger = f"id:{_somebody(api)}", _name()
    header = "customer,channel,topic,level,occurred_at"
    rows = [f"{known},email,offers,silent,", f"{stranger},*,*,weekly,{MADE_AT}"]
    return [_file(folder, header, *rows)]


def _screened(api: Api, folder: Path) -> Sequence[object]:
    rows = [f"id:{_somebody(api)}", f"id:{_somebody(api)}", _name()]
    with (folder / "audience.csv").open("w", encoding="utf-8") as file:
        csv.writer(file).writerows([["customer"], *([row] for row in rows)])
    output = folder / "answers.csv"
    output.unlink(missing_ok=True)
    question = ["--channel", "email", "--topic", "offers/wine"]
    return [folder / "audience.csv", *question, "--reserve", "--key-name", "campaign key", "--output", output]


def _catalogue(api: Api, folder: Path) -> Sequence[object]:
    known = {"name": f"policy {next(_numbers)}", "channel": "*", "topic": "*", "contacts": 90, "per": "P7D"}
    path = folder / "catalogue.yaml"
    path.write_text(yaml.safe_dump({**CATALOGUE, "policies": [known]}, sort_keys=False), encoding="utf-8")
    return [path, "--accept-louder"]


def _revoked(api: Api, _: Path) -> Sequence[object]:
    return [_key(api).path.rpartition("/")[2]]


def _rewrapped(api: Api, _: Path) -> Sequence[object]:
    """Turns the secret back, so that there is something to rotate: the service's key and one customer's."""
    with api.database.transaction() as conn:
        turned_back = Keyring(SECRET.encode(), PREVIOUS_SECRET.encode()).rewrap(conn)
    if not turned_back:
        _somebody(api)
    return []


COMMANDS: dict[str, Command] = {
    "catalogue apply": Command(_catalogue),
    "contacts import": Command(_contacts_file),
    "dials import": Command(_dials_file),
    # Nobody saw the first key: it is in `keys list`, never used, and can be revoked.
    "keys create": Command(lambda _api, _folder: ["--role", "desk", "--name", _name()], twice=True),
    "keys revoke": Command(_revoked),
    # The permits of the first run are nobody's, and expire.
    "screen": Command(_screened, twice=True),
    "secret rotate": Command(
        _rewrapped, environment={"CONSENT_SECRET_KEY": PREVIOUS_SECRET, "CONSENT_SECRET_KEY_PREVIOUS": SECRET}
    ),
}
# They write nothing, or to a file, or (`replay`) to a database of their own.
READING_COMMANDS = {"backup", "catalogue show", "fsck", "keys list", "replay"}
# What they do is done by others' use cases, or has tests of its own that kill it: migrations, restore, serve.
OTHER_COMMANDS = {"migrate", "restore", "serve", "web", "worker"}
