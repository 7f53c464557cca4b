"""Every page of a customer's, in every way of looking. New pages are looked at without being named here."""

from __future__ import annotations

from uuid import UUID

import pytest

from consent_service.i18n import LOCALES
from tests.support.api import Api
from tests.support.browsing import TRIED, Look, Site, faults
from tests.support.pages import link_to
from tests.support.visiting import OF_LINKS, PLACE, pages_of, sign_in, visit, with_a_past

GETS = 100


@pytest.fixture(scope="module")
def ben(shared_api: Api) -> UUID:
    """Somebody whose pages have something on them."""
    return with_a_past(shared_api, "email:ben@example.com", "phone:+447700900123")


@pytest.mark.parametrize("look", TRIED, ids=lambda look: look.name)
def test_every_page_is_sound_however_one_looks_at_it(site: Site, ben: UUID, look: Look) -> None:
    found: dict[str, list[str]] = {}
    page = site.person(look)
    for path in pages_of(site.api.app):
        sign_in(page, site.api, ben, look)
        answer = page.request.get(path, max_redirects=0)
        # What leads elsewhere, or is saved as a file, has nothing to look at.
        if (answer.status == 200 and answer.headers["content-type"].startswith("text/html")) or path in OF_LINKS:
            visit(page, site.api, ben, path, look)
            found[path] = faults(page)
    assert set(found) >= {*OF_LINKS, "/preferences", "/link"}
    assert {path: problems for path, problems in found.items() if problems} == {}
    assert site.complaints == []


@pytest.mark.parametrize("locale", LOCALES)
def test_a_page_is_below_60_kilobytes_in_all(site: Site, ben: UUID, locale: str) -> None:
    look, sizes = Look("wide", locale=locale), list[int]()
    page = site.person(look)
    page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    visit(page, site.api, ben, "/preferences", look)
    page.wait_for_load_state("networkidle")
    assert 0 < sum(sizes) < 60_000


def test_links_that_are_opened_a_hundred_times_change_nothing(site: Site, ben: UUID) -> None:
    """As scanners of mail do, with scripts running. Law: bad-inputs, links and pages."""
    before = site.api.events(ben)
    page = site.person()
    for _ in range(GETS // (len(OF_LINKS) + 1)):
        for purpose in (*OF_LINKS.values(), "preferences"):
            page.goto(link_to(site.api, ben, purpose, place=PLACE))
    assert site.api.events(ben) == before
