"""What the service's login may do to the tables, and what the tables allow to nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from consent_service.database import Database
from tests.support.api import CATALOGUE, Api
from tests.support.cluster import TestDatabase

ROLE = "consent_service"
HISTORY = ("event", "event_content")
ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"
# Nothing of a customer's stands here.
NO_CUSTOMERS = {
    "api_key",
    "desk_session",
    "request_count",
    "erased_contact_total",
    "catalogue",
    "catalogue_version",
    "level",
    "channel",
    "topic",
    "identifier_kind",
    "segment",
    "policy",
    "notice",
}
OURS = "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'"
NOT_YOYOS = r"c.relname NOT LIKE '%%yoyo%%'"


@pytest.fixture(scope="module")
def filled(module_database: TestDatabase) -> Iterator[TestDatabase]:
    """A database in which each kind of thing has happened once."""
    api = Api(module_database, CATALOGUE)
    owner = api.customer("email:ben@example.com", "postal:1 High Street")
    assert api.turn(owner, ("email", "offers", "everything")).status_code == 200
    asked = {"customer": f"id:{owner}", "channel": "email", "topic": "offers"}
    headers = {"Idempotency-Key": "once"}
    assert api.post("/v1/permits", asked, headers=headers).status_code == 201
    assert api.post("/v1/contacts", asked).status_code == 201
    api.close()
    return module_database


@pytest.fixture
def service(filled: TestDatabase) -> Iterator[psycopg.Connection]:
    """A connection as the service has it, in the role that its pool takes."""
    database = Database(filled.service_url, filled.settings())
    with database.reading() as conn:
        yield conn
    database.close()


def tables(conn: psycopg.Connection) -> list[str]:
    """Our tables."""
    found = conn.execute(f"SELECT c.relname AS name {OURS} WHERE c.relkind IN ('r', 'p') AND {NOT_YOYOS} ORDER BY 1")
    return [row["name"] if isinstance(row, dict) else row[0] for row in found]


def refuse(conn: psycopg.Connection, statement: str, error: type[psycopg.Error]) -> None:
    """Fails unless the statement is refused with this error."""
    with pytest.raises(error):
        conn.execute(statement)


def test_the_pool_acts_as_the_role_that_owns_nothing(service: psycopg.Connection) -> None:
    assert service.execute("SELECT current_user::text AS name").fetchone() == {"name": ROLE}
    owned = service.execute(
        "SELECT count(*) AS owned FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid"
        " WHERE d.deptype = 'o' AND r.rolname = %s",
        [ROLE],
    )
    assert owned.fetchone() == {"owned": 0}


def test_the_role_has_no_powers_of_its_own(service: psycopg.Connection) -> None:
    powers = service.execute(
        "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls AS has_power"
        " FROM pg_roles WHERE rolname = %s",
        [ROLE],
    )
    assert powers.fetchone() == {"has_power": False}
    member = service.execute(
        "SELECT count(*) AS of_others FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = %s",
        [ROLE],
    )
    assert member.fetchone() == {"of_others": 0}


@pytest.mark.parametrize("table", HISTORY)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {} SET customer_id = customer_id",
        "UPDATE {} SET customer_id = customer_id WHERE false",
        "DELETE FROM {}",
        "DELETE FROM {} WHERE false",
        "TRUNCATE {}",
        "TRUNCATE {} CASCADE",
        "INSERT INTO {0} TABLE {0} ON CONFLICT (customer_id, event_id) DO UPDATE SET event_id = excluded.event_id",
        "MERGE INTO {0} USING {0} AS old ON old.event_id = {0}.event_id WHEN MATCHED THEN DELETE",
        "DO $$ BEGIN LOCK TABLE {} IN EXCLUSIVE MODE; END $$",
        "ALTER TABLE {} DISABLE TRIGGER ALL",
        "DROP TABLE {} CASCADE",
    ],
)
def test_the_service_cannot_change_or_delete_history(service: psycopg.Connection, table: str, statement: str) -> None:
    refuse(service, statement.format(table), psycopg.errors.InsufficientPrivilege)


def test_the_service_reads_and_adds_history(service: psycopg.Connection) -> None:
    for table in HISTORY:
        count = service.execute(f"SELECT count(*) AS events FROM {table}").fetchone()
        assert count is not None
        assert count["events"] >= 4


@pytest.mark.parametrize("table", HISTORY)
@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET customer_id = customer_id", "DELETE FROM {}", "TRUNCATE {} CASCADE"]
)
def test_even_the_owner_is_stopped_by_the_trigger(filled: TestDatabase, table: str, statement: str) -> None:
    with filled.owner() as conn:
        before = conn.execute(f"SELECT count(*) FROM {table}").fetchone()
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            conn.execute(statement.format(table))
        assert conn.execute(f"SELECT count(*) FROM {table}").fetchone() == before


def test_the_service_cannot_truncate_any_table(service: psycopg.Connection) -> None:
    found = tables(service)
    assert len(found) > 20
    for table in found:
        refuse(service, f"TRUNCATE {table} CASCADE", psycopg.errors.InsufficientPrivilege)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.mine (a integer)",
        "CREATE TABLE mine AS SELECT 1",
        "SELECT 1 AS a INTO public.mine",
        "CREATE VIEW public.mine AS SELECT 1",
        "CREATE INDEX mine ON contact (campaign)",
        "CREATE SEQUENCE public.mine",
        "CREATE TYPE public.mine AS (a integer)",
        "CREATE FUNCTION public.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION refuse_to_change_history() RETURNS trigger AS 'BEGIN END' LANGUAGE plpgsql",
        "CREATE TRIGGER mine BEFORE INSERT ON event EXECUTE FUNCTION refuse_to_change_history()",
        "CREATE RULE mine AS ON INSERT TO event DO INSTEAD NOTHING",
        "CREATE SCHEMA mine",
        "CREATE DATABASE mine",
        "CREATE ROLE mine",
        "DROP EXTENSION plpgsql CASCADE",
        "ALTER TABLE contact ADD COLUMN mine integer",
        "ALTER TABLE event DROP CONSTRAINT event_pkey",
        "ALTER TABLE customer RENAME TO mine",
        "ALTER FUNCTION refuse_to_change_history() RENAME TO mine",
        "ALTER ROLE consent_service SUPERUSER",
        "ALTER SYSTEM SET fsync = off",
        "DROP TABLE contact",
        "DROP INDEX contact_window",
        "DROP TRIGGER event_is_append_only ON event",
        "DROP FUNCTION refuse_to_change_history() CASCADE",
        "REINDEX TABLE contact",
        "SET session_replication_role = replica",
        "COPY customer TO PROGRAM 'true'",
        "COPY customer FROM '/dev/null'",
        "SELECT pg_read_file('postgresql.conf')",
    ],
)
def test_the_service_cannot_define_anything(service: psycopg.Connection, statement: str) -> None:
    refuse(service, statement, psycopg.errors.InsufficientPrivilege)


def test_the_service_cannot_touch_the_list_of_migrations(filled: TestDatabase, service: psycopg.Connection) -> None:
    with filled.owner() as conn:
        listed = [row[0] for row in conn.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE '%yoyo%'")]
    assert listed
    for table in listed:
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET migration_id = 'x'", f"TRUNCATE {table}"):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedColumn)):
                service.execute(statement)


def test_a_version_of_the_catalogue_and_a_notice_stay(service: psycopg.Connection) -> None:
    for table in ("catalogue_version", "notice"):
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET version = version"):
            refuse(service, statement, psycopg.errors.InsufficientPrivilege)
    refuse(service, "DELETE FROM customer", psycopg.errors.InsufficientPrivilege)
    refuse(service, "DELETE FROM api_key", psycopg.errors.InsufficientPrivilege)


def test_the_service_cannot_give_itself_more(service: psycopg.Connection) -> None:
    held = (
        "SELECT table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee = %s ORDER BY 1, 2"
    )
    before = service.execute(held, [ROLE]).fetchall()
    service.execute("SET client_min_messages = error")  # whoever holds some privilege is only warned
    for table in HISTORY:
        service.execute(f"GRANT ALL ON {table} TO {ROLE}")
    assert service.execute(held, [ROLE]).fetchall() == before
    assert {"table_name": "event", "privilege_type": "INSERT"} in before
    assert {"table_name": "event", "privilege_type": "DELETE"} not in before


# The shape of the tables.


def exceptions() -> set[str]:
    """The tables that docs/architecture.md lets be led by something else than the customer."""
    text = ARCHITECTURE.read_text(encoding="utf-8")
    match = re.search(r"Exceptions,\s+each led by its own key.*?\.", text, re.DOTALL)
    assert match
    return set(re.findall(r"`([a-z_]+)`", match[0]))


def columns_of(conn: psycopg.Connection, statement: str) -> list[tuple[str, ...]]:
    """Rows of names."""
    return [tuple(row) for row in conn.execute(sql.SQL(statement))]  # type: ignore[arg-type]


UNIQUE_INDEXES = """
    SELECT c.relname, i.relname,
           ARRAY(SELECT a.attname::text FROM unnest(x.indkey) WITH ORDINALITY k (attnum, n)
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                 WHERE k.n <= x.indnkeyatts ORDER BY k.n)
    FROM pg_index x
    JOIN pg_class c ON c.oid = x.indrelid
    JOIN pg_class i ON i.oid = x.indexrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
    WHERE x.indisunique AND c.relname NOT LIKE '%yoyo%'
