"""Who a reference means, and the customer's lock: the functions that dials and permissions stand on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from consent_service.customers import merge as merging
from consent_service.customers.model import parse_reference
from consent_service.customers.service import (
    create_unknown_many,
    lineage,
    lock_many,
    require,
    resolve,
    resolve_many,
)
from consent_service.database import Connection, Database, Statement
from consent_service.errors import ConsentError
from consent_service.history.model import Actor
from tests.customers.people import at_once, erase, merge, rows, somebody, types
from tests.support.api import SYSTEM, Api

DESK = Actor("desk", "test")


@pytest.fixture(scope="module")
def wide(shared_api: Api) -> Iterator[Database]:
    """A pool with a connection for each of many threads."""
    made = Database(
        shared_api.made.service_url,
        shared_api.made.settings(CONSENT_WEB_THREADS="40", CONSENT_POOL_TIMEOUT_SECONDS="20"),
    )
    yield made
    made.close()


def statements(conn: Connection) -> list[str]:
    """Notes every statement that runs on the connection from now on."""
    seen: list[str] = []
    run = conn.run

    def noted(statement: Statement, *arguments: Any) -> object:
        seen.append(statement)
        return run(statement, *arguments)

    conn.run = noted  # type: ignore[method-assign, assignment]
    return seen


# resolve_many


def test_answers_stand_in_the_order_asked_each_row_for_itself(shared_api: Api) -> None:
    known, gone, nobody = somebody(), somebody(), somebody()
    one = shared_api.customer(known, "loyalty:R-1", "postal:1 Resolve Row")
    shared_api.customer(somebody(), "postal:1 Resolve Row")
    erase(shared_api, shared_api.customer(gone))
    asked = [
        (nobody, "unknown", None, None),
        (known, "known", one, None),
        ("postal:1 Resolve Row", "unknown", None, "ambiguous_customer"),
        (gone, "erased", None, None),
        ("loyalty:R-1", "known", one, None),
        (f"id:{one}", "known", one, None),
        (f"id:{uuid4()}", "unknown", None, None),
        (None, "unknown", None, "invalid_customer_reference"),
        ({"email": known}, "unknown", None, "invalid_customer_reference"),
        ("email:nobody", "unknown", None, "invalid_customer_reference"),
        ("shoe:46", "unknown", None, "unknown_identifier_kind"),
        (known.replace("email:", " email: ").upper().replace("EMAIL", "email"), "known", one, None),
        (known, "known", one, None),
    ]
    with shared_api.database.reading() as conn:
        found = resolve_many(conn, shared_api.keyring, [row[0] for row in asked])
    assert [(who.state, who.customer_id, who.error and who.error.code) for who in found] == [row[1:] for row in asked]
    assert [who.kind for who in found[:6]] == ["email", "email", "postal", "email", "loyalty", None]
    assert {who.value_hash for who in (found[1], found[11], found[12])} == {found[1].value_hash}
    assert len(found[1].value_hash or b"") == 32
    assert found[5].value_hash is None


def test_ten_thousand_references_are_one_statement(shared_api: Api) -> None:
    one = shared_api.customer(somebody())
    asked = [f"email:n{number}@nowhere.example" for number in range(9_999)] + [f"id:{one}"]
    with shared_api.database.transaction() as conn:
        seen = statements(conn)
        found = resolve_many(conn, shared_api.keyring, asked)
        assert len(seen) == 1
        resolve_many(conn, shared_api.keyring, [*asked, "loyalty:1"])
        assert len(seen) == 3
    assert [who.state for who in found] == ["unknown"] * 9_999 + ["known"]


def test_no_references_are_no_statement(shared_api: Api) -> None:
    with shared_api.database.transaction() as conn:
        seen = statements(conn)
        assert resolve_many(conn, shared_api.keyring, []) == []
        assert lock_many(conn, shared_api.keyring, []) == {}
        assert create_unknown_many(conn, shared_api.keyring, SYSTEM, [], source="api") == {}
    assert seen == []


def test_a_single_reference_raises_what_is_wrong_with_it(shared_api: Api) -> None:
    with shared_api.database.reading() as conn:
        for reference, code in (
            ("email:x", "invalid_customer_reference"),
            ("shoe:1", "unknown_identifier_kind"),
        ):
            with pytest.raises(ConsentError) as refused:
                resolve(conn, shared_api.keyring, reference)
            assert refused.value.code == code
        assert resolve(conn, shared_api.keyring, somebody()).state == "unknown"


def test_kinds_that_need_no_catalogue_are_known_without_one(database: object) -> None:
    bare = Api(database)  # type: ignore[arg-type]
    with bare.database.reading() as conn:
        found = resolve_many(conn, bare.keyring, ["email:a@x.com", "postal:1", "phone:+442071838750", "loyalty:1"])
    bare.close()
    assert [who.error and who.error.code for who in found] == [None, None, None, "unknown_identifier_kind"]


# lock_many, require, lineage


def test_a_lock_answers_with_the_customer_as_it_is_and_leaves_out_who_is_not(shared_api: Api) -> None:
    one = shared_api.customer(somebody(), time_zone="Asia/Tokyo", locale="ja", segment="club")
    survivor, other, gone = (shared_api.customer(somebody()) for _ in range(3))
    shared_api.turn(one, ("*", "*", "weekly"))
    merge(shared_api, survivor, other)
    erase(shared_api, gone)
    with shared_api.database.transaction() as conn:
        held = lock_many(conn, shared_api.keyring, [one, other, gone, uuid4(), survivor])
    assert held.keys() == {one, other, survivor}
    assert held[other].customer_id == held[survivor].customer_id == survivor
    assert (held[one].version, held[one].time_zone, held[one].locale, held[one].segment) == (
        1,
        "Asia/Tokyo",
        "ja",
        "club",
    )
    assert held[one].key.open(held[one].key.seal(b"x", b"y"), b"y") == b"x"


def test_a_lock_waits_for_the_holder_and_then_sees_what_was_committed(shared_api: Api, wide: Database) -> None:
    one, other = (shared_api.customer(somebody()) for _ in range(2))
    got: list[UUID] = []

    def wait_for_it() -> None:
        with wide.transaction() as conn:
            got.append(lock_many(conn, shared_api.keyring, [other])[other].customer_id)

    with wide.transaction() as conn:
        lock_many(conn, shared_api.keyring, [other])
        waiter = threading.Thread(target=wait_for_it)
        waiter.start()
        time.sleep(0.3)
        assert got == []
        merging.merge(conn, shared_api.keyring, DESK, one, other)
    waiter.join(10)
    assert got == [one]


def test_locks_in_opposite_order_never_deadlock(shared_api: Api, wide: Database) -> None:
    people = [shared_api.customer(somebody()) for _ in range(6)]

    def lock_all(number: int) -> int:
        order = people if number % 2 else people[::-1]
        for _ in range(20):
            with wide.transaction() as conn:  # without a retry: a deadlock would be an error here
                assert len(lock_many(conn, shared_api.keyring, order)) == len(people)
        return number

    assert at_once(8, lock_all) == list(range(8))


def test_an_id_in_a_url_is_required_for_its_own_customer_or_for_the_desk(shared_api: Api) -> None:
    survivor, other, stranger, gone = (shared_api.customer(somebody()) for _ in range(4))
    merge(shared_api, survivor, other)
    erase(shared_api, gone)
    as_customer = {one: Actor("customer", str(one), customer_id=one) for one in (survivor, other, stranger, gone)}
    with shared_api.database.reading() as conn:
        for actor in (DESK, as_customer[survivor], as_customer[other]):
            assert {require(conn, one, actor) for one in (survivor, other)} == {survivor}
        details = set()
        for one, actor in (
            (survivor, as_customer[stranger]),
            (other, as_customer[stranger]),
            (survivor, as_customer[gone]),
            (gone, as_customer[gone]),
            (gone, DESK),
            (uuid4(), DESK),
            (uuid4(), as_customer[survivor]),
        ):
            with pytest.raises(ConsentError) as refused:
                require(conn, one, actor)
            details.add((refused.value.code, refused.value.status, refused.value.detail))
        assert len(details) == 1
        assert details.pop()[:2] == ("unknown_customer", 404)
        assert set(lineage(conn, survivor)) == {survivor, other}


# Creation by reports and imports


def test_unknown_people_become_customers_without_dials_each_with_an_event(shared_api: Api) -> None:
    known = somebody()
    one = shared_api.customer(known)
    refs = [parse_reference(text) for text in (known, somebody(), "loyalty:C-1", "postal:1 Creation Close", known)]
    with shared_api.database.transaction() as conn:
        made = create_unknown_many(conn, shared_api.keyring, SYSTEM, [*refs, refs[1]], source="import")
    assert made.keys() == set(refs)
    assert made[refs[0]] == one
    assert len(set(made.values())) == 4
    for ref in refs[1:4]:
        event = shared_api.events(made[ref])[0]
        assert (event["type"], event["source"]) == ("customer.created", "import")
        assert event["after"]["identifiers"] == [ref.text]
        found = shared_api.post("/v1/customers/lookup", {"customer": ref.text}, role="desk").json
        assert found["id"] == str(made[ref])
    assert types(shared_api, one) == ["customer.created"]


def test_a_thousand_unknown_people_are_a_handful_of_statements(shared_api: Api) -> None:
    refs = [parse_reference(f"email:bulk{number}@bulk.example") for number in range(1_000)]
    with shared_api.database.transaction() as conn:
        seen = statements(conn)
        made = create_unknown_many(conn, shared_api.keyring, SYSTEM, refs, source="import")
    assert len(made) == 1_000
    assert len(seen) < 10


def test_an_undeclared_kind_or_an_id_makes_nobody(shared_api: Api) -> None:
    for text in ("shoe:46", f"id:{uuid4()}"):
        with shared_api.database.transaction() as conn, pytest.raises(ConsentError) as refused:
            create_unknown_many(conn, shared_api.keyring, SYSTEM, [parse_reference(text)], source="api")
        assert refused.value.code == "unknown_identifier_kind"


@pytest.mark.parametrize("round_number", range(5))
def test_reports_at_once_about_the_same_unknown_people_make_one_customer_each(
    shared_api: Api, wide: Database, round_number: int
) -> None:
    texts = [somebody() for _ in range(5)] + [f"postal:{round_number} Race Row", f"household:r{round_number}"]
    refs = [parse_reference(text) for text in texts]

    def report(number: int) -> dict[object, UUID]:
        order = refs if number % 2 else refs[::-1]
        return wide.repeatedly(lambda conn: create_unknown_many(conn, shared_api.keyring, SYSTEM, order, source="api"))

    answers = at_once(12, report)
    assert all(answer == answers[0] for answer in answers)
    assert len(set(answers[0].values())) == len(refs)
    for text in texts:
        found = shared_api.post("/v1/customers/lookup", {"customer": text}, role="desk")
        assert found.status_code == 200, text


# Creation over HTTP, at once


def post_at_once(shared_api: Api, bodies: list[dict[str, object]]) -> list[tuple[int, dict[str, object]]]:
    def post(number: int) -> tuple[int, dict[str, object]]:
        headers = {"Authorization": f"Bearer {shared_api.keys['desk']}"}
        answer = shared_api.app.test_client().post("/v1/customers", json=bodies[number], headers=headers)
        return answer.status_code, answer.json

    return at_once(len(bodies), post)


@pytest.mark.parametrize("round_number", range(5))
@pytest.mark.parametrize("kind", ["email", "postal"])
def test_sixteen_creations_of_one_address_make_one_customer(
    shared_api: Api, wide: Database, kind: str, round_number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_api.app.extensions["consent_service"].database, "_pool", wide._open())
    address = somebody() if kind == "email" else f"postal:{round_number} Sixteen Street"
    answers = post_at_once(shared_api, [{"identifiers": [address]}] * 16)
    assert sorted(status for status, _ in answers) == [200] * 15 + [201]
    assert len({body["id"] for _, body in answers}) == 1


@pytest.mark.parametrize("round_number", range(5))
def test_crosswise_creations_end_in_one_customer_and_conflicts(
    shared_api: Api, wide: Database, round_number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_api.app.extensions["consent_service"].database, "_pool", wide._open())
    a, b, c = somebody(), somebody(), somebody()
    bodies = [{"identifiers": pair} for pair in ([a, b], [b, a], [b, c], [c, a])] * 3
    answers = post_at_once(shared_api, bodies)
    assert sorted({status for status, _ in answers}) == [200, 201, 409]
    assert [status for status, _ in answers].count(201) == 1
    made = {body["id"] for status, body in answers if status < 300}
    assert len(made) == 1
    owners = rows(
        shared_api,
        "SELECT DISTINCT customer_id FROM identifier_owner WHERE customer_id = %s",
        UUID(made.pop()),
    )
    assert len(owners) == 1
