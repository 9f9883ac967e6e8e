"""Values to frames and back: bit positions by hand from the sheet, clamping, rounding, texts, users' DBC files."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dbc
from gateway.model import GatewayError
from outputs.can_bms.dbc_file import load, names
from outputs.can_bms.dialect import Dialect, Frame
from outputs.inverter.keys import KINDS, Value, check

PYLONTECH = load("pylontech")


def data(values: dict[str, Value], identifier: int, dlc: str = "native") -> str:
    """The bytes of one frame in hex."""
    return next(f.data.hex() for f in PYLONTECH.encode(values, dlc) if f.id == identifier)  # type: ignore[arg-type]


# can-inverter-protocols.md section 1, the table of 0x359: "b1.3" is byte 1, bit 3
@pytest.mark.parametrize(
    ("key", "want"),
    [
        ("p_over_voltage", "0200000001504e"),
        ("p_under_voltage", "0400000001504e"),
        ("p_over_temperature", "0800000001504e"),
        ("p_under_temperature", "1000000001504e"),
        ("p_discharge_over_current", "8000000001504e"),
        ("p_charge_over_current", "0001000001504e"),
        ("p_system_error", "0008000001504e"),
        ("a_high_voltage", "0000020001504e"),
        ("a_low_voltage", "0000040001504e"),
        ("a_high_temperature", "0000080001504e"),
        ("a_low_temperature", "0000100001504e"),
        ("a_discharge_high_current", "0000800001504e"),
        ("a_charge_high_current", "0000000101504e"),
        ("a_internal_comm_fail", "0000000801504e"),
    ],
)
def test_each_alarm_is_its_own_bit_of_359(key: str, want: str) -> None:
    assert data({key: 1}, 0x359) == want
    assert PYLONTECH.decode([Frame(0x359, bytes.fromhex(want))])[key] == 1
    assert data({key: 0}, 0x359) == "0000000001504e"


@pytest.mark.parametrize(
    ("key", "want"),
    [
        ("charge_enable", "8000"),
        ("discharge_enable", "4000"),
        ("force_charge_1", "2000"),
        ("force_charge_2", "1000"),
        ("full_charge", "0800"),
    ],
)
def test_each_request_is_its_own_bit_of_35c(key: str, want: str) -> None:
    assert data({key: 1}, 0x35C) == want


@pytest.mark.parametrize(
    ("values", "identifier", "want"),
    [
        ({"charge_voltage_limit": 53.2, "discharge_voltage_limit": 45.0}, 0x351, "140200000000c201"),
        ({"charge_current_limit": 480}, 0x351, "0000c0120000"),
        ({"discharge_current_limit": 480}, 0x351, "00000000c012"),
        ({"soc": 88}, 0x355, "58006400"),
        ({"soh": 94}, 0x355, "00005e00"),
        ({"voltage": 49.86}, 0x356, "7a130000fa00"),
        ({"current": -27.0}, 0x356, "0000f2fefa00"),
        ({"temperature": -5.5}, 0x356, "00000000c9ff"),
        ({"modules": 6}, 0x359, "0000000006504e"),
        ({"manufacturer": "ACME"}, 0x35E, "41434d4520202020"),
        ({"manufacturer": "LONGER THAN EIGHT"}, 0x35E, b"LONGER T".hex()),
    ],
)
def test_bytes_as_the_sheet_has_them(values: dict[str, Value], identifier: int, want: str) -> None:
    assert data(values, identifier) == want


def test_frames_go_out_in_order_and_with_standard_ids() -> None:
    sent = PYLONTECH.encode({})
    assert [frame.id for frame in sent] == [0x351, 0x355, 0x356, 0x359, 0x35C, 0x35E]
    assert not any(frame.extended for frame in sent)
    assert {len(frame.data) for frame in sent} == {8}
    assert [len(frame.data) for frame in PYLONTECH.encode({}, "native")] == [6, 4, 6, 7, 2, 8]


# what each value may be, by the sheet, and the step it is sent in
RANGES = {
    "charge_voltage_limit": (0, 63, 0.1),
    "charge_current_limit": (0, 3276.7, 0.1),
    "discharge_current_limit": (0, 3276.7, 0.1),
    "discharge_voltage_limit": (0.1, 63, 0.1),
    "soc": (0, 100, 1),
    "soh": (0, 100, 1),
    "voltage": (0, 327.67, 0.01),
    "current": (-3276.8, 3276.7, 0.1),
    "temperature": (-3276.8, 3276.7, 0.1),
    "modules": (1, 255, 1),
}


def through(values: dict[str, Value]) -> dict[str, Value]:
    """Encoded, and read back."""
    return PYLONTECH.decode(PYLONTECH.encode(values))


@given(st.fixed_dictionaries({key: st.floats(low, high) for key, (low, high, _) in RANGES.items()}))
def test_a_round_trip_keeps_every_value_within_one_step(values: dict[str, float]) -> None:
    back = through(dict(values))
    for key, value in values.items():
        assert abs(float(back[key]) - value) <= RANGES[key][2] + 1e-6, key  # type: ignore[arg-type]


@given(st.sampled_from(sorted(RANGES)), st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_a_value_out_of_range_stops_at_the_end_and_never_wraps(key: str, value: float) -> None:
    low, high, step = RANGES[key]
    assert abs(float(through({key: value})[key]) - min(max(value, low), high)) <= step + 1e-6  # type: ignore[arg-type]


@given(st.floats(0, 3276.7))
def test_a_limit_is_never_rounded_to_more_than_was_decided(amps: float) -> None:
    back = through({"charge_current_limit": amps, "discharge_current_limit": amps, "charge_voltage_limit": amps})
    for key in ("charge_current_limit", "discharge_current_limit", "charge_voltage_limit"):
        assert float(back[key]) <= amps + 1e-6  # type: ignore[arg-type]


@given(st.integers(0, 32767))
def test_every_whole_step_survives_the_division(steps: int) -> None:
    assert through({"charge_current_limit": steps * 0.1})["charge_current_limit"] == round(steps * 0.1, 1)


@pytest.mark.parametrize("key", RANGES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
def test_what_is_no_number_is_refused_by_name(key: str, value: float) -> None:
    with pytest.raises(GatewayError, match=f"{key}: .* not a finite number"):
        PYLONTECH.encode({key: value})


def test_clamped_values_are_named() -> None:
    clamped: list[str] = []
    PYLONTECH.encode({"soc": 101, "soh": 100, "charge_current_limit": -1}, clamped=clamped)
    assert clamped == ["charge_current_limit", "soc"]


@given(st.binary(max_size=8), st.sampled_from([0x351, 0x355, 0x356, 0x359, 0x35C, 0x35E, 0x305, 0x7FF]))
def test_any_bytes_can_be_read(payload: bytes, identifier: int) -> None:
    PYLONTECH.decode([Frame(identifier, payload)])


def test_bytes_that_did_not_come_give_no_values() -> None:
    assert PYLONTECH.decode([Frame(0x355, b"\x58")]) == {}
    assert PYLONTECH.decode([Frame(0x355, b"\x58\0")]) == {"soc": 88}
    assert "discharge_voltage_limit" not in PYLONTECH.decode([Frame(0x351, bytes(6))])


def test_the_same_id_with_29_bits_is_another_frame() -> None:
    assert PYLONTECH.decode([Frame(0x355, bytes(8), extended=True)]) == {}


def test_names_that_are_none_are_refused_with_the_nearest() -> None:
    with pytest.raises(GatewayError, match="did you mean charge_current_limit"):
        check({"charge_curent_limit": 1})
    with pytest.raises(GatewayError, match="did you mean pylontech"):
        load("pylontec")
    for wrong in ({"soc": "88"}, {"soc": True}, {"charge_enable": 2}, {"manufacturer": 1}, {"flags_35a": 1}):
        with pytest.raises(GatewayError, match="expected"):
            check(wrong)
    assert check({"soc": None, "charge_enable": True}) == {"charge_enable": True}


def test_every_signal_of_a_shipped_dialect_is_a_known_value() -> None:
    assert {"pylontech", "pylontech_v13"} <= set(names())
    for name in names():
        assert load(name).keys <= set(KINDS)


# ---- a user's own file

OWN = """VERSION ""
NS_ :
BS_:
BU_: Battery Inverter
BO_ 785 First: 8 Battery
 SG_ charge_voltage_limit : 7|16@0+ (0.1,0) [0|60] "V" Inverter
 SG_ charge_current_limit : 23|16@0+ (0.1,0) [0|500] "A" Inverter
 SG_ discharge_current_limit : 39|16@0+ (0.1,0) [0|500] "A" Inverter
