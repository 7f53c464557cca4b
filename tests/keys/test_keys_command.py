"""The command line's `keys`, on the database of the running service."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from consent_service.cli import run
from tests.support.api import CATALOGUE, Api
from tests.support.cluster import TestDatabase
from tests.web.asking import dumped, footprint, rows


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    code: int
    lines: list[str]
    complaint: str


Command = Callable[..., Ended]


@pytest.fixture(scope="module")
def shared(module_database: TestDatabase) -> Iterator[Api]:
    """A running service."""
    made = Api(module_database, CATALOGUE)
    yield made
    made.close()


@pytest.fixture
def keys(shared: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `consent-service keys …` on the service's database."""
    for name, value in shared.made.environment().items():
        monkeypatch.setenv(name, value)

    def command(*arguments: str) -> Ended:
        capsys.readouterr()
        code = run(["keys", *arguments])
        said = capsys.readouterr()
        return Ended(code, said.out.splitlines(), said.err)

    return command


def test_create_prints_the_key_alone_on_the_last_line(shared: Api, keys: Command) -> None:
    for role in ("campaign", "desk", "auditor", "admin"):
        ended = keys("create", "--role", role, "--name", f"made {role}")
        assert (ended.code, ended.complaint) == (0, "")
        key = ended.lines[-1]
        assert re.fullmatch(r"csk_[A-Za-z0-9_-]{43}", key)
        assert not any(key in line for line in ended.lines[:-1])
        # The running service knows it at its next request.
        assert shared.call("GET", "/v1/me", key=key).json["role"] == role
        assert key not in dumped(shared, "api_key")


def test_create_limits_a_campaign_key_to_topics_and_requests(shared: Api, keys: Command) -> None:
    ended = keys(
        "create", "--role", "campaign", "--name", "limited", "--topic", "offers", "--topic", "orders",
        "--requests-per-minute", "50",
    )  # fmt: skip
    me = shared.call("GET", "/v1/me", key=ended.lines[-1]).json
    assert (me["topics"], me["limits"]) == (["offers", "orders"], {"requests_per_minute": 50})


def test_list_shows_who_has_which_key_and_no_key(shared: Api, keys: Command) -> None:
    made = keys("create", "--role", "campaign", "--name", "shown", "--topic", "offers").lines[-1]
    unused = next(line for line in keys("list").lines if " shown " in line)
    assert "campaign" in unused
    assert "topics offers" in unused
    assert "last used never" in unused
    assert shared.call("GET", "/v1/me", key=made).status_code == 200
    listing = keys("list")
    assert listing.code == 0
    assert "last used 20" in next(line for line in listing.lines if " shown " in line)
    assert made not in "\n".join(listing.lines)
    assert len(listing.lines) == rows(shared, "SELECT count(*) FROM api_key")[0][0]


def test_revoke_holds_for_the_next_request(shared: Api, keys: Command) -> None:
    made = keys("create", "--role", "desk", "--name", "going").lines[-1]
    assert shared.call("GET", "/v1/me", key=made).status_code == 200
    key_id = next(line for line in keys("list").lines if " going " in line).split()[0]
    for _ in range(2):
        assert keys("revoke", key_id).code == 0
        assert shared.call("GET", "/v1/me", key=made).status_code == 401
    assert "revoked 20" in next(line for line in keys("list").lines if " going " in line)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("create", "--role", "desk", "--name", "campaign key"), 1, "key_name_taken"),
        (("create", "--role", "campaign", "--name", "n", "--topic", "pigeons"), 1, "unknown_topic"),
        (("create", "--role", "desk", "--name", "n", "--topic", "offers"), 1, "invalid_value"),
        (("create", "--role", "owner", "--name", "n"), 2, "owner"),
        (("create", "--role", "desk"), 2, "--name"),
        (("create", "--name", "n"), 2, "--role"),
        (("create", "--role", "desk", "--name", ""), 1, "invalid_value"),
        (("create", "--role", "desk", "--name", "x\ny"), 1, "invalid_value"),
        (("create", "--role", "desk", "--name", "n", "--requests-per-minute", "0"), 2, "0"),
        (("create", "--role", "desk", "--name", "n", "--requests-per-minute", "3000000000"), 2, "3000000000"),
        (("revoke", "00000000-0000-4000-8000-000000000000"), 1, "not_found"),
        (("revoke", "x"), 1, "not_found"),
        (("revoke",), 2, "KEY_ID"),
    ],
)
def test_what_cannot_be_done_is_one_clear_complaint(
    shared: Api, keys: Command, arguments: tuple[str, ...], code: int, words: str
) -> None:
    before = footprint(shared)
    ended = keys(*arguments)
    assert (ended.code, ended.lines) == (code, [])
    assert words in ended.complaint
    assert "Traceback" not in ended.complaint
    assert footprint(shared) == before


def test_an_empty_list_says_how_to_begin(
    cluster: object, database: TestDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in database.environment().items():
        monkeypatch.setenv(name, value)
    assert run(["keys", "list"]) == 0
    assert "keys create --role admin" in capsys.readouterr().out