"""


def test_every_table_is_a_customers_an_exception_or_no_customers(filled: TestDatabase) -> None:
    with filled.owner() as conn:
        with_customer = {
            row[0]
            for row in conn.execute(
                f"SELECT c.relname {OURS} JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'customer_id'"
                " WHERE c.relkind IN ('r', 'p')"
            )
        }
        everything = set(tables(conn))
    assert exceptions() == {
        "identifier_owner",
        "point_suppression",
        "erased_identifier",
        "idempotency",
        "link_request",
        "refused_naming",
    }
    assert NO_CUSTOMERS & with_customer == set()
    assert everything == with_customer | exceptions() | NO_CUSTOMERS


def test_the_customer_leads_every_unique_key(filled: TestDatabase) -> None:
    with filled.owner() as conn:
        indexes = [(row[0], row[1], row[2]) for row in conn.execute(UNIQUE_INDEXES)]
    assert len(indexes) > 20
    ruled = [one for one in indexes if one[0] not in exceptions() | NO_CUSTOMERS]
    assert {table for table, _, _ in ruled} >= {"customer", "dial", "pause", "permit", "contact", "event"}
    assert [one for one in ruled if one[2][0] != "customer_id"] == []
    assert [one for one in indexes if one[0] in exceptions() and one[2][0] == "customer_id"] == []


def test_every_table_has_a_primary_key(filled: TestDatabase) -> None:
    with filled.owner() as conn:
        keyed = {
            row[0] for row in conn.execute("SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'p'")
        }
        assert set(tables(conn)) - keyed == set()


FOREIGN_KEYS = """
    SELECT f.conrelid::regclass::text, f.confrelid::regclass::text,
           ARRAY(SELECT a.attname::text FROM unnest(f.conkey) WITH ORDINALITY k (attnum, n)
                 JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum ORDER BY k.n),
           ARRAY(SELECT a.attname::text FROM unnest(f.confkey) WITH ORDINALITY k (attnum, n)
                 JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum ORDER BY k.n)
    FROM pg_constraint f WHERE f.contype = 'f'
"""


def test_foreign_keys_stay_inside_one_customer_or_lead_to_the_catalogue(filled: TestDatabase) -> None:
    with filled.owner() as conn:
        found = [tuple(row) for row in conn.execute(FOREIGN_KEYS)]
    assert len(found) > 5
    for table, target, from_columns, to_columns in found:
        if target in NO_CUSTOMERS:
            continue  # on many machines the catalogue's tables stand on each
        pairs = list(zip(from_columns, to_columns, strict=True))
        assert ("customer_id", "customer_id") in pairs, (table, target, pairs)


def test_no_extension_is_needed(filled: TestDatabase) -> None:
    with filled.owner() as conn:
        assert conn.execute("SELECT extname FROM pg_extension ORDER BY 1").fetchall() == [("plpgsql",)]
