"""Bodies, types, times, lists and parameters that are not as they must be: a stable code, and nothing stored."""

from __future__ import annotations

import io
import json
import socket
import string
import time
from copy import deepcopy
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from consent_service.app import create_app
from consent_service.web.arrival import HEAD_BYTES
from tests.support.api import CATALOGUE, EVIDENCE, NOTICE, Api
from tests.support.cluster import WebService
from tests.web.asking import SMALL_LIMIT, footprint, raw, refused, routes, rows, somebody, token

CHECK = "/v1/permissions/check"
LATER = "2031-01-01T00:00:00Z"
CHANGE = {"channel": "email", "topic": "offers", "level": "weekly"}
ASKED = {"customer": "email:ben@example.com", "channel": "email", "topic": "offers"}
REPORTED = {**ASKED, "contacted_at": "2026-01-01T09:00:00Z", "external_id": "x-1"}


@dataclass(frozen=True)
class Route:
    """A route that reads a body, and a body that it takes. `{ben}` in the path is a customer's id."""

    method: str
    path: str
    role: str
    body: dict[str, Any]
    may_be_empty: bool = False

    def send(self, api: Api, ben: UUID, body: bytes, **options: Any) -> Any:
        """Sends these bytes."""
        return raw(api, self.method, self.path.format(ben=ben, dialogue="A" * 43), body, role=self.role, **options)


ROUTES = [
    Route("POST", CHECK, "campaign", ASKED),
    Route("POST", "/v1/permissions/check-batch", "desk", {"checks": [ASKED]}),
    Route("POST", "/v1/links", "campaign", {"links": [ASKED]}),
    Route("POST", "/v1/permits", "campaign", ASKED),
    Route("POST", "/v1/permits/batch", "campaign", {"permits": [ASKED]}),
    Route("POST", "/v1/permits/use-batch", "campaign", {"ids": ["A" * 43]}),
    Route("POST", "/v1/permits/release-batch", "campaign", {"ids": ["A" * 43]}),
    Route("POST", "/v1/contacts", "campaign", ASKED),
    Route("POST", "/v1/contacts/batch", "campaign", {"contacts": [ASKED]}),
    Route("POST", "/v1/contacts/reports", "campaign", {"contacts": [REPORTED]}),
    Route("POST", "/v1/customers", "desk", {"identifiers": ["email:new@example.com"]}),
    Route("POST", "/v1/customers/lookup", "desk", {"customer": "email:ben@example.com"}),
    Route("PATCH", "/v1/customers/{ben}", "desk", {"locale": "en"}),
    Route("POST", "/v1/customers/{ben}/identifiers", "desk", {"identifier": "email:b@example.com"}),
    Route(
        "POST",
        "/v1/customers/{ben}/identifiers/confirm",
        "desk",
        {"identifier": "email:b@example.com", "evidence": EVIDENCE},
    ),
    Route("POST", "/v1/customers/{ben}/identifiers/remove", "desk", {"identifier": "email:b@example.com"}),
    Route("POST", "/v1/customers/{ben}/merge", "desk", {"other": "6f9e1dc5-7ef1-4d73-ba3d-2a0c0de24e0c"}),
    Route("POST", "/v1/customers/{ben}/tokens", "desk", {}, may_be_empty=True),
    Route("POST", "/v1/customers/{ben}/erase", "desk", {}, may_be_empty=True),
    Route(
        "PATCH",
        "/v1/customers/{ben}/dials",
        "desk",
        {"changes": [CHANGE], "source": "phone", "evidence": EVIDENCE, "notice": NOTICE},
    ),
    Route("PUT", "/v1/customers/{ben}/pause", "desk", {"until": LATER}),
    Route(
        "POST",
        "/v1/suppressions",
        "desk",
        {"customer": "email:ben@example.com", "kind": "all", "reason": "asked"},
    ),
    Route(
        "POST",
        "/v1/customers/{ben}/dialogues",
        "desk",
        {"topic": "offers", "subject": "A gift", "channels": ["email"], "until": LATER, "contacts": 3},
    ),
    Route("PATCH", "/v1/dialogues/{dialogue}", "desk", {"contacts": 1}),
    Route("POST", "/v1/dialogues/{dialogue}/entries", "desk", {"message": "Blue?"}),
    Route("POST", "/v1/dialogues/{dialogue}/close", "desk", {}, may_be_empty=True),
    Route("POST", "/v1/keys", "admin", {"name": "one more", "role": "campaign"}),
    # Bodies are read before anybody looks whose dialogue it is.
    Route("POST", "/v1/dialogues/<dialogue_id>/people", "desk", {"name": "Dora", "relation": "sister"}),
    Route("PATCH", "/v1/people/<person_id>", "desk", {"relation": "aunt"}),
    Route("POST", "/v1/people/<person_id>/invitation", "desk", {"shown_as": "Ben"}),
    Route(
        "POST",
        "/v1/dialogues/<dialogue_id>/facts",
        "desk",
        {"name": "size", "value": "42", "purpose": "shoes", "until": LATER},
    ),
    Route("PATCH", "/v1/facts/<fact_id>", "desk", {"value": "43"}),
    Route("POST", "/v1/customers/facts", "campaign", {"customer": "email:ben@example.com"}),
]
# A permit is used by naming it in the path; a proposal is answered by nobody who has a key.
WITHOUT_A_BODY = {
    ("POST", "/v1/permits/<permit_id>/use"),
    ("POST", "/v1/dialogues/<dialogue_id>/entries/<number>/answer"),
}

