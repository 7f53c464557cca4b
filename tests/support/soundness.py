"""One line for the end of a test: whatever it did to the service, the database agrees with itself."""

from __future__ import annotations

from consent_service.fsck import service
from consent_service.fsck.model import Report
from consent_service.keyring.service import Keyring
from tests.support.cluster import SECRET, TestDatabase


def inspected(database: TestDatabase, *, quick: bool = False, as_owner: bool = True) -> Report:
    """What `consent-service fsck` says of the database."""
    owner_url = database.owner_url if as_owner else None
    keyring = Keyring(SECRET.encode())
    return service.check(database.service_url, owner_url, keyring, quick=quick, progress=lambda _: lambda _: None)


def expect_sound(database: TestDatabase) -> Report:
    """Raises AssertionError, with the report, when fsck finds anything."""
    report = inspected(database)
    assert report.clean, "\n".join(report.lines())
    return report
