"""Takes the rows of a batch in rounds: the n-th row of each customer together, in the order given.

What an earlier row of a customer took is gone for the next one, while rows of different customers, which
cannot compete, are decided and written together. No I/O.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence


def rounds(owners: Sequence[Hashable | None]) -> Iterator[list[int]]:
    """Positions of `owners`, so that no list names an owner twice; None competes with nobody.

    The lists together hold every position once; an owner's positions come in order.
    """
    lists: list[list[int]] = []
    seen: dict[Hashable, int] = {}
    for position, owner in enumerate(owners):
        nth = 0
        if owner is not None:
            nth = seen.get(owner, 0)
            seen[owner] = nth + 1
        if nth == len(lists):
            lists.append([])
        lists[nth].append(position)
    yield from lists
