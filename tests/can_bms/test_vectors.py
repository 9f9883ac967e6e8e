"""Recorded and constructed frames of the dialects we have: values out of them, and the same bytes back."""

import json
from pathlib import Path
from typing import Any

import pytest

from outputs.can_bms.dbc_file import load
from outputs.can_bms.dialect import Frame
from outputs.can_bms.keys import check

VECTORS = Path(__file__).parents[1] / "vectors" / "can_inverter"
DIALECTS = {"pylontech_lv_v1.2": "pylontech", "pylontech_lv_v1.3": "pylontech_v13"}
CASES = {
    file.stem: case
    for file in sorted(VECTORS.glob("*.json"))
    if (case := json.loads(file.read_text()))["protocol"] in DIALECTS
}


def frames(case: dict[str, Any]) -> list[Frame]:
    return [Frame(int(f["id"], 16), bytes.fromhex(f["data"]), f["ext"]) for f in case["frames"]]


def test_there_are_recordings_of_every_pylontech_dialect() -> None:
    assert {case["protocol"] for case in CASES.values()} == set(DIALECTS)


@pytest.mark.parametrize("name", CASES)
def test_decoding_gives_the_expected_values(name: str) -> None:
    case = CASES[name]
    values = load(DIALECTS[case["protocol"]]).decode(frames(case))
    assert {key: values.get(key) for key in case["expected"]} == case["expected"]


@pytest.mark.parametrize("name", CASES)
def test_encoding_the_expected_values_gives_the_recorded_bytes(name: str) -> None:
    case = CASES[name]
    made = load(DIALECTS[case["protocol"]]).encode(check(case["expected"]), "native")
    assert list(map(str, made)) == list(map(str, frames(case)))


@pytest.mark.parametrize("name", CASES)
def test_encoding_what_was_decoded_gives_the_recorded_bytes(name: str) -> None:
    case = CASES[name]
    dialect = load(DIALECTS[case["protocol"]])
    assert dialect.encode(dialect.decode(frames(case)), "native") == frames(case)


@pytest.mark.parametrize("name", CASES)
def test_padded_frames_are_the_native_ones_and_zeros(name: str) -> None:
    case = CASES[name]
    padded = load(DIALECTS[case["protocol"]]).encode(check(case["expected"]), "8")
    assert [frame.data for frame in padded] == [frame.data.ljust(8, b"\0") for frame in frames(case)]


def test_a_superset_of_another_maker_is_read_as_far_as_it_is_pylontech() -> None:
    case = json.loads((VECTORS / "ecoworthy_cubix100_pylon_2modules.json").read_text())
    values = load("pylontech").decode(frames(case))
    assert values["modules"] == 2 and values["temperature"] == 11.3 and values["manufacturer"] == "PYLON"
    assert all(values[key] == want for key, want in case["expected"].items() if key in values)
