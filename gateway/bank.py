"""N batteries in parallel -> one bank.  Pure: states in, one BankState out.

Voltage is the mean of the contributing members that agree; current, power and capacities are sums; SoC and SoH are
weighted by capacity; cell and temperature extremes are taken over all, with ids "<battery>:<n>"; alarms are the highest
per name.  A member contributes when it is controlled, joined, and not lost.  Voltage, current and power are those of
members that answer now; what changes slowly (SoC, capacity, cells) falls back to the last known when nobody answers.

Who is a member is decided by voltage, but only of batteries that answer now: an old voltage says nothing.

    (new) --agrees with the members that answer, or nobody else does--> MEMBER --lost--> AWAY --answers--> judged anew
    (new) --differs--> OUT --agrees--> MEMBER
                        |---- clearly carries current --> CONNECTED --agrees--> MEMBER
                        '---- every member is merely stale --> STAND_IN --a member answers--> judged anew

While it is silent a battery stays what it was.
"""

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from gateway.model import BankState, BatteryState, External, Extreme, Health, Reading, worst
from gateway.model.records import replace

DEFAULT_CELLS: Final = 16  # the pack that join_voltage_difference speaks of, when the cell count is not known
DIFFERENCE: Final = 1.0  # V per 16 cells, where nothing else is configured
FIRST: Final = itemgetter(0)
FLOWS_FRACTION: Final = 0.02  # A per Ah of capacity; more is no offset of a sensor: the battery is connected
FLOWS_LEAST: Final = 2.0  # A, where the capacity is not known: that of 100 Ah, as small as house batteries come


class Standing(enum.Enum):
    """What a battery is to the bank; kept from one look to the next.

    member     answers, or was lately heard, and its voltage is the bank's
    away       a member that was lost: still counts, and is judged when it answers
    connected  its voltage is not the bank's, but current flows through it: its limits and alarms count, it adds nothing
    stand_in   counts likewise, for want of a member that answers
    out        kept out: its voltage is not the bank's
    """

    MEMBER = "member"
    AWAY = "away"
    CONNECTED = "connected"
    STAND_IN = "stand_in"
    OUT = "out"


Standings = Mapping[str, Standing]


def aggregate(
    states: Sequence[BatteryState],
    *,
    complete: bool,
    external: External | None = None,
    difference: float = DIFFERENCE,
) -> BankState:
    """The bank that `states` make; `complete` = every battery answered once, or the start time-out passed.

    Members whose voltages are more than `difference` [V per 16 cells] from the commonest do not move the bank's.
    """
    counting = [state for state in states if state.contributes]
    members = [state for state in counting if state.health is not Health.LOST] or counting
    fresh = [state for state in members if state.health is Health.ONLINE]
    basis = [state.reading for state in (fresh or members) if state.reading is not None]
    now = [state.reading for state in fresh if state.reading is not None]
    named = [(state.name, state.reading) for state in (fresh or members) if state.reading is not None]
    voltage = _agreed([state for state in fresh if state.shares] or fresh, difference)
    current, power = _flow(now, voltage, external)
    return BankState(
        batteries=tuple(states),
        complete=complete,
        health=_health(states),
        age=min((state.age for state in members if state.age is not None), default=None),
        voltage=voltage,
        current=current,
        power=power,
        soc=_weighted(basis, lambda reading: reading.soc),
        soh=_weighted(basis, lambda reading: reading.soh),
        capacity=_total(reading.capacity for reading in basis),
        remaining_capacity=_total(reading.remaining_capacity for reading in basis),
        temperature=_mean(value for reading in basis for value in reading.temperatures),
        min_cell=_extreme(named, _cells, min),
        max_cell=_extreme(named, _cells, max),
        min_temperature=_extreme(named, lambda reading: reading.temperatures, min),
        max_temperature=_extreme(named, lambda reading: reading.temperatures, max),
        mosfet_temperature=max((r.mosfet_temperature for r in basis if r.mosfet_temperature is not None), default=None),
        charge_cycles=max((r.charge_cycles for r in basis if r.charge_cycles is not None), default=None),
        balancing=_any(reading.balancing for reading in basis),
        heating=_any(reading.heating for reading in basis),
        external=external,
        alarms=worst(reading.alarms for reading in basis),
        online=sum(state.health is Health.ONLINE for state in states),
        offline=sum(state.health is not Health.ONLINE for state in states),
        blocking_charge=sum(reading.charge_allowed is False for reading in basis),
        blocking_discharge=sum(reading.discharge_allowed is False for reading in basis),
    )


