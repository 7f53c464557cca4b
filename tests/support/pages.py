"""Pages as a browser without scripts has them: cookies, forms with what stands hidden in them, links."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from html.parser import HTMLParser
from uuid import UUID

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent_service.keyring.model import NOBODY
from consent_service.links.model import Link, Purpose, path_of
from consent_service.links.service import box
from tests.support.api import Api


def browser(api: Api) -> FlaskClient:
    """A browser of its own, without a visit yet. What pages answer is no promise of the API's."""
    return FlaskClient(api.app, use_cookies=True)


def link_to(
    api: Api,
    customer: UUID,
    purpose: Purpose = "preferences",
    *,
    minted_at: datetime | None = None,
    minted_by: UUID = NOBODY,
    by_campaign: bool = False,
    locale: str = "",
    place: tuple[str, str] = ("", ""),
) -> str:
    """The path of a link to the customer's pages."""
    link = Link(purpose, customer, minted_at or datetime.now(UTC), minted_by, by_campaign, locale, *place)
    parts = api.app.extensions["consent_service"]
    with parts.database.reading() as conn:
        return path_of(purpose, box(conn, parts.keyring).write(link))


def post(client: FlaskClient, page: TestResponse, path: str, fields: Mapping[str, str | list[str]]) -> TestResponse:
    """Sends a form that stands on the page, with the hidden token that it carries there."""
    return client.post(path, data={"csrf_token": hidden(page, "csrf_token"), **fields})


def hidden(page: TestResponse, name: str) -> str:
    """The value of the first field of this name on a page."""
    found = _Fields(page.get_data(as_text=True)).values.get(name)
    assert found is not None, f"the page has no field {name}"
    return found


class _Fields(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "input" and (name := found.get("name")) is not None:
            self.values.setdefault(name, found.get("value") or "")
