"""Driver errors become domain errors here and nowhere else, by SQLSTATE and constraint name.

What is transient (serialization failure, deadlock) is told apart, so that the transaction can be run again;
what means that no answer can be had becomes Unavailable. Everything else stays as it is and ends as
`internal`: its text goes to the log only.
"""

from __future__ import annotations

import psycopg
import psycopg_pool

from consent_service.errors import ConsentError, Unavailable

# Class 08 connection, 53 resources, 57 operator intervention (statement timeout is 57014), 55P03 lock timeout,
# 25P03/25P04 idle or transaction timeout, 58 system error, XX internal error of the server.
_UNAVAILABLE_CLASSES = ("08", "53", "57", "58", "XX")
# 0A000 is what a prepared statement says once a migration changed its columns: a new connection prepares it anew.
_UNAVAILABLE_STATES = {"55P03", "25P03", "25P04", "0A000"}
_RETRY_STATES = {"40001", "40P01"}


class RolledBack(Exception):
    """A transaction failed and certainly had no effect. Its cause says why."""


def means_unavailable(error: BaseException) -> bool:
    """True when no answer can be had now, for nobody: not for an error of the work itself, and not when the server
    rolled it back for another one."""
    return not may_be_repeated(error) and isinstance(translate(error) or error, Unavailable)


def is_refusal(error: BaseException) -> bool:
    """True when the server itself says that it rolled back: a commit that ends otherwise may have happened."""
    return isinstance(error, psycopg.Error) and error.sqlstate is not None and not means_unavailable(error)


def may_be_repeated(error: BaseException) -> bool:
    """True when the transaction was rolled back by the server for the sake of another one."""
    return isinstance(error, psycopg.Error) and error.sqlstate in _RETRY_STATES


def translate(error: BaseException) -> ConsentError | None:
    """The domain error for a driver error; None when there is none and the error is a bug."""
    if isinstance(error, (psycopg_pool.PoolTimeout, psycopg_pool.PoolClosed, psycopg_pool.TooManyRequests)):
        return Unavailable("The service has no free database connection. Ask again.")
    if not isinstance(error, psycopg.Error):
        return None
    state = error.sqlstate
    if state is None:
        # The driver itself: the connection broke, or never came up.
        return Unavailable() if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) else None
    if state in _UNAVAILABLE_STATES or state in _RETRY_STATES or state.startswith(_UNAVAILABLE_CLASSES):
        return Unavailable()
    if error.diag.constraint_name == "an_identifier_names_one_customer":
        return ConsentError("identifiers_conflict", "An identifier was taken by another customer meanwhile.")
    return None
