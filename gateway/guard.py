"""The last look before anything leaves the house.  Shares no code with the rules it checks.

A decision that breaks an invariant is not emitted; the safe state is, with an alarm and the name of what broke.
The deadline of a Snapshot is watched by each output itself, for the case that this very process hangs.

Whom the rules count as part of the bank is not taken on trust: the guard remembers by itself (`learn`) which battery
took part when it last answered, and whoever took part binds the limits for as long as it is silent.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from gateway.model import BankState, BatteryState, Decision, Health, Reading, RemoteLimit
from gateway.model.records import replace

SLACK: Final = 1e-6  # rounding noise of sums
ROUNDED: Final = 0.01  # A, rounding of limits
VOLTS: Final = 0.02  # V, rounding of published voltages
CONNECTED: Final = 0.02  # A per Ah; a battery through which more flows is connected, whatever its voltage
CONNECTED_LEAST: Final = 2.0  # A, where no capacity is known
PROVEN: Final = 3  # good reads in a row after which a battery that was silent counts as living


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
    float_voltage: Mapping[str, float] = field(default_factory=dict)  # V per cell: no more for one that is silent
    cable_alarm: frozenset[str] = frozenset()  # those whose loss is to raise the cable alarm


@dataclass(frozen=True, slots=True)
class Known:
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
        return replace(known, took_part=took_part, lost=known.lost or lost, back=None if lost else known.back)
    took_part = state.control and (state.joined or _flows(state))
    if not known.lost:
        return _shown(state.reading, took_part, known)
    back = _shown(state.reading, took_part, known.back or NOTHING)
    return (
        back
        if state.good_in_a_row >= PROVEN
        else replace(_shown(state.reading, took_part, known), lost=True, back=back)
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


@dataclass(frozen=True, slots=True)
class Look:
    """Everything one check needs."""

    decision: Decision
    bank: BankState
    bounds: Bounds
    known: Memory
    connected: tuple[BatteryState, ...]  # may take current: in the bank now, or when last heard
    silent: tuple[BatteryState, ...]  # those of them that do not answer
    gone: frozenset[str]  # names of those of them that are silent for too long
    asked: tuple[RemoteLimit, ...] = ()  # limits from outside

    @classmethod
    def at(
        cls, decision: Decision, bank: BankState, bounds: Bounds, known: Memory | None,
        asked: tuple[RemoteLimit, ...] = (),
    ) -> "Look":  # fmt: skip
        """With the guard's own view of who is connected."""
        known = learn(bank, {}) if known is None else known
        connected = tuple([
            state for state in bank.batteries
            if state.contributes_if_joined and (state.joined or known.get(state.name, NOTHING).took_part)
        ])  # fmt: skip
        silent = tuple([state for state in connected if state.health is not Health.ONLINE])
        living = [
            s.age for s in connected
            if s.health is Health.ONLINE and s.shares and s.good_in_a_row >= PROVEN and s.age is not None
        ]  # fmt: skip
        gone = frozenset([state.name for state in connected if _gone(state, bounds, living)])
        return cls(decision, bank, bounds, known, connected, silent, gone, asked)

    def of(self, state: BatteryState) -> Known:
        """What is remembered of it."""
        return self.known.get(state.name, NOTHING)

    def cells(self, state: BatteryState) -> int:
        """In series, the most that were seen; 0 = not known."""
        return max(self.of(state).cells, (state.reading.cells or 0) if state.reading is not None else 0)

    def capacity(self, state: BatteryState) -> float | None:
        """Ah, as last known."""
        return (state.reading.capacity if state.reading is not None else None) or self.of(state).capacity


def _gone(state: BatteryState, bounds: Bounds, living: Iterable[float]) -> bool:
    """Silent for longer than it may be, or at all while another one has answered well after it last did.

    `living`: ages [s] of those on which one may count.
    """
    age = state.age
    if age is None or age > bounds.silence.get(_device(state), 0.0) + SLACK:
        return True
    return state.health is not Health.ONLINE and any(other < age / 2 for other in living)


def broken(
    decision: Decision, bank: BankState, bounds: Bounds, known: Memory | None = None,
    asked: tuple[RemoteLimit, ...] = (),
) -> str:  # fmt: skip
    """The first invariant that `decision` breaks, in words with numbers; "" when it keeps all of them.

    `known` is what `learn` made of every bank up to this one; `asked` are the limits from outside.
    """
    return next(filter(None, _checks(Look.at(decision, bank, bounds, known, asked))), "")


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


