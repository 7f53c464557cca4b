"""The demo: five made-up customers and a key for each role, all or nothing, shown once."""

from __future__ import annotations

import re
import threading

import pytest

from consent_service import demo
from consent_service.app import create_app
from consent_service.keys.model import ROLES
from tests.support.api import Api
from tests.support.cluster import TestDatabase


def loaded(database: TestDatabase, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What the first start printed for the shell."""
    demo.load(database.settings())
    return dict(re.findall(r"export (\w+)=(\S+)", capsys.readouterr().out))


def count(database: TestDatabase, table: str) -> int:
    with database.owner() as conn:
        row = conn.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert row is not None
        return int(row[0])


def test_the_first_start_prints_a_link_to_a_preference_page(
    database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    demo.load(database.settings())
    links = re.findall(rf"{re.escape(database.settings().public_url)}(/p/[a-z2-7]+)", capsys.readouterr().out)
    assert len(links) == 1
    app = create_app(database.settings(), database.service_url)
    answer = app.test_client().get(links[0])
    assert (answer.status_code, answer.headers["Location"]) == (303, "/preferences")
    app.extensions["consent_service"].database.close()


def test_every_role_gets_a_key_that_works(database: TestDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    shown = loaded(database, capsys)
    app = create_app(database.settings(), database.service_url)
    for role in ROLES:
        answer = app.test_client().get("/v1/me", headers={"Authorization": f"Bearer {shown[role.upper()]}"})
        assert answer.status_code == 200
        assert answer.json["role"] == role
    app.extensions["consent_service"].database.close()


@pytest.mark.parametrize(
    ("customer", "topic", "reason"),
    [
        ("ada", "offers/wine", "silent"),
        ("ada", "events", "silent"),
        ("ben", "offers/wine", "allowed"),
        ("ben", "offers/garden", "no_consent"),
        ("cleo", "events", "volume_reached"),
        ("cleo", "offers", "no_consent"),
        ("dev", "offers/garden", "paused"),
        ("eve", "offers", "suppressed"),
    ],
)
def test_the_cast_is_what_it_is_said_to_be(
    demo_service: tuple[object, dict[str, str]], customer: str, topic: str, reason: str
) -> None:
    app, shown = demo_service
    answer = app.test_client().post(  # type: ignore[attr-defined]
        "/v1/permissions/check",
        json={"customer": f"email:{customer}@example.com", "channel": "email", "topic": topic},
        headers={"Authorization": f"Bearer {shown['CAMPAIGN']}"},
    )
    assert answer.json["reason"] == reason


@pytest.fixture(scope="module")
def demo_service(module_database: TestDatabase) -> object:
    """The application on a loaded demo, and what the first start printed for the shell."""
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo.click, "echo", lambda text="": lines.append(text))
        demo.load(module_database.settings())
    app = create_app(module_database.settings(), module_database.service_url)
    yield app, dict(re.findall(r"export (\w+)=(\S+)", "\n".join(lines)))
    app.extensions["consent_service"].database.close()


def test_what_was_sent_to_the_cast_was_permitted(demo_service: object, module_database: TestDatabase) -> None:
    with module_database.owner() as conn:
        refused = conn.execute("SELECT topic, reason FROM contact WHERE NOT permitted").fetchall()
        assert refused == []
        assert count(module_database, "contact") > 5


def test_a_second_start_loads_nothing_and_shows_nothing_secret(
    database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded(database, capsys)
    events = count(database, "event")
    demo.load(database.settings())
    said = capsys.readouterr().out
    assert "csk_" not in said
    assert "cst_" not in said
    assert "keys create" in said
    assert count(database, "event") == events


def test_a_service_with_a_catalogue_of_its_own_is_left_alone(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    before = [count(api.made, table) for table in ("catalogue_version", "customer", "api_key", "event")]
    demo.load(api.settings)
    assert "loads nothing" in capsys.readouterr().out
    assert [count(api.made, table) for table in ("catalogue_version", "customer", "api_key", "event")] == before


def test_a_crash_in_the_middle_leaves_nothing_and_the_next_start_loads_all(
    database: TestDatabase, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(demo.profile, "issue_token", lambda *_: (_ for _ in ()).throw(RuntimeError("power cut")))
        with pytest.raises(RuntimeError):
            demo.load(database.settings())
    assert "csk_" not in capsys.readouterr().out
    assert [count(database, table) for table in ("catalogue", "customer", "api_key", "event")] == [0, 0, 0, 0]
    assert set(loaded(database, capsys)) >= {"API", "CAMPAIGN", "DESK", "AUDITOR", "ADMIN", "BEN", "BEN_TOKEN"}


def test_two_first_starts_at_once_make_one_demo(database: TestDatabase) -> None:
    gate = threading.Barrier(2)

    def start() -> None:
        gate.wait()
        demo.load(database.settings())

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(database, "customer") == len(demo.CAST)
    assert count(database, "api_key") == len(ROLES)
