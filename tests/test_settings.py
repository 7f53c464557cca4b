"""The settings: what is refused, what is generated, and that no secret shows."""

from __future__ import annotations

import stat
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from consent_service.settings import Settings, SettingsError, make_data_dir, secret_file

SECRET = "s" * 32
URL = "postgresql://ann:hidden-word@db.example/consent"


def given(**environ: str) -> Settings:
    return Settings.from_environment({"DATABASE_URL": URL, "CONSENT_SECRET_KEY": SECRET, **environ})


def test_defaults() -> None:
    settings = given()
    assert settings.database_url == settings.migration_url == settings.service_url() == URL
    assert settings.data_dir == Path.cwd() / "var"
    assert settings.public_url == "http://127.0.0.1:8080"
    assert settings.link_lasts == timedelta(days=30)
    assert settings.max_body_bytes == 16 * 2**20
    assert settings.address_requests_per_minute == 600
    assert settings.web_threads == 8
    assert settings.web_workers >= 1
    assert settings.pool_timeout_seconds == 1.5
    assert settings.statement_timeout_seconds == 30
    assert settings.lock_timeout_seconds == 1.5
    assert settings.answer_timeout_seconds == 1.8
    assert settings.secrets == (SECRET.encode(),)


def test_other_programs_settings_are_passed_over() -> None:
    assert given(PATH="/bin", PGHOST="x", CONSENTING="1").pg_bin is None


def test_an_unknown_setting_is_refused_and_named() -> None:
    with pytest.raises(SettingsError, match=r"CONSENT_PUBLIC_ULR.*CONSENT_PUBLIC_URL"):
        given(CONSENT_PUBLIC_ULR="http://x.example")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONSENT_LINK_DAYS", "0"),
        ("CONSENT_LINK_DAYS", "3651"),
        ("CONSENT_MAX_BODY_BYTES", "16M"),
        ("CONSENT_MAX_BODY_BYTES", "1"),
        ("CONSENT_MAX_BODY_BYTES", "1_000_000"),
        ("CONSENT_MAX_BODY_BYTES", "9" * 5000),
        ("CONSENT_MAX_BODY_BYTES", "١٢٣٤٥٦"),
        ("CONSENT_WEB_WORKERS", "0"),
        ("CONSENT_WEB_WORKERS", "-1"),
        ("CONSENT_WEB_WORKERS", "2.0"),
        ("CONSENT_WEB_THREADS", ""),
        ("CONSENT_POOL_TIMEOUT_SECONDS", "soon"),
        ("CONSENT_POOL_TIMEOUT_SECONDS", "nan"),
        ("CONSENT_POOL_TIMEOUT_SECONDS", "inf"),
        ("CONSENT_STATEMENT_TIMEOUT_SECONDS", "0"),
        ("CONSENT_STATEMENT_TIMEOUT_SECONDS", "0.0001"),
        ("CONSENT_LOCK_TIMEOUT_SECONDS", "-5"),
        ("CONSENT_PUBLIC_URL", "preferences.example"),
        ("CONSENT_PUBLIC_URL", "ftp://preferences.example"),
        ("CONSENT_PUBLIC_URL", "https://"),
        ("CONSENT_PUBLIC_URL", "https://u:p@preferences.example"),
        ("CONSENT_PUBLIC_URL", "https://preferences.example/?a=b"),
        ("CONSENT_PUBLIC_URL", "https://preferences.example/#top"),
        ("CONSENT_PUBLIC_URL", "https://preferences.example:99999"),
        ("CONSENT_PUBLIC_URL", "https://preferences.example/\r\nX: y"),
        ("CONSENT_SECRET_KEY", "s" * 31),
        ("CONSENT_SECRET_KEY", " " * 40),
        ("CONSENT_SECRET_KEY_PREVIOUS", "short"),
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "mysql://x/y"),
        ("DATABASE_URL", "postgresql+psycopg://x/y"),
        ("DATABASE_URL", "postgresql://x:hidden-word@h/d?nosuch=1"),
        ("CONSENT_MIGRATION_URL", "what ever"),
        ("CONSENT_DATA_DIR", "  "),
    ],
)
def test_an_ill_typed_value_is_one_clear_line_without_secrets(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        given(**{name: value})
    text = str(refused.value)
    assert text.startswith(name)
    assert "\n" not in text
    assert "hidden-word" not in text


@pytest.mark.parametrize("url", ["postgres://h/d", "postgresql:///d?host=/run/x", "host=/run/x dbname=d user='a b'"])
def test_every_form_that_the_driver_takes_is_a_database_url(url: str) -> None:
    assert given(DATABASE_URL=url).database_url == url


def test_a_slash_at_the_end_of_the_public_url_is_dropped() -> None:
    assert given(CONSENT_PUBLIC_URL="https://c.example/base/").public_url == "https://c.example/base"


def test_nothing_secret_is_in_a_repr() -> None:
    shown = repr(given(CONSENT_SECRET_KEY_PREVIOUS="p" * 32))
    assert "hidden-word" not in shown
    assert SECRET not in shown
    assert "p" * 32 not in shown


def test_a_secret_is_required_with_a_database_url() -> None:
    with pytest.raises(SettingsError, match="CONSENT_SECRET_KEY"):
        Settings.from_environment({"DATABASE_URL": URL})


def test_the_migration_login_alone_makes_no_sense() -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        Settings.from_environment({"CONSENT_MIGRATION_URL": URL, "CONSENT_SECRET_KEY": SECRET})


def test_a_secret_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("f" * 40 + "\n")
    settings = Settings.from_environment({"DATABASE_URL": URL, "CONSENT_SECRET_KEY_FILE": str(file)})
    assert settings.secrets == (b"f" * 40,)


def test_a_secret_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="CONSENT_SECRET_KEY_FILE"):
        Settings.from_environment({"DATABASE_URL": URL, "CONSENT_SECRET_KEY_FILE": str(tmp_path / "none")})


