"""Desks for tests: of the application's database, and of people whose dials are told."""

from __future__ import annotations

from uuid import UUID

from consent_service.dials import looking
from consent_service.dials.desk import Cell, Desk, desk
from consent_service.dials.words import Sentences
from consent_service.i18n import words
from tests.support.api import Api


def desk_of(api: Api, customer: UUID) -> Desk:
    """The customer's desk as it stands."""
    with api.database.snapshot() as conn:
        return desk(looking.facts(conn, api.keyring, customer))


def cell(shown: Desk, channel: str, topic: str) -> Cell:
    """One contact place of a desk."""
    return next(
        one
        for top in shown.rows
        for row in top.walk()
        for one in row.cells
        if (one.channel.name, one.topic.name) == (channel, topic)
    )


def speaking(shown: Desk, locale: str = "en") -> Sentences:
    """The sentences of a desk."""
    return Sentences(words(locale, "Europe/London"), shown.facts.catalogue, shown.facts.at)
