"""Heltec smart BMS with RS485 (maker's name YYBMS): Modbus RTU.  Not the active balancer of the same brand.

Sheet: heltec_modbus.md.  The registers are a little-endian memory image sent as it lies: 16-bit numbers come low byte
first, 32-bit ones wholly little endian.  Current: positive is discharge.  Several packs on one line, by their units.
It answers late or not at all now and then; blocks larger than those of the sheet are not known to work.
"""

import functools
from collections.abc import Sequence
from typing import Any, Final

from bms_drivers import kit
from gateway.model import BadLength, LinkTimeout, WrongDevice

LEAST_CELLS, MOST_CELLS = 3, 32
COLDEST: Final = -40  # °C that a 0 stands for
CHARGE_PROTECTION, DISCHARGE_PROTECTION = 28, 29  # bits of the run state
HIGHEST_UNIT: Final = 247
LIMITS_EVERY: Final = 60.0  # s

ALARMS: Final = {  # registers 156, 157; sheet section 6; bit 2 is not known
    0: ("high_cell_voltage", 2),
    1: ("low_cell_voltage", 2),
    3: ("high_voltage", 2),
    4: ("low_voltage", 2),
    5: ("high_charge_current", 2),
    6: ("high_discharge_current", 1),
    7: ("high_discharge_current", 2),
    8: ("short_circuit", 2),
    9: ("high_charge_temperature", 2),
    10: ("low_charge_temperature", 2),
    11: ("high_temperature", 2),
    12: ("low_temperature", 2),
    13: ("high_internal_temperature", 2),
    14: ("low_soc", 2),
    15: ("high_voltage", 2),  # "full" protection
    **dict.fromkeys(range(16, 32), ("internal_failure", 2)),
}
SUPPORTED: Final = kit.alarm_names(ALARMS)

block = functools.partial(kit.block, timeout=0.4, tries=4)


def step(name: str, register: int, count: int, decode: kit.Decode, *gives: str, **more: Any) -> kit.Poll:
    """The step that reads one block; when it is not answered its values are unknown at once (sheet section 4)."""
    more = {"keep": 0, **more}
    return kit.Poll(name, kit.simple(block(register, count), decode), gives=gives or (name,), **more)


def numbers(register: int, count: int, *fields: kit.Field, **more: Any) -> kit.Poll:
    """The step that reads fields; offsets are bytes from the register on."""
    table = kit.Table("<", *fields)
    return step(fields[0].name, register, count, kit.reads(table), *table.names, **more)


