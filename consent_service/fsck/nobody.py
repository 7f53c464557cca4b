"""What the events that are no customer's say: keys, catalogues, erasures, stops on contact points. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from consent_service.catalogue.service import fingerprint
from consent_service.customers.ids import decode_id
from consent_service.fsck.retelling import Told

Row = Mapping[str, Any]


class Nobody:
    """The events of the nil uuid, told again. `erased` are customers to be confirmed as erased, a few at a time."""

    def __init__(self) -> None:
        self.erased: list[UUID] = []
        self._erasures = 0
        self._points: dict[UUID, tuple[str, str | None, str, datetime]] = {}
        self._keys: dict[str, dict[str, Any]] = {}
        self._versions: dict[int, str] = {}

    def hear(self, told: Told) -> Iterator[tuple[str, str]]:
        """Takes the next event; (check, id) of what it shows to be wrong."""
        content = told.content
        if told.type == "customer.erased":
            self.erased.append(UUID(content["customer_id"]))
            self._erasures += 1
        elif told.type == "suppression.set":
            self._points[_own_id(content["after"])] = _point(content["after"])
        elif told.type == "suppression.lifted":
            self._points.pop(_own_id(content["before"]), None)
        elif told.type == "key.created":
            after = content["after"]
            self._keys[after["key_id"]] = {**after, "revoked": False}
        elif told.type == "key.revoked":
            if content["before"]["key_id"] in self._keys:
                self._keys[content["before"]["key_id"]]["revoked"] = True
        elif told.type == "catalogue.applied":
            after = content["after"]
            if after["version"] in self._versions:
                yield "catalogue_differs_from_events", str(after["version"])
            self._versions[after["version"]] = after["sha256"]

    def take_erased(self) -> list[UUID]:
        """Whom the events since the last call erased."""
        taken, self.erased = self.erased, []
        return taken

    def compare(
        self, *, points: Iterable[Row], keys: Iterable[Row], versions: Iterable[Row], erased: int
    ) -> Iterator[tuple[str, str]]:
        """(check, id) of each difference between what was told and what stands."""
        stand = {row["suppression_id"]: _point_row(row) for row in points}
        for point in _differing(self._points, stand):
            yield "suppression_differs_from_events", str(point)
        key_rows = {
            str(row["key_id"]): {**row, "key_id": str(row["key_id"]), "topics": _list(row["topics"])} for row in keys
        }
        for key in _differing(self._keys, key_rows):
            yield "key_differs_from_events", str(key)
        documents = {row["version"]: fingerprint(row["document"]) for row in versions}
        for version in _differing(self._versions, documents):
            yield "catalogue_differs_from_events", str(version)
        if erased != self._erasures:
            yield "erasure_differs_from_events", f"{self._erasures} events, {erased} customers"


def _differing(told: Mapping[Any, Any], stands: Mapping[Any, Any]) -> Iterator[Any]:
    return (one for one in told.keys() | stands.keys() if told.get(one) != stands.get(one))


def _own_id(stop: Row) -> UUID:
    decoded = decode_id(stop["id"])
    if decoded is None:
        raise ValueError("an id that is none of ours")
    return decoded[1]


def _point(stop: Row) -> tuple[str, str | None, str, datetime]:
    return stop["identifier_kind"], stop["channel"], stop["kind"], datetime.fromisoformat(stop["set_at"])


def _point_row(row: Row) -> tuple[str, str | None, str, datetime]:
    return row["identifier_kind"], row["channel"], row["kind"], row["set_at"]


def _list(topics: Iterable[str] | None) -> list[str] | None:
    return list(topics) if topics is not None else None
