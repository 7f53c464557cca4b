"""What an attacker tries: bending tokens and cursors, smuggling fields, asking for what takes long, unfolding bombs."""

from __future__ import annotations

import ast
import base64
import contextlib
import gzip
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from itsdangerous import URLSafeTimedSerializer

import consent_service
from consent_service.app import create_app
from consent_service.catalogue.yamlfile import read_yaml
from consent_service.customers.model import parse_reference
from consent_service.errors import ConsentError
from consent_service.history.model import Event
from consent_service.keys import service as keys
from consent_service.permissions.model import Question, Report
from consent_service.web.json import MOST_BYTES_OF_ONE
from tests.support.api import SYSTEM, Api
from tests.support.contract import operations
from tests.support.requests import real
from tests.web.asking import NOBODYS_ID, footprint, raw, refused, somebody, token

PACKAGE = Path(consent_service.__file__).parent


# Tokens and cursors.


def bent(text: str) -> Iterator[str]:
    """The text with each of its bits changed in turn."""
    sound = text.encode()
    for place in range(len(sound)):
        for bit in range(8):
            changed = bytearray(sound)
            changed[place] ^= 1 << bit
            yield changed.decode("latin-1")


def test_a_token_with_one_bit_changed_is_none(shared: Api) -> None:
    ann = shared.customer(somebody())
    own = token(shared, ann)
    with shared.database.reading() as conn:
        assert keys.read_token(conn, shared.keyring, own) == ann
        read = {one for one in bent(own) if one.startswith("cst_") and keys.read_token(conn, shared.keyring, one)}
    assert read == set()


def test_a_token_is_signed_with_sha_256_and_says_no_algorithm_of_its_own(shared: Api) -> None:
    ann = shared.customer(somebody())
    payload, stamp, signature = token(shared, ann).removeprefix("cst_").rsplit(".", 2)
    assert len(base64.urlsafe_b64decode(signature + "=")) == 32
    assert json.loads(base64.urlsafe_b64decode(payload + "===")) == [str(ann), "desk key"]
    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    with shared.database.reading() as conn:
        signing = shared.keyring.service(conn).signing
        weaker = URLSafeTimedSerializer(signing, salt="customer-token").dumps([str(ann), "desk key"])
        for other in (f"{header}.{payload}.", f"{payload}.{stamp}.", f"{payload}.{stamp}.{signature[:27]}", weaker):
            assert keys.read_token(conn, shared.keyring, f"cst_{other}") is None


def test_a_cursor_with_one_bit_changed_or_of_another_customer_is_none(shared: Api) -> None:
    cursors = []
    for _ in range(2):
        one = shared.customer(somebody())
        assert shared.turn(one, ("*", "events", "daily")).status_code == 200
        answer = shared.call("GET", f"/v1/customers/{one}/history?limit=1", role="desk")
        cursors.append((one, answer.json["next_cursor"]))
    (ann, cursor), (_, bens) = cursors
    path = f"/v1/customers/{ann}/history"
    assert shared.client.get(path, query_string={"cursor": cursor}, headers=desk(shared)).status_code == 200
    # Every seventh, which meets each place and each bit: a request each.
    for other in (*list(bent(cursor))[::7], bens, token(shared, ann), cursor[:-1], cursor + "A", f".{cursor}"):
        answer = shared.client.get(path, query_string={"cursor": other}, headers=desk(shared))
        assert answer.status_code == 400, other
        assert answer.json["code"] in ("invalid_cursor", "invalid_parameter")


def desk(api: Api) -> dict[str, str]:
    return {"Authorization": f"Bearer {api.keys['desk']}"}


# Fields that nobody asked for.


