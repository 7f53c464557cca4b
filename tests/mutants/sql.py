"""Makes mutants of a SQL statement: one small change each, at a place that is code and not comment or text.

It knows no rule of the decision. A mutant that the database does not accept is stillborn and counts for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_HIDDEN = re.compile(r"--[^\n]*|'(?:[^']|'')*'|%\(\w+\)s(?:::[a-z]+(?:\[\])?)?")

# What is found, what stands in its place. Patterns meet code only.
_SWAPS: tuple[tuple[str, str, str], ...] = (
    (r"(?<![<>=:-])>=", ">", "edge"),
    (r"(?<![<>=:-])<=", "<", "edge"),
    (r"(?<![<>=:|-])>(?![=>])", ">=", "edge"),
    (r"(?<![<>=:|-])<(?![=>])", "<=", "edge"),
    (r"(?<![<>=:|-])>(?![=>])", "<", "direction"),
    (r"(?<![<>=:|-])<(?![=>])", ">", "direction"),
    (r"(?<![<>=:])=(?![>])", "<>", "negated"),
    (r"<>", "=", "negated"),
    (r"\bAND\b", "OR", "and/or"),
    (r"\bOR\b", "AND", "and/or"),
    (r"\bIS NULL\b", "IS NOT NULL", "negated"),
    (r"\bIS NOT NULL\b", "IS NULL", "negated"),
    (r"\bNOT (?!NULL)", "", "negated"),
    (r"\bNOT IN\b", "IN", "negated"),
    (r"\btrue\b", "false", "constant"),
    (r"\bfalse\b", "true", "constant"),
    (r"\bmin\(", "max(", "other end"),
    (r"\bmax\(", "min(", "other end"),
    (r"\bGREATEST\(", "LEAST(", "other end"),
    (r"\bbool_or\(", "bool_and(", "other end"),
    (r"\bDESC\b", "ASC", "order"),
    (r" \+ ", " - ", "sign"),
    (r" - ", " + ", "sign"),
    (r"&&", "@>", "overlap"),
)
_NUMBER = re.compile(r"(?<![\w$.])\d+(?![\w.])")
_PREDICATE = re.compile(r"^ *(?:AND|OR) [^\n]*$", re.MULTILINE)
_BRANCH = re.compile(r"^ *WHEN [^\n]* THEN [^\n]*$", re.MULTILINE)
_UNION = re.compile(r"^ *UNION ALL\n(?: *--[^\n]*\n)*(.*?)(?=^ *UNION ALL$|^ *\) \w+$)", re.MULTILINE | re.DOTALL)
_TEXT_COMPARED = re.compile(r"(?:=|<>) ('(?:[^']|'')*')")


@dataclass(frozen=True)
class Mutant:
    """One changed statement.

    Args:
        name: what was done and where, in words that stay the same while the line does: it names the mutant in
            the list of those that may live.
    """

    name: str
    text: str


def mutants(source: str, prefix: str) -> Iterator[Mutant]:
    """All mutants of a statement, in the order of their kinds and places."""
    seen: dict[str, int] = {}

    def made(kind: str, begin: int, end: int, after: str) -> Mutant:
        line = " ".join(source[source.rfind("\n", 0, begin) + 1 :].split("\n", 1)[0].split())
        where = f"{prefix}: {kind}: {' '.join(source[begin:end].split())[:60]} → {after or 'nothing'} in: {line[:110]}"
        seen[where] = seen.get(where, 0) + 1
        name = where if seen[where] == 1 else f"{where} (number {seen[where]})"
        return Mutant(name, source[:begin] + after + source[end:])

    code = _HIDDEN.sub(lambda found: "\x00" * len(found[0]), source)
    for pattern, after, kind in _SWAPS:
        for found in re.finditer(pattern, code):
            yield made(kind, found.start(), found.end(), after)
    for found in _NUMBER.finditer(code):
        yield made("constant", found.start(), found.end(), str(int(found[0]) + 1))
    for kind, lines in (("dropped", _PREDICATE), ("dropped", _BRANCH)):
        for found in lines.finditer(source):
            if found[0].count("(") == found[0].count(")") and code[found.start() : found.end()].strip("\x00 "):
                yield made(kind, found.start(), found.end(), "")
    for found in _UNION.finditer(source):
        if found[1].count("(") == found[1].count(")"):
            yield made("dropped branch", found.start(), found.end(), "")
    for found in _TEXT_COMPARED.finditer(source):
        if code[found.start(1)] == "\x00" and not source[: found.start()].rpartition("\n")[2].lstrip().startswith("--"):
            yield made("constant", found.start(1), found.end(1), "'no such'")
