"""What a topic has from its ancestors: basis, default level, how long a consent lasts.

Owns the rule "own, else the nearest ancestor's that declares one". No I/O; faults go to the list of the
values it is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from consent_service.catalogue.model import BASES, Default, Level, Topic, ancestors
from consent_service.catalogue.values import LONGEST_LABEL, Value

# As long as the notation can say in whole days: a consent may outlast every period of a cap.
LONGEST_CONSENT_SECONDS = 9_999 * 86_400


class _Declared:
    """The fields of every topic, read once each, and the way up from a topic."""

    def __init__(self, fields: Mapping[str, Mapping[str, Value]], levels: Mapping[str, Level]) -> None:
        self.basis: dict[str, str | None] = {}
        self.default_level: dict[str, str | None] = {}
        self.consent_lasts: dict[str, int | None] = {}
        for path, own in fields.items():
            if "basis" in own:
                self.basis[path] = own["basis"].one_of(BASES, "basis")
            if "default_level" in own:
                self.default_level[path] = own["default_level"].one_of(levels, "level", "unknown_level")
            if "consent_lasts" in own:
                self.consent_lasts[path] = own["consent_lasts"].duration(LONGEST_CONSENT_SECONDS)


def _nearest(path: str, declaring: Mapping[str, object]) -> str | None:
    return next((place for place in _upwards(path) if place in declaring), None)


def _upwards(path: str) -> Iterator[str]:
    yield path
    yield from reversed(ancestors(path))


def effective_topics(
    items: Mapping[str, Value], fields: Mapping[str, Mapping[str, Value]], levels: Mapping[str, Level]
) -> dict[str, Topic]:
    """The topics in the order of the file, each with its effective values.

    Args:
        items: the topics' values by path. fields: the fields of each. levels: what a default may name.
    """
    declared = _Declared(fields, levels)
    return {
        path: _topic(path, position, item, fields[path], declared)
        for position, (path, item) in enumerate(items.items())
    }


def _topic(path: str, position: int, item: Value, own: Mapping[str, Value], declared: _Declared) -> Topic:
    basis_topic = _nearest(path, declared.basis)
    if basis_topic is None:
        item.fault("the topic has no basis, and no topic above it has one", "missing_field")
    basis = declared.basis[basis_topic] if basis_topic else None
    lasts_topic = _nearest(path, declared.consent_lasts)
    return Topic(
        name=path,
        position=position,
        basis=basis or "",
        basis_topic=basis_topic or "",
        default=_default(path, basis, item, own, declared),
        consent_lasts_seconds=declared.consent_lasts[lasts_topic] if lasts_topic else None,
        label=own["label"].texts(LONGEST_LABEL) if "label" in own else {},
        benefit=own["benefit"].texts(LONGEST_LABEL) if "benefit" in own else None,
    )


def _default(
    path: str, basis: str | None, item: Value, own: Mapping[str, Value], declared: _Declared
) -> Default | None:
    if basis == "legitimate_interest":
        found = _nearest(path, declared.default_level)
        if found is None:
            item.fault("legitimate_interest needs a default_level, here or on a topic above", "missing_field")
            return None
        return Default(declared.default_level[found] or "", found)
    if basis is not None and "default_level" in own:
        own["default_level"].fault(f"only legitimate_interest has a default_level; the basis here is {basis}")
    return None
