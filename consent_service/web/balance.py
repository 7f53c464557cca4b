"""How many connections each worker has, in memory that the master and all workers share.

The workers accept from one socket, so a connection that waits is served by whoever is alive. Left alone, one of
them may take most kept-alive connections: a worker that has more than another one lets it go first, and one that has
far more than its share, as after the others were started later, gives some up. The figures are advice: a worker that
died or is stuck cannot hold another one up for longer than a moment.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass

STALE_SECONDS = 2.0  # a worker that has not been heard of for so long counts no more
FAR_ABOVE = 1.25  # times a worker's share
_DOUBLE = 8
_BOOTING, _LEAVING = -1.0, -2.0
# Of a slot: the age of its worker as the master counts it, 0 when it is free; connections; when it last said so.
_AGE, _CONNECTIONS, _SAID_AT, _FIELDS = 0, 1, 2, 3


class Loads:
    """The table. The master makes it before it forks, and gives and takes back slots."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.cells = memoryview(mmap.mmap(-1, slots * _FIELDS * _DOUBLE)).cast("d")

    def take(self, age: int) -> Load | None:
        """A slot for a worker that is about to be forked; None when there are too many."""
        for slot in range(self.slots):
            if self.cells[slot * _FIELDS + _AGE] == 0:
                load = Load(self, slot * _FIELDS)
                self.cells[load.at + _CONNECTIONS] = _BOOTING
                self.cells[load.at + _AGE] = float(age)
                return load
        return None

    def free(self, age: int) -> None:
        """Takes back the slot of a worker that has ended."""
        for at in range(0, self.slots * _FIELDS, _FIELDS):
            if self.cells[at + _AGE] == age:
                self.cells[at + _AGE] = 0.0


@dataclass(frozen=True)
class Load:
    """One worker's slot."""

    table: Loads
    at: int

    def say(self, connections: int, now: float) -> None:
        """Tells the others how many connections there are here."""
        self.table.cells[self.at + _CONNECTIONS] = float(connections)
        self.table.cells[self.at + _SAID_AT] = now

    def leave(self) -> None:
        """Tells the others that this worker accepts no more."""
        self.table.cells[self.at + _CONNECTIONS] = _LEAVING

    def is_above_another(self, connections: int, now: float) -> bool:
        """True when a worker that accepts has fewer connections."""
        cells = self.table.cells
        return any(
            cells[at + _AGE]
            and 0 <= cells[at + _CONNECTIONS] < connections
            and now - cells[at + _SAID_AT] < STALE_SECONDS
            and at != self.at
            for at in range(0, self.table.slots * _FIELDS, _FIELDS)
        )

    def surplus(self, connections: int, now: float) -> int:
        """How many connections this worker should give up, when it has far more than its share; else 0."""
        cells = self.table.cells
        others = [
            cells[at + _CONNECTIONS]
            for at in range(0, self.table.slots * _FIELDS, _FIELDS)
            if cells[at + _AGE] and cells[at + _CONNECTIONS] >= 0 and now - cells[at + _SAID_AT] < STALE_SECONDS
            if at != self.at
        ]
        share = (sum(others) + connections) / (len(others) + 1)
        return int(connections - share) if connections > share * FAR_ABOVE + 1 else 0

    def successor_is_booting(self) -> bool:
        """True when younger workers are on their way and none of them accepts yet."""
        cells = self.table.cells
        mine = cells[self.at + _AGE]
        younger = [
            cells[at + _CONNECTIONS] for at in range(0, self.table.slots * _FIELDS, _FIELDS) if cells[at + _AGE] > mine
        ]
        return _BOOTING in younger and max(younger) < 0
