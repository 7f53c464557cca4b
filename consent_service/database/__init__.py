"""The way to PostgreSQL: pool, transactions, named statements, migrations, the embedded server.

Knows no noun of the domain. Nothing here runs at import, and no connection is opened before the process
has forked.
"""

from consent_service.database.connection import Connection
from consent_service.database.errors import RolledBack
from consent_service.database.pool import Database
from consent_service.database.queries import Statement, load

__all__ = ["Connection", "Database", "RolledBack", "Statement", "load"]
