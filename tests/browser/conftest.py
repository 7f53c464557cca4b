"""A browser for the session; a site that the tests of a module share, with a sample of every part of a page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.sample import EXAMPLE, sample
from tests.support.api import Api
from tests.support.browsing import Browsers, Site, chromium, served
from tests.support.cluster import TestDatabase


@pytest.fixture(scope="session")
def browsers() -> Iterator[Browsers]:
    """Debian's Chromium."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def shared_api(browsers: Browsers, module_database: TestDatabase) -> Iterator[Api]:
    """The application with the example catalogue, which has texts in every language."""
    made = Api(module_database, EXAMPLE)
    made.app.register_blueprint(sample)
    yield made
    made.close()


@pytest.fixture(scope="module")
def address(shared_api: Api) -> Iterator[str]:
    """Where the application is served."""
    with served(shared_api) as url:
        yield url


@pytest.fixture
def site(shared_api: Api, address: str, browsers: Browsers) -> Iterator[Site]:
    """The site for one test; windows that it opens are closed after it."""
    made = Site(shared_api, address, browsers)
    yield made
    made.close()
