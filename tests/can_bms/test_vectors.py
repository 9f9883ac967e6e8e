"""Recorded and constructed frames of the dialects we have: values out of them, and the same bytes back."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from outputs.can_bms import dbc_file
from outputs.can_bms.dialect import Frame
from outputs.can_bms.keys import check

load = cache(dbc_file.load)
VECTORS = Path(__file__).parents[1] / "vectors" / "can_inverter"
DIALECTS = {
    "pylontech_lv_v1.2": "pylontech",
    "pylontech_lv_v1.3": "pylontech_v13",
    "pylontech_v2_superset": "pylontech_v2",
    "victron_can_bms": "victron",
}
FOREIGN = "discover_serial_can"  # a dialect that we do not speak
ALL = {file.stem: json.loads(file.read_text()) for file in sorted(VECTORS.glob("*.json"))}
CASES = {name: case for name, case in ALL.items() if case["protocol"] in DIALECTS}
OURS = {  # by our own rules to the byte; other makers' recordings differ where no value says so
    name: case for name, case in CASES.items() if case["protocol"].startswith("pylontech_lv")
}
UNSAID = {0x35A, 0x35B, 0x35F, 0x360, 0x371}  # follow from no value in other makers' recordings: sheet, section 14


def frames(case: dict[str, Any]) -> list[Frame]:
    return [Frame(int(f["id"], 16), bytes.fromhex(f["data"]), f["ext"]) for f in case["frames"]]


def test_every_recording_is_here_and_is_of_a_dialect_we_know() -> None:
    assert len(ALL) == 7
    assert {case["protocol"] for case in ALL.values()} == {*DIALECTS, FOREIGN}


@pytest.mark.parametrize("name", CASES)
def test_decoding_gives_the_expected_values(name: str) -> None:
    case = CASES[name]
    values = load(DIALECTS[case["protocol"]]).decode(frames(case))
    assert {key: values.get(key) for key in case["expected"]} == case["expected"]


@pytest.mark.parametrize("name", OURS)
def test_encoding_the_expected_values_gives_the_recorded_bytes(name: str) -> None:
    case = CASES[name]
    made = load(DIALECTS[case["protocol"]]).encode(check(case["expected"]), "native")
    assert list(map(str, made)) == list(map(str, frames(case)))


@pytest.mark.parametrize("name", OURS)
def test_encoding_what_was_decoded_gives_the_recorded_bytes(name: str) -> None:
    case = CASES[name]
    dialect = load(DIALECTS[case["protocol"]])
    assert dialect.encode(dialect.decode(frames(case)), "native") == frames(case)


@pytest.mark.parametrize("name", OURS)
def test_padded_frames_are_the_native_ones_and_zeros(name: str) -> None:
    case = CASES[name]
    padded = load(DIALECTS[case["protocol"]]).encode(check(case["expected"]), "8")
    assert [frame.data for frame in padded] == [frame.data.ljust(8, b"\0") for frame in frames(case)]


@pytest.mark.parametrize("name", sorted(CASES.keys() - OURS.keys()))
def test_encoding_the_expected_values_gives_the_bytes_that_follow_from_them(name: str) -> None:
    case = CASES[name]
    made = {f.id: f.data for f in load(DIALECTS[case["protocol"]]).encode(check(case["expected"]), "native")}
    unsaid = UNSAID if case["kind"] == "captured" else set()
    there = {frame.id: frame.data for frame in frames(case) if frame.id not in unsaid}
    padded = {can_id: data.ljust(len(there[can_id]), b"\0") for can_id, data in made.items() if can_id in there}
    assert padded == there
    if case["kind"] == "constructed":
        assert {can_id: made[can_id] for can_id in there} == there, "its lengths, too"


def test_a_foreign_dialect_is_read_as_far_as_it_is_the_same() -> None:
    case = ALL["discover_lynk2_serialcan"]
    values = load("victron").decode(frames(case))
    same = case["expected"].keys() - {"voltage_0p1V"}
    assert {key: values[key] for key in same} == {key: case["expected"][key] for key in same}
    assert values["voltage"] == 5.22, "it sends steps of 0.1 V"


def test_a_superset_of_another_maker_is_read_as_far_as_it_is_pylontech() -> None:
    case = json.loads((VECTORS / "ecoworthy_cubix100_pylon_2modules.json").read_text())
    values = load("pylontech").decode(frames(case))
    assert values["modules"] == 2 and values["temperature"] == 11.3 and values["manufacturer"] == "PYLON"
    assert all(values[key] == want for key, want in case["expected"].items() if key in values)
