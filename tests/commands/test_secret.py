"""`secret rotate`: every key is wrapped anew, and nothing that was sealed or hashed changes."""

from __future__ import annotations

import pytest

from consent_service.keyring import service as keyring_service
from consent_service.keyring.service import Keyring
from tests.commands.conftest import Command
from tests.support.api import Api
from tests.support.cluster import SECRET

NEW = "tests-only-new-root-secret-0123456789-abcdefghijklmnopq"


def sealed(api: Api) -> list[tuple[object, ...]]:
    with api.made.owner() as conn:
        found = []
        for table in ("identifier", "event_content", "identifier_owner"):
            found += conn.execute(f"SELECT t::text FROM {table} t ORDER BY 1").fetchall()
        return found


def secret_ids(api: Api) -> set[str]:
    with api.made.owner() as conn:
        return {row[0] for row in conn.execute("SELECT secret_id FROM customer_key")}


@pytest.fixture
def with_both_secrets(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSENT_SECRET_KEY", NEW)
    monkeypatch.setenv("CONSENT_SECRET_KEY_PREVIOUS", SECRET)


@pytest.mark.usefixtures("with_both_secrets")
def test_every_key_is_wrapped_anew_and_opens_with_the_new_secret_alone(
    api: Api, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring_service, "REWRAP_BATCH", 3)
    customers = [api.customer(f"email:p{n}@example.com") for n in range(10)]
    before, old = sealed(api), secret_ids(api)
    done = command("secret", "rotate")
    assert done.out.startswith("11 keys are wrapped with the new secret.")
    assert len(secret_ids(api)) == 1
    assert secret_ids(api).isdisjoint(old)
    assert sealed(api) == before
    keyring = Keyring(NEW.encode())
    with api.database.reading() as conn:
        assert set(keyring.find(conn, customers)) == set(customers)
        hashes = {one.service(conn).identity_hash("email", "a@example.com") for one in (keyring, api.keyring)}
        assert len(hashes) == 1
    assert "nothing to rotate" in command("secret", "rotate").out


@pytest.mark.usefixtures("with_both_secrets")
def test_it_waits_for_a_key_that_somebody_holds(api: Api, command: Command) -> None:
    api.customer("email:ben@example.com")
    held = api.made.owner()
    held.autocommit = False
    held.execute("SELECT FROM customer_key FOR UPDATE")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("consent_service.keyring.commands.MOST_WAITS", 2)
        done = command("secret", "rotate")
    assert done.code == 1
    assert "2 keys are in use" in done.err
    held.close()
    assert command("secret", "rotate").code == 0


def test_keys_of_a_secret_that_nobody_named_are_one_line(
    api: Api, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.customer("email:ben@example.com")
    monkeypatch.setenv("CONSENT_SECRET_KEY", NEW)
    done = command("secret", "rotate")
    assert done.code == 1
    assert len(done.err.splitlines()) == 1
    assert "CONSENT_SECRET_KEY" in done.err
