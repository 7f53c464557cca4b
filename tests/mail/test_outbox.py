"""The outbox: queued with the change, sent once, tried again, given up; a crash makes a second copy at most."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from consent_service.customers.service import lock_many
from consent_service.mail import sending, service
from consent_service.mail.model import Letter
from consent_service.relay import Relay
from tests.support.api import Api
from tests.support.cluster import free_port
from tests.support.mailserver import Mailbox, deliver, mail_server, smtp_settings, text_of
from tests.support.soundness import expect_sound, inspected


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mail_server() as running:
        yield running


@pytest.fixture
def ben(api: Api) -> UUID:
    return api.customer("email:ben@example.com")


def queue(api: Api, customer_id: UUID, to: str = "ben@example.com", url: str = "/p/abc") -> UUID:
    with api.database.transaction() as conn:
        held = lock_many(conn, api.keyring, [customer_id])[customer_id]
        return service.queue(conn, api.keyring, held.customer_id, Letter("link", "en", to, {"url": url}), key=held.key)


def rows(api: Api) -> list[dict[str, Any]]:
    with api.database.reading() as conn:
        return list(conn.execute("SELECT * FROM mail ORDER BY queued_at"))


def wait_for(api: Api, **change: str) -> None:
    """Time goes by for all that is queued."""
    with api.made.owner() as conn:
        for column, interval in change.items():
            conn.execute(f"UPDATE mail SET {column} = {column} - interval '{interval}' WHERE state = 'queued'")


def test_a_letter_is_sent_once_and_then_says_nothing_any_more(api: Api, box: Mailbox, ben: UUID) -> None:
    mail_id = queue(api, ben)
    settings = smtp_settings(api, box)
    assert (deliver(api, settings), deliver(api, settings)) == (1, 0)
    assert box.recipients == ["ben@example.com"]
    assert "http://127.0.0.1:8080/p/abc" in text_of(box.messages[0])
    (row,) = rows(api)
    assert (row["state"], row["ciphertext"], row["attempts"]) == ("sent", None, 1)
    event = api.events(ben)[-1]
    assert (event["type"], event["actor"]["role"]) == ("mail.sent", "system")
    assert event["details"] == {
        "mail_id": str(mail_id),
        "kind": "link",
        "to": "email:ben@example.com",
        "attempts": 1,
    }
    expect_sound(api.made)


def test_a_letter_of_a_transaction_that_rolls_back_was_never_queued(api: Api, ben: UUID) -> None:
    with api.database.transaction() as conn, conn.transaction(force_rollback=True):
        service.queue(conn, api.keyring, ben, Letter("link", "en", "ben@example.com", {"url": "/p/abc"}))
    assert rows(api) == []


def test_no_address_and_no_word_of_a_letter_stands_in_the_database(api: Api, ben: UUID) -> None:
    queue(api, ben, url="/p/secretpart")
    with api.made.owner() as conn:
        found = conn.execute("SELECT to_json(m)::text, encode(ciphertext, 'escape') FROM mail m").fetchall()
    assert "ben@" not in str(found)
    assert "secretpart" not in str(found)


def test_what_is_refused_for_good_is_not_tried_again(api: Api, box: Mailbox, ben: UUID) -> None:
    queue(api, ben, to="nobody@example.com")
    queue(api, ben)
    box.answers = ["554 not this one"]
    queue(api, ben, url="/p/third")
    assert deliver(api, smtp_settings(api, box)) == 1
    assert [row["state"] for row in rows(api)] == ["failed", "failed", "sent"]
    assert all(row["ciphertext"] is None for row in rows(api))
    assert [event["type"] for event in api.events(ben)][-3:] == ["mail.failed", "mail.failed", "mail.sent"]
    expect_sound(api.made)


def test_what_is_refused_for_now_is_tried_again_later_and_later(api: Api, box: Mailbox, ben: UUID) -> None:
    queue(api, ben)
    box.answers = ["451 try again", "451 try again"]
    settings, now = smtp_settings(api, box), datetime.now(UTC)
    delays = []
    for _ in range(2):
        assert deliver(api, settings) == 0
        delays.append((rows(api)[0]["next_at"] - now).total_seconds())
        assert deliver(api, settings) == 0, "it is not due yet"
        wait_for(api, next_at="1 hour")
    assert 25 < delays[0] < 45
    assert 55 < delays[1] < 75
    assert deliver(api, settings) == 1
    assert rows(api)[0]["attempts"] == 3
    expect_sound(api.made)


def test_one_bad_address_does_not_keep_the_others_waiting(api: Api, box: Mailbox, ben: UUID) -> None:
    queue(api, ben)
    queue(api, ben)
    box.answers = ["451 try again"]
    assert deliver(api, smtp_settings(api, box)) == 1


def test_it_is_given_up_after_two_days(api: Api, box: Mailbox, ben: UUID) -> None:
    queue(api, ben)
    wait_for(api, queued_at="49 hours")
    box.answers = ["451 try again"]
    assert deliver(api, smtp_settings(api, box)) == 0
    assert rows(api)[0]["state"] == "failed"
    expect_sound(api.made)


def test_a_server_that_is_away_costs_one_attempt_a_round(api: Api, box: Mailbox, ben: UUID) -> None:
    queue(api, ben)
    queue(api, ben)
    settings = replace(smtp_settings(api, box), smtp=Relay("127.0.0.1", free_port(), "none"))
    assert deliver(api, settings) == 0
    assert sorted(row["attempts"] for row in rows(api)) == [0, 1]


def test_a_silent_server_is_given_up(api: Api, box: Mailbox, ben: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "TIMEOUT_SECONDS", 0.2)
    queue(api, ben)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = replace(smtp_settings(api, box), smtp=Relay("127.0.0.1", silent.getsockname()[1], "none"))
        assert deliver(api, settings) == 0
    assert rows(api)[0]["state"] == "queued"


def test_a_password_never_goes_out_without_tls(api: Api, box: Mailbox, ben: UUID) -> None:
    queue(api, ben)
    settings = replace(smtp_settings(api, box), smtp=Relay("127.0.0.1", box.port, "starttls", "shop", "hush"))
    assert deliver(api, settings) == 0
    assert box.messages == []
    assert rows(api)[0]["state"] == "queued"


class Killed(BaseException):
    """What a kill looks like from inside: nothing after this line is run."""


def test_a_worker_that_is_killed_after_the_servers_yes_sends_one_copy_more_with_the_same_id(
    api: Api, box: Mailbox, ben: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(api, ben)
    settings = smtp_settings(api, box)

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(service, "_end", killed)
        with pytest.raises(Killed):
            deliver(api, settings)
    assert deliver(api, settings) == 0, "the lease holds"
    wait_for(api, next_at="1 hour")
    assert deliver(api, settings) == 1
    assert len(box.messages) == 2
    assert box.messages[0]["Message-ID"] == box.messages[1]["Message-ID"]
    assert [event["type"] for event in api.events(ben)].count("mail.sent") == 1
    expect_sound(api.made)


def test_two_workers_never_hold_the_same_letter(api: Api, box: Mailbox, ben: UUID) -> None:
    queue(api, ben)
    settings = smtp_settings(api, box)
    box.taken = lambda: seen.append(service._take(api.database, api.keyring))
    seen: list[object] = []
    assert deliver(api, settings) == 1
    assert seen == [None]


def test_a_merge_takes_what_is_queued_along(api: Api, box: Mailbox, ben: UUID) -> None:
    other = api.customer("email:benny@example.com")
    queue(api, other, to="benny@example.com")
    assert api.post(f"/v1/customers/{ben}/merge", {"other": str(other)}, role="desk").status_code == 200
    expect_sound(api.made)
    assert deliver(api, smtp_settings(api, box)) == 1
    assert [row["customer_id"] for row in rows(api)] == [ben]
    assert box.recipients == ["benny@example.com"]
    expect_sound(api.made)


def test_a_merge_while_it_is_handed_over_loses_nothing(api: Api, box: Mailbox, ben: UUID) -> None:
    other = api.customer("email:benny@example.com")
    queue(api, other)

    def merge() -> None:
        assert api.post(f"/v1/customers/{ben}/merge", {"other": str(other)}, role="desk").status_code == 200

    box.taken = merge
    assert deliver(api, smtp_settings(api, box)) == 1
    assert [(row["customer_id"], row["state"]) for row in rows(api)] == [(ben, "sent")]
    expect_sound(api.made)


def test_an_erasure_takes_what_is_queued_along(api: Api, box: Mailbox, ben: UUID) -> None:
    queue(api, ben)
    assert api.post(f"/v1/customers/{ben}/erase", role="desk").status_code == 200
    assert rows(api) == []
    assert deliver(api, smtp_settings(api, box)) == 0
    expect_sound(api.made)


def test_an_erasure_while_it_is_handed_over_leaves_nothing(api: Api, box: Mailbox, ben: UUID) -> None:
    queue(api, ben)
    box.taken = lambda: api.post(f"/v1/customers/{ben}/erase", role="desk")
    deliver(api, smtp_settings(api, box))
    assert rows(api) == []
    expect_sound(api.made)


def test_without_a_server_it_is_written_into_the_data_directory(api: Api, ben: UUID, tmp_path: Path) -> None:
    settings = api.made.settings(CONSENT_DATA_DIR=str(tmp_path / "data"))
    mail_id = queue(api, ben)
    assert deliver(api, settings) == 1
    folder = tmp_path / "data" / "mail"
    (file,) = folder.iterdir()
    assert (file.name, folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (
        f"{mail_id.hex}.eml",
        0o700,
        0o600,
    )
    assert message_from_bytes(file.read_bytes(), policy=policy.default)["To"] == "ben@example.com"


def test_a_letter_that_does_not_open_is_given_up_and_fsck_names_it(api: Api, box: Mailbox, ben: UUID) -> None:
    queue(api, ben)
    with api.made.owner() as conn:
        conn.execute("UPDATE mail SET ciphertext = 'x' || ciphertext")
    assert inspected(api.made).findings.keys() == {"mail_does_not_open"}
    assert deliver(api, smtp_settings(api, box)) == 0
    assert rows(api)[0]["state"] == "failed"
    expect_sound(api.made)


def test_what_ended_long_ago_is_forgotten(api: Api, box: Mailbox, ben: UUID) -> None:
    queue(api, ben)
    deliver(api, smtp_settings(api, box))
    queue(api, ben)
    service.forget_old(api.database)
    assert len(rows(api)) == 2
    with api.made.owner() as conn:
        conn.execute("UPDATE mail SET ended_at = %s WHERE state = 'sent'", [datetime.now(UTC) - timedelta(days=31)])
    service.forget_old(api.database)
    assert [row["state"] for row in rows(api)] == ["queued"]