def words_of(register: int, name: str) -> kit.Poll:
    """The step that reads a text once."""

    def decode(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
        return {name: kit.text(frames[0].payload)}

    return step(name, register, {"model": 13, "custom_name": 6}[name], decode, every=kit.ONCE)


def serial(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Four words in the order of the wire."""
    return {"serial_number": frames[0].payload.hex("-", 2)}


def hardware(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """A number."""
    return {"hardware_version": str(frames[0].payload[0])}


def made(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Year, day, month."""
    data = frames[0].payload
    return {"production_date": kit.date(int.from_bytes(data[:2], "little"), data[3], data[2])}


def cell_count(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """How many cells there are; asked until it was answered once.  Raises BadLength."""
    if "cell_count" in known:
        return {"cell_count": known["cell_count"]}
    count = (yield block(75, 1)(setup, known))[0].payload[0]
    if not LEAST_CELLS <= count <= MOST_CELLS:
        raise BadLength(f"{count} cells, a Heltec has {LEAST_CELLS}..{MOST_CELLS}")
    return {"cell_count": count}


def cells(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """As many as there are, in one block."""
    count = known.get("cell_count")
    if count is None:
        raise LinkTimeout("the cells cannot be asked for before their number is known")
    frames = yield block(81, count)(setup, known)
    return {"cell_voltages": kit.divided(kit.words(frames[0].payload, 0, count, "<"), 1000)}


def own_temperatures(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """The hotter of balancer and MOSFET: the safe side."""
    return {"mosfet_temperature": float(max(frames[0].payload) + COLDEST)}


def sensors(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Sensor 2 comes first."""
    second, first = frames[0].payload
    return {"temperatures": (float(first + COLDEST), float(second + COLDEST))}


def image_word(frames: Sequence[kit.Frame]) -> int:
    """32 bits."""
    return int.from_bytes(frames[0].payload, "little")


def balancing(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """A bit a cell."""
    word = image_word(frames)
    return {"cell_balancing": kit.flags(word, known.get("cell_count", 0)), "balancing": bool(word)}


def run_state(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """A protection opens its switch."""
    word = image_word(frames)
    return {
        "charge_allowed": not word >> CHARGE_PROTECTION & 1,
        "discharge_allowed": not word >> DISCHARGE_PROTECTION & 1,
    }


def alarms(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Protections."""
    return {"alarms": kit.alarm_bits(image_word(frames), ALARMS, SUPPORTED)}


def finish(values: kit.Values, setup: kit.Setup) -> kit.Values:
    """The trip points of a cell, for the whole pack (sheet section 5)."""
    for whole, cell in (
        ("max_battery_voltage", "cell_overvoltage_protection"),
        ("min_battery_voltage", "cell_undervoltage_protection"),
    ):
        if cell in values and "cell_count" in values:
            values[whole] = round(values[cell] * values["cell_count"], 3)
    return values


def proof(values: kit.Values) -> str:
    """Any Modbus BMS may answer: a model's text, and cells that add up to the voltage within 5 % (sheet section 8)."""
    found, volts, model = values.get("cell_voltages", ()), values.get("voltage", 0.0), values.get("model")
    sound = found and all(1.0 <= cell <= 4.5 for cell in found) and abs(sum(found) - volts) <= 0.05 * volts
    if not model or not sound:
        raise WrongDevice(f"no Heltec: model {model!r}, {len(found)} cells of {sum(found):.2f} V, {volts:.2f} V in all")
    return f"Heltec {model} with {len(found)} cells"


DRIVER: Final = kit.Driver(
    name="heltec_modbus",
    title="Heltec smart BMS (YYBMS), Modbus",
    transports=("modbus",),
    line=kit.SerialLine(baud=9600, quiet=0.03, turnaround=0.05),
    options=(kit.Option("address", 1, "unit", least=1, most=HIGHEST_UNIT),),
    plan=(
        kit.Poll("cell_count", cell_count, gives=("cell_count",), essential=True),
        numbers(76, 2, kit.Field("voltage", 0, "i32", 0.001, "V"), essential=True),
        numbers(78, 2, kit.Field("current", 0, "i32", -0.01, "A"), essential=True),
        numbers(120, 1, kit.Field("soc", 0, "u8", 1, "%"), kit.Field("soh", 1, "u8", 1, "%"), essential=True),
        step("run_state", 152, 2, run_state, "charge_allowed", "discharge_allowed"),
        step("alarms", 156, 2, alarms),
        kit.Poll("cells", cells, gives=("cell_voltages",), keep=0),
        step("mosfet_temperature", 112, 1, own_temperatures),
        step("temperatures", 113, 1, sensors),
        step("balancing", 139, 2, balancing, "balancing", "cell_balancing"),
        numbers(191, 1, kit.Field("max_charge_current", 0, "u16", 0.01, "A"), every=LIMITS_EVERY, keep=10),
        numbers(194, 1, kit.Field("max_discharge_current", 0, "u16", 0.01, "A"), every=LIMITS_EVERY, keep=10),
        numbers(118, 1, kit.Field("capacity", 0, "u16", 0.1, "Ah"), every=kit.ONCE),
        step(
            "over", 169, 1, kit.reads(kit.Table("<", kit.Field("cell_overvoltage_protection", 0, "u16", 0.001, "V"))),
            "cell_overvoltage_protection", "max_battery_voltage", every=kit.ONCE,
        ),
        step(
            "under", 172, 1, kit.reads(kit.Table("<", kit.Field("cell_undervoltage_protection", 0, "u16", 0.001, "V"))),
            "cell_undervoltage_protection", "min_battery_voltage", every=kit.ONCE,
        ),
        words_of(7, "model"),
        step("serial_number", 2, 4, serial, every=kit.ONCE),
        step("hardware_version", 38, 1, hardware, every=kit.ONCE),
        step("production_date", 39, 2, made, every=kit.ONCE),
        words_of(41, "custom_name"),
    ),
    secrets=(kit.secrets.registers(range(2, 6)),),
    assemble=kit.alone(finish, manufacturer="Heltec"),
    detection=kit.Detection(
        polls=("model", "cell_count", "voltage", "cells"),
        proof=proof,
        siblings=tuple({"address": unit} for unit in range(2, 16)),
    ),
    standing="from documentation only (no capture is public, values were checked against one other reader)",
    daisy_chain=True,
    limits_from_bms=True,
    asked_with=kit.unit_asked,
)  # fmt: skip
