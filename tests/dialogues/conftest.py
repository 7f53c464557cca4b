"""The service that these tests ask, and a customer with a dialogue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from werkzeug.test import TestResponse

from tests.customers.people import somebody, token
from tests.dialogues.conversations import opened
from tests.support.api import CATALOGUE, NOTICE, Api
from tests.support.cluster import TestDatabase
from tests.support.soundness import expect_sound

OPENING: dict[str, Any] = {"topic": "offers", "subject": "A gift", "channels": ["email", "phone"], "contacts": 3}


def days_ahead(days: int) -> str:
    """A time that many days from now."""
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


@dataclass
class Talk:
    """A customer with their own credential, and a dialogue of theirs."""

    api: Api
    customer_id: UUID
    token: str
    id: str = ""

    def opens(self, **fields: Any) -> TestResponse:
        """The customer opens a dialogue."""
        body = {**OPENING, "until": days_ahead(30), **fields}
        return self.api.post(f"/v1/customers/{self.customer_id}/dialogues", body, key=self.token)

    def customer(self, method: str, path: str = "", body: Any = None) -> TestResponse:
        """The customer calls something of the dialogue."""
        return self.api.call(method, f"/v1/dialogues/{self.id}{path}", body, key=self.token)

    def company(self, method: str, path: str = "", body: Any = None, **options: Any) -> TestResponse:
        """The desk calls something of the dialogue."""
        return self.api.call(method, f"/v1/dialogues/{self.id}{path}", body, **{"role": "desk", **options})

    def shown(self) -> dict[str, Any]:
        """The dialogue as the customer reads it."""
        answer = self.customer("GET")
        assert answer.status_code == 200, answer.get_data(as_text=True)
        found: dict[str, Any] = answer.json
        return found

    def kinds(self) -> list[str]:
        """What was said, by kind."""
        return [one["kind"] for one in self.shown()["entries"]]

    def proposed(self, *lines: dict[str, Any], **options: Any) -> TestResponse:
        """The company proposes these lines."""
        body = {"proposal": {"text": "What do you say?", "lines": list(lines)}}
        return self.company("POST", "/entries", body, **options)

    def proposal(self, *lines: dict[str, Any]) -> int:
        """The same; its number."""
        answer = self.proposed(*lines)
        assert answer.status_code == 201, answer.get_data(as_text=True)
        return int(answer.json["number"])

    def answers(self, number: int, *lines: object, **fields: Any) -> TestResponse:
        """The customer answers the lines in their order: a word, or a changed line."""
        said = [
            {"line": index, "answer": "change", **one} if isinstance(one, dict) else {"line": index, "answer": one}
            for index, one in enumerate(lines, 1)
        ]
        return self.customer("POST", f"/entries/{number}/answer", {"lines": said, "notice": NOTICE, **fields})


def somebody_talking(api: Api, **fields: Any) -> Talk:
    """A new customer who has opened a dialogue."""
    made = api.customer(somebody())
    talk = Talk(api, made, token(api, made))
    answer = talk.opens(**fields)
    assert answer.status_code == 201, answer.get_data(as_text=True)
    talk.id = answer.json["id"]
    return talk


@pytest.fixture(scope="module")
def shared_api(module_database: TestDatabase) -> Iterator[Api]:
    """A service that the tests of one module share: each brings people of its own. At the end all agrees."""
    made = Api(module_database, CATALOGUE)
    yield made
    made.close()
    expect_sound(module_database)


@pytest.fixture
def talk(shared_api: Api) -> Talk:
    """Somebody new with a dialogue about offers."""
    return somebody_talking(shared_api)


@pytest.fixture
def ben(api: Api) -> UUID:
    """A customer."""
    return api.customer("email:ben@example.com")


@pytest.fixture
def dialogue(api: Api, ben: UUID) -> str:
    """The id of a dialogue of Ben's."""
    return opened(api, ben)
