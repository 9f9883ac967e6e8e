"""Renogy: alarm words, block sizes, the PRO series' scale.  Expected values: renogy.md."""

from typing import Any

import pytest

from bms_drivers.kit.declare import Registers, Values
from bms_drivers.renogy import DRIVER, alarms, cells, cycles, finish, main, proof, states
from bms_drivers.sims.modbus import ModbusDevice
from bms_drivers.sims.pack import Pack
from bms_drivers.sims.renogy import STATUS_1, build
from bms_drivers.sims.rtu import NO_ADDRESS, Refused
from gateway.model import BadLength, DeviceRefused, LinkTimeout, WrongDevice
from tests.sims.wire import poll, raised, session

SETUP = DRIVER.setup({})
QUIET: Values = dict.fromkeys(("_cells", "_sensors", "_others", "_status_1", "_status_2"), 0)


def shown(**words: int) -> dict[str, int]:
    return {name: level for name, level in alarms({**QUIET, **words}).items() if level}


# ---- section 6

STATUS = {
    15: "low_voltage", 14: "high_charge_temperature", 13: "low_charge_temperature", 12: "high_temperature",
    11: "low_temperature", 10: "high_discharge_current", 9: "high_charge_current", 8: "high_cell_voltage",
    7: "low_cell_voltage", 6: "high_voltage", 5: "high_discharge_current", 4: "high_charge_current", 0: "short_circuit",
}  # fmt: skip
WARNING = {
    7: "high_temperature", 6: "low_temperature", 5: "high_charge_temperature", 4: "low_charge_temperature",
    3: "high_voltage", 2: "low_voltage", 1: "high_cell_voltage", 0: "low_cell_voltage",
}  # fmt: skip


@pytest.mark.parametrize("bit", range(16))
def test_each_bit_of_the_status_words_raises_its_alarm_and_no_other(bit: int) -> None:
    assert shown(_status_1=1 << bit) == ({STATUS[bit]: 2} if bit in STATUS else {})
    assert shown(_status_2=1 << bit) == ({WARNING[bit]: 1} if bit in WARNING else {})
    assert shown(_status_3=1 << bit) == {"internal_failure": 2}


@pytest.mark.parametrize("item", range(16))
@pytest.mark.parametrize("word", ["_cells", "_sensors", "_others"])
def test_words_of_two_bits_an_item_are_warnings(word: str, item: int) -> None:
    low, high = {
        "_cells": ("low_cell_voltage", "high_cell_voltage"),
        "_sensors": ("low_temperature", "high_temperature"),
        "_others": (
            None,
            {10: "high_charge_current", 9: "high_discharge_current"}.get(
                item, "high_internal_temperature" if item >= 13 else None
            ),
        ),
    }[word]
    other = {"internal_failure": 1} if low or high else {}
    assert shown(**{word: 1 << 2 * item}) == ({low: 1} if low else {})
    assert shown(**{word: 2 << 2 * item}) == ({high: 1} if high else {})
    assert shown(**{word: 3 << 2 * item}) == other


def test_a_protection_wins_over_the_warning_of_a_cell() -> None:
    assert shown(_cells=2, _status_1=1 << 8, _status_2=2) == {"high_cell_voltage": 2}


@pytest.mark.parametrize(
    ("status", "charge", "discharge"), [(0, True, True), (6, True, True), (2, True, False), (12, False, True)]
)
def test_switches_count_only_in_a_word_that_says_something(status: int, charge: bool, discharge: bool) -> None:
    data = bytes(12) + status.to_bytes(2, "big") + bytes(2)
    values = states(data, 5100, SETUP, {})
    assert (values["charge_allowed"], values["discharge_allowed"]) == (charge, discharge)


@pytest.mark.parametrize("name", [*STATUS_1, "internal_failure", "high_internal_temperature"])
def test_the_simulators_alarms_arrive(name: str) -> None:
    device = build(Pack.of(1), {})
    device.pack.alarms = {name}
    assert raised(poll(session("renogy"), device)) == {name: 1 if name == "high_internal_temperature" else 2}


# ---- blocks


