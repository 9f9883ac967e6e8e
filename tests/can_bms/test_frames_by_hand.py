"""One dialect each: bytes by hand, from the tables of vendors and of recordings."""

from typing import Any

import pytest

from gateway.model import Extreme, Life
from outputs.can_bms.dbc_file import load, names
from outputs.inverter.keys import Value
from outputs.inverter.values import values_of
from tests import make

DIALECTS = {name: load(name) for name in names()}
SNAPSHOT = make.snapshot(
    bank=make.bank(charge_cycles=42, soh=94.0, current=-27.0, voltage=52.34),
    decision=make.decision(cvl=56.0, ccl=100.0, dcl=120.5, soc=88.0, remaining_capacity=168.0),
    life=Life(charged_energy=211.2, discharged_energy=183.5),
)


def bytes_of(name: str, can_id: int, values: dict[str, Value] | None = None, dlc: Any = "native") -> str:
    """The data of one frame in hex."""
    dialect = DIALECTS[name]
    told = values_of(SNAPSHOT, dialect.keys) if values is None else values
    return next(f.data.hex() for f in dialect.encode({**dialect.defaults, **told}, dlc) if f.id == can_id)


@pytest.mark.parametrize(
    ("can_id", "want"),
    [
        (0x311, "023003e804b50c63"),  # 560 = 0230, 1000 = 03E8, 1205 = 04B5; both outputs on (60), discharging (C, 3)
        (0x312, "0000000001000010"),  # nothing raised, 1 pack, no maker code, 16 cells
        (0x313, "1472fef200ff585e"),  # 5234 = 1472, -270 = FEF2, 255 = 00FF, 88 %, 94 %
        (0x314, "41a06d600007002a"),  # 16800 = 41A0, 28000 = 6D60, 7 mV, 42 cycles
        (0x315, "0cf80cf90cfa0cfb"),  # 3320 to 3323 mV
        (0x318, "0cfc0cfd0cfe0cff"),
        (0x319, "c00cff0cf8080100"),  # both enabled; 3327 mV in cell 8, 3320 mV in cell 1, no faulty pack
        (0x320, "4247010100000000"),
        (0x321, "0000000000000000"),
    ],
)
def test_growatt_has_the_high_byte_first(can_id: int, want: str) -> None:
    assert bytes_of("growatt_lv", can_id) == want


@pytest.mark.parametrize(
    ("key", "want"),
    [
        ("p_discharge_over_current", "80000000"), ("p_charge_over_current", "40000000"),
        ("short_circuit_alarm", "20000000"), ("high_cell_voltage_alarm", "10000000"),
        ("low_cell_voltage_alarm", "08000000"), ("p_over_voltage", "04000000"), ("p_under_voltage", "02000000"),
        ("p_over_temperature", "00800000"), ("high_charge_temperature_alarm", "00400000"),
        ("p_under_temperature", "00200000"), ("low_charge_temperature_alarm", "00100000"),
        ("p_system_error", "00080000"), ("cell_imbalance_alarm", "00040000"),
        ("a_discharge_high_current", "00008000"), ("a_charge_high_current", "00004000"),
        ("high_cell_voltage_warning", "00001000"), ("low_cell_voltage_warning", "00000800"),
        ("a_high_voltage", "00000400"), ("a_low_voltage", "00000200"), ("a_high_temperature", "00000080"),
        ("high_charge_temperature_warning", "00000040"), ("a_low_temperature", "00000020"),
        ("low_charge_temperature_warning", "00000010"), ("cell_imbalance_warning", "00000004"),
        ("a_internal_comm_fail", "00000001"),
    ],
)  # fmt: skip
def test_each_alarm_of_growatt_is_its_own_bit_of_312(key: str, want: str) -> None:
    assert bytes_of("growatt_lv", 0x312, {key: 1}) == want + "01000000"


def test_growatt_gets_single_cells_of_a_single_battery_only() -> None:
    keys = DIALECTS["growatt_lv"].keys
    several = make.bank(make.battery("a"), make.battery("b"))
    torn = make.bank(make.battery(of=make.reading(cell_voltages=(3.3, None, 3.3))))
    for bank in (several, torn):
        sent = DIALECTS["growatt_lv"].encode(values_of(make.snapshot(bank=bank), keys))
        assert not {0x315, 0x316, 0x317, 0x318} & {frame.id for frame in sent}
    fifteen = make.bank(make.battery(of=make.reading(cell_voltages=(3.3,) * 15)))
    values = values_of(make.snapshot(bank=fifteen), keys)
    assert bytes_of("growatt_lv", 0x318, values) == "0ce40ce40ce40000"


def test_growatt_above_its_655_ah_stops_and_says_so() -> None:
    clamped: list[str] = []
    values: dict[str, Value] = {
        "available_capacity": 400.0, "installed_capacity": 800.0, "cell_voltage_difference": 0.004, "charge_cycles": 1,
    }  # fmt: skip
    (frame,) = (f for f in DIALECTS["growatt_lv"].encode(values, clamped=clamped) if f.id == 0x314)
    assert frame.data.hex() == "9c40ffff00040001" and clamped == ["installed_capacity"]


