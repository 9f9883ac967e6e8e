"""Settings that are allowed but perhaps not meant, each with its number.  Sheet: limits.md 3.7, 15, 8.2; chapter 2.

What contradicts itself is refused (sense.py); these are only said, at start and by `check` and `limits`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from gateway.limits.sense import BEYOND, ROOM, curve, highest, step_up
from gateway.limits.settings import Adjust, LimitSettings, Table
from gateway.limits.tables import Curve
from gateway.limits.voltage import MOST_DROP
from gateway.model import Reading

EPS: Final = 1e-6  # V, rounding noise
MARGIN: Final = 0.05  # V between the set-point and the BMS's over-voltage protection
APART: Final = 0.02  # V per cell, by which two batteries in parallel may differ when full
RESET_MARGIN: Final = 0.03  # V, the same for the periodic higher voltage
NEAR: Final = 0.01  # V; nearer than cells are measured and wires lose
NARROW: Final = 0.2  # V from empty to float
LIFT: Final = 0.02  # V per cell that a cable may lose
CELLS: Final = (16, 8, 4)  # of common packs, while nobody knows how many there are
SUDDEN: Final = 0.1  # V/s down to float
ADJUSTED: Final = 10.0  # °C at room temperature
OFFSET: Final = 5.0  # A where none flows
LATE: Final = 5.0  # s that inverters take to obey


def doubts(settings: LimitSettings, reading: Reading | None = None) -> list[str]:
    """One sentence a doubt, beginning with its key; with a reading also those about that pack."""
    found = [doubt for rule in RULES for doubt in rule(settings)]
    return found + (list(pack_doubts(settings, reading)) if reading is not None else [])


# ---- set-points


def _set_points(settings: LimitSettings) -> Iterator[str]:
    cell = settings.cell_voltage
    if cell.float_ - cell.min < NARROW - EPS:
        yield (
            f"limits.cell_voltage.min: {cell.min:g} V, where a battery counts as empty, is only"
            f" {(cell.float_ - cell.min) * 1000:.0f} mV below float {cell.float_:g} V"
        )
    if settings.charge_current.max == 0:
        yield "limits.charge_current.max: 0 A forbids charging for ever"
    if settings.discharge_current.max == 0:
        yield "limits.discharge_current.max: 0 A forbids discharging for ever"


def _reset(settings: LimitSettings) -> Iterator[str]:
    reset, top, key = settings.soc_reset, settings.cell_voltage.max, "limits.soc_reset.cell_voltage"
    if not reset.after_days:
        return
    if not settings.charge_voltage.enabled:
        yield "limits.soc_reset.after_days: has no effect while limits.charge_voltage.enabled is false"
    if reset.after_days < 1:
        yield f"limits.soc_reset.after_days: {reset.after_days:g} d is more than once a day"
    if reset.cell_voltage - top < EPS:
        yield f"{key}: {reset.cell_voltage:g} V is cell_voltage.max itself, so nothing is higher then"
    elif reset.cell_voltage - top > BEYOND:
        yield f"{key}: {reset.cell_voltage:g} V is {(reset.cell_voltage - top) * 1000:.0f} mV above cell_voltage.max"
    if _allowed(settings.by_cell_voltage.charge, reset.cell_voltage) <= 0:
        yield f"{key}: {reset.cell_voltage:g} V cannot be reached, limits.by_cell_voltage.charge allows 0 A there"


def _drop(settings: LimitSettings) -> Iterator[str]:
    """The drop is added for the whole pack, so the fewer cells the higher each is charged."""
    drop = settings.voltage_drop
    if drop > LIFT * CELLS[0] + EPS:
        each = ", ".join(f"{drop / cells * 1000:.0f} mV with {cells} cells" for cells in CELLS)
        yield f"limits.voltage_drop: {drop:g} V, at all times, is per cell {each}"


# ---- the charge state machine


def _absorption(settings: LimitSettings) -> Iterator[str]:
    absorption, most = settings.absorption, settings.charge_current.max
    if absorption.cell_difference == 0:
        yield "limits.absorption.cell_difference: 0 V is never reached; null = whatever it is"
    if absorption.max_time is not None and absorption.max_time < absorption.time:
        yield (
            f"limits.absorption.max_time: {absorption.max_time:g} s ends absorption before absorption.time"
            f" {absorption.time:g} s can"
        )
    tail = absorption.tail_current
    if tail == 0:
        yield "limits.absorption.tail_current: 0 A is hardly ever measured, so absorption may never end; null = any"
    elif tail is not None and tail >= most:
        yield f"limits.absorption.tail_current: {tail:g} A is always reached, charge_current.max is {most:g} A"


def _rebulk(settings: LimitSettings) -> Iterator[str]:
    rebulk, absorption, held = settings.rebulk, settings.absorption, settings.cell_voltage.float_
    if not (rebulk.soc or rebulk.cell_difference or rebulk.cell_voltage or rebulk.days):
        yield "limits.rebulk: every condition is off, so after the first full charge it stays in float until a restart"
    if rebulk.soc is not None and rebulk.soc >= 99:
        yield f"limits.rebulk.soc: {rebulk.soc:g} % ends float as soon as anything was discharged"
    if rebulk.cell_voltage is not None and 0 < held - rebulk.cell_voltage < NEAR - EPS:
        yield (
            f"limits.rebulk.cell_voltage: {rebulk.cell_voltage:g} V is only"
            f" {(held - rebulk.cell_voltage) * 1000:.0f} mV below float {held:g} V, so a small load ends float"
        )
    if absorption.cell_difference is None and rebulk.cell_difference is not None:
        yield (
            f"limits.rebulk.cell_difference: {rebulk.cell_difference * 1000:g} mV ends float, and absorption ends at"
            " any difference (absorption.cell_difference null), so a pack further apart would be full again and again"
        )
    if settings.float_transition.rate > SUDDEN:
        yield (
            f"limits.float_transition.rate: {settings.float_transition.rate:g} V/s is a jump to float, on which"
            " inverters discharge at full power"
        )


def _restless(settings: LimitSettings) -> Iterator[str]:
    """Limits that come back at once go to and fro."""
    for key in ("charge_current", "discharge_current", "charge_voltage"):
        part = getattr(settings, key)
        if part.hold == 0 and part.rate == 0:
            yield f"limits.{key}: hold 0 s and rate 0 let a lowered limit jump back at once, so it may swing"


def _single_cell(settings: LimitSettings) -> Iterator[str]:
    voltage = settings.charge_voltage
    idle = voltage.controller == "off" or not voltage.enabled
    if idle and not settings.by_cell_voltage.charge.enabled:
        what = "controller is off" if voltage.enabled else "enabled is false"
        yield (
            f"limits.charge_voltage: {what} and by_cell_voltage.charge is not enabled,"
            " so nothing but the BMS holds back a single high cell"
        )


# ---- tables


def _allowed(table: Table, at: float) -> float:
    return curve(table)(at, "linear") if table.enabled else 1.0


def _charge_table(settings: LimitSettings) -> Iterator[str]:
    table, cell, key = settings.by_cell_voltage.charge, settings.cell_voltage, "limits.by_cell_voltage.charge"
    if not table.enabled:
        return
    read = curve(table)
    top = highest(settings)
    if read(cell.max, "linear") <= 0:
        yield (
            f"{key}: allows 0 A at cell_voltage.max {cell.max:g} V,"
            " so absorption is never reached and the battery never counts as full"
        )
    if (stop := _first_zero(read)) > top + BEYOND:
        yield f"{key}: charges up to {stop:g} V, {stop - top:.2f} V above the highest set-point {top:g} V"
    if rise := step_up(read):
        yield f"{key}: rises from {rise[1]:g} at {rise[0]:g} V to {rise[3]:g} at {rise[2]:g} V"


def _discharge_table(settings: LimitSettings) -> Iterator[str]:
    table, cell, key = settings.by_cell_voltage.discharge, settings.cell_voltage, "limits.by_cell_voltage.discharge"
    if not table.enabled:
        return
    read = curve(table)
    stop = max(point for point, fraction in zip(read.points, read.fractions, strict=True) if fraction <= 0)
    if cell.min - stop > BEYOND:
        yield f"{key}: discharges down to {stop:g} V, {cell.min - stop:.2f} V below cell_voltage.min {cell.min:g} V"
    if settings.soc.source == "counter" and stop >= cell.min:
        yield f"{key}: allows 0 A at {stop:g} V, so cell_voltage.min {cell.min:g} V, the counter's 0 %, is not reached"
    if (share := read(cell.float_, "linear")) < 1:
        yield f"{key}: allows only {share:.0%} at cell_voltage.float {cell.float_:g} V, in a full battery"


def _first_zero(read: Curve) -> float:
    """The lowest point from which on the fraction stays 0 (the settings see to it that there is one)."""
    points = list(zip(read.points, read.fractions, strict=True))
    return min(point for n, (point, _) in enumerate(points) if all(fraction <= 0 for _, fraction in points[n:]))


def _temperature_tables(settings: LimitSettings) -> Iterator[str]:
    for group in ("by_temperature", "by_mosfet_temperature"):
        for way in ("charge", "discharge"):
            table = getattr(getattr(settings, group), way)
            if not table.enabled:
                continue
            read, key = curve(table), f"limits.{group}.{way}"
            if read.fractions[-1] > 0:
                yield f"{key}: allows {read.fractions[-1]:.0%} at {read.points[-1]:g} °C and however hot it gets"
            if (group, way) == ("by_temperature", "charge") and read(0.0, "linear") > 0:
                yield f"{key}: allows {read(0.0, 'linear'):.0%} at 0 °C, where charging ruins lithium cells"
            if (share := read(ROOM, "linear")) < 0.5:
                yield f"{key}: allows only {share:.0%} at {ROOM:g} °C"


def _soc_tables(settings: LimitSettings) -> Iterator[str]:
    table = settings.by_soc.charge
    if table.enabled and (stop := curve(table)(100.0, "linear")) <= 0:
        yield f"limits.by_soc.charge: allows {stop:g} A at 100 %, so a BMS that says 100 % early never gets full"


# ---- measuring


def _current_map(settings: LimitSettings) -> Iterator[str]:
    table, key = settings.soc.current_map, "limits.soc.current_map"
    if table.reported == table.measured:
        return
    at_rest = Curve(table.reported, table.measured)(0.0, "linear")
    if abs(at_rest) > OFFSET:
        yield f"{key}: where the BMS reports 0 A it counts {at_rest:g} A"
    for way, end, most in (
        ("charge", table.reported[-1], settings.charge_current.max),
        ("discharge", -table.reported[0], settings.discharge_current.max),
    ):
        if end < most:
            yield f"{key}: ends at {end:g} A, so more than that is not seen, and {way}_current.max is {most:g} A"


def _adjustments(settings: LimitSettings) -> Iterator[str]:
    each: dict[str, Adjust] = settings.temperature_adjust.plain()
    for sensor, (offset, factor) in each.items():
        if abs(counts := ROOM * factor + offset - ROOM) > ADJUSTED:
            yield f"limits.temperature_adjust.{sensor}: {ROOM:g} °C counts as {ROOM + counts:g} °C"


# ---- loss and alarms


def _loss(settings: LimitSettings) -> Iterator[str]:
    loss, cell = settings.on_loss, settings.cell_voltage
    if loss.block:
        return
    if max(loss.cell_voltage_min, cell.min) >= min(loss.cell_voltage_max, cell.max):
        yield (
            f"limits.on_loss: cell_voltage_min is not below cell_voltage_max within {cell.min:g}..{cell.max:g} V"
            " (limits.cell_voltage), so a silent BMS always blocks"
        )
    if loss.cell_voltage_min < cell.min:
        yield f"limits.on_loss.cell_voltage_min: {loss.cell_voltage_min:g} V is below cell_voltage.min {cell.min:g} V"
    if loss.cell_voltage_max > cell.max:
        yield f"limits.on_loss.cell_voltage_max: {loss.cell_voltage_max:g} V is above cell_voltage.max {cell.max:g} V"


def _hasty(settings: LimitSettings) -> Iterator[str]:
    """Alarms that a moment can raise."""
    if settings.obey_check.enabled and settings.obey_check.after < LATE:
        yield (
            f"limits.obey_check.after: {settings.obey_check.after:g} s is less than the {LATE:g} s that inverters take"
            " to obey, so every limit that falls raises the alarm"
        )
    if settings.imbalance.enabled and settings.imbalance.after == 0:
        yield "limits.imbalance.after: 0 s lets one noisy reading raise the alarm"


Rule = Callable[[LimitSettings], Iterator[str]]
RULES: Final[tuple[Rule, ...]] = (
    _set_points, _charge_table, _discharge_table, _temperature_tables, _soc_tables, _reset, _absorption, _rebulk,
    _restless, _single_cell, _drop, _current_map, _adjustments, _loss, _hasty,
)  # fmt: skip


# ---- what only shows when batteries answer


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


def pack_doubts(settings: LimitSettings, reading: Reading) -> Iterator[str]:
    """What of the settings does not suit the pack that answers."""
    cells, drop = reading.cells, settings.voltage_drop
    if cells and drop > LIFT * cells + EPS:
        applied = min(drop, MOST_DROP * cells)
        yield (
            f"limits.voltage_drop: {drop:g} V is {drop / cells * 1000:.0f} mV for each of {cells} cells, at all times;"
            f" {applied:g} V is added"
        )
    yield from protection_doubts(settings, reading)


def protection_doubts(settings: LimitSettings, reading: Reading) -> Iterator[str]:
    """Set-points too near to where this BMS cuts off by itself."""
    over, under = reading.cell_overvoltage_protection, reading.cell_undervoltage_protection
    if over is None and under is None:
        return
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
