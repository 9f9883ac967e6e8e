"""What the commands say and take: suggestions, units, words instead of numbers, standard input."""

import json
import subprocess
from pathlib import Path

import pytest

from gateway.model import Command
from tests.cli.program import called
from tests.e2e.house import PROGRAM

VECTORS = Path(__file__).parent.parent / "vectors"
CONFIG = "batteries: [{name: a, driver: jbd, port: simulated}]\noutputs: {can_bms: {}}\n"


@pytest.mark.parametrize(("wrong", "right"), [("stauts", "status"), ("driver", "drivers"), ("chek", "check")])
def test_a_mistyped_command_gets_a_suggestion(wrong: str, right: str) -> None:
    done = called(wrong)
    assert done.returncode == 2
    assert done.stderr.endswith(f"no command is called {wrong!r}, did you mean {right}?\n")


def test_a_command_that_is_like_none_is_sent_to_the_help() -> None:
    assert called("xyzzy").stderr.endswith("no command is called 'xyzzy', see --help\n")


def test_decoded_can_values_bear_their_units() -> None:
    lines = called(
        "can", "decode", str(VECTORS / "can_inverter/constructed_pylon_overvoltage.json")
    ).stdout.splitlines()
    shown = {line.split()[0]: line.split()[2:] for line in lines}
    assert shown["charge_voltage_limit"] == ["V"]
    assert shown["charge_current_limit"] == ["A"]
    assert shown["soc"] == ["%"]
    assert shown["temperature"] == ["°C"]
    assert shown["charge_enable"] == []


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (Command("charge", 1.0), "charge on"),
        (Command("discharge", 0.0), "discharge off"),
        (Command("balance", 1.0), "balance on"),
        (Command("soc", 99.5), "soc 99.5 %"),
        (Command("clear_history", 2.0), "clear_history 2"),
    ],
)
def test_a_command_is_told_in_words(command: Command, words: str) -> None:
    assert command.words == words


def test_check_reads_standard_input() -> None:
    assert called("check", "-", given=CONFIG).stdout == "-: ok, 1 battery (a), outputs can_bms\n"
    done = called("check", "-", given=CONFIG.replace("jbd", "jdb"))
    assert done.returncode == 1
    assert done.stderr.startswith("-:1: batteries[0].driver: ")


def test_run_takes_its_file_as_check_does(tmp_path: Path) -> None:
    for words in (["nowhere.yaml"], ["-c", "nowhere.yaml"], ["nowhere.yaml", "--config", "nowhere.yaml"]):
        assert called("run", *words).stderr == "nowhere.yaml: no such file, expected a gateway.yaml\n"
    done = called("run", "one.yaml", "-c", "other.yaml")
    assert done.returncode == 2
    assert "expected one configuration" in done.stderr


def test_alarms_that_are_never_read_are_not_called_none(tmp_path: Path) -> None:
    case = json.loads((VECTORS / "jbd/4s-sp04s034.json").read_text())
    case["exchanges"] = [exchange for exchange in case["exchanges"] if exchange["tx"].lower().startswith("dda504")]
    file = tmp_path / "cells.json"
    file.write_text(json.dumps(case))
    assert "alarms                       none are read here" in called("decode", str(file)).stdout
    assert "alarms                       none raised" in called("decode", str(VECTORS / "jbd/4s-sp04s034.json")).stdout


def test_output_that_finds_no_room_is_a_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([PROGRAM, "values"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "the output cannot be written: No space left on device\n")


def test_a_limit_is_asked_for_once() -> None:
    done = called("restrict", "soc-max=80", "ccl=5", "soc_max=90")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "Error: soc-max is given 2 times; which of them?"
