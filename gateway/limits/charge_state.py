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

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from gateway.limits.memory import DAY, LONG_AGO, Memory, Voltage
from gateway.limits.settings import LimitSettings
from gateway.limits.spans import left
from gateway.model.records import replace

SAME: Final = 0.001  # V per pack; voltages closer than this are equal (Q3, Q8)
EPS: Final = 1e-6  # V; rounding of single cells
SETTLED_CELL: Final = 3.30  # V, Q9: below this the battery is surely no longer full
UNWATCHED: Final = 60.0  # s between two looks from which on nobody was there
BULK, ABSORPTION, TRANSITION, FLOAT, FIXED, ERROR = (
    "bulk", "absorption", "float_transition", "float", "fixed", "error",
)  # fmt: skip


class Facts(NamedTuple):
    """What the machine looks at: the bank's worst and best, each None when not known."""

    cells_sum: float  # V, mean over the packs of the sum of their cells
    difference: float  # V, highest minus lowest cell of the worst pack
    max_cell: float  # V
    soc: float  # %
    current: float | None  # A
    u_max: float  # V
    u_float: float  # V
    cells: int  # in series


class Moment(NamedTuple):
    """Everything a guard may ask."""

    facts: Facts
    memory: Memory
    settings: LimitSettings
    now: float

    def remembering(self, memory: Memory) -> "Moment":
        """The same with another memory."""
        if memory is self.memory:
            return self
        return Moment(self.facts, memory, self.settings, self.now)

    @property
    def absorbed(self) -> float:
        """s since absorption began, or began anew."""
        return 0.0 if self.memory.absorbing_since is None else self.now - self.memory.absorbing_since

    @property
    def allowed(self) -> float:
        """V that the pack may have: the maximum, or what a single high cell leaves of it.

        The latter only with a maximum time, which ends that at last, and only while the cells are near enough to each
        other, and high enough, for a float that lasts; else such a pack would count as full that is not.
        """
        facts, apart, voltage = self.facts, self.settings.rebulk.cell_difference, self.memory.voltage
        if voltage.limited_at is None or voltage.volts is None:
            return facts.u_max
        lasting = apart is None or facts.difference < apart - EPS
        if self.settings.absorption.max_time is None or not lasting:
            return facts.u_max
        return min(facts.u_max, max(voltage.volts, facts.u_float))

    @property
    def needed(self) -> float:
        """V of the pack from which on it counts as reached (Q8: never an exact comparison)."""
        return self.allowed - self.settings.absorption.tolerance(self.facts.cells)

    @property
    def reached(self) -> bool:
        """At the voltage that is allowed."""
        return self.facts.cells_sum >= self.needed - EPS

    @property
    def abort(self) -> float:
        """V of the pack below that, from which on it counts as left."""
        return self.settings.absorption.abort(self.facts.cells)

    @property
    def fallen(self) -> bool:
        """Clearly below it."""
        return self.facts.cells_sum < self.allowed - self.abort

    @property
    def balanced(self) -> bool:
        """Cells close enough together to begin absorption."""
        least = self.settings.absorption.cell_difference
        return least is None or self.facts.difference <= least + EPS


def begins(m: Moment) -> bool:
    """A1: at maximum voltage and balanced; with a maximum time also out of balance, since it ends at last (3.2)."""
    return m.memory.allow_max and m.reached and (m.balanced or m.settings.absorption.max_time is not None)


def rebulks(m: Moment) -> bool:
    """A2: in float, and the battery is no longer full, out of balance, or a SoC reset is due.

    Cells that a full charge left apart are no reason for another one: only those that came together and drifted apart.
    """
    rebulk, memory = m.settings.rebulk, m.memory
    if memory.allow_max:
        return False
    apart = memory.rebulk_since is not None and m.now - memory.rebulk_since >= rebulk.debounce
    low_soc = bool(rebulk.soc) and m.facts.soc < (rebulk.soc or 0.0) and not memory.soc_unsettled
    low_cell = rebulk.cell_voltage is not None and m.facts.max_cell <= rebulk.cell_voltage
    old = bool(rebulk.days) and memory.last_full > 0 and memory.date - memory.last_full > (rebulk.days or 0.0) * DAY
    return low_soc or apart or low_cell or old or memory.reset_requested


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
    """B3: the voltage fell away, and not only for a moment; back to bulk."""
    since = m.memory.fallen_since
    return since is not None and m.now - since >= m.settings.absorption.abort_after


def _absorb(m: Moment) -> Memory:
    return replace(m.memory, absorbing_since=m.now, absorbing_first=m.now)


def _restart(m: Moment) -> Memory:
    return replace(m.memory, absorbing_since=m.now)