DEEP = 100_000
UNREADABLE: dict[str, tuple[bytes, str]] = {
    "1000 arrays": (b"[" * 1000 + b"]" * 1000, "json_too_deep"),
    "1000 arrays in an object": (b'{"a":' + b"[" * 1000 + b"]" * 1000 + b"}", "json_too_deep"),
    "33 objects": (b'{"a":' * 33 + b"1" + b"}" * 33, "json_too_deep"),
    "100000 arrays": (b"[" * DEEP + b"]" * DEEP, "json_too_deep"),
    "100000 objects": (b'{"a":' * DEEP + b"1" + b"}" * DEEP, "json_too_deep"),
    "100000 of both": (b'[{"a":' * DEEP + b"1" + b"}]" * DEEP, "json_too_deep"),
    "100000 that never end": (b"[" * DEEP, "json_too_deep"),
    "deep after shallow": (b'{"a":[],"b":' + b"[" * 40 + b"]" * 40 + b"}", "json_too_deep"),
    "deep behind a string of brackets": (b'{"]]]]":"]\\"]","b":' + b"[" * 40 + b"]" * 40 + b"}", "json_too_deep"),
    "a key twice": (b'{"level":"weekly","level":"silent"}', "duplicate_key"),
    "a key twice, once escaped": (b'{"level":"weekly","lev\\u0065l":"silent"}', "duplicate_key"),
    "a key twice, within": (b'{"a":[{"b":{"c":1,"c":1}}]}', "duplicate_key"),
    "NaN": (b'{"a":NaN}', "invalid_number"),
    "Infinity": (b'{"a":Infinity}', "invalid_number"),
    "-Infinity": (b'{"a":[-Infinity]}', "invalid_number"),
    "1e999": (b'{"a":1e999}', "invalid_number"),
    "-1e999": (b'{"a":-1E+999}', "invalid_number"),
    "5000 digits": (b'{"a":' + b"9" * 5000 + b"}", "invalid_number"),
    "5000 decimals": (b'{"a":0.' + b"1" * 5000 + b"}", "invalid_number"),
    "beyond 2^53": (b'{"a":9007199254740992}', "invalid_number"),
    "escaped NUL": (b'{"a":"a\\u0000b"}', "control_character"),
    "escaped NUL in a name": (b'{"a\\u0000b":1}', "control_character"),
    "escaped control character": (b'{"a":["\\u001f"]}', "control_character"),
    "backspace": (b'{"a":"\\b"}', "control_character"),
    "delete": (b'{"a":"\x7f"}', "control_character"),
    "raw NUL": (b'{"a":"a\x00b"}', "control_character"),
    "raw line feed": (b'{"a":"a\nb"}', "control_character"),
    "lone high surrogate": (b'{"a":"\\ud800"}', "invalid_unicode"),
    "lone low surrogate": (b'{"a":"x\\udfffy"}', "invalid_unicode"),
    "surrogates the wrong way round": (b'{"a":"\\ude00\\ud83d"}', "invalid_unicode"),
    "lone surrogate in a name": (b'{"\\ud800":1}', "invalid_unicode"),
    "no UTF-8": (b'{"a":"\xff"}', "invalid_encoding"),
    "Latin-1": ('{"a":"é"}'.encode("latin-1"), "invalid_encoding"),
    "a surrogate as UTF-8": (b'{"a":"\xed\xa0\x80"}', "invalid_encoding"),
    "overlong UTF-8": (b'{"a":"\xc0\x80"}', "invalid_encoding"),
    "UTF-16": ('{"a":"b"}'.encode("utf-16"), "invalid_encoding"),
    "UTF-16 without a mark": ('{"a":"b"}'.encode("utf-16-le"), "invalid_encoding"),
    "UTF-16, big end first": ('{"a":"b"}'.encode("utf-16-be"), "invalid_encoding"),
    "UTF-32": ('{"a":"b"}'.encode("utf-32-be"), "invalid_encoding"),
    "byte-order mark": (b"\xef\xbb\xbf{}", "invalid_json"),
    "something behind": (b"{}x", "invalid_json"),
    "two objects": (b"{}{}", "invalid_json"),
    "spaces only": (b" \n ", "invalid_json"),
    "half an object": (b'{"a":1', "invalid_json"),
    "single quotes": (b"{'a':1}", "invalid_json"),
    "a comma too many": (b'{"a":1,}', "invalid_json"),
    "a comment": (b'{"a":1/*b*/}', "invalid_json"),
    "a leading zero": (b'{"a":01}', "invalid_json"),
    "null": (b"null", "object_expected"),
    "an array": (b"[]", "object_expected"),
    "a string": (b'"x"', "object_expected"),
    "a number": (b"1", "object_expected"),
    "true": (b"true", "object_expected"),
}


