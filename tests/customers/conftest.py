"""The service that these tests ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.api import CATALOGUE, Api
from tests.support.cluster import TestDatabase


@pytest.fixture
def api(database: TestDatabase) -> Iterator[Api]:
    """A service for this test alone."""
    made = Api(database, CATALOGUE)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared_api(module_database: TestDatabase) -> Iterator[Api]:
    """A service that the tests of one module share: each brings people of its own."""
    made = Api(module_database, CATALOGUE)
    yield made
    made.close()
