"""API keys: shown once, stored as a hash, revocable at once; a name belongs to one role."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from tests.support.api import CATALOGUE, Api
from tests.support.cluster import TestDatabase
from tests.web.asking import NOBODYS_ID, dumped, footprint, refused, rows

KEYS = "/v1/keys"


@pytest.fixture(scope="module")
def shared(module_database: TestDatabase) -> Iterator[Api]:
    """A service that these tests share: each makes keys of its own."""
    made = Api(module_database, CATALOGUE)
    yield made
    made.close()


def make(api: Api, name: str, role: str = "campaign", **fields: Any) -> Any:
    """The answer to an admin's request for a key."""
    return api.post(KEYS, {"name": name, "role": role, **fields}, role="admin")


def listed(api: Api, name: str) -> list[dict[str, Any]]:
    """The keys of this name, as an admin sees them."""
    return [one for one in api.call("GET", KEYS, role="admin").json["keys"] if one["name"] == name]


def test_a_key_works_at_once_and_is_shown_once(shared: Api) -> None:
    answer = make(shared, "newsletter", topics=["offers", "events", "offers"], requests_per_minute=100)
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    me = shared.call("GET", "/v1/me", key=answer.json["key"])
    assert me.json == {
        "name": "newsletter",
        "role": "campaign",
        "topics": ["events", "offers"],
        "limits": {"requests_per_minute": 100},
    }
    found = listed(shared, "newsletter")
    assert [one["id"] for one in found] == [answer.json["id"]]
    assert answer.json["key"] not in shared.call("GET", KEYS, role="admin").get_data(as_text=True)


def test_a_key_is_random(shared: Api) -> None:
    made = [make(shared, "alike").json["key"] for _ in range(5)]
    assert len(set(made)) == 5
    assert all(key.startswith("csk_") and len(key) == 47 for key in made)


def test_only_a_hash_of_a_key_is_stored(shared: Api) -> None:
    key = make(shared, "hashed").json["key"]
    replayed = shared.post(
        KEYS, {"name": "hashed", "role": "campaign"}, role="admin", headers={"Idempotency-Key": "hashed"}
    ).json["key"]
    for table in footprint(shared).keys() - {"versions"}:
        found = dumped(shared, table)
        for one in (key, replayed):
            assert one not in found, table
            assert one.removeprefix("csk_") not in found
    assert "hashed" in dumped(shared, "api_key")


def test_a_revoked_key_is_refused_at_once_and_stays_in_the_list(shared: Api) -> None:
    made = make(shared, "leaving").json
    assert shared.call("GET", "/v1/me", key=made["key"]).status_code == 200
    for _ in range(2):  # twice is once
        assert shared.call("DELETE", f"{KEYS}/{made['id']}", role="admin").status_code == 204
        refused(shared.call("GET", "/v1/me", key=made["key"]), "unauthenticated")
    (one,) = listed(shared, "leaving")
    assert one["revoked_at"] is not None
    assert one["last_used_at"] is not None


@pytest.mark.parametrize("key_id", [NOBODYS_ID, "x", "1", NOBODYS_ID.replace("-", ""), f"{{{NOBODYS_ID}}}"])
def test_a_key_that_is_not_there_is_not_revoked(shared: Api, key_id: str) -> None:
    before = footprint(shared)
    refused(shared.call("DELETE", f"{KEYS}/{key_id}", role="admin"), "not_found")
    assert footprint(shared) == before


def test_a_key_of_another_role_may_not_take_the_name(shared: Api) -> None:
    first = make(shared, "crm").json
    assert make(shared, "crm").status_code == 201  # the same role may: so a key is replaced
    before = footprint(shared)
    for role in ("desk", "auditor", "admin"):
        refused(make(shared, "crm", role), "key_name_taken")
    for one in listed(shared, "crm"):
        assert shared.call("DELETE", f"{KEYS}/{one['id']}", role="admin").status_code == 204
    # Permits and answers of a name outlive its keys.
    refused(make(shared, "crm", "desk"), "key_name_taken")
    assert footprint(shared)["api_key"] == before["api_key"]
    assert first["id"] in {one["id"] for one in listed(shared, "crm")}


