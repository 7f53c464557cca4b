"""Figures as people read them: a table of medians, ratios and spread, and the bars beside what was found.

Information only: nothing here fails a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.parts import OPEN_RATE, PAGE_RATE
from benchmarks.rounds import Figure


@dataclass(frozen=True)
class Bar:
    """What is wanted of a figure, or of its ratio to its floor."""

    text: str
    figure: str
    least: float | None = None
    most: float | None = None
    aim: float | None = None
    of_floor: bool = False

    @property
    def limit(self) -> str:
        """The bar in words."""
        limit = f"≥ {self.least:,g}" if self.least is not None else f"≤ {self.most:,g}"
        return limit + (f", aim {self.aim:,g}" if self.aim is not None else "")

    def judged(self, found: float) -> str:
        """met, aim met, or missed."""
        if self.least is not None:
            reached = found >= self.least, self.aim is not None and found >= self.aim
        else:
            assert self.most is not None
            reached = found <= self.most, self.aim is not None and found <= self.aim
        return "aim met" if reached[1] else "met" if reached[0] else "MISSED"


BARS = (
    Bar("whole-stack check of the empty route", "check", least=0.30, aim=0.5, of_floor=True),
    Bar("500 checks/s, p50 in ms", f"check at {OPEN_RATE}/s, p50", most=5),
    Bar("500 checks/s, p95 in ms", f"check at {OPEN_RATE}/s, p95", most=15),
    Bar("500 checks/s, p99 in ms", f"check at {OPEN_RATE}/s, p99", most=30),
    Bar("decisions/s in batches of 1,000", "decisions in batches of 1,000", least=20_000, aim=40_000),
    Bar("ask and record /s, durable", "ask and record", least=800, aim=1500),
    Bar("100 desk pages/s, p95 in ms", f"desk page at {PAGE_RATE}/s, p95", most=50),
    Bar("one hot customer /s", "ask and record, one hot customer, granted", least=300),
)


def growth_bar(smaller: int, customers: int) -> Bar:
    """How much slower many customers may be than few."""
    name = f"check at {OPEN_RATE}/s of {customers:,}, p95"
    return Bar(f"p95 at {customers:,} of that at {smaller:,}", name, most=1.5, of_floor=True)


def figures_text(figures: Sequence[Figure]) -> list[str]:
    """A line per figure: name, median, ratio to its floor, spread, note."""
    medians = {figure.name: figure.median for figure in figures}
    lines = []
    for figure in figures:
        floor = medians.get(figure.floor or "")
        ratio = f"{figure.median / floor:6.2f} ×" if floor else " " * 8
        spread = f"{number(min(figure.values))} … {number(max(figure.values))}"
        found = f"{number(figure.median):>9} {figure.unit:<2}"
        lines.append(f"{figure.name:<52} {found} {ratio}  [{spread}]  {figure.note}".rstrip())
    return lines


def bars_text(figures: Sequence[Figure], bars: Sequence[Bar]) -> list[str]:
    """A line per bar that these figures say something about."""
    lines = []
    for bar, found in judged(figures, bars):
        lines.append(f"{bar.text:<44} {number(found):>9}   {bar.limit:<24} {bar.judged(found)}")
    return lines


def judged(figures: Sequence[Figure], bars: Sequence[Bar]) -> list[tuple[Bar, float]]:
    """The bars with what was found; those without a figure are left out."""
    by_name: Mapping[str, Figure] = {figure.name: figure for figure in figures}
    found = []
    for bar in bars:
        figure = by_name.get(bar.figure)
        if figure is None:
            continue
        value = figure.median
        if bar.of_floor:
            value /= by_name[figure.floor or ""].median or float("inf")
        found.append((bar, value))
    return found


def number(value: float) -> str:
    """A figure with as many digits as it deserves."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
