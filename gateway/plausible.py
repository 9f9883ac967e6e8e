"""Refuses what cannot be.  A reading that is nonsense is dropped whole; of a sound one only the value that cannot be.

Ranges: limits.md chapter 1 (a reading outside them is "not this BMS") and Q20 (a clamped temperature hides a broken
sensor, so an impossible one counts as missing).

Values of one reading are held against each other: pack voltage with the cells' sum, the BMS's own extremes with the
cells, the count of cells with their list, capacities and SoC with each other.  What loses is None from then on, and
`Reading.rejected` says why; where the cells' sum stands in for the pack voltage, that is said there, too.  Tolerances
are wide: real devices measure the pack at another place (2.9 % above its 17 cells in one recording), are asked for the
parts one after the other while a load steps, and count the capacity by firmware that never saw a full battery.
"""

import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import compress
from operator import attrgetter, le
from typing import Final

from gateway.model import Implausible, Reading
from gateway.model.known import are_known
from gateway.model.records import replace

RANGES: Final = {  # name: (least, most, unit); outside it is no reading of this device
    "voltage": (0.0, 100.0, "V"),
    "current": (-1000.0, 1000.0, "A"),
    "soc": (0.0, 100.0, "%"),
    "capacity": (0.0, 5000.0, "Ah"),
}
CELL: Final = (0.5, 5.0)  # V
TEMPERATURE: Final = (-40.0, 120.0)  # °C
OWN: Final = {  # name: (least, most, unit); outside it this one value is not known
    "soh": (0.0, 120.0, "%"),  # some count a new pack a little above 100
    "capacity": (1.0, 5000.0, "Ah"),  # 0 = was never set
    "remaining_capacity": (0.0, 5000.0, "Ah"),
    "charge_cycles": (0, 1_000_000, "cycles"),
    "cell_count": (1, 64, "cells"),
    "lowest_cell_voltage": (*CELL, "V"),
    "highest_cell_voltage": (*CELL, "V"),
    "mosfet_temperature": (*TEMPERATURE, "°C"),
    "ambient_temperature": (*TEMPERATURE, "°C"),
    "max_charge_current": (0.0, 5000.0, "A"),
    "max_discharge_current": (0.0, 5000.0, "A"),
    "max_battery_voltage": (0.0, 100.0, "V"),
    "min_battery_voltage": (0.0, 100.0, "V"),
    "cell_overvoltage_protection": (*CELL, "V"),
    "cell_undervoltage_protection": (*CELL, "V"),
}
BOUNDS: Final = {**RANGES, **OWN}  # the narrower where a value has both
BOUNDED: Final = attrgetter(*BOUNDS)
PACK_FRACTION: Final = 0.05  # of the cells' sum: so far may the pack voltage be from it; less than one cell of sixteen
PACK_LEAST: Final = 1.0  # V, and so far in any case
EXTREMES: Final = 0.3  # V between the BMS's own extremes and its cells, which may be answered a load step apart
OVERFULL: Final = 1.25  # of the capacity; 106 % was seen
SOC_APART: Final = 75.0  # % between SoC and remaining capacity; 63 was seen where firmware counts in a unit of its own

Refusal = tuple[str, object, str]
"""A value's name, what stands in for it, and why it was refused."""


def plausible(reading: Reading) -> Reading:
    """`reading` without what cannot be, itself where all is well.  Raises Implausible for one that cannot be at all."""
    rules = RULES
    if not _within_bounds(reading):
        _possible(reading)
        reading = _broken_wires(reading)
        rules = (_out_of_range, *RULES)
    for rule in rules:
        refusals = list(rule(reading))
        if refusals:
            changes = {name: value for name, value, _ in refusals}
            why = {name: text for name, _, text in refusals}
            reading = replace(reading, **changes, rejected={**reading.rejected, **why})  # type: ignore[arg-type]
    return reading


def _within_bounds(reading: Reading) -> bool:
    """Is every number that is known within its bounds?  It nearly always is, so one look at all of them comes first."""
    cells, sensors = reading.cell_voltages, reading.temperatures
    values = (*BOUNDED(reading), *cells, *sensors)
    least, most = _bounds(len(cells), len(sensors))
    told = are_known(values)
    numbers = tuple(compress(values, told))
    return all(map(le, compress(least, told), numbers)) and all(map(le, numbers, compress(most, told)))


