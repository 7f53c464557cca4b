"""May we contact this customer? Answers questions; reserves and records nothing.

The single check is the batch of one. A question that cannot be asked gets its error in its place; what cannot
be decided raises, and is never "allowed".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from consent_service.customers.service import Resolved, resolve_many
from consent_service.database import Connection
from consent_service.errors import ConsentError, Unavailable
from consent_service.keyring.service import Keyring
from consent_service.permissions import store
from consent_service.permissions.model import Decision, Question, Scope
from consent_service.permissions.store import EVERYTHING, Moved

_NOBODY_ASKED = Resolved(None, "unknown", None, None, None)
LOOKUPS = 3


def decide_many(
    conn: Connection,
    keyring: Keyring,
    questions: Sequence[Question | ConsentError],
    *,
    scope: Scope = EVERYTHING,
    explain: bool = True,
    now: datetime | None = None,
) -> list[Decision | ConsentError]:
    """A decision or an error for each question, in the order asked; changes nothing.

    Args:
        questions: what is asked; an error stands for a row that could not be read and is passed on.
        scope: the topics that the asker may ask about.
        explain: whether the decision knows its `governed_by`.
        now: the clock of tests; None: the database's.

    Raises:
        Unavailable: no decision can be made now.
    """
    return decide_each(conn, keyring, questions, [scope] * len(questions), explain=explain, now=now)


def decide_each(
    conn: Connection,
    keyring: Keyring,
    questions: Sequence[Question | ConsentError],
    scopes: Sequence[Scope],
    *,
    explain: bool = True,
    now: datetime | None = None,
) -> list[Decision | ConsentError]:
    """The same where each question has an asker of its own, whose topics are the scope in its place."""
    for _ in range(LOOKUPS):
        try:
            return _decide(conn, keyring, questions, scopes, explain, now)
        except Moved:
            continue
    raise Unavailable("The customer is being merged. Ask again.")


def _decide(
    conn: Connection,
    keyring: Keyring,
    questions: Sequence[Question | ConsentError],
    scopes: Sequence[Scope],
    explain: bool,
    now: datetime | None,
) -> list[Decision | ConsentError]:
    answers: list[Decision | ConsentError | None] = [
        question if isinstance(question, ConsentError) else None for question in questions
    ]
    open_positions = [place for place, answer in enumerate(answers) if answer is None]
    asked = [question for question in questions if not isinstance(question, ConsentError)]
    resolved = resolve_many(conn, keyring, [question.customer for question in asked])
    for place, who in zip(open_positions, resolved, strict=True):
        answers[place] = who.error
    rows: dict[Scope, list[tuple[int, Question, Resolved]]] = {}
    for place, question, who in zip(open_positions, asked, resolved, strict=True):
        if who.error is None:
            rows.setdefault(scopes[place], []).append((place, question, who))
    for scope, some in rows.items():
        decided = store.decide(
            conn,
            [question for _, question, _ in some],
            [who for _, _, who in some],
            scope=scope,
            explain=explain,
            now=now,
        )
        for (place, _, _), decision in zip(some, decided, strict=True):
            answers[place] = decision
    return [answer for answer in answers if answer is not None]


def prove_readiness(conn: Connection) -> None:
    """Runs the decision path about a customer who cannot exist.

    Raises:
        Unavailable: it does not answer as it must.
    """
    answer = store.decide(conn, [Question("", "", "")], [_NOBODY_ASKED])
    if len(answer) != 1 or not isinstance(answer[0], ConsentError) or answer[0].code != "unknown_channel":
        raise Unavailable("The decision path does not answer as it must.")
