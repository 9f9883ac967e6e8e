"""What is not known is never sent as if it had been measured: for every dialect, every value, one by one."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bms_drivers.kit import registry
from bms_drivers.kit.decode import decode
from gateway.bank import aggregate
from outputs.can_bms import dbc_file
from outputs.can_bms.dbc_file import names
from outputs.can_bms.dialect import Dlc, Frame
from outputs.can_bms.keys import KINDS, LIMITS, REQUIRED, Value
from outputs.can_bms.not_known import NOT_SENT
from outputs.can_bms.values import values_of
from tests import make

load = cache(dbc_file.load)
ROOT = Path(__file__).parents[2]
DLCS: tuple[Dlc, ...] = ("8", "native")
KNOWN: dict[str, Value] = {
    key: {"number": 7.0, "flag": 1, "text": "TEXT", "version": "2.4", "group": {}}[kind] for key, kind in KINDS.items()
} | {"charge_voltage_limit": 55.2}
OPTIONAL = [(name, key) for name in names() for key in sorted(load(name).keys & KINDS.keys() - set(REQUIRED))]


def rows() -> list[tuple[str, str, str, str]]:
    """Of docs/not-known.md: dialect, value, what is sent while it is not known, why."""
    found, dialect = [], ""
    for line in (ROOT / "docs" / "not-known.md").read_text().splitlines():
        dialect = line.removeprefix("## ") if line.startswith("## ") else dialect
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| 0x"):
            found += [(dialect, key, cells[5], cells[6]) for key in re.findall(r"`(\w+)`", cells[2])]
    return found


ROWS = rows()
FALLBACKS = {
    c.key: c.fallback for name in names() for layout in load(name).layouts for c in layout.coders if c.fallback
}
STOOD_IN = {(dialect, key): float(cell.strip("`")) for dialect, key, cell, _ in ROWS if cell.startswith("`")}


def read_back(name: str, without: str, dlc: Dlc) -> dict[str, Value]:
    dialect = load(name)
    values = {key: KNOWN[key] for key in dialect.keys & KINDS.keys() if key not in (without, FALLBACKS.get(without))}
    return dialect.decode(dialect.encode({**dialect.defaults, **values}, dlc))


def test_the_documentation_speaks_of_every_value_of_every_dialect() -> None:
    assert {(dialect, key) for dialect, key, _, _ in ROWS} == {
        (name, key) for name in names() for key in load(name).keys
    }


@pytest.mark.parametrize(("dialect", "key", "sent", "why"), ROWS)
def test_of_each_value_it_was_decided_and_is_said_why(dialect: str, key: str, sent: str, why: str) -> None:
    assert sent and why


@pytest.mark.parametrize("dlc", DLCS)
@pytest.mark.parametrize(("name", "key"), OPTIONAL)
def test_a_value_left_out_reads_back_as_nothing_but_what_the_documentation_says(name: str, key: str, dlc: Dlc) -> None:
    back = read_back(name, key, dlc)
    default = load(name).defaults.get(key)
    if default is not None:
        assert back[key] == default
    elif KINDS[key] == "flag":
        assert back[key] == 0, "not raised: there is no third value"
    else:
        assert back.get(key) == STOOD_IN.get((name, key))


COUNTED = {"modules_blocking_charge", "modules_blocking_discharge", "modules_offline"}  # by the gateway, always


@pytest.mark.parametrize(("name", "key"), STOOD_IN)
def test_no_measurement_is_ever_replaced_by_0(name: str, key: str) -> None:
    assert STOOD_IN[name, key] != 0.0 or key in {*LIMITS, *COUNTED}


@pytest.mark.parametrize("name", names())
def test_it_is_said_what_stands_in_and_what_is_withheld(name: str) -> None:
    dialect = load(name)
    values = {key: KNOWN[key] for key in dialect.keys & KINDS.keys()}
    assert dialect.unsaid(values) == []
    for key in dialect.keys & KINDS.keys():
        without = {**dialect.defaults, **values, key: dialect.defaults.get(key), FALLBACKS.get(key, key): None}
        said = " ".join(dialect.unsaid({name: value for name, value in without.items() if value is not None}))
        if (name, key) in STOOD_IN and key not in dialect.defaults:
            assert said == f"{key} is not known: {STOOD_IN[name, key]:g} is sent"
        elif {sent for dialect, found, sent, _ in ROWS if (dialect, found) == (name, key)} == {NOT_SENT}:
            assert re.search(rf"withheld while not known: .*\b{key}\b", said) or KINDS[key] == "text"


@pytest.mark.parametrize("name", names())
def test_a_mark_is_never_what_a_value_can_be(name: str) -> None:
    for coder in (coder for layout in load(name).layouts for coder in layout.coders):
        if coder.when_unknown in ("absent", "cut") and coder.coding == "number":
            inside = coder.low <= coder.start <= coder.high
            assert not inside or coder.start == 0, f"{coder.key}: {coder.start} would be read as not known"


def test_a_frame_that_rests_on_what_is_not_known_is_withheld_and_said() -> None:
    dialect = load("pylontech_v13")
    values = {key: KNOWN[key] for key in dialect.keys & KINDS.keys() if key != "capacity_35f"}
    assert 0x35F not in {frame.id for frame in dialect.encode(values)}
    assert dialect.unsaid(values) == ["0x35F is withheld while not known: capacity_35f"]


def test_a_bms_without_a_sensor_is_not_told_as_0_degrees() -> None:
    recording: dict[str, Any] = json.loads((ROOT / "tests/vectors/jbd/16s-no-sensors.json").read_text())
    reading = decode(registry.load("jbd"), recording).readings[""]
    bank = aggregate([make.battery(of=reading)], complete=True)
    for name in names():
        dialect = load(name)
        values = values_of(make.snapshot(bank=bank), dialect.keys)
        assert "temperature" not in values
        assert "max_cell_temperature" not in values
        back = dialect.decode(dialect.encode(values))
        for key in dialect.keys & {"temperature", "max_cell_temperature", "min_cell_temperature"}:
            assert back.get(key) == STOOD_IN.get((name, key))


OWN = """VERSION ""
BU_: Battery Inverter
BO_ 849 Limits: 8 Battery
 SG_ charge_voltage_limit : 0|16@1+ (0.1,0) [0|63] "V" Inverter
 SG_ charge_current_limit : 16|16@1- (0.1,0) [0|500] "A" Inverter
 SG_ discharge_current_limit : 32|16@1- (0.1,0) [0|500] "A" Inverter
