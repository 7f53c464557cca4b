"""The service that the tests of this folder besiege."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.concurrency.crowd import Stage, stage
from tests.support.cluster import Cluster


@pytest.fixture(scope="package", name="crowded")
def crowded_service(cluster: Cluster) -> Iterator[Stage]:
    """A service with two workers."""
    with stage(cluster) as made:
        yield made