SMUGGLED = {
    "customer_id": NOBODYS_ID,
    "id": NOBODYS_ID,
    "key_name": "other",
    "role": "admin",
    "actor": "desk",
    "state": "used",
    "counts": False,
    "permitted": True,
    "version": 1,
    "set_at": "2020-01-01T00:00:00Z",
    "allowed": True,
    "decided_at": "2020-01-01T00:00:00Z",
    "__class__": "x",
    "__proto__": {"admin": True},
}
WITH_BODY = [one for one in operations() if "requestBody" in one.content]


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda one: one.name)
def test_no_field_is_taken_that_is_not_the_clients_to_give(shared: Api, operation: Any) -> None:
    content = operation.content["requestBody"]["content"]["application/json"]
    example = content["example"] if "example" in content else next(iter(content["examples"].values()))["value"]
    body = real(shared, example)
    roles = operation.roles - {"customer", "admin"} or operation.roles & {"admin"}
    # What only customers may do is asked by one of them.
    asks: dict[str, Any] = {"role": min(roles)} if roles else {"key": token(shared, shared.customer(somebody()))}
    path = operation.path
    for name in re.findall(r"\{(\w+)\}", path):
        path = path.replace(f"{{{name}}}", str(shared.customer(somebody())))
    before = footprint(shared)
    for name, value in SMUGGLED.items():
        if name in example:
            continue
        refused(shared.call(operation.method.upper(), path, {**body, name: value}, **asks), "unknown_field", f"/{name}")
        for field in [field for field, many in body.items() if isinstance(many, list) and isinstance(many[0], dict)]:
            if name in body[field][0]:
                continue
            row = {**body[field][0], name: value}
            answer = shared.call(operation.method.upper(), path, {**body, field: [row]}, **asks)
            text = answer.get_data(as_text=True)
            assert "unknown_field" in text, (field, name, text)
    assert footprint(shared) == before


