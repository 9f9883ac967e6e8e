"""`check` and `run` refuse the same configurations with the same words, and `limits` the same settings."""

from pathlib import Path

import pytest

from tests.cli.program import called

TESTS = Path(__file__).parent.parent

BATTERY = "batteries: [{name: a, driver: jbd, port: simulated}]\n"
REFUSED = {
    "two baud rates": "batteries: [{name: a, driver: jbd, port: /dev/x}, {name: b, driver: jk, port: /dev/x}]\n",
    "auto on SPI": "batteries: [{name: a, driver: auto, port: 'spi:0.0'}]\n",
    "serial driver on Modbus TCP": "batteries: [{name: a, driver: jbd, port: 'tcp:gw'}]\n",
    "dialect": f"{BATTERY}outputs: {{can_bms: {{dialect: pylontek}}}}\n",
    "interface": f"{BATTERY}outputs: {{can_bms: {{interface: sockcan}}}}\n",
    "contradiction": f"{BATTERY}limits: {{rebulk: {{cell_difference: 0.01}}}}\n",
    "other cells": f"{BATTERY}limits: {{cell_voltage: {{max: 2.6, float: 2.5, min: 1.8}}}}\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_check_refuses_run_refuses_alike(name: str, tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(REFUSED[name])
    checked, ran = called("check", file), called("run", "-c", file)
    assert checked.returncode == ran.returncode == 1
    assert checked.stderr == ran.stderr != ""
    assert all(line.startswith(f"{file}:") for line in checked.stderr.splitlines())


@pytest.mark.parametrize("case", sorted((TESTS / "config" / "cases").glob("*.yaml")), ids=lambda case: case.stem)
def test_recorded_configurations_are_refused_by_both(case: Path) -> None:
    checked, ran = called("check", case), called("run", "-c", case)
    assert checked.returncode == ran.returncode == 1
    assert checked.stderr == ran.stderr != ""


def test_a_recorded_scenario_is_refused_in_one_line() -> None:
    file = TESTS / "limits" / "cases" / "rebulk_below_absorption.json"
    done = called("limits", file)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(f"{file}: SWITCH_TO_BULK_CELL_VOLTAGE_DIFF, SWITCH_TO_FLOAT_CELL_VOLTAGE_DIFF")


def test_names_that_nobody_knows_are_told_beside_the_yaml(tmp_path: Path) -> None:
    file = tmp_path / "config.ini"
    file.write_text("MAX_BATTERY_DISHARGE_CURRENT = 90\nBLUETOOTH_BMS = Jkbms_Ble C8:47:8C:00:00:01\n")
    done = called("import-config", file)
    near = "MAX_BATTERY_DISCHARGE_CURRENT"
    assert done.returncode == 0 and "# Unknown, left out:" in done.stdout
    assert done.stderr.splitlines() == [
        f"{file}:1: MAX_BATTERY_DISHARGE_CURRENT: unknown option, left out; did you mean {near}?",
    ]
