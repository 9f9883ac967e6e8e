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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter, mul
from typing import Any, Final

from gateway.model import BankState, BatteryState, External, Extreme, Health, worst
from gateway.model.records import made, replace

DEFAULT_CELLS: Final = 16  # the pack that join_voltage_difference speaks of, when the cell count is not known
DIFFERENCE: Final = 1.0  # V per 16 cells, where nothing else is configured
SUMMED: Final = attrgetter(
    "current", "power", "soc", "soh", "capacity", "remaining_capacity", "mosfet_temperature", "charge_cycles",
    "balancing", "heating", "charge_allowed", "discharge_allowed", "temperatures", "alarms",
)  # fmt: skip
NOTHING: Final[list[list[Any]]] = [[]] * 14  # the columns of no reading
NOBODY: Final[list[list[Any]]] = [[]] * 4
COMPARED: Final = attrgetter("voltage", "cells_sum", "cells")
NAME: Final = attrgetter("name")
HEALTH: Final = attrgetter("health")
TOLD: Final = attrgetter("name", "reading", "age", "shares")
OWN_EXTREMES: Final = attrgetter("lowest_cell_voltage", "highest_cell_voltage")  # as the BMS says
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
    members = fresh = counting
    if list(map(HEALTH, counting)).count(Health.ONLINE) < len(counting):
        fresh = [state for state in counting if state.health is Health.ONLINE]
        members = [state for state in counting if state.health is not Health.LOST] or counting
    names, readings, ages, shares = _columns(fresh or members, TOLD) if counting else NOBODY
    voltage = _agreed(fresh if all(shares) else [state for state in fresh if state.shares] or fresh, difference)
    (
        currents, powers, soc, soh, capacity, remaining, mosfet, cycles, balancing, heating, charge, discharge, sensors,
        alarms,
    ) = _columns(readings, SUMMED) if readings else NOTHING  # fmt: skip
    current, power = _flow(currents if fresh else [], powers if fresh else [], voltage, external)
    min_cell, max_cell = _extremes(names, [reading.cell_voltages or OWN_EXTREMES(reading) for reading in readings])
    min_temperature, max_temperature = _extremes(names, sensors)
    online = list(map(HEALTH, states)).count(Health.ONLINE)
    return made(
        BankState,
        batteries=tuple(states),
        complete=complete,
        health=Health.ONLINE if fresh else _health(counting),
        age=_least(ages if members is fresh else [state.age for state in members]),
        voltage=voltage,
        current=current,
        power=power,
        soc=_weighted(soc, capacity),
        soh=_weighted(soh, capacity),
        capacity=_total(capacity),
        remaining_capacity=_total(remaining),
        temperature=_mean(list(chain.from_iterable(sensors))),
        min_cell=min_cell,
        max_cell=max_cell,
        min_temperature=min_temperature,
        max_temperature=max_temperature,
        mosfet_temperature=_highest(mosfet),
        charge_cycles=_highest(cycles),
        balancing=_any(balancing),
        heating=_any(heating),
        external=external,
        inverter_currents=(),
        discharge_floor=None,
        alarms=worst(alarms),
        online=online,
        offline=len(states) - online,
        blocking_charge=charge.count(False),
        blocking_discharge=discharge.count(False),
    )


def join(
    states: Sequence[BatteryState], before: Standings, difference: float
) -> tuple[list[BatteryState], dict[str, Standing]]:
    """Mark who is part of the bank, and say what each battery is from now on.

    `before` is what this said last time, {} at the start.  A battery is judged when its voltage may differ from that of
    the members that answer by `difference` [V per 16 cells].  The order of states is irrelevant.
    """
    ours = [state for state in states if state.control and state.reading is not None]
    answering = list(map(HEALTH, ours)).count(Health.ONLINE)
    if answering == list(map(before.get, map(NAME, ours))).count(Standing.MEMBER) == len(ours):
        return list(states), {**before}  # as it mostly is
    judging = _Judging.of(ours, before, difference)
    standings = {state.name: judging.standing(state) for state in ours}
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
    def of(cls, ours: Sequence[BatteryState], before: Standings, difference: float) -> "_Judging":
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
    return _per_cells((state.reading.cells if state.reading is not None else None) or DEFAULT_CELLS, difference)


def _per_cells(cells: int, difference: float) -> float:
    """V, of `difference` per 16 cells."""
    return difference * cells / DEFAULT_CELLS


