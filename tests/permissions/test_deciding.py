"""What the decision says beside its reason: errors of a row, bounds of time, a key's topics, what is granted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg.rows import dict_row

from consent_service.database import Connection
from tests.permissions.deciding import CASES, Case, expect
from tests.support.cluster import TestDatabase


@pytest.fixture(scope="module")
def conn(module_database: TestDatabase) -> Iterator[Connection]:
    with Connection.connect(module_database.owner_url, row_factory=dict_row, prepare_threshold=None) as opened:
        yield opened


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_decision_says_so(conn: Connection, case: Case) -> None:
    with conn.transaction(force_rollback=True):
        assert expect(conn, case)()
