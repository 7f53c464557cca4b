"""Takes "send me my link" and answers it later: what a page says, and how soon, tells nobody who is a customer.

Owns `link_request`. Whoever is asked for, known or not, leaves the same row by the same statements; who it is, the
worker looks up. It must never be told on a page, nor by the time a page takes, what came of a request.
"""

from __future__ import annotations

import orjson
from uuid_utils.compat import uuid7

from consent_service.customers.model import Reference
from consent_service.database import Connection, Database, load
from consent_service.errors import ConsentError
from consent_service.keyring.model import NOBODY
from consent_service.keyring.service import Keyring
from consent_service.keys import service as keys

SQL = load("consent_service.links", "requests.sql")
# From one address of the network, whoever is asked for: there may be an office behind it, and no mailing.
MOST_A_MINUTE = 10


def ask(conn: Connection, keyring: Keyring, who: Reference, *, locale: str, client_address: str) -> None:
    """Notes that somebody asked for the link of `who`: an e-mail address, or a customer's id from their own visit.

    Args:
        locale: of the page, for customers who have none.

    Raises:
        ConsentError: rate_limited, when this client asked too often, for whomever.
    """
    service = keyring.service(conn)
    client = service.identity_hash("link-client", client_address).hex()
    used, resets_in_seconds = keys.count_request(conn, f"links:{client}")
    if used > MOST_A_MINUTE:
        raise ConsentError("rate_limited", headers={"Retry-After": str(resets_in_seconds)})
    request_id = uuid7()
    asked = orjson.dumps({"who": who.text, "locale": locale})
    conn.run(
        SQL["insert"],
        {
            "request_id": request_id,
            "address_hash": service.identity_hash("link-request", who.text),
            "ciphertext": keyring.find(conn, [NOBODY])[NOBODY].seal(asked, request_id.bytes),
        },
    )


def forget_old(database: Database) -> None:
    """Housekeeping: requests of more than a day ago, which limits no longer count."""
    with database.reading() as conn:
        conn.run(SQL["forget"])
