"""CSV files as people have them: whatever is odd costs its own row and no other."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service import csvfile
from consent_service.csvfile import BadRow, Rejects, Row, new_file, open_table
from consent_service.errors import ConsentError
from tests.commands.conftest import rows

Write = Callable[..., Path]


def read(path: Path, *needed: str) -> list[Row | BadRow]:
    with open_table(path, needed) as table:
        return list(table.rows())


def good(path: Path) -> list[list[str]]:
    return [list(row.values) for row in read(path) if isinstance(row, Row)]


def bad(path: Path) -> list[tuple[int, str]]:
    return [(row.line, row.error.code) for row in read(path) if isinstance(row, BadRow)]


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n3,4\n",
        "\ufeffa,b\n1,2\n3,4\n",
        "a,b\r\n1,2\r\n3,4\r\n",
        "a;b\r\n1;2\r\n3;4",
        "\ufeffa;b\n1;2\n\n3;4\n\n\n",
        ' a , b \n"1","2"\n3,4',
        "a,b\r1,2\r3,4\r",
    ],
)
def test_every_way_to_write_the_same_table(write: Write, text: str) -> None:
    path = write(text)
    with open_table(path, ["a", "b"]) as table:
        assert [row.cells for row in table.rows() if isinstance(row, Row)] == [
            {"a": "1", "b": "2"},
            {"a": "3", "b": "4"},
        ]
    assert bad(path) == []


def test_a_quoted_cell_may_hold_anything(write: Write) -> None:
    path = write('customer,note\r\nx,"two\r\nlines, ""quoted""; and more"\r\ny,z\r\n')
    assert [(row.line, row.values[1]) for row in read(path)] == [
        (3, 'two\r\nlines, "quoted"; and more'),
        (4, "z"),
    ]


def test_a_row_with_too_few_or_too_many_cells_is_kept_aside(write: Write) -> None:
    path = write("a,b\n1,2\n3\n4,5,6\n7,8\n")
    assert good(path) == [["1", "2"], ["7", "8"]]
    assert bad(path) == [(3, "invalid_value"), (4, "invalid_value")]


def test_a_quote_that_is_never_closed_costs_its_line_only(write: Write) -> None:
    path = write('a,b\n1,2\n"3,4\n5,6\n7,8\n')
    assert good(path) == [["1", "2"], ["5", "6"], ["7", "8"]]
    assert bad(path) == [(3, "invalid_value")]
    assert [row.line for row in read(path)] == [2, 3, 4, 5]


def test_a_quote_in_the_wrong_place_costs_its_line_only(write: Write) -> None:
    path = write('a,b\n"1"x,2\n3,4\n')
    assert good(path) == [["3", "4"]]
    assert bad(path) == [(2, "invalid_value")]


def test_a_cell_that_is_too_long_costs_its_line_only(write: Write) -> None:
    path = write(f"a,b\n1,{'x' * (csvfile.LONGEST_FIELD + 1)}\n3,4\n")
    assert good(path) == [["3", "4"]]
    assert bad(path) == [(2, "invalid_value")]


def test_bytes_that_are_no_utf8_cost_their_row_only(write: Write) -> None:
    path = write(b"a,b\n1,2\nM\xfcller,3\n5,6\n")
    assert good(path) == [["1", "2"], ["5", "6"]]
    assert bad(path) == [(3, "invalid_encoding")]


def test_a_nul_costs_its_row_only(write: Write) -> None:
    path = write("a,b\n1,\0\n3,4\n")
    assert good(path) == [["3", "4"]]
    assert bad(path) == [(2, "control_character")]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "invalid_value"),
        ("\n", "invalid_value"),
        ("a,a\n1,2\n", "invalid_value"),
        ('"a\n', "invalid_value"),
        (b"\xff\xfea\x00,\x00b\x00\n\x00", "invalid_encoding"),
        (b"a,M\xfcller\n", "invalid_encoding"),
        ("b\n1\n", "missing_field"),
    ],
)
def test_a_file_without_a_sound_header_is_refused(write: Write, text: str | bytes, code: str) -> None:
    with pytest.raises(ConsentError) as refused:
        read(write(text), "a")
    assert refused.value.code == code


def test_a_line_without_end_is_not_read_into_memory(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csvfile, "LONGEST_LINE", 50)
    with pytest.raises(ConsentError, match="no CSV"):
        read(write("a,b\n1,2\n" + "x" * 200))


@given(text=st.text(alphabet='ab,"\n\r;', max_size=60))
def test_no_line_is_lost_whatever_stands_there(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("csv") / "any.csv"
    path.write_text(f"h\n{text}", encoding="utf-8", newline="")
    found = read(path)
    lines = [row.line for row in found]
    assert lines == sorted(set(lines)), "every row stands at a line of its own, in order"
    kept = "".join("".join(row.values) for row in found)
    assert sum(kept.count(letter) for letter in "ab") == sum(text.count(letter) for letter in "ab")


def test_rejects_can_be_read_again_and_are_for_their_owner_only(write: Write) -> None:
    path = write("a,b\n1,2\n")
    with Rejects(path) as rejects:
        rejects.add(BadRow(7, ConsentError("invalid_value", "Too long."), ["x,y", 'say "hi"']))
    assert rows(rejects.path) == [
        {"line": "7", "code": "invalid_value", "detail": "Too long.", "row": '"x,y","say ""hi"""'}
    ]
    assert stat.S_IMODE(rejects.path.stat().st_mode) == 0o600
    assert rejects.told().startswith("One row was not taken")


def test_a_run_without_rejects_removes_those_of_the_last_one(write: Write) -> None:
    path = write("a\n1\n")
    old = path.with_name("input.csv.rejects.csv")
    old.write_text("old")
    with Rejects(path) as rejects:
        pass
    assert not old.exists()
    assert rejects.told() == ""


def test_a_new_file_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("before")

    def break_off() -> None:
        with new_file(path) as file:
            file.write("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert path.read_text() == "before"
    with new_file(path) as file:
        file.write("whole")
    assert path.read_text() == "whole"
    assert [one.name for one in tmp_path.iterdir()] == ["out.csv"]


def test_a_device_stays_a_device(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/dev/null")
    with new_file(link) as file:
        file.write("x")
    assert link.is_symlink()
    assert not Path("/dev/null").is_file()


def test_a_written_file_is_its_owners_alone_and_a_replaced_one_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    modes = []
    for replaced in (None, 0o640):
        if replaced is not None:
            path.chmod(replaced)
        with new_file(path) as file:
            file.write("email:ann@example.com\n")
            modes.append(path.with_name("answers.csv.part").stat().st_mode & 0o777)
        modes.append(path.stat().st_mode & 0o777)
    assert modes == [0o600, 0o600, 0o640, 0o640]


def test_a_draft_that_somebody_laid_a_link_under_is_not_written_through(tmp_path: Path) -> None:
    prey = tmp_path / "prey"
    prey.write_text("untouched")
    (tmp_path / "answers.csv.part").symlink_to(prey)
    with pytest.raises(OSError, match="symbolic link"), new_file(tmp_path / "answers.csv"):
        pass
    assert prey.read_text() == "untouched"
