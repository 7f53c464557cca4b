"""The cast of these tests: a service on a real database, with a catalogue and a key for each role."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import yaml
from flask import Flask
from werkzeug.test import TestResponse

from consent_service.app import create_app
from consent_service.catalogue.service import apply_catalogue
from consent_service.customers import creation
from consent_service.customers.model import parse_reference
from consent_service.database import Database
from consent_service.history.model import Actor
from consent_service.keyring.service import Keyring
from consent_service.keys import service as keys
from tests.support.cluster import TestDatabase

CATALOGUE = yaml.safe_load("""
time_zone: Europe/London
identifiers: [loyalty, {kind: household, shared: true}]
segments: [club, staff]
levels:
  - {name: silent, mode: silent, label: {en: Nothing}}
  - {name: on_request, mode: on_request, label: {en: Only when I ask}}
  - {name: monthly, mode: capped, contacts: 1, per: P30D, label: {en: About monthly}}
  - {name: weekly, mode: capped, contacts: 1, per: P7D, label: {en: About weekly}}
  - {name: everything, mode: open, label: {en: Everything}}
channels:
  email: {identifier: email, label: {en: Email}}
  sms: {identifier: phone, label: {en: Text message}}
  post: {identifier: postal, label: {en: Post}}
topics:
  offers: {basis: consent, label: {en: Offers}}
  events: {basis: legitimate_interest, default_level: monthly, label: {en: Events}}
  orders: {basis: contract, label: {en: Your orders}}
policies: []
notices:
  - {id: preferences, version: "1", text: {en: What we will do with your choice.}}
""")
DESK = Actor("desk", "test desk")
CAMPAIGN = Actor("campaign", "test campaign")


@dataclass
class World:
    """One service: what a test does to it through its services, and what a client does over HTTP."""

    app: Flask
    database: Database
    keyring: Keyring
    raw: TestDatabase
    keys: dict[str, str]

    def call(
        self, method: str, path: str, body: object = None, *, role: str = "desk", headers: dict[str, str] | None = None
    ) -> TestResponse:
        """One request with the role's key, or with a customer's token given as the role."""
        sent = {"Authorization": f"Bearer {self.keys.get(role, role)}", **(headers or {})}
        if body is None:
            return self.app.test_client().open(path, method=method, headers=sent)
        return self.app.test_client().open(path, method=method, headers=sent, json=body)

    def create(self, *identifiers: str, role: str = "desk", **fields: str) -> str:
        """The id of a new customer."""
        answer = self.call("POST", "/v1/customers", {"identifiers": list(identifiers), **fields}, role=role)
        assert answer.status_code == 201, answer.get_data(as_text=True)
        return str(answer.json["id"])

    def add(self, *identifiers: str) -> UUID:
        """A new customer, without HTTP."""
        with self.database.transaction() as conn:
            refs = [parse_reference(one) for one in identifiers]
            made, _ = creation.create(conn, self.keyring, DESK, refs, {})
        return UUID(made["id"])

    def token(self, customer_id: str) -> str:
        """A customer's own credential."""
        answer = self.call("POST", f"/v1/customers/{customer_id}/tokens")
        assert answer.status_code == 201
        return str(answer.json["token"])

    def events(self, customer_id: str) -> list[dict[str, Any]]:
        """A customer's history, newest first."""
        answer = self.call("GET", f"/v1/customers/{customer_id}/history", role="auditor")
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return list(answer.json["events"])

    def ask(self, customer: str, channel: str = "email", topic: str = "events") -> dict[str, Any]:
        """What a check answers."""
        body = {"customer": customer, "channel": channel, "topic": topic}
        answer = self.call("POST", "/v1/permissions/check", body)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return dict(answer.json)

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What the database's owner reads."""
        with self.raw.owner() as conn:
            return conn.execute(statement, values).fetchall()

    def run(self, statement: str, *values: object) -> None:
        """What the database's owner does."""
        with self.raw.owner() as conn:
            conn.execute(statement, values)


def make_world(raw: TestDatabase) -> World:
    """A service on this database, ready to be asked."""
    app = create_app(raw.settings(CONSENT_WEB_THREADS="32"), raw.service_url)
    parts = app.extensions["consent_service"]
    with parts.database.transaction() as conn:
        apply_catalogue(conn, parts.keyring, Actor("admin", "test"), CATALOGUE)
        secrets = {
            role: keys.create(conn, parts.keyring, Actor("admin", "test"), role=role, name=f"test {role}")[1]
            for role in ("desk", "campaign", "auditor", "admin")
        }
    return World(app, parts.database, parts.keyring, raw, secrets)


@pytest.fixture
def world(database: TestDatabase) -> Iterator[World]:
    """A service for this test alone."""
    made = make_world(database)
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def shared_world(module_database: TestDatabase) -> Iterator[World]:
    """A service that the tests of one module share: each brings people of its own."""
    made = make_world(module_database)
    yield made
    made.database.close()
