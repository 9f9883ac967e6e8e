"""Charge voltage: the controllers of single cells, and how their target is applied.  Sheet: limits.md 3.3, 3.4."""

from collections.abc import Sequence
from typing import Any, Final

from gateway.limits.charge_state import SAME
from gateway.limits.memory import Voltage
from gateway.limits.settings import ChargeVoltage, LimitSettings
from gateway.model import Reading
from gateway.model.records import made, replace

CLIPPED_EXTRA: Final = 0.010  # V above the sum of the clipped cells; sheet: 3.3, mode 3

MORE: Final = 0.020  # V, whole pack, that a charger may hold above what it is told; cells are measured no better


def target(
    reading: Reading,
    settings: LimitSettings,
    cell_limit: float,
    u_min: float,
    u_max: float,
    before: Voltage,
    now: float,
    frozen: bool,
    least: float,
) -> tuple[float, str]:
    """The voltage [V] that keeps the highest cell of one pack at or under `cell_limit`, and why; `u_min` at least.

    `frozen`: the reading is an old one, so the voltage is not raised, but not integrated further either.  `least` [V]:
    a charger that holds too much is told no less than that.
    """
    cells: Sequence[Any] = reading.cell_voltages
    if None in cells:
        cells = [volts for volts in cells if volts is not None]
    top = max(cells, default=reading.max_cell)
    kind = settings.charge_voltage.controller
    if top is None or kind == "off":
        return u_max, ""
    if kind == "integral" and frozen:
        volts = u_max if before.volts is None else min(before.volts, u_max)
        return (volts, f"highest cell was {top:.3f} V") if top > cell_limit else (u_max, "")
    if kind == "integral":
        return _integral(top, settings, cell_limit, u_min, u_max, before, now)
    if top <= cell_limit:
        return _released(top, settings.charge_voltage, cell_limit, u_max, before)
    total = sum(cells) / reading.strings if cells else reading.voltage  # some BMSs tell only their extremes
    if total is None:
        return u_min, f"highest cell {top:.3f} V and the pack voltage is not known"
    excess = sum([volts - cell_limit for volts in cells or (top,) if volts > cell_limit])
    why = f"highest cell {top:.3f} V above {cell_limit:.3f} V, penalty {excess:.3f} V"
    wished = total - excess + (CLIPPED_EXTRA if kind == "clipped" else 0.0)
    more = 0.0 if before.volts is None or frozen else total - before.volts
    if more > MORE and disobeyed(top, settings.charge_voltage, cell_limit, before, now):
        wished = min(wished, max(total - more - min(more, excess), least))
        why = f"{why}; the charger holds {total:.2f} V, {more:.2f} V more than it is told"
    return min(max(wished, u_min), u_max), why


def quiet(top: float | None, setting: ChargeVoltage, cell_limit: float) -> bool:
    """The highest cell is so far below its limit that nothing is held back, whatever was before."""
    return top is not None and top <= cell_limit - setting.release and setting.controller != "integral"


def over(top: float | None, setting: ChargeVoltage, cell_limit: float) -> bool:
    """The highest cell is clearly above its limit, by more than what is measured."""
    return top is not None and top > cell_limit + setting.release


def disobeyed(top: float, setting: ChargeVoltage, cell_limit: float, before: Voltage, now: float) -> bool:
    """Told what would hold the cells at their limit, the charger holds more: it measures otherwise."""
    after, since = setting.correct_after, before.over_since
    return after is not None and since is not None and over(top, setting, cell_limit) and now - since >= after


def noting(after: Voltage, before: Voltage, high: bool, now: float) -> Voltage:
    """`after` with the time since when a cell is `high`; whatever is told lower gets its time to have an effect."""
    if not high:
        return after if after.over_since is None else replace(after, over_since=None)
    lowered = after.volts is not None and before.volts is not None and after.volts < before.volts - SAME
    since = now if lowered or before.over_since is None else before.over_since
    return after if after.over_since == since else replace(after, over_since=since)


def _released(
    top: float, setting: ChargeVoltage, cell_limit: float, u_max: float, before: Voltage
) -> tuple[float, str]:
    """Once lowered, the voltage stays as it is until the highest cell is clearly below its limit again."""
    near = top > cell_limit - setting.release
    if not near or before.limited_at is None or before.volts is None or before.volts >= u_max:
        return u_max, ""
    return before.volts, f"highest cell {top:.3f} V is not yet {setting.release * 1000:g} mV below {cell_limit:.3f} V"


def _integral(
    top: float,
    settings: LimitSettings,
    cell_limit: float,
    u_min: float,
    u_max: float,
    before: Voltage,
    now: float,
) -> tuple[float, str]:
    """Lowers the voltage as long as the highest cell is over, by seconds and not by evaluations (Q14)."""
    volts = u_max if before.volts is None else before.volts
    seconds = 0.0 if before.at is None else min(now - before.at, 10.0)
    over = top - cell_limit - (settings.absorption.cell_difference or 0.0)
    wished = volts - over * settings.charge_voltage.integral_factor * seconds
    wished = min(max(wished, u_min), u_max)
    return wished, f"highest cell {top:.3f} V, integral controller" if wished < u_max else ""


def unheld(volts: float, now: float) -> Voltage:
    """A voltage that no cell holds back."""
    return made(Voltage, volts=volts, limited_at=None, base=0.0, at=now, over_since=None)


def apply(
    wished: float, u_max: float, before: Voltage, setting: ChargeVoltage, now: float, cells: int, least: float
) -> tuple[Voltage, str]:
    """Down at once, hold, slowly up (3.4); returns the new state and none, limiting, holding or recovering.

    Down a step more than wished, but not below `least` [V], for a cell that rises goes on rising: one change then, not
    one for each mV.  A step up of a pack with few cells lifts none of them by more than it had to fall before.
    """
    volts, limited = before.volts, before.limited_at
    step = min(setting.step, setting.release * cells or setting.step)
    free = wished >= u_max - 1e-9
    if free and (limited is None or volts is None or u_max - volts <= 2 * SAME):
        return unheld(u_max, now), "none"
    if volts is None or wished <= volts + SAME:
        more = 0.0 if volts is None or wished > volts - SAME else step
        lowered = min(u_max, wished if volts is None else volts, max(wished - more, min(wished, least)))
        return Voltage(volts=lowered, limited_at=now, base=lowered, at=now), "limiting"
    if limited is None:  # U_max itself rose
        return unheld(wished, now), "none"
    waited = now - limited - setting.hold
    if waited < 0:
        return replace(before, at=now, base=volts), "holding"
    raised = wished if setting.rate == 0 else min(wished, before.base + setting.rate * waited)
    if raised >= u_max - 1e-9:
        return unheld(u_max, now), "none"
    if raised < wished and (raised - volts < step or u_max - raised < step / 2):  # not each mV is worth telling
        return replace(before, at=now), "recovering"
    return replace(before, volts=max(volts, raised), at=now), "recovering"
