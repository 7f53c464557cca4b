"""What waits for a confirmation, as plain sentences. Decides nothing."""

from __future__ import annotations

from datetime import datetime

from consent_service.catalogue.model import Catalogue
from consent_service.confirmations.model import Asked
from consent_service.dials.words import Sentences
from consent_service.i18n import Words


def told(asked: Asked, words: Words, catalogue: Catalogue, at: datetime, *, left: bool = False) -> list[str]:
    """What is asked for, a sentence each, without markup.

    Args:
        left: only what the confirmation left as it was; else only what it did not leave.
    """
    says = Sentences(words, catalogue, at)
    lines = []
    for one in asked.changes:
        if ((one.channel, one.topic) in asked.left) == left:
            place = says.place((one.channel, one.topic)).striptags()
            if one.level is not None and one.level in catalogue.levels:
                level = catalogue.levels[one.level]
                meaning = says.meaning(level).striptags()
                name = says.level(level).striptags()
                lines.append(
                    words.gettext("%(place)s: %(level)s. %(meaning)s", place=place, level=name, meaning=meaning)
                )
            else:
                lines.append(words.gettext("%(place)s: no setting of its own any more", place=place))
    for channel, until in asked.pauses.items():
        if (channel in asked.left_pauses) == left:
            lines.append(_pause(says, words, channel, until))
    return lines


def _pause(says: Sentences, words: Words, channel: str, until: datetime | None) -> str:
    place = says.place((channel, "*")).striptags()
    if until is None:
        return words.gettext("The pause ends: %(place)s", place=place)
    return words.gettext("The pause ends on %(date)s: %(place)s", date=words.date(until), place=place)
