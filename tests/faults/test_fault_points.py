"""Whatever statement of a write is cut off: it never was or it is whole, and asked again it has one effect.

Each use case runs once and is counted. Then it runs anew for each of its statements, and its backend is killed
before it, after it, or so that its answer is lost. What was told to the client then is `decision_unavailable`,
never a success and never an accident; and what stands is as after one clean run.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import click
import psycopg
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent_service.cli import cli, run
from tests.commands.conftest import without_settings
from tests.faults.use_cases import COMMANDS, OTHER_COMMANDS, READING_COMMANDS, READING_ROUTES, ROUTES, Request
from tests.faults.wire import Cut, Watch, Wire
from tests.support.api import Api
from tests.support.soundness import expect_sound
from tests.web.asking import routes

# A connection that broke while it rested costs a request each; there are not more than these.
MOST_TRIES = 8
EVERY_POINT = os.environ.get("CONSENT_TEST_FAULTS") == "all"
Effect = Counter[str]

FOOTPRINT = """
SELECT (SELECT jsonb_object_agg(type, n) FROM (SELECT 'event ' || type AS type, count(*) AS n FROM event GROUP BY 1))
  || (SELECT jsonb_object_agg(state, n) FROM (SELECT 'permit ' || state AS state, count(*) AS n FROM permit GROUP BY 1
        UNION ALL SELECT 'customer ' || state, count(*) FROM customer GROUP BY 1
        UNION ALL SELECT 'key ' || secret_id, count(*) FROM customer_key GROUP BY 1
        UNION ALL SELECT 'pending ' || kind || ' ' || state, count(*) FROM pending_change GROUP BY 1
        UNION ALL SELECT 'mail ' || state, count(*) FROM mail GROUP BY 1
        UNION ALL SELECT 'dial ' || coalesce(level, '-'), count(*) FROM dial GROUP BY 1
        UNION ALL SELECT 'dialogue ' || contacts || coalesce(closed_by, ''), count(*) FROM dialogue GROUP BY 1
        UNION ALL SELECT 'entry ' || kind, count(*) FROM dialogue_entry GROUP BY 1
        UNION ALL SELECT 'owner ' || kind, count(*) FROM identifier_owner GROUP BY 1))
  || jsonb_build_object(
       'versions', (SELECT coalesce(sum(version), 0) FROM customer),
       'contents', (SELECT count(*) FROM event_content),
       'identifiers', (SELECT count(*) FROM identifier),
       'confirmed', (SELECT count(*) FROM identifier WHERE confirmed_at IS NOT NULL),
       'erased', (SELECT count(*) FROM erased_identifier),
       'pauses', (SELECT count(*) FROM pause),
       'suppressions', (SELECT count(*) FROM suppression),
       'points', (SELECT count(*) FROM point_suppression),
       'contacts', (SELECT count(*) FROM contact),
       'api keys', (SELECT count(*) FROM api_key),
       'revoked', (SELECT count(*) FROM api_key WHERE revoked_at IS NOT NULL),
       'answers', (SELECT count(*) FROM idempotency),
       'desks seen', (SELECT count(*) FROM desk_visit),
       'sessions', (SELECT count(*) FROM desk_session),
       'links asked for', (SELECT count(*) FROM link_request),
       'people', (SELECT count(*) FROM person),
       'refused namings', (SELECT count(*) FROM refused_naming),
       'facts', (SELECT count(*) FROM fact),
       'entries', (SELECT count(*) FROM dialogue_entry),
       'catalogues', (SELECT count(*) FROM catalogue_version))
