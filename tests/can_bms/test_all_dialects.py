"""What holds for every dialect; a new DBC file in dbc/ is included by being there."""

import math
import re
from itertools import pairwise
from typing import Any

import cantools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dbc
from gateway.model import Extreme, GatewayError, Life
from outputs.can_bms.dbc_file import load, names
from outputs.can_bms.dialect import Dialect, Frame
from outputs.can_bms.keys import KINDS, Value
from outputs.can_bms.values import ALARM_FLAGS, raised, safe, values_of
from tests import make

DIALECTS = {name: load(name) for name in names()}
FILES: dict[str, Any] = {name: cantools.database.load_file(dbc.path(name)) for name in names()}
SIGNALS = {
    name: {s.name: s for m in file.messages if "Inverter" not in m.senders for s in m.signals}
    for name, file in FILES.items()
}
CLOSER = {  # values that must not be exceeded, and the one that must not be undercut
    "charge_voltage_limit": -1, "charge_current_limit": -1, "discharge_current_limit": -1, "discharge_voltage_limit": 1,
}  # fmt: skip


def of_kind(name: str, kind: str) -> list[str]:
    return sorted(key for key in DIALECTS[name].keys if KINDS[key] == kind)


def both_ways(dialect: Dialect, values: dict[str, Value]) -> dict[str, Value]:
    """Encoded, and read back."""
    return dialect.decode(dialect.encode(values))


def test_there_is_a_dialect_for_each_kind_of_frames_that_inverters_read() -> None:
    there = {"pylontech", "pylontech_v13", "pylontech_v2", "victron", "sma", "goodwe", "solark", "solark_decivolt"}
    assert there | {"luxpower", "growatt_lv", "sofar", "sofar_amass", "li_residential"} <= set(names())


@pytest.mark.parametrize("name", names())
def test_ids_are_standard_ones_and_each_is_there_once(name: str) -> None:
    ids = [(message.frame_id, message.is_extended_frame) for message in FILES[name].messages]
    assert len(ids) == len(set(ids))
    assert not any(extended for _, extended in ids)


@pytest.mark.parametrize("name", names())
def test_no_two_signals_share_a_bit(name: str) -> None:
    cantools.database.load_file(dbc.path(name), strict=True)
    for layout in DIALECTS[name].layouts:
        seen = 0
        for signal in layout.message.signals:
            ones = (1 << signal.length) - 1 if not signal.is_signed else -1
            empty = {other.name: 0 for other in layout.message.signals}
            bits = int.from_bytes(layout.message.encode({**empty, signal.name: ones}, scaling=False, strict=False))
            assert bits.bit_count() == signal.length and not bits & seen, signal.name
            seen |= bits


@pytest.mark.parametrize("name", names())
def test_the_file_says_of_each_message_when_it_is_sent(name: str) -> None:
    text = dbc.path(name).read_text()
    orders = []
    for message in FILES[name].messages:
        assert f'BA_ "GenMsgCycleTime" BO_ {message.frame_id} ' in text
        if "Inverter" not in message.senders:
            orders += re.findall(rf'BA_ "SendOrder" BO_ {message.frame_id} (\d+);', text)
    assert sorted(map(int, orders)) == list(range(1, len(orders) + 1))
    assert [layout.order for layout in DIALECTS[name].layouts] == sorted(map(int, orders))
    assert all(a.order < b.order for a, b in pairwise(DIALECTS[name].layouts))


@pytest.mark.parametrize("name", names())
def test_limits_go_out_every_second_at_least(name: str) -> None:
    for layout in DIALECTS[name].layouts:
        assert layout.cycle <= 1000 or not {"charge_current_limit", "soc", "voltage"} & {c.key for c in layout.coders}


@pytest.mark.parametrize("name", names())
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_numbers_come_back_within_a_step_and_stop_at_the_ends(name: str, data: st.DataObject) -> None:
    keys = of_kind(name, "number")
    values = {key: data.draw(st.floats(-1e5, 1e5) | st.floats(-100, 100) | st.integers(-10, 4000)) for key in keys}
    clamped: list[str] = []
    back = DIALECTS[name].decode(DIALECTS[name].encode(dict(values), clamped=clamped))
    for key, value in values.items():
        signal = SIGNALS[name][key]
        wanted = min(max(value, signal.minimum), signal.maximum)
        if key not in back:
            assert wanted < signal.scale, "0 is the mark for not known, of what is never 0 when it is known"
            continue
        got = float(back[key])  # type: ignore[arg-type]
        step = signal.scale if key in CLOSER else signal.scale / 2
        assert abs(got - wanted) <= step * (1 + 1e-6) + 1e-9, key
        if key in CLOSER and signal.minimum <= value <= signal.maximum:
            assert (got - value) * CLOSER[key] >= -1e-6 * signal.scale, key
        if value < signal.minimum - signal.scale or value > signal.maximum + signal.scale:
            assert key in clamped


@pytest.mark.parametrize("name", names())
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_flags_come_back_as_they_were(name: str, data: st.DataObject) -> None:
    values: dict[str, Value] = {key: data.draw(st.integers(0, 1)) for key in of_kind(name, "flag")}
    back = both_ways(DIALECTS[name], dict(values))
    assert {key: back[key] for key in values} == values