@pytest.fixture(scope="module")
def ben(shared: Api) -> UUID:
    """A customer who has turned a dial, so that there is something to spoil."""
    made = shared.customer("email:ben@example.com")
    assert shared.turn(made, ("email", "offers", "monthly")).status_code == 200
    return made


def test_every_route_that_reads_a_body_is_tried(shared: Api, ben: UUID) -> None:
    reading = {(method, path) for method, path, _ in routes(shared) if method in ("POST", "PUT", "PATCH")}
    tried = {(route.method, route.path.format(ben="<customer_id>", dialogue="<dialogue_id>")) for route in ROUTES}
    assert reading == tried | WITHOUT_A_BODY


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_sound_json_object_is_refused_by_every_route(shared: Api, ben: UUID, name: str) -> None:
    body, code = UNREADABLE[name]
    before = footprint(shared)
    # The largest ones are read once by one route that writes: reading is the same code everywhere.
    for route in ROUTES if len(body) < DEEP else ROUTES[2:3]:
        assert refused(route.send(shared, ben, body), code), route
    assert footprint(shared) == before


def test_an_empty_body_is_refused_where_something_must_be_said(shared: Api, ben: UUID) -> None:
    before = footprint(shared)
    for route in ROUTES:
        if not route.may_be_empty:
            refused(route.send(shared, ben, b""), "invalid_json")
    assert footprint(shared) == before


def test_brackets_in_strings_and_many_of_them_side_by_side_are_not_deep(shared: Api) -> None:
    for body in ({"customer": "[" * 200}, {"customer": '\\"[[[[' * 40}, {"customer": [[]] * 200}):
        answer = shared.post(CHECK, body)
        assert answer.json["code"] not in ("json_too_deep", "invalid_json"), body


def test_a_text_of_quotes_and_brackets_is_looked_through_once(shared: Api) -> None:
    # Looked at anew from each quote, this would take hours.
    body = b'{"a":"' + b'\\"[' * 400_000
    refused(raw(shared, "POST", f"{CHECK}-batch", body), "invalid_json")


def test_thirty_two_levels_are_read(shared: Api) -> None:
    assert refused(raw(shared, "POST", CHECK, b'{"a":' * 32 + b"1" + b"}" * 32), "unknown_field", "/a")
    refused(raw(shared, "POST", CHECK, b'{"a":' * 33 + b"1" + b"}" * 33), "json_too_deep")


def test_a_surrogate_pair_and_a_line_feed_are_text(shared: Api, ben: UUID) -> None:
    body = b'{"customer":"email:ben@example.com","kind":"all","reason":"\\ud83d\\ude00\\n\\u00e9"}'
    assert raw(shared, "POST", "/v1/suppressions", body, role="desk").status_code == 201


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/problem+json",
        "application/json, text/plain",
        "application/jsonp",
    ],
)
def test_a_body_that_is_not_said_to_be_json_is_refused(shared: Api, ben: UUID, content_type: str | None) -> None:
    before = footprint(shared)
    for route in ROUTES:
        body = json.dumps(route.body).encode()
        refused(route.send(shared, ben, body, content_type=content_type), "unsupported_media_type")
    assert footprint(shared) == before


def test_json_is_json_with_a_parameter_and_in_capitals(shared: Api, ben: UUID) -> None:
    body = json.dumps(ASKED).encode()
    for content_type in ("application/json; charset=utf-8", "APPLICATION/JSON"):
        assert raw(shared, "POST", CHECK, body, content_type=content_type).status_code == 200


def test_a_packed_body_is_refused(shared: Api, ben: UUID) -> None:
    for coding in ("gzip", "deflate", "br", "identity, gzip"):
        answer = raw(shared, "POST", CHECK, json.dumps(ASKED).encode(), headers={"Content-Encoding": coding})
        refused(answer, "unsupported_media_type")