def firmware(**least: int) -> ModbusDevice:
    """A battery whose registers end at the given ones: main=5048, states=5107."""
    device = build(Pack.of(1), {})
    images = device._images
    ends = {"cells": (5000, 5033), "main": (5042, 5052), "states": (5100, 5109), "identity": (5110, 5141)}

    def cut(unit: int) -> Any:
        image = dict(images(unit) or {})
        for name, last in least.items():
            for register in range(last + 1, ends[name][1] + 1):
                image.pop(register, None)
        return image

    device._images = cut
    return device


@pytest.mark.parametrize(
    ("last", "known"), [(5052, ("charge_cycles", "max_charge_current")), (5048, ("charge_cycles",)), (5047, ())]
)
def test_smaller_blocks_are_tried_and_what_they_lack_is_unknown(last: int, known: tuple[str, ...]) -> None:
    got = poll(session("renogy"), firmware(main=last))
    assert got.voltage is not None
    for name in ("charge_cycles", "max_charge_current", "max_battery_voltage"):
        wanted = name in known or (name == "max_battery_voltage" and last == 5052)
        assert (getattr(got, name) is not None) == wanted, name


@pytest.mark.parametrize(("last", "degrees"), [(5033, (21.0, 22.0)), (5016, ())])
def test_cells_are_read_without_their_sensors_where_those_are_not_to_be_had(
    last: int, degrees: tuple[float, ...]
) -> None:
    device = firmware(cells=last)
    device.pack.temperatures = [21.0, 22.0]
    got = poll(session("renogy"), device)
    assert (len(got.cell_voltages), got.temperatures) == (len(device.pack.cells), degrees)


def test_a_battery_that_wants_blocks_of_17_has_cells_and_sensors() -> None:
    device, plan = build(Pack.of(1), {}), session("renogy")
    device.pack.temperatures, registers = [21.0, 22.0], device.registers

    def small(unit: int, function: int, address: int, count: int) -> list[int]:
        if count > 17 and address < 5035:
            raise Refused(NO_ADDRESS)
        return registers(unit, function, address, count)

    device.registers = small  # type: ignore[method-assign]
    for _ in range(2):
        got = poll(plan, device)
        assert (len(got.cell_voltages), got.temperatures) == (len(device.pack.cells), (21.0, 22.0))
    assert (plan.known["_block_cells"]) == (5000, 17)


def test_where_nobody_answered_yet_silence_ends_the_question_for_cells() -> None:
    talk = DRIVER.poll("cells").talk(SETUP, {})
    next(talk)
    with pytest.raises(LinkTimeout):
        talk.throw(LinkTimeout("silent"))
    again = DRIVER.poll("cells").talk(SETUP, {"_answered_as": 48})
    next(again)
    question = again.throw(LinkTimeout("the recording lacks it"))
    assert isinstance(question, Registers) and question.count == 17


def test_the_block_that_worked_is_asked_for_alone_from_then_on() -> None:
    plan, device = session("renogy"), firmware(main=5047, states=5107)
    poll(plan, device)
    for name, block in {"main": (5042, 6), "states": (5100, 8)}.items():
        question = next(plan.driver.poll(name).talk(plan.setup, plan.known))
        assert isinstance(question, Registers)
        assert (question.address, question.count) == block
    assert poll(plan, device).alarms


def test_a_battery_that_refuses_everything_is_refused() -> None:
    with pytest.raises(DeviceRefused):
        poll(session("renogy"), firmware(main=5041))


def test_without_the_states_alarms_and_switches_are_unknown() -> None:
    plan = session("renogy")
    assert poll(plan, build(Pack.of(1), {})).charge_allowed is True
    got = poll(plan, firmware(states=5099))
    assert (got.alarms, got.charge_allowed, got.discharge_allowed) == ({}, None, None)


# ---- the PRO series


@pytest.mark.parametrize(
    ("variant", "setup", "current"),
    [
        (None, {}, -12.5), (None, {"variant": "standard"}, -12.5), ("pro", {}, -12.5),
        ("pro", {"variant": "pro"}, -12.5), ("pro", {"variant": "standard"}, -1.25),
        ("pro", {"address": 255}, -1.25), ("pro", {"address": 255, "variant": "pro"}, -12.5),
    ],
)  # fmt: skip
def test_the_scale_of_the_current(variant: str | None, setup: dict[str, Any], current: float) -> None:
    device = build(Pack.of(1, current=-12.5), {"variant": variant})
    assert poll(session("renogy", **setup), device).current == current