def _agreed(states: Sequence[BatteryState], difference: float) -> float | None:
    """Mean voltage [V] of those around the one that most agree with.  None: none is known.

    Of equals one that its cells bear out, then the lowest: a lone voltage that is absurd moves nothing.
    """
    if len(states) < 2:
        return (_volts(states[0]) or None) if states else None
    voltages, sums, cells = _columns([state.reading for state in states if state.reading], COMPARED)
    if all(voltages) and None not in sums and max(voltages) - min(voltages) <= _per_cells(min(cells), difference):
        return _mean(sorted(voltages))  # as it mostly is: each has a voltage, borne out by its cells
    known = sorted([(not _borne_out(s), volts, _allowed(s, difference)) for s in states if (volts := _volts(s))])
    everybody = [volts for _, volts, _ in known]
    if known and max(everybody) - min(everybody) <= min([allowed for _, _, allowed in known]):
        return _mean(everybody)
    commonest: list[float] = []
    for _, volts, allowed in known:
        agreeing = [other for other in everybody if abs(other - volts) <= allowed]
        commonest = max(commonest, agreeing, key=len)
    return _mean(commonest)


def _borne_out(state: BatteryState) -> bool:
    return state.reading is not None and state.reading.cells_sum is not None


def _columns(rows: Sequence[Any], of: Callable[[Any], tuple[Any, ...]]) -> list[list[Any]]:
    """Of readings or states, of which there is one at least: one list for each field of `of`."""
    return list(map(list, zip(*map(of, rows), strict=True)))


def _flow(
    currents: list[float | None], powers: list[float | None], voltage: float | None, external: External | None
) -> tuple[float | None, float | None]:
    """Current [A] and power [W]: by the external sensor while it speaks and a battery answers, else their sums."""
    if external is None or external.current is None or voltage is None:
        return _total(currents), _total(powers)
    return external.current, external.current * voltage


def _health(counting: Sequence[BatteryState]) -> Health:
    """The bank's: online while one contributing member is; lost when all that ever answered are."""
    health = [state.health for state in counting]
    for level in (Health.ONLINE, Health.STALE, Health.LOST):
        if level in health:
            return level
    return Health.STARTING


def _extremes(names: Sequence[str], lists: Sequence[Sequence[float | None]]) -> tuple[Extreme | None, Extreme | None]:
    """The lowest and the highest of all values, and where each was found; a list for each name."""
    told: Sequence[Any] = lists
    if None in chain.from_iterable(lists) or not all(lists):
        names = [name for name, listed in zip(names, lists, strict=True) if listed.count(None) < len(listed)]
        lists = [listed for listed in lists if listed.count(None) < len(listed)]
        told = [_known(listed) for listed in lists]
    if not lists:
        return None, None
    lows, highs = list(map(min, told)), list(map(max, told))
    low, high = min(lows), max(highs)
    first, last = lows.index(low), highs.index(high)
    return (
        made(Extreme, value=low, where=f"{names[first]}:{lists[first].index(low) + 1}"),
        made(Extreme, value=high, where=f"{names[last]}:{lists[last].index(high) + 1}"),
    )


def _known(values: Sequence[Any]) -> Sequence[Any]:
    return [value for value in values if value is not None] if None in values else values


def _mean(values: list[float | None] | list[float]) -> float | None:
    known = _known(values)
    return sum(known) / len(known) if known else None


def _least(values: list[float | None]) -> float | None:
    return min(_known(values), default=None)


def _highest(values: list[Any]) -> Any:
    return max(_known(values), default=None)


def _total(values: list[float | None]) -> float | None:
    """The sum; None when any is not known: a sum that lacks a member would look like the truth."""
    return None if None in values or not values else sum(values)  # type: ignore[arg-type]


def _weighted(values: list[float | None], capacities: list[float | None]) -> float | None:
    """Mean of `values`, weighted by capacity where all of those that are known know theirs."""
    if None in values:
        known = [both for both in zip(values, capacities, strict=True) if both[0] is not None]
        values, capacities = [value for value, _ in known], [capacity for _, capacity in known]
    if not all(capacities):
        return _mean(values)
    return sum(map(mul, values, capacities)) / sum(capacities) if values else None  # type: ignore[arg-type]


def _any(values: list[bool | None]) -> bool | None:
    return any(known) if (known := _known(values)) else None
