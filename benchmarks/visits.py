"""Customers who have come by a link, and the requests of their browsers for the desk."""

from __future__ import annotations

import http.client
import random
from datetime import UTC, datetime
from http.cookies import SimpleCookie

from benchmarks import life
from benchmarks.world import World
from consent_service.customers.service import resolve_many
from consent_service.database import Database
from consent_service.keyring.service import Keyring
from consent_service.links.model import Link, path_of
from consent_service.links.service import box

DESK = "/preferences"
ASKED_SECONDS = 10


def desks(world: World, port: int, count: int) -> list[bytes]:
    """Requests for their own desks by as many customers of the world, or by all there are."""
    return [_request(_cookie(port, link)) for link in _links(world, count)]


def _links(world: World, count: int) -> list[str]:
    numbers = random.Random("visits").sample(range(world.customers), min(world.customers, count))
    opened, keyring = Database(world.database.service_url, world.settings), Keyring(world.secret)
    try:
        with opened.reading() as conn:
            found = resolve_many(conn, keyring, [f"email:{life.email(one)}" for one in numbers])
            sealed, now = box(conn, keyring), datetime.now(UTC)
            return [
                path_of("preferences", sealed.write(Link("preferences", one.customer_id, now)))
                for one in found
                if one.customer_id is not None
            ]
    finally:
        opened.close()


def _cookie(port: int, link: str) -> str:
    """What the browser keeps once the link was followed."""
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=ASKED_SECONDS)
    asked.request("GET", link)
    kept = SimpleCookie(asked.getresponse().headers["Set-Cookie"])
    asked.close()
    return "; ".join(f"{name}={one.coded_value}" for name, one in kept.items())


def _request(cookie: str) -> bytes:
    lines = [
        f"GET {DESK} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Cookie: {cookie}",
        "Accept: text/html",
        "Accept-Encoding: gzip",
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii")
