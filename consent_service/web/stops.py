"""The stops of a dial as HTML. A desk has hundreds, and half of the time of its page would be spent on drawing them.

Only the macro `dial` of `parts.html` calls it; how a dial looks is said there and in `pages.css`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from markupsafe import Markup, escape

MOST_KEPT = 4096  # stops of catalogues in all languages; they say nothing of a customer


def stops(name: str, levels: Iterable[tuple[str, ...]], chosen: str, saved: str | None) -> Markup:
    """A radio button for each level.

    Args:
        levels: (value, label, meaning, language), quietest first; meaning and language may be empty or left out.
    """
    field, drawn = escape(name), []
    for level in levels:
        language, rest = _stop(*level)
        marks = " class=saved" if level[0] == saved else "", " checked" if level[0] == chosen else ""
        drawn.append(f'\n<label{marks[0]}{language}><input type=radio name="{field}"{marks[1]} {rest}')
    return Markup("".join(drawn))  # noqa: S704  (all of it was escaped)


@lru_cache(MOST_KEPT)
def _stop(value: str, label: str, meaning: str = "", language: str = "") -> tuple[Markup, Markup]:
    """What a stop's label says of its language, and what follows its name: the same for many dials."""
    told = Markup(" <small>{}</small>").format(meaning) if meaning else Markup()
    spoken = Markup(' lang="{}"').format(language) if language else Markup()
    return spoken, Markup('value="{}"><b>{}</b>{}</label>').format(value, label, told)
