"""GET /v1/catalogue."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.catalogue.documents import SMALL
from tests.support.api import ROLES, Api
from tests.support.cluster import TestDatabase


@pytest.fixture
def api(database: TestDatabase) -> Iterator[Api]:
    made = Api(database)
    yield made
    made.close()


@pytest.mark.parametrize("role", ROLES)
def test_any_key_reads_the_catalogue_as_loaded(api: Api, role: str) -> None:
    api.apply(SMALL)
    answer = api.call("GET", "/v1/catalogue", role=role)
    assert answer.status_code == 200
    assert {name: answer.json[name] for name in SMALL} == SMALL
    assert answer.json["version"] == 1
    assert answer.json["applied_at"].endswith("Z")
    assert answer.json["retired_topics"] == answer.json["retired_channels"] == []


def test_without_a_catalogue_it_is_404(api: Api) -> None:
    answer = api.call("GET", "/v1/catalogue")
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")


def test_without_a_key_it_is_401(api: Api) -> None:
    assert api.client.get("/v1/catalogue").status_code == 401


def test_what_was_applied_holds_for_the_next_request(api: Api) -> None:
    api.apply(SMALL)
    api.apply({**SMALL, "topics": {"offers": {"basis": "consent"}}})
    answer = api.call("GET", "/v1/catalogue")
    assert answer.json["version"] == 2
    assert list(answer.json["topics"]) == ["offers"]