@lru_cache(maxsize=64)
def _bounds(cells: int, sensors: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The least and the most that each number may be, of so many single ones behind the named ones."""
    all_bounds = (*[(least, most) for least, most, _ in BOUNDS.values()], *[CELL] * cells, *[TEMPERATURE] * sensors)
    return tuple([least for least, _ in all_bounds]), tuple([most for _, most in all_bounds])


def _possible(reading: Reading) -> None:
    for name, (least, most, unit) in RANGES.items():
        value = getattr(reading, name)
        if value is not None and not least <= value <= most:  # NaN fails this, too
            raise Implausible(name, value, f"{least:g}..{most:g} {unit}")
    for number, value in enumerate(reading.cell_voltages, 1):  # far above: a torn or shifted frame, not a cell
        if value is not None and not -0.001 <= value <= 2 * CELL[1]:
            raise Implausible(f"cell_voltages[{number}]", value, f"0..{CELL[1]:g} V")


def _broken_wires(reading: Reading) -> Reading:
    """A cell or cell sensor that cannot be is one whose wire is broken: not known, in its place."""
    cells, sensors = _within(reading.cell_voltages, CELL), _within(reading.temperatures, TEMPERATURE)
    if cells is reading.cell_voltages and sensors is reading.temperatures:
        return reading
    return replace(reading, cell_voltages=cells, temperatures=sensors)


def _within(values: tuple[float | None, ...], bounds: tuple[float, float]) -> tuple[float | None, ...]:
    least, most = bounds
    found = tuple([value if value is not None and least <= value <= most else None for value in values])
    return values if found == values else found


def _out_of_range(reading: Reading) -> Iterable[Refusal]:
    """Every other number by itself."""
    for name, (least, most, unit) in OWN.items():
        value = getattr(reading, name)
        if value is not None and not least <= value <= most:
            yield name, None, f"{name} {value:g} {unit} is outside {least:g}..{most:g} {unit}"


def _extremes(reading: Reading) -> Iterable[Refusal]:
    """The BMS's own lowest and highest cell against each other and, where all are known, against the single cells."""
    low, high = reading.lowest_cell_voltage, reading.highest_cell_voltage
    if low is not None and high is not None and low > high:
        why = f"the BMS calls {low:.3f} V its lowest and {high:.3f} V its highest cell"
        yield "lowest_cell_voltage", None, why
        yield "highest_cell_voltage", None, why
        return
    if (low is None and high is None) or reading.cells_sum is None:
        return
    for name, own, cell in (("lowest", low, reading.min_cell), ("highest", high, reading.max_cell)):
        if own is not None and cell is not None and abs(own - cell) > EXTREMES:
            yield (
                f"{name}_cell_voltage", None,
                f"the BMS calls {own:.3f} V its {name} cell, its cells say {cell:.3f} V",
            )  # fmt: skip


def _count(reading: Reading) -> Iterable[Refusal]:
    """The count of cells against their list; a list may hold the cells of several parallel strings."""
    cells, count = reading.cell_voltages, reading.cell_count
    if not cells or not count or len(cells) == count:
        return
    known = [volts for volts in cells if volts is not None]
    if len(cells) < count:
        missing = count - len(cells)
        yield "cell_voltages", (*cells, *[None] * missing), f"only {len(cells)} of {count} cells are listed"
    elif known and _strings(reading, sum(known) / len(known) * count):
        missing = -len(cells) % count
        if missing:
            text = f"{len(cells)} cells listed are no multiple of the {count} in series"
            yield "cell_voltages", (*cells, *[None] * missing), text
    else:
        yield "cell_count", None, f"the BMS counts {count} cells, but lists {len(cells)}"


def _strings(reading: Reading, string: float) -> bool:
    """Does the pack have the voltage of one string [V] rather than of all that is listed?"""
    return reading.voltage is not None and abs(reading.voltage - string) <= _tolerance(string)


def _tolerance(total: float) -> float:
    return max(PACK_LEAST, PACK_FRACTION * total)


def _pack_voltage(reading: Reading) -> Iterable[Refusal]:
    """The pack voltage against what its cells add up to; their sum stands in where all of them are known."""
    volts, total = reading.voltage, reading.cells_sum
    if volts is None:
        return
    if total is not None:
        if abs(volts - total) > _tolerance(total):
            yield (
                "voltage",
                total,
                f"pack voltage {volts:.2f} V, but its cells add up to {total:.2f} V, which stands in",
            )
        return
    least, most = _possible_sum(reading)
    if not least - _tolerance(least) <= volts <= most + _tolerance(least):
        yield "voltage", None, f"pack voltage {volts:.2f} V, but its cells add up to {_span(least, most)}"
    elif volts < CELL[0]:
        yield "voltage", None, f"pack voltage {volts:.2f} V is no battery's"


def _possible_sum(reading: Reading) -> tuple[float, float]:
    """Between which bounds [V] the pack voltage lies by what is known of its cells."""
    known = [volts for volts in reading.cell_voltages if volts is not None]
    if known:
        missing = len(reading.cell_voltages) - len(known)
        return (sum(known) + missing * CELL[0]) / reading.strings, (sum(known) + missing * CELL[1]) / reading.strings
    low, high, cells = reading.lowest_cell_voltage, reading.highest_cell_voltage, reading.cells
    if not cells:
        return 0.0, math.inf
    return (low or CELL[0]) * cells, (high or CELL[1]) * cells


def _span(least: float, most: float) -> str:
    low, high = f"{least:.2f}", f"{most:.2f}"
    return f"{low} V" if low == high else f"{low} to {high} V"


def _capacities(reading: Reading) -> Iterable[Refusal]:
    """What is left against what there is: far too much refuses both, for a capacity too small would loosen a bank.

    Against the SoC, which rules rest on, the remaining capacity loses, which is only shown.
    """
    capacity, remaining, soc = reading.capacity, reading.remaining_capacity, reading.soc
    if capacity is None or remaining is None:
        return
    if remaining > OVERFULL * capacity:
        why = f"{remaining:g} Ah remain of a capacity of {capacity:g} Ah"
        yield "capacity", None, why
        yield "remaining_capacity", None, why
    elif soc is not None and abs(soc - 100 * remaining / capacity) > SOC_APART:
        yield "remaining_capacity", None, f"SoC {soc:g} %, but {remaining:g} of {capacity:g} Ah remain"


RULES: Final[tuple[Callable[[Reading], Iterable[Refusal]], ...]] = (
    _extremes, _count, _pack_voltage, _capacities,
)  # fmt: skip
"""How values are held against each other, in order: each sees what those before it have left."""
