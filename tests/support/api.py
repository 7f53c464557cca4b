"""The application on a real database, as its clients see it: keys of every role and the cast of the tests.

Ada turns everything down, Ben loves wine, Cy is unknown.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent_service.app import create_app
from consent_service.catalogue.model import CATALOGUE_LOCK
from consent_service.catalogue.service import apply_catalogue
from consent_service.database import Database
from consent_service.history.model import Actor
from consent_service.keyring.service import Keyring
from consent_service.keys import service as keys
from consent_service.permissions.store import SQL  # noqa: F401 - proves that the slice imports without a database
from tests.support.cluster import TestDatabase
from tests.support.contract import ContractClient

SYSTEM = Actor("system", "tests")
ROLES = ("campaign", "desk", "auditor", "admin")
NOTICE = {"id": "preferences", "version": "1", "locale": "en"}
EVIDENCE = {"call": "C-1"}


def shared(name: str) -> Path:
    """A file of the shared cases or data; the test is skipped when it is not there."""
    folder = Path(os.environ.get("CONSENT_TEST_SHARED", Path(__file__).parents[3] / "shared"))
    path = folder / name
    if not path.exists():
        pytest.skip(f"no {name} beside the repository")
    return path


CATALOGUE: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "catalogue.yaml").read_text(encoding="utf-8"))


class Api:
    """The application, its database, and a key for each role."""

    def __init__(self, made: TestDatabase, catalogue: Mapping[str, Any] | None = None) -> None:
        self.made = made
        self.settings = made.settings()
        self.database = Database(made.service_url, self.settings)
        self.keyring = Keyring(*self.settings.secrets)
        self.app = create_app(self.settings, made.service_url)
        self.app.test_client_class = ContractClient
        self.client: FlaskClient = self.app.test_client()
        self.keys: dict[str, str] = {}
        if catalogue is not None:
            self.apply(catalogue)
        with self.database.transaction() as conn:
            for role in ROLES:
                # The campaign key of the tests may use essential topics too.
                topics = ["*"] if role == "campaign" else None
                self.keys[role] = keys.create(conn, self.keyring, SYSTEM, role=role, name=f"{role} key", topics=topics)[
                    1
                ]

    def close(self) -> None:
        """Closes both pools."""
        self.database.close()
        self.app.extensions["consent_service"].database.close()

    def apply(self, catalogue: Mapping[str, Any]) -> None:
        """Applies a catalogue, louder or not."""
        with self.database.transaction() as conn:
            apply_catalogue(conn, self.keyring, SYSTEM, catalogue, accept_louder=True)

    def catalogue_may_come(self) -> bool:
        """Whether a catalogue could be applied now, without waiting for anybody's transaction."""
        with self.made.owner() as conn:
            row = conn.execute("SELECT pg_try_advisory_xact_lock(%s)", [CATALOGUE_LOCK]).fetchone()
        return row == (True,)

    def key(self, role: str, name: str, topics: list[str] | None = None, **options: Any) -> str:
        """A further key."""
        with self.database.transaction() as conn:
            return keys.create(conn, self.keyring, SYSTEM, role=role, name=name, topics=topics, **options)[1]

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        role: str = "campaign",
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> TestResponse:
        """One request with the key of a role, or with `key`."""
        sent = {"Authorization": f"Bearer {key or self.keys[role]}", **(headers or {})}
        if body is None:
            return self.client.open(path, method=method, headers=sent)
        return self.client.open(path, method=method, headers=sent, json=body)

    def post(self, path: str, body: Any = None, **options: Any) -> TestResponse:
        """POST; see call."""
        return self.call("POST", path, body if body is not None else {}, **options)

    def customer(self, *identifiers: str, **fields: Any) -> UUID:
        """A new customer."""
        made = self.post("/v1/customers", {"identifiers": list(identifiers), **fields}, role="desk")
        assert made.status_code == 201, made.get_data(as_text=True)
        return UUID(made.json["id"])

    def turn(self, customer_id: UUID, *places: tuple[str, str, str | None], **fields: Any) -> TestResponse:
        """Turns dials as the desk, with notice and evidence."""
        changes = [{"channel": channel, "topic": topic, "level": level} for channel, topic, level in places]
        body = {"changes": changes, "source": "phone", "evidence": EVIDENCE, "notice": NOTICE, **fields}
        return self.call("PATCH", f"/v1/customers/{customer_id}/dials", body, role="desk")

    def check(self, customer: str, channel: str, topic: str, **fields: Any) -> dict[str, Any]:
        """The decision of a single check."""
        answer = self.post(
            "/v1/permissions/check", {"customer": customer, "channel": channel, "topic": topic, **fields}
        )
        assert answer.status_code == 200, answer.get_data(as_text=True)
        found: dict[str, Any] = answer.json
        return found

    def events(self, customer_id: UUID) -> list[dict[str, Any]]:
        """A customer's history, oldest first."""
        answer = self.call("GET", f"/v1/customers/{customer_id}/history?limit=200", role="auditor")
        return list(reversed(answer.json["events"]))
