"""Versions and schemas one step apart: what goes on working, and what says that it cannot.

There is one version so far, so the other one is made up: the newest migration left out is an older schema, and a
migration of the test's own that only adds is the schema of a next version.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from consent_service.app import create_app
from consent_service.database import migrate as migrate_module
from consent_service.database import schema
from consent_service.database.migrate import migrate
from tests.support.api import CATALOGUE, Api
from tests.support.cluster import Cluster, TestDatabase
from tests.support.contract import Operation, operations
from tests.support.requests import REAL_IDS, new_customer, real

ROOT = Path(__file__).parents[2]
NEWEST = schema.known()[-1]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the service's migrations, to be changed; what the version *knows* stays."""
    monkeypatch.setattr(migrate_module, "files", lambda _package: tmp_path)
    return Path(shutil.copytree(ROOT / "migrations", tmp_path / "migrations"))


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[TestDatabase]:
    made = cluster.empty()
    yield made
    cluster.drop(made)


# What the next version may do while this one still serves: new columns that may be empty or have a default, new
# indexes, new tables that lean on the old ones. Each of the tables that a request touches gets one.
NEXT_STEP = """
SET LOCAL lock_timeout = '500ms';
DO $$
DECLARE one regclass;
BEGIN
  FOR one IN SELECT c.oid FROM pg_class c
             WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname !~ 'yoyo' ORDER BY 1
  LOOP
    EXECUTE format('ALTER TABLE %s ADD COLUMN next_note text, ADD COLUMN next_number integer NOT NULL DEFAULT 7', one);
  END LOOP;
END
$$;
CREATE TABLE next_thing (
  customer_id uuid NOT NULL REFERENCES customer (customer_id),
  thing text NOT NULL,
  PRIMARY KEY (customer_id, thing)
);
"""
NEXT_INDEXES = """-- transactional: false
SET lock_timeout = '60s';
DROP INDEX CONCURRENTLY IF EXISTS next_by_note;
CREATE INDEX CONCURRENTLY next_by_note ON contact (customer_id, next_note);
DROP INDEX CONCURRENTLY IF EXISTS next_by_segment;
CREATE INDEX CONCURRENTLY next_by_segment ON customer (segment) WHERE state = 'active';
"""

# A machine that is busy takes its time to connect: that would be another reason not to be ready.
PATIENT = {"CONSENT_ANSWER_TIMEOUT_SECONDS": "40", "CONSENT_POOL_TIMEOUT_SECONDS": "30"}


# A new customer's example names two who are there already; who confirms a name needs one of that customer's; a campaign
# key opens no dialogue, nobody changes one without evidence, an answer to a proposal needs the customer and a proposal.
UNFULFILLED = {
    "POST /v1/customers",
    "POST /v1/customers/{customer_id}/identifiers/confirm",
    "POST /v1/customers/{customer_id}/dialogues",
    "PATCH /v1/dialogues/{dialogue_id}",
    "POST /v1/dialogues/{dialogue_id}/entries/{number}/answer",
}


@pytest.fixture
def next_schema(database: TestDatabase, files: Path) -> list[str]:
    """The database of this test with what a next version would add."""
    (files / "9998_next.sql").write_text(NEXT_STEP)
    (files / "9999_next_indexes.sql").write_text(NEXT_INDEXES)
    return migrate(database.owner_url, database.service_url)


def test_a_process_on_an_older_schema_is_alive_and_says_what_it_lacks(empty: TestDatabase, files: Path) -> None:
    newest = files / f"{NEWEST}.sql"
    newest.rename(files / "left_out")
    migrate(empty.owner_url, empty.service_url)
    app = create_app(empty.settings(**PATIENT), empty.service_url)
    client = app.test_client()
    assert client.get("/health/live").status_code == 200
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["code"] == "decision_unavailable"
    assert f"lacks {NEWEST}" in answer.json["detail"]
    assert "consent-service migrate" in answer.json["detail"]
    # With the migration the same process is ready.
    (files / "left_out").rename(newest)
    assert migrate(empty.owner_url, empty.service_url) == [NEWEST]
    assert client.get("/health/ready").status_code == 200
    app.extensions["consent_service"].database.close()


def test_a_process_on_a_database_that_was_never_migrated_says_so(empty: TestDatabase) -> None:
    app = create_app(empty.settings(**PATIENT), empty.service_url)
    answer = app.test_client().get("/health/ready")
    assert answer.status_code == 503
    assert "consent-service migrate" in answer.get_data(as_text=True)
    app.extensions["consent_service"].database.close()


def test_on_the_schema_of_the_next_version_every_call_answers_as_documented(
    next_schema: list[str], database: TestDatabase
) -> None:
    assert next_schema == ["9998_next", "9999_next_indexes"]
    api = Api(database, CATALOGUE)
    assert api.client.get("/health/ready").status_code == 200
    answered = {operation.name: call(api, operation) for operation in operations()}
    # Each is a good request, but for those that lack what no example has: see there.
    assert {name for name, status in answered.items() if status >= 400} <= UNFULFILLED, answered
    assert max(answered.values()) < 500
    assert api.check(f"id:{new_customer(api)}", "email", "events")["reason"] == "allowed"
    api.close()


def call(api: Api, operation: Operation) -> int:
    """The status of the operation's first example, pointed at what there is; ContractClient validates the answer."""
    path = operation.path
    for name in operation.parameters:
        if name in REAL_IDS:
            own = new_customer(api) if name == "customer_id" else REAL_IDS[name](api)
            path = path.replace(f"{{{name}}}", own)
    body = None
    if "requestBody" in operation.content:
        media = operation.content["requestBody"]["content"]["application/json"]
        examples = media.get("examples") or {"only": {"value": media.get("example")}}
        body = real(api, next(iter(examples.values()))["value"])
    roles = [role for role in api.keys if role in operation.roles]
    query = "?channel=*" if operation.name.startswith("DELETE") and path.endswith("/pause") else ""
    return api.call(operation.method.upper(), path + query, body, role=roles[0] if roles else "desk").status_code
