"""Made-up people whose every name is a word that stands nowhere else, and the search for those words.

Whatever a client may send is marked: names, reasons, campaigns, headers, paths. Found anywhere but in an answer
to whoever asked, a mark says that something of a person got out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Marks:
    """One set of marks; another set for each round, so that rounds are told apart.

    Args:
        word: seven letters and digits.
        digits: the last nine of a British number that is kept free for stories.
    """

    word: str
    digits: str

    @property
    def email(self) -> str:
        return f"{self.word}.person@{self.word}.example"

    @property
    def references(self) -> list[str]:
        """References to the person, one of each kind."""
        return [
            f"email:{self.email}",
            f"phone:+447{self.digits}",
            f"postal:7 {self.word} Street, Town",
            f"loyalty:{self.word}634004",
        ]

    @property
    def locale(self) -> str:
        return f"en-x-{self.word}"

    @property
    def pattern(self) -> re.Pattern[bytes]:
        """Finds a mark however it is written: as it is, in any case, as digits of bytes, percent-encoded."""
        words = [self.word.encode(), self.digits.encode()]
        forms = [form for word in words for form in (re.escape(word), word.hex().encode())]
        return re.compile(b"|".join(forms), re.IGNORECASE)


def hits(pattern: re.Pattern[bytes], data: bytes) -> list[bytes]:
    """What was found, with what stands around it."""
    return [data[max(0, one.start() - 120) : one.end() + 120] for one in pattern.finditer(data)]


def hits_in_files(pattern: re.Pattern[bytes], folders: Iterable[Path], *, spared: Iterable[Path] = ()) -> list[str]:
    """Names of files below the folders that hold a mark in their name or content; `spared` ones are not opened."""
    left_out = {path.resolve() for path in spared}
    found = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.resolve() in left_out or any(parent in left_out for parent in path.resolve().parents):
                continue
            if pattern.search(str(path).encode()) or (path.is_file() and pattern.search(path.read_bytes())):
                found.append(str(path))
    return found
