"""The state of charge that all rules use.  Sheet: limits.md 5.2 to 5.4."""

from typing import Final

from gateway.limits.flow import LONGEST_STEP
from gateway.limits.memory import DAY, BatteryMemory, Memory
from gateway.limits.settings import ForceCharge, FullChargeRequest, LimitSettings
from gateway.model import Reading
from gateway.model.records import replace

EMPTY_AFTER: Final = 60.0  # s at the minimum until the counter says 0 %
CAPPED: Final = 99.0  # % until a full charge was completed, where that is asked for


def count(reading: Reading, memory: BatteryMemory, settings: LimitSettings, now: float) -> BatteryMemory:
    """The SoC counter of one battery after this reading (5.3)."""
    capacity, current = reading.capacity, reading.current
    if not capacity:
        return memory
    amount = memory.counted_ah
    if amount is None:
        known = [soc for soc in (memory.stored_soc, reading.soc) if soc is not None]
        amount = capacity * (known[0] if known else 100.0) / 100
    seconds = 0.0 if memory.counted_at is None else now - memory.counted_at
    if seconds > LONGEST_STEP:
        amount += _over_the_gap(reading, memory, capacity)
    elif current is not None:
        gain = settings.soc.efficiency if current > 0 else 1.0
        amount += current * gain * max(0.0, seconds) / 3600
    since = _empty_since(reading, memory, settings, current, seconds, now)
    amount = 0.0 if since is not None and now - since > EMPTY_AFTER else min(max(amount, 0.0), capacity)
    return replace(
        memory,
        counted_ah=amount,
        counted_soc=round(amount / capacity * 100, 3),
        counted_at=now,
        bms_soc=reading.soc,
        empty_since=since,
    )


def _over_the_gap(reading: Reading, memory: BatteryMemory, capacity: float) -> float:
    """Ah that the BMS itself saw while it could not be read; 0 where it does not count (Q7)."""
    if reading.soc is None or memory.bms_soc is None:
        return 0.0
    return capacity * (reading.soc - memory.bms_soc) / 100


def _empty_since(
    reading: Reading, memory: BatteryMemory, settings: LimitSettings, current: float | None, seconds: float, now: float
) -> float | None:
    """Since when the lowest cell has been at its minimum while discharging; every interruption begins anew (Q6)."""
    cell = reading.min_cell
    if cell is None or cell > settings.cell_voltage.min or current is None or current >= 0:
        return None
    return now if memory.empty_since is None or seconds > LONGEST_STEP else memory.empty_since


def starved(soc: float | None, before: bool, setting: ForceCharge) -> bool:
    """Is a charge from the grid to be asked for (3.10)?  As `before` while the SoC [%] is not known."""
    if not setting.enabled or soc is None:
        return before and setting.enabled
    return soc < (setting.until if before else setting.below)


def high_since(soc: float | None, memory: Memory, setting: FullChargeRequest) -> float:
    """The date when the SoC [%] was last high enough to count as full; 0 = never."""
    return memory.date if soc is not None and soc >= setting.soc else memory.high_soc_at


def wants_full_charge(memory: Memory, setting: FullChargeRequest) -> bool:
    """Is a full charge from the grid to be asked for?  Before the first one the days count from the first start."""
    since = memory.high_soc_at or memory.first_start
    return bool(setting.after_days) and memory.date - since >= (setting.after_days or 0.0) * DAY


def chosen(
    reading: Reading, memory: BatteryMemory, settings: LimitSettings, external: float | None, full: bool
) -> float | None:
    """The SoC [%] of one battery that rules use: a sensor's outside, the counter's where chosen, or the BMS's."""
    soc = external
    if soc is None:
        soc = memory.counted_soc if settings.soc.source == "counter" else reading.soc
    if soc is not None and settings.soc.cap_until_full and not full:
        return min(soc, CAPPED)
    return soc
