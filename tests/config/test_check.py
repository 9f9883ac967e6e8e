"""`bms-gateway check`: one line a mistake on stderr and exit 1, or what the file holds and exit 0."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.check import command

GOOD = "batteries: [{name: a, driver: jbd, port: simulated}]\noutputs: {venus_dbus: {}}\n"
BAD = "batteries: [{name: a, driver: jbd, port: nowhere}]\nbank: {start_timeout: 80A}\nnonsense: 1\n"


def check(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateway.yaml"


def test_good_file(file: Path) -> None:
    file.write_text(GOOD)
    result = check(file)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{file}: ok, 1 battery (a), outputs venus_dbus\n"


def test_doubts_are_told_and_do_not_refuse(file: Path) -> None:
    file.write_text(GOOD.replace("outputs", "#"))
    result = check(file)
    assert result.exit_code == 0
    assert "outputs none" in result.stdout and f"{file}: doubt: outputs: none is configured" in result.stdout


def test_bad_file_gives_a_line_for_each_mistake(file: Path) -> None:
    file.write_text(BAD)
    result = check(file)
    assert (result.exit_code, result.stdout) == (1, "")
    assert [line.rpartition(str(file))[2].split(":")[1] for line in result.stderr.splitlines()] == ["1", "2", "3"]


def test_json_for_programs(file: Path) -> None:
    file.write_text(GOOD)
    assert json.loads(check(file, "--json").stdout) == {
        "file": str(file), "ok": True, "errors": [], "doubts": [], "batteries": ["a"], "outputs": ["venus_dbus"],
    }  # fmt: skip
    file.write_text(BAD)
    result = check("--json", file)
    assert result.exit_code == 1 and len(json.loads(result.stdout)["errors"]) == 3


def test_without_a_name_the_file_is_gateway_yaml_here(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    assert check().stderr == "gateway.yaml: no such file, expected a gateway.yaml\n"
    file.write_text(GOOD)
    assert check().exit_code == 0


def test_schema_is_printed_without_any_file() -> None:
    result = check("--schema")
    assert result.exit_code == 0 and json.loads(result.stdout)["type"] == "object"


def test_wrong_usage_is_exit_code_2() -> None:
    assert check("--no-such-option").exit_code == 2