def _checks(look: Look) -> Iterable[str]:
    decision, bounds = look.decision, look.bounds
    yield _number("CVL", decision.cvl)
    yield _number("CCL", decision.ccl)
    yield _number("DCL", decision.dcl)
    yield _voltage(look)
    yield _silence(look)
    yield _counted(look)
    for name, way, most, configured, bank_most in (
        ("CCL", "charge", decision.ccl, bounds.charge_current, bounds.bank_charge_current),
        ("DCL", "discharge", decision.dcl, bounds.discharge_current, bounds.bank_discharge_current),
    ):
        own = {state.name: _own(state, way, configured) for state in look.connected}
        adding = [s for s in look.connected if s.joined and s.shares and s.name not in look.gone]
        yield _current(name, most, [own[state.name] for state in adding], bank_most)
        yield _shares(look, name, most, own, [state for state in look.connected if _carries(state, way)])
    yield from map(partial(_overridden, decision), look.asked)
    yield _matched("charge", decision.allow_charge, decision.ccl)
    yield _matched("discharge", decision.allow_discharge, decision.dcl)


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
    return _lowest(look, look.connected, look.bounds.cell_voltage)


def _float(look: Look) -> float | None:
    """The lowest float voltage of those that took part and are silent [V]; None: all answer."""
    if not look.silent:
        return None
    return _lowest(look, [s for s in look.silent if _device(s) in look.bounds.float_voltage], look.bounds.float_voltage)


def _lowest(look: Look, states: Iterable[BatteryState], per_cell: Mapping[str, float]) -> float | None:
    known = [per_cell.get(_device(state), 0.0) * cells for state in states if (cells := look.cells(state))]
    return min(known) + look.bounds.voltage_drop if known else None


def _silence(look: Look) -> str:
    """Nobody sees the cells of a silent battery: no more than float, and when it is lost an alarm."""
    most, decision, lost = _float(look), look.decision, _lost(look)
    if decision.cvl is not None and most is not None and decision.cvl > most + VOLTS:
        names = ", ".join(state.name for state in look.silent)
        return f"CVL {decision.cvl:.2f} V above the float voltage of {most:.2f} V while {names} is silent"
    told = decision.alarms.get("bms_cable", 0) >= _cable(look)
    return "" if told else f"no cable alarm although {', '.join(lost)} is lost"


def _lost(look: Look) -> list[str]:
    """Those whose loss is to be told."""
    if not look.silent:
        return []
    told = look.bounds.cable_alarm
    return [state.name for state in look.silent if state.health is Health.LOST and _device(state) in told]


def _cable(look: Look) -> int:
    """The least level of the cable alarm."""
    return int(bool(_lost(look)))


def _counted(look: Look) -> str:
    """Whoever answers is counted, or at least said; and never do the limits rest on silent ones alone."""
    answering = [s for s in look.bank.batteries if s.control and s.reading is not None and s.health is Health.ONLINE]
    outside = [state.name for state in answering if not state.joined]
    if not outside:
        return ""
    if len(outside) == len(answering) > 0:
        return f"{', '.join(outside)} answers, but does not count, and nobody else does"
    flowing = [state.name for state in answering if not state.joined and _flows(state)]
    if flowing:
        return f"current flows through {', '.join(flowing)}, which does not count"
    if outside and not look.decision.alarms.get("internal_failure"):
        return f"{', '.join(outside)} is kept out of the bank without an alarm"
    return ""


def _current(name: str, value: float, members: list[float], bank: float) -> str:
    """No more than the user's cap, and no more than what the members together allow."""
    if value > bank + SLACK:
        return f"{name} {value:.1f} A above the bank's cap of {bank:.1f} A"
    most = sum(members)
    return f"{name} {value:.1f} A above the {most:.1f} A that its members allow" if value > most + SLACK else ""


def _shares(look: Look, name: str, value: float, own: dict[str, float], carrying: list[BatteryState]) -> str:
    """No battery gets more than its own cap by the share that its capacity takes, which is all where none is known.

    One that is gone may still be connected: it does not lighten the others' shares, but has one of its own.
    """
    parts = [(state, look.capacity(state), state.name in look.gone) for state in carrying]
    total = sum([capacity or 0.0 for _, capacity, gone in parts if not gone])
    for state, capacity, gone in parts:
        whole = total + (capacity or 0.0) if gone else total
        part = value * capacity / whole if capacity else value
        if part > own[state.name] + ROUNDED:
            return (
                f"{name} {value:.1f} A gives {state.name} {part:.1f} A by its share, above its {own[state.name]:.1f} A"
            )
    return ""


def _carries(state: BatteryState, way: str) -> bool:
    """Its switch is not open."""
    reading = state.reading
    if reading is None:
        return False
    return (reading.charge_allowed if way == "charge" else reading.discharge_allowed) is not False


def _own(state: BatteryState, way: str, configured: Mapping[str, float]) -> float:
    """What this battery may have at most [A], by the settings and by its own BMS."""
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