def _no_absorption(memory: Memory) -> Memory:
    return replace(memory, absorbing_since=None, absorbing_first=None, fallen_since=None)


def _to_float(m: Moment) -> Memory:
    return replace(_no_absorption(m.memory), allow_max=False)


def _to_bulk(m: Moment) -> Memory:
    return replace(_no_absorption(m.memory), allow_max=True, soc_unsettled=False)


def _abort(m: Moment) -> Memory:
    return _no_absorption(m.memory)


# rule, guard, action, goes on to the next rule?
Transition = tuple[str, Callable[[Moment], bool], Callable[[Moment], Memory], bool]
TRANSITIONS: Final[Mapping[bool, tuple[Transition, ...]]] = {  # by whether absorption is under way
    False: (("A1", begins, _absorb, False), ("A2", rebulks, _to_bulk, False)),
    True: (("B1", unbalances, _restart, True), ("B2", ends, _to_float, True), ("B3", falls, _abort, False)),
}


def step(moment: Moment) -> Memory:
    """Memory after the transitions of one evaluation."""
    moment = moment.remembering(_timers(moment))
    absorbing = moment.memory.absorbing_since is not None
    for _, guard, action, goes_on in TRANSITIONS[absorbing]:
        if guard(moment):
            moment = moment.remembering(action(moment))
            if not goes_on:
                break
    return moment.memory


def _timers(m: Moment) -> Memory:
    """Dwell timers: each ends the moment its condition does; absorption pauses while the voltage is not there."""
    memory, apart_from = m.memory, m.settings.rebulk.cell_difference
    if memory.fallen_since not in (None, LONG_AGO):
        memory = _paused(memory, m.now - memory.now)
        m = m.remembering(memory)
    fallen = memory.absorbing_since is not None and m.fallen
    apart = apart_from is not None and m.facts.difference >= apart_from - EPS
    together = not memory.allow_max and (memory.together or not apart)
    fallen_since = _since(memory.fallen_since, m.now) if fallen else None
    rebulk_since = _since(memory.rebulk_since, m.now) if apart and together else None
    unsettled = memory.soc_unsettled and not _settled(m)
    timers = (fallen_since, rebulk_since, together, unsettled)
    if timers == (memory.fallen_since, memory.rebulk_since, memory.together, memory.soc_unsettled):
        return memory
    return replace(
        memory, fallen_since=fallen_since, rebulk_since=rebulk_since, together=together, soc_unsettled=unsettled
    )


def _settled(m: Moment) -> bool:
    """The SoC makes sense again, or the battery is surely no longer full (Q9)."""
    return m.facts.soc >= (m.settings.rebulk.soc or 0.0) or m.facts.max_cell < SETTLED_CELL


def _since(before: float | None, now: float) -> float:
    return now if before is None else before


def unwatched(memory: Memory, now: float) -> Memory:
    """After a pause in which nobody looked (a process that was stopped): that time does not count as absorption,
    which goes on only if the voltage is still there."""
    seconds = now - memory.now
    if seconds <= UNWATCHED:
        return memory
    return replace(blind(memory, seconds), fallen_since=LONG_AGO)


def blind(memory: Memory, seconds: float) -> Memory:
    """While nobody can look at the cells no dwell timer runs: absorption pauses, a debounce begins anew."""
    if memory.rebulk_since is not None:
        memory = replace(memory, rebulk_since=None)
    return _paused(memory, seconds)


def _paused(memory: Memory, seconds: float) -> Memory:
    """Absorption, if it is under way, as if these `seconds` had not been."""
    if memory.absorbing_since is None:
        return memory
    first = None if memory.absorbing_first is None else memory.absorbing_first + seconds
    return replace(memory, absorbing_since=memory.absorbing_since + seconds, absorbing_first=first)


def due(memory: Memory, settings: LimitSettings) -> Memory:
    """Ask for the periodic higher voltage when its days are over (3.7); never reached counts as over."""
    if not memory.first_start:
        memory = replace(memory, first_start=memory.date)
    days = settings.soc_reset.after_days
    if not days or not settings.charge_voltage.enabled:
        return replace(memory, reset_requested=False) if memory.reset_requested else memory
    if memory.reset_requested:
        return memory
    at_once = not memory.reset_reached and settings.soc_reset.at_first_start
    since = memory.reset_reached or memory.first_start
    if not at_once and memory.date - since <= days * DAY:
        return memory
    return replace(memory, reset_requested=True, voltage=Voltage())  # another limit of cells: nothing held it back yet


