"""What the current rules look at, and what was last known of it.  Sheet: limits.md 4.5.

"The BMS never has this" (the input is absent) is not the same as "it has it, but not now" (the input is missing).
A cell or sensor that has left its list is missing like one that is None there, and so is a value that was rejected, or
one that nobody tells because the BMS is only listened to.
What is missing counts as it was last known, for a while, and then stops the current.  What is known of the rest goes
on counting: while one sensor is broken another may get hot.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.limits.memory import BatteryMemory, Seen
from gateway.limits.settings import ALL_SENSORS
from gateway.model import Reading

KEEP_MISSING: Final = 60.0  # s
FALLING: Final = frozenset({"min_cell", "coldest", "max_charge_current", "max_discharge_current"})
"""Inputs whose lower values are the tighter ones."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input now.  value  as far as known; missing  what is not known, "" = nothing."""

    value: float | None
    missing: str = ""


Inputs = Mapping[str, Input]


def observe(reading: Reading, soc: float | None, sensors: tuple[int, ...], memory: BatteryMemory) -> Inputs:
    """Every input that the BMS has, by this reading and by what `memory` knows of earlier ones."""
    inputs = {"soc": Input(soc, "" if soc is not None else "SoC")}
    inputs |= _cells(reading, memory)
    inputs |= _sensors(reading, sensors, memory)
    for name in PLAIN:
        value = getattr(reading, name)
        if value is not None and value == value:  # NaN is no number
            inputs[name] = Input(value)
        elif name in reading.rejected or name in reading.untold:
            inputs[name] = Input(None, WORDS[name])
    for name in memory.seen:
        if name not in inputs:
            inputs[name] = Input(None, WORDS.get(name, name))
    return inputs


def _cells(reading: Reading, memory: BatteryMemory) -> dict[str, Input]:
    """Highest and lowest cell; {} for a BMS that never speaks of cells."""
    cells, low, high = reading.cell_voltages, reading.min_cell, reading.max_cell
    extremes = ("lowest_cell_voltage", "highest_cell_voltage")
    refused = any(name in reading.rejected for name in extremes) or "cell_voltages" in reading.untold
    if not (reading.cells or high is not None or refused):
        return {}
    gone = range(reading.cells + 1, (memory.cells or 0) + 1) if reading.cells else ()
    gap = _unknown("cell", [*(n for n, volts in enumerate(cells, 1) if volts is None), *gone])
    return {
        "max_cell": Input(high, gap or ("" if high is not None else "highest cell")),
        "min_cell": Input(low, gap or ("" if low is not None else "lowest cell")),
    }


def _sensors(reading: Reading, sensors: tuple[int, ...], memory: BatteryMemory) -> dict[str, Input]:
    """Hottest and coldest of the cell sensors that count; {} for a BMS without any, unless some are asked for."""
    temperatures = reading.temperatures
    if "temperatures" in reading.untold and not memory.sensors:
        return {name: Input(None, WORDS[name]) for name in ("hottest", "coldest")}
    there = max(len(temperatures), memory.sensors)
    counting = [n for n in sensors if n <= there or sensors != ALL_SENSORS]
    if not counting:
        return {}
    values = {n: temperatures[n - 1] if n <= len(temperatures) else None for n in counting}
    known = [value for value in values.values() if value is not None]
    gap = _unknown("temperature sensor", (n for n, value in values.items() if value is None))
    return {"hottest": Input(max(known, default=None), gap), "coldest": Input(min(known, default=None), gap)}


def _unknown(what: str, numbers: Iterable[int]) -> str:
    listed = ", ".join(map(str, numbers))
    return f"{what} {listed}" if listed else ""


PLAIN: Final = (
    "mosfet_temperature", "max_charge_current", "max_discharge_current", "charge_allowed", "discharge_allowed",
    "max_battery_voltage", "min_battery_voltage",
)  # fmt: skip
"""Inputs that are values of the reading as they are."""

WORDS: Final = {
    "max_cell": "highest cell", "min_cell": "lowest cell", "hottest": "cell sensors", "coldest": "cell sensors",
    "mosfet_temperature": "MOSFET temperature", "max_charge_current": "charge current limit of the BMS",
    "max_discharge_current": "discharge current limit of the BMS", "charge_allowed": "charge switch",
    "discharge_allowed": "discharge switch", "max_battery_voltage": "charge voltage limit of the BMS",
    "min_battery_voltage": "discharge voltage limit of the BMS",
}  # fmt: skip


def remember(inputs: Inputs, seen: Mapping[str, Seen], now: float) -> Mapping[str, Seen]:
    """What was ever known of each input, with its time."""
    known = {name: (i.value, now) for name, i in inputs.items() if i.value is not None and not i.missing}
    return {**seen, **known}


def usable(name: str, found: Input | None, seen: Mapping[str, Seen], now: float) -> tuple[float | None, str]:
    """The value of an input and, when it may no longer be used, what is missing; (None, "") when the BMS lacks it."""
    if found is None:
        return None, ""
    if not found.missing:
        return found.value, ""
    last = seen.get(name)
    if last is None or now - last[1] > KEEP_MISSING:
        return None, found.missing
    if found.value is None:
        return last[0], ""
    return (min if name in FALLING else max)(found.value, last[0]), ""
