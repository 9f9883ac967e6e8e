"""Rows for what only a single battery has: its cells in either layout, its sensors, its midpoint.  Pure.

Two layouts are known to programs that show cells: /Voltages/Cell1 with /Balances/Cell1, and /Cell/1/Volts with
/Cell/1/Balance.  Sheet: venus-dbus.md section 4 (system and cells); limits.md chapter 11.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Final, NamedTuple

from outputs.venus_dbus.paths import CELL_VOLTS, CELSIUS, PERCENT, VOLTS, Entry, flag, rounded
from outputs.venus_dbus.tree import Value, plain
from outputs.view import View

SENSORS: Final = 4  # /System/Temperature1..4
LAYOUTS: Final = {"voltages": ("voltages",), "cell": ("cell",), "both": ("voltages", "cell"), "none": ()}


class Seen(NamedTuple):
    """How many of each a battery has shown so far."""

    cells: int = 0
    balancing: int = 0
    sensors: int = 0


@cache
def cell_entries(seen: Seen, layout: str, *, midpoint: bool) -> tuple[Entry, ...]:
    """Rows for a single battery that has shown so much."""
    entries = [
        Entry(f"/System/Temperature{n + 1}", "d", CELSIUS, _sensor(n)) for n in range(min(seen.sensors, SENSORS))
    ]
    if seen.cells or seen.balancing:
        for name in LAYOUTS[layout]:
            entries += _LAID_OUT[name](seen)
    if midpoint and seen.cells >= LEAST_FOR_MIDPOINT:
        entries += MIDPOINT
    return tuple(entries)


def _voltages(seen: Seen) -> list[Entry]:
    return [
        *(Entry(f"/Voltages/Cell{n + 1}", "d", CELL_VOLTS, _cell(n)) for n in range(seen.cells)),
        *_together("/Voltages"),
        *(Entry(f"/Balances/Cell{n + 1}", "i", plain, _balance(n)) for n in range(seen.balancing)),
    ]


def _cells(seen: Seen) -> list[Entry]:
    return [
        *(Entry(f"/Cell/{n + 1}/Volts", "d", CELL_VOLTS, _cell(n)) for n in range(seen.cells)),
        *_together("/Cell"),
        *(Entry(f"/Cell/{n + 1}/Balance", "i", plain, _balance(n)) for n in range(seen.balancing)),
    ]


def _together(root: str) -> tuple[Entry, Entry]:
    return Entry(f"{root}/Sum", "d", VOLTS, _sum), Entry(f"{root}/Diff", "d", CELL_VOLTS, _diff)


_LAID_OUT: Final[dict[str, Callable[[Seen], list[Entry]]]] = {"voltages": _voltages, "cell": _cells}


def _cell(index: int) -> Callable[[View], Value]:
    return lambda view: rounded(view.single.cell_voltages[index], 3) if index < len(view.single.cell_voltages) else None


def _balance(index: int) -> Callable[[View], Value]:
    return lambda view: flag(view.single.cell_balancing[index]) if index < len(view.single.cell_balancing) else None


def _sensor(index: int) -> Callable[[View], Value]:
    return lambda view: rounded(view.single.temperatures[index], 1) if index < len(view.single.temperatures) else None


def _sum(view: View) -> Value:
    known = [voltage for voltage in view.single.cell_voltages if voltage is not None]
    return rounded(sum(known), 2) if known and len(known) == len(view.single.cell_voltages) else None


def _diff(view: View) -> Value:
    known = [voltage for voltage in view.single.cell_voltages if voltage is not None]
    return rounded(max(known) - min(known), 3) if known else None


LEAST_FOR_MIDPOINT: Final = 4  # cells; sheet: limits.md chapter 11


def _halves(view: View) -> tuple[float, float] | None:
    """What the lower and the upper half of the cells add up to [V]; a cell in the middle counts half for each."""
    cells = view.single.cell_voltages
    known = [voltage for voltage in cells if voltage is not None]
    if len(known) < max(LEAST_FOR_MIDPOINT, len(cells)):
        return None
    lower, middle = _lower(known)
    return lower + middle / 2.0, sum(known) - lower - middle / 2.0


def _lower(cells: Sequence[float]) -> tuple[float, float]:
    half, odd = divmod(len(cells), 2)
    return sum(cells[:half]), cells[half] if odd else 0.0


def _mid_voltage(view: View) -> Value:
    halves = _halves(view)
    return None if halves is None else rounded(halves[0], 2)


def _deviation(view: View) -> Value:
    """How far the halves are apart, in % of the whole, as battery monitors do: + = the upper one is higher."""
    halves = _halves(view)
    if halves is None or not sum(halves):
        return None
    return rounded(100.0 * (halves[1] - halves[0]) / sum(halves), 1)


MIDPOINT: Final = (
    Entry("/Dc/0/MidVoltage", "d", VOLTS, _mid_voltage),
    Entry("/Dc/0/MidVoltageDeviation", "d", PERCENT, _deviation),
)
