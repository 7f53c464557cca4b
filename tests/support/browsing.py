"""A real browser on the real application: Debian's Chromium, the ways people look at a page, and axe."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Playwright, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.support.api import Api
from tests.support.cluster import free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NARROW, WIDE = 320, 1280
# Source: axe-core, "API: tags". Those of WCAG 2.2 are off unless they are asked for.
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "EN-301-549", "best-practice"]
SECONDS = 10


@dataclass(frozen=True)
class Look:
    """A way to look at a page.

    Args:
        text_percent: size of text that the person has set in the browser.
    """

    name: str
    width: int = WIDE
    height: int = 900
    locale: str = "en"
    scripts: bool = True
    dark: bool = False
    text_percent: int = 100


LOOKS = (
    Look("wide"),
    Look("narrow", NARROW, 640),
    Look("no scripts", scripts=False),
    Look("narrow, no scripts", NARROW, 640, scripts=False),
    Look("dark", dark=True),
    Look("narrow, dark", NARROW, 640, dark=True),
    Look("large text", text_percent=200),
    Look("narrow, large text", NARROW, 640, text_percent=200),
    Look("Arabic", locale="ar"),
    Look("narrow, Arabic, dark", NARROW, 640, locale="ar", dark=True),
    Look("narrow, French, large text", NARROW, 640, locale="fr", text_percent=200),
)

# Pages are looked at in a few ways that meet all of these traits, or in every way: CONSENT_TEST_LOOKS=all.
_FEW = ("wide", "narrow, no scripts", "narrow, Arabic, dark", "narrow, French, large text")
IN_EVERY_LOOK = os.environ.get("CONSENT_TEST_LOOKS") == "all"
TRIED = LOOKS if IN_EVERY_LOOK else tuple(one for one in LOOKS if one.name in _FEW)


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Says nothing: tokens stand in addresses."""


@contextlib.contextmanager
def served(api: Api) -> Iterator[str]:
    """The application of this process on a port of 127.0.0.1; its address."""
    port = free_port()
    server = make_server("127.0.0.1", port, api.app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, name="site")
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Browsers:
    """Debian's Chromium, one process for each size of text that a person has set in it; started when first needed."""

    def __init__(self, playwright: Playwright) -> None:
        self._playwright = playwright
        self._running: dict[int, Browser] = {}

    def of(self, text_percent: int) -> Browser:
        """The browser in which text is set so large."""
        if text_percent not in self._running:
            size, fixed = 16 * text_percent // 100, 13 * text_percent // 100
            settings = f"--blink-settings=defaultFontSize={size},defaultFixedFontSize={fixed}"
            self._running[text_percent] = self._playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", settings]
            )
        return self._running[text_percent]

    def close(self) -> None:
        """Ends them all."""
        for one in self._running.values():
            one.close()


@contextlib.contextmanager
def chromium() -> Iterator[Browsers]:
    """Debian's Chromium. A test that misses it is skipped."""
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browsers = Browsers(playwright)
        try:
            yield browsers
        finally:
            browsers.close()


@dataclass
class Site:
    """The served application, browsers, and people who look at it.

    Args:
        complaints: what browsers said in their consoles: errors of scripts, breaches of the content security policy.
    """

    api: Api
    url: str
    browsers: Browsers
    complaints: list[str] = field(default_factory=list)
    _contexts: list[BrowserContext] = field(default_factory=list)

    def person(self, look: Look = LOOKS[0]) -> Page:
        """A new browser window, without cookies, that looks at the site in this way."""
        context = self.browsers.of(look.text_percent).new_context(
            base_url=self.url,
            viewport={"width": look.width, "height": look.height},
            locale=look.locale,
            color_scheme="dark" if look.dark else "light",
        )
        context.set_default_timeout(SECONDS * 1000)
        self._contexts.append(context)
        if not look.scripts:
            # Those of pages do not come, and no others may run; axe still does, which it would not with scripts off.
            context.route("**/*.js", lambda route: route.abort())
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("console", lambda said: self._hear(page, said))
        return page

    def _hear(self, page: Page, said: ConsoleMessage) -> None:
        # That an error page is an error is no complaint of the browser's.
        if said.type in ("error", "warning") and not said.text.startswith("Failed to load resource: "):
            self.complaints.append(f"{page.url}: {said.text}")

    def close(self) -> None:
        """Closes what was opened for people."""
        for context in self._contexts:
            context.close()
        self._contexts.clear()


def faults(page: Page) -> list[str]:
    """What is wrong with a page as it is now, whatever is on it."""
    return [*page.evaluate(LOOSE), *overflows(page), *axe(page)]


def axe(page: Page) -> list[str]:
    """What axe finds wrong, in words, each with the first elements."""
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": AXE_TAGS}, "resultTypes": ["violations"]})
    return [
        f"{one['id']}: {one['help']}: " + "; ".join(str(node["target"]) for node in one["nodes"][:5])
        for one in found.response["violations"]
    ]


def overflows(page: Page) -> list[str]:
    """The elements that stand out of the window to a side."""
    answer: list[str] = page.evaluate(OVERFLOW)
    return answer


def box(element: Locator) -> dict[str, float]:
    """Where an element stands."""
    found = element.bounding_box()
    assert found is not None, f"not seen: {element}"
    return dict(found)


# What the content security policy would not let be: a page must not lean on it. Axe and pictures leave empty styles.
LOOSE = """() => [...document.querySelectorAll("[style]:not([style='']), style, script:not([src]), [onclick]")]
  .map((one) => `of its own: ${one.outerHTML.slice(0, 80)}`)"""
OVERFLOW = (Path(__file__).parent / "overflow.js").read_text(encoding="utf-8")
