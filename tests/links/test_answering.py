"""The worker's part of "send me my link": mail for who is known, nothing for anybody else, and never too much of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from consent_service.customers.model import ID, Reference, parse_reference
from consent_service.links import answering, requests
from consent_service.links.answering import answer_waiting
from tests.support.api import Api
from tests.support.mailserver import Mailbox, deliver, mail_server, smtp_settings, text_of
from tests.support.pages import browser, link_to, post
from tests.support.soundness import expect_sound
from tests.web.asking import somebody

_clients = itertools.count(1)


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mail_server() as running:
        yield running


def ask(api: Api, *who: str, locale: str = "en") -> None:
    with api.database.transaction() as conn:
        for one in who:
            reference = Reference(ID, one[3:]) if one.startswith("id:") else parse_reference(one)
            requests.ask(conn, api.keyring, reference, locale=locale, client_address=f"192.0.2.{next(_clients)}")


def answered(api: Api, box: Mailbox) -> list[str]:
    """To whom mail goes in a round of the worker."""
    before = len(box.recipients)
    answer_waiting(api.database, api.keyring)
    deliver(api, smtp_settings(api, box))
    return box.recipients[before:]


def kept(api: Api) -> list[bool]:
    """Whether each row that is left still waits."""
    with api.made.owner() as conn:
        return [row[0] for row in conn.execute("SELECT ciphertext IS NOT NULL FROM link_request")]


def bare(name: str) -> str:
    return name.removeprefix("email:")


def test_who_is_known_gets_mail_and_nobody_else_leaves_a_trace(api: Api, box: Mailbox) -> None:
    ann, gone = somebody(), somebody()
    api.customer(ann, "phone:+442079460018")
    erased = api.customer(gone)
    api.post(f"/v1/customers/{erased}/erase", role="desk")
    ask(api, ann, gone, somebody())
    assert kept(api) == [True] * 3
    assert answered(api, box) == [bare(ann)]
    assert kept(api) == [False]
    assert answered(api, box) == []
    expect_sound(api.made)


def test_the_link_opens_the_desk_as_the_services_own(api: Api, box: Mailbox) -> None:
    name = somebody()
    ann = api.customer(name, locale="de-AT")
    client = browser(api)
    sent = post(client, client.get("/link"), "/link", {"email": bare(name).upper()})
    assert sent.status_code == 303
    assert answered(api, box) == [bare(name)]
    (message,) = box.messages
    assert message["Content-Language"] == "de", "the customer's language, not the asker's"
    url = next(word for word in text_of(message).split() if word.startswith(api.settings.public_url))
    assert url in text_of(message, "html")
    answer = client.get(urlsplit(url).path)
    assert answer.headers["Location"] == "/preferences"
    with client.session_transaction() as session:
        visit = session["visit"]
    assert (visit["customer_id"], visit["link"], visit["opens_desk"]) == (ann.hex, None, True)


def test_the_pages_language_is_that_of_customers_who_have_none(api: Api, box: Mailbox) -> None:
    name = somebody()
    api.customer(name)
    ask(api, name, locale="ar")
    answered(api, box)
    assert box.messages[0]["Content-Language"] == "ar"


def test_mail_goes_to_the_address_asked_for_and_to_no_other(api: Api, box: Mailbox) -> None:
    first, second = somebody(), somebody()
    api.customer(first, second)
    ask(api, second)
    assert answered(api, box) == [bare(second)]


def test_from_an_old_link_it_goes_to_the_customers_own_address(api: Api, box: Mailbox) -> None:
    first, second = somebody(), somebody()
    ann = api.customer("phone:+442079460021", first, second)
    client = browser(api)
    client.get(link_to(api, ann, minted_at=datetime.now(UTC) - timedelta(days=400)))
    post(client, client.get("/link?because=old"), "/link/mine", {})
    assert answered(api, box) == [bare(first)]


def test_a_confirmed_address_is_written_to_rather_than_the_oldest(api: Api, box: Mailbox) -> None:
    ann = api.customer("email:old@example.com", "email:ann@example.com", "email:third@example.com")
    body = {"identifier": "email:ann@example.com", "evidence": {"call": "C-1"}}
    assert api.post(f"/v1/customers/{ann}/identifiers/confirm", body, role="desk").status_code == 200
    client = browser(api)
    client.get(link_to(api, ann, by_campaign=True))
    post(client, client.get("/link?because=old"), "/link/mine", {})
    assert answered(api, box) == ["ann@example.com"]


def test_who_was_merged_is_answered_as_the_survivor(api: Api, box: Mailbox) -> None:
    first, second = somebody(), somebody()
    survivor, other = api.customer(first), api.customer(second)
    ask(api, second, f"id:{other}")
    api.post(f"/v1/customers/{survivor}/merge", {"other": str(other)}, role="desk")
    assert set(answered(api, box)) == {bare(second), bare(first)}
    expect_sound(api.made)


def test_a_customer_without_an_address_is_passed_over(api: Api, box: Mailbox) -> None:
    ask(api, f"id:{api.customer('phone:+442079460022')}")
    assert answered(api, box) == []
    assert kept(api) == []


@pytest.mark.parametrize(
    ("stop", "is_sent"),
    [
        ({"kind": "all"}, False),
        ({"kind": "all", "channel": "email"}, False),
        ({"kind": "all", "channel": "sms"}, True),
        ({"kind": "marketing"}, True),
    ],
)
@pytest.mark.parametrize("place", ["customer", "contact_point"])
def test_a_hard_stop_on_everything_stops_this_too(
    api: Api, box: Mailbox, place: str, stop: dict[str, str], is_sent: bool
) -> None:
    name = somebody()
    api.customer(name)
    made = api.post("/v1/suppressions", {place: name, "reason": "asked", **stop}, role="desk")
    if stop.get("channel") == "sms" and place == "contact_point":
        assert made.status_code == 422, "nobody texts an e-mail address"
    else:
        assert made.status_code == 201
    ask(api, name)
    assert (answered(api, box) == [bare(name)]) == is_sent


def test_an_address_gets_a_few_mails_an_hour_and_a_day_whoever_asks(api: Api, box: Mailbox) -> None:
    name, other = somebody(), somebody()
    api.customer(name)
    api.customer(other)
    mails = 0
    for _ in range(answering.MOST_AN_HOUR + 2):
        ask(api, name)
        mails += len(answered(api, box))
    assert mails == answering.MOST_AN_HOUR
    ask(api, other)
    assert answered(api, box) == [bare(other)], "another one's own few are untouched"
    days = 0
    for _ in range(10):
        with api.made.owner() as conn:
            conn.execute("UPDATE link_request SET created_at = created_at - interval '61 minutes'")
        ask(api, name)
        days += len(answered(api, box))
    assert mails + days == answering.MOST_A_DAY
    with api.made.owner() as conn:
        conn.execute("UPDATE link_request SET created_at = created_at - interval '25 hours'")
    requests.forget_old(api.database)
    assert kept(api) == []
    ask(api, name)
    assert answered(api, box) == [bare(name)]


def test_asked_often_within_a_round_is_answered_once(api: Api, box: Mailbox) -> None:
    name = somebody()
    api.customer(name)
    ask(api, *[name] * 5, f"email:{bare(name).upper()}")
    assert answered(api, box) == [bare(name)]


def test_more_than_a_round_takes_are_all_answered(api: Api, box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "MOST_AT_ONCE", 2)
    names = [somebody() for _ in range(5)]
    for name in names:
        api.customer(name)
    ask(api, *names)
    assert sorted(answered(api, box)) == sorted(map(bare, names))


def test_a_request_that_was_tampered_with_is_dropped(api: Api, box: Mailbox) -> None:
    first, second = somebody(), somebody()
    api.customer(first)
    api.customer(second)
    ask(api, first, second)
    with api.made.owner() as conn:
        conn.execute("UPDATE link_request SET ciphertext = (SELECT min(ciphertext) FROM link_request)")
    answered(api, box)
    assert len(box.recipients) <= 1, "one row's content opens in no other"
    assert True not in kept(api)


def test_history_says_that_the_link_was_sent(api: Api, box: Mailbox) -> None:
    name = somebody()
    ann: UUID = api.customer(name)
    ask(api, name)
    answered(api, box)
    event = api.events(ann)[-1]
    assert (event["type"], event["details"]["kind"], event["details"]["to"]) == ("mail.sent", "link", name)


def test_what_the_worker_was_cut_off_from_waits_for_the_next_round(
    api: Api, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = somebody()
    api.customer(name)
    ask(api, name)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr("consent_service.mail.service.queue", broken)
        with pytest.raises(RuntimeError):
            answer_waiting(api.database, api.keyring)
    assert kept(api) == [True]
    assert answered(api, box) == [bare(name)]


def test_two_workers_answer_a_request_once(api: Api, box: Mailbox) -> None:
    name = somebody()
    api.customer(name)
    ask(api, name)
    with api.database.transaction() as conn:
        held = conn.run(requests.SQL["take"], {"most": 10}).fetchall()
        assert len(held) == 1
        assert answer_waiting(api.database, api.keyring) == 0
    assert answered(api, box) == [bare(name)]