def test_an_unknown_field_is_refused_by_every_route(shared: Api, ben: UUID) -> None:
    before = footprint(shared)
    for route in ROUTES:
        for name in ("customer_id", "set_at", "state"):
            sent = json.dumps({**route.body, name: "x"}).encode()
            refused(route.send(shared, ben, sent), "unknown_field", f"/{name}")
    assert footprint(shared) == before


def test_an_unknown_field_on_a_row_is_that_rows_error(shared: Api, ben: UUID) -> None:
    known = shared.customer(somebody())
    before = footprint(shared)
    for path, name in (
        ("/v1/permissions/check-batch", "checks"),
        ("/v1/links", "links"),
        ("/v1/permits/batch", "permits"),
        ("/v1/contacts/batch", "contacts"),
        ("/v1/contacts/reports", "contacts"),
    ):
        smuggled = {**ASKED, "customer": f"id:{known}", "permitted": True}
        answer = shared.post(path, {name: [smuggled, 7, None, []]})
        assert answer.status_code == 200
        codes = [one["error"]["code"] for one in answer.json["results"]]
        assert codes == ["unknown_field", "invalid_value", "invalid_value", "invalid_value"]
    assert footprint(shared) == before


@pytest.mark.parametrize(
    ("smuggle", "pointer"),
    [
        (lambda body: body.update(customer_id="6f9e1dc5-7ef1-4d73-ba3d-2a0c0de24e0c"), "/customer_id"),
        (lambda body: body.update(set_at="2020-01-01T00:00:00Z"), "/set_at"),
        (lambda body: body.update(role="customer"), "/role"),
        (lambda body: body["changes"][1].update(set_at="2020-01-01T00:00:00Z"), "/changes/1/set_at"),
        (lambda body: body["changes"][0].update(customer_id="x"), "/changes/0/customer_id"),
        (lambda body: body["notice"].update(text="x"), "/notice/text"),
    ],
)
def test_nothing_is_smuggled_into_a_dial_change(shared: Api, ben: UUID, smuggle: Any, pointer: str) -> None:
    body = {
        "changes": [dict(CHANGE, level="silent"), dict(CHANGE, topic="events", level="silent")],
        "source": "phone",
        "evidence": EVIDENCE,
        "notice": dict(NOTICE),
    }
    smuggle(body)
    own = token(shared, ben)
    before = footprint(shared)
    for credential in (shared.keys["desk"], own):
        answer = shared.call("PATCH", f"/v1/customers/{ben}/dials", body, key=credential)
        refused(answer, "unknown_field", pointer)
    assert footprint(shared) == before


def test_a_name_that_may_be_a_persons_is_not_pointed_at(shared: Api, ben: UUID) -> None:
    sent = {"ann@example.com": 1}
    refused(shared.post(CHECK, {**ASKED, **sent}), "unknown_field", "")
    refused(shared.call("PATCH", f"/v1/customers/{ben}", sent, role="desk"), "unknown_field", "")


@pytest.mark.parametrize(
    ("level", "code"),
    [
        (5, "invalid_value"),
        (True, "invalid_value"),
        (1.0, "invalid_value"),
        ([], "invalid_value"),
        ({}, "invalid_value"),
        (["weekly"], "invalid_value"),
        ("", "invalid_value"),
        (" weekly ", "unknown_level"),
        ("Weekly", "unknown_level"),
        ("deafening", "unknown_level"),
        ("ｗeekly", "unknown_level"),
    ],
)
def test_what_is_no_level_is_refused(shared: Api, ben: UUID, level: Any, code: str) -> None:
    before = footprint(shared)
    answer = shared.turn(ben, ("email", "events", "silent"), ("email", "offers", level))
    refused(answer, code, "/changes/1/level")
    assert footprint(shared) == before


def test_a_change_without_its_level_is_not_taken_as_one_that_removes(shared: Api, ben: UUID) -> None:
    body = {"changes": [{"channel": "email", "topic": "offers"}], "source": "phone"}
    answer = shared.call("PATCH", f"/v1/customers/{ben}/dials", body, role="desk")
    refused(answer, "missing_field", "/changes/0/level")


def test_all_faults_of_a_body_are_named_at_once(shared: Api, ben: UUID) -> None:
    body = {"changes": [{"channel": 1, "topic": "", "level": "silent"}, 7], "source": "rumour"}
    answer = shared.call("PATCH", f"/v1/customers/{ben}/dials", body, role="desk")
    refused(answer, "invalid_value", "/changes/0/channel", "/changes/0/topic", "/changes/1", "/source")


