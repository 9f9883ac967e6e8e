"""What must hold after every step, whatever the weather.  Written from the sheet and from what the packs told.

Nothing here asks the rules what they think: each law looks at what was told and when, and at what goes out.
Sheet: limits.md 4.5 and 8.2, architecture "Several batteries, one bank".
"""

import math
from collections.abc import Iterator
from typing import Final

from gateway.model import BatteryState, Health, Snapshot
from gateway.plausible import RANGES
from outputs.can_bms.dbc_file import load
from outputs.inverter.values import safe, values_of
from outputs.view import bank_view
from tests.storm.house import House
from tests.storm.pack import Pack

WITHDRAWN_AFTER: Final = 10.0 + 1.0 + 4.0  # s of silence: offline, one heartbeat, and a round with time-outs under way
KEPT: Final = 10.0 + 60.0 + 5.0  # s: told so long ago it is missing, then it may stand in, and a round
PROVEN: Final = 3  # good reads in a row
COMMAND_LIVES: Final = 30.0 + 5.0  # s from the asking to the last write
DIALECT: Final = load("pylontech")


def broken(house: House, snapshot: Snapshot) -> list[str]:
    """Every law that does not hold now, in words."""
    house.took_part |= {state.name for state in snapshot.bank.batteries if state.contributes}
    return [
        *_sane(snapshot),
        *_silence(house, snapshot),
        *_unheard(house, snapshot),
        *_told(house, snapshot),
        *_outside(snapshot),
        *_writes(house),
        *_asked(house, snapshot),
    ]


def _asked(house: House, snapshot: Snapshot) -> Iterator[str]:
    """What somebody outside asked for binds for as long as it lasts, whatever the clock on the wall says."""
    decision, soc = snapshot.decision, snapshot.decision.soc
    for (source, key), (value, until) in house.asked.items():
        if house.now >= until - 0.001:
            continue
        stops_charge = key == "soc_max" and (soc is None or soc >= value)
        stops_discharge = key == "soc_min" and (soc is None or soc <= value)
        if decision.ccl > (value if key == "ccl" else 0.0 if stops_charge else math.inf):
            yield f"CCL {decision.ccl} although {source} asks for {key} {value}"
        if decision.dcl > (value if key == "dcl" else 0.0 if stops_discharge else math.inf):
            yield f"DCL {decision.dcl} although {source} asks for {key} {value}"


# ---- the decision itself


