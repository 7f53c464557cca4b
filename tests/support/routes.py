"""Each URL rule is compiled once a process, not once for every application that a test makes.

To write, parse and compile the function that builds a rule's URL is most of what making an application costs. That
function gets the rule that it is called for, and knows nothing but the rule's own text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from werkzeug.routing import Rule

Builder = Callable[..., tuple[str, str]]


def remember_rules() -> None:
    """From now on, and for the whole process."""
    compile_builder: Callable[[Any, bool], Builder] = Rule._compile_builder
    known: dict[object, Builder] = {}

    def remembered(rule: Any, append_unknown: bool = True) -> Builder:
        if rule.defaults:
            return compile_builder(rule, append_unknown)
        key = rule.rule, tuple(rule._trace), append_unknown
        if key not in known:
            known[key] = compile_builder(rule, append_unknown)
        return known[key]

    Rule._compile_builder = remembered  # type: ignore[method-assign]