@pytest.mark.parametrize(
    ("model", "setup", "pro"),
    [
        ("RNGRBP12100LFPBT", {}, True), ("RBT12200LFP-BT", {}, True), ("RBT12100LFP-BT", {}, True),
        ("RBT12100LFP-BT", {"variant": "standard"}, False), ("RBT100LFP12-BT", {}, False), (None, {}, False),
    ],
)  # fmt: skip
def test_the_model_tells_the_pro_series_over_bluetooth(model: str | None, setup: dict[str, Any], pro: bool) -> None:
    values = {"model": model, "_current": -12, "_answered_as": 0x30}
    assert finish(values, DRIVER.setup(setup))["current"] == (-1.2 if pro else -0.12)


def test_the_model_is_asked_before_the_current() -> None:
    assert [step.name for step in DRIVER.plan][:2] == ["identity", "main"]


@pytest.mark.parametrize("bit", range(16))
def test_the_heater_is_bit_13_of_the_second_status(bit: int) -> None:
    data = bytes(14) + (1 << bit).to_bytes(2, "big")
    assert states(data, 5100, SETUP, {})["heating"] is (bit == 13)


def test_limits_whose_scale_is_not_known_are_left_out() -> None:
    got = poll(session("renogy"), build(Pack.of(1), {"variant": "pro"}))
    assert (got.max_charge_current, got.max_discharge_current) == (None, None)
    plain = poll(session("renogy"), build(Pack.of(1), {}))
    assert (plain.max_charge_current, plain.max_discharge_current) == (50.0, 100.0)


@pytest.mark.parametrize(
    ("raw", "model", "count"), [(6, "RBT100", 6), (0x0600, "RNGC200", 6), (6, None, 6), (0x0102, "RNGRBP", 258)]
)
def test_cycles_that_come_low_byte_first(raw: int, model: str | None, count: int) -> None:
    assert cycles(raw, model) == count


# ---- what is no battery


@pytest.mark.parametrize(("count", "sensors"), [(0, 2), (17, 2), (4, 17)])
def test_impossible_counts_are_an_error(count: int, sensors: int) -> None:
    data = bytearray(68)
    data[1], data[35] = count, sensors
    with pytest.raises(BadLength):
        cells(bytes(data), 5000, SETUP, {})


def test_a_reply_of_zeros_is_an_error() -> None:
    with pytest.raises(WrongDevice):
        main(bytes(22), 5042, SETUP, {})


def test_other_units_do_not_answer() -> None:
    with pytest.raises(LinkTimeout):
        poll(session("renogy", address=49), build(Pack.of(1), {}))


def test_identity_and_temperatures_of_the_simulator() -> None:
    device = build(Pack.of(1), {})
    device.pack.temperatures = [-7.5, 21.0]
    got = poll(session("renogy"), device)
    assert (got.model, got.serial_number, got.firmware_version) == ("RBT100LFP48S-SIM", "SIM0000001", "0100")
    assert (got.manufacturer, got.temperatures, got.ambient_temperature) == ("RENOGY", (-7.5, 21.0), 20.0)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"model": "RBT100LFP12-BT", "cell_voltages": (3.3,) * 4}, "Renogy RBT100LFP12-BT with 4 cells"),
        ({"cell_voltages": (3.3,) * 4, "voltage": 13.3}, "Renogy battery with 4 cells"),
        ({"cell_voltages": (3.3,) * 4, "voltage": 15.0}, None), ({"model": "OTHER", "voltage": 13.3}, None),
        ({"cell_voltages": (3.3,) * 2, "voltage": 6.6}, None),
    ],
)  # fmt: skip
def test_a_name_or_cells_that_add_up_are_the_proof(values: Values, found: str | None) -> None:
    if found:
        assert proof(values) == found
    else:
        with pytest.raises(WrongDevice):
            proof(values)
