"""`screen`: one answer for each row of an audience, in its order, also for rows that cannot be asked."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

from consent_service.permissions import screening
from tests.commands.conftest import Command, rows
from tests.support.api import Api

Write = Callable[..., Path]
ASKED = ("--channel", "email", "--topic", "offers/wine")


def cast(api: Api) -> None:
    """Ada turns everything down, Ben loves wine, Dee once a week; Cy is unknown."""
    ada, ben, dee = (api.customer(f"email:{name}@example.com") for name in ("ada", "ben", "dee"))
    api.turn(ada, ("*", "offers", "weekly"))
    api.turn(ada, ("*", "*", "silent"))
    api.turn(ben, ("*", "offers/wine", "everything"))
    api.turn(dee, ("*", "offers/wine", "weekly"))


def table(text: str, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text), delimiter=delimiter))


def test_an_answer_for_every_row_in_the_order_given(api: Api, command: Command, write: Write) -> None:
    cast(api)
    file = write(
        "customer,name\nemail:ben@example.com,Ben\nemail:cy@example.com,Cy\nnonsense,X\n"
        "email:ada@example.com,Ada\nemail:dee@example.com,Dee\nemail:ben@example.com,Ben again\npassport:1,Y\n"
    )
    done = command("screen", file, *ASKED)
    assert done.code == 0
    found = table(done.out)
    assert list(found[0]) == [
        "customer",
        "name",
        "allowed",
        "reason",
        "next_allowed_at",
        "remaining",
        "decided_at",
    ]
    assert [(row["name"], row["allowed"], row["reason"]) for row in found] == [
        ("Ben", "true", "allowed"),
        ("Cy", "false", "unknown_customer"),
        ("X", "false", "error:invalid_customer_reference"),
        ("Ada", "false", "silent"),
        ("Dee", "true", "allowed"),
        ("Ben again", "true", "allowed"),
        ("Y", "false", "error:unknown_identifier_kind"),
    ]
    assert [row["remaining"] for row in found] == ["", "", "", "", "1", "", ""]
    assert len({row["decided_at"] for row in found if row["decided_at"]}) == 1
    assert "allowed 3" in done.err


def test_a_row_that_cannot_be_read_is_answered_too(api: Api, command: Command, write: Write) -> None:
    cast(api)
    file = write(
        b"customer,name\nemail:ben@example.com\nemail:ben@example.com,a,b\n"
        b'"email:ben@example.com,x\nemail:ben@example.com,M\xfcller\nemail:ben@example.com,Ben\n'
    )
    found = table(command("screen", file, *ASKED).out)
    assert [(row["customer"], row["reason"]) for row in found] == [
        ("email:ben@example.com", "error:invalid_value"),
        ("email:ben@example.com", "error:invalid_value"),
        ('"email:ben@example.com,x', "error:invalid_value"),
        ("email:ben@example.com", "error:invalid_encoding"),
        ("email:ben@example.com", "allowed"),
    ]


def test_rows_do_not_compete_without_permits(api: Api, command: Command, write: Write) -> None:
    cast(api)
    file = write("customer\n" + "email:dee@example.com\n" * 3)
    assert [row["allowed"] for row in table(command("screen", file, *ASKED).out)] == ["true"] * 3


def test_permits_go_by_priority_then_position(api: Api, command: Command, write: Write, tmp_path: Path) -> None:
    cast(api)
    api.key("campaign", "newsletter")
    dee = "email:dee@example.com"
    file = write(
        f"customer,priority,n\n{dee},1,a\n{dee},nan,b\n{dee},7,c\n{dee},7,d\nemail:ben@example.com,,e\n{dee},x,f\n"
    )
    out = tmp_path / "out.csv"
    done = command("screen", file, *ASKED, "--reserve", "--key-name", "newsletter", "--output", out)
    assert (done.code, done.out) == (0, "")
    found = rows(out)
    assert [row["n"] for row in found] == list("abcdef")
    assert {row["n"] for row in found if row["allowed"] == "true"} == {"c", "e"}
    assert {row["reason"] for row in found if row["allowed"] == "false"} == {"volume_reached"}
    assert all(bool(row["permit_id"]) == bool(row["expires_at"]) == (row["allowed"] == "true") for row in found)
    assert all(row["decided_at"] for row in found)


def test_a_permit_of_a_screening_can_be_used_with_the_key_of_its_name(api: Api, command: Command, write: Write) -> None:
    cast(api)
    secret = api.key("campaign", "newsletter")
    file = write("customer\nemail:dee@example.com\n")
    done = command("screen", file, *ASKED, "--reserve", "--key-name", "newsletter")
    permit = table(done.out)[0]["permit_id"]
    assert api.post(f"/v1/permits/{permit}/use").status_code == 404
    used = api.post(f"/v1/permits/{permit}/use", key=secret)
    assert used.status_code == 201, used.get_data(as_text=True)


def test_the_separator_of_the_audience_is_kept(api: Api, command: Command, write: Write) -> None:
    cast(api)
    file = write("\ufeffcustomer;name\r\nemail:ben@example.com;Ben, the first\r\n")
    found = table(command("screen", file, *ASKED).out, ";")
    assert [(row["customer"], row["name"], row["reason"]) for row in found] == [
        ("email:ben@example.com", "Ben, the first", "allowed")
    ]


def test_a_question_about_another_time(api: Api, command: Command, write: Write) -> None:
    cast(api)
    file = write("customer\nemail:ben@example.com\n")
    done = command("screen", file, *ASKED, "--at", "2000-01-01T00:00:00Z")
    assert (done.code, done.out) == (1, "")
    assert "invalid_timestamp" in done.err


def test_what_cannot_be_asked_at_all_is_one_line_and_writes_nothing(
    api: Api, command: Command, write: Write, tmp_path: Path
) -> None:
    cast(api)
    api.key("campaign", "garden", ["offers/garden"])
    file = write("customer\nemail:ben@example.com\n")
    out = tmp_path / "out.csv"
    for arguments, code in (
        (("--channel", "fax", "--topic", "offers"), "unknown_channel"),
        (("--channel", "email", "--topic", "nothing"), "unknown_topic"),
        ((*ASKED, "--reserve", "--key-name", "nobody"), "not_found"),
        ((*ASKED, "--reserve", "--key-name", "desk key"), "role_not_allowed"),
        ((*ASKED, "--reserve", "--key-name", "garden"), "topic_not_allowed"),
    ):
        done = command("screen", file, *arguments, "--output", out)
        assert done.code == 1, arguments
        assert f"({code})" in done.err
        assert len(done.err.splitlines()) == 1
        assert not out.exists()
    with api.made.owner() as conn:
        assert conn.execute("SELECT count(*) FROM permit").fetchone() == (0,)
    assert command("screen", file, *ASKED, "--reserve").code == 2
    assert command("screen", write("name\nBen\n", "n.csv"), *ASKED).code == 1
    assert command("screen", write("customer\n", "e.csv"), *ASKED).code == 1


def test_no_permit_is_reserved_when_the_answer_cannot_be_written(
    api: Api, command: Command, write: Write, tmp_path: Path
) -> None:
    cast(api)
    file = write("customer\nemail:ben@example.com\n")
    reserve = (*ASKED, "--reserve", "--key-name", "campaign key")
    done = command("screen", file, *reserve, "--output", tmp_path / "no" / "out.csv")
    assert done.code == 1
    assert len(done.err.splitlines()) == 1
    with api.made.owner() as conn:
        assert conn.execute("SELECT count(*) FROM permit").fetchone() == (0,)


def test_every_batch_of_a_screening_is_answered_as_of_its_beginning(api: Api) -> None:
    cast(api)
    names = ["email:ben@example.com", "email:cy@example.com", "email:dee@example.com"]
    question = screening.Question("email", "offers/wine", None)
    with api.database.snapshot() as conn:
        began = screening.begin(conn, question)
        batches = [screening.answer(conn, api.keyring, question, [name], began) for name in names]
    assert [answer.decided_at for batch in batches for answer in batch] == [began] * 3
