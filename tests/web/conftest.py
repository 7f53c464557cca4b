"""The service that the tests of this folder ask; those of one module share it, each brings people of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.api import CATALOGUE, Api
from tests.support.cluster import TestDatabase, WebService, web_service
from tests.web.asking import SMALL_LIMIT


@pytest.fixture(scope="module")
def shared(module_database: TestDatabase) -> Iterator[Api]:
    """The application with the tests' catalogue."""
    made = Api(module_database, CATALOGUE)
    yield made
    made.close()


@pytest.fixture(scope="module")
def gunicorn(shared: Api) -> Iterator[WebService]:
    """A real server on the same database; it reads bodies of at most SMALL_LIMIT bytes."""
    with web_service(shared.made, settings={"CONSENT_MAX_BODY_BYTES": str(SMALL_LIMIT)}) as running:
        yield running
