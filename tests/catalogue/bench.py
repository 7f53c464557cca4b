"""A database that catalogues are applied to, as the service's role, with one customer: Ada."""

from __future__ import annotations

import copy
import uuid
from typing import Any

import pytest

from consent_service.catalogue.service import Applied, apply_catalogue, load_catalogue
from consent_service.database import Database
from consent_service.errors import ConsentError
from consent_service.history import service as history
from consent_service.history.model import Actor
from consent_service.keyring.model import NOBODY
from consent_service.keyring.service import Keyring
from tests.catalogue.documents import SMALL
from tests.support.cluster import TestDatabase
from tests.support.worlds import Document

OPERATOR = Actor("system", "tests")
ADA = uuid.UUID(int=1)


class Bench:
    """A database, and catalogues applied to it as the service's role."""

    def __init__(self, made: TestDatabase) -> None:
        settings = made.settings(CONSENT_WEB_THREADS="8", CONSENT_POOL_TIMEOUT_SECONDS="60")
        self.database = Database(made.service_url, settings)
        self.keyring = Keyring(*settings.secrets)

    def apply(self, document: object, *, accept_louder: bool = False) -> Applied:
        with self.database.transaction() as conn:
            return apply_catalogue(conn, self.keyring, OPERATOR, document, accept_louder=accept_louder)

    def refusal(self, document: object, **options: bool) -> ConsentError:
        before = self.rows("SELECT version FROM catalogue_version")
        with pytest.raises(ConsentError) as caught:
            self.apply(document, **options)
        assert self.rows("SELECT version FROM catalogue_version") == before
        return caught.value

    def rows(self, query: Any, *parameters: object) -> list[tuple[Any, ...]]:
        with self.database.reading() as conn:
            return [tuple(row.values()) for row in conn.execute(query, parameters)]

    def add(self, table: Any, **values: Any) -> None:
        columns = ", ".join(values)
        marks = ", ".join(["%s"] * len(values))
        with self.database.transaction() as conn:
            conn.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", list(values.values()))

    def ada(self, segment: str | None = None) -> None:
        self.add("customer", customer_id=ADA, created_at="2026-01-01Z", segment=segment)

    def dial(self, channel: str, topic: str, level: str | None) -> None:
        at = "2026-01-01Z"
        values = {"set_at": at, "last_act_at": at, "recorded_at": at, "source": "web", "role": "customer"}
        self.add("dial", customer_id=ADA, channel=channel, topic=topic, level=level, event_id=ADA, **values)

    def events(self) -> list[dict[str, Any]]:
        with self.database.reading() as conn:
            return history.page(conn, self.keyring, [NOBODY], most=100)

    def catalogue(self) -> Any:
        with self.database.reading() as conn:
            return load_catalogue(conn)


def without(*path: str) -> Document:
    document = copy.deepcopy(SMALL)
    place: Any = document
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return document


def with_topic(name: str, **fields: Any) -> Document:
    document = copy.deepcopy(SMALL)
    document["topics"][name] = fields
    return document
