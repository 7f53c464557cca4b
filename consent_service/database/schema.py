"""Which migrations this version needs, and which of them a database lacks.

It only reads. A database may have more than this version knows: an older version goes on working on the schema
of the next one (docs/decisions/0006).
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import as_file, files

from consent_service.database.connection import Connection
from consent_service.errors import Unavailable

_MARKS = "public._yoyo_migration"


def known() -> list[str]:
    """Names of the migrations that this version brings, oldest first."""
    with as_file(files("consent_service") / "migrations") as folder:
        return sorted(path.stem for path in folder.glob("*.sql"))


def newer_than_us(names: Iterable[str]) -> list[str]:
    """Those of these migrations that this version does not know: a newer one made them."""
    return sorted(set(names) - set(known()))


def require(conn: Connection) -> None:
    """Returns when the database has every migration of this version.

    Raises:
        Unavailable: it lacks some; the detail names them.
    """
    row = conn.execute(
        "SELECT COALESCE(has_table_privilege(to_regclass(%s), 'SELECT'), false) AS readable", [_MARKS]
    ).fetchone()
    if row is None or not row["readable"]:
        raise Unavailable("The schema is not that of this version. Run `consent-service migrate`.")
    found = {one["migration_id"] for one in conn.execute("SELECT migration_id FROM _yoyo_migration")}
    if missing := [name for name in known() if name not in found]:
        raise Unavailable(f"The schema lacks {', '.join(missing)}. Run `consent-service migrate`.")
