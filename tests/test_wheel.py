"""A built wheel stands alone: what is linked into the package from the top is in it as real files."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from consent_service.database.migrate import pending
from tests.support.cluster import Cluster, TestDatabase, clean_environment

ROOT = Path(__file__).parents[1]
SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "openapi.yaml", "migrations", "consent_service")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: leftovers of an earlier build would get into it, and ours into the next one."""
    source = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, source / name)
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", source / "dist", source],
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (found,) = (source / "dist").glob("*.whl")
    return found


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    package = ROOT / "consent_service"
    expected = {
        f"consent_service/{path.relative_to(package)}"
        for folder in (package, package / "migrations")
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert expected - names == set()
        for path in (ROOT / "migrations").glob("*.sql"):
            assert archive.read(f"consent_service/migrations/{path.name}") == path.read_bytes()
        assert archive.read("consent_service/openapi.yaml") == (ROOT / "openapi.yaml").read_bytes()
    assert not any(name.startswith("tests/") for name in names)


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[TestDatabase]:
    made = cluster.empty()
    yield made
    cluster.drop(made)


def test_the_program_of_the_wheel_migrates_and_reads_its_files(
    wheel: Path, tmp_path: Path, empty: TestDatabase
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    program = "import consent_service, consent_service.wsgi; print(consent_service.__file__)"
    environment = clean_environment() | empty.environment() | {"PYTHONPATH": str(tmp_path)}
    for arguments in (["-m", "consent_service", "migrate"], ["-c", program]):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path)), "the checkout was used, not the wheel"
    assert pending(empty.owner_url) == []
