"""bms-gateway rs485: recorded exchanges answered and read back, a line watched, mistakes in a sentence."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli.rs485 import command
from gateway.model import GatewayError
from tests.cli.program import called
from tests.rs485_bms.inverter import Line, pylon

VECTORS = Path(__file__).parents[1] / "vectors" / "rs485_inverter"
CASES = sorted(VECTORS.glob("*.json"))


def here(*words: object) -> Any:
    """The command in this process."""
    return CliRunner().invoke(command, [str(word) for word in words])


def said(*words: object) -> Any:
    return json.loads(here(*words, "--json").output)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_case_is_answered_and_read_back(case: Path, tmp_path: Path) -> None:
    recorded = json.loads(case.read_text())
    answers = said("answer", case)["answers"]
    if recorded.get("encode"):
        assert answers == [one["rx"] for one in recorded["exchanges"]]
    ours = tmp_path / "ours.json"
    exchanges = [{"tx": one["tx"], "rx": rx} for one, rx in zip(recorded["exchanges"], answers, strict=True)]
    ours.write_text(json.dumps({**recorded, "exchanges": exchanges}))
    values = said("decode", ours)["values"]
    assert {key: values.get(key, 0) for key in recorded["values"]} == recorded["values"]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("[]", 'expected an object with "dialect"'),
        ("{", "not JSON: "),
        ('{"dialect": "pylon"}', "dialect: 'pylon', expected one of pylontech, growatt, voltronic"),
        ('{"dialect": "growatt", "exchanges": [{"tx": "zz"}], "values": {}}', "exchanges: expected [{"),
        ('{"dialect": "growatt", "exchanges": []}', "values: expected an object"),
        ('{"dialect": "growatt", "config": {"unit": 0}, "exchanges": [], "values": {}}', "address: 0, expected 1..254"),
        ('{"dialect": "growatt", "config": {"framing": "x"}, "exchanges": [], "values": {}}', "config: framing: "),
        ('{"dialect": "growatt", "exchanges": [], "values": {"soc": "full"}}', "soc: 'full' is not a finite number"),
    ],
)
def test_what_is_no_case_is_told_in_a_line(case: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "case.json"
    file.write_text(case)
    problem = here("answer", file).exception
    assert isinstance(problem, GatewayError) and expected in str(problem) and "\n" not in str(problem), problem


def test_a_file_that_is_not_there_ends_in_a_line(tmp_path: Path) -> None:
    done = called("rs485", "decode", tmp_path / "nowhere.json")
    assert (done.returncode, done.stderr) == (1, f"{tmp_path}/nowhere.json: No such file or directory\n")


def test_a_line_is_watched() -> None:
    line, recorded = Line(), json.loads((VECTORS / "pylontech_us5000_charge_stopped.json").read_text())
    stop = threading.Event()

    def talk() -> None:
        while not stop.is_set():
            for frame in recorded["exchanges"][0].values():
                os.write(line.master, bytes.fromhex(frame))
                time.sleep(0.1)

    talking = threading.Thread(target=talk)
    talking.start()
    try:
        lines = called("rs485", "watch", line.path, "--for", "1s").stdout.splitlines()
        told = here("watch", line.path, "--for", "1s", "--json").output.splitlines()
    finally:
        stop.set()
        talking.join()
        line.close()
    assert [text for text in lines if " question  92 " in text]
    assert [text for text in lines if " answer " in text and "charge_enable 0, discharge_enable 1" in text]
    frames = [json.loads(text) for text in told]
    assert {frame["kind"] for frame in frames} <= {"question", "answer", "noise"}
    assert [frame for frame in frames if frame["values"].get("charge_voltage_limit") == 53.25]
    assert str(here("watch", "/dev/ttyOfNobody").exception).startswith("/dev/ttyOfNobody: no such device")


def test_words_beside_json() -> None:
    case = VECTORS / "pylontech_us5000_charge_stopped.json"
    assert here("answer", case).output.splitlines()[0] == pylon(0x92, b"\x02").decode().strip()
    assert "charge_current_limit         0.0\n" in here("decode", case).output
