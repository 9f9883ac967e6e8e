"""Daren: what its recordings do not show, by its sheet (daren_485.md)."""

from typing import Any

import pytest

from bms_drivers.daren_485 import DRIVER, asked_with
from bms_drivers.kit.declare import Frame, Talk, Values
from bms_drivers.kit.decode import decode
from bms_drivers.sims.daren_485 import build
from bms_drivers.sims.pack import Pack
from gateway.model import BadLength, DeviceRefused, Reading, WrongDevice
from tests.bms_drivers.dr1363 import MEASURED, parameters, realtime
from tests.bms_drivers.hex_text import frame, led, sent, unanswered
from tests.sims.wire import poll, session


def talk(step: str, known: Values | None = None, **setup: Any) -> Talk:
    return DRIVER.poll(step).talk(DRIVER.setup(setup), known or {})


def reply(info: bytes, address: int = 1, code: int = 0, version: int = 0x22, cid1: int = 0x4A) -> bytes:
    return frame(version, address, cid1, code, info)


def reading(*known: Values) -> Reading:
    together: Values = {}
    for values in known:
        together.update(values)
    return DRIVER.assemble(together, DRIVER.setup({}))[""]


def measured(**changes: int) -> Values:
    return led(talk("realtime"), reply(realtime(**changes)))


@pytest.mark.parametrize(
    ("step", "address", "request_"),
    [
        ("realtime", 1, "~22014A42E00201FD28"), ("parameters", 1, "~22014A47E00201FD23"),
        ("maker", 1, "~22014A510000FDA0"), ("serial", 1, "~22014AB0600A010103FF00FB6C"),
        ("realtime", 2, "~22024A42E00202FD26"),
    ],
)  # fmt: skip
def test_requests_are_those_of_the_sheet(step: str, address: int, request_: str) -> None:
    assert sent(next(talk(step, address=address))) == request_


@pytest.mark.parametrize(
    ("request_", "setup"),
    [
        ("~22024A42E00201FD27", {"address": 2, "group": 1}), ("~22034A47E00203FD1F", {"address": 3}),
        ("~22014A510000FDA0", {"address": 1}), ("", {}),
    ],
)  # fmt: skip
def test_a_recorded_request_tells_how_it_was_asked(request_: str, setup: Values) -> None:
    assert asked_with(request_.encode() + b"\r") == setup


def test_a_recording_in_which_the_group_was_refused_is_read() -> None:
    exchanges = [
        {"tx": frame(0x22, 3, 0x4A, 0x42, b"\3").hex(), "rx": [reply(b"", address=3, code=6).hex()]},
        {"tx": frame(0x22, 3, 0x4A, 0x42, b"\1").hex(), "rx": [reply(realtime(), address=3).hex()]},
    ]
    assert decode(DRIVER, {"exchanges": exchanges}).readings[""].soc == 67.0
    assert decode(DRIVER, {"exchanges": exchanges}, {"group": None}).readings[""].soc == 67.0


def test_nothing_is_written() -> None:
    assert not DRIVER.controls
    assert sent(next(talk("serial")))[13:21] == "010103FF", "operation 01 = read"


def test_a_pack_that_wants_group_1_gets_it() -> None:
    device, known = build(Pack.of(1), {"address": 3, "only_group_1": True}), session("daren_485", address=3)
    assert poll(known, device).serial_number == "SIM0000001"
    assert sent(next(talk("realtime", known=known.known, address=3))) == "~22034A42E00201FD26"
    with pytest.raises(DeviceRefused, match="return code 06, data"):
        led(talk("realtime", address=3, group=3), reply(b"", address=3, code=6))


# ---- whose answer it is


def test_only_what_was_asked_answers() -> None:
    others = reply(realtime(), address=2) + frame(0x22, 1, 0x4A, 0x42, b"\1") + reply(parameters())
    others += reply(realtime(), version=0x20) + reply(realtime(), cid1=0x46)
    assert unanswered(talk("realtime"), others).foreign == 5
    assert led(talk("realtime"), others + reply(realtime()))["soc"] == 67.0
    assert unanswered(talk("parameters"), reply(realtime())).foreign == 1
    assert unanswered(talk("serial"), reply(b"\xb0\1\1\4" + bytes(115))).foreign == 1, "another module"


def test_a_torn_or_spoilt_frame_is_no_answer() -> None:
    whole = reply(realtime())
    assert unanswered(talk("realtime"), whole[:-30]).torn
    assert [item.reason for item in unanswered(talk("realtime"), whole[:50] + whole[52:]).dropped] == ["length"]
    assert [item.reason for item in unanswered(talk("realtime"), whole.replace(b"0CE4", b"0CE5")).dropped] == [
        "checksum"
    ]


