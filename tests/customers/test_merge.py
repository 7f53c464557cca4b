"""Merging: the customer in the path survives, and of two wishes the quieter."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from consent_service.customers.service import lineage
from tests.customers.people import at_once, dials, erase, merge, rows, somebody, suppress, token, types
from tests.support.api import Api

PLACE = ("email", "offers")
NOW = datetime.now(UTC)


def two(api: Api) -> tuple[UUID, UUID]:
    return api.customer(somebody()), api.customer(somebody())


@pytest.mark.parametrize("survivor_is_quiet", [True, False])
def test_of_two_dials_the_quieter_is_kept_whichever_survives(shared_api: Api, survivor_is_quiet: bool) -> None:
    a, b = two(shared_api)
    quiet, loud = (b, a) if survivor_is_quiet else (a, b)
    shared_api.turn(quiet, ("email", "offers", "silent"), ("*", "*", "weekly"))
    shared_api.turn(loud, ("email", "offers", "everything"), ("*", "*", "everything"))
    assert merge(shared_api, b, a).status_code == 200
    assert dials(shared_api, b) == {PLACE: "silent", ("*", "*"): "weekly"}


def test_levels_rank_by_position_not_by_name(shared_api: Api) -> None:
    a, b = two(shared_api)
    shared_api.turn(a, (*PLACE, "busy"))
    shared_api.turn(b, (*PLACE, "monthly"))
    merge(shared_api, a, b)
    assert dials(shared_api, a) == {PLACE: "monthly"}


def test_a_dial_that_only_one_has_is_kept(shared_api: Api) -> None:
    a, b = two(shared_api)
    shared_api.turn(a, ("email", "events", "weekly"))
    shared_api.turn(b, ("sms", "offers/wine", "daily"))
    merge(shared_api, a, b)
    assert dials(shared_api, a) == {("email", "events"): "weekly", ("sms", "offers/wine"): "daily"}
    assert rows(shared_api, "SELECT 1 FROM dial WHERE customer_id = %s", b) == []


@pytest.mark.parametrize("survivor_has_it", [True, False])
def test_a_removed_dial_is_none_but_its_last_act_is_remembered(shared_api: Api, survivor_has_it: bool) -> None:
    a, b = two(shared_api)
    has, removed = (a, b) if survivor_has_it else (b, a)
    shared_api.turn(has, (*PLACE, "weekly"))
    shared_api.turn(removed, (*PLACE, "daily"))
    assert shared_api.turn(removed, (*PLACE, None)).status_code == 200
    latest = max(rows(shared_api, "SELECT last_act_at FROM dial WHERE customer_id IN (%s, %s)", a, b))
    merge(shared_api, a, b)
    assert dials(shared_api, a) == {PLACE: "weekly"}
    assert rows(shared_api, "SELECT last_act_at FROM dial WHERE customer_id = %s", a) == [latest]


@pytest.mark.parametrize(
    ("mine", "theirs", "kept"),
    [(None, 30, 30), (30, None, 30), (10, 20, 10), (20, 10, 10), (None, None, None)],
)
def test_at_equal_levels_the_earlier_end_is_kept(
    shared_api: Api, mine: int | None, theirs: int | None, kept: int | None
) -> None:
    a, b = two(shared_api)
    for one, days in ((a, mine), (b, theirs)):
        shared_api.turn(one, (*PLACE, "weekly"))
        ends = NOW + timedelta(days=days) if days else None
        with shared_api.made.owner() as conn:
            conn.execute("UPDATE dial SET expires_at = %s WHERE customer_id = %s", [ends, one])
    merge(shared_api, a, b)
    ends = NOW + timedelta(days=kept) if kept else None
    assert rows(shared_api, "SELECT expires_at FROM dial WHERE customer_id = %s", a) == [(ends,)]


@pytest.mark.parametrize(("mine", "theirs"), [(1, 5), (5, 1)])
def test_of_two_pauses_the_later_end_is_kept(shared_api: Api, mine: int, theirs: int) -> None:
    a, b = two(shared_api)
    for one, days in ((a, mine), (b, theirs)):
        until = (NOW + timedelta(days=days)).isoformat()
        for body in ({"until": until}, {"until": until, "channel": f"{'email' if one == a else 'sms'}"}):
            answer = shared_api.call("PUT", f"/v1/customers/{one}/pause", body, role="desk")
            assert answer.status_code == 200, answer.get_data(as_text=True)
    merge(shared_api, a, b)
    kept = dict(rows(shared_api, "SELECT channel, until FROM pause WHERE customer_id = %s", a))
    later = NOW + timedelta(days=5)
    assert kept == {"*": later, "email": NOW + timedelta(days=mine), "sms": NOW + timedelta(days=theirs)}


def test_suppressions_of_both_are_kept_and_can_be_lifted_by_their_old_ids(shared_api: Api) -> None:
    (email_a, email_b) = somebody(), somebody()
    a, b = shared_api.customer(email_a), shared_api.customer(email_b)
    made = [suppress(shared_api, customer=email, channel="email").json["id"] for email in (email_a, email_b)]
    merge(shared_api, a, b)
    for suppression in made:
        assert shared_api.check(email_b, "email", "events")["reason"] == "suppressed"
        gone = shared_api.call("DELETE", f"/v1/suppressions/{suppression}", role="desk")
        assert gone.status_code == 204
    assert shared_api.check(email_b, "email", "events")["reason"] != "suppressed"


def test_ledgers_of_both_count_for_the_survivor(shared_api: Api) -> None:
    email_a, email_b = somebody(), somebody()
    a, b = shared_api.customer(email_a), shared_api.customer(email_b)
    made = shared_api.post("/v1/contacts", {"customer": email_b, "channel": "email", "topic": "events"})
    assert made.status_code == 201, made.get_data(as_text=True)
    merge(shared_api, a, b)
    answer = shared_api.check(email_a, "email", "events")
    assert (answer["reason"], answer["customer_id"]) == ("volume_reached", str(a))


def test_a_senders_own_id_that_both_ledgers_have_names_the_survivors_entry(shared_api: Api) -> None:
    email_a, email_b = somebody(), somebody()
    a, b = shared_api.customer(email_a), shared_api.customer(email_b)

    def report(email: str, external_id: str) -> str:
        row = {"customer": email, "channel": "email", "topic": "events", "external_id": external_id}
        row["contacted_at"] = "2026-01-01T00:00:00Z"
        answer = shared_api.post("/v1/contacts/reports", {"contacts": [row]})
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return str(answer.json["results"][0].get("id"))

    mine, _, only_theirs = report(email_a, "E1"), report(email_b, "E1"), report(email_b, "E2")
    merge(shared_api, a, b)
    kept = rows(shared_api, "SELECT external_id IS NULL FROM contact WHERE customer_id = %s ORDER BY 1", a)
    assert kept == [(False,), (False,), (True,)]
    assert rows(shared_api, "SELECT 1 FROM contact WHERE customer_id = %s", b) == []
    assert report(email_b, "E1") == mine
    assert report(email_a, "E2") is not None
    assert len(rows(shared_api, "SELECT 1 FROM contact WHERE customer_id = %s", a)) == 3
    assert only_theirs != mine


def test_a_permit_taken_before_the_merge_can_be_used_after(shared_api: Api) -> None:
    email_a, email_b = somebody(), somebody()
    a, b = shared_api.customer(email_a), shared_api.customer(email_b)
    permit = shared_api.post("/v1/permits", {"customer": email_b, "channel": "email", "topic": "events"})
    assert permit.status_code == 201, permit.get_data(as_text=True)
    merge(shared_api, a, b)
    assert shared_api.check(email_a, "email", "events")["reason"] == "volume_reached"
    used = shared_api.post(f"/v1/permits/{permit.json['id']}/use")
    assert used.status_code == 201, used.get_data(as_text=True)
    assert rows(shared_api, "SELECT count(*) FROM contact WHERE customer_id = %s", a) == [(1,)]


def test_every_name_of_both_finds_the_survivor_and_stays_readable(shared_api: Api) -> None:
    email_a, email_b = somebody(), somebody()
    a = shared_api.customer(email_a, "postal:1 Merge Mews", locale="en")
    b = shared_api.customer(email_b, "postal:1 Merge Mews", "household:m", locale="de", segment="club")
    merged = merge(shared_api, a, b)
    names = [email_a, "postal:1 Merge Mews", email_b, "household:m"]
    assert merged.json == {
        "id": str(a),
        "identifiers": names,
        "time_zone": None,
        "locale": "en",
        "segment": "club",
    }
    for reference in (*names, f"id:{a}", f"id:{b}"):
        found = shared_api.post("/v1/customers/lookup", {"customer": reference}, role="desk")
        assert (found.status_code, found.json) == (200, merged.json), reference
    assert shared_api.call("GET", f"/v1/customers/{b}", role="desk").json == merged.json


def test_time_zone_locale_and_segment_are_the_survivors_else_the_others(shared_api: Api) -> None:
    a = shared_api.customer(somebody(), time_zone="Europe/Paris")
    b = shared_api.customer(somebody(), time_zone="Asia/Tokyo", locale="ja", segment="club")
    merged = merge(shared_api, a, b).json
    assert (merged["time_zone"], merged["locale"], merged["segment"]) == ("Europe/Paris", "ja", "club")
    assert rows(shared_api, "SELECT time_zone, locale, segment FROM customer WHERE customer_id = %s", b) == [
        (None, None, None)
    ]


def test_a_into_b_into_c_leads_from_all_to_c(shared_api: Api) -> None:
    email = somebody()
    a, b, c = shared_api.customer(email), shared_api.customer(somebody()), shared_api.customer(somebody())
    shared_api.turn(a, ("*", "*", "silent"))
    shared_api.turn(c, ("*", "*", "everything"))
    assert merge(shared_api, b, a).status_code == 200
    assert merge(shared_api, c, b).status_code == 200
    assert {shared_api.call("GET", f"/v1/customers/{one}", role="desk").json["id"] for one in (a, b, c)} == {str(c)}
    assert shared_api.check(email, "email", "events")["reason"] == "silent"
    found = rows(shared_api, "SELECT survivor_id FROM customer WHERE customer_id IN (%s, %s)", a, b)
    assert found == [(c,), (c,)]
    with shared_api.database.reading() as conn:
        assert set(lineage(conn, c)) == {a, b, c}


def test_a_customer_is_not_merged_into_itself_under_any_id(shared_api: Api) -> None:
    a, b = two(shared_api)
    merge(shared_api, a, b)
    for path, other in ((a, a), (a, b), (b, a), (b, b)):
        refused = merge(shared_api, path, other)
        assert (refused.status_code, refused.json["code"]) == (422, "same_customer")


def test_a_merge_through_an_old_id_merges_the_survivors(shared_api: Api) -> None:
    a, b = two(shared_api)
    c, d = two(shared_api)
    merge(shared_api, a, b)
    merge(shared_api, c, d)
    assert merge(shared_api, b, d).json["id"] == str(a)
    assert shared_api.call("GET", f"/v1/customers/{c}", role="desk").json["id"] == str(a)


def test_nobody_is_merged_with_whom_nobody_knows(shared_api: Api) -> None:
    a, gone = two(shared_api)
    erase(shared_api, gone)
    for path, other in ((a, uuid4()), (uuid4(), a), (a, gone), (gone, a)):
        refused = merge(shared_api, path, other)
        assert (refused.status_code, refused.json["code"]) == (404, "unknown_customer")
    for other in ("no-id", None, 7):
        answer = shared_api.post(f"/v1/customers/{a}/merge", {"other": other}, role="desk")
        assert answer.status_code == 422


def test_a_merge_stands_in_the_histories_of_both_with_what_was_before(shared_api: Api) -> None:
    email_a, email_b = somebody(), somebody()
    a, b = shared_api.customer(email_a), shared_api.customer(email_b)
    shared_api.turn(a, (*PLACE, "everything"))
    shared_api.turn(b, (*PLACE, "silent"))
    merge(shared_api, a, b)
    merged = [event for event in shared_api.events(a) if event["type"] == "customers.merged"]
    assert {event["customer_id"] for event in merged} == {str(a), str(b)}
    for event in merged:
        assert event["before"]["survivor"]["identifiers"] == [email_a]
        assert event["before"]["other"]["dials"][0]["level"] == "silent"
        assert [dial["level"] for dial in event["after"]["dials"]] == ["silent"]
        assert event["after"]["identifiers"] == [email_a, email_b]
    assert types(shared_api, a).count("customer.created") == 2


def test_a_merge_makes_a_new_version_of_the_dials(shared_api: Api) -> None:
    a, b = two(shared_api)
    before = shared_api.call("GET", f"/v1/customers/{a}/dials", role="desk").json["version"]
    merge(shared_api, a, b)
    assert shared_api.call("GET", f"/v1/customers/{a}/dials", role="desk").json["version"] == before + 1


@pytest.mark.parametrize("round_number", range(5))
def test_merges_at_once_in_all_directions_leave_flat_paths_to_one_survivor(shared_api: Api, round_number: int) -> None:
    people = [shared_api.customer(somebody()) for _ in range(4)]
    pairs = list(itertools.permutations(people, 2))

    def act(number: int) -> tuple[int, str | None]:
        path, other = pairs[(number * 5 + round_number) % len(pairs)]
        headers = {"Authorization": f"Bearer {shared_api.keys['desk']}"}
        client = shared_api.app.test_client()
        while True:
            answer = client.post(f"/v1/customers/{path}/merge", json={"other": str(other)}, headers=headers)
            if answer.status_code != 503:  # twelve threads share four connections
                return answer.status_code, answer.json.get("code")

    answers = at_once(len(pairs), act)
    assert sorted(set(answers)) == [(200, None), (422, "same_customer")]
    assert [status for status, _ in answers].count(200) == len(people) - 1
    found = rows(
        shared_api, "SELECT state, survivor_id FROM customer WHERE customer_id = ANY (%s) ORDER BY state", people
    )
    survivors = {survivor for state, survivor in found if state == "merged"}
    assert [state for state, _ in found] == ["active", "merged", "merged", "merged"]
    assert len(survivors) == 1
    names = rows(shared_api, "SELECT count(*) FROM identifier WHERE customer_id = %s", survivors.pop())
    assert names == [(4,)]


def test_a_customer_may_not_merge(shared_api: Api) -> None:
    a, b = two(shared_api)
    answer = shared_api.post(f"/v1/customers/{a}/merge", {"other": str(b)}, key=token(shared_api, a))
    assert answer.status_code == 403