def test_the_same_place_twice_is_refused_with_its_index(shared: Api, ben: UUID) -> None:
    before = footprint(shared)
    for second in ("silent", "weekly", None):
        answer = shared.turn(
            ben, ("email", "offers", "silent"), ("sms", "offers", "silent"), ("email", "offers", second)
        )
        refused(answer, "duplicate_place", "/changes/2")
    assert footprint(shared) == before


def test_one_bad_change_among_500_is_named_and_nothing_is_stored(shared: Api) -> None:
    wide = deepcopy(CATALOGUE)
    wide["topics"] |= {f"offers/n{number}": {"label": {"en": f"No {number}"}} for number in range(100)}
    shared.apply(wide)
    owner = shared.customer(somebody())
    places = [
        (channel, f"offers/n{number}") for number in range(100) for channel in ("*", "email", "sms", "phone", "post")
    ]
    assert len(places) == 500
    before = footprint(shared)
    for bad, code, name in (
        ((*places[387], "deafening"), "unknown_level", "/level"),
        (("email", "offers/none", "silent"), "unknown_topic", "/topic"),
        (("pigeon", "offers", "silent"), "unknown_channel", "/channel"),
    ):
        changes = [(channel, topic, "silent") for channel, topic in places]
        changes[387] = bad
        refused(shared.turn(owner, *changes), code, f"/changes/387{name}")
    louder = [(channel, topic, "silent") for channel, topic in places]
    louder[499] = (*places[499], "weekly")
    refused(shared.turn(owner, *louder, notice=None), "notice_required", "/changes/499")
    assert footprint(shared) == before
    assert shared.turn(owner, *[(channel, topic, "silent") for channel, topic in places]).status_code == 200
    assert footprint(shared)["dial"] == before["dial"] + 500


def test_501_changes_are_too_many_whatever_they_are(shared: Api, ben: UUID) -> None:
    before = footprint(shared)
    body = {"changes": [0] * 501, "source": "phone"}
    refused(shared.call("PATCH", f"/v1/customers/{ben}/dials", body, role="desk"), "too_many_items")
    assert footprint(shared) == before


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/permissions/check-batch", "checks"),
        ("/v1/links", "links"),
        ("/v1/permits/batch", "permits"),
        ("/v1/permits/use-batch", "ids"),
        ("/v1/permits/release-batch", "ids"),
        ("/v1/contacts/batch", "contacts"),
        ("/v1/contacts/reports", "contacts"),
    ],
)
def test_a_batch_has_one_to_ten_thousand_rows(shared: Api, ben: UUID, path: str, name: str) -> None:
    before = footprint(shared)
    row = {"ids": "A" * 43, "contacts": REPORTED}.get(name, ASKED)
    refused(shared.post(path, {name: [row] * 10_001}), "too_many_items")
    refused(shared.post(path, {name: []}), "invalid_value", f"/{name}")
    refused(shared.post(path, {}), "missing_field", f"/{name}")
    for wrong in (None, {}, {"0": row}, "x", 1):
        refused(shared.post(path, {name: wrong}), "invalid_value", f"/{name}")
    assert footprint(shared) == before


def test_explain_is_true_or_false(shared: Api, ben: UUID) -> None:
    for wrong in (1, "true", None, []):
        answer = shared.post("/v1/permissions/check-batch", {"checks": [ASKED], "explain": wrong})
        refused(answer, "invalid_value", "/explain")


BAD_TIMES = [
    "tomorrow",
    "now",
    "infinity",
    "-infinity",
    "epoch",
    "",
    "2026-11-22",
    "2026-11-22T09:30:00",
    "2026-11-22 09:30:00Z",
    "2026-11-22T09:30Z",
    "2026-11-22T09:30:00 Z",
    "2026-11-22T09:30:00Z\n",
    "2026-11-22T09:30:00z+01:00",
    "2026-11-22T09:30:00+0100",
    "2026-11-22T09:30:00+24:00",
    "2026-11-22T09:30:00+01:60",
    "2026-11-22T09:30:00.Z",
    "2026-11-22T23:59:60Z",
    "2026-11-22T24:00:00Z",
    "2026-02-30T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-00:01",
    "10000-01-01T00:00:00Z",
    "+12026-01-01T00:00:00Z",
    "２０２６-11-22T09:30:00Z",
    "2026-W47-7T09:30:00Z",
    1795339800,
    1.5,
    True,
    [],
    {},
]


