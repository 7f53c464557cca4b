"""Who may call what: keys, roles, topics, customers' tokens, limits. Denied by default."""

from __future__ import annotations

import base64
import string
import time
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from itsdangerous.timed import TimestampSigner
from werkzeug.test import TestResponse

from consent_service.app import create_app
from consent_service.keyring.service import Keyring
from consent_service.keys import service as keys
from tests.support.api import CATALOGUE, Api
from tests.web.asking import NOBODYS_ID, bare, footprint, refused, routes, rows, somebody, token

ROLES = ("campaign", "desk", "auditor", "admin", "customer")
OPEN = {
    ("GET", "/docs"),
    ("GET", "/docs/<name>"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/openapi.yaml"),
}
CAMPAIGN, DESK, READS, OWN, BY_DESK, ADMIN, ANY = (
    {"campaign"},
    {"desk", "admin"},
    {"desk", "auditor", "admin"},
    {"desk", "auditor", "admin", "customer"},
    {"desk", "admin", "customer"},
    {"admin"},
    {"campaign", "desk", "auditor", "admin"},
)
# As the contract has it, written out once more: an admin may all that desk and auditor may.
MAY_CALL = {
    ("GET", "/v1/me"): ANY,
    ("GET", "/v1/catalogue"): ANY,
    ("GET", "/v1/keys"): ADMIN,
    ("POST", "/v1/keys"): ADMIN,
    ("DELETE", "/v1/keys/<key_id>"): ADMIN,
    ("POST", "/v1/customers"): {"desk", "admin", "campaign"},
    ("POST", "/v1/customers/lookup"): READS,
    ("GET", "/v1/customers/<customer_id>"): OWN,
    ("PATCH", "/v1/customers/<customer_id>"): BY_DESK,
    ("POST", "/v1/customers/<customer_id>/identifiers"): BY_DESK,
    ("POST", "/v1/customers/<customer_id>/identifiers/confirm"): {"desk", "admin"},
    ("POST", "/v1/customers/<customer_id>/identifiers/remove"): BY_DESK,
    ("POST", "/v1/customers/<customer_id>/merge"): DESK,
    ("POST", "/v1/customers/<customer_id>/tokens"): DESK,
    ("POST", "/v1/customers/<customer_id>/erase"): BY_DESK,
    ("GET", "/v1/customers/<customer_id>/history"): OWN,
    ("GET", "/v1/customers/<customer_id>/dials"): OWN,
    ("PATCH", "/v1/customers/<customer_id>/dials"): BY_DESK,
    ("PUT", "/v1/customers/<customer_id>/pause"): BY_DESK,
    ("DELETE", "/v1/customers/<customer_id>/pause"): BY_DESK,
    ("GET", "/v1/dialogues/<dialogue_id>/people"): BY_DESK,
    ("POST", "/v1/dialogues/<dialogue_id>/people"): BY_DESK,
    ("PATCH", "/v1/people/<person_id>"): BY_DESK,
    ("DELETE", "/v1/people/<person_id>"): BY_DESK,
    ("POST", "/v1/people/<person_id>/invitation"): BY_DESK,
    ("GET", "/v1/dialogues/<dialogue_id>/facts"): BY_DESK,
    ("POST", "/v1/dialogues/<dialogue_id>/facts"): BY_DESK,
    ("PATCH", "/v1/facts/<fact_id>"): BY_DESK,
    ("DELETE", "/v1/facts/<fact_id>"): BY_DESK,
    ("POST", "/v1/customers/facts"): {"campaign", "desk", "admin"},
    ("POST", "/v1/suppressions"): DESK,
    ("DELETE", "/v1/suppressions/<suppression_id>"): DESK,
    ("POST", "/v1/permissions/check"): ANY,
    ("POST", "/v1/permissions/check-batch"): ANY,
    ("POST", "/v1/links"): {"campaign", "desk", "admin"},
    ("POST", "/v1/permits"): CAMPAIGN,
    ("GET", "/v1/permits/<permit_id>"): CAMPAIGN,
    ("POST", "/v1/permits/<permit_id>/use"): CAMPAIGN,
    ("DELETE", "/v1/permits/<permit_id>"): CAMPAIGN,
    ("POST", "/v1/permits/batch"): CAMPAIGN,
    ("POST", "/v1/permits/use-batch"): CAMPAIGN,
    ("POST", "/v1/permits/release-batch"): CAMPAIGN,
    ("POST", "/v1/contacts"): CAMPAIGN,
    ("POST", "/v1/contacts/batch"): CAMPAIGN,
    ("POST", "/v1/contacts/reports"): CAMPAIGN,
    # A campaign key that opens one is told that only customers do.
    ("POST", "/v1/customers/<customer_id>/dialogues"): BY_DESK | CAMPAIGN,
    ("GET", "/v1/customers/<customer_id>/dialogues"): OWN,
    ("GET", "/v1/dialogues/<dialogue_id>"): OWN | CAMPAIGN,
    ("PATCH", "/v1/dialogues/<dialogue_id>"): BY_DESK,
    ("POST", "/v1/dialogues/<dialogue_id>/entries"): BY_DESK | CAMPAIGN,
    ("POST", "/v1/dialogues/<dialogue_id>/entries/<number>/answer"): {"customer"},
    ("POST", "/v1/dialogues/<dialogue_id>/close"): BY_DESK,
}


@pytest.fixture(scope="module")
def ben(shared: Api) -> UUID:
    """A customer."""
    return shared.customer("email:ben@example.com")


def ask(
    api: Api, method: str, path: str, authorization: str | None, address: str = "10.0.0.1", **options: Any
) -> TestResponse:
    """A request with this Authorization header, from an address of its own (each may fail a while)."""
    headers = {} if authorization is None else {"Authorization": authorization}
    environ = {"REMOTE_ADDR": address}
    return api.client.open(bare(path), method=method, headers=headers, environ_overrides=environ, **options)


def guarded(api: Api) -> list[tuple[str, str, frozenset[str]]]:
    """Every route that is not open to everybody."""
    return [(method, path, roles) for method, path, roles in routes(api) if roles]


# Which routes there are, and for whom.


def test_every_route_names_its_roles(shared: Api) -> None:
    assert [route for route in routes(shared) if route[2] is None] == []


def test_only_health_and_documents_are_open_to_everybody(shared: Api) -> None:
    assert {(method, path) for method, path, roles in routes(shared) if roles == frozenset()} == OPEN
    for method, path in OPEN:
        assert ask(shared, method, path, None).status_code == 200, path


def test_the_routes_and_their_roles_are_those_of_the_contract(shared: Api) -> None:
    walked = {
        (method, path): set(roles) | ({"admin"} if roles & {"desk", "auditor"} else set())
        for method, path, roles in guarded(shared)
    }
    assert walked == MAY_CALL


def test_a_view_without_roles_is_reached_by_nobody(shared: Api) -> None:
    app = create_app(shared.settings, shared.made.service_url)
    app.add_url_rule("/v1/forgotten", "forgotten", lambda: "reached")
    for key in (None, *shared.keys.values()):
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        refused(app.test_client().get("/v1/forgotten", headers=headers), "role_not_allowed")


def test_without_a_key_every_guarded_route_is_401(shared: Api) -> None:
    before = footprint(shared)
    for method, path, _ in guarded(shared):
        answer = ask(shared, method, path, None)
        refused(answer, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer", path
    assert footprint(shared) == before


@pytest.mark.parametrize("role", ROLES)
def test_each_role_calls_its_own_routes_and_no_others(shared: Api, ben: UUID, role: str) -> None:
    key = shared.key("admin", "to be spared") if role == "admin" else shared.keys.get(role) or token(shared, ben)
    before = footprint(shared)
    for (method, path), allowed in MAY_CALL.items():
        answer = ask(shared, method, path, f"Bearer {key}", json={})
        if role in allowed:
            assert answer.status_code not in (401, 403), (method, path)
        else:
            refused(answer, "role_not_allowed")
    # Bodies were empty and ids nobody's: whoever got in found nothing to do.
    assert footprint(shared) == before


def test_head_asks_for_a_key_like_get(shared: Api) -> None:
    for method, path, _ in guarded(shared):
        if method == "GET":
            answer = ask(shared, "HEAD", path, None)
            assert (answer.status_code, answer.data) == (401, b"")


# The credential.


def test_a_revoked_key_is_401_at_once_on_every_route_and_worker(shared: Api) -> None:
    other_worker = create_app(shared.settings, shared.made.service_url)
    for role in ("campaign", "desk", "auditor", "admin"):
        name = f"revoked {role}"
        key = shared.key(role, name)
        headers = {"Authorization": f"Bearer {key}"}
        assert other_worker.test_client().get("/v1/me", headers=headers).status_code == 200
        key_id = rows(shared, "SELECT key_id FROM api_key WHERE name = %s", name)[0][0]
        assert shared.call("DELETE", f"/v1/keys/{key_id}", role="admin").status_code == 204
        refused(other_worker.test_client().get("/v1/me", headers=headers), "unauthenticated")
        for method, path in MAY_CALL:
            refused(ask(shared, method, path, f"Bearer {key}", "10.0.0.2", json={}), "unauthenticated")
    other_worker.extensions["consent_service"].database.close()


def test_a_key_stands_in_the_authorization_header_only(shared: Api) -> None:
    key = shared.keys["desk"]
    for name in ("access_token", "key", "api_key", "token", "authorization", "Authorization"):
        refused(ask(shared, "GET", f"/v1/me?{name}={key}", None), "unauthenticated")
        refused(ask(shared, "GET", f"/v1/me?{name}=Bearer%20{key}", None), "unauthenticated")
    for name in ("X-Api-Key", "X-Authorization", "Proxy-Authorization", "Cookie"):
        sent = f"key={key}" if name == "Cookie" else f"Bearer {key}"
        refused(shared.client.get("/v1/me", headers={name: sent}), "unauthenticated")
    answer = shared.client.post("/v1/me", data={"access_token": key})
    refused(answer, "method_not_allowed")


def test_the_schemes_name_has_no_case(shared: Api) -> None:
    for scheme in ("bearer", "Bearer", "BEARER"):
        assert ask(shared, "GET", "/v1/me", f"{scheme} {shared.keys['desk']}").json["role"] == "desk"


def test_what_is_no_key_is_401(shared: Api) -> None:
    key = shared.keys["desk"]
    basic = base64.b64encode(f"desk:{key}".encode()).decode()
    for sent in (
        "",
        " ",
        "Bearer",
        "Bearer ",
        "Bearer csk_",
        "Bearer cst_",
        "Bearer cst_.",
        "Bearer cst_..",
        f"Bearer cst_{'A' * 100}",
        f"Bearer cst_{key}",
        "Bearer null",
        key,
        f"Token {key}",
        f"Basic {basic}",
        f"Basic {key}",
        f"Digest {key}",
        f"Bearer: {key}",
        f"Bearer\t{key}",
        f'Bearer "{key}"',
        f"Bearer {key}x",
        f"Bearer {key[:-1]}",
        f"Bearer {key.upper()}",
        f"Bearer {key.removeprefix('csk_')}",
        f"Bearer {key}, Bearer {key}",
        f"Bearer {key} {key}",
        f"Bearer {key}\xa0",
        "Bearer csk_caf\xe9",
        f"Bearer csk_{'x' * 8000}",
        "Bearer csk_' OR '1'='1",
        "Bearer csk_%",
    ):
        refused(ask(shared, "GET", "/v1/me", sent, "10.0.0.3"), "unauthenticated")


def test_the_last_use_of_a_key_is_kept(shared: Api) -> None:
    key = shared.key("auditor", "used once")
    last_used_at = "SELECT last_used_at FROM api_key WHERE name = 'used once'"
    assert rows(shared, last_used_at) == [(None,)]
    assert shared.call("GET", "/v1/me", key=key).status_code == 200
    assert rows(shared, f"SELECT clock_timestamp() - ({last_used_at}) < interval '1 minute'") == [(True,)]
    rows(shared, "UPDATE api_key SET last_used_at = '2020-01-01Z' WHERE name = 'used once'")
    refused(shared.call("POST", "/v1/keys", {}, key=key), "role_not_allowed")
    assert rows(shared, f"SELECT clock_timestamp() - ({last_used_at}) < interval '1 minute'") == [(True,)]


# A customer's token.


# Routes under an id of their own have tests beside what they do.
OWN_ROUTES = [route for route, roles in MAY_CALL.items() if "customer" in roles and "<customer_id>" in route[1]]
SOUND: dict[tuple[str, str], Any] = {
    ("PATCH", "/v1/customers/<customer_id>"): {"locale": "de"},
    ("POST", "/v1/customers/<customer_id>/identifiers"): {"identifier": "email:mine@example.com"},
    ("POST", "/v1/customers/<customer_id>/identifiers/remove"): {"identifier": "email:mine@example.com"},
    ("POST", "/v1/customers/<customer_id>/dialogues"): {
        "topic": "offers",
        "subject": "A gift",
        "channels": ["email"],
        "until": (datetime.now(UTC) + timedelta(days=9)).isoformat(),
        "contacts": 3,
    },
    ("PATCH", "/v1/customers/<customer_id>/dials"): {
        "changes": [{"channel": "email", "topic": "*", "level": "silent"}],
        "source": "web",
    },
    ("PUT", "/v1/customers/<customer_id>/pause"): {"until": "2030-01-01T00:00:00Z"},
}


def words(answer: TestResponse) -> dict[str, Any]:
    """A problem without the id of its request."""
    return {name: value for name, value in answer.json.items() if name != "request_id"}


@pytest.mark.parametrize(("method", "path"), OWN_ROUTES)
def test_anothers_id_is_answered_like_one_that_never_was(shared: Api, ben: UUID, method: str, path: str) -> None:
    ada, gone = shared.customer(somebody()), shared.customer(somebody())
    assert shared.post(f"/v1/customers/{gone}/erase", role="desk").status_code == 200
    key, body = token(shared, ben), SOUND.get((method, path))
    before = footprint(shared)
    answers = [
        shared.call(method, path.replace("<customer_id>", one), body, key=key)
        for one in (str(ada), NOBODYS_ID, str(gone), "not-an-id", str(ada).replace("-", ""))
    ]
    for answer in answers:
        refused(answer, "unknown_customer")
        assert words(answer) == words(answers[0])
        assert set(answer.headers.keys()) == set(answers[0].headers.keys())
    assert footprint(shared) == before


def test_a_customer_acts_on_every_own_route(shared: Api) -> None:
    ada = shared.customer(somebody())
    key = token(shared, ada)
    for method, path in sorted(OWN_ROUTES, key=lambda route: route[1].endswith("erase")):
        answer = shared.call(method, path.replace("<customer_id>", str(ada)), SOUND.get((method, path)), key=key)
        assert answer.status_code < 300, (method, path, answer.json)
    refused(shared.call("GET", f"/v1/customers/{ada}", key=key), "unknown_customer")


BASE64 = string.ascii_letters + string.digits + "-_"


def minted(api: Api, customer_id: UUID, ago_seconds: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """A token as it was made so many seconds ago."""
    with monkeypatch.context() as patch, api.database.reading() as conn:
        patch.setattr(TimestampSigner, "get_timestamp", lambda _: int(time.time()) - ago_seconds)
        return keys.mint_token(conn, api.keyring, customer_id, "desk key")


def test_a_token_holds_for_an_hour(shared: Api, ben: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"/v1/customers/{ben}"
    for ago, lives in ((0, True), (3590, True), (3602, False), (10**6, False), (-60, False)):
        answer = shared.call("GET", path, key=minted(shared, ben, ago, monkeypatch))
        if lives:
            assert answer.status_code == 200
        else:
            refused(answer, "unauthenticated")


def test_an_altered_token_is_none(shared: Api, ben: UUID) -> None:
    own = token(shared, ben)
    ada = shared.customer(somebody())
    other = token(shared, ada)
    payload, stamp, signature = own.rsplit(".", 2)
    for altered in (
        *(f"{own[:n]}{'A' if own[n] != 'A' else 'B'}{own[n + 1 :]}" for n in range(4, len(own) - 1, 3)),
        # The last character of a signature has bits to spare: only one of its spellings is ours.
        *(f"{own[:-1]}{last}" for last in BASE64 if last != own[-1]),
        own.removeprefix("cst_"),
        f"{other.rsplit('.', 2)[0]}.{stamp}.{signature}",
        f"{payload}.{stamp}.",
        f"{payload}.{stamp}",
        payload,
        f"{own}A",
        f"{own}.{signature}",
    ):
        answer = ask(shared, "GET", f"/v1/customers/{ben}", f"Bearer {altered}", "10.0.0.4")
        refused(answer, "unauthenticated")


def test_what_another_purpose_or_another_service_signed_is_no_token(shared: Api, ben: UUID, cluster: Any) -> None:
    assert shared.turn(ben, ("email", "offers", "weekly"), ("sms", "offers", "weekly")).status_code == 200
    assert shared.turn(ben, ("email", "offers", "silent")).status_code == 200
    page = shared.call("GET", f"/v1/customers/{ben}/history?limit=1", role="desk").json
    refused(shared.call("GET", f"/v1/customers/{ben}", key=f"cst_{page['next_cursor']}"), "unauthenticated")
    elsewhere = cluster.migrated()
    other = Api(elsewhere)
    with other.database.reading() as conn:
        foreign = keys.mint_token(conn, Keyring(*other.settings.secrets), ben, "desk key")
    other.close()
    cluster.drop(elsewhere)
    refused(shared.call("GET", f"/v1/customers/{ben}", key=foreign), "unauthenticated")


# The topics of a campaign key.


TOPICS = deepcopy(CATALOGUE)
TOPICS["topics"] |= {
    "offers/recall": {"basis": "legal_obligation", "label": {"en": "Recalls"}},
    "orders/status": {"label": {"en": "Where it is"}},
}
ALL_TOPICS = {"offers", "offers/wine", "offers/recall", "events", "orders", "orders/status", "orders/tips"}


@pytest.fixture(scope="module")
def topical(shared: Api) -> Api:
    """The service with essential topics below others."""
    shared.apply(TOPICS)
    return shared


@pytest.mark.parametrize(
    ("limit", "allowed"),
    [
        (None, {"offers", "offers/wine", "events", "orders/tips"}),
        (["*"], ALL_TOPICS),
        (["offers"], {"offers", "offers/wine"}),
        (["offers/wine"], {"offers/wine"}),
        (["offers", "offers/recall"], {"offers", "offers/wine", "offers/recall"}),
        (["orders"], {"orders", "orders/tips"}),
        (["orders/status"], {"orders/status"}),
        (["events"], {"events"}),
        (["offers", "*"], ALL_TOPICS),
    ],
)
def test_a_campaign_key_has_its_topics_and_their_children_but_essential_ones_only_by_name(
    topical: Api, ben: UUID, limit: list[str] | None, allowed: set[str]
) -> None:
    key = topical.key("campaign", f"limited {uuid4()}", limit)
    before = footprint(topical)
    for topic in ALL_TOPICS:
        body = {"customer": f"id:{ben}", "channel": "email", "topic": topic}
        single = topical.post("/v1/permissions/check", body, key=key)
        row = topical.post("/v1/permissions/check-batch", {"checks": [body]}, key=key).json["results"][0]
        if topic in allowed:
            assert single.status_code == 200, topic
            assert "error" not in row
        else:
            refused(single, "topic_not_allowed")
            assert row["error"]["code"] == "topic_not_allowed"
    assert footprint(topical) == before


def test_a_topic_beyond_the_key_is_neither_reserved_nor_recorded(topical: Api, ben: UUID) -> None:
    key = topical.key("campaign", "offers only", ["offers"])
    body = {"customer": f"id:{ben}", "channel": "email", "topic": "orders"}
    made = {**body, "contacted_at": "2026-01-01T00:00:00Z", "external_id": "1"}
    before = footprint(topical)
    for path in ("/v1/permits", "/v1/contacts"):
        refused(topical.post(path, body, key=key), "topic_not_allowed")
    for path, name, row in (
        ("/v1/permits/batch", "permits", body),
        ("/v1/contacts/batch", "contacts", body),
        ("/v1/contacts/reports", "contacts", made),
        ("/v1/contacts/reports", "contacts", {**made, "customer": somebody()}),
    ):
        answer = topical.post(path, {name: [row]}, key=key)
        assert answer.json["results"][0]["error"]["code"] == "topic_not_allowed", path
    assert footprint(topical) == before


def test_the_basis_is_read_at_the_call(topical: Api, ben: UUID) -> None:
    free = topical.key("campaign", f"free {uuid4()}")
    body = {"customer": f"id:{ben}", "channel": "email", "topic": "events"}
    assert topical.post("/v1/permissions/check", body, key=free).status_code == 200
    essential = deepcopy(TOPICS)
    essential["topics"]["events"] = {"basis": "contract", "label": {"en": "Events"}}
    topical.apply(essential)
    refused(topical.post("/v1/permissions/check", body, key=free), "topic_not_allowed")
    topical.apply(TOPICS)
    assert topical.post("/v1/permissions/check", body, key=free).status_code == 200


def test_desk_and_auditor_ask_about_every_topic(topical: Api, ben: UUID) -> None:
    body = {"customer": f"id:{ben}", "channel": "email", "topic": "orders"}
    for role in ("desk", "auditor", "admin"):
        assert topical.post("/v1/permissions/check", body, role=role).json["reason"] == "essential"


# Limits.


def begin_of_a_minute(api: Api) -> None:
    """Waits when the minute ends within ten seconds: counters begin anew with each."""
    second = float(rows(api, "SELECT extract(second FROM clock_timestamp())")[0][0])
    if second > 50:
        time.sleep(60.5 - second)


def test_a_keys_limit_is_told_and_kept(shared: Api) -> None:
    begin_of_a_minute(shared)
    slow = shared.key("desk", "slow", requests_per_minute=3)
    twin = shared.key("desk", "slow", requests_per_minute=3)
    for left in (2, 1, 0):
        answer = shared.call("GET", "/v1/me", key=slow)
        assert answer.status_code == 200
        assert answer.headers["RateLimit-Policy"] == '"minute";q=3;w=60'
        name, room, resets = answer.headers["RateLimit"].split(";")
        assert (name, room) == ('"minute"', f"r={left}")
        assert 1 <= int(resets.removeprefix("t=")) <= 60
    for method, path in (("GET", "/v1/me"), ("POST", "/v1/permissions/check"), ("POST", "/v1/permits")):
        answer = shared.call(method, path, {} if method == "POST" else None, key=slow)
        refused(answer, "rate_limited")
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert answer.headers["RateLimit"].startswith('"minute";r=0;')
    assert shared.call("GET", "/v1/me", key=twin).status_code == 200
    assert shared.call("GET", "/v1/me", role="desk").status_code == 200


def test_a_key_without_a_limit_is_not_counted(shared: Api) -> None:
    before = rows(shared, "SELECT count(*) FROM request_count WHERE subject LIKE 'key:%%'")
    answer = shared.call("GET", "/v1/me", role="auditor")
    assert answer.status_code == 200
    assert "RateLimit" not in answer.headers
    assert rows(shared, "SELECT count(*) FROM request_count WHERE subject LIKE 'key:%%'") == before


def test_an_address_is_limited_in_failing_and_a_valid_key_never_pays_for_it(shared: Api) -> None:
    begin_of_a_minute(shared)
    app = create_app(shared.made.settings(CONSENT_ADDRESS_REQUESTS_PER_MINUTE="5"), shared.made.service_url)
    client, address = app.test_client(), {"REMOTE_ADDR": "198.51.100.7"}

    def get(path: str, key: str | None = None, **headers: str) -> TestResponse:
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        return client.get(path, headers=headers, environ_overrides=address)

    for key in (None, "csk_wrong", "cst_wrong", None, "x"):
        refused(get("/v1/me", key), "unauthenticated")
    # Whoever says to come from elsewhere is not believed.
    for headers in ({}, {"X-Forwarded-For": "203.0.113.1"}, {"Forwarded": "for=203.0.113.2"}):
        answer = get("/v1/catalogue", **headers)
        refused(answer, "rate_limited")
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert answer.headers["RateLimit"].startswith('"minute";r=0;')
    for _ in range(10):
        assert get("/v1/me", shared.keys["desk"]).status_code == 200
    for path in ("/health/live", "/health/ready", "/openapi.yaml"):
        assert get(path).status_code == 200
    elsewhere = client.get("/v1/me", environ_overrides={"REMOTE_ADDR": "198.51.100.8"})
    refused(elsewhere, "unauthenticated")
    subjects = [row[0] for row in rows(shared, "SELECT subject FROM request_count")]
    assert not any("198.51" in subject for subject in subjects)
    app.extensions["consent_service"].database.close()


def test_requests_with_a_valid_key_are_not_counted_against_the_address(shared: Api, ben: UUID) -> None:
    begin_of_a_minute(shared)
    app = create_app(shared.made.settings(CONSENT_ADDRESS_REQUESTS_PER_MINUTE="1"), shared.made.service_url)
    client, address = app.test_client(), {"REMOTE_ADDR": "198.51.100.9"}
    for key in [shared.keys["desk"], token(shared, ben), shared.keys["campaign"]] * 3:
        answer = client.get(
            f"/v1/customers/{ben}", headers={"Authorization": f"Bearer {key}"}, environ_overrides=address
        )
        assert answer.status_code in (200, 403)
    refused(client.get("/v1/me", environ_overrides=address), "unauthenticated")
    refused(client.get("/v1/me", environ_overrides=address), "rate_limited")
    app.extensions["consent_service"].database.close()
