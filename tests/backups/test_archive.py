"""A backup's file appears whole or not at all, and says whether it still is."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from consent_service.backups.archive import BackupError, Facts, new_file, read_facts, seal

FACTS = Facts(made_at="2026-11-24T11:00:00Z", schema="0006_keys")
CONTENT = b"PGDMP" + bytes(range(256)) * 40


def write(path: Path, *, overwrite: bool = False, meanwhile: Callable[[], object] = lambda: None) -> None:
    with new_file(path, overwrite=overwrite) as file:
        file.write(CONTENT)
        meanwhile()
        seal(file, FACTS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "night.backup"


def test_a_whole_file_says_what_it_is_and_is_private(path: Path) -> None:
    write(path)
    assert read_facts(path) == FACTS
    assert path.read_bytes().startswith(CONTENT)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_an_existing_file_stays_unless_told_otherwise(path: Path) -> None:
    path.write_text("last year's")
    path.chmod(0o644)
    with pytest.raises(BackupError, match="--force"):
        write(path)
    assert path.read_text() == "last year's"
    write(path, overwrite=True)
    assert read_facts(path) == FACTS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_appears_meanwhile_stays(path: Path) -> None:
    with pytest.raises(BackupError, match="--force"):
        write(path, meanwhile=lambda: path.write_text("somebody else's"))
    assert [one.read_text() for one in path.parent.iterdir()] == ["somebody else's"]


def test_a_failure_in_the_middle_leaves_the_old_file_and_nothing_else(path: Path) -> None:
    path.write_text("last night's")

    def break_off() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(path, overwrite=True, meanwhile=break_off)
    assert [one.read_text() for one in path.parent.iterdir()] == ["last night's"]


def test_what_a_killed_process_left_is_taken_over(path: Path) -> None:
    path.with_name("night.backup.part").write_bytes(b"x" * 100_000)
    write(path)
    assert read_facts(path) == FACTS
    assert list(path.parent.iterdir()) == [path]


def test_two_writers_of_one_file_do_not_mix(path: Path) -> None:
    with path.with_name("night.backup.part").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write(b"theirs")
        with pytest.raises(BackupError, match="another process"):
            write(path)
    assert path.with_name("night.backup.part").read_bytes() == b"theirs"


def test_a_device_or_a_link_is_not_replaced(path: Path) -> None:
    path.symlink_to(os.devnull)
    with pytest.raises(BackupError, match="not a file"):
        write(path, overwrite=True)
    assert path.is_symlink()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "a last line cut in the middle": lambda whole: whole[:-20],
    "no last line": lambda whole: whole[: len(CONTENT)],
    "bytes missing in the middle": lambda whole: whole[:500] + whole[600:],
    "one bit flipped": lambda whole: whole[:500] + bytes([whole[500] ^ 1]) + whole[501:],
    "bytes added before the last line": lambda whole: whole[: len(CONTENT)] + b"!" + whole[len(CONTENT) :],
    "bytes added at the end": lambda whole: whole + b"!",
    "a last line that is no JSON": lambda whole: whole.replace(b'{"', b"{'"),
    "a last line that lacks something": lambda whole: whole.replace(b'"schema"', b'"schemas"'),
    "another file": lambda _: b"PGDMP and then nothing that we wrote" * 100,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_refused_in_one_line(path: Path, damage: Callable[[bytes], bytes]) -> None:
    write(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BackupError) as refused:
        read_facts(path)
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)
