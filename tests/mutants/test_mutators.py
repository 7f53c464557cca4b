"""The mutators change code, one place at a time, and leave words alone."""

from __future__ import annotations

from pathlib import Path

from consent_service.permissions import store
from tests.mutants.decision import reasons, walk
from tests.mutants.python import python_mutants
from tests.mutants.rendering import LISTED
from tests.mutants.sql import mutants
from tests.support import rules

STATEMENT = """-- a > b in a comment, AND more
SELECT x
FROM t
WHERE t.a >= 3 -- or 4
  AND (t.b = 'x > y' OR t.c IS NULL)
"""


def test_each_mutant_has_one_change_and_a_name_of_its_own() -> None:
    made = {one.name: one.text for one in mutants(STATEMENT, "s")}
    assert len(made) == len(set(made.values())) == 8
    assert all(text.count("a > b in a comment, AND more") == 1 for text in made.values())
    assert any("t.a > 3" in text for text in made.values())
    assert any("t.a >= 4 " in text for text in made.values())
    assert any("t.c IS NOT NULL" in text for text in made.values())
    assert any("'no such'" in text for text in made.values())
    assert any("t.b" not in text for text in made.values())


def test_every_reason_belongs_to_a_mutant_that_can_be_made() -> None:
    names = {one.name for one in (*mutants(str(store.DECIDE), "decide"), *mutants(walk(), "quiet_until"))}
    assert len(names) > 300
    assert set(reasons()) - names == set()


MODULE = '''"""Words for readers: 1 < 2."""
def f(x: int = 3) -> bool:
    """More words."""
    return not (x > 4 and x in (5, 6))
'''


def test_each_change_of_a_module_is_one_that_can_be_told() -> None:
    made = list(python_mutants(MODULE, "m"))
    assert len({one.name for one in made}) == len(made) == 8
    answers = [tuple(one.module().f(x) for x in (3, 4, 5, 6, 7)) for one in made]
    assert len(set(answers)) >= 5


def test_every_reason_belongs_to_a_mutant_of_the_rendering() -> None:
    names = {one.name for one in python_mutants(Path(str(rules.__file__)).read_text(encoding="utf-8"), "rules")}
    assert set(reasons(LISTED)) - names == set()
