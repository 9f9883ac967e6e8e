"""What the current rules look at, and what was last known of it.  Sheet: limits.md 4.5.

"The BMS never has this" (the input is absent) is not the same as "it has it, but not now" (the input is missing).
What is missing counts as it was last known, for a while, and then stops the current.  What is known of the rest goes
on counting: while one sensor is broken another may get hot.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.limits.memory import Seen
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


def observe(reading: Reading, soc: float | None, sensors: tuple[int, ...], seen: Mapping[str, Seen]) -> Inputs:
    """Every input that the BMS has."""
    inputs = {"soc": Input(soc, "" if soc is not None else "SoC")}
    if reading.cells or reading.max_cell is not None:  # else a BMS that never speaks of cells
        cells = reading.cell_voltages
        gap = _unknown("cell", [(n, volts) for n, volts in enumerate(cells, 1)]) if None in cells else ""
        inputs["max_cell"] = Input(reading.max_cell, gap or ("" if reading.max_cell is not None else "highest cell"))
        inputs["min_cell"] = Input(reading.min_cell, gap or ("" if reading.min_cell is not None else "lowest cell"))
    chosen = [(n, reading.temperatures[n - 1]) for n in sensors if n <= len(reading.temperatures)]
    if chosen:
        known = [value for _, value in chosen if value is not None]
        gap = _unknown("temperature sensor", chosen) if len(known) < len(chosen) else ""
        inputs["hottest"] = Input(max(known, default=None), gap)
        inputs["coldest"] = Input(min(known, default=None), gap)
    for name, value in (
        ("mosfet_temperature", reading.mosfet_temperature),
        ("max_charge_current", reading.max_charge_current),
        ("max_discharge_current", reading.max_discharge_current),
        ("charge_allowed", reading.charge_allowed),
        ("discharge_allowed", reading.discharge_allowed),
    ):
        if value is not None and value == value:  # NaN is no number
            inputs[name] = Input(value)
    for name in seen:
        if name not in inputs:
            inputs[name] = Input(None, WORDS.get(name, name))
    return inputs


WORDS: Final = {
    "max_cell": "highest cell", "min_cell": "lowest cell", "hottest": "cell sensors", "coldest": "cell sensors",
    "mosfet_temperature": "MOSFET temperature", "max_charge_current": "charge current limit of the BMS",
    "max_discharge_current": "discharge current limit of the BMS", "charge_allowed": "charge switch",
    "discharge_allowed": "discharge switch",
}  # fmt: skip


def _unknown(what: str, numbered: list[tuple[int, float | None]]) -> str:
    return f"{what} {', '.join(str(n) for n, value in numbered if value is None)}"


def remember(inputs: Inputs, seen: Mapping[str, Seen], now: float) -> Mapping[str, Seen]:
    """What was ever known of each input, with its time."""
    known = {name: (i.value, now) for name, i in inputs.items() if i.value is not None and not i.missing}
    return {**seen, **known} if len(known) < len(seen) else known


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