"""


class Stand:
    """The service with its wire, and what the tables hold."""

    def __init__(self, api: Api, monkeypatch: pytest.MonkeyPatch, owner: psycopg.Connection[object]) -> None:
        self.api = api
        # Answers are validated against the contract elsewhere; here there are thousands.
        api.client = FlaskClient(api.app, use_cookies=False)
        self._owner = owner
        self.wire = Wire(monkeypatch, owner)

    def standing(self) -> Effect:
        """How many rows there are of each kind."""
        row = self._owner.execute(FOOTPRINT).fetchone()
        assert row is not None
        return Counter(row[0])

    def effect(self, before: Effect) -> dict[str, int]:
        """What has been added and taken away since."""
        after = self.standing()
        return {name: after[name] - before[name] for name in after | before if after[name] != before[name]}


@pytest.fixture
def stand(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    with api.made.owner() as owner:
        yield Stand(api, monkeypatch, owner)


def points(clean: Watch) -> Iterator[tuple[int, Cut]]:
    """Where a call is cut that was like this one: at each statement before and after, and losing each commit.

    Within a transaction, after a statement is before the next one: the server meets the same. Those are left out
    unless CONSENT_TEST_FAULTS is `all`.
    """
    for number in clean.sent:
        yield number, Cut.BEFORE
        if number in clean.commits:
            yield number, Cut.LOST
        elif number in clean.alone or EVERY_POINT:
            yield number, Cut.AFTER


def eventually(ask: Callable[[], TestResponse]) -> TestResponse:
    """The answer once connections that broke while they rested have been replaced."""
    for _ in range(MOST_TRIES):
        answer = ask()
        if answer.status_code != 503:
            return answer
        time.sleep(0.01)
    raise AssertionError("the service does not come back")


def _code(answer: TestResponse) -> object:
    return (answer.get_json(silent=True) or {}).get("code")


@pytest.mark.parametrize("name", ROUTES)
def test_a_route_that_is_cut_anywhere_has_one_effect_when_it_is_asked_again(stand: Stand, name: str) -> None:
    route, method = ROUTES[name], name.split()[0]

    def ask(request: Request, key: str) -> TestResponse:
        headers = {} if method == "DELETE" else {"Idempotency-Key": key}
        return stand.api.call(method, request.path, request.body, role=request.role, key=request.key, headers=headers)

    ask(route.request(stand.api), str(uuid4()))  # so that statements are prepared, and keys noted as used
    request, before = route.request(stand.api), stand.standing()
    with stand.wire.watching() as clean:
        first = ask(request, str(uuid4()))
    assert first.status_code < 300, first.get_data(as_text=True)
    one_effect = stand.effect(before)
    assert one_effect
    assert clean.commits, "a write is a transaction"

    for number, cut in points(clean):
        request, key, before = route.request(stand.api), str(uuid4()), stand.standing()
        with stand.wire.watching(number, cut) as watch:
            answer = ask(request, key)
        assert watch.happened
        at = f"{cut.value} statement {number} of {clean.asked}"
        # After a statement that stood alone, such as the look-up of the key, another connection may serve the rest.
        succeeded = cut is Cut.AFTER and number in clean.alone and answer.status_code < 300
        if not succeeded:
            assert (answer.status_code, _code(answer)) == (503, "decision_unavailable"), at
            assert answer.headers["Retry-After"], at
        had_effect = succeeded or (cut is Cut.LOST and number == clean.commits[-1])
        assert stand.effect(before) == (one_effect if had_effect else {}), at
        again = eventually(lambda request=request, key=key: ask(request, key))  # type: ignore[misc]
        assert again.status_code == (route.again if had_effect and route.again else first.status_code), at
        if method != "DELETE":
            assert (again.headers.get("Idempotency-Replayed") == "true") == had_effect, at
        assert stand.effect(before) == one_effect, at
    expect_sound(stand.api.made)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_cut_anywhere_can_be_run_again(
    stand: Stand,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = COMMANDS[name]
    without_settings(monkeypatch)
    for variable, value in (stand.api.made.environment() | command.environment).items():
        monkeypatch.setenv(variable, value)

    def prepared() -> list[str]:
        return [*name.split(), *(str(one) for one in command.arguments(stand.api, tmp_path))]

    arguments, before = prepared(), stand.standing()
    with stand.wire.watching() as clean:
        assert run(arguments) == 0, capsys.readouterr().err
    one_effect = stand.effect(before)
    assert one_effect
    assert clean.commits

    for number, cut in points(clean):
        arguments, before = prepared(), stand.standing()
        capsys.readouterr()
        with stand.wire.watching(number, cut) as watch:
            code = run(arguments)
        assert watch.happened
        at = f"{cut.value} statement {number} of {clean.asked}"
        told = capsys.readouterr().err.splitlines()
        failed = code != 0
        # A command may end well without what it would still have asked; never without what it says it did.
        assert failed or stand.effect(before) == one_effect, at
        if failed:
            assert (code, len(told)) == (1, 1), (at, told)
        done = stand.effect(before)
        assert done in ({}, one_effect), at
        if failed:
            assert run(arguments) == 0, (at, capsys.readouterr().err)
        twice = command.twice and failed and done == one_effect
        expected = {what: 2 * count for what, count in one_effect.items()} if twice else one_effect
        assert stand.effect(before) == expected, at
    if command.environment:
        prepared()  # fsck has the usual secret
    expect_sound(stand.api.made)


def test_every_route_that_could_write_has_a_row(api: Api) -> None:
    writing = {f"{method} {path}" for method, path, _ in routes(api) if method != "GET"}
    assert writing == ROUTES.keys() | READING_ROUTES


def test_every_command_has_a_row() -> None:
    def leaves(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[str]:
        for name, command in group.commands.items():
            if isinstance(command, click.Group):
                yield from leaves(command, (*words, name))
            else:
                yield " ".join((*words, name))

    assert set(leaves(cli)) == COMMANDS.keys() | READING_COMMANDS | OTHER_COMMANDS