BO_ 2147484433 Second: 8 Battery
 SG_ voltage : 7|16@0- (0.01,-10) [0|0] "V" Inverter
 SG_ name : 23|16@0+ (1,0) [0|0] "" Inverter
BO_ 787 Third: 2 Battery
 SG_ name : 7|16@0+ (1,0) [0|0] "" Inverter
BO_ 769 Ping: 8 Inverter
BA_DEF_ BO_ "GenMsgCycleTime" INT 0 65535;
BA_DEF_ BO_ "SendWhen" ENUM "always","known";
BA_DEF_ SG_ "TextOffset" INT 0 255;
BA_DEF_DEF_ "GenMsgCycleTime" 1000;
BA_DEF_DEF_ "SendWhen" "always";
BA_DEF_DEF_ "TextOffset" 0;
BA_ "GenMsgCycleTime" BO_ 787 3000;
BA_ "SendWhen" BO_ 787 1;
BA_ "TextOffset" SG_ 787 name 2;
"""


def own(folder: Path, text: str = OWN) -> Dialect:
    file = folder / "my_inverter.dbc"
    file.write_text(text)
    return load("pylontech", file)


def test_a_users_big_endian_file_with_29_bit_ids_and_a_text_over_two_frames(tmp_path: Path) -> None:
    dialect = own(tmp_path)
    values: dict[str, Value] = {
        "charge_voltage_limit": 55.2,
        "charge_current_limit": 100,
        "voltage": 51.2,
        "name": "AB C",
    }
    frames = dialect.encode(values)
    assert list(map(str, frames)) == ["311#022803E800000000", "00000311#17E8414200000000", "313#2043000000000000"]
    back = dialect.decode(frames)
    assert {key: back[key] for key in values} == values
    assert dialect.name == "my_inverter" and dialect.keep_alive == {769}


def test_a_frame_with_a_longer_cycle_goes_out_less_often_and_only_when_known(tmp_path: Path) -> None:
    dialect = own(tmp_path)
    assert [len(dialect.encode({"name": "ABCD"}, beat=beat)) for beat in range(7)] == [3, 2, 2, 3, 2, 2, 3]
    assert len(dialect.encode({})) == 2


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("discharge_current_limit", "dischrge_current_limit", "did you mean discharge_current_limit"),
        ("charge_voltage_limit", "soc", "lacks charge_voltage_limit"),
        ("BO_ 787 Third: 2", "BO_ 787 Third: 64", "at most 8 bytes"),
        ("SG_ name : 7|16", "SG_ name : 7|15", "texts of whole bytes"),
        ("BO_ 785", "BO_ pear", "not a DBC file"),
    ],
)
def test_a_users_file_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path, old: str, new: str, why: str) -> None:
    with pytest.raises(GatewayError, match=why) as refused:
        own(tmp_path, OWN.replace(old, new))
    assert "my_inverter.dbc" in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="No such file"):
        load("pylontech", tmp_path / "none.dbc")


def test_flag_pairs_and_groups_of_flags() -> None:
    dialect = load("pylontech_v13")
    values: dict[str, Value] = {
        "p_over_voltage": 1,
        "flags_35a": {"alarm": ["contactor"], "warning": ["cell_imbalance"]},
    }
    alarms = next(frame for frame in dialect.encode(values) if frame.id == 0x35A)
    assert alarms.data.hex() == "0400040000000001"
    back = dialect.decode([alarms])
    assert back["flags_35a"] == {"alarm": ["high_voltage", "contactor"], "warning": ["cell_imbalance"]}
    assert dialect.decode([Frame(0x35A, bytes.fromhex("aaaaaaaaaaaaaaaa"))])["p_over_voltage"] == 0


def test_shipped_files_say_when_and_in_which_order_frames_are_sent() -> None:
    text = dbc.path("pylontech").read_text()
    for identifier in (0x351, 0x355, 0x356, 0x359, 0x35C, 0x35E):
        assert f'BA_ "GenMsgCycleTime" BO_ {identifier} 1000;' in text
        assert f'BA_ "SendOrder" BO_ {identifier} ' in text
