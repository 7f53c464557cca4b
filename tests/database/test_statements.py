"""Every named statement fits the migrated schema, and the service's role may run it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import psycopg
import pytest

from consent_service.database.queries import load
from tests.support.cluster import TestDatabase

SLICES = ("catalogue", "customers", "dials", "fsck", "history", "keyring", "keys", "permissions")
STATEMENTS = [
    (f"consent_service.{part}", Path(str(file)).name, name)
    for part in SLICES
    for file in files(f"consent_service.{part}").iterdir()
    if str(file).endswith(".sql")
    for name in load(f"consent_service.{part}", Path(str(file)).name)
]


@pytest.mark.parametrize("server", ["cluster", "cluster15"])
def test_every_statement_can_be_prepared(server: str, request: pytest.FixtureRequest) -> None:
    cluster = request.getfixturevalue(server)
    database: TestDatabase = cluster.migrated()
    failed = []
    with psycopg.connect(database.service_url, autocommit=True) as conn:
        for number, (package, filename, name) in enumerate(STATEMENTS):
            prepared = load(package, filename)[name].prepared
            try:
                conn.execute(b"PREPARE s%d AS %s" % (number, prepared))
            except psycopg.Error as error:
                failed.append(f"{package}/{filename} {name}: {error}")
    cluster.drop(database)
    assert len(STATEMENTS) > 30
    assert not failed, "\n".join(failed)