@pytest.mark.parametrize(("code", "meaning"), [(0x90, "address"), (0x91, "communication with the battery")])
def test_a_return_code_is_a_refusal(code: int, meaning: str) -> None:
    with pytest.raises(DeviceRefused, match=meaning):
        led(talk("maker"), reply(b"", code=code))


def test_zeros_are_no_pack_and_no_parameters() -> None:
    with pytest.raises(WrongDevice, match="no pack"):
        led(talk("realtime"), reply(realtime()[:6] + bytes(32) + realtime()[38:]))
    with pytest.raises(WrongDevice, match="no parameters"):
        led(talk("parameters"), reply(bytes(65)))
    begun = talk("serial")
    next(begun)
    with pytest.raises(BadLength):
        begun.send([Frame(kind=0, payload=bytes(119))])


# ---- values


@pytest.mark.parametrize(("cells", "sensors"), [(16, 4), (15, 4), (8, 2), (16, 6), (20, 4)])
def test_cells_and_sensors_are_counted(cells: int, sensors: int) -> None:
    got = reading(measured(cells=cells, sensors=sensors))
    assert got.cell_voltages == tuple(round(3.3 + 0.001 * n, 3) for n in range(cells))
    assert got.temperatures == tuple(round(-5.0 + 10 * n, 1) for n in range(sensors))
    assert (got.ambient_temperature, got.mosfet_temperature) == (-1.5, 27.0)
    assert (got.current, got.soh, got.capacity, got.remaining_capacity) == (-12.34, 98, 100.0, 67.0)
    assert len(got.cell_balancing) == got.cell_count == cells


@pytest.mark.parametrize(("word", "bit", "cell"), [("low", 0, 1), ("low", 15, 16), ("high", 0, 17), ("high", 3, 20)])
def test_each_cell_has_its_balancing_bit(word: str, bit: int, cell: int) -> None:
    got = reading(measured(cells=20, **{word: 1 << bit}))
    assert [n for n, on in enumerate(got.cell_balancing, 1) if on] == [cell]
    assert got.balancing is True


@pytest.mark.parametrize(
    ("bits", "charge", "discharge"), [(3, True, True), (1, False, True), (2, True, False), (0x1830, False, False)]
)
def test_the_order_of_the_switches_is_the_documents(bits: int, charge: bool, discharge: bool) -> None:
    got = reading(measured(switches=bits), led(talk("parameters"), reply(parameters())))
    assert (got.charge_allowed, got.discharge_allowed) == (charge, discharge)
    assert (got.max_charge_current, got.max_discharge_current) == (120.0 * charge, 120.0 * discharge)


def test_limits_of_the_pack_follow_its_cells() -> None:
    limits = led(talk("parameters"), reply(parameters()))
    got = reading(measured(cells=15), limits)
    assert (got.max_battery_voltage, got.min_battery_voltage) == (54.75, 35.7)
    assert reading(measured()).max_charge_current is None
    assert reading(limits).max_battery_voltage is None


def test_identity() -> None:
    got = poll(session("daren_485"), build(Pack.of(1), {}))
    assert (got.model, got.hardware_version, got.firmware_version) == ("SIM48100", "SIM_1_G", "01.00.02")
    assert (got.serial_number, got.production_date, got.manufacturer) == ("SIM0000001", "2024-07-17", "SIMULATED")
    assert reading(measured()).manufacturer == "Daren"


# ---- alarms

FAULT = ("internal_failure", 2)
ALARMS = {  # sheet section 6
    **MEASURED,
    "alarm": {
        0: ("cell_imbalance", 1), 7: ("low_soc", 1), 8: ("high_internal_temperature", 2),
        9: ("high_internal_temperature", 1), **dict.fromkeys((1, 3, 4, 10, 11, 12, 13, 14, 15), FAULT),
    },
    "switches": {2: FAULT, 3: FAULT},
}  # fmt: skip


@pytest.mark.parametrize("word", ["voltage", "current", "temperature", "alarm", "switches"])
@pytest.mark.parametrize("bit", range(16))
def test_each_bit_raises_its_alarm_and_no_other(word: str, bit: int) -> None:
    expected = dict([ALARMS[word][bit]]) if bit in ALARMS[word] else {}
    got = reading(measured(**{word: 1 << bit}))
    assert {name: level for name, level in got.alarms.items() if level} == expected


def test_the_words_of_single_cells_raise_nothing() -> None:
    info = bytearray(realtime())
    info[76:84] = info[88:96] = b"\xff" * 8
    assert not any(reading(led(talk("realtime"), reply(bytes(info)))).alarms.values())


def test_detection_wants_cells_that_make_the_voltage() -> None:
    values = measured()
    assert DRIVER.detection.proof(values) == "Daren BMS with 16 cells"
    for spoilt in ({"voltage": 26.0}, {"cell_voltages": (3.3,) * 4}, {"cell_voltages": ()}):
        with pytest.raises(WrongDevice):
            DRIVER.detection.proof({**values, **spoilt})
