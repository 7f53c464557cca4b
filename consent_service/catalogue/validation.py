"""Judges a catalogue document and makes a Catalogue of it. No I/O; finds every fault in one pass.

Each section's reader answers what it could read, with fillings in the places of faults; nothing of that
leaves this module unless there was no fault at all. Source: the contract's page on the catalogue file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

from consent_service.catalogue.inheritance import effective_topics
from consent_service.catalogue.model import (
    BUILT_IN_KINDS,
    EVERY,
    MODES,
    Cap,
    Catalogue,
    Channel,
    IdentifierKind,
    Level,
    Notice,
    Policy,
    QuietHours,
    Topic,
)
from consent_service.catalogue.values import LONGEST_LABEL, MOST_CONTACTS, Fault, Value
from consent_service.clock import LONGEST_PERIOD_SECONDS
from consent_service.errors import ConsentError

MOST_KINDS = 64
MOST_SEGMENTS = 1_000
MOST_LEVELS = 64
MOST_CHANNELS = 64
MOST_TOPICS = 2_000
MOST_POLICIES = 200
MOST_NOTICES = 1_000
LONGEST_NOTICE = 20_000
LONGEST_NAME = 200
# `id` names a customer by our own id (`id:<uuid>`), so no kind of identifier can have that name.
RESERVED_KIND = "id"


def parse_catalogue(document: object) -> Catalogue:
    """The catalogue that a document describes, with effective values.

    Raises:
        ConsentError: invalid_catalogue; `errors` holds every fault with its pointer.
    """
    faults: list[Fault] = []
    catalogue = _catalogue(Value(document, "", faults))
    if faults:
        raise invalid_catalogue(faults)
    return catalogue


def invalid_catalogue(faults: Collection[Fault]) -> ConsentError:
    """The refusal that lists these faults; its detail tells the first one."""
    first = next(iter(faults))
    count = "one fault" if len(faults) == 1 else f"{len(faults)} faults, of which the first"
    return ConsentError(
        "invalid_catalogue",
        f"The catalogue has {count}: {first.pointer or '/'}: {first.detail}.",
        errors=[fault.as_error() for fault in faults],
    )


def _catalogue(root: Value) -> Catalogue:
    parts = root.fields(
        ("time_zone", "levels", "channels", "topics"), ("identifiers", "segments", "policies", "notices")
    )
    kinds = _kinds(parts.get("identifiers"))
    segments = _segments(parts.get("segments"))
    levels = _levels(parts.get("levels"))
    channels = _channels(parts.get("channels"), kinds)
    topics = _topics(parts.get("topics"), levels)
    zone = parts.get("time_zone")
    return Catalogue(
        time_zone=(zone.time_zone() if zone else None) or "",
        identifier_kinds=kinds,
        segments=segments,
        levels=levels,
        channels=channels,
        topics=topics,
        policies=_policies(parts.get("policies"), channels, topics, segments),
        notices=_notices(parts.get("notices")),
        document=cast(Mapping[str, Any], root.content),
    )


def _kinds(value: Value | None) -> dict[str, IdentifierKind]:
    kinds = {kind.name: kind for kind in BUILT_IN_KINDS}
    for item in value.items(MOST_KINDS) if value else []:
        shared = False
        named = item
        if isinstance(item.content, Mapping):
            fields = item.fields(("kind",), ("shared",))
            shared = bool("shared" in fields and fields["shared"].truth())
            if "kind" not in fields:
                continue
            named = fields["kind"]
        name = named.name()
        if name is None:
            continue
        if name == RESERVED_KIND:
            named.fault("the kind id is taken: it names customers by our own id")
        elif name in kinds:
            detail = f"the kind {name} is declared already (email, phone and postal always are)"
            named.fault(detail, "duplicate_key")
        else:
            kinds[name] = IdentifierKind(name, shared)
    return kinds


def _segments(value: Value | None) -> frozenset[str]:
    segments: set[str] = set()
    for item in value.items(MOST_SEGMENTS) if value else []:
        name = item.name()
        if name in segments:
            item.fault(f"the segment {name} stands twice", "duplicate_key")
        elif name is not None:
            segments.add(name)
    return frozenset(segments)


def _levels(value: Value | None) -> dict[str, Level]:
    levels: dict[str, Level] = {}
    modes: list[str | None] = []
    for position, item in enumerate(value.items(MOST_LEVELS) if value else []):
        fields = item.fields(("name", "mode"), ("contacts", "per", "label"))
        name = fields["name"].name() if "name" in fields else None
        mode = fields["mode"].one_of(MODES, "mode") if "mode" in fields else None
        cap = _level_cap(item, fields, mode)
        loudest = max((MODES.index(earlier) for earlier in modes if earlier), default=0)
        if mode and MODES.index(mode) < loudest:
            fields["mode"].fault("levels stand quietest first: silent, on_request, capped, open")
        modes.append(mode)
        if name in levels:
            fields["name"].fault(f"the level {name} stands twice", "duplicate_key")
        elif name is not None:
            levels[name] = Level(name, position, mode or "", cap, _label(fields))
    if value and isinstance(value.content, list) and modes.count("silent") != 1 and None not in modes:
        value.fault(f"exactly one level has the mode silent; here are {modes.count('silent')}")
    return levels


def _level_cap(item: Value, fields: dict[str, Value], mode: str | None) -> Cap | None:
    if mode == "capped":
        return _cap(item, fields)
    for name in ("contacts", "per"):
        if name in fields and mode:
            fields[name].fault(f"only a level of mode capped has {name}")
    return None


def _cap(item: Value, fields: dict[str, Value]) -> Cap:
    for name in ("contacts", "per"):
        if name not in fields:
            item.missing(name)
    contacts = fields["contacts"].whole_number(1, MOST_CONTACTS) if "contacts" in fields else None
    per_seconds = fields["per"].duration(LONGEST_PERIOD_SECONDS) if "per" in fields else None
    return Cap(contacts or 0, per_seconds or 0)


def _label(fields: dict[str, Value]) -> dict[str, str]:
    return fields["label"].texts(LONGEST_LABEL) if "label" in fields else {}


def _channels(value: Value | None, kinds: Collection[str]) -> dict[str, Channel]:
    channels: dict[str, Channel] = {}
    for position, (name, item) in enumerate((value.members(MOST_CHANNELS) if value else {}).items()):
        item.is_named().name()
        fields = item.fields(("identifier",), ("confirm", "label", "quiet_hours"))
        kind = None
        if "identifier" in fields:
            kind = fields["identifier"].one_of(kinds, "kind of identifier", "unknown_identifier_kind")
        channels[name] = Channel(
            name=name,
            position=position,
            identifier_kind=kind or "",
            quiet_hours=_quiet_hours(fields["quiet_hours"]) if "quiet_hours" in fields else None,
            confirm=bool("confirm" in fields and fields["confirm"].truth()),
            label=_label(fields),
        )
    return channels


def _quiet_hours(value: Value) -> QuietHours | None:
    fields = value.fields(("from", "to"))
    if len(fields) < 2:
        return None
    starts, ends = fields["from"].clock_time(), fields["to"].clock_time()
    if starts is None or ends is None:
        return None
    if starts == ends:
        value.fault("quiet hours begin and end at different times")
        return None
    return QuietHours(starts, ends)


def _topics(value: Value | None, levels: Mapping[str, Level]) -> dict[str, Topic]:
    declared: dict[str, dict[str, Value]] = {}
    items = value.members(MOST_TOPICS) if value else {}
    for path, item in items.items():
        item.is_named().topic_path()
        declared[path] = item.fields((), ("basis", "default_level", "consent_lasts", "label", "benefit"))
    return effective_topics(items, declared, levels)


def _policies(
    value: Value | None, channels: Collection[str], topics: Collection[str], segments: Collection[str]
) -> tuple[Policy, ...]:
    policies: dict[str, Policy] = {}
    for position, item in enumerate(value.items(MOST_POLICIES) if value else []):
        fields = item.fields(("name", "channel", "topic", "contacts", "per"), ("segment",))
        if not {"name", "channel", "topic", "contacts", "per"} <= fields.keys():
            continue
        name = fields["name"].text(LONGEST_NAME) or ""
        policy = Policy(
            name=name,
            position=position,
            channel=fields["channel"].one_of((EVERY, *channels), "channel", "unknown_channel") or "",
            topic=fields["topic"].one_of((EVERY, *topics), "topic", "unknown_topic") or "",
            cap=_cap(item, fields),
            segment=(
                fields["segment"].one_of(sorted(segments), "segment", "unknown_segment")
                if "segment" in fields
                else None
            ),
        )
        if name in policies:
            fields["name"].fault(f"the policy {name} stands twice", "duplicate_key")
        policies[name] = policy
    return tuple(policies.values())


def _notices(value: Value | None) -> dict[tuple[str, str], Notice]:
    notices: dict[tuple[str, str], Notice] = {}
    for item in value.items(MOST_NOTICES) if value else []:
        fields = item.fields(("id", "version", "text"))
        if len(fields) < 3:
            continue
        notice_id = fields["id"].text(LONGEST_NAME) or ""
        version = fields["version"].text(LONGEST_NAME) or ""
        if (notice_id, version) in notices:
            item.fault(f"version {version} of the notice {notice_id} stands twice", "duplicate_key")
        text = fields["text"].texts(LONGEST_NOTICE, lines=True)
        notices[notice_id, version] = Notice(notice_id, version, text)
    return notices
