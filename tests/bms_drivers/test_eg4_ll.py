"""EG4 LL: alarms, empty replies, derived values and settings that the recordings do not show.  From eg4_ll.md."""

import json
from pathlib import Path
from typing import Any

import pytest

from bms_drivers.eg4_ll import DRIVER, proof, runtime, temperatures
from bms_drivers.kit.declare import Frame, Registers, Values
from bms_drivers.kit.framing import Answer
from bms_drivers.links import rtu
from bms_drivers.sims.eg4_ll import build
from bms_drivers.sims.pack import Pack
from bms_drivers.sims.rtu import crc
from gateway.model import BadLength, FrameError, Implausible, LinkTimeout, WrongDevice
from tests.sims.wire import poll, raised, session

FILE = Path(__file__).parent.parent / "vectors" / "eg4_ll" / "constructed_alarms.json"
RECORDED = bytes.fromhex(json.loads(FILE.read_text())["exchanges"][0]["rx"][0])
QUIET = {25: 0, 26: 0, 27: 0, 28: 0}


def read(changes: dict[int, int], **setup: Any) -> Values:
    """The recorded runtime block with registers changed."""
    data = bytearray(RECORDED[3:-2])
    for register, value in {**QUIET, **changes}.items():
        data[2 * register : 2 * register + 2] = (value & 0xFFFF).to_bytes(2, "big")
    return runtime([Frame(kind=0, payload=bytes(data))], DRIVER.setup(setup), {})


def levels(changes: dict[int, int]) -> dict[str, int]:
    return {name: level for name, level in read(changes)["alarms"].items() if level}


# ---- section 6

SAME = {
    0: "high_voltage", 1: "high_cell_voltage", 2: "low_voltage", 3: "low_cell_voltage", 4: "high_charge_current",
    5: "high_discharge_current", 7: "high_internal_temperature", 8: "high_charge_temperature", 9: "high_temperature",
    10: "low_charge_temperature", 11: "low_temperature", 12: "low_soc",
}  # fmt: skip
AMBIENT = {6: {"high_internal_temperature": 1}}
WARNING = {bit: {name: 1} for bit, name in SAME.items()} | AMBIENT
PROTECTION = {bit: {name: 2} for bit, name in SAME.items()} | AMBIENT | {13: {"short_circuit": 2}}
ERROR = {0: {"internal_failure": 2}, 1: {"internal_failure": 2}, 2: {"internal_failure": 2}, 4: {"cell_imbalance": 2}}


@pytest.mark.parametrize(("register", "table"), [(26, WARNING), (27, PROTECTION), (28, ERROR)])
@pytest.mark.parametrize("bit", range(16))
def test_each_bit_raises_its_alarm_and_no_other(register: int, table: dict[int, dict[str, int]], bit: int) -> None:
    assert levels({register: 1 << bit}) == table.get(bit, {})


def test_a_protection_wins_over_its_warning() -> None:
    assert levels({26: 0x0001, 27: 0x0001}) == {"high_voltage": 2}


@pytest.mark.parametrize("bit", range(16))
def test_protections_say_what_may_flow(bit: int) -> None:
    values = read({27: 1 << bit})
    assert values["charge_allowed"] is (bit not in (0, 1, 4, 8, 10))
    assert values["discharge_allowed"] is (bit not in (2, 3, 5, 9, 11, 13))


@pytest.mark.parametrize(("current", "protection", "allowed"), [(0, 0, False), (-100, 0, True), (0, 1 << 12, True)])
def test_an_unknown_protection_counts_only_while_nothing_flows(current: int, protection: int, allowed: bool) -> None:
    values = read({1: current, 25: 4, 27: protection})
    assert (values["charge_allowed"], values["discharge_allowed"]) == (allowed, allowed)


# ---- sound frames that hold no pack


def test_a_reply_of_zeros_is_an_error_and_no_reading() -> None:
    with pytest.raises(FrameError) as found:
        runtime([Frame(kind=0, payload=bytes(78))], DRIVER.setup({}), {})
    assert found.value.kind == "implausible"


@pytest.mark.parametrize("zeros", [{0: 0}, {23: 0, 31: 0, 32: 0, 37: 0}])
def test_a_pack_without_voltage_or_without_any_capacity_is_none(zeros: dict[int, int]) -> None:
    with pytest.raises(Implausible):
        read(zeros)


def test_a_masters_map_of_its_bank_is_not_read_as_a_pack() -> None:
    with pytest.raises(WrongDevice, match="bank"):
        read({**dict.fromkeys(range(19), 0), 21: 50, 22: 5300})


@pytest.mark.parametrize("count", [0, 17, 0xFFFF])
def test_an_impossible_number_of_cells_is_an_error(count: int) -> None:
    with pytest.raises(BadLength):
        read({36: count})


@pytest.mark.parametrize("unit", [2, 15, 255])
def test_a_reply_of_another_unit_is_foreign(unit: int) -> None:
    question = next(DRIVER.poll("runtime").talk(DRIVER.setup({"address": 16}), {}))
    answer = Answer(rtu.question(question))  # type: ignore[arg-type]
    body = bytes((unit,)) + RECORDED[1:-2]
    assert not answer.feed(body + crc(body))
    assert answer.foreign == 1
    assert answer.feed(RECORDED)