def test_two_at_once_cannot_give_a_name_two_roles(shared: Api) -> None:
    for number in range(10):
        together = Barrier(2)

        def run(role: str, name: str = f"race {number}", together: Barrier = together) -> int:
            client = shared.app.test_client()
            together.wait(10)
            headers = {"Authorization": f"Bearer {shared.keys['admin']}"}
            status: int = client.post(KEYS, json={"name": name, "role": role}, headers=headers).status_code
            return status

        with ThreadPoolExecutor(2) as threads:
            assert sorted(threads.map(run, ("campaign", "desk"))) == [201, 409]
        assert len(listed(shared, f"race {number}")) == 1


@pytest.mark.parametrize(
    ("fields", "code", "pointer"),
    [
        ({"topics": ["offers", "pigeons"]}, "unknown_topic", None),
        ({"topics": ["offers/"]}, "unknown_topic", None),
        ({"topics": ["offers/*"]}, "unknown_topic", None),
        ({"topics": []}, "invalid_value", "/topics"),
        ({"topics": "offers"}, "invalid_value", "/topics"),
        ({"topics": [1]}, "invalid_value", "/topics/0"),
        ({"topics": ["offers"] * 501}, "too_many_items", None),
        ({"role": "desk", "topics": ["offers"]}, "invalid_value", None),
        ({"role": "owner"}, "invalid_value", "/role"),
        ({"role": "customer"}, "invalid_value", "/role"),
        ({"role": None}, "invalid_value", "/role"),
        ({"requests_per_minute": 0}, "invalid_value", "/requests_per_minute"),
        ({"requests_per_minute": 1.5}, "invalid_value", "/requests_per_minute"),
        ({"requests_per_minute": True}, "invalid_value", "/requests_per_minute"),
        ({"name": ""}, "invalid_value", "/name"),
        ({"name": " x"}, "invalid_value", None),
        ({"name": "x\ty"}, "invalid_value", None),
        ({"name": "x\u200by"}, "invalid_value", None),
        ({"name": "x" * 101}, "invalid_value", "/name"),
        ({"key": "csk_mine"}, "unknown_field", "/key"),
    ],
)
def test_what_is_no_sound_key_is_refused(shared: Api, fields: dict[str, Any], code: str, pointer: str | None) -> None:
    before = footprint(shared)
    body = {"name": "unsound", "role": "campaign", **fields}
    refused(shared.post(KEYS, body, role="admin"), code, *([] if pointer is None else [pointer]))
    assert footprint(shared) == before


def test_making_and_revoking_leave_events_that_are_no_customers(shared: Api) -> None:
    statement = "SELECT type FROM event WHERE customer_id = %s ORDER BY recorded_at DESC LIMIT 1"
    nobody = "00000000-0000-0000-0000-000000000000"
    made = make(shared, "watched").json
    assert rows(shared, statement, nobody) == [("key.created",)]
    shared.call("DELETE", f"{KEYS}/{made['id']}", role="admin")
    assert rows(shared, statement, nobody) == [("key.revoked",)]
    events = footprint(shared)["event"]
    shared.call("DELETE", f"{KEYS}/{made['id']}", role="admin")
    assert footprint(shared)["event"] == events


def test_only_an_admin_makes_lists_and_revokes(shared: Api) -> None:
    before = footprint(shared)
    for role in ("campaign", "desk", "auditor"):
        refused(shared.post(KEYS, {"name": "mine", "role": "admin"}, role=role), "role_not_allowed")
        refused(shared.call("GET", KEYS, role=role), "role_not_allowed")
        refused(shared.call("DELETE", f"{KEYS}/{NOBODYS_ID}", role=role), "role_not_allowed")
    assert footprint(shared) == before
