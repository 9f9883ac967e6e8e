"""Loss of a BMS: what a battery may still contribute.  Sheet: limits.md 8.2, line by line.

since the last good read   block = true           block = false, cells safe     block = false, cells not safe
< 10 s (3 polls)           last values            last values                   last values
offline                    0 A                    kept, never rising, float     as safe, until 60 s
>= 60 s                    cable alarm 2          cable alarm 1                 0 A, cable alarm 2
>= timeout                 -                      0 A, cable alarm 2            -
"""

from dataclasses import dataclass, replace
from typing import Final

from gateway.limits.memory import BatteryMemory
from gateway.limits.settings import LimitSettings
from gateway.model import BatteryState, Health

LOST: Final = 60.0  # s
GOOD_READS: Final = 3  # consecutive ones that end a loss


@dataclass(frozen=True, slots=True)
class Loss:
    """What the silence of one battery means now."""

    offline: bool = False  # stale or lost, or not yet three good reads back
    blocked: bool = False  # contributes nothing
    cable: int = 0  # level of its cable alarm
    why: str = ""
    gone: bool = False  # for so long that what it last allowed is no longer asked for


ALL_WELL: Final = Loss()


def judge(state: BatteryState, memory: BatteryMemory, settings: LimitSettings) -> tuple[Loss, BatteryMemory]:
    """Where in the table the battery stands; its memory learns when it went and when it is back."""
    silent = state.health in (Health.STALE, Health.LOST)
    if silent and not memory.lost:
        memory = replace(
            memory,
            lost=True,
            safe=_safe(state, settings),
            charge_before=memory.charge.target,
            discharge_before=memory.discharge.target,
        )
    elif memory.lost and not silent and state.good_in_a_row >= GOOD_READS:
        memory = replace(memory, lost=False, blocked=False)
    if not memory.lost:
        return (Loss(cable=int(state.flaky and settings.on_loss.alarm)) if state.flaky else ALL_WELL), memory
    loss = _silent(state, memory, settings) if silent else _returning(state, memory)
    if loss.blocked != memory.blocked:
        memory = replace(memory, blocked=loss.blocked)
    return loss if settings.on_loss.alarm else replace(loss, cable=0), memory


def _range(settings: LimitSettings) -> tuple[float, float]:
    """Cells between these [V] are safe; never wider than the battery's own range."""
    loss, cell = settings.on_loss, settings.cell_voltage
    return max(loss.cell_voltage_min, cell.min), min(loss.cell_voltage_max, cell.max)


def _safe(state: BatteryState, settings: LimitSettings) -> bool:
    """Were all cells far from both ends when it was last seen?"""
    reading, (least, most) = state.reading, _range(settings)
    if reading is None or None in reading.cell_voltages or reading.min_cell is None or reading.max_cell is None:
        return False
    return reading.min_cell > least and reading.max_cell < most


def _silent(state: BatteryState, memory: BatteryMemory, settings: LimitSettings) -> Loss:
    setting, (least, most) = settings.on_loss, _range(settings)
    age = state.age if state.age is not None else LOST
    timeout = setting.timeout_minutes * 60
    said, gone = f"silent for {age:.0f} s", age >= timeout
    if setting.block or least >= most:
        return Loss(True, True, 2 if age >= LOST else 0, f"{said}, limits.on_loss.block is set", gone)
    if not memory.safe:
        why = f"{said}, its cells were not between {least:g} and {most:g} V"
        return Loss(True, age >= LOST, 2 if age >= LOST else 0, why, gone)
    if gone:
        return Loss(True, True, 2, f"{said}, longer than limits.on_loss.timeout_minutes", gone)
    return Loss(True, False, 1 if age >= LOST else 0, f"{said}, its cells were safe: limits are kept, not raised")


def _returning(state: BatteryState, memory: BatteryMemory) -> Loss:
    """It answers again: what it had when it answered stays until it has proven itself."""
    left = GOOD_READS - state.good_in_a_row
    return Loss(True, memory.blocked, 1, f"answers again, {left} more good {'read' if left == 1 else 'reads'} wanted")
