"""What the current rules look at, and what was last known of it.  Sheet: limits.md 4.5.

"The BMS never has this" (the input is absent) is not the same as "it has it, but not now" (the input is missing).
A cell or sensor that has left its list is missing like one that is None there, and so is a value that was rejected, or
one that nobody tells because the BMS is only listened to.
What is missing counts as it was last known, for a while, and then stops the current.  What is known of the rest goes
on counting: while one sensor is broken another may get hot.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from math import isnan
from operator import attrgetter
from typing import Any, Final, NamedTuple

from gateway.limits.memory import BatteryMemory, Seen
from gateway.limits.settings import ALL_SENSORS
from gateway.model import Reading
from gateway.model.known import are_known

KEEP_MISSING: Final = 60.0  # s
FALLING: Final = frozenset({"min_cell", "coldest", "max_charge_current", "max_discharge_current"})
"""Inputs whose lower values are the tighter ones."""

PLAIN: Final = (
    "mosfet_temperature", "max_charge_current", "max_discharge_current", "charge_allowed", "discharge_allowed",
    "max_battery_voltage", "min_battery_voltage",
)  # fmt: skip
"""Inputs that are values of the reading as they are."""

READ: Final = ("max_cell", "min_cell", *PLAIN)
NAMES: Final = ("soc", "hottest", "coldest", *READ)
NEEDED: Final = frozenset({"soc", "max_cell", "min_cell"})
VALUES: Final = attrgetter(*READ)

WORDS: Final = {
    "max_cell": "highest cell", "min_cell": "lowest cell", "hottest": "cell sensors", "coldest": "cell sensors",
    "mosfet_temperature": "MOSFET temperature", "max_charge_current": "charge current limit of the BMS",
    "max_discharge_current": "discharge current limit of the BMS", "charge_allowed": "charge switch",
    "discharge_allowed": "discharge switch", "max_battery_voltage": "charge voltage limit of the BMS",
    "min_battery_voltage": "discharge voltage limit of the BMS",
}  # fmt: skip


class Inputs(NamedTuple):
    """Every input that the BMS has, by name; what is in neither it lacks."""

    values: Mapping[str, float]  # as far as known
    missing: Mapping[str, str]  # what is not known of an input, or not all of it


def observe(reading: Reading, soc: float | None, sensors: tuple[int, ...], memory: BatteryMemory) -> Inputs:
    """Every input by this reading, and by what `memory` knows of earlier ones."""
    counting = _counting(reading.temperatures, sensors)
    there: Sequence[Any] = [value for value in counting if value is not None] if None in counting else counting
    values = (soc, max(there, default=None), min(there, default=None), *VALUES(reading))
    known = dict(compress(zip(NAMES, values, strict=True), are_known(values)))
    if _complete(reading, known, counting, sensors, memory):
        return Inputs(known, {})  # as it mostly is
    return _with_gaps(reading, known, sensors, memory)


def _counting(temperatures: tuple[float | None, ...], sensors: tuple[int, ...]) -> tuple[float | None, ...]:
    """Those of the cell temperatures that count."""
    if sensors == ALL_SENSORS:
        return temperatures[: len(ALL_SENSORS)]
    return tuple([temperatures[n - 1] for n in sensors if n <= len(temperatures)])


def _complete(
    reading: Reading,
    known: Mapping[str, float],
    counting: tuple[float | None, ...],
    sensors: tuple[int, ...],
    memory: BatteryMemory,
) -> bool:
    """Is everything known now that this BMS has, or once had, cells among it?"""
    return not (
        reading.rejected
        or reading.untold
        or not known.keys() >= NEEDED
        or None in reading.cell_voltages
        or (reading.cells or 0) < (memory.cells or 0)
        or None in counting
        or len(reading.temperatures) < memory.sensors
        or (sensors != ALL_SENSORS and len(counting) < len(sensors))
        or memory.seen.older
        or not memory.seen.values.keys() <= known.keys()
        or any(map(isnan, known.values()))
    )


def _with_gaps(reading: Reading, known: Mapping[str, float], sensors: tuple[int, ...], memory: BatteryMemory) -> Inputs:
    """Inputs of which something is missing, of `known` values those that are inputs."""
    words = {"soc": "" if "soc" in known else "SoC"}
    words |= _cells(reading, known, memory)
    words |= _sensors(reading, sensors, memory)
    for name in PLAIN:
        if name in known and known[name] == known[name]:  # NaN is no number
            words[name] = ""
        elif name in reading.rejected or name in reading.untold:
            words[name] = WORDS[name]
    values = {name: known[name] for name in words if name in known and (name not in PLAIN or not words[name])}
    words |= {name: WORDS.get(name, name) for name in memory.seen.names if name not in words}
    return Inputs(values, {name: word for name, word in words.items() if word})


def _cells(reading: Reading, known: Mapping[str, float], memory: BatteryMemory) -> dict[str, str]:
    """What is missing of the highest and lowest cell; {} for a BMS that never speaks of cells."""
    extremes = ("lowest_cell_voltage", "highest_cell_voltage")
    refused = any(name in reading.rejected for name in extremes) or "cell_voltages" in reading.untold
    if not (reading.cells or "max_cell" in known or refused):
        return {}
    gone = range(reading.cells + 1, (memory.cells or 0) + 1) if reading.cells else ()
    gap = _unknown("cell", [*(n for n, volts in enumerate(reading.cell_voltages, 1) if volts is None), *gone])
    return {name: gap or ("" if name in known else WORDS[name]) for name in ("max_cell", "min_cell")}


def _sensors(reading: Reading, sensors: tuple[int, ...], memory: BatteryMemory) -> dict[str, str]:
    """What is missing of the cell sensors that count; {} for a BMS without any, unless some are asked for."""
    temperatures = reading.temperatures
    if "temperatures" in reading.untold and not memory.sensors:
        return {name: WORDS[name] for name in ("hottest", "coldest")}
    there = max(len(temperatures), memory.sensors)
    counting = [n for n in sensors if n <= there or sensors != ALL_SENSORS]
    unknown = dict.fromkeys([n for n in counting if n > len(temperatures) or temperatures[n - 1] is None])
    return dict.fromkeys(("hottest", "coldest"), _unknown("temperature sensor", unknown)) if counting else {}


def _unknown(what: str, numbers: Iterable[int]) -> str:
    listed = ", ".join(map(str, numbers))
    return f"{what} {listed}" if listed else ""


def remember(inputs: Inputs, seen: Seen, now: float) -> Seen:
    """What was ever known of each input, with its time: all of it now, where nothing is missing."""
    if not inputs.missing:
        return Seen(inputs.values, now, {})
    whole = {name: value for name, value in inputs.values.items() if name not in inputs.missing}
    return Seen(whole, now, {name: last for name in seen.names if name not in whole and (last := seen.last(name))})


def usable(inputs: Inputs, seen: Seen, now: float) -> Inputs:
    """`inputs` with what was last `seen` of a missing one; missing is then what may no longer be used."""
    values, missing = {**inputs.values}, {}
    for name, word in inputs.missing.items():
        last, value = seen.last(name), values.pop(name, None)
        if last is None or now - last[1] > KEEP_MISSING:
            missing[name] = word
        else:
            tighter = min if name in FALLING else max
            values[name] = last[0] if value is None else tighter(value, last[0])
    return Inputs(values, missing)
