"""Writes what was measured into docs/performance.md, between its two marks; the prose around them is by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.rounds import Figure
from benchmarks.table import Bar, judged, number

BEGIN = "<!-- Written by the benchmark, from here … -->"
END = "<!-- … to here. -->"


def write(
    path: Path,
    machine: Sequence[tuple[str, str]],
    figures: Sequence[Figure],
    bars: Sequence[Bar],
    insights: Mapping[str, Sequence[str]],
    rounds: int,
) -> None:
    """Replaces what stands between the marks.

    Raises:
        ValueError: the page has no marks.
    """
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} lacks the marks {BEGIN} and {END}")
    lines = [*_machine(machine), *_bars(figures, bars), *_figures(figures, rounds), *_insights(insights)]
    path.write_text(f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")


def _machine(machine: Sequence[tuple[str, str]]) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {label} | {text} |" for label, text in machine), ""]


def _bars(figures: Sequence[Figure], bars: Sequence[Bar]) -> list[str]:
    rows = [
        f"| {bar.text} | {number(found)} | {bar.limit} | {bar.judged(found).lower()} |"
        for bar, found in judged(figures, bars)
    ]
    return ["### Bars", "", "| what | found | bar | |", "|---|---:|---|---|", *rows, ""]


def _figures(figures: Sequence[Figure], rounds: int) -> list[str]:
    medians = {figure.name: figure.median for figure in figures}
    lines = [f"### Figures (median of {rounds} rounds)", "",
             "| what | median | of its floor | lowest … highest | |", "|---|---:|---:|---|---|"]  # fmt: skip
    for figure in figures:
        floor = medians.get(figure.floor or "")
        ratio = f"{figure.median / floor:.2f}" if floor else ""
        spread = f"{number(min(figure.values))} … {number(max(figure.values))}"
        lines.append(f"| {figure.name} | {number(figure.median)} {figure.unit} | {ratio} | {spread} | {figure.note} |")
    return [*lines, ""]


def _insights(insights: Mapping[str, Sequence[str]]) -> list[str]:
    titles = {"time": "Where the time goes", "plans": "How the statements run"}
    lines = []
    for name, said in insights.items():
        lines += [f"### {titles[name]}", "", "```text", *_trimmed(said), "```", ""]
    return lines


def _trimmed(lines: Sequence[str]) -> list[str]:
    return "\n".join(lines).strip("\n").split("\n")
