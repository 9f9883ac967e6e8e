"""Rows for what only a single battery has: its cells in either layout, its sensors, its midpoint.  Pure.

Two layouts are known to programs that show cells: /Voltages/Cell1 with /Balances/Cell1, and /Cell/1/Volts with
/Cell/1/Balance.  Sheet: venus-dbus.md section 4 (system and cells); limits.md chapter 11.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Final, NamedTuple

from outputs.values import BY_NAME
from outputs.venus_dbus.entry import Entry, flag, rounded
from outputs.venus_dbus.listed import text_of
from outputs.venus_dbus.tree import Value, fixed, plain

CELLS, BALANCING, SENSED = "single.cell_voltages", "single.cell_balancing", "single.temperatures"
SENSORS: Final = 4  # /System/Temperature1..4
LAYOUTS: Final = {"voltages": ("voltages",), "cell": ("cell",), "both": ("voltages", "cell"), "none": ()}

Volts = Sequence[float | None]


class Seen(NamedTuple):
    """How many of each a battery has shown so far."""

    cells: int = 0
    balancing: int = 0
    sensors: int = 0


@cache
def cell_entries(seen: Seen, layout: str, *, midpoint: bool) -> tuple[Entry, ...]:
    """Rows for a single battery that has shown so much."""
    entries = [
        _one(f"/System/Temperature{n + 1}", "temperatures", SENSED, n) for n in range(min(seen.sensors, SENSORS))
    ]
    if seen.cells or seen.balancing:
        for name in LAYOUTS[layout]:
            entries += _LAID_OUT[name](seen)
    if midpoint and seen.cells >= LEAST_FOR_MIDPOINT:
        entries += MIDPOINT
    return tuple(entries)


def _voltages(seen: Seen) -> list[Entry]:
    return [
        *(_one(f"/Voltages/Cell{n + 1}", "cell_voltages", CELLS, n) for n in range(seen.cells)),
        *_together("/Voltages"),
        *(Entry(f"/Balances/Cell{n + 1}", "i", plain, BALANCING, flag, at=n) for n in range(seen.balancing)),
    ]


def _cells(seen: Seen) -> list[Entry]:
    return [
        *(_one(f"/Cell/{n + 1}/Volts", "cell_voltages", CELLS, n) for n in range(seen.cells)),
        *_together("/Cell"),
        *(Entry(f"/Cell/{n + 1}/Balance", "i", plain, BALANCING, flag, at=n) for n in range(seen.balancing)),
    ]


def _together(root: str) -> tuple[Entry, Entry]:
    return (
        Entry(f"{root}/Sum", "d", text_of("cells_sum"), CELLS, _sum),
        Entry(f"{root}/Diff", "d", text_of("cell_difference"), CELLS, _diff),
    )


_LAID_OUT: Final[dict[str, Callable[[Seen], list[Entry]]]] = {"voltages": _voltages, "cell": _cells}


def _one(path: str, row: str, of: str, index: int) -> Entry:
    """One of a list of values; not known where the list has become shorter."""
    return Entry(path, "d", text_of(row), of, partial(rounded, digits=BY_NAME[row].digits), at=index)


def _sum(cells: Volts) -> Value:
    known = _known(cells)
    return rounded(sum(known), 2) if known and len(known) == len(cells) else None


def _diff(cells: Volts) -> Value:
    known = _known(cells)
    return rounded(max(known) - min(known), 3) if known else None


def _known(cells: Volts) -> Sequence[float]:
    """Those that are; usually every one is."""
    return [voltage for voltage in cells if voltage is not None] if None in cells else cells  # type: ignore[return-value]


LEAST_FOR_MIDPOINT: Final = 4  # cells; sheet: limits.md chapter 11


def _halves(cells: Volts) -> tuple[float, float] | None:
    """What the lower and the upper half of the cells add up to [V]; a cell in the middle counts half for each."""
    known = _known(cells)
    if len(known) < max(LEAST_FOR_MIDPOINT, len(cells)):
        return None
    lower, middle = _lower(known)
    return lower + middle / 2.0, sum(known) - lower - middle / 2.0


def _lower(cells: Sequence[float]) -> tuple[float, float]:
    half, odd = divmod(len(cells), 2)
    return sum(cells[:half]), cells[half] if odd else 0.0


def _mid_voltage(cells: Volts) -> Value:
    halves = _halves(cells)
    return None if halves is None else rounded(halves[0], 2)


def _deviation(cells: Volts) -> Value:
    """How far the halves are apart, in % of the whole, as battery monitors do: + = the upper one is higher."""
    halves = _halves(cells)
    if halves is None or not sum(halves):
        return None
    return rounded(100.0 * (halves[1] - halves[0]) / sum(halves), 1)


MIDPOINT: Final = (
    Entry("/Dc/0/MidVoltage", "d", fixed(2, "V"), CELLS, _mid_voltage),
    Entry("/Dc/0/MidVoltageDeviation", "d", fixed(1, "%"), CELLS, _deviation),
)