def join(
    states: Sequence[BatteryState], before: Standings, difference: float
) -> tuple[list[BatteryState], dict[str, Standing]]:
    """Mark who is part of the bank, and say what each battery is from now on.

    `before` is what this said last time, {} at the start.  A battery is judged when its voltage may differ from that of
    the members that answer by `difference` [V per 16 cells].  The order of states is irrelevant.
    """
    judging = _Judging.of(states, before, difference)
    standings = {s.name: judging.standing(s) for s in states if s.contributes_if_joined}
    marked = [judging.marked(s, standings[s.name]) if s.name in standings else s for s in states]
    return marked, {**before, **standings}


@dataclass(frozen=True, slots=True)
class _Judging:
    """By what batteries are judged now."""

    before: Standings
    difference: float  # V per 16 cells
    reference: float | None  # V, of the members that answer; of all that answer when no member does
    led: bool  # a member answers
    orphaned: bool  # none does, but one was heard lately

    @classmethod
    def of(cls, states: Sequence[BatteryState], before: Standings, difference: float) -> "_Judging":
        ours = [s for s in states if s.contributes_if_joined]
        members = [s for s in ours if before.get(s.name) is Standing.MEMBER]
        answering = [s for s in members if s.health is Health.ONLINE]
        candidates = answering or [s for s in ours if s.health is Health.ONLINE]
        orphaned = not answering and any(s.health is Health.STALE for s in members)
        return cls(before, difference, _agreed(candidates, difference), bool(answering), orphaned)

    def standing(self, state: BatteryState) -> Standing:
        """What this battery is; one that is silent stays what it was."""
        was = self.before.get(state.name)
        if state.health is not Health.ONLINE:
            return Standing.AWAY if was is Standing.MEMBER and state.health is Health.LOST else was or Standing.MEMBER
        if was is Standing.MEMBER:
            return was
        agrees = self._agrees(state, was)
        if agrees and not self.orphaned:
            return Standing.MEMBER
        if was is Standing.CONNECTED or flows(state):
            return Standing.CONNECTED
        if agrees is None and was is not None and (self.led or was is not Standing.OUT):
            return was
        return Standing.OUT if agrees is False else Standing.STAND_IN

    def _agrees(self, state: BatteryState, was: Standing | None) -> bool | None:
        """Is its voltage the bank's?  None = one of the two is not known now."""
        volts = _volts(state)
        if volts is not None:
            allowed = _allowed(state, self.difference)
            return None if self.reference is None else abs(volts - self.reference) <= allowed
        if was is not None:
            return None
        if "voltage" in _rejected(state):
            return None if self.reference is None else False
        return True  # a BMS that does not tell its voltage is taken at its word

    def marked(self, state: BatteryState, standing: Standing) -> BatteryState:
        """`state` as this standing makes it, with a remark where that is not the usual."""
        joined, shares = standing is not Standing.OUT, standing in (Standing.MEMBER, Standing.AWAY)
        if shares:
            return state
        remark = "; ".join(filter(None, (self._remark(state, standing), state.remark)))
        return replace(state, joined=joined, shares=False, remark=remark)

    def _remark(self, state: BatteryState, standing: Standing) -> str:
        if standing is Standing.STAND_IN:
            return "counts while no member of the bank answers, but adds nothing"
        what = "counts as connected, but adds nothing" if standing is Standing.CONNECTED else "kept out of the bank"
        if state.health is not Health.ONLINE:
            return f"{what} since it last answered"
        return f"{what}: {self._why(state)}{_flow_words(state) if standing is Standing.CONNECTED else ''}"

    def _why(self, state: BatteryState) -> str:
        volts = _volts(state)
        if volts is None or self.reference is None:
            return "it gives no usable voltage"
        allowed = _allowed(state, self.difference)
        return f"{volts:.2f} V differs from the bank's {self.reference:.2f} V by more than {allowed:.2f} V"


