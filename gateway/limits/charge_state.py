"""The charge state machine, once for the whole bank.  Sheet: limits.md 3.2, 3.6, 3.7.

            A1 full and balanced               B2 time over
    +------+ ------------------> +------------+ -----------> +------------------+  ramp done   +-------+
    | bulk |                     | absorption |              | float transition | -----------> | float |
    +------+ <------------------ +------------+ <-+          +------------------+              +-------+
       ^       B3 voltage fell          |_________|                   |                            |
       |                          B1 out of balance                   |                            |
       +-------------------------- A2 re-bulk -------------------------+----------------------------+

Only one of the A and B rules looks at an evaluation, in the order of TRANSITIONS; then the mode follows.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from gateway.limits.memory import DAY, Memory, Voltage
from gateway.limits.settings import LimitSettings

SAME: Final = 0.001  # V per pack; voltages closer than this are equal (Q3, Q8)
EPS: Final = 1e-6  # V; rounding of single cells
SETTLED_CELL: Final = 3.30  # V, Q9: below this the battery is surely no longer full
BULK, ABSORPTION, TRANSITION, FLOAT, FIXED, ERROR = (
    "bulk", "absorption", "float_transition", "float", "fixed", "error",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Facts:
    """What the machine looks at: the bank's worst and best, each None when not known."""

    cells_sum: float  # V, mean over the packs of the sum of their cells
    difference: float  # V, highest minus lowest cell of the worst pack
    max_cell: float  # V
    soc: float  # %
    current: float | None  # A
    u_max: float  # V
    u_float: float  # V


@dataclass(frozen=True, slots=True)
class Moment:
    """Everything a guard may ask."""

    facts: Facts
    memory: Memory
    settings: LimitSettings
    now: float
    wall: float

    @property
    def absorbed(self) -> float:
        """s since absorption began, or began anew."""
        return 0.0 if self.memory.absorbing_since is None else self.now - self.memory.absorbing_since

    @property
    def balanced(self) -> bool:
        """Cells close enough together to begin absorption."""
        least = self.settings.absorption.cell_difference
        return least is None or self.facts.difference <= least + EPS


def begins(m: Moment) -> bool:
    """A1: at maximum voltage and balanced."""
    return m.memory.allow_max and m.facts.cells_sum >= m.facts.u_max - SAME and m.balanced


def rebulks(m: Moment) -> bool:
    """A2: in float, and the battery is no longer full, out of balance, or a SoC reset is due."""
    rebulk, memory = m.settings.rebulk, m.memory
    apart = memory.rebulk_since is not None and m.now - memory.rebulk_since >= rebulk.debounce
    low_soc = bool(rebulk.soc) and m.facts.soc < (rebulk.soc or 0.0) and not memory.soc_unsettled
    low_cell = rebulk.cell_voltage is not None and m.facts.max_cell <= rebulk.cell_voltage
    old = bool(rebulk.days) and memory.last_full > 0 and m.wall - memory.last_full > (rebulk.days or 0.0) * DAY
    return not memory.allow_max and (low_soc or apart or low_cell or old or memory.reset_requested)


def unbalances(m: Moment) -> bool:
    """B1: cells drifted apart; the time begins anew."""
    least = m.settings.absorption.cell_difference
    return least is not None and m.facts.difference > least + m.settings.absorption.cell_difference_deviation + EPS


def ends(m: Moment) -> bool:
    """B2: absorbed long enough (strictly more), and the tail current is small enough where that is asked for."""
    absorption, first = m.settings.absorption, m.memory.absorbing_first
    if absorption.max_time is not None and first is not None and m.now - first > absorption.max_time:
        return True
    tail = absorption.tail_current
    tailed = tail is None or (m.facts.current is not None and m.facts.current <= tail)
    return m.absorbed > absorption.time and tailed


def falls(m: Moment) -> bool:
    """B3: the voltage fell away; back to bulk.  The distance is for the pack, whatever its cells."""
    return m.facts.cells_sum < m.facts.u_max - m.settings.absorption.abort_below


def _absorb(m: Moment) -> Memory:
    first = m.now if m.memory.absorbing_first is None else m.memory.absorbing_first
    return replace(m.memory, absorbing_since=m.now, absorbing_first=first)


def _restart(m: Moment) -> Memory:
    return replace(m.memory, absorbing_since=m.now)


def _to_float(m: Moment) -> Memory:
    return replace(m.memory, allow_max=False, absorbing_since=None, absorbing_first=None)


def _to_bulk(m: Moment) -> Memory:
    return replace(m.memory, allow_max=True, absorbing_since=None, absorbing_first=None, soc_unsettled=False)


# rule, whether absorption must be under way, guard, action, goes on to the next rule?
Transition = tuple[str, bool, Callable[[Moment], bool], Callable[[Moment], Memory], bool]
TRANSITIONS: Final[tuple[Transition, ...]] = (
    ("A1", False, begins, _absorb, False),
    ("A2", False, rebulks, _to_bulk, False),
    ("B1", True, unbalances, _restart, True),
    ("B2", True, ends, _to_float, True),
    ("B3", True, falls, lambda m: replace(m.memory, absorbing_since=None, absorbing_first=None), False),
)


