"""How fast is asking? Figures beside floors that are measured in the same run, and the bars. No verdict: exit code 0.

Run by `make bench`. Starts its own durable PostgreSQL, seeds it, starts the service and an empty route on 127.0.0.1,
measures in turn, and ends what it started.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from benchmarks import table
from benchmarks.parts import PARTS, Figure, Run
from benchmarks.world import World, empty_service, service, world


@click.command()
@click.option("--customers", default=1_000_000, show_default=True, help="How many customers are seeded.")
@click.option("--smaller", default=100_000, show_default=True, help="The size that growth is measured against.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Keep the seeded databases here. [default: nowhere]")
@click.option("--only", default="", help=f"Some parts, with commas between: {', '.join(PARTS)}.")
@click.option("--rounds", default=5, show_default=True, help="Of each figure and its floor, in turn.")
@click.option("--seconds", default=5.0, show_default=True, help="Of one measurement.")
@click.option("--seed", default=1, show_default=True, help="Which customers are made up.")
def main(
    customers: int, smaller: int, data_dir: Path | None, only: str, rounds: int, seconds: float, seed: int
) -> None:
    """Measures the service against floors of the same run and prints a table."""
    chosen = [name.strip() for name in only.split(",") if name.strip()] or list(PARTS)
    if unknown := set(chosen) - PARTS.keys():
        raise click.UsageError(f"no such part: {', '.join(sorted(unknown))}")
    figures: list[Figure] = []
    with contextlib.ExitStack() as stack:

        def opened(count: int) -> World:
            folder = data_dir / str(count) if data_dir else None
            one = stack.enter_context(world(folder, customers=count, seed=seed))
            click.echo(f"{count:,} customers, {one.bytes / 1e6:,.0f} MB, seeded in {one.seeded_seconds:.0f} s")
            return one

        try:
            main_world = opened(customers)
            small_world = opened(smaller) if "growth" in chosen else None
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        run = Run(
            main_world,
            stack.enter_context(service(main_world)),
            stack.enter_context(empty_service()),
            rounds,
            seconds,
            (small_world, stack.enter_context(service(small_world))) if small_world else None,
        )
        for name in chosen:
            found = PARTS[name](run)
            figures += found
            click.echo("\n".join(table.figures_text(found)))
    click.echo(f"\nmedian of {rounds} rounds [lowest … highest]; bars:")
    bars = [*table.BARS, table.growth_bar(smaller, customers)]
    click.echo("\n".join(table.bars_text(figures, bars)))


if __name__ == "__main__":
    main()
