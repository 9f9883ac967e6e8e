"""Loss of a BMS: what a battery may still contribute.  Sheet: limits.md 8.2, line by line.

since the last good read   block = true           block = false, cells safe     block = false, cells not safe
< 10 s (3 polls)           last values            last values                   last values
offline                    0 A                    kept, never rising, float     as safe, until 60 s
lost (60 s)                cable alarm 2          cable alarm 1                 0 A, cable alarm 2
>= timeout                 -                      0 A, cable alarm 2            -

That is for a battery on which the bank depends.  While another one lives, the share of a silent one goes at once and
comes back with its third good read; what it was allowed goes on bounding its share, since it may still be connected.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.limits.memory import BatteryMemory, Recovery
from gateway.limits.settings import LimitSettings
from gateway.limits.spans import past
from gateway.model import BatteryState, Health, Reading
from gateway.model.records import replace

GOOD_READS: Final = 3  # consecutive ones that end a loss


@dataclass(frozen=True, slots=True)
class Loss:
    """What the silence of one battery means now."""

    offline: bool = False  # stale or lost, or not yet three good reads back
    blocked: bool = False  # contributes nothing
    cable: int = 0  # level of its cable alarm
    why: str = ""


@dataclass(frozen=True, slots=True)
class Company:
    """The other members of the bank, for one that may have fallen silent."""

    names: frozenset[str] = frozenset()
    ages: tuple[float, ...] = ()  # s since the last good read, of those that answer and have proven themselves

    def lives(self, age: float | None) -> bool:
        """Has one of them answered well after this battery, silent for `age` [s], last did?

        Else they may all be silent, and some only do not yet count as stale.
        """
        return age is not None and any(other < age / 2 for other in self.ages)


ALONE: Final = Company()
ALL_WELL: Final = Loss()
SILENT: Final = (Health.STALE, Health.LOST)


def silent(state: BatteryState) -> bool:
    """It does not answer now."""
    return state.health in SILENT


def judge(
    state: BatteryState, memory: BatteryMemory, settings: LimitSettings, company: Company = ALONE
) -> tuple[Loss, BatteryMemory]:
    """Where in the table the battery stands; its memory learns when it went and when it is back."""
    if silent(state):
        memory = memory if memory.silent else _went(state, memory, settings, company)
        if state.health is Health.LOST and (memory.back is not None or not memory.gone):
            memory = replace(memory, gone=True, back=None)
    else:
        memory = replace(memory, silent=False) if memory.silent else memory
        memory = _back(memory) if memory.lost and state.good_in_a_row >= GOOD_READS else memory
    if not memory.lost:
        return (Loss(cable=int(state.flaky and settings.on_loss.alarm)) if state.flaky else ALL_WELL), memory
    loss = _silent(state, memory, settings, company) if silent(state) else _returning(state, memory)
    if loss.blocked != memory.blocked:
        memory = replace(memory, blocked=loss.blocked)
    return loss if settings.on_loss.alarm else replace(loss, cable=0), memory


def _went(state: BatteryState, memory: BatteryMemory, settings: LimitSettings, company: Company) -> BatteryMemory:
    """It falls silent, perhaps after only one or two good reads: what it said last counts, and never for more."""
    memory = replace(memory, silent=True, safe=_safe(state, memory, settings))
    if memory.blocked:
        return memory  # what its rules would have allowed meanwhile is in `charge_before`
    reading = state.reading or Reading()
    charge, discharge = (
        _allowed(memory.charge, reading.charge_allowed),
        _allowed(memory.discharge, reading.discharge_allowed),
    )
    return replace(
        memory,
        lost=True,
        charge_before=least(memory.charge_before if memory.lost else None, charge),
        discharge_before=least(memory.discharge_before if memory.lost else None, discharge),
        company=memory.company if memory.lost else company.names,
    )


def _allowed(limit: Recovery, switch: bool | None) -> float | None:
    """A: the limit that bound the bank; of one that was left out and is only rising again, what its rules allow.

    None while its switch is open: it had no share to be bound.
    """
    if switch is False:
        return None
    return limit.target if limit.apart else limit.amps


def least(*known: float | None) -> float | None:
    """The smallest of what is known."""
    return min([value for value in known if value is not None], default=None)


def _back(memory: BatteryMemory) -> BatteryMemory:
    """It has proven itself.  After a loss another device may be there: what was seen of the old one counts no more.

    What this one has shown since it answers does, though its newest reading may lack it.
    """
    memory = replace(memory, lost=False, blocked=False, company=frozenset())
    if not memory.gone:
        return memory
    new = memory.back or BatteryMemory()
    return replace(
        memory, gone=False, back=None, seen=new.seen, cells=new.cells, sensors=new.sensors, capacity=new.capacity
    )


def _range(settings: LimitSettings) -> tuple[float, float]:
    """Cells between these [V] are safe; never wider than the battery's own range."""
    loss, cell = settings.on_loss, settings.cell_voltage
    return max(loss.cell_voltage_min, cell.min), min(loss.cell_voltage_max, cell.max)


