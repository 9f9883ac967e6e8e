"""Settings that are allowed but perhaps not meant, each with its number.  Sheet: limits.md 3.7, 15, 8.2; chapter 2.

What contradicts itself is refused by the settings themselves; these are only said, at start and by `check`.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from gateway.limits.settings import LimitSettings, Table
from gateway.limits.tables import Curve
from gateway.model import Reading

EPS: Final = 1e-6  # V, rounding noise
MARGIN: Final = 0.05  # V between the set-point and the BMS's over-voltage protection
APART: Final = 0.02  # V per cell, by which two batteries in parallel may differ when full
RESET_MARGIN: Final = 0.03  # V, the same for the periodic higher voltage


def doubts(settings: LimitSettings, reading: Reading | None = None) -> list[str]:
    """One sentence a doubt, beginning with its key; with a reading also those about the BMS's own protection."""
    found = [*_reachable(settings), *_reset(settings), *_rebulk(settings), *_loss(settings)]
    return found + (list(protection_doubts(settings, reading)) if reading is not None else [])


def _allowed(table: Table, volts: float) -> float:
    return Curve(table.points, table.fractions)(volts, "linear") if table.enabled else 1.0


def _reachable(settings: LimitSettings) -> Iterator[str]:
    top = settings.cell_voltage.max
    if _allowed(settings.by_cell_voltage.charge, top) <= 0:
        yield (
            f"limits.by_cell_voltage.charge: allows 0 A at cell_voltage.max {top:g} V,"
            " so absorption is never reached and the battery never counts as full"
        )
    if settings.charge_current.max == 0:
        yield "limits.charge_current.max: 0 A forbids charging for ever"
    if settings.discharge_current.max == 0:
        yield "limits.discharge_current.max: 0 A forbids discharging for ever"


def _reset(settings: LimitSettings) -> Iterator[str]:
    reset = settings.soc_reset
    if not reset.after_days:
        return
    if reset.cell_voltage < settings.cell_voltage.max:
        yield (
            f"limits.soc_reset.cell_voltage: {reset.cell_voltage:g} V is below cell_voltage.max"
            f" {settings.cell_voltage.max:g} V, which is used instead"
        )
    elif _allowed(settings.by_cell_voltage.charge, reset.cell_voltage) <= 0:
        yield (
            f"limits.soc_reset.cell_voltage: {reset.cell_voltage:g} V cannot be reached,"
            " limits.by_cell_voltage.charge allows 0 A there"
        )


def _rebulk(settings: LimitSettings) -> Iterator[str]:
    rebulk = settings.rebulk
    if not (rebulk.soc or rebulk.cell_difference or rebulk.cell_voltage or rebulk.days):
        yield "limits.rebulk: every condition is off, so after the first full charge it stays in float until a restart"


def _loss(settings: LimitSettings) -> Iterator[str]:
    loss, cell = settings.on_loss, settings.cell_voltage
    if loss.cell_voltage_min >= loss.cell_voltage_max:
        yield "limits.on_loss: cell_voltage_min is not below cell_voltage_max, so a silent BMS always blocks"
    if loss.cell_voltage_min < cell.min:
        yield f"limits.on_loss.cell_voltage_min: {loss.cell_voltage_min:g} V is below cell_voltage.min {cell.min:g} V"
    if loss.cell_voltage_max > cell.max:
        yield f"limits.on_loss.cell_voltage_max: {loss.cell_voltage_max:g} V is above cell_voltage.max {cell.max:g} V"


def together_doubts(members: Mapping[str, tuple[LimitSettings, int]]) -> Iterator[str]:
    """Set-points in parallel that do not fit each other; `members`: name -> settings and cells in series."""
    if len(members) < 2:
        return
    volts = {name: _of_pack(settings, cells) for name, (settings, cells) in members.items()}
    floor, lowest_float = max(volts, key=lambda n: volts[n][0]), min(volts, key=lambda n: volts[n][1])
    low, high = min(volts, key=lambda n: volts[n][2]), max(volts, key=lambda n: volts[n][2])
    if volts[floor][0] >= volts[lowest_float][1]:
        yield (
            f"cell_voltage: {floor} must stay above {volts[floor][0]:.2f} V, and {lowest_float} floats at"
            f" {volts[lowest_float][1]:.2f} V: these two cannot be in parallel"
        )
    elif volts[high][2] - volts[low][2] > APART * members[low][1]:
        yield (
            f"cell_voltage.max: {low} is full at {volts[low][2]:.2f} V and {high} at {volts[high][2]:.2f} V;"
            f" the bank is charged to the lower, so {high} never gets full"
        )


def _of_pack(settings: LimitSettings, cells: int) -> tuple[float, float, float]:
    """V of a pack at its floor, in float, and full."""
    cell = settings.cell_voltage
    return cell.min * cells, cell.float_ * cells, cell.max * cells


def protection_doubts(settings: LimitSettings, reading: Reading) -> Iterator[str]:
    """Set-points too near to where this BMS cuts off by itself."""
    over, under = reading.cell_overvoltage_protection, reading.cell_undervoltage_protection
    cell, reset = settings.cell_voltage, settings.soc_reset
    if over is not None and over - cell.max < MARGIN - EPS:
        yield (
            f"limits.cell_voltage.max: {cell.max:g} V is only {(over - cell.max) * 1000:.0f} mV below the {over:g} V"
            f" at which the BMS cuts off, expected {MARGIN * 1000:.0f} mV at least"
        )
    if over is not None and reset.after_days and over - reset.cell_voltage < RESET_MARGIN - EPS:
        yield (
            f"limits.soc_reset.cell_voltage: {reset.cell_voltage:g} V is {(over - reset.cell_voltage) * 1000:.0f} mV"
            f" below the {over:g} V at which the BMS cuts off, expected {RESET_MARGIN * 1000:.0f} mV at least"
        )
    if under is not None and cell.min <= under:
        yield f"limits.cell_voltage.min: {cell.min:g} V is not above the {under:g} V at which the BMS cuts off"
