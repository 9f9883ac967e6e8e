"""Seplos: what its recordings do not show, by its sheet (seplos.md)."""

from typing import Any

import pytest

from bms_drivers.kit.declare import Talk, Values
from bms_drivers.kit.decode import decode
from bms_drivers.kit.session import Session
from bms_drivers.seplos import DRIVER, asked_with
from gateway.model import DeviceRefused, WrongDevice
from tests.bms_drivers.hex_text import frame, led, raised, sent, unanswered

SETUP = DRIVER.setup({})


def talk(poll: str, setup: Values | None = None, known: Values | None = None) -> Talk:
    return DRIVER.poll(poll).talk(DRIVER.setup(setup or {}), known or {})


def reply(info: bytes, *, address: int = 0, code: int = 0, version: int = 0x20) -> bytes:
    return frame(version, address, 0x46, code, info)


def words(*values: int) -> bytes:
    return b"".join((value & 0xFFFF).to_bytes(2, "big") for value in values)


def telemetry(cells: int = 16, sensors: int = 6, volts: int = 3300, current: int = -676) -> bytes:
    return b"".join(
        (
            bytes((0, 0, cells)), words(*(volts + n for n in range(cells))),
            bytes((sensors,)), words(*(2731 + 200 + 10 * n for n in range(sensors))),
            words(current, cells * volts // 10, 13390), b"\x0a", words(17000, 787, 18000, 70, 990, 5279), bytes(8),
        )
    )  # fmt: skip


def state(cells: int = 16, **changes: int) -> bytes:
    """`changes`: b6=2 sets byte 6 of the 20-byte block."""
    block = bytearray(20)
    block[6] = 3
    for name, value in changes.items():
        block[int(name[1:])] = value
    return bytes((0, 0, cells)) + bytes(cells) + bytes((6,)) + bytes(8) + bytes((20,)) + bytes(block)


# ---- requests


@pytest.mark.parametrize(
    ("poll", "address", "request_"),
    [
        ("telemetry", 0, "~20004642E00200FD37"), ("telemetry", 1, "~20014642E00201FD35"),
        ("state", 0, "~20004644E00200FD35"), ("state", 1, "~20014644E00201FD33"),
        ("maker", 0, "~200046510000FDAE"), ("settings", 0, "~200046470000FDA9"),
    ],
)  # fmt: skip
def test_requests_are_those_of_the_sheet(poll: str, address: int, request_: str) -> None:
    assert sent(next(talk(poll, {"address": address}))) == request_


def test_the_form_that_a_board_wants_is_found_and_kept() -> None:
    values = led(talk("telemetry"), reply(b"", code=3), reply(telemetry()))
    assert values["voltage"] == 52.8
    assert sent(next(talk("state", known=values))) == "~200046440000FDAC"


def test_a_form_that_was_set_is_not_changed() -> None:
    with pytest.raises(DeviceRefused, match="return code 05, format"):
        led(talk("telemetry", {"bare": False}), reply(b"", code=5))


@pytest.mark.parametrize(
    ("request_", "setup"),
    [
        ("~20034642E00203FD31", {"address": 3, "version": 0x20}),
        ("~20004642E00201FD36", {"address": 0, "version": 0x20, "group": 1}),
        ("~200046420000FDAE", {"address": 0, "version": 0x20, "bare": True}),
        ("~2600465100000000", {}),
        ("", {}),
    ],
)
def test_a_recorded_request_tells_how_it_was_asked(request_: str, setup: dict[str, Any]) -> None:
    assert asked_with(request_.encode() + b"\r") == setup
    if setup:
        assert sent(next(talk("telemetry", setup))) == request_


def test_a_recording_in_which_one_form_was_refused_is_read() -> None:
    exchanges = [
        {"tx": b"~20004642E00200FD37\r".hex(), "rx": [reply(b"", code=3).hex()]},
        {"tx": b"~200046420000FDAE\r".hex(), "rx": [reply(telemetry()).hex()]},
    ]
    assert decode(DRIVER, {"exchanges": exchanges}).readings[""].soc == 78.7
    assert decode(DRIVER, {"exchanges": exchanges}, {"bare": None}).readings[""].soc == 78.7


def test_nothing_is_written() -> None:
    assert not DRIVER.controls, "the only board that was tried refused (sheet section 7)"


# ---- whose answer it is


def test_only_the_board_that_was_asked_answers() -> None:
    others = reply(telemetry(), address=2) + frame(0x20, 1, 0x46, 0x42, b"\1") + frame(0x20, 0, 0x46, 0x5A, bytes(9))
    assert unanswered(talk("telemetry"), others).foreign == 3
    assert led(talk("telemetry"), others + reply(telemetry()))["soc"] == 78.7


def test_an_echo_is_no_answer() -> None:
    assert unanswered(talk("telemetry"), b"~20004642E00200FD37\r").foreign == 1
    assert unanswered(talk("maker"), b"~200046510000FDAE\r").foreign == 1


def test_an_answer_to_another_question_is_none() -> None:
    assert unanswered(talk("telemetry"), reply(state())).foreign == 1
    assert unanswered(talk("telemetry"), reply(state(b6=1))).foreign == 1
    assert unanswered(talk("state"), reply(telemetry())).foreign == 1
    assert unanswered(talk("telemetry"), frame(0x22, 0, 0x4A, 0, telemetry())).foreign == 1


@pytest.mark.parametrize("version", [0x20, 0x26])
def test_any_version_answers(version: int) -> None:
    assert led(talk("telemetry"), reply(telemetry(), version=version))["soc"] == 78.7


def test_a_torn_or_spoilt_frame_is_no_answer() -> None:
    whole = reply(telemetry())
    assert unanswered(talk("telemetry"), whole[:-20]).torn
    assert [item.reason for item in unanswered(talk("telemetry"), whole[:90] + whole[96:]).dropped] == ["length"]
    assert [item.reason for item in unanswered(talk("telemetry"), whole.replace(b"E4", b"E5")).dropped] == ["checksum"]
    assert led(talk("telemetry"), whole[:60] + whole)["soc"] == 78.7


@pytest.mark.parametrize(("code", "meaning"), [(2, "checksum"), (4, "unknown command"), (0xE4, "not permitted")])
def test_a_return_code_is_a_refusal(code: int, meaning: str) -> None:
    with pytest.raises(DeviceRefused, match=meaning):
        led(talk("settings"), reply(b"", code=code))


# ---- values


@pytest.mark.parametrize("cells", [8, 13, 14, 15, 16])
def test_any_number_of_cells_is_walked(cells: int) -> None:
    values = led(talk("telemetry"), reply(telemetry(cells)))
    assert values["cell_voltages"] == tuple(round(3.3 + 0.001 * n, 3) for n in range(cells))
    assert (values["current"], values["capacity"], values["soh"], values["charge_cycles"]) == (-6.76, 170.0, 99.0, 70)
    assert values["temperatures"] == (20.0, 21.0, 22.0, 23.0)
    assert (values["ambient_temperature"], values["mosfet_temperature"]) == (24.0, 25.0)


def test_the_last_two_sensors_are_not_the_cells() -> None:
    values = led(talk("telemetry"), reply(telemetry(sensors=4)))
    assert (values["temperatures"], values["mosfet_temperature"]) == ((20.0, 21.0), 23.0)


def test_a_reply_that_ends_behind_the_soc_is_read_as_far() -> None:
    values = led(talk("telemetry"), reply(telemetry()[:59]))
    assert (values["soc"], "soh" in values, "charge_cycles" in values) == (78.7, False, False)


def test_where_no_pack_is_there_is_no_reading() -> None:
    with pytest.raises(WrongDevice, match="no pack"):
        led(talk("telemetry"), reply(telemetry(volts=0)[:3] + bytes(32) + telemetry()[35:]))


def test_one_cell_of_0_v_is_reported() -> None:
    info = bytearray(telemetry())
    info[5:7] = bytes(2)
    assert led(talk("telemetry"), reply(bytes(info)))["cell_voltages"][:2] == (3.3, 0.0)


@pytest.mark.parametrize(("bits", "charge", "discharge", "heating"), [(1, 0, 1, 0), (2, 1, 0, 0), (12, 0, 0, 1)])
def test_switches(bits: int, charge: int, discharge: int, heating: int) -> None:
    values = led(talk("state"), reply(state(b6=bits)))
    assert (values["charge_allowed"], values["discharge_allowed"]) == (bool(charge), bool(discharge))
    assert values["heating"] is bool(heating)
    assert raised(values) == {}, "the limiter is no alarm"


@pytest.mark.parametrize(("byte", "bit", "cell"), [("b7", 0, 1), ("b7", 7, 8), ("b8", 0, 9), ("b8", 7, 16)])
def test_each_cell_has_its_balancing_bit(byte: str, bit: int, cell: int) -> None:
    values = led(talk("state"), reply(state(**{byte: 1 << bit})))
    assert [n for n, on in enumerate(values["cell_balancing"], 1) if on] == [cell]
    assert values["balancing"] is True
    assert len(led(talk("state"), reply(state(15)))["cell_balancing"]) == 15


def test_settings_are_trip_points_and_0_is_none() -> None:
    numbers = [0] * 60
    numbers[4], numbers[6], numbers[14], numbers[16], numbers[54], numbers[55] = 3650, 2600, 5475, 3900, 11000, -11500
    info = b"\0\x3c" + words(*numbers) + b"\x1b" + bytes(27) + b"\x08" + bytes(8) + b"1101-SP76 "
    values = led(talk("settings"), reply(info))
    assert (values["cell_overvoltage_protection"], values["cell_undervoltage_protection"]) == (3.65, 2.6)
    assert (values["max_battery_voltage"], values["min_battery_voltage"]) == (54.75, 39.0)
    assert (values["max_charge_current"], values["max_discharge_current"]) == (110.0, 115.0)
    nothing = led(talk("settings"), reply(b"\0\x3c" + bytes(120) + b"\x1b" + bytes(27) + b"\x08" + bytes(18)))
    assert set(nothing.values()) == {None}


def test_without_the_state_it_is_unknown_at_once() -> None:
    session = Session(DRIVER)
    for name, info in (("telemetry", telemetry()), ("state", state())):
        session.learnt(DRIVER.poll(name), led(talk(name), reply(info)), 0.0)
    assert session.readings()[""].charge_allowed is True
    session.missed(DRIVER.poll("state"), 1.0)
    reading = session.readings()[""]
    assert (reading.soc, reading.charge_allowed, reading.balancing, reading.alarms) == (78.7, None, None, {})


# ---- alarms


def pairs(*names: str) -> dict[int, tuple[str, int]]:
    return {n: (names[n // 2], n % 2 + 1) for n in range(2 * len(names))}


FAULT = ("internal_failure", 2)
ALARMS: dict[int, dict[int, tuple[str, int]]] = {  # byte of the block -> bit -> alarm; sheet section 6
    0: dict.fromkeys(range(8), FAULT),
    1: pairs("high_cell_voltage", "low_cell_voltage", "high_voltage", "low_voltage"),
    2: pairs("high_charge_temperature", "low_charge_temperature", "high_temperature", "low_temperature"),
    3: {
        0: ("high_internal_temperature", 1), 1: ("high_internal_temperature", 2),
        4: ("high_internal_temperature", 2), 5: ("high_internal_temperature", 1),
    },
    4: {
        **pairs("high_charge_current", "high_discharge_current"), 4: ("high_discharge_current", 2),
        5: ("short_circuit", 2), 6: ("high_discharge_current", 2), 7: ("short_circuit", 2),
    },
    5: {0: ("high_voltage", 2), 2: ("low_soc", 1), 3: ("low_soc", 2), 5: FAULT, 6: FAULT},
    10: dict.fromkeys(range(8), FAULT),
    11: dict.fromkeys(range(8), FAULT),
    13: {0: ("internal_failure", 1), 1: ("internal_failure", 1)},
}  # fmt: skip


@pytest.mark.parametrize("byte", [n for n in range(20) if n not in (6, 7, 8)])
@pytest.mark.parametrize("bit", range(8))
def test_each_event_bit_raises_its_alarm_and_no_other(byte: int, bit: int) -> None:
    expected = dict([ALARMS[byte][bit]]) if bit in ALARMS.get(byte, {}) else {}
    assert raised(led(talk("state"), reply(state(**{f"b{byte}": 1 << bit})))) == expected


def test_the_higher_level_wins() -> None:
    assert raised(led(talk("state"), reply(state(b1=0b11)))) == {"high_cell_voltage": 2}


def test_the_codes_of_cells_and_sensors_raise_nothing() -> None:
    info = bytearray(state())
    info[3:19], info[20:28] = b"\x02" * 16, b"\xf0" * 8
    assert raised(led(talk("state"), reply(bytes(info)))) == {}


def test_another_makers_field_order_is_no_seplos() -> None:
    values = led(talk("telemetry"), reply(telemetry()))
    assert DRIVER.detection.proof(values) == "Seplos BMS with 16 cells"
    with pytest.raises(WrongDevice, match=r"524\.29 V"):
        DRIVER.detection.proof({**values, "voltage": 524.29})
    with pytest.raises(WrongDevice, match="outside"):
        DRIVER.detection.proof({**values, "cell_voltages": (0.514, 3.3)})
