"""Hands out data keys. Owns `customer_key`; must never keep a customer's clear key beyond the call.

Only the service's own key is kept in the process: it does not change while the database lives.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from consent_service.database import Connection, load
from consent_service.errors import ConsentError
from consent_service.keyring.model import NOBODY, DataKey, InvalidTag, RootSecret, ServiceKeys

SQL = load("consent_service.keyring", "keyring.sql")
REWRAP_BATCH = 1000


class Keyring:
    """Keys of customers and of the service.

    Args:
        secrets: the root secret in use, then earlier ones that may still wrap keys.
    """

    def __init__(self, *secrets: bytes) -> None:
        self._secrets = {root.secret_id: root for root in map(RootSecret, secrets)}
        self._current = RootSecret(secrets[0])
        self._service: ServiceKeys | None = None

    def service(self, conn: Connection) -> ServiceKeys:
        """The service's own keys; made when the database has none yet.

        Raises:
            ConsentError: internal, when the root secret is not the one that this database was made with.
        """
        if self._service is None:
            found = self._find(conn, [NOBODY])
            if NOBODY not in found:
                self.create(conn, [NOBODY])
                found = self._find(conn, [NOBODY])
            self._service = ServiceKeys.from_key(found[NOBODY])
        return self._service

    def create(self, conn: Connection, customer_ids: Iterable[UUID]) -> None:
        """Makes a data key for each customer that has none."""
        ids = list(customer_ids)
        conn.run(
            SQL["insert"],
            {
                "customer_ids": ids,
                "wrapped_keys": [self._current.wrap(owner, os.urandom(32)) for owner in ids],
                "secret_id": self._current.secret_id,
            },
        )

    def find(self, conn: Connection, customer_ids: Iterable[UUID]) -> Mapping[UUID, DataKey]:
        """The data keys of these customers; erased ones are missing. The nil uuid is the service's."""
        ids = set(customer_ids)
        keys = {owner: DataKey(key) for owner, key in self._find(conn, ids - {NOBODY}).items()}
        if NOBODY in ids:
            keys[NOBODY] = self.service(conn).data_key
        return keys

    def foresee(self, conn: Connection, customer_ids: Iterable[UUID]) -> None:
        """Says that `find` of these customers follows the next statement: both go in one round trip."""
        conn.foresee(SQL["find"], {"customer_ids": sorted(customer_ids)})

    def delete(self, conn: Connection, customer_ids: Iterable[UUID]) -> None:
        """Destroys data keys: what they sealed can never be opened again."""
        conn.run(SQL["delete"], {"customer_ids": list(customer_ids)})

    def rewrap(self, conn: Connection) -> int:
        """Wraps up to REWRAP_BATCH keys with the current secret that an earlier one wraps; how many it did."""
        rows = conn.run(
            SQL["wrapped_otherwise"], {"secret_id": self._current.secret_id, "most": REWRAP_BATCH}
        ).fetchall()
        if rows:
            clear = {row["customer_id"]: self._unwrap(row) for row in rows}
            conn.run(
                SQL["rewrap"],
                {
                    "customer_ids": list(clear),
                    "wrapped_keys": [self._current.wrap(owner, key) for owner, key in clear.items()],
                    "secret_id": self._current.secret_id,
                },
            )
        return len(rows)

    def count_wrapped_otherwise(self, conn: Connection) -> int:
        """How many keys are not wrapped with the current secret."""
        row = conn.run(SQL["count_wrapped_otherwise"], {"secret_id": self._current.secret_id}).fetchone()
        assert row is not None
        return int(row["keys"])

    def count_closed(self, conn: Connection) -> int:
        """How many keys none of the secrets at hand opens."""
        row = conn.run(SQL["count_closed"], {"secret_ids": list(self._secrets)}).fetchone()
        assert row is not None
        return int(row["keys"])

    def _find(self, conn: Connection, customer_ids: Iterable[UUID]) -> dict[UUID, bytes]:
        wanted = sorted(customer_ids)
        rows = conn.run(SQL["find"], {"customer_ids": wanted}) if wanted else ()
        return {row["customer_id"]: self._unwrap(row) for row in rows}

    def _unwrap(self, row: Mapping[str, Any]) -> bytes:
        root = self._secrets.get(row["secret_id"])
        if root is None:
            raise ConsentError("internal", "CONSENT_SECRET_KEY is not the secret that this database's keys need.")
        try:
            return root.unwrap(row["customer_id"], row["wrapped_key"])
        except InvalidTag as error:
            raise ConsentError("internal", "A stored key does not open: it was changed.") from error
