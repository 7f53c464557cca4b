"""Unsubscribes by a mail program's one click: the customer's own act, quieter, and never refused."""

from __future__ import annotations

from consent_service.catalogue.service import hold_catalogue
from consent_service.database import Connection
from consent_service.dials import service as dials
from consent_service.dials.model import Change, Wish
from consent_service.history.model import Actor
from consent_service.keyring.service import Keyring
from consent_service.links.service import SQL, open_link


def unsubscribe(conn: Connection, keyring: Keyring, token: str, *, request_id: str) -> bool:
    """Turns what the link's message was about to silent; False when the link is none of ours. Again: nothing.

    An erased customer is left alone already.
    """
    opened = open_link(conn, keyring, "unsubscribe", token)
    if opened is None:
        return False
    hold_catalogue(conn)
    asked = {"channel": opened.link.channel, "topic": opened.link.topic}
    found = conn.run(SQL["unsubscribing"], asked).fetchone()
    if opened.is_erased or found is None:
        return True
    themself = Actor(
        "customer", str(opened.customer_id), request_id, customer_id=opened.customer_id, link=opened.campaign
    )
    changes = tuple(Change(channel, found["topic"], found["level"]) for channel in found["channels"])
    dials.turn(conn, keyring, themself, opened.customer_id, Wish(changes, "link"))
    return True
