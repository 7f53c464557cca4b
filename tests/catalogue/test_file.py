"""How a catalogue file is read: stricter than YAML, and every fault with its line."""

from __future__ import annotations

import pytest
import yaml

from consent_service.catalogue.validation import parse_catalogue
from consent_service.catalogue.yamlfile import LARGEST_FILE_BYTES, read_yaml
from consent_service.errors import ConsentError
from tests.catalogue.documents import SMALL

FILE = """\
time_zone: Europe/London
levels:
  - {name: silent, mode: silent}
  - {name: everything, mode: open}
channels:
  sms:
    identifier: phone
    quiet_hours: {from: "21:00", to: "08:00"}
topics:
  offers:
    basis: consent
notices:
  - id: preferences
    version: "1"
    text: {en: We keep your choices.}
"""


def faults(text: str | bytes) -> list[tuple[int, str, str]]:
    """(line, pointer, detail) of each fault."""
    source = read_yaml(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConsentError) as caught:
        source.catalogue()
    assert caught.value.code == "invalid_catalogue"
    return [(source.line(one["pointer"]), one["pointer"], one["detail"]) for one in caught.value.errors]


def test_a_sound_file_is_read() -> None:
    assert read_yaml(FILE.encode()).catalogue().channels["sms"].quiet_hours is not None
    assert read_yaml(b"\xef\xbb\xbf" + FILE.encode()).catalogue().time_zone == "Europe/London"


def test_json_is_read_too() -> None:
    import json

    assert read_yaml(json.dumps(SMALL).encode()).catalogue() == parse_catalogue(SMALL)


def test_what_is_shown_as_yaml_is_read_as_the_same() -> None:
    shown = yaml.safe_dump(SMALL, sort_keys=False, allow_unicode=True)
    assert read_yaml(shown.encode()).catalogue() == parse_catalogue(SMALL)


@pytest.mark.parametrize(
    ("old", "new", "line", "pointer", "words"),
    [
        ('"21:00"', "21:00", 8, "/channels/sms/quiet_hours/from", "21:00 as a number: put it in quotes"),
        ('"08:00"', "08:0", 8, "/channels/sms/quiet_hours/to", "HH:MM"),
        ('version: "1"', "version: 1", 14, "/notices/0/version", "put it in quotes"),
        ('version: "1"', "version: 1.0", 14, "/notices/0/version", "1.0 as a number with a fraction"),
        ('version: "1"', "version: 2026-01-31", 14, "/notices/0/version", "2026-01-31 as a date"),
        ("name: everything", "name: on", 4, "/levels/1/name", "on as true or false"),
        ("name: everything", "name: null", 4, "/levels/1/name", "string"),
        ("mode: open}", "mode: open, mode: silent}", 4, "/levels/1/mode", "twice: on line 4"),
        ("  offers:", "  no:", 10, "/topics/no", "the name no is no string"),
        ("  offers:", "  1:", 10, "/topics/1", "the name 1 is no string"),
        ("  offers:", "  <<:", 10, "/topics/<<", "the name << is no string"),
        ("  offers:", "  [offers]:", 9, "/topics", "cannot be a name"),
        ("basis: consent", "basis: !!binary aGk=", 11, "/topics/offers/basis", "tag"),
        ("basis: consent", "basis: &b consent\n    label: *b", 12, "", "aliases (*b)"),
        ("time_zone: Europe/London", "time_zone: Europe/Londno", 1, "/time_zone", "no such time zone"),
        (
            "notices:",
            "  offers:\n    basis: contract\nnotices:",
            10,
            "/topics/offers",
            "on line 10 and on line 12",
        ),
        ("notices:", "...\n---\nnotices:", 13, "", "second document"),
        ("basis: consent", "basis: @consent", 11, "", "not YAML"),
        ("basis: consent", "basis: cons\x00ent", 1, "", "not YAML"),
    ],
)
def test_a_fault_names_its_line_and_place(old: str, new: str, line: int, pointer: str, words: str) -> None:
    assert old in FILE
    found = faults(FILE.replace(old, new))
    assert len([one for one in found if one[:2] == (line, pointer) and words in one[2]]) == 1


def test_a_misread_value_is_told_once() -> None:
    assert len(faults(FILE.replace('"21:00"', "21:00"))) == 1


def test_faults_stand_in_the_order_of_the_file() -> None:
    text = FILE.replace("consent", "hope").replace("phone", "fax").replace('"08:00"', "20:00")
    assert [line for line, _, _ in faults(text)] == [7, 8, 11]


def test_a_missing_field_is_told_at_the_line_of_what_lacks_it() -> None:
    assert faults(FILE.replace("    identifier: phone\n", ""))[0][:2] == (6, "/channels/sms/identifier")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"# nothing\n",
        b"\xff\xfe",
        "time_zone: é".encode("utf-16"),
        b"[" * 5000,
        b"{" * 17 + b"}" * 17,
        b"a: [",
        b"- x",
    ],
    ids=["empty", "a comment", "no UTF-8", "UTF-16", "open brackets", "17 deep", "cut off", "a list"],
)
def test_what_cannot_be_read_is_one_clear_fault(data: bytes) -> None:
    assert len(faults(data)) == 1


def test_a_bomb_of_aliases_is_refused_before_it_unfolds() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert "aliases" in faults("\n".join(lines))[0][2]


def test_a_file_over_the_limit_is_not_parsed() -> None:
    assert "larger" in faults(b"#" * (LARGEST_FILE_BYTES + 1))[0][2]


@pytest.mark.parametrize("number", ["010", "0x10", "1_000", "+1", "9" * 5000, ".inf", "1e400", "1:30"])
def test_numbers_are_plain_decimal(number: str) -> None:
    level = f"{{name: weekly, mode: capped, contacts: {number}, per: P7D}}"
    found = faults(FILE.replace("  - {name: everything", f"  - {level}\n  - {{name: everything"))
    assert [one[:2] for one in found] == [(4, "/levels/1/contacts")]
