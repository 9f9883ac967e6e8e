"""The last look before anything leaves the house.  Shares no code with the rules it checks.

A decision that breaks an invariant is not emitted; the safe state is, with an alarm and the name of what broke.
The deadline of a Snapshot is watched by each output itself, for the case that this very process hangs.

Whom the rules count as part of the bank is not taken on trust: the guard remembers by itself (`learn`) which battery
took part when it last answered, and whoever took part binds the limits for as long as it is silent.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from operator import attrgetter
from typing import Any, Final, NamedTuple

from gateway.model import BankState, BatteryState, Decision, Health, Reading, RemoteLimit
from gateway.model.records import replace

SLACK: Final = 1e-6  # rounding noise of sums
ROUNDED: Final = 0.01  # A, rounding of limits
VOLTS: Final = 0.02  # V, rounding of published voltages
CONNECTED: Final = 0.02  # A per Ah; a battery through which more flows is connected, whatever its voltage
CONNECTED_LEAST: Final = 2.0  # A, where no capacity is known
PROVEN: Final = 3  # good reads in a row after which a battery that was silent counts as living


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """What no limit may ever exceed, taken straight from the settings, per battery name.  Never changed."""

    cell_voltage: dict[str, float]  # V, each battery's highest set-point, reset voltage included when it is on
    voltage_drop: float  # V, what the settings add to the published CVL
    charge_current: dict[str, float]  # A, configured maximum of each battery
    discharge_current: dict[str, float]  # A
    silence: dict[str, float]  # s, how long a silent battery may still count for the currents
    bank_charge_current: float = math.inf  # A, the user's cap for the bank
    bank_discharge_current: float = math.inf  # A
    float_voltage: Mapping[str, float] = field(default_factory=dict)  # V per cell: no more for one that is silent
    cable_alarm: frozenset[str] = frozenset()  # those whose loss is to raise the cable alarm


class Own(NamedTuple):
    """The bounds of one battery."""

    cell_voltage: float  # V
    charge_current: float  # A
    discharge_current: float  # A
    silence: float  # s
    float_voltage: float | None  # V per cell; None = it bounds nobody's
    cable_alarm: bool


@lru_cache(maxsize=128)
def _own(bounds: Bounds, battery: str) -> Own:
    """Packs behind one device share its settings; of a battery that has none nothing is allowed."""
    device = battery.partition("/")[0]
    return Own(
        bounds.cell_voltage.get(device, 0.0), bounds.charge_current.get(device, 0.0),
        bounds.discharge_current.get(device, 0.0), bounds.silence.get(device, 0.0),
        bounds.float_voltage.get(device), device in bounds.cable_alarm,
    )  # fmt: skip


class Known(NamedTuple):
    """What the guard itself remembers of one battery."""

    took_part: bool = False  # when it last answered it was in the bank, or current flowed through it
    cells: int = 0  # in series, the most that were seen
    capacity: float | None = None  # Ah, as last known
    lost: bool = False  # since then; when it has proven itself again it may be another device
    back: "Known | None" = None  # what that one has shown since it answers


Memory = Mapping[str, Known]
NOTHING: Final = Known()


def resumed(silent: Mapping[str, float | None]) -> dict[str, Known]:
    """What the guard begins with: Ah of those that were `silent` at the end of an earlier run, by name.

    Until one has proven itself its share is that of the battery that went, as over any outage.
    """
    return {name: Known(capacity=capacity, lost=True) for name, capacity in silent.items()}


def learn(bank: BankState, memory: Memory) -> dict[str, Known]:
    """`memory` after another look at the batteries; to be asked of every bank, before `broken`."""
    return {**memory, **{state.name: _learnt(state, memory.get(state.name, NOTHING)) for state in bank.batteries}}


def _learnt(state: BatteryState, known: Known) -> Known:
    if state.reading is None:
        return known
    if state.health is not Health.ONLINE:
        took_part = state.contributes if known is NOTHING else known.took_part  # never heard: as the rules see it
        lost = state.health is Health.LOST
        return known._replace(took_part=took_part, lost=known.lost or lost, back=None if lost else known.back)
    took_part = state.control and (state.joined or _flows(state))
    if not known.lost:
        return _shown(state.reading, took_part, known)
    back = _shown(state.reading, took_part, known.back or NOTHING)
    return (
        back
        if state.good_in_a_row >= PROVEN
        else _shown(state.reading, took_part, known)._replace(lost=True, back=back)
    )


def _shown(reading: Reading, took_part: bool, known: Known) -> Known:
    """`known`, and what one more reading shows."""
    return Known(took_part, max(reading.cells or 0, known.cells), reading.capacity or known.capacity)


def _flows(state: BatteryState) -> bool:
    """Current that no offset of a sensor explains."""
    reading = state.reading
    if reading is None or reading.current is None:
        return False
    return abs(reading.current) > (CONNECTED * reading.capacity if reading.capacity else CONNECTED_LEAST)


class Connected(NamedTuple):
    """A battery that may take current: in the bank now, or when last heard."""

    state: BatteryState
    reading: Reading
    own: Own  # its bounds
    cells: int  # in series, the most that were seen; 0 = not known
    capacity: float | None  # Ah, as last known
    silent: bool  # it does not answer
    gone: bool  # it is silent for too long
    adds: bool  # its limits count for the bank's


class Look(NamedTuple):
    """Everything one check needs."""

    decision: Decision
    bank: BankState
    bounds: Bounds
    connected: Sequence[Connected]
    silent: Sequence[Connected]  # those of them that do not answer
    asked: tuple[RemoteLimit, ...] = ()  # limits from outside

    @classmethod
    def at(
        cls, decision: Decision, bank: BankState, bounds: Bounds, known: Memory | None,
        asked: tuple[RemoteLimit, ...] = (),
    ) -> "Look":  # fmt: skip
        """With the guard's own view of who is connected."""
        known = learn(bank, {}) if known is None else known
        connected = [
            _connected(state, state.reading, known.get(state.name, NOTHING), bounds)
            for state in bank.batteries
            if state.control and state.reading is not None and (state.joined or _took_part(state, known))
        ]
        silent = [one for one in connected if one.silent]
        if silent:
            living = [one.state.age for one in connected if _lives(one) and one.state.age is not None]
            connected = [one._replace(gone=True, adds=False) if _outlived(one, living) else one for one in connected]
        return cls(decision, bank, bounds, connected, silent, asked)


