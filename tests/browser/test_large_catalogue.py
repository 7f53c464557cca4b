"""The desk of a company with much to say: 60 topics in two layers, six channels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.sample import EXAMPLE
from tests.support.api import Api
from tests.support.browsing import IN_EVERY_LOOK, LOOKS, Browsers, Look, Site, faults
from tests.support.cluster import TestDatabase
from tests.support.visiting import sign_in
from tests.web.asking import somebody

GROUPS, IN_EACH = 10, 5
TOPICS = {f"group{number}": {"basis": "consent", "label": {"en": f"Group number {number}"}} for number in range(GROUPS)}
BELOW = {
    f"group{number}/topic{one}": {"label": {"en": f"Topic {one} of {number}"}}
    for number in range(GROUPS)
    for one in range(IN_EACH)
}
CHANNELS = {name: {"identifier": "phone", "label": {"en": name.capitalize()}} for name in ("push", "chat")}
LARGE: dict[str, Any] = EXAMPLE | {"topics": TOPICS | BELOW, "channels": EXAMPLE["channels"] | CHANNELS, "policies": []}
LARGEST = 60_000


@pytest.fixture(scope="module")
def shared_api(browsers: Browsers, module_database: TestDatabase) -> Iterator[Api]:
    made = Api(module_database, LARGE)
    yield made
    made.close()


@pytest.mark.parametrize("look", LOOKS if IN_EVERY_LOOK else LOOKS[1:2], ids=lambda look: look.name)
def test_the_desk_is_sound_and_small_with_60_topics_and_6_channels(site: Site, look: Look) -> None:
    assert (len(LARGE["topics"]), len(LARGE["channels"])) == (60, 6)
    page, sizes = site.person(look), list[int]()
    page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    ben = site.api.customer(somebody())
    sign_in(page, site.api, ben, look)
    page.goto("/preferences")
    page.wait_for_load_state("networkidle")
    assert page.locator("fieldset.small").count() == 360
    assert 0 < sum(sizes) < LARGEST
    assert faults(page) == []
    assert site.complaints == []
