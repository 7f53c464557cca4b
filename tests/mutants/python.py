"""Makes mutants of a Python module: one small change of its syntax tree each. It knows no rule of the decision.

Words for readers stay as they are: docstrings, annotations, decorators without arguments, and texts with a space.
"""

from __future__ import annotations

import ast
import copy
import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_CALLED = {"min": "max", "max": "min", "any": "all", "all": "any"}
_numbers = itertools.count(1)

Change = tuple[str, Callable[[Any], None]]


@dataclass(frozen=True)
class PythonMutant:
    """One changed module.

    Args:
        name: what was done and where: it stays the same while the line and the function around it do.
        function: the outermost function or method around the change, "" when it is in none's body.
        lines: first and last line of the statement (of a compound one: its head) that is changed.
    """

    name: str
    function: str
    lines: tuple[int, int]
    _source: ast.Module = field(repr=False)
    _node: int
    _change: int

    @property
    def tree(self) -> ast.Module:
        """The changed tree, made anew."""
        changed = copy.deepcopy(self._source)
        found = next(itertools.islice(ast.walk(changed), self._node, None))
        _changes(found)[self._change][1](found)
        return ast.fix_missing_locations(changed)

    def module(self) -> ModuleType:
        """The changed module, imported. Raises: whatever its import raises."""
        made = ModuleType(f"mutant_{next(_numbers)}")
        sys.modules[made.__name__] = made  # dataclasses look there
        exec(compile(self.tree, made.__name__, "exec"), made.__dict__)  # noqa: S102
        return made


def python_mutants(source: str, prefix: str) -> Iterator[PythonMutant]:
    """All mutants of a module, in the order of its nodes."""
    tree = ast.parse(source)
    lines = source.splitlines()
    skipped = _words_for_readers(tree)
    places = _places(tree)
    seen: dict[str, int] = {}
    for place, node in enumerate(ast.walk(tree)):
        if id(node) in skipped:
            continue
        for number, (kind, _) in enumerate(_changes(node)):
            where = places[id(node)]
            line = " ".join(lines[getattr(node, "lineno", 1) - 1].split())
            name = f"{prefix}: {kind} in: {f'{where.scope}: ' if where.scope else ''}{line[:110]}"
            seen[name] = seen.get(name, 0) + 1
            name = name if seen[name] == 1 else f"{name} (number {seen[name]})"
            yield PythonMutant(name, where.function, where.lines, tree, place, number)


@dataclass(frozen=True)
class _Place:
    """Where a node stands; `scope` names the functions and classes around it."""

    scope: str = ""
    function: str = ""
    lines: tuple[int, int] = (1, 1)


def _places(tree: ast.Module) -> dict[int, _Place]:
    """The place of each node, by the node's id."""
    found: dict[int, _Place] = {}

    def visit(node: ast.AST, at: _Place) -> None:
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            at = replace(at, lines=(node.lineno, max(node.lineno, last)))
        found[id(node)] = at
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            for child in ast.iter_child_nodes(node):
                visit(child, at)
            return
        scope = f"{at.scope}.{node.name}".strip(".")
        inner = replace(at, scope=scope)
        for child in ast.iter_child_nodes(node):
            inside = isinstance(node, ast.FunctionDef) and child in node.body and not at.function
            visit(child, replace(inner, function=scope) if inside else inner)

    visit(tree, _Place())
    return found


def _words_for_readers(tree: ast.Module) -> set[int]:
    """Docstrings, annotations, decorators and sentences: changing them changes nothing that is asked."""
    found: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        parts += getattr(node, "decorator_list", [])
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts.append(node)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            parts.append(node)
        # zip(strict=True) says what holds already.
        if isinstance(node, ast.ImportFrom) or (isinstance(node, ast.keyword) and node.arg == "strict"):
            parts.append(node)
        for part in parts:
            if part is not None:
                found |= {id(one) for one in ast.walk(part)}
    return found


def _changes(node: ast.AST) -> list[Change]:
    """(what is done, how) for one node."""
    if isinstance(node, ast.Compare):
        return [_compared(place, type(op)) for place, op in enumerate(node.ops) if type(op) in _COMPARED]
    if isinstance(node, ast.BoolOp):
        other: type[ast.boolop] = ast.Or if isinstance(node.op, ast.And) else ast.And
        return [(f"{type(node.op).__name__} → {other.__name__}", lambda one: setattr(one, "op", other()))]
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        sign: type[ast.operator] = ast.Sub if isinstance(node.op, ast.Add) else ast.Add
        return [(f"{type(node.op).__name__} → {sign.__name__}", lambda one: setattr(one, "op", sign()))]
    if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, str)):
        return [_constant(node.value)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLED:
        called = _CALLED[node.func.id]
        return [(f"{node.func.id} → {called}", lambda one: setattr(one.func, "id", called))]
    if isinstance(node, ast.Call):
        return [
            (f"{keyword.arg}= dropped", lambda one, place=place: one.keywords.pop(place))
            for place, keyword in enumerate(node.keywords)
            if keyword.arg and keyword.arg != "strict"
        ]
    if isinstance(node, ast.IfExp):
        return [("branches swapped", _swap_branches)]
    if isinstance(node, ast.If) and not isinstance(node.test, (ast.Compare, ast.BoolOp, ast.UnaryOp)):
        return [("negated", lambda one: setattr(one, "test", ast.UnaryOp(ast.Not(), one.test)))]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return [("not dropped", lambda one: setattr(one, "operand", ast.UnaryOp(ast.Not(), one.operand)))]
    if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        return [
            (f"condition {place + 1} dropped", lambda one, place=place: one.generators[0].ifs.pop(place))
            for place in range(len(node.generators[0].ifs))
        ]
    return _dropped(node)


def _dropped(node: ast.AST) -> list[Change]:
    """A statement that does something is left out: a call for its effect, an error, the end of a round."""
    if isinstance(node, (ast.Raise, ast.Continue)) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return [("dropped", _pass)]
    return []


def _pass(one: ast.stmt) -> None:
    """Makes a statement one without effect, in its place."""
    one.__class__ = ast.Expr  # type: ignore[assignment]
    one.value = ast.Constant(None)  # type: ignore[attr-defined]


def _compared(place: int, kind: type[ast.cmpop]) -> Change:
    other = _COMPARED[kind]

    def change(one: ast.Compare) -> None:
        one.ops[place] = other()

    return f"{kind.__name__} → {other.__name__}", change


def _constant(value: bool | int | str) -> Change:
    added: int | str = f"no {value}" if isinstance(value, str) else value + 1
    other = not value if isinstance(value, bool) else added
    return f"{value!r} → {other!r}", lambda one: setattr(one, "value", other)


def _swap_branches(one: ast.IfExp) -> None:
    one.body, one.orelse = one.orelse, one.body
