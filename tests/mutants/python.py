"""Makes mutants of a Python module: one small change of its syntax tree each. It knows no rule of the decision."""

from __future__ import annotations

import ast
import copy
import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
    """One changed module; `name` stays the same while the line does."""

    name: str
    tree: ast.Module

    def module(self) -> ModuleType:
        """The changed module, imported. Raises: whatever its import raises."""
        made = ModuleType(f"mutant_{next(_numbers)}")
        sys.modules[made.__name__] = made  # dataclasses look there
        exec(compile(ast.fix_missing_locations(self.tree), made.__name__, "exec"), made.__dict__)  # noqa: S102
        return made


def python_mutants(source: str, prefix: str) -> Iterator[PythonMutant]:
    """All mutants of a module, in the order of its nodes."""
    tree = ast.parse(source)
    lines = source.splitlines()
    skipped = _words_for_readers(tree)
    seen: dict[str, int] = {}
    for place, node in enumerate(ast.walk(tree)):
        if id(node) in skipped:
            continue
        for number, (kind, _) in enumerate(_changes(node)):
            changed = copy.deepcopy(tree)
            found = next(itertools.islice(ast.walk(changed), place, None))
            _changes(found)[number][1](found)
            line = " ".join(lines[getattr(node, "lineno", 1) - 1].split())
            name = f"{prefix}: {kind} in: {line[:110]}"
            seen[name] = seen.get(name, 0) + 1
            yield PythonMutant(name if seen[name] == 1 else f"{name} (number {seen[name]})", changed)


def _words_for_readers(tree: ast.Module) -> set[int]:
    """Docstrings, annotations and decorators: changing them changes nothing that is asked."""
    found: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        parts += getattr(node, "decorator_list", [])
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts.append(node.value)
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
    if isinstance(node, ast.IfExp):
        return [("branches swapped", _swap_branches)]
    if isinstance(node, (ast.UnaryOp,)) and isinstance(node.op, ast.Not):
        return [("not dropped", lambda one: setattr(one, "operand", ast.UnaryOp(ast.Not(), one.operand)))]
    if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        return [
            (f"condition {place + 1} dropped", lambda one, place=place: one.generators[0].ifs.pop(place))
            for place in range(len(node.generators[0].ifs))
        ]
    return []


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
