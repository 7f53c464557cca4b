"""`consent-service catalogue apply` and `show`, as an operator sees them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from consent_service.catalogue.commands import catalogue
from tests.catalogue.documents import SMALL
from tests.support.cluster import TestDatabase
from tests.support.worlds import Document


@pytest.fixture
def operator(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    for name, value in database.environment().items():
        monkeypatch.setenv(name, value)
    return CliRunner()


def written(folder: Path, document: Document) -> str:
    path = folder / "catalogue.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return str(path)


def run(operator: CliRunner, *arguments: str) -> Result:
    return operator.invoke(catalogue, list(arguments))


def test_the_outcome_is_told(operator: CliRunner, tmp_path: Path) -> None:
    first = run(operator, "apply", written(tmp_path, SMALL))
    assert first.exit_code == 0, first.output
    assert first.stdout.startswith("The catalogue is now version 1.\nNew: channel email\n")
    assert "New: topic offers/wine\n" in first.stdout
    again = run(operator, "apply", written(tmp_path, SMALL))
    assert again.stdout == "This catalogue holds already, as version 1; nothing was changed.\n"


def test_what_is_shown_can_be_applied_again(operator: CliRunner, tmp_path: Path) -> None:
    example = Path(str(files("consent_service.catalogue").joinpath("example.yaml")))
    assert run(operator, "apply", str(example)).exit_code == 0
    shown = run(operator, "show")
    assert yaml.safe_load(shown.stdout) == yaml.safe_load(example.read_text(encoding="utf-8"))
    path = tmp_path / "shown.yaml"
    path.write_text(shown.stdout, encoding="utf-8")
    assert "holds already" in run(operator, "apply", str(path)).stdout


def test_without_a_catalogue_there_is_none_to_show(operator: CliRunner) -> None:
    result = run(operator, "show")
    assert (result.exit_code, result.stderr) == (1, "No catalogue was applied yet.\n")


def test_each_fault_is_one_line_with_file_line_and_place(operator: CliRunner, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text('time_zone: Mars\nlevels: []\nchannels:\n  "a\\e[2J": {identifier: email}\ntopics: {}\n')
    result = run(operator, "apply", str(path))
    assert result.exit_code == 1
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0].startswith(f"{path}:1: /time_zone: ")
    assert lines[1].startswith(f"{path}:2: /levels: ")
    assert lines[2].startswith(f"{path}:4: /channels/a�[2J: ")
    assert lines[3:] == [f"{path} has 3 faults."]
    assert "\x1b" not in result.output


def test_louder_is_refused_with_the_way_on(operator: CliRunner, tmp_path: Path, database: TestDatabase) -> None:
    run(operator, "apply", written(tmp_path, SMALL))
    with database.owner() as conn:
        conn.execute("INSERT INTO customer (customer_id, created_at) VALUES (gen_random_uuid(), now())")
    louder = {**SMALL, "time_zone": "UTC"}
    path = written(tmp_path, louder)
    refused = run(operator, "apply", path)
    assert refused.exit_code == 1
    assert refused.stderr.splitlines()[0].startswith(f"{path}:1: /time_zone: the zone changes")
    assert "--accept-louder" in refused.stderr
    accepted = run(operator, "apply", path, "--accept-louder")
    assert accepted.exit_code == 0
    assert "Louder for existing customers, accepted: /time_zone" in accepted.stdout


def test_a_file_that_is_not_there_is_said_so(operator: CliRunner) -> None:
    assert run(operator, "apply", "nowhere.yaml").exit_code == 2
