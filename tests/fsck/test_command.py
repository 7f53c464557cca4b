"""`consent-service fsck` as an operator meets it: one report, an exit code, and no names."""

from __future__ import annotations

import json

from consent_service.fsck.model import BY_OPENING, BY_OWNER, BY_SQL
from tests.commands.conftest import Command
from tests.fsck.world import make
from tests.support.api import Api
from tests.support.soundness import inspected


def test_a_sound_database_is_one_line_and_exit_code_0(api: Api, command: Command) -> None:
    make(api)
    done = command("fsck")
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) == 1
    assert "all is well" in done.out


def test_an_empty_database_is_sound(api: Api, command: Command) -> None:
    assert command("fsck").code == 0


def test_a_finding_is_exit_code_1_and_names_ids_only(api: Api, command: Command) -> None:
    world = make(api)
    with api.made.owner() as conn:
        conn.execute("UPDATE dial SET level = 'everything' WHERE customer_id = %s AND topic = 'offers'", [world.dan])
    done = command("fsck")
    assert done.code == 1
    assert str(world.dan) in done.out
    assert "example.com" not in done.out
    shown = json.loads(command("fsck", "--json").out)
    assert shown["clean"] is False
    assert shown["not_checked"] == {}
    assert [(one["check"], one["found"], one["ids"]) for one in shown["findings"]] == [
        ("dial_differs_from_events", 1, [str(world.dan)])
    ]


def test_quick_says_what_it_did_not_look_at(api: Api, command: Command) -> None:
    make(api)
    shown = json.loads(command("fsck", "--quick", "--json").out)
    assert shown["clean"] is True
    assert set(shown["checked"]) == {*BY_SQL, "migrations_differ"}
    assert set(shown["not_checked"]) == {*BY_OPENING, "index_does_not_match"}


def test_without_the_owners_login_the_report_says_what_is_left_out(api: Api) -> None:
    report = inspected(api.made, as_owner=False)
    assert report.clean
    assert set(report.not_checked) == set(BY_OWNER)
    assert "CONSENT_MIGRATION_URL" in "\n".join(report.lines())


def test_a_usage_error_is_exit_code_2(command: Command) -> None:
    assert command("fsck", "--deep").code == 2


def test_a_schema_of_another_version_is_found(api: Api) -> None:
    with api.made.owner() as conn:
        conn.execute("UPDATE _yoyo_migration SET migration_id = '9999_later' WHERE migration_id = '0006_keys'")
    try:
        assert inspected(api.made).findings["migrations_differ"].ids == ["0006_keys", "9999_later"]
    finally:
        with api.made.owner() as conn:
            conn.execute("UPDATE _yoyo_migration SET migration_id = '0006_keys' WHERE migration_id = '9999_later'")


def test_an_index_that_lacks_a_row_is_found_and_nothing_is_left_installed(api: Api) -> None:
    world = make(api)
    asked = {"customer": f"id:{world.dan}", "channel": "email", "topic": "events"}
    with api.made.owner() as conn:
        ready = "UPDATE pg_index SET indisready = %s WHERE indexrelid = 'contact_window'::regclass"
        conn.execute(ready, [False])
        assert api.post("/v1/contacts", asked).status_code == 201
        conn.execute(ready, [True])
        report = inspected(api.made)
        assert report.findings["index_does_not_match"].ids == ["contact_window"], list(report.lines())
        assert conn.execute("SELECT FROM pg_extension WHERE extname = 'amcheck'").fetchone() is None
        conn.execute("REINDEX INDEX contact_window")
    assert inspected(api.made).clean