@pytest.mark.parametrize(
    ("can_id", "values", "want"),
    [
        (0x351, {}, "9a010000" + "0000ffff"),  # its lowest charge voltage, 41 V; 0 A; DVL not valid
        (0x351, {"charge_voltage_limit": 56.0, "charge_current_limit": 1300.0}, "3002e02e0000ffff"),
        (0x351, {"discharge_voltage_limit": 49.6}, "9a01" + "00000000" + "e001"),  # its highest, 48 V
        (0x355, {"soc": 88}, "5800ffffffffffff"),
        (0x355, {"soc": 88, "soh": 94, "soc_high_resolution": 88.12}, "58005e006c22ffff"),
        (0x356, {}, "0080008000800080"),
        (0x356, {"voltage": 52.34, "current": -27.0, "temperature": -5.0}, "7214f2feceff0080"),
        (0x35A, {}, "aaaaaa02aaaaaa02"),
        (0x35A, {"p_system_error": 1, "a_high_voltage": 1}, "aaaa6a02a6aaaa02"),
        (0x35F, {}, "ffffffffffffffff"),
        (0x35F, {"capacity_35f": 280}, "ffffffff1801ffff"),
    ],
)
def test_sma_has_what_is_unused_or_not_known_marked(can_id: int, values: dict[str, Value], want: str) -> None:
    given = {"charge_voltage_limit": 41.0} | values if can_id == 0x351 else values
    assert bytes_of("sma", can_id, given) == want


def test_sma_sends_nothing_but_what_it_allows() -> None:
    assert {frame.id for frame in DIALECTS["sma"].encode({})} == {0x351, 0x355, 0x356, 0x35A, 0x35E, 0x35F}
    assert DIALECTS["sma"].period >= 0.2


@pytest.mark.parametrize(
    ("can_id", "want"),
    [
        (0x355, "58005e00ff0cf80c"),  # 88 %, 94 %, 3327 mV, 3320 mV
        (0x356, "7214f2feff00f500"),  # 52.34 V, -27.0 A, 25.5 and 24.5 °C
        (0x359, "00000000011801"),  # one module, 280 Ah
        (0x35C, "c0002a00"),  # both enabled, 42 cycles
        (0x379, "1801000000000000"),
    ],
)
def test_luxpower_has_cells_capacity_and_cycles_in_the_free_bytes(can_id: int, want: str) -> None:
    assert bytes_of("luxpower", can_id) == want


@pytest.mark.parametrize(
    ("can_id", "want"),
    [
        (0x35E, "4741544557415900"), (0x35A, "aa" * 8), (0x35B, "00" * 8), (0x360, "00" * 8),
        (0x35F, "00000000a8000000"), (0x355, "58005e006022"), (0x356, "7214f2fefa00"),
        (0x372, "0100000000000000"), (0x373, "f80cff0c2a012b01"), (0x375, b"rack-1:8".hex()),
        (0x378, "400800002b070000"), (0x379, "1801000000000000"), (0x370, b"bms-gate".hex()),
        (0x371, b"way\0\0\0\0\0".hex()), (0x380, b"S-0001\0\0".hex()),
    ],
)  # fmt: skip
def test_what_a_gx_is_told(can_id: int, want: str) -> None:
    assert bytes_of("victron", can_id) == want


def test_victron_in_the_order_of_a_working_emulation() -> None:
    values = {**DIALECTS["victron"].defaults, **values_of(SNAPSHOT, DIALECTS["victron"].keys)}
    sent = [frame.id for frame in DIALECTS["victron"].encode(values)]
    proven = "35E 382 35F 35A 35B 351 355 356 360 372 373 374 375 376 377 378 379"
    assert " ".join(f"{can_id:X}" for can_id in sent).startswith(proven)


@pytest.mark.parametrize("values", [{"force_charge_1": 1}, {"force_charge_1": 0, "force_charge_2": 1}])
def test_either_request_asks_a_gx_for_a_charge(values: dict[str, Value]) -> None:
    assert bytes_of("victron", 0x360, values) == "ff" + "00" * 7


def test_where_the_extremes_are_in_numbers() -> None:
    batteries = (make.battery("left"), make.battery("right"))
    bank = make.bank(*batteries, min_cell=Extreme(3.2, "right:4"), max_temperature=Extreme(31.0, "left:2"))
    values = values_of(make.snapshot(bank=bank), DIALECTS["pylontech_v2"].keys)
    assert bytes_of("pylontech_v2", 0x371, values) == "0201" + "0101" + "0801" + "0402"
    assert bytes_of("pylontech_v2", 0x370, values) == "3601f500ff0c800c"


def test_sol_arks_two_files_differ_by_the_scale_of_the_voltage_alone() -> None:
    fine, coarse = (values_of(SNAPSHOT, DIALECTS[name].keys) for name in ("solark", "solark_decivolt"))
    assert fine == coarse
    ours, theirs = (DIALECTS[name].encode(fine, "native") for name in ("solark", "solark_decivolt"))
    assert [(a.id, b.id) for a, b in zip(ours, theirs, strict=True) if a != b] == [(0x356, 0x356)]
    assert bytes_of("solark", 0x356)[:4] == "7214" and bytes_of("solark_decivolt", 0x356)[:4] == "0b02"
    assert {len(frame.data) for frame in (*ours, *theirs)} == {8}


@pytest.mark.parametrize("text", ["PYLON", "My Pylon", "BYD", "byd-like", "LG", "LG RESU"])
def test_a_gx_is_never_shown_a_name_that_makes_it_change_the_limits(text: str) -> None:
    victron = DIALECTS["victron"]
    assert "whose limits this inverter changes" in victron.mistaken(text)
    assert DIALECTS["pylontech"].mistaken(text) == ""
    own = victron.unmistakable({"manufacturer": text, "name": text, "product": text, "soc": 5})
    assert own == {**victron.defaults, "soc": 5}
    assert all(victron.mistaken(str(name)) == "" for name in victron.defaults.values())
