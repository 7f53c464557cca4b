"""`contacts import`: the good rows get into the ledger once, the bad ones into the rejects file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from consent_service.permissions import commands
from tests.commands.conftest import Command, rejects
from tests.support.api import Api

Write = Callable[..., Path]
HEADER = "customer,channel,topic,contacted_at,campaign\n"
SENT = "2026-01-05T09:00:00Z"


def ledger(api: Api) -> list[tuple[str, str, str | None]]:
    with api.made.owner() as conn:
        return conn.execute("SELECT channel, topic, campaign FROM contact ORDER BY contacted_at, campaign").fetchall()


def test_rows_become_entries_and_unknown_people_customers(api: Api, command: Command, write: Write) -> None:
    api.customer("email:ben@example.com")
    file = write(
        f"{HEADER}email:ben@example.com,email,offers,{SENT},spring\n"
        "email:new@example.com,email,events,2026-01-06T09:00:00+01:00,\n"
    )
    done = command("contacts", "import", file)
    assert (done.code, done.err) == (0, "")
    assert done.out == "2 contacts recorded, 0 were recorded before.\n"
    assert ledger(api) == [("email", "offers", "spring"), ("email", "events", None)]
    assert api.check("email:new@example.com", "email", "offers")["reason"] == "no_consent"
    assert not file.with_name("input.csv.rejects.csv").exists()


def test_again_records_nothing_and_equal_rows_are_told_apart(api: Api, command: Command, write: Write) -> None:
    row = f"email:ben@example.com,email,offers,{SENT},spring\n"
    file = write(HEADER + row + row + row)
    assert command("contacts", "import", file).out.startswith("3 contacts recorded, 0 ")
    assert command("contacts", "import", file).out == "0 contacts recorded, 3 were recorded before.\n"
    longer = write(HEADER + row * 4, "longer.csv")
    assert command("contacts", "import", longer).out == "1 contacts recorded, 3 were recorded before.\n"
    assert len(ledger(api)) == 4


def test_again_after_it_broke_off_in_the_middle(
    api: Api, command: Command, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(HEADER + "".join(f"email:p{n}@example.com,email,offers,{SENT},\n" for n in range(10)))
    monkeypatch.setattr(commands, "BATCH", 4)
    real, calls = commands.report_many, iter(range(100))

    def breaks(*arguments: object, **named: object) -> object:
        if next(calls) == 1:
            raise KeyboardInterrupt
        return real(*arguments, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(commands, "report_many", breaks)
        assert command("contacts", "import", file).code == 130
    assert len(ledger(api)) == 4
    assert command("contacts", "import", file).out == "6 contacts recorded, 4 were recorded before.\n"


def test_options_fill_what_the_file_lacks(api: Api, command: Command, write: Write) -> None:
    file = write(f"customer,contacted_at\nemail:ben@example.com,{SENT}\n")
    assert "no column channel, topic" in command("contacts", "import", file).err
    assert command("contacts", "import", file, "--channel", "email", "--topic", "offers").code == 0
    mixed = write(
        f"customer,contacted_at,topic\nemail:ben@example.com,{SENT},events\nemail:cy@example.com,{SENT},\n", "m.csv"
    )
    assert command("contacts", "import", mixed, "--channel", "email", "--topic", "offers").code == 0
    assert sorted(topic for _, topic, _ in ledger(api)) == ["events", "offers", "offers"]


def test_a_bad_row_is_kept_aside_with_its_line_and_reason(api: Api, command: Command, write: Write) -> None:
    file = write(
        f"{HEADER}email:ben@example.com,email,offers,{SENT},\n"
        f"not a reference,email,offers,{SENT},\n"
        f"email:a@example.com,fax,offers,{SENT},\n"
        f"email:b@example.com,email,nothing,{SENT},\n"
        "email:c@example.com,email,offers,yesterday,\n"
        "email:d@example.com,email,offers,2026-01-05 09:00,\n"
        "email:e@example.com,email,offers,2999-01-05T09:00:00Z,\n"
        f"passport:1,email,offers,{SENT},\n"
        f"id:2b0a5b5e-0000-4000-8000-000000000000,email,offers,{SENT},\n"
        f",email,offers,{SENT},\n"
        f"email:f@example.com,,offers,{SENT},\n"
        f"email:g@example.com,email,offers,{SENT},{'x' * 201}\n"
        f"email:h@example.com,email,offers,{SENT}\n"
        f"email:i@example.com,em\0il,offers,{SENT},\n"
        f"email:last@example.com,email,offers,{SENT},\n"
    )
    done = command("contacts", "import", file)
    assert done.code == 0
    assert done.out == "2 contacts recorded, 0 were recorded before.\n"
    assert "13 rows were not taken" in done.err
    assert dict(rejects(file)) == {
        3: "invalid_customer_reference",
        4: "unknown_channel",
        5: "unknown_topic",
        6: "invalid_timestamp",
        7: "invalid_timestamp",
        8: "invalid_timestamp",
        9: "unknown_identifier_kind",
        10: "unknown_customer",
        11: "invalid_customer_reference",
        12: "unknown_channel",
        13: "invalid_value",
        14: "invalid_value",
        15: "control_character",
    }
    with api.made.owner() as conn:
        # Nobody becomes a customer by a row that is not taken.
        assert conn.execute("SELECT count(*) FROM customer").fetchone() == (2,)


def test_an_erased_person_stays_erased(api: Api, command: Command, write: Write) -> None:
    ada = api.customer("email:ada@example.com")
    api.post(f"/v1/customers/{ada}/erase", role="desk")
    file = write(f"{HEADER}email:ada@example.com,email,offers,{SENT},\n")
    assert command("contacts", "import", file).code == 0
    assert api.check("email:ada@example.com", "email", "offers")["reason"] == "erased"
    assert ledger(api) == []


def test_a_semicolon_file_with_a_mark_and_quoted_newlines(api: Api, command: Command, write: Write) -> None:
    file = write(
        "\ufeffcustomer;channel;topic;contacted_at;campaign;note\r\n"
        f'email:ben@example.com;email;offers;{SENT};spring;"two\r\nlines"\r\n'
        f"email:cy@example.com;email;offers;{SENT};spring;\r\n"
    )
    assert command("contacts", "import", file).out == "2 contacts recorded, 0 were recorded before.\n"
    assert rejects(file) == []


def test_a_file_with_a_header_only_is_nothing_to_do(command: Command, write: Write) -> None:
    assert command("contacts", "import", write(HEADER)).out == "0 contacts recorded, 0 were recorded before.\n"
