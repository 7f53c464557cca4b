"""Runs the SQL of this slice. Writers hold the customer's lock; nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from consent_service.database import Connection, load
from consent_service.dials.model import Change, Notice, Place
from consent_service.errors import ConsentError

SQL = load("consent_service.dials", "dials.sql")


def places(conn: Connection, customer_id: UUID, changes: Sequence[Change]) -> list[Place]:
    """The places of a change as they stand, in the order given.

    Raises:
        ConsentError: unknown_channel, unknown_topic or unknown_level, with the change's index.
    """
    rows = conn.run(
        SQL["places"],
        {
            "customer_id": customer_id,
            "channels": [change.channel for change in changes],
            "topics": [change.topic for change in changes],
            "levels": [change.level for change in changes],
        },
    ).fetchall()
    errors = [
        {
            "pointer": f"/changes/{index}/{name}",
            "code": f"unknown_{name}",
            "detail": f"There is no such {name}.",
        }
        for index, row in enumerate(rows)
        for name in ("channel", "topic", "level")
        if not row[f"{name}_known"]
    ]
    if errors:
        first = errors[0]
        raise ConsentError(first["code"], f"{first['pointer']}: {first['detail']}", errors=errors)
    return [_place(change, row) for change, row in zip(changes, rows, strict=True)]


def _place(change: Change, row: dict[str, Any]) -> Place:
    lasts = row["consent_lasts_seconds"]
    return Place(
        change=change,
        rest=row["rest"],
        standing=row["standing"] if row["level"] is not None else row["rest"],
        wanted=row["wanted"] if change.level is not None else row["rest"],
        level=row["level"],
        set_at=row["set_at"],
        last_act_at=row["last_act_at"],
        expires_at=row["expires_at"] if row["level"] is not None else None,
        consent_lasts=timedelta(seconds=lasts) if lasts is not None else None,
        retired=row["retired"],
        unconfirmed=tuple(row["unconfirmed"]),
    )


def turn(conn: Connection, customer_id: UUID, turned: Sequence[Place], **act: Any) -> None:
    """Writes dials. `act`: set_at, recorded_at, source, role, event_id."""
    conn.run(
        SQL["turn"],
        {
            "customer_id": customer_id,
            "channels": [place.change.channel for place in turned],
            "topics": [place.change.topic for place in turned],
            "levels": [place.change.level for place in turned],
            "expires_ats": [place.ends(act["set_at"]) for place in turned],
            **act,
        },
    )


def bump(conn: Connection, customer_id: UUID) -> None:
    """Counts a change of dials or pauses."""
    conn.run(SQL["bump"], {"customer_id": customer_id})


def version(conn: Connection, customer_id: UUID) -> int:
    """The version of a customer's dials and pauses."""
    row = conn.run(SQL["version"], {"customer_id": customer_id}).fetchone()
    assert row is not None
    found: int = row["version"]
    return found


def dials(conn: Connection, customer_id: UUID) -> list[dict[str, Any]]:
    """A customer's dials."""
    return conn.run(SQL["dials"], {"customer_id": customer_id}).fetchall()


def pauses(conn: Connection, customer_id: UUID) -> list[dict[str, Any]]:
    """A customer's pauses that have not ended."""
    return conn.run(SQL["pauses"], {"customer_id": customer_id}).fetchall()


def pause(conn: Connection, customer_id: UUID, channel: str) -> dict[str, Any] | None:
    """The pause of a channel or '*', ended or not."""
    return conn.run(SQL["pause"], {"customer_id": customer_id, "channel": channel}).fetchone()


def set_pause(conn: Connection, row: dict[str, Any]) -> None:
    """Replaces the pause of one channel."""
    conn.run(SQL["set_pause"], row)


def end_pause(conn: Connection, customer_id: UUID, channel: str) -> None:
    """Removes the pause of one channel."""
    conn.run(SQL["end_pause"], {"customer_id": customer_id, "channel": channel})


def require_channel(conn: Connection, channel: str) -> None:
    """Raises: ConsentError unknown_channel."""
    if channel != "*" and conn.run(SQL["channel_known"], {"channel": channel}).fetchone() is None:
        raise ConsentError("unknown_channel", "The catalogue has no such channel.")


def notice_text(conn: Connection, notice: Notice) -> str | None:
    """What the notice says in its language, word for word; None when the catalogue never had it."""
    asked = {"id": notice.id, "version": notice.version, "locale": notice.locale}
    row = conn.run(SQL["notice_text"], asked).fetchone()
    return row["text"] if row else None


def contact_places(conn: Connection) -> list[tuple[str, str]]:
    """(channel, topic) of every contact that can be asked about."""
    return [(row["channel"], row["topic"]) for row in conn.run(SQL["contact_places"])]


def now(conn: Connection) -> datetime:
    """The database's clock."""
    row = conn.run(SQL["now"]).fetchone()
    assert row is not None
    at: datetime = row["now"]
    return at


def seen_at(conn: Connection, customer_id: UUID) -> datetime | None:
    """Until when the customer has seen what others turned; None: never."""
    row = conn.run(SQL["seen_at"], {"customer_id": customer_id}).fetchone()
    return row["seen_at"] if row else None


def see(conn: Connection, customer_id: UUID, at: datetime) -> None:
    """Keeps that the customer has seen what was turned until then."""
    conn.run(SQL["see"], {"customer_id": customer_id, "seen_at": at})


def last_event(conn: Connection, customer_id: UUID) -> UUID | None:
    """The event that turned one of the customer's dials last."""
    row = conn.run(SQL["last_event"], {"customer_id": customer_id}).fetchone()
    return row["event_id"] if row else None
