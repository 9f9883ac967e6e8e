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
from gateway.limits.settings import OnLoss
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


def judge(state: BatteryState, memory: BatteryMemory, setting: OnLoss) -> tuple[Loss, BatteryMemory]:
    """Where in the table the battery stands; its memory learns when it went and when it is back."""
    silent = state.health in (Health.STALE, Health.LOST)
    if silent and not memory.lost:
        memory = replace(
            memory,
            lost=True,
            safe=_safe(state, setting),
            charge_before=memory.charge.amps,
            discharge_before=memory.discharge.amps,
        )
    elif memory.lost and not silent and state.good_in_a_row >= GOOD_READS:
        memory = replace(memory, lost=False)
    if not memory.lost:
        return Loss(cable=1 if state.flaky and setting.alarm else 0), memory
    loss = _returning(state, memory, setting) if not silent else _silent(state, memory, setting)
    return loss if setting.alarm else replace(loss, cable=0), memory


def _safe(state: BatteryState, setting: OnLoss) -> bool:
    """Were all cells far from both ends when it was last seen?"""
    reading = state.reading
    if reading is None or None in reading.cell_voltages or reading.min_cell is None or reading.max_cell is None:
        return False
    return reading.min_cell > setting.cell_voltage_min and reading.max_cell < setting.cell_voltage_max


def _silent(state: BatteryState, memory: BatteryMemory, setting: OnLoss) -> Loss:
    age = state.age if state.age is not None else LOST
    said = f"silent for {age:.0f} s"
    if setting.block or (setting.cell_voltage_min >= setting.cell_voltage_max):
        return Loss(True, True, 2 if age >= LOST else 0, f"{said}, limits.on_loss.block is set")
    if not memory.safe:
        return Loss(True, age >= LOST, 2 if age >= LOST else 0, f"{said}, its cells were not in the safe range")
    if age >= setting.timeout_minutes * 60:
        return Loss(True, True, 2, f"{said}, longer than limits.on_loss.timeout_minutes")
    return Loss(True, False, 1 if age >= LOST else 0, f"{said}, its cells were safe: limits are kept, not raised")


def _returning(state: BatteryState, memory: BatteryMemory, setting: OnLoss) -> Loss:
    """It answers again: what it had when it answered stays until it has proven itself."""
    was_blocked = memory.charge.amps == 0 and memory.discharge.amps == 0
    left = GOOD_READS - state.good_in_a_row
    return Loss(True, was_blocked, 1, f"answers again, {left} more good reads wanted")
