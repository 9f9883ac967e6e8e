"""Seplos 3.0: what its recordings do not show, by its sheet (seplos_v3.md)."""

from typing import Any

import pytest

from bms_drivers.kit.declare import Frame, Registers, Talk, Values
from bms_drivers.kit.framing import Answer
from bms_drivers.links import rtu
from bms_drivers.seplos_v3 import DRIVER, asked_with
from bms_drivers.sims.pack import Pack
from bms_drivers.sims.rtu import crc
from bms_drivers.sims.seplos_v3 import build
from gateway.model import BadLength, DeviceRefused, LinkTimeout, WrongDevice
from tests.sims.wire import Wire, poll, session

SETUP = DRIVER.setup({})


def first(name: str, unit: int = 0) -> Registers:
    question = next(DRIVER.poll(name).talk(DRIVER.setup({"address": unit}), {}))
    assert isinstance(question, Registers)
    return question


def led(talk: Talk, *answers: bytes | Exception) -> Values:
    """What a talk learns from these payloads; an exception is raised in place of an answer."""
    next(talk)
    try:
        for answer in answers:
            if isinstance(answer, Exception):
                talk.throw(answer)
            else:
                talk.send([Frame(kind=0, payload=answer)])
    except StopIteration as end:
        learnt: Values = end.value
        return learnt
    raise AssertionError("asks on")


def learnt(name: str, *answers: bytes | Exception, known: Values | None = None, **setup: Any) -> Values:
    return led(DRIVER.poll(name).talk(DRIVER.setup(setup), known or {}), *answers)


def registers(*values: int) -> bytes:
    return b"".join((value & 0xFFFF).to_bytes(2, "big") for value in values)


def pia(voltage: int = 5281, current: int = -137) -> bytes:
    return registers(voltage, current, 20000, 28000, 0, 713, 999, 42, *[0] * 7, 180, 150)


def pib(cells: int = 16) -> bytes:
    volts = [3300 + n for n in range(cells)] + [0] * (16 - cells)
    return registers(*volts, 2945, 2946, 2943, 2942, *[2731] * 4, 2961, 2947)


def pic(**changes: int) -> bytes:
    """`changes`: b15=2 sets byte 15."""
    raw = bytearray(18)
    raw[15] = 3
    for name, value in changes.items():
        raw[int(name[1:])] = value
    return bytes(raw)


def eia(packs: int = 1, current: int = -13) -> bytes:
    words = [0] * 26
    words[2], words[3], words[22] = current, current >> 16, packs
    return registers(*words)


# ---- requests


@pytest.mark.parametrize(
    ("step", "unit", "request_"),
    [
        ("identity", 0, "00 04 17 00 00 33 B4 7A"), ("settings", 0, "00 04 13 00 00 6A 75 70"),
        ("pack", 0, "00 04 10 00 00 11 35 17"), ("cells", 0, "00 04 11 00 00 1A 75 2C"),
        ("state", 0, "00 01 12 00 00 90 38 CF"), ("pack", 1, "01 04 10 00 00 11 34 C6"),
        ("cells", 1, "01 04 11 00 00 1A 74 FD"), ("state", 1, "01 01 12 00 00 90 39 1E"),
        ("bank", 1, "00 04 20 00 00 1A 7B D0"),
    ],
)  # fmt: skip
def test_requests_are_those_of_the_sheet(step: str, unit: int, request_: str) -> None:
    assert rtu.question(first(step, unit)).request == bytes.fromhex(request_.replace(" ", ""))


def test_the_block_of_enabled_functions_is_never_asked() -> None:
    wire = Wire(build(Pack.of(1), {"address": 0}))
    for step in DRIVER.plan:
        talk = step.talk(SETUP, {})
        try:
            question = next(talk)
            while True:
                wire.asked.append(rtu.question(question).request)  # type: ignore[arg-type]
                question = talk.throw(LinkTimeout("silent"))
        except (LinkTimeout, StopIteration):
            continue
    assert wire.asked
    assert not [request for request in wire.asked if 0x1400 <= int.from_bytes(request[2:4], "big") < 0x1500]


@pytest.mark.parametrize(
    ("request_", "setup"),
    [
        ("05041000001235c3", {"address": 5}), ("0504110000000000", {"address": 5}),
        ("0501120000000000", {"address": 5}),
        ("000417000033b47a", {}), ("e004130000352328", {}), ("00042000001a7bd0", {}), ("", {}),
    ],
)  # fmt: skip
def test_a_recorded_request_tells_the_unit_of_the_pack(request_: str, setup: Values) -> None:
    assert asked_with(bytes.fromhex(request_)) == setup


