"""How fast is asking? Figures beside floors of the same run, and the bars. Information, no verdict: it ends with 0.

Run by `make bench`. Starts its own durable PostgreSQL, seeds it, starts the service and an empty route on 127.0.0.1,
measures them in turn, and ends what it started.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from benchmarks import bare_sql, machine, page, requests, table
from benchmarks.insight import INSIGHTS
from benchmarks.parts import PARTS
from benchmarks.rounds import Figure, Run
from benchmarks.world import World, empty_service, service, world

EVERYTHING = [*PARTS, *INSIGHTS]
WARMED = 200_000  # customers; their pages hold most of all others too


@click.command()
@click.option("--customers", default=1_000_000, show_default=True, help="How many customers are seeded.")
@click.option("--smaller", default=100_000, show_default=True, help="The size that growth is measured against.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Keep the seeded databases here. [default: nowhere]")
@click.option("--only", default="", help=f"Some parts, with commas between: {', '.join(EVERYTHING)}.")
@click.option("--rounds", default=5, show_default=True, help="Of each figure and its floor, in turn.")
@click.option("--seconds", default=5.0, show_default=True, help="Of one measurement.")
@click.option("--workers", default=2, show_default=True, help="Web workers of the service and of the empty route.")
@click.option("--seed", default=1, show_default=True, help="Which customers are made up.")
@click.option(
    "--requests", "taken_apart", default=400, show_default=True, help="How many of each kind are taken apart."
)
@click.option("--write", type=click.Path(path_type=Path, exists=True), help="A page to write the figures into.")
def main(
    customers: int,
    smaller: int,
    data_dir: Path | None,
    only: str,
    rounds: int,
    seconds: float,
    workers: int,
    seed: int,
    taken_apart: int,
    write: Path | None,
) -> None:
    """Measures the service against floors of the same run and prints tables."""
    chosen = [name.strip() for name in only.split(",") if name.strip()] or EVERYTHING
    if unknown := set(chosen) - set(EVERYTHING):
        raise click.UsageError(f"no such part: {', '.join(sorted(unknown))}")
    figures: list[Figure] = []
    insights: dict[str, list[str]] = {}
    bars = [*table.BARS, table.growth_bar(smaller, customers)]
    with contextlib.ExitStack() as stack:
        large = _opened(stack, data_dir, customers, seed)
        small = _opened(stack, data_dir, smaller, seed) if "growth" in chosen else None
        run = Run(
            large,
            stack.enter_context(service(large, workers)),
            stack.enter_context(empty_service(workers)),
            rounds,
            seconds,
            (small, stack.enter_context(service(small, workers))) if small else None,
        )
        told = machine.described(large)
        click.echo("\n".join(f"{label}: {text}" for label, text in told) + "\n")
        for name in chosen:
            if name in PARTS:
                found = PARTS[name](run)
                figures += found
                lines = table.figures_text(found)
            else:
                lines = insights[name] = INSIGHTS[name](large, taken_apart)
            click.echo("\n".join(lines))
    if figures:
        click.echo(f"\nmedian of {rounds} rounds [lowest … highest]; bars:")
        click.echo("\n".join(table.bars_text(figures, bars)))
    if write:
        page.write(write, told, figures, bars, insights, rounds)


def _opened(stack: contextlib.ExitStack, data_dir: Path | None, customers: int, seed: int) -> World:
    folder = data_dir / str(customers) if data_dir else None
    try:
        opened = stack.enter_context(world(folder, customers=customers, seed=seed))
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    bare_sql.warm(opened, requests.questions(8, customers, WARMED))
    return opened


if __name__ == "__main__":
    main()
