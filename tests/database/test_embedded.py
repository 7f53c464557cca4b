"""The embedded server: it survives every way to die, has one owner, and is nobody else's business."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from consent_service.database import embedded as embedded_module
from consent_service.database.embedded import EmbeddedServer, EmbeddedServerError, Sizing
from consent_service.database.postgres_conf import MEGABYTE
from consent_service.processes import Account, Capability, bound_to_us
from tests.support.cluster import DEBIAN_15, clean_environment

SIZING = Sizing(connections=20, shared_buffers_bytes=32 * MEGABYTE)
# For tests that make a cluster of their own and kill nothing.
QUICK = replace(SIZING, durable=False)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

# Owns the server, says its postmaster's number, and waits to be killed.
OWNER_PROGRAM = """
import sys, time
from pathlib import Path
from consent_service.database.embedded import EmbeddedServer, Sizing
sizing = Sizing(connections=20, shared_buffers_bytes=2**25)
with EmbeddedServer(Path(sys.argv[1]), sizing=sizing).owning() as server:
    print((server.data / "postmaster.pid").read_text().split()[0], flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def new_dir() -> Iterator[Path]:
    """A path for a data directory that is not there yet."""
    folder = Path(tempfile.mkdtemp(prefix="consent-embedded-"))
    folder.chmod(0o711)
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """One data directory for most tests, as initdb takes seconds: whatever a test did, the next starts."""
    folder = Path(tempfile.mkdtemp(prefix="consent-embedded-"))
    folder.chmod(0o711)
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)


def embedded(data_dir: Path, pg_bin: Path | None = None, sizing: Sizing = SIZING) -> EmbeddedServer:
    return EmbeddedServer(data_dir, pg_bin=pg_bin, sizing=sizing)


def write(server: EmbeddedServer) -> None:
    with psycopg.connect(server.owner_url, autocommit=True) as conn:
        conn.execute("DROP TABLE IF EXISTS kept")
        conn.execute("CREATE TABLE kept (word text)")
        conn.execute("INSERT INTO kept VALUES ('row')")


def rows(server: EmbeddedServer) -> int:
    with psycopg.connect(server.owner_url) as conn:
        found = conn.execute("SELECT count(*) FROM kept").fetchone()
        assert found is not None
        return int(found[0])