def test_nothing_is_written() -> None:
    assert not DRIVER.controls, "the maker's own papers disagree about the registers (sheet section 7)"


# ---- whose answer it is


def sealed(unit: int, payload: bytes) -> bytes:
    body = bytes((unit, 4, len(payload))) + payload
    return body + crc(body)


def test_only_the_unit_that_was_asked_answers() -> None:
    answer = Answer(rtu.question(first("pack", 1)))
    assert not answer.feed(sealed(2, pia()))
    assert answer.foreign == 1
    assert answer.feed(b"\x01" + sealed(1, pia()))
    assert answer.frames[0].payload == pia()


def test_another_length_is_no_answer() -> None:
    with pytest.raises(BadLength):
        learnt("pack", pia()[:-2])
    with pytest.raises(BadLength):
        learnt("state", pic()[:-1])


@pytest.mark.parametrize(("step", "size"), [("pack", 34), ("cells", 52)])
def test_zeros_are_no_pack(step: str, size: int) -> None:
    with pytest.raises(WrongDevice):
        learnt(step, bytes(size))


# ---- values


def reading(*known: Values, **setup: Any) -> Any:
    together: Values = {}
    for values in known:
        together.update(values)
    return DRIVER.assemble(together, DRIVER.setup(setup))[""]


def test_the_pack() -> None:
    got = reading(learnt("pack", pia()))
    assert (got.voltage, got.current, got.soc, got.soh, got.charge_cycles) == (52.81, -1.37, 71.3, 99.9, 42)
    assert (got.remaining_capacity, got.capacity) == (200.0, 280.0)
    assert (got.max_discharge_current, got.max_charge_current) == (180, 150)


def test_sensors_that_are_reserved_are_not_told() -> None:
    got = reading(learnt("cells", pib()))
    assert got.temperatures == (21.4, 21.5, 21.2, 21.1)
    assert (got.ambient_temperature, got.mosfet_temperature) == (23.0, 21.6)


def test_as_many_cells_as_the_settings_say_else_those_that_are_there() -> None:
    spa = bytearray(212)
    spa[2:4] = registers(15)
    counted = learnt("settings", bytes(spa))
    assert len(reading(learnt("cells", pib(15))).cell_voltages) == 15
    assert reading(learnt("cells", pib(14)), counted).cell_voltages[-2:] == (3.313, 0.0), (
        "a dead cell stays in the list"
    )
    assert len(reading(learnt("cells", pib(15)), counted, learnt("state", pic(b6=0xFF))).cell_balancing) == 15


def test_protections_are_those_of_the_pack_and_not_of_a_cell() -> None:
    spa = bytearray(212)
    spa[10:12], spa[18:20], spa[26:28], spa[34:36] = (registers(n) for n in (5760, 4320, 3650, 2700))
    values = learnt("settings", bytes(spa))
    assert (values["max_battery_voltage"], values["min_battery_voltage"]) == (57.6, 43.2)
    assert (values["cell_overvoltage_protection"], values["cell_undervoltage_protection"]) == (3.65, 2.7)
    assert set(learnt("settings", bytes(212)).values()) == {None}, "0 = that protection is off"


@pytest.mark.parametrize(
    ("bits", "charge", "discharge", "heating"),
    [(1, False, True, False), (2, True, False, False), (8, False, False, True), (4, False, False, False)],
)
def test_switches(bits: int, charge: bool, discharge: bool, heating: bool) -> None:
    values = learnt("state", pic(b15=bits))
    assert (values["charge_allowed"], values["discharge_allowed"], values["heating"]) == (charge, discharge, heating)


@pytest.mark.parametrize(("byte", "bit", "cell"), [("b6", 0, 1), ("b6", 7, 8), ("b7", 0, 9), ("b7", 7, 16)])
def test_each_cell_has_its_balancing_bit(byte: str, bit: int, cell: int) -> None:
    got = reading(learnt("cells", pib()), learnt("state", pic(**{byte: 1 << bit})))
    assert [n for n, on in enumerate(got.cell_balancing, 1) if on] == [cell]
    assert got.balancing is True


# ---- the unit of the current


def test_a_300_a_board_is_told_by_the_banks_own_current() -> None:
    pack = learnt("pack", pia(current=-137))
    assert reading(pack, learnt("bank", eia(current=-137), known=pack)).current == -13.7
    assert reading(pack, learnt("bank", eia(current=-14), known=pack)).current == -1.37, "too small to tell"
    big = learnt("pack", pia(current=9000))
    assert reading(big, learnt("bank", eia(current=900), known=big)).current == 90.0
    assert reading(big, learnt("bank", eia(packs=2, current=9000), known=big)).current == 90.0, "not this pack's"