def test_other_units_do_not_answer() -> None:
    with pytest.raises(LinkTimeout):
        poll(session("eg4_ll", address=2), build(Pack.of(1), {"address": 16}))


# ---- values


@pytest.mark.parametrize(
    ("sensors", "expected"),
    [
        ("191818180000", (25.0, 24.0, 24.0, 24.0)), ("190000000000", (25.0, 0.0)), ("f6f700000000", (-10.0, -9.0)),
        ("11c811110000", (17.0, 17.0, 17.0)), ("000000001900", (0.0, 0.0, 0.0, 0.0, 25.0)), ("7fd8c8800000", (-40.0,)),
    ],
)  # fmt: skip
def test_sensors_that_are_not_fitted_are_left_out(sensors: str, expected: tuple[float, ...]) -> None:
    assert temperatures(bytes.fromhex(sensors)) == expected


@pytest.mark.parametrize(
    ("registers", "capacity", "remaining"),
    [
        ({}, 100.0, 100.0),
        ({21: 0}, 100.0, 37.0),
        ({21: 106}, 100.0, 37.0),
        ({21: 105}, 100.0, 105.0),
        ({31: 0, 32: 0, 21: 0}, 100.0, 37.0),
        ({31: 0, 32: 0, 37: 0}, None, None),
    ],
)
def test_capacities_take_the_best_there_is(
    registers: dict[int, int], capacity: float | None, remaining: float | None
) -> None:
    values = read(registers)
    assert (values["capacity"], values["remaining_capacity"]) == (capacity, remaining)


@pytest.mark.parametrize(("step", "current", "limit"), [("0.01", -0.62, 750.0), ("0.1", -6.2, 75.0)])
def test_the_step_of_the_currents_is_one_setting(step: str, current: float, limit: float) -> None:
    values = read({1: -62, 22: 750}, current_step=step)
    assert (values["current"], values["max_charge_current"]) == (pytest.approx(current), pytest.approx(limit))


def test_thresholds_limits_and_identity_of_the_simulator() -> None:
    got = poll(session("eg4_ll"), build(Pack.of(1), {}))
    assert (got.cell_overvoltage_protection, got.cell_undervoltage_protection) == (3.65, 2.5)
    assert (got.max_battery_voltage, got.min_battery_voltage) == (58.4, 40.0)
    assert (got.model, got.firmware_version, got.serial_number) == ("ZTR-16S200A-10KW-STD2", "Z02T11", "SIM0000001")
    assert got.max_charge_current == 100.0


def test_texts_of_slaves_without_any_are_not_known() -> None:
    identity = DRIVER.poll("identity").talk(DRIVER.setup({}), {})
    next(identity)
    with pytest.raises(StopIteration) as end:
        identity.send([Frame(kind=105, payload=b"\xff" * 46)])
    assert end.value.value == {"model": None, "firmware_version": None, "serial_number": None}


@pytest.mark.parametrize("name", sorted({*SAME.values(), "short_circuit", "internal_failure", "cell_imbalance"}))
def test_the_simulators_alarms_arrive(name: str) -> None:
    device = build(Pack.of(1), {})
    device.pack.alarms = {name}
    assert raised(poll(session("eg4_ll"), device)) == {name: 2}


def test_a_setting_can_be_written_to_the_simulator_as_the_sheet_shows() -> None:
    device = build(Pack.of(1), {})
    request = bytes.fromhex("0106003900145 9C8".replace(" ", ""))
    assert device.answer(bytearray(request)) == [request]
    [reply] = device.answer(bytearray(rtu.sealed(b"\x01\x03\x00\x39\x00\x01")))
    assert reply[3:5] == b"\x00\x14"


# ---- detection


def test_cells_that_do_not_add_up_are_another_device() -> None:
    with pytest.raises(WrongDevice):
        proof({**read({}), "voltage": 54.0})
    assert proof(read({})) == "EG4 LL with 16 cells"


@pytest.mark.parametrize("name", ["identity", "settings"])
def test_an_empty_block_is_not_believed_and_asked_for_again(name: str) -> None:
    step = DRIVER.poll(name)
    talk = step.talk(DRIVER.setup({}), {})
    question = next(talk)
    assert isinstance(question, Registers)
    with pytest.raises(Implausible, match="this reply is empty"):
        talk.send([Frame(kind=question.address, payload=bytes(2 * question.count))])


def test_a_threshold_of_zero_is_not_known() -> None:
    data = bytearray(182)
    data[52:54] = (6000).to_bytes(2, "big")  # register 71
    talk = DRIVER.poll("settings").talk(DRIVER.setup({}), {})
    next(talk)
    with pytest.raises(StopIteration) as end:
        talk.send([Frame(kind=45, payload=bytes(data))])
    assert end.value.value == {
        "cell_undervoltage_protection": None, "min_battery_voltage": None, "cell_overvoltage_protection": None,
        "max_battery_voltage": 60.0,
    }  # fmt: skip