def test_two_secrets_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("f" * 40)
    with pytest.raises(SettingsError, match="both"):
        given(CONSENT_SECRET_KEY_FILE=str(file))


def test_the_previous_secret_comes_second_and_must_be_another_one() -> None:
    assert given(CONSENT_SECRET_KEY_PREVIOUS="p" * 32).secrets == (SECRET.encode(), b"p" * 32)
    with pytest.raises(SettingsError, match="CONSENT_SECRET_KEY_PREVIOUS"):
        given(CONSENT_SECRET_KEY_PREVIOUS=SECRET)


def test_the_embedded_secret_is_made_once_and_private(tmp_path: Path) -> None:
    environ = {"CONSENT_DATA_DIR": str(tmp_path / "data")}
    first = Settings.from_environment(environ)
    assert first.database_url is None
    assert Settings.from_environment(environ).secrets == first.secrets
    assert len(first.secrets[0]) >= 32
    file = secret_file(first.data_dir)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in first.data_dir.iterdir()] == ["secret.key"]
    # Nobody else may list the folder.
    assert stat.S_IMODE(first.data_dir.stat().st_mode) & 0o066 == 0


def test_many_first_starts_at_once_agree_on_the_secret(tmp_path: Path) -> None:
    environ = {"CONSENT_DATA_DIR": str(tmp_path / "data")}
    found: list[bytes] = []
    gate = threading.Barrier(8)

    def start() -> None:
        gate.wait()
        found.append(Settings.from_environment(environ).secrets[0])

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_refused_start_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        Settings.from_environment({"CONSENT_DATA_DIR": str(tmp_path / "data"), "CONSENT_OOPS": "1"})
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_generated_secret_is_refused_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("")
    with pytest.raises(SettingsError, match="32"):
        Settings.from_environment({"CONSENT_DATA_DIR": str(tmp_path)})


def test_a_data_dir_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="CONSENT_DATA_DIR"):
        make_data_dir(tmp_path / "file")


def test_a_data_dir_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o750)
    make_data_dir(tmp_path / "mine")
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o750


def test_processes_that_start_no_database_need_its_url(tmp_path: Path) -> None:
    settings = Settings.from_environment({"CONSENT_DATA_DIR": str(tmp_path)})
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        settings.service_url()
