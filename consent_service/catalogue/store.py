"""All SQL of the catalogue. Reads and writes what it is told; judges nothing and never commits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, time
from typing import Any

from psycopg.types.json import Json, Jsonb

from consent_service.catalogue.louder_words import InUse
from consent_service.catalogue.model import (
    CATALOGUE_LOCK,
    Cap,
    Catalogue,
    Channel,
    Default,
    IdentifierKind,
    Level,
    Notice,
    Policy,
    QuietHours,
    Topic,
)
from consent_service.database import Connection, load

SQL = load("consent_service.catalogue", "catalogue.sql")
Row = Mapping[str, Any]


def lock(conn: Connection) -> datetime:
    """Waits until no decision runs, keeps others from starting until commit, and answers the time then."""
    conn.run(SQL["lock"], {"lock": CATALOGUE_LOCK})
    return _value(conn, "now", {})  # type: ignore[no-any-return]


def share(conn: Connection) -> None:
    """Keeps `lock` waiting until this transaction ends; many may hold it at once. Sent with the next statement."""
    conn.queue(SQL["share"], {"lock": CATALOGUE_LOCK})


def current(conn: Connection) -> Row | None:
    """version, document, applied_at, retired_channels and retired_topics; None before the first catalogue."""
    return conn.run(SQL["current"]).fetchone()


def zone_is_known(conn: Connection, zone: str) -> bool:
    """True when the database server can reckon in this time zone."""
    return bool(_value(conn, "zone_is_known", {"zone": zone}))


def in_use(conn: Connection, catalogue: Catalogue) -> InUse:
    """What customers' settings stand on."""
    if not _value(conn, "has_customers", {}):
        return InUse(customers=False, dials=_dials(conn))
    return InUse(
        customers=True,
        dials=_dials(conn),
        retired_channels=frozenset(catalogue.channels.keys() - catalogue.live_channels.keys()),
        retired_topics=frozenset(catalogue.topics.keys() - catalogue.live_topics.keys()),
    )


def _dials(conn: Connection) -> frozenset[tuple[str, str, str]]:
    rows = conn.run(SQL["dials_in_use"])
    return frozenset((row["channel"], row["topic"], row["level"]) for row in rows)


def standing(conn: Connection, what: str, names: Collection[str]) -> set[str]:
    """Those of the names on which something of a customer's stands.

    Args:
        what: channels, topics, segments or kinds.
    """
    if not names:
        return set()
    return {row["name"] for row in conn.run(SQL[f"standing_{what}"], {"names": sorted(names)})}


def _value(conn: Connection, statement: str, parameters: Row) -> Any:
    row = conn.run(SQL[statement], parameters).fetchone()
    return next(iter(row.values())) if row else None


# Reading the tables back.


def find(conn: Connection) -> Catalogue | None:
    """The catalogue as the tables have it, with retired parts and every notice; None before the first one."""
    row = conn.run(SQL["load"]).fetchone()
    if row is None:
        return None
    return Catalogue(
        time_zone=row["time_zone"],
        identifier_kinds={
            kind["name"]: IdentifierKind(kind["name"], kind["shared"]) for kind in row["identifier_kinds"] or []
        },
        segments=frozenset(row["segments"]),
        levels={level["name"]: _level(level) for level in row["levels"] or []},
        channels={channel["name"]: _channel(channel) for channel in row["channels"] or []},
        topics={topic["name"]: _topic(topic) for topic in row["topics"] or []},
        policies=tuple(_policy(policy) for policy in row["policies"] or []),
        notices={
            (notice["notice_id"], notice["version"]): Notice(notice["notice_id"], notice["version"], notice["text"])
            for notice in row["notices"] or []
        },
        document=row["document"],
        version=row["version"],
    )


def _level(row: Row) -> Level:
    cap = Cap(row["contacts"], row["per_seconds"]) if row["mode"] == "capped" else None
    return Level(row["name"], row["position"], row["mode"], cap, row["label"])


def _channel(row: Row) -> Channel:
    quiet_hours = None
    if row["quiet_from"] is not None:
        quiet_hours = QuietHours(time.fromisoformat(row["quiet_from"]), time.fromisoformat(row["quiet_to"]))
    return Channel(
        name=row["name"],
        position=row["position"],
        identifier_kind=row["identifier_kind"],
        quiet_hours=quiet_hours,
        confirm=row["confirm"],
        label=row["label"],
        retired=row["retired_at"] is not None,
    )