def _took_part(state: BatteryState, known: Memory) -> bool:
    return known.get(state.name, NOTHING).took_part


def _connected(state: BatteryState, reading: Reading, known: Known, bounds: Bounds) -> Connected:
    """What is to be known of this battery; by itself it is gone when it is silent for longer than it may be."""
    own, age, cells = _own(bounds, state.name), state.age, reading.cells or 0
    gone = age is None or age > own.silence + SLACK
    adds = state.joined and state.shares and not gone
    return Connected(
        state, reading, own, max(known.cells, cells), reading.capacity or known.capacity,
        state.health is not Health.ONLINE, gone, adds,
    )  # fmt: skip


def _lives(one: Connected) -> bool:
    """It answers, and one may count on it."""
    return not one.silent and one.state.shares and one.state.good_in_a_row >= PROVEN


def _outlived(one: Connected, living: Iterable[float]) -> bool:
    """It is silent while another one has answered well after it last did; `living`: their ages [s]."""
    age = one.state.age
    return one.silent and age is not None and any(other < age / 2 for other in living)


def broken(
    decision: Decision, bank: BankState, bounds: Bounds, known: Memory | None = None,
    asked: tuple[RemoteLimit, ...] = (),
) -> str:  # fmt: skip
    """The first invariant that `decision` breaks, in words with numbers; "" when it keeps all of them.

    `known` is what `learn` made of every bank up to this one; `asked` are the limits from outside.
    """
    return _objection(Look.at(decision, bank, bounds, known, asked))


def safe(decision: Decision, bank: BankState, bounds: Bounds, why: str, known: Memory | None = None) -> Decision:
    """The state in which nothing can happen: no current either way, and a charge voltage that forces nothing."""
    look = Look.at(decision, bank, bounds, known)
    ceiling, cvl = min([v for v in (_ceiling(look), _float(look)) if v is not None], default=None), decision.cvl
    if cvl is not None and (_number("CVL", cvl) or ceiling is None or cvl > ceiling):
        known_volts = [value for value in (bank.voltage, ceiling) if value is not None]
        cvl = min(known_volts, default=None)
    return replace(
        decision,
        cvl=cvl,
        ccl=0.0,
        dcl=0.0,
        allow_charge=False,
        allow_discharge=False,
        charge_mode="error",
        waiting=(f"guard: {why}",),
        alarms={
            **decision.alarms,
            "internal_failure": 2,
            "bms_cable": max(_cable(look), decision.alarms.get("bms_cable", 0)),
        },
    )


def _objection(look: Look) -> str:
    decision, bounds = look.decision, look.bounds
    return (
        _number("CVL", decision.cvl)
        or _number("CCL", decision.ccl)
        or _number("DCL", decision.dcl)
        or _voltage(look)
        or _silence(look)
        or _counted(look)
        or _current(look, "CCL", decision.ccl, CHARGE, bounds.bank_charge_current)
        or _current(look, "DCL", decision.dcl, DISCHARGE, bounds.bank_discharge_current)
        or next(filter(None, map(partial(_overridden, decision), look.asked)), "")
        or _matched("charge", decision.allow_charge, decision.ccl)
        or _matched("discharge", decision.allow_discharge, decision.dcl)
    )


def _number(name: str, value: float | None) -> str:
    if value is None:
        return ""
    if not math.isfinite(value):
        return f"{name} is {value}"
    return f"{name} {value:g} is negative" if value < 0 else ""


def _voltage(look: Look) -> str:
    most, cvl = _ceiling(look), look.decision.cvl
    if cvl is None or most is None or cvl <= most + VOLTS:
        return ""
    return f"CVL {cvl:.2f} V above {most:.2f} V of the settings"


