"""Every named statement fits the migrated schema, and the service's role may run it."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import psycopg
import pytest

from consent_service.database.queries import load
from tests.support.cluster import TestDatabase

SLICES = ("catalogue", "customers", "dials", "history", "keyring", "keys", "permissions")
STATEMENTS = [
    (f"consent_service.{part}", Path(str(file)).name, name)
    for part in SLICES
    for file in files(f"consent_service.{part}").iterdir()
    if str(file).endswith(".sql")
    for name in load(f"consent_service.{part}", Path(str(file)).name)
]


def number_parameters(text: str) -> str:
    """%(name)s as $1, $2 …, as the server wants them."""
    order: dict[str, int] = {}
    return re.sub(r"%\((\w+)\)s", lambda match: f"${order.setdefault(match[1], len(order) + 1)}", text).replace(
        "%%", "%"
    )


@pytest.mark.parametrize("server", ["cluster", "cluster15"])
def test_every_statement_can_be_prepared(server: str, request: pytest.FixtureRequest) -> None:
    cluster = request.getfixturevalue(server)
    database: TestDatabase = cluster.migrated()
    failed = []
    with psycopg.connect(database.service_url, autocommit=True) as conn:
        for number, (package, filename, name) in enumerate(STATEMENTS):
            numbered = number_parameters(load(package, filename)[name].rstrip().rstrip(";"))
            try:
                conn.execute(f"PREPARE s{number} AS {numbered}")
            except psycopg.Error as error:
                failed.append(f"{package}/{filename} {name}: {error}")
    cluster.drop(database)
    assert len(STATEMENTS) > 30
    assert not failed, "\n".join(failed)