def test_what_was_learnt_holds_at_rest_and_a_setting_holds_always() -> None:
    pack = learnt("pack", pia(current=5))
    again = learnt("bank", eia(current=5), known={**pack, "_unit": 0.1})
    assert reading(pack, again).current == 0.5
    assert reading(pack, again, current_unit=0.01).current == 0.05


# ---- where things are


def test_a_pack_on_rs485_is_read_at_its_unit() -> None:
    device = build(Pack.of(1, current=-12.5), {"address": 3})
    got = poll(session("seplos_v3", address=3), device)
    assert (got.model, got.serial_number, got.firmware_version) == ("SG16S-SIM", "SIM0000001", "1.5")
    assert (got.current, got.max_battery_voltage, got.charge_allowed) == (-12.5, 57.6, True)


def test_behind_the_ble_module_identity_and_settings_are_elsewhere() -> None:
    got = poll(session("seplos_v3", address=1), build(Pack.of(1), {"address": 1, "ble": True}))
    assert (got.manufacturer, got.model, got.min_battery_voltage) == ("XZH-ElecTech Co.,Ltd", "SG16S-SIM", 43.2)


REFUSED = DeviceRefused("code 2, illegal data address")


def test_the_banks_state_stands_in_for_a_single_pack_only() -> None:
    eic = pic(b9=0b10, b15=1)[8:]
    alone = learnt("state", REFUSED, eic, known={"_packs": 1})
    assert (alone["charge_allowed"], alone["discharge_allowed"]) == (False, True)
    assert alone["alarms"]["high_cell_voltage"] == 2
    assert "balancing" not in alone
    with pytest.raises(DeviceRefused):
        learnt("state", REFUSED, known={"_packs": 2})
    with pytest.raises(LinkTimeout):
        learnt("state", LinkTimeout("silent"))


def test_what_stood_in_is_asked_first_the_next_time() -> None:
    talk = DRIVER.poll("state").talk(DRIVER.setup({"address": 1}), {"_packs": 1, "_by_bank": True})
    question = next(talk)
    assert isinstance(question, Registers)
    assert (question.unit, question.address) == (0, 0x2200)


# ---- alarms


def pairs(*names: str) -> dict[int, tuple[str, int]]:
    return {n: (names[n // 2], n % 2 + 1) for n in range(2 * len(names))}


FAULT = ("internal_failure", 2)
ALARMS: dict[int, dict[int, tuple[str, int]]] = {  # byte of PIC -> bit -> alarm; sheet section 6
    9: pairs("high_cell_voltage", "low_cell_voltage", "high_voltage", "low_voltage"),
    10: pairs("high_charge_temperature", "low_charge_temperature", "high_temperature", "low_temperature"),
    11: {
        0: ("high_internal_temperature", 1), 1: ("high_internal_temperature", 2),
        4: ("high_internal_temperature", 1), 5: ("high_internal_temperature", 2),
    },
    12: {
        0: ("high_charge_current", 1), 1: ("high_charge_current", 2), 2: ("high_charge_current", 2),
        3: ("high_discharge_current", 1), 4: ("high_discharge_current", 2), 5: ("high_discharge_current", 2),
        6: ("short_circuit", 2),
    },
    13: {0: ("short_circuit", 2), 1: FAULT, 2: ("high_charge_current", 2), 3: ("high_discharge_current", 2)},
    14: {2: ("low_soc", 1), 3: ("low_soc", 2), 4: ("cell_imbalance", 1)},
    17: dict.fromkeys(range(8), FAULT),
}  # fmt: skip


@pytest.mark.parametrize("byte", [n for n in range(18) if n not in (6, 7)])
@pytest.mark.parametrize("bit", range(8))
def test_each_event_bit_raises_its_alarm_and_no_other(byte: int, bit: int) -> None:
    expected = dict([ALARMS[byte][bit]]) if bit in ALARMS.get(byte, {}) else {}
    alarms = learnt("state", pic(**{f"b{byte}": 1 << bit}))["alarms"]
    assert {name: level for name, level in alarms.items() if level} == expected


# ---- detection


def test_the_makers_name_alone_is_no_proof() -> None:
    values = {"manufacturer": "XZH-ElecTech Co.,Ltd", **learnt("pack", pia(5292)), **learnt("cells", pib())}
    assert DRIVER.detection.proof(values) == "Seplos 3.0 with 16 cells"
    for lacking in ({"manufacturer": "Someone"}, {"manufacturer": None}, {"voltage": 26.4}, {"_slots": ()}):
        with pytest.raises(WrongDevice):
            DRIVER.detection.proof({**values, **lacking})