def _ceiling(look: Look) -> float | None:
    """The highest charge voltage the settings allow for every pack [V]; None while no cell count is known."""
    known = [one.own.cell_voltage * one.cells for one in look.connected if one.cells]
    return min(known) + look.bounds.voltage_drop if known else None


def _float(look: Look) -> float | None:
    """The lowest float voltage of those that took part and are silent [V]; None: all answer."""
    known = [
        one.own.float_voltage * one.cells for one in look.silent if one.own.float_voltage is not None and one.cells
    ]
    return min(known) + look.bounds.voltage_drop if known else None


def _silence(look: Look) -> str:
    """Nobody sees the cells of a silent battery: no more than float, and when it is lost an alarm."""
    most, decision, lost = _float(look), look.decision, _lost(look)
    if decision.cvl is not None and most is not None and decision.cvl > most + VOLTS:
        names = ", ".join(one.state.name for one in look.silent)
        return f"CVL {decision.cvl:.2f} V above the float voltage of {most:.2f} V while {names} is silent"
    told = decision.alarms.get("bms_cable", 0) >= int(bool(lost))
    return "" if told else f"no cable alarm although {', '.join(lost)} is lost"


def _lost(look: Look) -> list[str]:
    """Those whose loss is to be told."""
    return [one.state.name for one in look.silent if one.state.health is Health.LOST and one.own.cable_alarm]


def _cable(look: Look) -> int:
    """The least level of the cable alarm."""
    return int(bool(_lost(look)))


def _counted(look: Look) -> str:
    """Whoever answers is counted, or at least said; and never do the limits rest on silent ones alone."""
    apart = [state for state in look.bank.batteries if not state.joined and _answers(state)]
    if not apart:
        return ""
    outside, answering = [state.name for state in apart], [state for state in look.bank.batteries if _answers(state)]
    if len(outside) == len(answering) > 0:
        return f"{', '.join(outside)} answers, but does not count, and nobody else does"
    flowing = [state.name for state in apart if _flows(state)]
    if flowing:
        return f"current flows through {', '.join(flowing)}, which does not count"
    if not look.decision.alarms.get("internal_failure"):
        return f"{', '.join(outside)} is kept out of the bank without an alarm"
    return ""


def _answers(state: BatteryState) -> bool:
    return state.control and state.reading is not None and state.health is Health.ONLINE


CHARGE: Final = attrgetter("reading.charge_allowed", "reading.max_charge_current", "own.charge_current")
DISCHARGE: Final = attrgetter("reading.discharge_allowed", "reading.max_discharge_current", "own.discharge_current")
"""Of one that is connected: whether its switch is closed, what its BMS allows, and what its settings do [A]."""


def _current(look: Look, name: str, value: float, limits: Callable[[Connected], Any], bank: float) -> str:
    """No more than the user's cap, than what the members together allow, and than what any battery's share allows."""
    most, total, carrying = 0.0, 0.0, []
    for one in look.connected:
        allowed, asked, own = limits(one)
        if allowed is False:
            continue  # it adds nothing and takes nothing
        own = own if asked is None else min(own, asked)
        carrying.append((one, own))
        if one.adds:
            most += own
        if not one.gone:
            total += one.capacity or 0.0
    if value > bank + SLACK:
        return f"{name} {value:.1f} A above the bank's cap of {bank:.1f} A"
    if value > most + SLACK:
        return f"{name} {value:.1f} A above the {most:.1f} A that its members allow"
    return _shares(name, value, carrying, total)


def _shares(name: str, value: float, carrying: Sequence[tuple[Connected, float]], total: float) -> str:
    """No battery gets more than its own cap by the share that its capacity takes, which is all where none is known.

    One that is gone may still be connected: it does not lighten the others' shares, but has one of its own beside the
    `total` [Ah] of those.
    """
    for one, own in carrying:
        capacity = one.capacity
        whole = total + (capacity or 0.0) if one.gone else total
        part = value * capacity / whole if capacity else value
        if part > own + ROUNDED:
            return f"{name} {value:.1f} A gives {one.state.name} {part:.1f} A by its share, above its {own:.1f} A"
    return ""


def _overridden(decision: Decision, limit: RemoteLimit) -> str:
    """Nobody gets more than was asked for from outside."""
    ends_charge = limit.key == "soc_max" and (decision.soc is None or decision.soc >= limit.value)
    ends_discharge = limit.key == "soc_min" and (decision.soc is None or decision.soc <= limit.value)
    most_in = limit.value if limit.key == "ccl" else 0.0 if ends_charge else math.inf
    most_out = limit.value if limit.key == "dcl" else 0.0 if ends_discharge else math.inf
    for name, value, most in (("CCL", decision.ccl, most_in), ("DCL", decision.dcl, most_out)):
        if value > most + SLACK:
            return f"{name} {value:.1f} A above the {most:.1f} A that {limit.source} asks for ({limit.key})"
    return ""


def _matched(what: str, allowed: bool, limit: float) -> str:
    return f"{what} is forbidden but its limit is {limit:.1f} A" if not allowed and limit > SLACK else ""
