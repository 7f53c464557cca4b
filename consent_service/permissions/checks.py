"""Single checks: who asks, about whom, and the decision, for as many as ask at the same moment.

The key is looked up in the same look at the database as the customer, before the decision: one that was revoked
meanwhile is not there. Whether its holder may check at all is for the caller to say, before anybody sees the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from consent_service.customers.service import foresee
from consent_service.database import Database
from consent_service.errors import ConsentError
from consent_service.keyring.service import Keyring
from consent_service.keys import service as keys
from consent_service.keys.model import ApiKey
from consent_service.permissions.model import Decision, Question, Scope
from consent_service.permissions.service import decide_each


@dataclass(frozen=True, slots=True)
class Check:
    """A question and the hash of the key that it was asked with."""

    secret_hash: bytes = field(repr=False)
    question: Question


@dataclass(frozen=True, slots=True)
class Checked:
    """The key, None when there is none (any more), and what its holder is answered."""

    key: ApiKey | None
    decision: Decision | ConsentError


def check_many(database: Database, keyring: Keyring, checks: Sequence[Check]) -> list[Checked]:
    """Answers checks of any keys, in the order given; changes nothing but a key's last use.

    Raises:
        Unavailable: no decision can be made now.
    """
    with database.reading() as conn:
        foresee(conn, keyring, [check.question.customer for check in checks])
        found = keys.find_many(conn, [check.secret_hash for check in checks])
        unknown = ConsentError("unauthenticated")
        askers = [found.get(check.secret_hash) for check in checks]
        decisions = decide_each(
            conn,
            keyring,
            [unknown if key is None else check.question for key, check in zip(askers, checks, strict=True)],
            [Scope(True) if key is None else Scope.of_key(key) for key in askers],
        )
    return [Checked(key, decision) for key, decision in zip(askers, decisions, strict=True)]