@pytest.mark.parametrize("time", BAD_TIMES)
def test_what_is_no_time_is_refused_everywhere(shared: Api, ben: UUID, time: Any) -> None:
    before = footprint(shared)
    pointers = [] if time == "9999-12-31T23:59:59Z" else ["/until"]
    answer = shared.call("PUT", f"/v1/customers/{ben}/pause", {"until": time}, role="desk")
    refused(answer, "invalid_timestamp", *pointers)
    pointers = [] if time == "9999-12-31T23:59:59Z" else ["/occurred_at"]
    refused(shared.turn(ben, ("email", "offers", "silent"), occurred_at=time), "invalid_timestamp", *pointers)
    for path in (CHECK, "/v1/permits"):
        refused(shared.post(path, {**ASKED, "at": time}), "invalid_timestamp", "/at")
    report = shared.post("/v1/contacts/reports", {"contacts": [{**REPORTED, "contacted_at": time}]})
    assert report.json["results"][0]["error"]["code"] == "invalid_timestamp"
    assert footprint(shared) == before


def test_a_time_that_must_be_there_is_not_null(shared: Api, ben: UUID) -> None:
    refused(shared.post(CHECK, {**ASKED, "at": None}), "invalid_timestamp", "/at")
    answer = shared.call("PUT", f"/v1/customers/{ben}/pause", {"until": None}, role="desk")
    assert refused(answer, "invalid_value", "/until")


def test_a_row_at_the_end_of_the_calendar_leaves_the_other_rows_their_answers(shared: Api, ben: UUID) -> None:
    # There the search for the end of quiet hours would leave the calendar.
    rows_asked = [
        {**ASKED, "channel": "phone"},
        {**ASKED, "channel": "phone", "topic": "events", "at": "9999-12-31T23:59:59Z"},
        {**ASKED, "channel": "phone", "topic": "events", "at": "8999-12-31T23:59:59Z"},
        {**ASKED, "channel": "phone", "topic": "events", "at": "0001-01-01T00:00:00Z"},
    ]
    answer = shared.post("/v1/permissions/check-batch", {"checks": rows_asked})
    assert answer.status_code == 200, answer.json
    first, *others = answer.json["results"]
    assert "reason" in first
    assert [one["error"]["code"] for one in others] == ["invalid_timestamp"] * 3


def test_a_contact_that_was_made_does_not_lie_in_the_future(shared: Api, ben: UUID) -> None:
    now = rows(shared, "SELECT clock_timestamp() + interval '1 hour', clock_timestamp() + interval '30 seconds'")[0]
    later, soon = (instant.isoformat() for instant in now)
    before = footprint(shared)["contact"]
    answer = shared.post(
        "/v1/contacts/reports",
        {
            "contacts": [
                {**REPORTED, "contacted_at": later, "external_id": "later"},
                {**REPORTED, "contacted_at": soon, "external_id": "soon"},
                {**REPORTED, "contacted_at": "0001-01-01T00:00:00Z", "external_id": "long ago"},
            ]
        },
    )
    assert answer.json["results"][0]["error"]["code"] == "invalid_timestamp"
    assert [one.get("error") for one in answer.json["results"][1:]] == [None, None]
    assert footprint(shared)["contact"] == before + 2


@pytest.mark.parametrize("seconds", [0, -1, 59, 604_801, 315_360_000, 2**53 - 1, 1.5, 60.0, "60", True, None, [], {}])
def test_a_permit_lives_a_minute_to_a_week(shared: Api, ben: UUID, seconds: Any) -> None:
    before = footprint(shared)
    body = {**ASKED, "expires_in_seconds": seconds}
    refused(shared.post("/v1/permits", body), "invalid_value", "/expires_in_seconds")
    batch = shared.post("/v1/permits/batch", {"permits": [body]})
    assert batch.json["results"][0]["error"]["code"] == "invalid_value"
    assert footprint(shared) == before


def test_the_shortest_and_the_longest_permit_are_given(shared: Api) -> None:
    owner = shared.customer(somebody())
    for seconds in (60, 604_800):
        body = {**ASKED, "customer": f"id:{owner}", "topic": "orders", "expires_in_seconds": seconds}
        assert shared.post("/v1/permits", body).status_code == 201


@pytest.mark.parametrize("name", ["customer", "channel", "topic"])
@pytest.mark.parametrize("value", [None, 1, True, [], {}, "", "x" * 601])
def test_what_is_asked_about_is_named_by_strings(shared: Api, ben: UUID, name: str, value: Any) -> None:
    before = footprint(shared)
    for path in (CHECK, "/v1/permits", "/v1/contacts"):
        refused(shared.post(path, {**ASKED, name: value}), "invalid_value", f"/{name}")
        refused(
            shared.post(path, {key: one for key, one in ASKED.items() if key != name}),
            "missing_field",
            f"/{name}",
        )
    assert footprint(shared) == before


