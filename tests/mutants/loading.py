"""Puts a mutant of a module in the module's place, in this process: for a child that ends after it.

A change within a function becomes that function's code, so that everybody who has the function runs it. Any other
change is read when modules are imported: then all of ours are forgotten and imported anew, the changed one as changed.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, FunctionType, ModuleType
from typing import Any

from tests.mutants.python import PythonMutant

OURS = ("consent_service", "tests")


def put_in_place(mutant: PythonMutant, module: ModuleType) -> None:
    """The mutant's function instead of the module's."""
    code = compile(mutant.tree, str(module.__file__), "exec")
    [changed] = [one for one in _functions(code) if one.co_qualname == mutant.function]
    found: Any = module
    for name in mutant.function.split("."):
        found = vars(found)[name]
    if isinstance(found, (classmethod, staticmethod)):
        found = found.__func__
    if isinstance(found, property):
        found = found.fget
    assert isinstance(found, FunctionType), mutant.function
    found.__code__ = changed


def _functions(code: CodeType) -> Iterator[CodeType]:
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield one
            yield from _functions(one)


def import_instead(mutant: PythonMutant, name: str, path: str) -> None:
    """From now on whoever imports anything of ours gets it fresh, and the mutant for the module of this name."""
    sys.meta_path.insert(0, _Finder(name, path, mutant))
    for known in list(sys.modules):
        if known.split(".")[0] in OURS:
            del sys.modules[known]


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, mutant: PythonMutant) -> None:
        super().__init__(name, path)
        self.mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.mutant.tree, self.get_filename(fullname), "exec")


class _Finder(MetaPathFinder):
    def __init__(self, name: str, path: str, mutant: PythonMutant) -> None:
        self.name, self.loader = name, _Loader(name, path, mutant)

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.loader.path, loader=self.loader)
