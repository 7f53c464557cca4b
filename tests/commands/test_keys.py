"""`keys`: a key is shown once, alone on the last line, and holds or ends with the next request."""

from __future__ import annotations

from tests.commands.conftest import Command
from tests.support.api import Api


def test_a_key_is_alone_on_the_last_line_and_works_at_once(api: Api, command: Command) -> None:
    done = command("keys", "create", "--role", "campaign", "--name", "news", "--topic", "offers", "--topic", "events")
    secret = done.out.splitlines()[-1]
    me = api.call("GET", "/v1/me", key=secret).json
    assert (me["name"], me["role"], sorted(me["topics"])) == ("news", "campaign", ["events", "offers"])
    assert secret not in command("keys", "list").out


def test_a_revoked_key_is_refused_at_the_next_request(api: Api, command: Command) -> None:
    secret = command("keys", "create", "--role", "desk", "--name", "counter").out.splitlines()[-1]
    assert api.call("GET", "/v1/me", key=secret).status_code == 200
    line = next(one for one in command("keys", "list").out.splitlines() if "counter" in one)
    assert "last used" in line
    key_id = line.split()[0]
    assert command("keys", "revoke", key_id).out == f"revoked {key_id}\n"
    assert api.call("GET", "/v1/me", key=secret).status_code == 401
    assert command("keys", "revoke", key_id).code == 0
    assert "revoked" in next(one for one in command("keys", "list").out.splitlines() if "counter" in one)


def test_what_makes_no_key_is_one_line(command: Command) -> None:
    for arguments in (
        ("--role", "campaign", "--name", "x", "--topic", "nothing"),
        ("--role", "desk", "--name", "x", "--topic", "offers"),
        ("--role", "desk", "--name", "campaign key"),
        ("--role", "desk", "--name", " x "),
    ):
        done = command("keys", "create", *arguments)
        assert (done.code, done.out, len(done.err.splitlines())) == (1, "", 1)
    assert command("keys", "create", "--role", "king", "--name", "x").code == 2
    for key_id in ("x", "2b0a5b5e-0000-4000-8000-000000000000"):
        assert "(not_found)" in command("keys", "revoke", key_id).err
