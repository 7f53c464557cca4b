"""The service as it is deployed: behind nginx, on a socket that somebody else holds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.api import CATALOGUE, Api
from tests.support.cluster import TestDatabase
from tests.support.held import HeldService, held_service
from tests.support.nginx import Nginx, nginx_before


@pytest.fixture(scope="module")
def shared(module_database: TestDatabase) -> Iterator[Api]:
    """The application with the tests' catalogue."""
    made = Api(module_database, CATALOGUE)
    yield made
    made.close()


@pytest.fixture(scope="module")
def held(shared: Api) -> Iterator[HeldService]:
    """The service, two workers, on a socket that this process holds."""
    with held_service(shared.made) as running:
        yield running


@pytest.fixture(scope="module")
def nginx(held: HeldService) -> Iterator[Nginx]:
    """nginx in front of it."""
    with nginx_before(held.port) as running:
        yield running