@pytest.mark.parametrize(
    "query",
    [
        "limit=10&limit=99",
        "limit=10&limit=10",
        "limit=-1",
        "limit=0",
        "limit=201",
        "limit=99999999999999999999",
        "limit=",
        "limit=1.0",
        "limit=+1",
        "limit=%201",
        "limit=%D9%A3",
        "limit=ten",
        "offset=1",
        "limit=1&Limit=2",
        "cursor=a&cursor=b",
        "cursor=%00",
    ],
)
def test_a_parameter_is_known_stands_once_and_is_sound(shared: Api, ben: UUID, query: str) -> None:
    answer = shared.call("GET", f"/v1/customers/{ben}/history?{query}", role="auditor")
    refused(answer, "invalid_parameter")


@pytest.mark.parametrize("query", ["channel=%00", "channel=a%0Ab", "channel=email&channel=sms", "until=x"])
def test_the_parameter_of_a_pause_is_sound_as_well(shared: Api, ben: UUID, query: str) -> None:
    answer = shared.call("DELETE", f"/v1/customers/{ben}/pause?{query}", role="desk")
    refused(answer, "invalid_parameter")


def test_a_cursor_is_taken_as_it_was_given_and_by_its_customer_only(shared: Api, ben: UUID) -> None:
    other = shared.customer(somebody())
    for level in ("monthly", "weekly", "silent"):
        assert shared.turn(other, ("email", "offers", level)).status_code == 200
    path = f"/v1/customers/{other}/history"
    cursor = shared.call("GET", f"{path}?limit=1", role="auditor").json["next_cursor"]
    assert shared.call("GET", f"{path}?limit=1&cursor={cursor}", role="auditor").status_code == 200
    head, _, signature = cursor.rpartition(".")
    altered = [
        "",
        "x",
        ".",
        head,
        cursor[:-1],
        cursor[1:],
        f"{cursor}x",
        f"{head}.{signature[::-1]}",
        f"{head[:-1]}{'A' if head[-1] != 'A' else 'B'}.{signature}",
        cursor.swapcase(),
        # The last character of a signature has bits to spare: only one of its spellings is ours.
        *(f"{cursor[:-1]}{last}" for last in string.ascii_letters if last != cursor[-1]),
        "x" * 5000,
    ]
    for text in altered:
        answer = shared.call("GET", f"{path}?cursor={text}", role="auditor")
        refused(answer, "invalid_cursor")
    refused(shared.call("GET", f"/v1/customers/{ben}/history?cursor={cursor}", role="auditor"), "invalid_cursor")


# The limit of a body's length.


class CountedStream(io.RawIOBase):
    """A request's body that never ends, and how much of it was read."""

    def __init__(self) -> None:
        self.taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        buffer[:] = b" " * len(buffer)
        self.taken += len(buffer)
        return len(buffer)


def padded(length: int) -> bytes:
    """A sound question of exactly so many bytes."""
    return json.dumps(ASKED).encode().ljust(length)


def test_a_body_without_an_end_is_read_up_to_the_limit_only(shared: Api) -> None:
    app = create_app(shared.made.settings(CONSENT_MAX_BODY_BYTES=str(SMALL_LIMIT)), shared.made.service_url)
    body = CountedStream()
    answer = app.test_client().post(
        CHECK,
        headers={
            "Authorization": f"Bearer {shared.keys['campaign']}",
            "Content-Type": "application/json",
            "Transfer-Encoding": "chunked",
        },
        environ_overrides={"wsgi.input": body, "wsgi.input_terminated": True},
    )
    refused(answer, "body_too_large")
    assert body.taken <= SMALL_LIMIT + 1
    app.extensions["consent_service"].database.close()


def test_a_body_that_says_it_is_too_long_is_not_read_at_all(shared: Api) -> None:
    app = create_app(shared.made.settings(CONSENT_MAX_BODY_BYTES=str(SMALL_LIMIT)), shared.made.service_url)
    body = CountedStream()
    for length in (SMALL_LIMIT + 1, 10**12):
        answer = app.test_client().post(
            CHECK,
            headers={
                "Authorization": f"Bearer {shared.keys['campaign']}",
                "Content-Type": "application/json",
            },
            environ_overrides={"wsgi.input": body, "CONTENT_LENGTH": str(length)},
        )
        refused(answer, "body_too_large")
    assert body.taken == 0
    app.extensions["consent_service"].database.close()


