"""`dials import`: wishes that others wrote down are never louder than the customer's own last word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from consent_service.dials import commands
from tests.commands.conftest import Command, rejects
from tests.support.api import Api

Write = Callable[..., Path]
HEADER = "customer,channel,topic,level,occurred_at\n"
SAID = "2026-01-05T09:00:00Z"


def levels(api: Api, customer_id: object) -> dict[tuple[str, str], str]:
    answer = api.call("GET", f"/v1/customers/{customer_id}/dials", role="desk").json
    return {(dial["channel"], dial["topic"]): dial["level"] for dial in answer["dials"]}


def the_one(api: Api, reference: str) -> Any:
    answer = api.post("/v1/customers/lookup", {"customer": reference}, role="desk")
    return answer.json["id"] if answer.status_code == 200 else None


def test_dials_stand_as_the_rows_say_with_the_file_as_evidence(api: Api, command: Command, write: Write) -> None:
    file = write(
        f"{HEADER}email:ben@example.com,*,offers/wine,everything,{SAID}\n"
        f"email:ben@example.com,email,*,weekly,{SAID}\n"
        f"email:ada@example.com,*,*,silent,\n"
    )
    assert command("dials", "import", file).out == "3 dials turned, 0 stood so already.\n"
    ben = the_one(api, "email:ben@example.com")
    assert levels(api, ben) == {("*", "offers/wine"): "everything", ("email", "*"): "weekly"}
    assert levels(api, the_one(api, "email:ada@example.com")) == {("*", "*"): "silent"}
    event = next(one for one in api.events(ben) if one["type"] == "dials.changed")
    assert event["source"] == "import"
    assert event["evidence"]["file"] == "input.csv"
    assert event["evidence"]["line"] == 2
    assert len(event["evidence"]["sha256"]) == 64
    assert event["occurred_at"] == SAID


def test_again_changes_nothing(api: Api, command: Command, write: Write) -> None:
    file = write(f"{HEADER}email:ben@example.com,*,offers,weekly,{SAID}\nemail:ben@example.com,*,events,silent,\n")
    command("dials", "import", file)
    before = len(api.events(the_one(api, "email:ben@example.com")))
    assert command("dials", "import", file).out == "0 dials turned, 2 stood so already.\n"
    assert len(api.events(the_one(api, "email:ben@example.com"))) == before


def test_a_blank_level_is_unknown_and_never_everything(api: Api, command: Command, write: Write) -> None:
    file = write(f"{HEADER}email:ben@example.com,*,offers,,{SAID}\nemail:cy@example.com,*,offers,  ,{SAID}\n")
    done = command("dials", "import", file)
    assert done.out == "0 dials turned, 0 stood so already.\n"
    assert rejects(file) == [(2, "missing_field"), (3, "missing_field")]
    assert the_one(api, "email:ben@example.com") is None


def test_an_older_wish_never_makes_a_dial_louder(api: Api, command: Command, write: Write) -> None:
    ben = api.customer("email:ben@example.com")
    api.turn(ben, ("*", "offers", "rarely"))
    file = write(f"{HEADER}email:ben@example.com,*,offers,everything,{SAID}\n")
    command("dials", "import", file)
    assert rejects(file) == [(2, "superseded")]
    assert levels(api, ben) == {("*", "offers"): "rarely"}


def test_louder_needs_a_date_and_quieter_needs_nothing(api: Api, command: Command, write: Write) -> None:
    ben = api.customer("email:ben@example.com")
    file = write(f"{HEADER}email:ben@example.com,*,offers,weekly,\nemail:ben@example.com,*,*,silent,\n")
    command("dials", "import", file)
    assert rejects(file) == [(2, "occurred_at_required")]
    assert levels(api, ben) == {("*", "*"): "silent"}


def test_bad_rows_leave_no_trace_and_stop_nobody(api: Api, command: Command, write: Write) -> None:
    ada = api.customer("email:ada@example.com")
    api.post(f"/v1/customers/{ada}/erase", role="desk")
    file = write(
        f"{HEADER}email:a@example.com,*,offers,loud,{SAID}\n"
        f"email:b@example.com,fax,offers,weekly,{SAID}\n"
        f"email:c@example.com,*,nothing,weekly,{SAID}\n"
        "email:d@example.com,*,offers,weekly,once\n"
        "email:e@example.com,*,offers,weekly,2999-01-01T00:00:00Z\n"
        f"email:ada@example.com,*,offers,weekly,{SAID}\n"
        f"passport:1,*,offers,weekly,{SAID}\n"
        f"id:2b0a5b5e-0000-4000-8000-000000000000,*,offers,weekly,{SAID}\n"
        f"email:f@example.com,*,offers,weekly\n"
        f"email:good@example.com,*,offers,weekly,{SAID}\n"
    )
    done = command("dials", "import", file)
    assert done.out == "1 dials turned, 0 stood so already.\n"
    assert dict(rejects(file)) == {
        2: "unknown_level",
        3: "unknown_channel",
        4: "unknown_topic",
        5: "invalid_timestamp",
        6: "invalid_timestamp",
        7: "customer_erased",
        8: "unknown_identifier_kind",
        9: "unknown_customer",
        10: "invalid_value",
    }
    for name in "abcdef":
        assert the_one(api, f"email:{name}@example.com") is None
    assert levels(api, the_one(api, "email:good@example.com")) == {("*", "offers"): "weekly"}


def test_one_new_person_on_several_rows_is_one_customer(
    api: Api, command: Command, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "BATCH", 2)
    places = ["offers", "offers/wine", "events", "orders/tips", "offers/garden"]
    file = write(HEADER + "".join(f"email:New@Example.com,*,{place},rarely,{SAID}\n" for place in places))
    assert command("dials", "import", file).out == "5 dials turned, 0 stood so already.\n"
    assert len(levels(api, the_one(api, "email:new@example.com"))) == 5