def flows(state: BatteryState) -> bool:
    """Does so much current flow through this battery that it must be connected?"""
    current = state.reading.current if state.reading is not None else None
    if current is None:
        return False
    capacity = state.reading.capacity if state.reading is not None else None
    return abs(current) > (FLOWS_FRACTION * capacity if capacity else FLOWS_LEAST)


def _flow_words(state: BatteryState) -> str:
    current = state.reading.current if state.reading is not None else None
    return "" if current is None else f", {current:.1f} A flow"


def _volts(state: BatteryState) -> float | None:
    """Of the pack [V], or what its cells add up to."""
    if state.reading is None:
        return None
    return state.reading.cells_sum if state.reading.voltage is None else state.reading.voltage


def _rejected(state: BatteryState) -> Mapping[str, str]:
    return state.reading.rejected if state.reading is not None else {}


def _allowed(state: BatteryState, difference: float) -> float:
    cells = (state.reading.cells if state.reading is not None else None) or DEFAULT_CELLS
    return difference * cells / DEFAULT_CELLS


def _agreed(states: Sequence[BatteryState], difference: float) -> float | None:
    """Mean voltage [V] of those around the one that most agree with.  None: none is known.

    Of equals one that its cells bear out, then the lowest: a lone voltage that is absurd moves nothing.
    """
    known = sorted((not _borne_out(s), volts, _allowed(s, difference)) for s in states if (volts := _volts(s)))
    commonest: list[float] = []
    for _, volts, allowed in known:
        agreeing = [other for _, other, _ in known if abs(other - volts) <= allowed]
        commonest = max(commonest, agreeing, key=len)
    return _mean(commonest)


def _borne_out(state: BatteryState) -> bool:
    return state.reading is not None and state.reading.cells_sum is not None


def _flow(
    now: Sequence[Reading], voltage: float | None, external: External | None
) -> tuple[float | None, float | None]:
    """Current [A] and power [W]: by the external sensor while it speaks and a battery answers, else their sums."""
    if external is None or external.current is None or voltage is None:
        return _total(reading.current for reading in now), _total(reading.power for reading in now)
    return external.current, external.current * voltage


def _health(states: Sequence[BatteryState]) -> Health:
    """The bank's: online while one contributing member is; lost when all that ever answered are."""
    health = {state.health for state in states if state.contributes}
    for level in (Health.ONLINE, Health.STALE, Health.LOST):
        if level in health:
            return level
    return Health.STARTING


def _cells(reading: Reading) -> Sequence[float | None]:
    """Single cells, else the BMS's own extremes."""
    return reading.cell_voltages or (reading.lowest_cell_voltage, reading.highest_cell_voltage)


def _extreme(
    named: Sequence[tuple[str, Reading]],
    values: Callable[[Reading], Sequence[float | None]],
    choose: Callable[..., Any],
) -> Extreme | None:
    """The highest or lowest of all values, and where it was found."""
    found: list[tuple[float, str, int]] = []
    for name, reading in named:
        listed = values(reading)
        known = [value for value in listed if value is not None]
        if known:
            value = choose(known)
            found.append((value, name, listed.index(value) + 1))
    if not found:
        return None
    value, name, number = choose(found, key=FIRST)
    return Extreme(value, f"{name}:{number}")


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _total(values: Iterable[float | None]) -> float | None:
    """The sum; None when any is not known: a sum that lacks a member would look like the truth."""
    all_values = list(values)
    known = [value for value in all_values if value is not None]
    return sum(known) if known and len(known) == len(all_values) else None


def _weighted(readings: Sequence[Reading], value: Callable[[Reading], float | None]) -> float | None:
    """Mean of `value`, weighted by capacity where all know theirs."""
    known = [(value(reading), reading.capacity) for reading in readings if value(reading) is not None]
    if not known:
        return None
    if any(not capacity for _, capacity in known):
        return _mean(v for v, _ in known)
    weight = sum(capacity or 0.0 for _, capacity in known)
    return sum((v or 0.0) * (capacity or 0.0) for v, capacity in known) / weight


def _any(values: Iterable[bool | None]) -> bool | None:
    known = [value for value in values if value is not None]
    return any(known) if known else None
