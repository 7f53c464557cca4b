"""Grants are judged anew: what the service would only do when it were wrong, or lied to, does not stay hidden."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from uuid import UUID

import pytest

from tests.fsck.world import CONTACT, good
from tests.support.api import Api
from tests.support.soundness import expect_sound, inspected


@contextlib.contextmanager
def lied_to(api: Api, table: str, customer_id: UUID) -> Iterator[None]:
    """The service does not see the customer's rows of a table for a while."""
    with api.made.owner() as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute(f"CREATE TEMP TABLE hidden AS SELECT * FROM {table} WHERE customer_id = '{customer_id}'")
        conn.execute(f"DELETE FROM {table} WHERE customer_id = '{customer_id}'")
        yield
        conn.execute(f"INSERT INTO {table} SELECT * FROM hidden")


def contact(api: Api, customer_id: UUID, path: str = "/v1/contacts") -> None:
    good(api.post(path, {"customer": f"id:{customer_id}", **CONTACT}), 201)


def found(api: Api) -> set[str]:
    return set(inspected(api.made).findings)


@pytest.fixture
def weekly(api: Api) -> UUID:
    """A customer who takes one mail a week."""
    made = api.customer("email:weekly@example.com")
    good(api.turn(made, ("email", "offers", "weekly")), 200)
    return made


@pytest.mark.parametrize("path", ["/v1/contacts", "/v1/permits"])
@pytest.mark.parametrize(("taken_by", "hidden"), [("/v1/contacts", "contact"), ("/v1/permits", "permit")])
def test_the_last_room_given_twice_is_found_by_sql_and_by_history(
    api: Api, weekly: UUID, path: str, taken_by: str, hidden: str
) -> None:
    contact(api, weekly, taken_by)
    expect_sound(api.made)
    with lied_to(api, hidden, weekly):
        contact(api, weekly, path)
    assert found(api) == {"cap_exceeded", "granted_over_a_cap"}


def test_a_cap_that_was_lowered_or_lifted_since_accuses_nobody(api: Api, weekly: UUID) -> None:
    good(api.turn(weekly, ("email", "offers", "busy")), 200)
    for _ in range(5):
        contact(api, weekly)
    good(api.turn(weekly, ("email", "offers", "weekly")), 200)
    expect_sound(api.made)
    good(api.turn(weekly, ("email", "offers", "everything")), 200)
    contact(api, weekly)
    good(api.turn(weekly, ("email", "*", "rarely")), 200)
    expect_sound(api.made)


def test_a_grant_over_a_cap_that_was_lifted_since_is_found_by_history_alone(api: Api, weekly: UUID) -> None:
    contact(api, weekly)
    with lied_to(api, "contact", weekly):
        contact(api, weekly)
    good(api.turn(weekly, ("email", "offers", "everything")), 200)
    assert found(api) == {"granted_over_a_cap"}


def test_reported_contacts_fill_windows_and_accuse_nobody(api: Api, weekly: UUID) -> None:
    contact(api, weekly)
    row = {"customer": f"id:{weekly}", **CONTACT, "contacted_at": "2026-01-01T00:00:00Z"}
    rows = [{**row, "external_id": str(number)} for number in range(3)]
    good(api.post("/v1/contacts/reports", {"contacts": rows}), 200)
    expect_sound(api.made)


def test_ledgers_that_a_merge_made_too_full_accuse_nobody(api: Api, weekly: UUID) -> None:
    other = api.customer("email:other@example.com")
    good(api.turn(other, ("email", "offers", "weekly")), 200)
    for one in (weekly, other):
        contact(api, one)
    good(api.post(f"/v1/customers/{weekly}/merge", {"other": str(other)}, role="desk"), 200)
    expect_sound(api.made)
    # What counts after the merge is both.
    with lied_to(api, "contact", weekly):
        contact(api, weekly)
    assert found(api) == {"granted_over_a_cap"}


def test_a_grant_after_silent_is_found(api: Api, weekly: UUID) -> None:
    good(api.turn(weekly, ("*", "*", "silent")), 200)
    with lied_to(api, "dial", weekly):
        with api.made.owner() as conn:
            conn.execute("INSERT INTO dial SELECT * FROM dial WHERE false")
        refused = api.post("/v1/contacts", {"customer": f"id:{weekly}", **CONTACT})
        assert refused.status_code == 409
        good(api.post("/v1/contacts", {"customer": f"id:{weekly}", **CONTACT, "topic": "events"}), 201)
    assert found(api) == {"granted_against_a_dial"}


@pytest.mark.parametrize("stop", ["pause", "suppression"])
def test_a_grant_under_a_pause_or_a_suppression_is_found(api: Api, weekly: UUID, stop: str) -> None:
    if stop == "pause":
        body = {"until": "2030-01-01T00:00:00Z"}
        good(api.call("PUT", f"/v1/customers/{weekly}/pause", body, role="desk"), 200)
    else:
        body = {"customer": f"id:{weekly}", "kind": "marketing", "reason": "no"}
        good(api.post("/v1/suppressions", body, role="desk"), 201)
    good(api.post("/v1/contacts", {"customer": f"id:{weekly}", **CONTACT, "topic": "orders"}), 201)
    expect_sound(api.made)
    with lied_to(api, stop, weekly):
        contact(api, weekly)
    assert found(api) == {"granted_under_a_stop"}
