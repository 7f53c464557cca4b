"""A service on a PostgreSQL of its own, which these tests stop, freeze and fill."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.outages.patient import Patient, patient


@pytest.fixture(scope="module", name="sick")
def service_on_its_own_server() -> Iterator[Patient]:
    """Two workers; whatever a test did to the database it undoes."""
    with patient() as made:
        yield made