def step(moment: Moment) -> Memory:
    """Memory after the transitions of one evaluation."""
    moment = replace(moment, memory=_timers(moment))
    absorbing = moment.memory.absorbing_since is not None
    for _, wants_absorption, guard, action, goes_on in TRANSITIONS:
        if wants_absorption is absorbing and guard(moment):
            moment = replace(moment, memory=action(moment))
            if not goes_on:
                break
    return moment.memory


def _timers(m: Moment) -> Memory:
    """Dwell timers: each ends the moment its condition does."""
    apart_from = m.settings.rebulk.cell_difference
    apart = apart_from is not None and m.facts.difference >= apart_from - EPS
    since = (m.now if m.memory.rebulk_since is None else m.memory.rebulk_since) if apart else None
    settled = m.facts.soc >= (m.settings.rebulk.soc or 0.0) or m.facts.max_cell < SETTLED_CELL
    unsettled = m.memory.soc_unsettled and not settled
    if since == m.memory.rebulk_since and unsettled == m.memory.soc_unsettled:
        return m.memory
    return replace(m.memory, rebulk_since=since, soc_unsettled=unsettled)


def due(memory: Memory, settings: LimitSettings, wall: float) -> Memory:
    """Ask for the periodic higher voltage when its days are over (3.7); never reached counts as over."""
    days = settings.soc_reset.after_days
    if not days:
        return replace(memory, reset_requested=False) if memory.reset_requested else memory
    if memory.reset_requested or (memory.reset_reached and wall - memory.reset_reached <= days * DAY):
        return memory
    return replace(memory, reset_requested=True)


def enter_float(memory: Memory, facts: Facts, settings: LimitSettings, now: float, wall: float) -> tuple[Memory, bool]:
    """The first evaluation in float: True when it ends a charge of this run (the full event, 3.6)."""
    full = memory.phase in (BULK, ABSORPTION)
    if not full:
        return replace(memory, phase=FLOAT, transition_from=facts.u_float, transition_at=now), False
    volts = memory.voltage.volts if memory.voltage.volts is not None else facts.u_max
    own_counter = settings.soc.source == "counter"
    return replace(
        memory,
        phase=TRANSITION,
        transition_from=volts,
        transition_at=now,
        full_events=memory.full_events + 1,
        last_full=wall,
        reset_reached=wall if memory.reset_requested else memory.reset_reached,
        reset_requested=False,
        soc_unsettled=not own_counter and bool(settings.rebulk.soc) and facts.soc <= (settings.rebulk.soc or 0.0),
        voltage=Voltage(),
    ), True


def descend(memory: Memory, facts: Facts, settings: LimitSettings, now: float) -> tuple[Memory, float]:
    """The control voltage in float: down the ramp to the float voltage."""
    ramp = memory.transition_from - settings.float_transition.rate * (now - memory.transition_at)
    volts = max(facts.u_float, ramp) if memory.phase == TRANSITION else facts.u_float
    if memory.phase == TRANSITION and volts <= facts.u_float:
        memory = replace(memory, phase=FLOAT)
    return memory, volts


def waiting(m: Moment) -> tuple[str, ...]:
    """What the machine waits for, in numbers."""
    facts, memory, settings = m.facts, m.memory, m.settings
    millivolts = facts.difference * 1000
    if memory.phase == BULK:
        return (f"absorption: {facts.cells_sum:.2f} V, needs {facts.u_max:.2f} V", *_balance(millivolts, settings))
    if memory.phase == ABSORPTION:
        left = max(0.0, settings.absorption.time - m.absorbed)
        tail = settings.absorption.tail_current
        wants = () if tail is None or facts.current is None else (f"tail: {facts.current:.1f} A, needs <= {tail:g} A",)
        limit = (settings.absorption.cell_difference or 0.0) + settings.absorption.cell_difference_deviation
        keep = f"difference {millivolts:.0f} mV, restarts above {limit * 1000:.0f} mV"
        return (f"float: {left:.0f} s of absorption left, {keep}", *wants)
    if memory.phase == TRANSITION:
        return (f"float: coming down to {facts.u_float:.2f} V by {settings.float_transition.rate * 1000:g} mV/s",)
    if memory.phase == FLOAT:
        soc, apart = settings.rebulk.soc, settings.rebulk.cell_difference
        parts = [f"SoC {facts.soc:.1f} %, needs < {soc:g} %"] if soc else []
        parts += [f"cell difference {millivolts:.0f} mV, needs >= {apart * 1000:.0f} mV"] if apart else []
        return (f"bulk: {' or '.join(parts) or 'nothing brings it back'}",)
    return ()


def _balance(millivolts: float, settings: LimitSettings) -> tuple[str, ...]:
    least = settings.absorption.cell_difference
    if least is None or millivolts <= least * 1000 + EPS:
        return ()
    return (f"absorption: cell difference {millivolts:.0f} mV, needs <= {least * 1000:.0f} mV",)
