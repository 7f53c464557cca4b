"""On a service without one of its guards there is a customer whose answers fit no order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.concurrency.guards import (
    ANSWERS_KEPT,
    DECISION_BEFORE_LOCK,
    NO_ROW_LOCK,
    Edits,
    copied_package,
    goes_red,
    without,
)
from tests.linearizability import siege
from tests.support.cluster import Cluster

CUSTOMERS = 8
OPERATIONS = 800

# Version, dials and pauses of GET …/dials each as of a moment of its own.
DIALS_IN_PIECES: Edits = {
    "dials/api.py": [("with parts().database.snapshot() as conn:", "with parts().database.reading() as conn:")]
}
GUARDS: Mapping[str, Edits] = {
    "row lock": NO_ROW_LOCK,
    "decision under the lock": DECISION_BEFORE_LOCK,
    "no answers kept in a process": ANSWERS_KEPT,
    "dials read in one snapshot": DIALS_IN_PIECES,
}


@pytest.fixture
def copied(tmp_path: Path) -> Iterator[Path]:
    """A copy of the package, to be changed."""
    with copied_package(tmp_path) as package:
        yield package


@pytest.mark.parametrize("guard", GUARDS)
def test_without_its_guard_a_customer_has_no_order(cluster: Cluster, copied: Path, guard: str) -> None:
    with without(cluster, copied, GUARDS[guard], siege.CATALOGUE_OF_SIEGE, **siege.THREADS) as made:
        goes_red(lambda: siege.play(made, CUSTOMERS, OPERATIONS, kills=False), "No order of these operations")