BO_ 853 Charge: 4 Battery
 SG_ soc : 0|16@1+ (1,0) [0|100] "%" Inverter
 SG_ soh : 16|16@1+ (1,0) [0|100] "%" Inverter
BO_ 854 Measurements: 6 Battery
 SG_ voltage : 0|16@1- (0.01,0) [0|100] "V" Inverter
 SG_ temperature : 32|16@1- (0.1,-40) [-40|120] "degC" Inverter
BO_ 883 Cells: 8 Battery
 SG_ min_cell_voltage_mV : 0|16@1+ (1,0) [0|0] "mV" Inverter
 SG_ min_cell_temperature : 32|16@1- (1,0) [0|0] "degC" Inverter
BA_DEF_ SG_ "GenSigStartValue" INT -2147483648 2147483647;
BA_DEF_DEF_ "GenSigStartValue" 0;
"""


def test_a_users_file_that_does_not_say_it_has_the_frame_withheld(tmp_path: Path) -> None:
    file = tmp_path / "own.dbc"
    file.write_text(OWN)
    dialect = load("", file)
    values: dict[str, Value] = {"charge_voltage_limit": 55.2, "soc": 60, "voltage": 53.2, "min_cell_voltage_mV": 3300}
    frames = dialect.encode(values)
    assert [frame.id for frame in frames] == [849, 853, 854]
    assert dialect.decode(frames)["temperature"] == 25.0 and dialect.decode(frames)["soh"] == 100
    assert dialect.unsaid(values)[-1] == "0x373 is withheld while not known: min_cell_temperature"
    assert 883 in [frame.id for frame in dialect.encode({**values, "min_cell_temperature": 0})]


def test_a_mark_for_not_known_may_be_negative(tmp_path: Path) -> None:
    file = tmp_path / "own.dbc"
    file.write_text(OWN + 'BA_ "GenSigStartValue" SG_ 854 temperature -32768;\n')
    assert load("", file).encode({"voltage": 50.0})[2] == Frame(854, bytes.fromhex("8813000000800000"))
