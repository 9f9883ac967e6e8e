"""The last look before anything leaves the house.  Shares no code with the rules it checks.

A decision that breaks an invariant is not emitted; the safe state is, with an alarm and the name of what broke.
The deadline of a Snapshot is watched by each output itself, for the case that this very process hangs.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from gateway.model import BankState, BatteryState, Decision

SLACK = 1e-6  # rounding noise of sums
ROUNDED = 0.01  # A, rounding of limits
VOLTS = 0.02  # V, rounding of published voltages


@dataclass(frozen=True, slots=True)
class Bounds:
    """What no limit may ever exceed, taken straight from the settings, per battery name."""

    cell_voltage: dict[str, float]  # V, each battery's highest set-point, reset voltage included when it is on
    voltage_drop: float  # V, what the settings add to the published CVL
    charge_current: dict[str, float]  # A, configured maximum of each battery
    discharge_current: dict[str, float]  # A
    silence: dict[str, float]  # s, how long a silent battery may still count for the currents
    bank_charge_current: float = math.inf  # A, the user's cap for the bank
    bank_discharge_current: float = math.inf  # A


def broken(decision: Decision, bank: BankState, bounds: Bounds) -> str:
    """The first invariant that `decision` breaks, in words with numbers; "" when it keeps all of them."""
    return next(filter(None, _checks(decision, bank, bounds)), "")


def safe(decision: Decision, bank: BankState, bounds: Bounds, why: str) -> Decision:
    """The state in which nothing can happen: no current either way, and a charge voltage that forces nothing."""
    ceiling, cvl = _ceiling(bank, bounds), decision.cvl
    if cvl is not None and (_number("CVL", cvl) or ceiling is None or cvl > ceiling):
        known = [value for value in (bank.voltage, ceiling) if value is not None]
        cvl = min(known, default=None)
    return replace(
        decision,
        cvl=cvl,
        ccl=0.0,
        dcl=0.0,
        allow_charge=False,
        allow_discharge=False,
        charge_mode="error",
        waiting=(f"guard: {why}",),
        alarms={**decision.alarms, "internal_failure": 2},
    )


def _checks(decision: Decision, bank: BankState, bounds: Bounds) -> Iterable[str]:
    members = [state for state in bank.batteries if state.contributes]
    yield _number("CVL", decision.cvl)
    yield _number("CCL", decision.ccl)
    yield _number("DCL", decision.dcl)
    yield _voltage(decision, bank, bounds)
    for name, way, most, configured, bank_most in (
        ("CCL", "charge", decision.ccl, bounds.charge_current, bounds.bank_charge_current),
        ("DCL", "discharge", decision.dcl, bounds.discharge_current, bounds.bank_discharge_current),
    ):
        own = {member.name: _own(member, way, configured, bounds) for member in members}
        yield _current(name, most, list(own.values()), bank_most)
        yield _shares(name, most, own, [member for member in members if _carries(member, way, bounds)])
    yield _matched("charge", decision.allow_charge, decision.ccl)
    yield _matched("discharge", decision.allow_discharge, decision.dcl)


def _number(name: str, value: float | None) -> str:
    if value is None:
        return ""
    if not math.isfinite(value):
        return f"{name} is {value}"
    return f"{name} {value:g} is negative" if value < 0 else ""


def _voltage(decision: Decision, bank: BankState, bounds: Bounds) -> str:
    most = _ceiling(bank, bounds)
    if decision.cvl is None or most is None or decision.cvl <= most + VOLTS:
        return ""
    return f"CVL {decision.cvl:.2f} V above {most:.2f} V of the settings"


def _ceiling(bank: BankState, bounds: Bounds) -> float | None:
    """The highest charge voltage the settings allow for every pack [V]; None while no cell count is known."""
    known = [
        bounds.cell_voltage.get(_device(state), 0.0) * state.reading.cells
        for state in bank.batteries
        if state.contributes and state.reading is not None and state.reading.cells
    ]
    return min(known) + bounds.voltage_drop if known else None


def _current(name: str, value: float, members: list[float], bank: float) -> str:
    """No more than the user's cap, and no more than what the members together allow."""
    if value > bank + SLACK:
        return f"{name} {value:.1f} A above the bank's cap of {bank:.1f} A"
    most = sum(members)
    return f"{name} {value:.1f} A above the {most:.1f} A that its members allow" if value > most + SLACK else ""


def _shares(name: str, value: float, own: dict[str, float], carrying: list[BatteryState]) -> str:
    """No battery gets more than its own cap by the share that its capacity takes; nothing where one is not known."""
    capacities = [state.reading.capacity if state.reading is not None else None for state in carrying]
    total = sum(capacity or 0.0 for capacity in capacities)
    if not carrying or not all(capacities):
        return ""
    for state, capacity in zip(carrying, capacities, strict=True):
        part = value * (capacity or 0.0) / total
        if part > own[state.name] + ROUNDED:
            return (
                f"{name} {value:.1f} A gives {state.name} {part:.1f} A by its share, above its {own[state.name]:.1f} A"
            )
    return ""


def _carries(state: BatteryState, way: str, bounds: Bounds) -> bool:
    """Does current flow through this battery at all: not silent for too long, its switch not open?"""
    reading = state.reading
    if reading is None or state.age is None or state.age > bounds.silence.get(_device(state), 0.0):
        return False
    return (reading.charge_allowed if way == "charge" else reading.discharge_allowed) is not False


def _own(state: BatteryState, way: str, configured: dict[str, float], bounds: Bounds) -> float:
    """What this battery may contribute at most [A]: nothing when it has been silent for too long."""
    if state.age is None or state.age > bounds.silence.get(_device(state), 0.0) + SLACK:
        return 0.0
    return min(configured.get(_device(state), 0.0), _bms(state, way))


def _device(state: BatteryState) -> str:
    """The name in the settings; packs behind one device share its settings."""
    return state.name.partition("/")[0]


def _bms(state: BatteryState, way: str) -> float:
    """What the battery's own BMS allows, as far as it says so [A]."""
    reading = state.reading
    if reading is None:
        return 0.0
    allowed, most = (
        (reading.charge_allowed, reading.max_charge_current)
        if way == "charge"
        else (reading.discharge_allowed, reading.max_discharge_current)
    )
    if allowed is False:
        return 0.0
    return math.inf if most is None else most


def _matched(what: str, allowed: bool, limit: float) -> str:
    return f"{what} is forbidden but its limit is {limit:.1f} A" if not allowed and limit > SLACK else ""
