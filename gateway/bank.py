"""N batteries in parallel -> one bank.  Pure: states in, one BankState out.

Voltage is the mean of the contributing members; current, power and capacities are sums; SoC and SoH are weighted by
capacity; cell and temperature extremes are taken over all, with ids "<battery>:<n>"; alarms are the highest per name.
A member contributes when it is controlled, joined, and not lost.  Voltage, current and power are those of members that
answer now; what changes slowly (SoC, capacity, cells) falls back to the last known when nobody answers.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from gateway.model import BankState, BatteryState, External, Extreme, Health, Reading, worst

DEFAULT_CELLS = 16  # the pack that join_voltage_difference speaks of, when the cell count is not known


def aggregate(states: Sequence[BatteryState], *, complete: bool, external: External | None = None) -> BankState:
    """The bank that `states` make; `complete` = every battery answered once, or the start time-out passed."""
    counting = [state for state in states if state.contributes]
    members = [state for state in counting if state.health is not Health.LOST] or counting
    fresh = [state for state in members if state.health is Health.ONLINE]
    basis = [state.reading for state in (fresh or members) if state.reading is not None]
    now = [state.reading for state in fresh if state.reading is not None]
    named = [(state.name, state.reading) for state in (fresh or members) if state.reading is not None]
    voltage = _mean(reading.voltage for reading in now)
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


def join(states: Sequence[BatteryState], joined: frozenset[str], difference: float) -> list[BatteryState]:
    """Mark who is part of the bank.

    Members of `joined` that are not lost stay.  A battery that is new or comes back joins when its voltage is within
    `difference` [V per 16 cells] of the bank's; otherwise it stays out and says so.  The order of states is irrelevant.
    """
    staying = [s for s in states if s.name in joined and s.contributes_if_joined and s.health is not Health.LOST]
    reference = _mean(s.reading.voltage for s in staying if s.reading is not None)
    if reference is None:
        reference = _commonest([s for s in states if s.contributes_if_joined], difference)
    kept = {s.name for s in staying}
    return [s if s.name in kept else _admit(s, reference, difference) for s in states]


def _admit(state: BatteryState, reference: float | None, difference: float) -> BatteryState:
    """`state` as part of the bank, or kept out with a remark."""
    voltage = state.reading.voltage if state.reading is not None else None
    if reference is None or voltage is None or not state.control:
        return replace(state, joined=True)
    allowed = _allowed(state, difference)
    if abs(voltage - reference) <= allowed:
        return replace(state, joined=True)
    remark = (
        f"kept out of the bank: {voltage:.2f} V differs from the bank's {reference:.2f} V by more than {allowed:.2f} V"
    )
    return replace(state, joined=False, remark=remark)


def _allowed(state: BatteryState, difference: float) -> float:
    cells = (state.reading.cells if state.reading is not None else None) or DEFAULT_CELLS
    return difference * cells / DEFAULT_CELLS


def _commonest(states: Sequence[BatteryState], difference: float) -> float | None:
    """The voltage that most batteries agree with; of equals the lowest.  None when no voltage is known."""
    known = sorted(
        (s.reading.voltage, _allowed(s, difference)) for s in states if s.reading and s.reading.voltage is not None
    )
    if not known:
        return None
    agreeing = [(-sum(abs(other - voltage) <= allowed for other, _ in known), voltage) for voltage, allowed in known]
    return min(agreeing)[1]


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
    choose: Callable[..., tuple[float, str]],
) -> Extreme | None:
    """The highest or lowest of all values, and where it was found."""
    found = [
        (value, f"{name}:{number}")
        for name, reading in named
        for number, value in enumerate(values(reading), 1)
        if value is not None
    ]
    return Extreme(*choose(found, key=lambda pair: pair[0])) if found else None


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