def test_an_idempotency_key_meets_only_answers_of_its_own_caller(shared: Api) -> None:
    ann, ben = shared.customer(somebody()), shared.customer(somebody())
    headers, until = {"Idempotency-Key": str(uuid4())}, {"until": "2030-01-01T00:00:00Z"}
    answers = [
        shared.call("PUT", f"/v1/customers/{one}/pause", until, key=key, headers=headers)
        for one, key in ((ann, token(shared, ann)), (ben, token(shared, ben)), (ann, shared.keys["desk"]))
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert [UUID(answer.json["customer_id"]) for answer in answers] == [ann, ben, ann]
    assert not any("Idempotency-Replayed" in answer.headers for answer in answers)
    # A key that is named like a customer is not that customer.
    named = shared.key("desk", str(ann))
    answer = shared.call("PUT", f"/v1/customers/{ann}/pause", until, key=named, headers=headers)
    assert "Idempotency-Replayed" not in answer.headers


# What takes long, or grows.


SLOWEST_SECONDS = 0.1
LONG = [
    "email:" + "a" * 200 + "@",
    "email:" + "a." * 120 + "@x",
    "email:a@" + "a" * 60 + "-" * 100,
    "email:a@" + ("a" + "-" * 61) * 3 + "!",
    "email:a@" + "a." * 110,
    "email:a@" + ".".join(["a-" * 30 + "!"] * 5),
    "email:" + "a@" * 190,
    "email:a@" + "ä" * 390,
    "email:a@" + "ä." * 190 + "com",
    "email:a@" + "\u0660\u06f0" * 190 + ".com",
    "email:a@" + "a\u200d" * 190 + ".com",
    "email:a@" + ".".join(["\u05d0" * 62] * 3) + ".com",
    "email:a@a" + "\u0300\u0323" * 190 + ".com",
    "email:" + "\ufdfa" * 380 + "@x.com",
    'email:"' + "a\\ " * 100 + '"@x.com',
    "email:a@[" + "1:" * 100 + "]",
    "email:a@xn--" + "a" * 58 + ".xn--" + "9" * 58 + ".com",
    "phone:+" + "1-" * 19,
    "phone:+44" + " (0)" * 9,
    "phone:+" + "\ufdfa" * 380,
    "postal:" + "\ufdfa" * 390,
    "postal:a" + "\u0323\u0307" * 190,
    "x" * 399 + ":",
    ":" * 400,
    "email:" + "x" * 10_000_000,
]


@pytest.mark.parametrize("text", LONG, ids=range(len(LONG)))
def test_no_reference_takes_long_to_read(text: str) -> None:
    begin = time.process_time()
    with contextlib.suppress(ConsentError):
        parse_reference(text)
    assert time.process_time() - begin < SLOWEST_SECONDS


def test_a_body_about_one_thing_is_small(shared: Api) -> None:
    """It grows when it is parsed, and holds others of the process up meanwhile; a customer may send some too."""
    ann = shared.customer(somebody())
    own = token(shared, ann)
    folded = b'{"changes": [' + b"[]," * (MOST_BYTES_OF_ONE // 3) + b"[]]}"
    for key, method, path in (
        (own, "PATCH", f"/v1/customers/{ann}/dials"),
        (own, "PUT", f"/v1/customers/{ann}/pause"),
        (shared.keys["campaign"], "POST", "/v1/permissions/check"),
    ):
        answer = raw(shared, method, path, folded, headers={"Authorization": f"Bearer {key}"})
        refused(answer, "body_too_large")
    answer = raw(shared, "POST", "/v1/permissions/check-batch", folded.replace(b"changes", b"checks"))
    refused(answer, "too_many_items")


def test_a_compressed_body_is_not_unfolded(shared: Api) -> None:
    bomb = gzip.compress(b" " * 50_000_000 + b"{}")
    for headers in ({"Content-Encoding": "gzip"}, {"Content-Encoding": "x-gzip"}):
        answer = raw(shared, "POST", "/v1/permissions/check", bomb, headers=headers)
        refused(answer, "unsupported_media_type")
    refused(raw(shared, "POST", "/v1/permissions/check", bomb), "invalid_encoding")


def test_a_catalogue_bomb_is_refused_in_no_time() -> None:
    laughs = "a0: &a0 ha\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    merges = "a: &a {x: 1}\n" + "b: {<<: [*a, *a, *a]}\n"
    deep = "[" * 50_000
    wide_key = "? " * 50_000
    tagged = "x: !!python/object/apply:os.system ['true']\n"
    begin = time.process_time()
    for text in (laughs, merges, deep, wide_key, tagged):
        assert read_yaml(text.encode()).faults, text[:40]
    assert time.process_time() - begin < 5


# The program itself.


def test_no_statement_is_put_together_from_text() -> None:
    """What a connection is given is a named statement, a literal, or psycopg's own composition."""
    wrong, seen = [], 0
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _takes_a_statement(node.func):
                seen += 1
                if not _is_fixed(node.args[0] if node.args else None):
                    wrong.append(f"{path.name}:{node.lineno} {ast.unparse(node)[:80]}")
    assert seen > 50
    assert wrong == []


def _takes_a_statement(called: ast.Attribute) -> bool:
    on_the_database = ast.unparse(called.value).endswith(("conn", "cursor", "cur"))
    return called.attr in ("execute", "executemany") or (called.attr in ("run", "copy") and on_the_database)


def _is_fixed(statement: ast.expr | None) -> bool:
    if isinstance(statement, ast.Subscript | ast.Name | ast.Attribute):
        return True
    if isinstance(statement, ast.Constant):
        return True
    # sql.SQL("… {}").format(sql.Identifier(…)) quotes what it puts in.
    return isinstance(statement, ast.Call) and ast.unparse(statement).startswith(("sql.SQL(", "Jsonb("))


def test_no_program_is_started_through_a_shell_and_nothing_is_evaluated() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for word in ("shell=True", "os.system", "eval(", "exec(", "pickle", "yaml.load(", "marshal", "__import__"):
            assert word not in text, f"{path}: {word}"


def test_what_may_name_a_person_or_is_secret_stands_in_no_repr(shared: Api) -> None:
    mark = "zq7mark"
    things: list[object] = [
        Question(mark, "email", "events"),
        Report(mark, "email", "events", None, mark),  # type: ignore[arg-type]
        Event(UUID(int=0), "x", SYSTEM, None, {"reason": mark}),  # type: ignore[arg-type]
        keys.StoredAnswer(b"", 200, mark.encode()),
        parse_reference(f"loyalty:{mark}"),
        shared.keyring,
        shared.settings,
        shared.database,
    ]
    with shared.database.reading() as conn:
        service = shared.keyring.service(conn)
    for thing in (*things, service, service.data_key):
        shown = repr(thing)
        assert mark not in shown
        assert repr(service.signing)[2:-1] not in shown
        assert shared.settings.secrets[0].decode() not in shown


def test_a_fault_of_our_own_tells_the_client_nothing_of_the_service(shared: Api) -> None:
    """Such as a root secret that is not this database's: that is for the operator's log."""
    app = create_app(shared.made.settings(CONSENT_SECRET_KEY="another" * 8), shared.made.service_url)
    answer = app.test_client().get("/v1/me")
    refused(answer, "internal")
    assert "SECRET" not in answer.get_data(as_text=True)
    assert "key" not in answer.json["detail"]
    app.extensions["consent_service"].database.close()
