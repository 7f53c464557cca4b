"""The mutators change code, one place at a time, and leave words alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from consent_service.permissions import store
from tests.mutants import around, decision, rendering
from tests.mutants.decision import walk
from tests.mutants.loading import put_in_place
from tests.mutants.python import python_mutants
from tests.mutants.reasons import reasons
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
    assert set(reasons(decision.LISTED)) - names == set()


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


ACTING = '''
LIMIT = 3

class Asked:
    """A question."""

    def __init__(self, *, size: int = 1) -> None:
        self.size = size

    @property
    def fits(self) -> bool:
        return self.size < LIMIT

def ask(size: int) -> list[int]:
    found = []
    for one in zip(range(size), range(size), strict=True):
        if not Asked(size=one[0]).fits:
            continue
        found.append(one[0])
    if size:
        return found
    raise ValueError("nothing is asked")
'''


def test_what_is_done_is_left_out_and_sentences_stay() -> None:
    made = {one.name: one for one in python_mutants(ACTING, "m")}
    begins = {name: one.function for name, one in made.items() if name.startswith(("m: dropped", "m: size= dropped"))}
    assert begins == {
        "m: dropped in: ask: continue": "ask",
        "m: dropped in: ask: found.append(one[0])": "ask",
        'm: dropped in: ask: raise ValueError("nothing is asked")': "ask",
        "m: size= dropped in: ask: if not Asked(size=one[0]).fits:": "ask",
    }
    assert "m: negated in: ask: if size:" in made
    assert made["m: Lt → LtE in: Asked.fits: return self.size < LIMIT"].function == "Asked.fits"
    assert made["m: 1 → 2 in: Asked.__init__: def __init__(self, *, size: int = 1) -> None:"].function == ""
    assert made["m: 3 → 4 in: LIMIT = 3"].function == ""
    assert not any("asked →" in name or "strict" in name.split(" in: ")[0] for name in made)


def test_a_mutants_name_does_not_depend_on_what_stands_elsewhere() -> None:
    more = ACTING.replace("class Asked", "def before(size: int) -> bool:\n    return size < LIMIT\n\nclass Asked")
    names, after = ([one.name for one in python_mutants(text, "m")] for text in (ACTING, more))
    assert set(names) < set(after)
    assert len(set(after)) == len(after)


def test_a_changed_function_runs_for_everybody_who_has_it(tmp_path: Path) -> None:
    file = tmp_path / "acting.py"
    file.write_text(ACTING, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("acting", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    ask = module.ask
    assert ask(5) == [0, 1, 2]
    made = {one.name: one for one in python_mutants(ACTING, "m")}
    put_in_place(made["m: Lt → LtE in: Asked.fits: return self.size < LIMIT"], module)
    assert ask(5) == [0, 1, 2, 3]
    put_in_place(made["m: dropped in: ask: found.append(one[0])"], module)
    assert ask(5) == []


def test_every_reason_belongs_to_a_mutant_around_the_decision() -> None:
    names = {
        one.name
        for file in around.FILES
        for one in python_mutants((around.TOP / file).read_text(encoding="utf-8"), around.prefix(file))
    }
    assert len(names) > 700
    assert set(reasons(around.LISTED)) - names == set()


def test_every_reason_belongs_to_a_mutant_of_the_rendering() -> None:
    names = {one.name for one in python_mutants(Path(str(rules.__file__)).read_text(encoding="utf-8"), "rules")}
    assert set(reasons(rendering.LISTED)) - names == set()