def enter_float(memory: Memory, facts: Facts, settings: LimitSettings, now: float) -> Memory:
    """The end of a charge of this run: the full event (3.6), and the way down to float begins."""
    own_counter = settings.soc.source == "counter"
    low = bool(settings.rebulk.soc) and facts.soc <= (settings.rebulk.soc or 0.0)
    return replace(
        memory,
        phase=TRANSITION,
        transition_from=facts.u_max if memory.voltage.volts is None else memory.voltage.volts,
        transition_at=now,
        full_events=memory.full_events + 1,
        last_full=memory.date,
        reset_reached=memory.date if memory.reset_requested else memory.reset_reached,
        reset_requested=False,
        soc_unsettled=low and not own_counter,
    )


def descend(memory: Memory, facts: Facts, settings: LimitSettings, now: float) -> tuple[Memory, float]:
    """The control voltage in float: down the ramp to the float voltage."""
    ramp = memory.transition_from - settings.float_transition.rate * (now - memory.transition_at)
    volts = max(facts.u_float, ramp) if memory.phase == TRANSITION else facts.u_float
    if memory.phase == TRANSITION and volts <= facts.u_float:
        memory = replace(memory, phase=FLOAT)
    return memory, volts


def waiting(m: Moment) -> tuple[str, ...]:
    """What the machine waits for, in numbers."""
    words = {BULK: _bulk_waits, ABSORPTION: _absorption_waits, TRANSITION: _transition_waits, FLOAT: _float_waits}
    found = words.get(m.memory.phase)
    return found(m) if found else ()


def _bulk_waits(m: Moment) -> tuple[str, ...]:
    facts, least = m.facts, m.settings.absorption.cell_difference
    lines = []
    needed = m.needed
    if facts.cells_sum < needed - EPS:
        lines.append(f"absorption: {facts.cells_sum:.3f} V, needs {needed:.3f} V{_forbidden(m, needed)}")
    if not m.balanced and least is not None:
        apart = f"{facts.difference * 1000:.0f} mV, needs <= {least * 1000:.0f} mV"
        lines.append(f"absorption: cell difference {apart}")
    return tuple(lines)


def _forbidden(m: Moment, needed: float) -> str:
    """That we ourselves do not allow the `needed` voltage, where that is so."""
    volts = m.memory.voltage.volts
    if volts is None or volts >= needed - EPS:
        return ""
    return f", but a high cell holds our own charge voltage at {volts:.2f} V"


def _absorption_waits(m: Moment) -> tuple[str, ...]:
    facts, setting = m.facts, m.settings.absorption
    if m.fallen:
        return (f"float: {facts.cells_sum:.3f} V, absorption pauses below {m.allowed - m.abort:.3f} V",)
    told = f"float: {left(setting.time - m.absorbed)} of absorption left"
    if setting.max_time is not None and m.memory.absorbing_first is not None:
        told += f", at most {left(setting.max_time - (m.now - m.memory.absorbing_first))}"
    if setting.cell_difference is not None:
        limit = setting.cell_difference + setting.cell_difference_deviation
        told += f", cell difference {facts.difference * 1000:.0f} mV, restarts above {limit * 1000:.0f} mV"
    if setting.tail_current is None:
        return (told,)
    flow = "current not known" if facts.current is None else f"{facts.current:.1f} A"
    return told, f"float: {flow}, needs <= {setting.tail_current:g} A"


def _transition_waits(m: Moment) -> tuple[str, ...]:
    rate = m.settings.float_transition.rate * 1000
    return (f"float: coming down to {m.facts.u_float:.2f} V by {rate:g} mV/s",)


def _float_waits(m: Moment) -> tuple[str, ...]:
    facts, rebulk = m.facts, m.settings.rebulk
    if m.memory.soc_unsettled:
        unsettled = f"SoC {facts.soc:.1f} % cannot be right after a full charge; SoC >= {rebulk.soc:g} %"
        return (f"bulk: {unsettled} or highest cell < {SETTLED_CELL:.2f} V once",)
    parts = [f"SoC {facts.soc:.1f} %, needs < {rebulk.soc:g} %"] if rebulk.soc else []
    if rebulk.cell_difference is not None:
        apart, needs = f"cell difference {facts.difference * 1000:.0f} mV", f"{rebulk.cell_difference * 1000:.0f} mV"
        parts.append(f"{apart}, needs {'' if m.memory.together else f'once < {needs} and then '}>= {needs}")
    if rebulk.cell_voltage is not None:
        parts.append(f"highest cell {facts.max_cell:.3f} V, needs <= {rebulk.cell_voltage:.3f} V")
    if rebulk.days and m.memory.last_full:
        days = rebulk.days - (m.memory.date - m.memory.last_full) / DAY
        parts.append(f"{days:.1f} days to the next full charge")
    return (f"bulk: {' or '.join(parts) or 'nothing brings it back'}",)