def exchange(service: WebService, key: str | None, headers: str, *pieces: bytes, ends: bool = False) -> tuple[int, Any]:
    """(status, body) of the answer to a POST of these pieces; `ends`: the client then closes its side.

    Status 0 means that the server closed without a word.
    """
    head = f"POST {CHECK} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}"
    if key is not None:
        head += f"Authorization: Bearer {key}\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as one:
        one.sendall(head.encode() + b"\r\n" + b"".join(pieces))
        if ends:
            one.shutdown(socket.SHUT_WR)
        reader = one.makefile("rb")
        status = reader.readline().split()
        if not status:
            return 0, {}
        length = 0
        while (line := reader.readline().strip()) != b"":
            name, _, value = line.decode().partition(": ")
            length = int(value) if name.lower() == "content-length" else length
        return int(status[1]), json.loads(reader.read(length))


def chunk(data: bytes) -> bytes:
    """One chunk of a body in chunks."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


CHUNKED = "Transfer-Encoding: chunked\r\n"


def test_a_body_at_the_limit_is_read_and_one_byte_more_is_not(shared: Api, ben: UUID, gunicorn: WebService) -> None:
    key = shared.keys["campaign"]
    length = f"Content-Length: {SMALL_LIMIT}\r\n"
    status, body = exchange(gunicorn, key, length, padded(SMALL_LIMIT))
    assert (status, "allowed" in body) == (200, True)
    status, body = exchange(gunicorn, key, f"Content-Length: {SMALL_LIMIT + 1}\r\n", padded(SMALL_LIMIT + 1))
    assert (status, body["code"]) == (413, "body_too_large")
    # Of a large one no more is waited for than what the server gathers before it begins.
    status, body = exchange(gunicorn, key, "Content-Length: 1000000000\r\n", b" " * HEAD_BYTES)
    assert (status, body["code"]) == (413, "body_too_large")


def test_a_body_in_chunks_has_the_same_limit(shared: Api, ben: UUID, gunicorn: WebService) -> None:
    key = shared.keys["campaign"]
    whole = padded(SMALL_LIMIT)
    status, body = exchange(gunicorn, key, CHUNKED, chunk(whole[:100]), chunk(whole[100:]), b"0\r\n\r\n")
    assert (status, "allowed" in body) == (200, True)
    # Cut at the limit this would be a sound question; it must not be answered.
    status, body = exchange(gunicorn, key, CHUNKED, chunk(whole), chunk(b" "), b"0\r\n\r\n")
    assert (status, body["code"]) == (413, "body_too_large")
    # Nor is the end waited for.
    status, body = exchange(gunicorn, key, CHUNKED, chunk(b" " * SMALL_LIMIT), chunk(b" " * SMALL_LIMIT))
    assert (status, body["code"]) == (413, "body_too_large")


def send_for(one: socket.socket, piece: bytes, *, seconds: float) -> None:
    """Sends the same again and again."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        one.sendall(piece)


def test_a_body_without_an_end_does_not_keep_its_connection(shared: Api, gunicorn: WebService) -> None:
    head = (
        f"POST {CHECK} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{CHUNKED}"
        f"Authorization: Bearer {shared.keys['campaign']}\r\n\r\n"
    )
    piece = chunk(b" " * 65_536)
    with socket.create_connection(("127.0.0.1", gunicorn.port), timeout=20) as one:
        one.sendall(head.encode())
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            send_for(one, piece, seconds=10)


def test_nobody_is_heard_out_before_showing_a_key(shared: Api, gunicorn: WebService) -> None:
    status, body = exchange(gunicorn, None, "Content-Length: 1000000000\r\n", b" " * HEAD_BYTES)
    assert (status, body["code"]) == (401, "unauthenticated")


def test_a_short_body_behind_another_server_is_not_taken_for_a_whole_one(shared: Api, ben: UUID) -> None:
    sound = json.dumps(ASKED).encode()
    answer = shared.client.post(
        CHECK,
        headers={"Authorization": f"Bearer {shared.keys['campaign']}", "Content-Type": "application/json"},
        environ_overrides={
            "wsgi.input": io.BytesIO(sound),
            "wsgi.input_terminated": True,
            "CONTENT_LENGTH": str(len(sound) + 1),
        },
    )
    refused(answer, "bad_request")


def test_a_body_that_ends_early_is_not_taken_for_a_whole_one(shared: Api, ben: UUID, gunicorn: WebService) -> None:
    sound = json.dumps(ASKED).encode()
    key = shared.keys["campaign"]
    longer = f"Content-Length: {len(sound) + 1}\r\n"
    for frame, broken in ((longer, sound), (CHUNKED, chunk(sound) + b"zz\r\n"), (CHUNKED, chunk(sound))):
        status, body = exchange(gunicorn, key, frame, broken, ends=True)
        assert (status, body["code"]) == (400, "bad_request")
