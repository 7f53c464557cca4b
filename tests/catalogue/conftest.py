"""Fixtures of the catalogue's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.catalogue.bench import Bench
from tests.support.cluster import TestDatabase


@pytest.fixture
def bench(database: TestDatabase) -> Iterator[Bench]:
    """An empty database to apply catalogues to."""
    made = Bench(database)
    yield made
    made.database.close()
