"""KS48100: what its one constructed recording does not show, by its sheet (ks48100.md)."""

from typing import Any

import pytest

from bms_drivers.kit.declare import Frame, Talk, Values
from bms_drivers.ks48100 import DRIVER, asked_with
from bms_drivers.sims.ks48100 import build
from bms_drivers.sims.pack import Pack
from gateway.model import BadLength, DeviceRefused, Reading, WrongDevice
from tests.bms_drivers.dr1363 import MEASURED, parameters, realtime
from tests.bms_drivers.hex_text import frame, led, sent, unanswered
from tests.sims.wire import poll, session


def talk(step: str, **setup: Any) -> Talk:
    return DRIVER.poll(step).talk(DRIVER.setup(setup), {})


def reply(info: bytes, address: int = 1, code: int = 0, cid1: int = 0x42, start: str = ">") -> bytes:
    return frame(0x22, address, cid1, code, info, start)


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
        ("realtime", 1, ">220142420000FDAF"), ("parameters", 1, ">22014247E00201FD32"),
        ("maker", 1, ">220142510000FDAF"), ("serial", 1, ">22014AB0600A010103FF56FB61"),
        ("parameters", 15, ">220F4247E0020FFD08"),
    ],
)  # fmt: skip
def test_requests_are_those_of_the_sheet(step: str, address: int, request_: str) -> None:
    assert sent(next(talk(step, address=address))) == request_


def test_a_recorded_request_tells_the_address() -> None:
    assert asked_with(b">220F4247E0020FFD08\r") == {"address": 15}
    assert asked_with(b"~220F4247E0020FFD08\r") == asked_with(b"") == {}


def test_only_what_was_asked_answers() -> None:
    others = reply(realtime(), address=2) + reply(parameters()) + reply(realtime(), cid1=0x4A)
    others += frame(0x22, 1, 0x42, 0x42, start=">") + reply(realtime(), start="~")
    answer = unanswered(talk("realtime"), others)
    assert (answer.foreign, [item.reason for item in answer.dropped]) == (4, ["noise"])
    assert led(talk("realtime"), others + reply(realtime()))["soc"] == 67.0


def test_a_half_or_spoilt_reply_is_no_answer() -> None:
    whole = reply(realtime())
    assert unanswered(talk("realtime"), whole[:110]).torn
    assert [item.reason for item in unanswered(talk("realtime"), whole[:50] + whole[52:]).dropped] == ["length"]
    assert led(talk("realtime"), whole[:110] + whole)["soc"] == 67.0


def test_a_return_code_is_a_refusal() -> None:
    with pytest.raises(DeviceRefused, match="return code 90, address"):
        led(talk("realtime"), reply(b"", code=0x90))


def test_zeros_are_no_pack() -> None:
    with pytest.raises(WrongDevice):
        led(talk("realtime"), reply(realtime()[:6] + bytes(32) + realtime()[38:]))
    with pytest.raises(WrongDevice):
        led(talk("parameters"), reply(bytes(65)))
    begun = talk("serial")
    next(begun)
    with pytest.raises(BadLength):
        begun.send([Frame(kind=0, payload=bytes(51))])


@pytest.mark.parametrize(("cells", "sensors"), [(16, 4), (15, 4), (16, 2)])
def test_cells_and_sensors_are_counted(cells: int, sensors: int) -> None:
    got = reading(measured(cells=cells, sensors=sensors))
    assert (len(got.cell_voltages), len(got.temperatures)) == (cells, sensors)
    assert (got.current, got.soh, got.charge_cycles, got.mosfet_temperature) == (-12.34, 98, 204, 27.0)


@pytest.mark.parametrize(("bits", "charge", "discharge"), [(3, True, True), (1, True, False), (2, False, True)])
def test_switches_and_the_limit_both_ways(bits: int, charge: bool, discharge: bool) -> None:
    got = reading(measured(switches=bits), led(talk("parameters"), reply(parameters())))
    assert (got.charge_allowed, got.discharge_allowed) == (charge, discharge)
    assert (got.max_charge_current, got.max_discharge_current) == (120.0 * charge, 120.0 * discharge)
    assert (got.max_battery_voltage, got.min_battery_voltage) == (None, None), "scales are unsure"


def test_identity() -> None:
    got = poll(session("ks48100"), build(Pack.of(1), {}))
    assert (got.model, got.hardware_version, got.firmware_version) == ("SIM48100", "SIM_1_G", "01.00.02")
    assert got.serial_number == "SIM0000001"


ALARMS = {
    **MEASURED,
    "alarm": {7: ("low_soc", 2), **dict.fromkeys((*range(1, 7), *range(9, 16)), ("internal_failure", 2))},
    "switches": {},
}


@pytest.mark.parametrize("word", ["voltage", "current", "temperature", "alarm", "switches"])
@pytest.mark.parametrize("bit", range(16))
def test_each_bit_raises_its_alarm_and_no_other(word: str, bit: int) -> None:
    expected = dict([ALARMS[word][bit]]) if bit in ALARMS[word] else {}
    got = reading(measured(**{word: 1 << bit}))
    assert {name: level for name, level in got.alarms.items() if level} == expected


def test_detection_wants_cells_that_make_the_voltage() -> None:
    assert DRIVER.detection.proof(measured()) == "KS48100 pack with 16 cells"
    with pytest.raises(WrongDevice):
        DRIVER.detection.proof({**measured(), "voltage": 26.0})