def _safe(state: BatteryState, memory: BatteryMemory, settings: LimitSettings) -> bool:
    """Were all cells far from both ends when it was last seen?"""
    reading, (low, high) = state.reading, _range(settings)
    if reading is None or reading.min_cell is None or reading.max_cell is None:
        return False
    if None in reading.cell_voltages or (reading.cells or 0) < (memory.cells or 0):
        return False
    return reading.min_cell > low and reading.max_cell < high


def _silent(state: BatteryState, memory: BatteryMemory, settings: LimitSettings, company: Company) -> Loss:
    """By the table; what was once blocked stays so until it has proven itself."""
    loss = _by_table(state, memory, settings)
    if loss.blocked:
        return loss
    if company.lives(state.age):
        return replace(loss, blocked=True, why=f"{_said(state)}, takes no share while others answer")
    return replace(loss, blocked=True, why=f"{_said(state)}, takes no share") if memory.blocked else loss


def _said(state: BatteryState) -> str:
    return "silent" if state.age is None else f"silent for {past(state.age)}"


def _by_table(state: BatteryState, memory: BatteryMemory, settings: LimitSettings) -> Loss:
    setting, (low, high) = settings.on_loss, _range(settings)
    said, lost = _said(state), state.health is Health.LOST
    if setting.block or low >= high:
        return Loss(True, True, 2 if lost else 0, f"{said}, limits.on_loss.block is set")
    if not memory.safe:
        return Loss(True, lost, 2 if lost else 0, f"{said}, its cells were not between {low:g} and {high:g} V")
    if state.age is None or state.age >= setting.timeout_minutes * 60:
        return Loss(True, True, 2, f"{said}, longer than limits.on_loss.timeout_minutes")
    return Loss(True, False, 1 if lost else 0, f"{said}, its cells were safe: limits are kept, not raised")


def _returning(state: BatteryState, memory: BatteryMemory) -> Loss:
    """It answers again: what it had when it answered stays until it has proven itself, an alarm only if it was lost."""
    left = GOOD_READS - state.good_in_a_row
    why = f"answers again, {left} more good {'read' if left == 1 else 'reads'} wanted"
    return Loss(True, memory.blocked, int(memory.gone), why)


def company_of(state: BatteryState, members: Sequence[BatteryState], lost: Sequence[str]) -> Company:
    """For a silent one: the others of `members` that answered about as lately; those in `lost` are not yet back."""
    if not silent(state):
        return ALONE
    others = [o for o in members if o.name != state.name and o.shares and o.age is not None]
    heard = frozenset([o.name for o in others if (o.age or 0.0) <= 2 * (state.age or 0.0)])
    proven = [o for o in others if o.name not in lost or o.good_in_a_row >= GOOD_READS]
    return Company(heard, tuple([o.age for o in proven if o.health is Health.ONLINE and o.age is not None]))
