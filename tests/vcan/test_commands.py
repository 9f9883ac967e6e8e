"""`can setup`, `can doctor` and `can watch` on real SocketCAN, on an interface that has a state and error frames."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.vcan.runner import run_in_uml

PROGRAM = Path(sys.executable).parent / "bms-gateway"


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    done = run_in_uml([sys.executable, "-m", "tests.vcan.commands", str(PROGRAM)], timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    assert all("Traceback" not in one["err"] for one in found.values())
    return found


def test_setup_asks_for_no_restart_of_a_driver_that_has_none(said: dict[str, Any]) -> None:
    assert said["setup"]["code"] == 0
    assert "BitRate=500000" in said["setup"]["out"] and "RestartSec" not in said["setup"]["out"]


def test_no_files_are_written_for_what_is_no_can_interface(said: dict[str, Any]) -> None:
    assert said["setup lo"]["code"] == 1 and said["setup lo"]["out"] == ""
    assert said["setup lo"]["err"].splitlines()[-1].endswith("lo is no CAN interface but of kind loopback")


def test_an_interface_that_is_not_there_cannot_be_watched(said: dict[str, Any]) -> None:
    assert "can7: no such CAN interface, or it is down; bring it up with: ip link set can7" in said["watch none"]["err"]


def test_a_sound_bus(said: dict[str, Any]) -> None:
    done = said["sound"]
    assert done["code"] == 0, done["out"]
    assert "can0 is up, error-active, 500 kbit/s" in done["out"]
    assert "this host sends 0x351" in done["out"] and "an inverter sends 0x305" in done["out"]


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("no such", "there is no interface can7"),
        ("bitrate", "another bitrate than 500 kbit/s"),
        ("alone", "nobody acknowledges our frames"),
        ("off", "bus-off"),
    ],
)
def test_faults_are_named_and_end_in_what_to_do(said: dict[str, Any], case: str, words: str) -> None:
    done = said[case]
    assert done["code"] == 1
    assert [line for line in done["out"].splitlines() if line.startswith("FAULT") and words in line], done["out"]
    assert "What to do:\n  * " in done["out"]


def test_another_bms_is_told_from_the_same_frames_of_this_host(said: dict[str, Any]) -> None:
    done = said["another"]
    report = json.loads(done["out"])
    assert (done["code"], report["sound"]) == (1, False)
    senders = {(one["id"], one["from"]) for one in report["heard"]}
    assert senders == {("0x351", "this host"), ("0x351", "another BMS")}
    assert report["error_frames"]["stuff"] > 1 and 0 < report["load"] < 0.05
    assert report["interface"]["state"] == "error-active"


def test_an_interface_that_is_down(said: dict[str, Any]) -> None:
    report = json.loads(said["down"]["out"])
    assert (said["down"]["code"], report["findings"][0]["what"], report["heard"]) == (1, "vcan1 is down", [])


def test_watch_prints_a_line_a_frame_with_gap_sender_and_meaning(said: dict[str, Any]) -> None:
    lines = said["watch"]["out"].splitlines()
    limits = [line for line in lines if " 351 " in line]
    assert len(limits) > 3 and "first" in limits[0]
    gap = re.search(r"gap +(\d\.\d+) s, longest (\d\.\d+)", limits[-1])
    assert gap and 0.1 < float(gap[1]) <= float(gap[2]) + 0.001 < 2.0
    assert "this host" in limits[-1] and "charge_voltage_limit 53.2 V" in limits[-1]
    assert [line for line in lines if " 305 " in line and "inverter" in line]


def test_on_a_terminal_watch_draws_one_row_an_id(said: dict[str, Any]) -> None:
    picture = said["table"]["out"].split("\x1b[H\x1b[J")[-1].splitlines()
    assert picture[0] == "can0, pylontech"
    assert [row.split()[0] for row in picture[1:] if row.strip()] == ["305", "351"]
    assert "longest" in picture[2]


def test_watch_as_json_has_values_and_error_frames(said: dict[str, Any]) -> None:
    rows = [json.loads(line) for line in said["watch json"]["out"].splitlines()]
    frames = [row for row in rows if "id" in row]
    assert {row["from"] for row in frames} == {"this host", "another BMS"}
    assert frames[-1]["values"]["charge_current_limit"] == 480.0
    assert [row for row in rows if row.get("error") == ["stuff"]]