def _topic(row: Row) -> Topic:
    return Topic(
        name=row["name"],
        position=row["position"],
        basis=row["basis"],
        basis_topic=row["basis_topic"],
        default=Default(row["default_level"], row["default_topic"]) if row["default_level"] else None,
        consent_lasts_seconds=row["consent_lasts_seconds"],
        label=row["label"],
        benefit=row["benefit"],
        retired=row["retired_at"] is not None,
    )


def _policy(row: Row) -> Policy:
    return Policy(
        name=row["name"],
        position=row["position"],
        channel=row["channel"],
        topic=row["topic"],
        cap=Cap(row["contacts"], row["per_seconds"]),
        segment=row["segment"],
    )


# Writing them.


def put(conn: Connection, catalogue: Catalogue, *, version: int, now: datetime, accepted_louder: Sequence[Row]) -> None:
    """Writes all that a catalogue declares, and the version. What it no longer declares stays."""
    written = {"version": version, "document": Json(dict(catalogue.document)), "now": now}
    conn.run(SQL["put_catalogue"], {**written, "time_zone": catalogue.time_zone})
    conn.run(SQL["put_version"], {**written, "accepted_louder": Jsonb(list(accepted_louder))})
    kinds = [{"name": kind.name, "shared": kind.shared} for kind in catalogue.identifier_kinds.values()]
    conn.run(SQL["put_kinds"], {"rows": Jsonb(kinds)})
    conn.run(SQL["put_segments"], {"names": sorted(catalogue.segments)})
    for statement, rows in (
        ("put_levels", [_level_row(level) for level in catalogue.levels.values()]),
        ("put_channels", [_channel_row(channel) for channel in catalogue.channels.values()]),
        ("put_topics", [_topic_row(topic) for topic in catalogue.topics.values()]),
        ("put_notices", [_notice_row(notice) for notice in catalogue.notices.values()]),
    ):
        conn.run(SQL[statement], {"rows": Jsonb(rows)})
    conn.run(SQL["delete_policies"])
    conn.run(SQL["put_policies"], {"rows": Jsonb([_policy_row(policy) for policy in catalogue.policies])})


def retire(conn: Connection, *, channels: Collection[str], topics: Collection[str], now: datetime) -> None:
    """Marks channels and topics as retired: asked for no more, and never deleted."""
    conn.run(SQL["retire_channels"], {"names": sorted(channels), "now": now})
    conn.run(SQL["retire_topics"], {"names": sorted(topics), "now": now})


def delete_unused(
    conn: Connection, catalogue: Catalogue, *, channels: Collection[str], topics: Collection[str]
) -> None:
    """Deletes these channels and topics, and levels, segments and kinds that the catalogue lacks."""
    conn.run(SQL["delete_topics"], {"names": sorted(topics)})
    conn.run(SQL["delete_channels"], {"names": sorted(channels)})
    conn.run(SQL["delete_levels"], {"names": sorted(catalogue.levels)})
    conn.run(SQL["delete_segments"], {"names": sorted(catalogue.segments)})
    conn.run(SQL["delete_kinds"], {"names": sorted(catalogue.identifier_kinds)})


def _level_row(level: Level) -> Row:
    return {
        "name": level.name,
        "position": level.position,
        "mode": level.mode,
        "contacts": level.cap.contacts if level.cap else None,
        "per_seconds": level.cap.per_seconds if level.cap else None,
        "label": level.label,
    }


def _channel_row(channel: Channel) -> Row:
    quiet = channel.quiet_hours
    return {
        "name": channel.name,
        "position": channel.position,
        "identifier_kind": channel.identifier_kind,
        "quiet_from": quiet.starts.isoformat() if quiet else None,
        "quiet_to": quiet.ends.isoformat() if quiet else None,
        "confirm": channel.confirm,
        "label": channel.label,
    }


def _topic_row(topic: Topic) -> Row:
    return {
        "name": topic.name,
        "position": topic.position,
        "basis": topic.basis,
        "essential": topic.essential,
        "covered_by": topic.covered_by,
        "default_level": topic.default.level if topic.default else None,
        "default_topic": topic.default.topic if topic.default else None,
        "basis_topic": topic.basis_topic,
        "consent_lasts_seconds": topic.consent_lasts_seconds,
        "label": topic.label,
        "benefit": topic.benefit,
    }


def _policy_row(policy: Policy) -> Row:
    return {
        "position": policy.position,
        "name": policy.name,
        "channel": policy.channel,
        "topic": policy.topic,
        "contacts": policy.cap.contacts,
        "per_seconds": policy.cap.per_seconds,
        "segment": policy.segment,
    }


def _notice_row(notice: Notice) -> Row:
    return {"notice_id": notice.notice_id, "version": notice.version, "text": notice.text}