def _sane(snapshot: Snapshot) -> Iterator[str]:
    """Numbers are numbers; the guard has nothing to say."""
    decision = snapshot.decision
    for name, value in (("CCL", decision.ccl), ("DCL", decision.dcl), ("CVL", decision.cvl)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            yield f"{name} is {value}"
    if snapshot.guard:
        yield f"the rules broke an invariant of the guard: {snapshot.guard}"


def _silence(house: House, snapshot: Snapshot) -> Iterator[str]:
    """A battery that took part and fell silent: no more than float, no share of its own, and an alarm."""
    limits, decision = house.settings.limits, snapshot.decision
    states = {state.name: state for state in snapshot.bank.batteries}
    for name, pack in house.packs.items():
        answered = max((at for at, _ in pack.told.values()), default=-math.inf)
        if house.now - answered > WITHDRAWN_AFTER and states[name].health is Health.ONLINE:
            yield f"{name} has been silent for {house.now - answered:.1f} s and counts as online"
    gone = [states[n] for n in house.took_part if states[n].health in (Health.STALE, Health.LOST)]
    silent = [state for state in gone if state.joined]  # else it was kept out when it last answered
    for state in gone:
        if state.health is Health.LOST and not (decision.alarms.get("bms_cable") or state not in silent):
            yield f"{state.name} is lost without a cable alarm"
        if state not in silent and snapshot.bank.complete and not decision.alarms.get("internal_failure"):
            yield f"{state.name} is kept out, silent, and nobody is told"
    for state in silent:
        most = limits.cell_voltage.float_ * len(house.packs[state.name].cells)
        if snapshot.bank.complete and decision.cvl is not None and decision.cvl > most + 0.02:
            yield f"{state.name} is silent and CVL is {decision.cvl} V, above its float voltage of {most:.2f} V"
    alive = [state for state in states.values() if state.health is Health.ONLINE]
    youngest = min((state.age or 0.0 for state in silent), default=0.0)
    if any(state.good_in_a_row >= PROVEN and (state.age or 0.0) < youngest / 2 for state in alive):  # else all may be
        if decision.ccl > limits.charge_current.max * len(alive) + 1e-6:
            yield f"CCL {decision.ccl} A is more than {len(alive)} living batteries allow"
        if decision.dcl > limits.discharge_current.max * len(alive) + 1e-6:
            yield f"DCL {decision.dcl} A is more than {len(alive)} living batteries allow"


def _unheard(house: House, snapshot: Snapshot) -> Iterator[str]:
    """One that took part before a restart and has not answered since is silent like any other."""
    decision = snapshot.decision
    for state in snapshot.bank.batteries if snapshot.bank.complete else ():
        if state.reading is None and state.name in house.before:
            most = house.settings.limits.cell_voltage.float_ * len(house.packs[state.name].cells)
            if decision.cvl is not None and decision.cvl > most + 0.02:
                yield f"{state.name} was not heard since the restart and CVL is {decision.cvl} V, above {most:.2f} V"
            if not decision.alarms.get("bms_cable"):
                yield f"{state.name} was not heard since the restart, and nobody is told"


# ---- what a pack told


def _told(house: House, snapshot: Snapshot) -> Iterator[str]:
    for state in snapshot.bank.batteries:
        pack = house.packs[state.name]
        if state.health is Health.LOST:  # what comes back may be another one
            house.most_cells.pop(state.name, None)
        if state.health is Health.ONLINE and _matters(state, pack):
            yield from _hot_or_full(house, snapshot, state.name, pack)
            yield from _vanished(house, snapshot, state)
    low, high = _honest_voltages(house, snapshot)
    if snapshot.bank.voltage is not None and low is not None and not low <= snapshot.bank.voltage <= high:
        yield f"the bank has {snapshot.bank.voltage:.2f} V, its batteries between {low:.2f} and {high:.2f} V"


def _matters(state: BatteryState, pack: Pack) -> bool:
    """It is in the bank, or current visibly flows through it."""
    said = pack.told["pack"][1] if "pack" in pack.told else {}
    current = said.get("current")
    if current is not None and (said["charge_allowed"] is False or said["discharge_allowed"] is False):
        current = state.reading.current if state.reading is not None else None  # nothing flows through an open switch
    capacity = state.reading.capacity if state.reading is not None else None
    flows = current is not None and abs(current) <= 1000 and abs(current) > 0.02 * (capacity or 300.0)
    return state.contributes or (flows and state.control)


def _hot_or_full(house: House, snapshot: Snapshot, name: str, pack: Pack) -> Iterator[str]:
    """What was told less than 10 s ago and forbids a direction does forbid it."""
    tables, decision = house.settings.limits, snapshot.decision
    volts = [v for v in _fresh(house, pack, "cells", "cell_voltages") if 0.5 <= v <= 5.0]
    heat = [t for t in _fresh(house, pack, "sensors", "temperatures") if -40 <= t <= 120]
    switched = pack.told.get("pack", (0.0, {}))[1]
    by_volts, by_heat = tables.by_cell_voltage, tables.by_temperature
    if decision.ccl > 0 and switched.get("charge_allowed") is not False:
        if volts and max(volts) >= max(by_volts.charge.points):
            yield f"{name} has a cell at {max(volts)} V and CCL is {decision.ccl} A"
        if heat and (max(heat) >= max(by_heat.charge.points) or min(heat) <= min(by_heat.charge.points)):
            yield f"{name} has sensors at {min(heat)}..{max(heat)} °C and CCL is {decision.ccl} A"
    if decision.dcl > 0 and switched.get("discharge_allowed") is not False:
        if volts and min(volts) <= min(by_volts.discharge.points):
            yield f"{name} has a cell at {min(volts)} V and DCL is {decision.dcl} A"
        if heat and max(heat) >= max(by_heat.discharge.points):
            yield f"{name} has a sensor at {max(heat)} °C and DCL is {decision.dcl} A"


def _fresh(house: House, pack: Pack, step: str, name: str) -> list[float]:
    """Numbers of a list that was told less than 10 s ago, in a reading that can be one (limits.md chapter 1)."""
    at, said = pack.told.get(step, (-math.inf, {}))
    whole = pack.told.get("pack", (0.0, {}))[1]
    if any(whole.get(name) is not None and not low <= whole[name] <= high for name, (low, high, _) in RANGES.items()):
        return []
    return [value for value in said.get(name) or () if value is not None] if house.now - at < 10 else []


def _vanished(house: House, snapshot: Snapshot, state: BatteryState) -> Iterator[str]:
    """A cell that was there once and has not been told for a minute stops the current."""
    pack, decision = house.packs[state.name], snapshot.decision
    most = house.most_cells.get(state.name, 0)
    told = len([v for v in pack.told.get("cells", (0.0, {}))[1].get("cell_voltages") or () if v is not None])
    if told >= most:
        house.whole_at[state.name] = pack.told.get("cells", (house.now, {}))[0]
    house.most_cells[state.name] = max(most, told)
    missing_for = house.now - house.whole_at.get(state.name, house.now)
    if missing_for > KEPT and state.reading is not None:
        if decision.ccl > 0 and state.reading.charge_allowed is not False:
            yield f"{state.name} misses cells for {missing_for:.0f} s and CCL is {decision.ccl} A"
        if decision.dcl > 0 and state.reading.discharge_allowed is not False:
            yield f"{state.name} misses cells for {missing_for:.0f} s and DCL is {decision.dcl} A"


def _honest_voltages(house: House, snapshot: Snapshot) -> tuple[float | None, float]:
    """Lowest and highest sum of the cells of the members that answer now, where each knows all of its own."""
    sums = []
    for state in snapshot.bank.batteries:
        if state.contributes and state.health is Health.ONLINE and state.reading is not None:
            known = [volts for volts in state.reading.cell_voltages if volts is not None]
            if len(known) != len(house.packs[state.name].cells):
                return None, 0.0
            sums.append(sum(known))
    return (min(sums) * 0.95, max(sums) * 1.05) if sums else (None, 0.0)


# ---- what leaves the house


def _outside(snapshot: Snapshot) -> Iterator[str]:
    """CAN and D-Bus say no more than was decided, and nothing that nobody knows."""
    decision = snapshot.decision
    values = values_of(snapshot, DIALECT.keys)
    view = bank_view(snapshot)
    if decision.blocked_since is not None:
        values = safe(values, DIALECT.keys)
    for key, most in (("charge_current_limit", decision.ccl), ("discharge_current_limit", decision.dcl)):
        if values.get(key, 0.0) > most + 1e-6:  # type: ignore[operator]
            yield f"CAN says {key} {values[key]}, decided was {most}"
    if (view.limits.ccl or 0.0) > decision.ccl + 1e-6 or (view.limits.dcl or 0.0) > decision.dcl + 1e-6:
        yield f"D-Bus says {view.limits}, decided was {decision.ccl} A, {decision.dcl} A"
    frames = DIALECT.encode({**DIALECT.defaults, **values})
    heard = DIALECT.decode(frames)
    for key in ("charge_current_limit", "discharge_current_limit", "charge_voltage_limit"):
        if key in values and heard[key] > values[key] + 0.1:  # type: ignore[operator]
            yield f"CAN is heard as {key} {heard[key]}, meant was {values[key]}"


def _writes(house: House) -> Iterator[str]:
    """Nothing is written long after it was asked, and nothing more often than it was asked."""
    for name, pack in house.packs.items():
        for at, action, value in pack.writes:
            asked = [when for when, wanted in house.commands if wanted == action and when <= at]
            if asked and at - max(asked) <= COMMAND_LIVES:
                continue
            if action == "soc" and value == 100.0:
                if _full(pack):
                    continue
                yield f"{name} was told 100 % with its highest cell at {max(pack.cells):.3f} V"
            else:
                yield f"{name} was written {action}={value} at {at:.0f} s, asked at {asked[-1:]}"
        pack.writes.clear()


def _full(pack: Pack) -> bool:
    """It stands where only a charge can have brought it."""
    return max(pack.cells) > 3.4