def postmaster(server: EmbeddedServer) -> int:
    return int((server.data / "postmaster.pid").read_text().split()[0])


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_for_end(pid: int, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while alive(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.02)


def start_owner(data_dir: Path, seconds: float = 600) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER_PROGRAM, str(data_dir), str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment() | {"PYTHONPATH": str(Path(embedded_module.__file__).parents[2])},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the owner did not start"
    return process, int(line)


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(10)
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.parametrize("pg_bin", [None, DEBIAN_15], ids=["wheel", "debian15"])
def test_rows_survive_a_stop(new_dir: Path, pg_bin: Path | None) -> None:
    if pg_bin is not None and not (pg_bin / "postgres").exists():
        pytest.skip(f"no PostgreSQL in {pg_bin}")
    with embedded(new_dir, pg_bin, QUICK).running() as server:
        write(server)
        with psycopg.connect(server.service_url) as conn:
            assert conn.execute(
                "SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user"
            ).fetchone() == (
                "consent_service",
                False,
            )
    with embedded(new_dir, pg_bin, QUICK).running() as server:
        assert rows(server) == 1


def test_it_listens_on_a_private_socket_only(data_dir: Path) -> None:
    with embedded(data_dir).running() as server, psycopg.connect(server.owner_url) as conn:
        assert conn.execute("SHOW listen_addresses").fetchone() == ("",)
        folder = Path(conn.info.host)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(server.data.stat().st_mode) == 0o700


def test_a_killed_server_is_started_again_with_its_rows(data_dir: Path) -> None:
    with embedded(data_dir).owning() as server:
        write(server)
        assert not server.restart_if_dead()
        os.kill(postmaster(server), signal.SIGKILL)
        deadline = time.monotonic() + 10
        while not server.restart_if_dead():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert rows(server) == 1


def test_a_restart_that_is_given_up_can_be_tried_again(data_dir: Path) -> None:
    with embedded(data_dir).owning() as server:
        write(server)
        killed = postmaster(server)
        os.kill(killed, signal.SIGKILL)
        wait_for_end(killed)
        with pytest.raises(EmbeddedServerError):
            server.restart_if_dead(lambda: True)
        assert server.restart_if_dead()
        assert rows(server) == 1


def test_a_killed_backend_is_postgresqls_own_affair(data_dir: Path) -> None:
    with embedded(data_dir).owning() as server:
        write(server)
        with psycopg.connect(server.owner_url) as conn:
            os.kill(conn.info.backend_pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while True:
            assert not server.restart_if_dead()
            try:
                assert rows(server) == 1
                break
            except psycopg.OperationalError:
                assert time.monotonic() < deadline
                time.sleep(0.05)


def test_the_next_owner_does_not_wait_for_the_last_ones_server(data_dir: Path) -> None:
    owner, pid = start_owner(data_dir)
    write(embedded(data_dir))
    end(owner)
    # At once, while the old server is still shutting down.
    with embedded(data_dir).owning() as server:
        assert rows(server) == 1
        assert postmaster(server) != pid
    wait_for_end(pid)


def test_the_server_ends_with_a_killed_owner_by_itself(data_dir: Path) -> None:
    owner, pid = start_owner(data_dir)
    end(owner)
    wait_for_end(pid)


def test_both_killed_at_once(data_dir: Path) -> None:
    owner, pid = start_owner(data_dir)
    write(embedded(data_dir))
    os.kill(pid, signal.SIGSTOP)  # so that it cannot react to its owner's death
    end(owner)
    os.kill(pid, signal.SIGKILL)
    with embedded(data_dir).owning() as server:
        assert rows(server) == 1


def test_an_orphan_that_hangs_is_ended(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "consent_service.database.postgres_process._WORDS",
        ((signal.SIGINT, 0.5), (signal.SIGQUIT, 0.5), (signal.SIGKILL, 10.0)),
    )
    owner, pid = start_owner(data_dir)
    write(embedded(data_dir))
    os.kill(pid, signal.SIGSTOP)
    end(owner)
    with embedded(data_dir).owning() as server:
        assert rows(server) == 1
    wait_for_end(pid)


def test_an_orphan_that_goes_on_serving_is_replaced(data_dir: Path) -> None:
    with embedded(data_dir).owning() as server:
        write(server)
        account = server._account
    orphan = subprocess.Popen(
        [server.programs.folder / "postgres", "-D", server.data],
        cwd=data_dir,
        stderr=subprocess.DEVNULL,
        preexec_fn=bound_to_us(account, 0),
    )
    deadline = time.monotonic() + 10
    while not server._connects():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with embedded(data_dir).owning() as server:
        # Not reaped by us until here: it was a zombie while the new server started.
        assert orphan.wait(10) == 0
        assert postmaster(server) != orphan.pid
        assert rows(server) == 1


@pytest.mark.parametrize("zombie", [False, True], ids=["stranger", "zombie"])
def test_a_pid_file_that_names_another_process_is_not_believed(data_dir: Path, zombie: bool) -> None:
    with embedded(data_dir).owning() as server:
        write(server)
        account = server._account
        content = (server.data / "postmaster.pid").read_text()
    seconds = "0" if zombie else "600"
    stranger = subprocess.Popen(["sleep", seconds], cwd="/", preexec_fn=bound_to_us(account, signal.SIGKILL))
    try:
        deadline = time.monotonic() + 10
        while zombie and alive(stranger.pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        lines = content.split("\n")
        file = server.data / "postmaster.pid"
        file.write_text("\n".join([str(stranger.pid), *lines[1:]]))
        if account is not None:
            os.chown(file, account.uid, account.gid)
        with embedded(data_dir).owning() as server:
            assert rows(server) == 1
        assert zombie or stranger.poll() is None, "a stranger was signalled"
    finally:
        stranger.kill()
        stranger.wait(10)


@pytest.mark.parametrize("content", ["", "what\never\n", "-5\n", "0\n"])
def test_a_damaged_pid_file_does_not_keep_it_from_starting(data_dir: Path, content: str) -> None:
    with embedded(data_dir).owning() as server:
        write(server)
        account = server._account
    file = server.data / "postmaster.pid"
    file.write_text(content)
    if account is not None:
        os.chown(file, account.uid, account.gid)
    with embedded(data_dir).owning() as server:
        assert rows(server) == 1


def test_a_second_one_uses_the_running_server(data_dir: Path) -> None:
    with embedded(data_dir).owning() as owner:
        write(owner)
        with embedded(data_dir).running() as guest:
            assert not guest.owned
            assert rows(guest) == 1
        assert rows(owner) == 1


def test_a_command_that_started_it_waits_for_the_others(data_dir: Path) -> None:
    first_in, first_out = threading.Event(), threading.Event()

    def first() -> None:
        with embedded(data_dir).running() as server:
            write(server)
            first_in.set()
        first_out.set()

    thread = threading.Thread(target=first)
    with embedded(data_dir).running():
        pass  # the files are there now, so that the threads start quickly
    holder = embedded(data_dir)
    with holder.running():
        thread.start()
        assert first_in.wait(20)
        assert first_out.wait(20)
    thread.join()
    # And the other way round: the owner comes to its end while a guest is inside.
    guest_in, guest_out = threading.Event(), threading.Event()

    def guest() -> None:
        with embedded(data_dir).running() as server:
            assert not server.owned
            guest_in.set()
            time.sleep(1)
            assert rows(server) == 1
        guest_out.set()

    visitor = threading.Thread(target=guest)
    with embedded(data_dir).running():
        visitor.start()
        assert guest_in.wait(20)
    assert guest_out.is_set()
    visitor.join()


def test_serve_waits_for_a_short_command(data_dir: Path) -> None:
    owner, pid = start_owner(data_dir, seconds=1.5)
    with embedded(data_dir).owning() as server:
        assert server.owned
        assert postmaster(server) != pid
    assert owner.wait(10) == 0
    end(owner)


def test_serve_gives_up_with_the_owners_number(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_module, "WAIT_FOR_OWNER_SECONDS", 0.3)
    owner, _ = start_owner(data_dir)
    told: list[str] = []
    try:
        with pytest.raises(EmbeddedServerError, match=str(owner.pid)), embedded(data_dir).owning(told.append):
            pass
        # Said before the waiting, and once.
        assert len(told) == 1
        assert str(owner.pid) in told[0]
    finally:
        end(owner)


def test_data_of_another_major_version_is_not_passed_over(new_dir: Path) -> None:
    (new_dir / "postgres-14").mkdir(parents=True)
    with pytest.raises(EmbeddedServerError, match="postgres-14"), embedded(new_dir).running():
        pass


def test_a_half_made_cluster_is_never_used(new_dir: Path) -> None:
    server = embedded(new_dir, sizing=QUICK)
    draft = new_dir / f"{server.data.name}.new"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text(str(server.programs.major))
    with server.running():
        write(server)
    assert not draft.exists()


def test_what_does_not_start_is_said_in_one_line(data_dir: Path) -> None:
    with embedded(data_dir).running() as server:
        pass
    settings = server.data / "postgresql.auto.conf"
    before = settings.read_text()
    settings.write_text("shared_buffers = 'many'\n")
    try:
        with (
            pytest.raises(EmbeddedServerError, match="shared_buffers") as refused,
            embedded(data_dir).running(),
        ):
            pass
    finally:
        settings.write_text(before)
    assert "\n" not in str(refused.value)


def test_named_programs_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="CONSENT_PG_BIN"):
        EmbeddedServer(tmp_path / "data", pg_bin=tmp_path)


def test_a_long_path_gets_its_socket_elsewhere(new_dir: Path) -> None:
    deep = new_dir / ("long" * 30)
    with embedded(deep, sizing=QUICK).running() as server:
        write(server)
        with psycopg.connect(server.owner_url) as conn:
            folder = Path(conn.info.host)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        with embedded(deep, sizing=QUICK).running() as guest:
            assert rows(guest) == 1
    assert not folder.exists()


def test_a_path_with_signs_that_files_of_settings_quote(new_dir: Path) -> None:
    with embedded(new_dir / 'it\'s, "so" \\ 50% é').running() as server:
        write(server)
        assert rows(server) == 1


@as_root
def test_a_socket_folder_of_somebody_else_is_refused(new_dir: Path) -> None:
    server = embedded(new_dir / ("long" * 30))
    folder = server._socket_folder
    folder.mkdir(mode=0o700)
    try:
        os.chown(folder, 12345, 12345)
        with pytest.raises(EmbeddedServerError, match="somebody else"), server.running():
            pass
    finally:
        folder.rmdir()


@as_root
def test_folders_of_root_are_reached_without_being_opened(data_dir: Path) -> None:
    data_dir.parent.chmod(0o700)
    with embedded(data_dir).running() as server:
        assert server._account is not None
        assert server._account.capability == Capability.DAC_READ_SEARCH
        status = Path(f"/proc/{postmaster(server)}/status").read_text()
        assert f"Uid:\t{server._account.uid}\t" in status
        assert f"CapEff:\t{1 << Capability.DAC_READ_SEARCH:016x}" in status
    assert stat.S_IMODE(data_dir.parent.stat().st_mode) == 0o700
    data_dir.parent.chmod(0o711)


@as_root
def test_no_capability_is_kept_where_none_is_needed(data_dir: Path) -> None:
    with embedded(data_dir).running() as server:
        if server._account is not None and server._account.capability is not None:
            pytest.skip("the installation itself is in a closed folder")
        status = Path(f"/proc/{postmaster(server)}/status").read_text()
        assert f"CapEff:\t{0:016x}" in status
        assert f"CapPrm:\t{0:016x}" in status


@as_root
def test_an_ordinary_user_runs_it_as_himself(new_dir: Path) -> None:
    user = pwd.getpwnam("daemon")
    uid, gid = user.pw_uid, user.pw_gid
    os.chown(new_dir.parent, uid, gid)
    program = OWNER_PROGRAM.replace("time.sleep", f"assert __import__('os').getuid() == {uid}; time.sleep")
    # The interpreter of the tests may lie in root's folders: hence the capability, for the test alone.
    done = subprocess.run(
        [sys.executable, "-c", program, str(new_dir), "0"],
        cwd="/",
        env=clean_environment() | {"PYTHONPATH": str(Path(embedded_module.__file__).parents[2])},
        preexec_fn=bound_to_us(Account(uid, gid, Capability.DAC_READ_SEARCH), signal.SIGKILL),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (new_dir / "postgres.log").stat().st_uid == uid
    # Root takes over the data of the account that made them.
    with embedded(new_dir).running() as server:
        assert server.data.stat().st_uid == uid


def test_the_log_holds_nothing_that_customers_said(data_dir: Path) -> None:
    with embedded(data_dir).running() as server:
        with psycopg.connect(server.owner_url, autocommit=True) as conn:
            conn.execute("DROP TABLE IF EXISTS person")
            conn.execute("CREATE TABLE person (name text PRIMARY KEY)")
            conn.execute("INSERT INTO person VALUES (%s)", ["ann@example.com"])
            for statement in (
                "INSERT INTO person VALUES (%s)",
                "SELECT %s::text::uuid",
                "SELECT %s::text::int",
            ):
                with pytest.raises(psycopg.Error):
                    conn.execute(statement, ["ann@example.com"])
            with pytest.raises(psycopg.Error):
                conn.execute("SELECT 'ann@example.com' FROM nowhere")
        assert "ready to accept connections" in server.log.read_text()
    assert "ann@" not in server.log.read_text()


def test_the_environments_pg_settings_do_not_reach_the_server(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGPORT", "1")
    with embedded(data_dir).running() as server:
        write(server)
        environment = Path(f"/proc/{postmaster(server)}/environ").read_bytes()
    assert b"PGPORT" not in environment
