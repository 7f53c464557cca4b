"""The pictures of the pages that the README shows, taken anew: `make screenshots`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.browser.sample import EXAMPLE
from tests.support.api import Api
from tests.support.browsing import LOOKS, Look, Site, chromium, served
from tests.support.cluster import cluster
from tests.support.visiting import pages_of, visit, with_a_past

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
WIDE, PHONE = LOOKS[0], Look("phone", 390, 844)
# Name of the picture: page, how one looks at it, and the element that it begins with.
PICTURES: dict[str, tuple[str, Look, str]] = {
    "desk": ("/preferences", replace(WIDE, height=1000), "form#desk h2"),
    "desk-summary": ("/preferences", WIDE, "body"),
    "desk-dark": ("/preferences", replace(WIDE, dark=True), "form#desk h2"),
    "desk-arabic": ("/preferences", replace(WIDE, locale="ar"), "form#desk h2"),
    "desk-phone": ("/preferences", PHONE, "form#desk h2"),
    "unsubscribe": ("/unsubscribe", PHONE, "body"),
    "louder": ("/louder", PHONE, "body"),
    "happened": ("/me/happened", WIDE, "body"),
    "me": ("/me", WIDE, "body"),
    "link": ("/link", PHONE, "body"),
}


def main() -> None:
    """Writes docs/screenshots/*.png; says which pages there are not yet."""
    FOLDER.mkdir(exist_ok=True)
    with cluster() as server:
        api = Api(server.migrated(), EXAMPLE)
        ben = with_a_past(api, "email:ben@example.com", "phone:+447700900123")
        with served(api) as url, chromium() as browsers:
            site = Site(api, url, browsers)
            for name, (path, look, first) in PICTURES.items():
                if path not in pages_of(api.app):
                    print(f"there is no {path}: no picture {name}")
                    continue
                page = site.person(look)
                visit(page, api, ben, path, look)
                if (leave := page.locator("form[action$='/seen'] button")).count():
                    leave.first.click()
                page.locator(first).first.evaluate("it => it.scrollIntoView()")
                page.wait_for_timeout(500)  # knobs have turned
                page.screenshot(path=FOLDER / f"{name}.png")
            site.close()
        api.close()


if __name__ == "__main__":
    main()
