"""The mutator changes code, one place at a time, and leaves words alone."""

from __future__ import annotations

from consent_service.permissions import store
from tests.mutants.decision import reasons, walk
from tests.mutants.sql import mutants

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
