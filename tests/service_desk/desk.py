"""Agents at the service desk, and the pages before them."""

from __future__ import annotations

from uuid import UUID

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.api import Api
from tests.support.pages import browser, post


def signed_in(api: Api, *, role: str = "desk", key: str | None = None) -> FlaskClient:
    """An agent's browser."""
    client = browser(api)
    answer = sign_in(client, key or api.keys[role])
    assert (answer.status_code, answer.headers.get("Location")) == (303, "/desk")
    return client


def sign_in(client: FlaskClient, key: str) -> TestResponse:
    """Sends the form of the way in."""
    return post(client, client.get("/desk"), "/desk", {"key": key})


def found(client: FlaskClient, identifier: str, kind: str = "") -> TestResponse:
    """Sends the search."""
    return post(client, client.get("/desk"), "/desk/find", {"identifier": identifier, "kind": kind})


def path(customer: UUID) -> str:
    """Where a customer's page is."""
    return f"/desk/customers/{customer}"


def looking_after(client: FlaskClient, customer: UUID, reference: str = "") -> TestResponse:
    """A customer's page, with the reference of the call written down."""
    page = client.get(path(customer))
    assert page.status_code == 200
    if reference:
        answer = post(client, page, f"{path(customer)}/word", {"source": "phone", "reference": reference})
        assert answer.status_code == 303
        page = client.get(path(customer))
    return page