@pytest.mark.parametrize("name", names())
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_texts_come_back_cleaned_and_cut(name: str, data: st.DataObject) -> None:
    texts = {key: data.draw(st.text(min_size=1, max_size=20)) for key in of_kind(name, "text")}
    numbers = dict.fromkeys(of_kind(name, "number"), 7)
    back = both_ways(DIALECTS[name], {**numbers, **texts})
    for key, text in texts.items():
        room = sum(s.length // 8 for m in FILES[name].messages for s in m.signals if s.name == key)
        shown = "".join(letter if " " <= letter <= "~" else "?" for letter in text)[:room].rstrip()
        assert str(back.get(key, "")).strip() == shown.strip()


@pytest.mark.parametrize("name", names())
@given(payload=st.binary(max_size=8))
def test_any_bytes_can_be_read(name: str, payload: bytes) -> None:
    DIALECTS[name].decode([Frame(layout.message.frame_id, payload) for layout in DIALECTS[name].layouts])


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400], ids=["nan", "inf", "-inf", "huge"])
def test_what_is_no_number_never_reaches_a_frame(name: str, value: float) -> None:
    known: dict[str, Value] = dict.fromkeys(of_kind(name, "number"), 7)
    for key in known:
        with pytest.raises(GatewayError, match=f"{key}: .* not a finite number"):
            DIALECTS[name].encode({**known, key: value})


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("nothing", [None, math.nan, math.inf])
def test_a_bank_of_which_nothing_is_known_is_told_as_that(name: str, nothing: float | None) -> None:
    nowhere = None if nothing is None else Extreme(nothing, "rack-1:1")
    bank = make.bank(
        voltage=nothing, current=nothing, soc=nothing, soh=nothing, temperature=nothing, capacity=nothing,
        remaining_capacity=nothing, charge_cycles=nothing, min_cell=nowhere, max_cell=nowhere, min_temperature=nowhere,
        max_temperature=nowhere,
    )  # fmt: skip
    decision = make.decision(soc=nothing, low_voltage=nothing, remaining_capacity=nothing)
    values = values_of(make.snapshot(bank=bank, decision=decision), DIALECTS[name].keys)
    assert all(math.isfinite(value) for value in values.values() if isinstance(value, float))
    back = both_ways(DIALECTS[name], values)
    for key in ("soh", "temperature", "min_cell_voltage_mV", "max_cell_temperature", "available_capacity"):
        assert back.get(key) != 0


# ---- what an inverter must see when something is wrong


def is_alarm(flag: str) -> bool:
    return flag.startswith("p_") or flag.endswith("_alarm")


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("alarm", ALARM_FLAGS)
def test_warnings_and_alarms_are_apart(name: str, alarm: str) -> None:
    dialect = DIALECTS[name]
    for level in (1, 2):
        flags = raised({alarm: level}, dialect.keys)
        back = both_ways(dialect, dict(flags))
        shown = {key for key in of_kind(name, "flag") if back[key]}
        assert shown == set(flags)
        assert all(is_alarm(flag) is (level == 2) for flag in flags)


@pytest.mark.parametrize("name", names())
def test_an_alarm_of_level_2_is_shown_in_every_dialect_that_has_alarms(name: str) -> None:
    if any(is_alarm(key) for key in DIALECTS[name].keys):
        silent = {alarm for alarm in ALARM_FLAGS if not raised({alarm: 2}, DIALECTS[name].keys)}
        assert silent <= {"cell_imbalance"}, "the Pylontech frames have no bit for unlike cells"


@pytest.mark.parametrize("name", names())
def test_the_safe_state_closes_all_that_the_dialect_has(name: str) -> None:
    dialect = DIALECTS[name]
    asking = make.snapshot(decision=make.decision(force_charge=True))
    back = both_ways(dialect, safe(values_of(asking, dialect.keys), dialect.keys))
    assert back["charge_current_limit"] == back["discharge_current_limit"] == 0
    closed = {"charge_enable", "discharge_enable", "force_charge_1", "force_charge_2", "full_charge"}
    said = {"p_system_error", "a_internal_comm_fail", "protections_valid"}
    for key in dialect.keys:
        assert key not in closed or back[key] == 0, key
        assert key not in said or back[key] == 1, key
    assert back.get("operating_state", 1) == back.get("system_state", 1) == 1
    assert back["charge_voltage_limit"] == 55.2, "a charge voltage of 0 is over-voltage to some"
    assert "p_system_error" in dialect.keys


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("way", ["charge", "discharge"])
def test_a_direction_that_is_forbidden_is_closed_in_all_frames(name: str, way: str) -> None:
    decision = make.decision(**{f"allow_{way}": False})
    values = values_of(make.snapshot(decision=decision), DIALECTS[name].keys)
    frames = DIALECTS[name].encode(values)
    for frame in frames:
        back = DIALECTS[name].decode([frame])
        assert back.get(f"{way}_current_limit", 0) == 0
        assert back.get(f"{way}_enable", 0) == 0
    other = "discharge" if way == "charge" else "charge"
    whole = DIALECTS[name].decode(frames)
    assert whole[f"{other}_current_limit"] and whole.get(f"{other}_enable", 1) == 1


# ---- one dialect each: bytes by hand, from the vendors' tables

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
    given = {"charge_voltage_limit": 0.0} | values if can_id == 0x351 else values
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
