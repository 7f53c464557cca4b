"""/openapi.yaml and /docs: what is served is the document, and the page asks nothing of anybody outside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from consent_service.web import docs, problems

DOCUMENT = Path(__file__).parents[2] / "openapi.yaml"
LOADED = re.compile(r'(?:src|href)="([^"]+)"')


@pytest.fixture
def client() -> Iterator[FlaskClient]:
    """The docs alone: they need no database, no key and no catalogue."""
    app = Flask(__name__, static_folder=None)
    app.register_blueprint(docs.blueprint)
    problems.install(app)
    with app.test_client() as client:
        yield client


def test_the_document_is_served_as_it_stands(client: FlaskClient) -> None:
    """Byte for byte, as YAML."""
    answer = client.get("/openapi.yaml")
    assert answer.status_code == 200
    assert answer.mimetype == "application/yaml"
    assert answer.get_data() == DOCUMENT.read_bytes()


def test_who_has_the_document_already_gets_no_second_copy(client: FlaskClient) -> None:
    """But asks every time, so that an upgrade is seen at once."""
    first = client.get("/openapi.yaml")
    assert first.headers["Cache-Control"] == "no-cache"
    again = client.get("/openapi.yaml", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.get_data()) == (304, b"")


def test_the_page_loads_only_files_of_this_service(client: FlaskClient) -> None:
    """Each of them is there, with a type that a browser runs under nosniff."""
    page = client.get("/docs").get_data(as_text=True)
    named = LOADED.findall(page)
    assert "docs/swagger-ui-bundle.js" in named
    types = {".js": "text/javascript", ".css": "text/css", ".png": "image/png", ".yaml": "application/yaml"}
    for name in named:
        answer = client.get(f"/{name}")
        assert answer.status_code == 200, name
        assert answer.mimetype == types[Path(name).suffix]
        assert answer.get_data()


def test_the_policy_lets_no_inline_script_run_and_no_other_host_in(client: FlaskClient) -> None:
    """And there is none in the page."""
    answer = client.get("/docs")
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert not re.search(r"https?:|\*", policy)
    page = answer.get_data(as_text=True)
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert re.findall(r"\bon\w+=|\bstyle=|https?:", page) == []


def test_the_viewer_is_told_to_ask_no_validator(client: FlaskClient) -> None:
    """Its own default sends the document's address to a service outside."""
    assert "validatorUrl: null" in client.get("/docs/docs.js").get_data(as_text=True)


@pytest.mark.parametrize("name", ["swagger-ui.js", "index.css", "..%2fdocs.py", "docs.html", "docs.js%00"])
def test_what_the_page_does_not_use_is_not_served(client: FlaskClient, name: str) -> None:
    """Not even when the package holds it."""
    answer = client.get(f"/docs/{name}")
    assert answer.status_code == 404
    assert answer.json is not None
    assert answer.json["code"] == "not_found"
