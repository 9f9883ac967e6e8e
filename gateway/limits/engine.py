"""One evaluation: bank and memory in, decision and memory out.  Pure: time is an argument.  Sheet: limits.md chapter 1.

Order: loss of each battery, SoC, charge state machine and voltage, currents of each battery, share of the bank, alarms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.limits import alarms, charge_state, currents, cvl, flow, history, loss, soc
from gateway.limits.charge_state import ERROR, FIXED, FLOAT, TRANSITION, Facts, Moment
from gateway.limits.currents import Way
from gateway.limits.loss import Loss
from gateway.limits.memory import BatteryMemory, Memory, Recovery, Voltage
from gateway.limits.settings import LimitSettings
from gateway.limits.share import Member, bank_caps
from gateway.limits.site import Rules, Site
from gateway.model import BankState, BatteryState, Cap, Decision, Health, Reading, tightest


@dataclass(frozen=True, slots=True)
class Pack:
    """One contributing battery during an evaluation."""

    state: BatteryState
    reading: Reading
    rules: Rules
    memory: BatteryMemory
    loss: Loss
    soc: float | None


@dataclass(frozen=True, slots=True)
class Volts:
    """What became of the charge voltage."""

    volts: float | None
    caps: tuple[Cap, ...]
    ovp: str = "none"
    full: bool = False  # this evaluation ended a charge


def evaluate(bank: BankState, site: Site, memory: Memory, now: float, wall: float) -> tuple[Decision, Memory]:
    """Decide for `bank`.  `now` is monotonic, `wall` the epoch, both in s."""
    seconds = now - memory.now if memory.wall else 0.0
    packs = [_look(state, site, memory, now) for state in bank.batteries if state.contributes]
    total_soc = _bank_soc(packs)
    if total_soc is None:
        total_soc = memory.soc if not any(_online(p) for p in packs) else None
    memory = charge_state.due(memory, site.limits, wall)
    memory, volts = _voltage(packs, total_soc, site, memory, now, wall)
    if volts.full:
        packs = [_filled(pack) for pack in packs]
        total_soc = _bank_soc(packs)
    packs, ccl, charge_caps = _current("charge", packs, site, now)
    packs, dcl, discharge_caps = _current("discharge", packs, site, now)
    memory = _remembered(memory, packs, bank, site.limits, total_soc, seconds, volts.full, now, wall)
    memory, raised = _alarms(memory, packs, bank, site.limits, total_soc, ccl, dcl, now, wall)
    blocked = bool(packs) and all(pack.loss.blocked for pack in packs)
    memory = replace(
        memory, blocked_since=(memory.blocked_since if memory.blocked_since is not None else now) if blocked else None
    )
    decision = Decision(
        cvl=None if volts.volts is None else round(volts.volts + site.limits.voltage_drop, 2),
        ccl=ccl,
        dcl=dcl,
        allow_charge=ccl != 0 and _any_allows(packs, "charge"),
        allow_discharge=dcl != 0 and _any_allows(packs, "discharge"),
        charge_mode=memory.phase or ERROR,
        soc=None if total_soc is None else round(total_soc, 3),
        soc_reset=memory.reset_requested,
        cell_ovp=volts.ovp,
        low_voltage=_low_voltage(packs),
        cvl_caps=volts.caps,
        ccl_caps=tuple(charge_caps),
        dcl_caps=tuple(discharge_caps),
        waiting=_waiting(packs, total_soc, site, memory, now, wall),
        alarms=raised,
        blocked_since=memory.blocked_since,
    )
    return decision, memory


# ---- batteries


def _look(state: BatteryState, site: Site, memory: Memory, now: float) -> Pack:
    """One battery with its loss judged and its inputs remembered."""
    rules, reading = site.rules(state.name), state.reading
    assert reading is not None  # contributes
    settings = rules.settings
    lost, mine = loss.judge(state, memory.batteries.get(state.name, BatteryMemory()), settings.on_loss)
    if state.health is Health.ONLINE and settings.soc.source == "counter":
        mine = soc.count(reading, mine, settings, now)
    charge = soc.chosen(reading, mine, settings, full_since_start=memory.phase in (FLOAT, TRANSITION))
    return Pack(state, reading, rules, mine, lost, charge)


def _online(pack: Pack) -> bool:
    return pack.state.health is Health.ONLINE


def _bank_soc(packs: Sequence[Pack]) -> float | None:
    """SoC [%] weighted by capacity, of those that answer, else of all as last known; None while one is not known."""
    known = [pack for pack in packs if _online(pack)] or list(packs)
    if not known or any(pack.soc is None for pack in known):
        return None
    if len(known) == 1:
        return known[0].soc
    weights = [pack.reading.capacity or 0.0 for pack in known]
    if not all(weights):
        weights = [1.0] * len(known)
    return sum((pack.soc or 0.0) * weight for pack, weight in zip(known, weights, strict=True)) / sum(weights)


def _filled(pack: Pack) -> Pack:
    """After the full event: the counter says 100 %."""
    if pack.rules.settings.soc.source != "counter" or not pack.reading.capacity:
        return pack
    return replace(pack, memory=replace(pack.memory, counted_ah=pack.reading.capacity, counted_soc=100.0), soc=100.0)


# ---- charge voltage


def _set_point(packs: Sequence[Pack], site: Site, reset: bool) -> tuple[float, Cap] | None:
    """U_max of the bank: the lowest of its packs', and why.  None while no cell count is known."""
    caps = []
    for pack in packs:
        cells, settings = pack.reading.cells, pack.rules.settings
        if not cells:
            return None
        volts, key = settings.cell_voltage.max, "limits.cell_voltage.max"
        if reset:
            volts, key = max(volts, settings.soc_reset.cell_voltage), "limits.soc_reset.cell_voltage"
        what = f"{volts:g} V x {cells} cells"
        caps.append(Cap(round(volts * cells, 2), "soc_reset" if reset else "config", what, key, pack.state.name))
        asked = pack.reading.max_battery_voltage
        if settings.use_bms_values and asked is not None and not reset and asked < caps[-1].value:
            caps.append(Cap(asked, "bms_limit", f"the BMS asks for {asked:.2f} V", battery=pack.state.name))
    if not caps:
        return None
    return tightest(caps).value, tightest(caps)


def _facts(packs: Sequence[Pack], total_soc: float | None, u_max: float) -> Facts | None:
    """What the state machine looks at; None when any of it is not known."""
    sums, differences, tops = [], [], []
    for pack in packs:
        cells, low, high = pack.reading.cell_voltages, pack.reading.min_cell, pack.reading.max_cell
        if None in cells or low is None or high is None:
            return None
        whole = sum(v for v in cells if v is not None) if cells else pack.reading.voltage
        if whole is None:
            return None
        sums.append(whole)
        differences.append(high - low)
        tops.append(high)
    if not sums or total_soc is None:
        return None
    flows = [soc.corrected(pack.reading, pack.rules.settings.soc.current_map) for pack in packs]
    current = None if None in flows else sum(f for f in flows if f is not None)
    return Facts(sum(sums) / len(sums), max(differences), max(tops), total_soc, current, u_max, _float_voltage(packs))


def _float_voltage(packs: Sequence[Pack]) -> float:
    return min(round(p.rules.settings.cell_voltage.float_ * (p.reading.cells or 0), 2) for p in packs)


def _voltage(
    packs: Sequence[Pack], total_soc: float | None, site: Site, memory: Memory, now: float, wall: float
) -> tuple[Memory, Volts]:
    """The control voltage, without the voltage drop."""
    found = _set_point(packs, site, memory.reset_requested)
    if found is None:
        return replace(memory, phase=memory.phase or ERROR), Volts(None, ())
    u_max, set_point = found
    fresh = [pack for pack in packs if _online(pack)]
    if not fresh:
        return memory, _withheld(packs, memory, u_max, set_point)
    if not site.limits.charge_voltage.enabled:
        return replace(memory, phase=FIXED), Volts(u_max, (set_point,))
    facts = _facts(fresh, total_soc, u_max)
    if facts is None:
        why = "cells or SoC are not known: float voltage, nothing higher"
        u_float = _float_voltage(packs)
        return replace(memory, phase=ERROR), Volts(u_float, (set_point, Cap(u_float, "missing_data", why)))
    before = memory
    memory = charge_state.step(Moment(facts, memory, site.limits, now, wall))
    if memory.allow_max:
        memory, volts = _charging(fresh, memory, before, set_point, facts, now)
    else:
        memory, volts = _floating(memory, facts, set_point, site.limits, now, wall)
    return memory, _with_silent(packs, volts)


def _charging(
    packs: Sequence[Pack], memory: Memory, before: Memory, set_point: Cap, facts: Facts, now: float
) -> tuple[Memory, Volts]:
    """Bulk and absorption: the set-point, lowered by whatever single cell is too high."""
    phase = charge_state.BULK if memory.absorbing_since is None else charge_state.ABSORPTION
    voltage = Voltage() if before.phase in (FLOAT, TRANSITION) else memory.voltage
    reset = memory.reset_requested
    wishes = []
    for pack in packs:
        settings = pack.rules.settings
        cell_limit = max(settings.cell_voltage.max, settings.soc_reset.cell_voltage if reset else 0.0)
        wishes.append(cvl.target(pack.reading, settings, cell_limit, facts.u_max, voltage, now))
    wished, why = cvl.lowest(wishes)
    setting = packs[0].rules.settings.charge_voltage
    voltage, ovp = cvl.apply(wished, facts.u_max, voltage, setting, now)
    caps = [set_point]
    if voltage.volts is not None and voltage.volts < facts.u_max - 1e-9:
        text = why or f"{ovp} after a cell was too high"
        caps.append(Cap(round(voltage.volts, 3), "cell_voltage", text, "limits.charge_voltage.controller"))
    return replace(memory, phase=phase, voltage=voltage), Volts(voltage.volts, tuple(caps), ovp)


def _floating(
    memory: Memory, facts: Facts, set_point: Cap, settings: LimitSettings, now: float, wall: float
) -> tuple[Memory, Volts]:
    """Float and the way down to it."""
    full = False
    if memory.phase not in (FLOAT, TRANSITION):
        memory, full = charge_state.enter_float(memory, facts, settings, now, wall)
    memory, volts = charge_state.descend(memory, facts, settings, now)
    why = f"float {facts.u_float:.2f} V" if memory.phase == FLOAT else f"coming down to {facts.u_float:.2f} V"
    cap = Cap(round(volts, 3), memory.phase, why, "limits.cell_voltage.float")
    return memory, Volts(volts, (set_point, cap), full=full)


def _withheld(packs: Sequence[Pack], memory: Memory, u_max: float, set_point: Cap) -> Volts:
    """Nobody answers: what it was, but no more than float."""
    last = memory.voltage.volts if memory.phase not in (FLOAT, TRANSITION) else None
    return _with_silent(packs, Volts(u_max if last is None else min(last, u_max), (set_point,)))


def _with_silent(packs: Sequence[Pack], volts: Volts) -> Volts:
    """While a battery that answered before is silent, no more than float (8.2): nobody sees its cells."""
    silent = [pack.state.name for pack in packs if pack.loss.offline]
    if not silent or volts.volts is None:
        return volts
    u_float = _float_voltage(packs)
    cap = Cap(u_float, "silent", f"{', '.join(silent)} silent: no more than float", "limits.cell_voltage.float")
    return replace(volts, volts=min(volts.volts, u_float), caps=(*volts.caps, cap))


# ---- currents


def _current(way: Way, packs: Sequence[Pack], site: Site, now: float) -> tuple[list[Pack], float, list[Cap]]:
    """One current limit of the bank [A] with all its caps, and the batteries' memories."""
    members, after = [], []
    for pack in packs:
        member, pack_after = _member(way, pack, now)
        members.append(member)
        after.append(pack_after)
    user_cap = site.charge_current_limit if way == "charge" else site.discharge_current_limit
    caps = bank_caps(way, members, user_cap, site.any_blocks)
    # a lost battery contributes nothing; what is left may not be more than the others together allow
    others = sum(member.amps for member in members if not member.lost and not member.open_switch)
    caps.append(Cap(round(others, 3), "sum", f"the batteries together allow {others:.1f} A"))
    return after, max(0.0, tightest(caps).value), caps


def _member(way: Way, pack: Pack, now: float) -> tuple[Member, Pack]:
    """One battery's own limit, with hold and ramp."""
    rules, memory, reading = pack.rules, pack.memory, pack.reading
    setting = rules.settings.charge_current if way == "charge" else rules.settings.discharge_current
    recovery = memory.charge if way == "charge" else memory.discharge
    seen = memory.seen
    if not pack.loss.offline:
        inputs = currents.observe(reading, pack.soc, rules.settings.temperature_sensors)
        seen = currents.remember(inputs, memory.seen, now)
        caps = currents.candidates(way, reading, rules, inputs, seen, now)
    else:
        caps = _silent_caps(pack, recovery)
    wanted = tightest(caps).value
    applied, held = currents.apply(wanted, recovery, setting, now)
    if held:
        key = f"limits.{way}_current.hold"
        caps.append(Cap(applied.amps or 0.0, "recovery", held, key))
    changed = (
        replace(memory, charge=applied, seen=seen) if way == "charge" else replace(memory, discharge=applied, seen=seen)
    )
    switch = reading.charge_allowed if way == "charge" else reading.discharge_allowed
    open_switch = switch is False and not pack.loss.offline
    lost = pack.loss.blocked
    if lost:
        caps = _last_allowed(way, pack)
    member = Member(pack.state.name, reading.capacity, applied.amps or 0.0, tuple(caps), open_switch, lost)
    return member, replace(pack, memory=changed)


def _last_allowed(way: Way, pack: Pack) -> list[Cap]:
    """A blocked battery's zero does not stop the others, but it may still be connected and take its share."""
    switch = pack.reading.charge_allowed if way == "charge" else pack.reading.discharge_allowed
    before = pack.memory.charge_before if way == "charge" else pack.memory.discharge_before
    if switch is False or before is None:
        return []
    return [Cap(before, "silent", f"{pack.loss.why}; it last allowed {before:g} A for its share", "limits.on_loss")]


def _silent_caps(pack: Pack, recovery: Recovery) -> list[Cap]:
    """A silent battery: nothing where it is blocked, else what it had, never more."""
    amps = 0.0 if pack.loss.blocked else (recovery.amps or 0.0)
    return [Cap(amps, "silent", pack.loss.why, "limits.on_loss")]


def _any_allows(packs: Sequence[Pack], way: Way) -> bool:
    """Some battery that answers has its switch closed; an unknown switch counts as closed (Q5)."""
    allowed = [p.reading.charge_allowed if way == "charge" else p.reading.discharge_allowed for p in packs]
    return any(switch is not False for switch in allowed)


# ---- the rest


def _alarms(
    memory: Memory,
    packs: Sequence[Pack],
    bank: BankState,
    settings: LimitSettings,
    total_soc: float | None,
    ccl: float,
    dcl: float,
    now: float,
    wall: float,
) -> tuple[Memory, dict[str, int]]:
    raised = alarms.muted(bank.alarms, memory, settings, wall)
    if settings.soc.source != "bms" and total_soc is not None:
        raised["low_soc"] = alarms.low_soc(total_soc, settings.soc)
    difference = max(((p.reading.max_cell or 0.0) - (p.reading.min_cell or 0.0) for p in packs), default=0.0)
    memory, level = alarms.imbalance(memory, difference, bank.current, bank.capacity, settings, now)
    if level:
        raised["cell_imbalance"] = max(level, raised.get("cell_imbalance", 0))
    memory, disobeyed = alarms.disobeyed(memory, bank.current, ccl, dcl, settings, now)
    for name, more in disobeyed.items():
        raised[name] = max(more, raised.get(name, 0))
    cable = alarms.cable({p.state.name: p.loss.cable for p in packs}, any(_online(p) for p in packs))
    raised["bms_cable"] = max(cable, raised.get("bms_cable", 0))
    return memory, raised


def _remembered(
    memory: Memory,
    packs: Sequence[Pack],
    bank: BankState,
    settings: LimitSettings,
    total_soc: float | None,
    seconds: float,
    full: bool,
    now: float,
    wall: float,
) -> Memory:
    """Averages, times and history, and what the batteries remember."""
    known: Mapping[str, BatteryMemory] = {**memory.batteries, **{pack.state.name: pack.memory for pack in packs}}
    average = flow.averaged(memory.current_average, bank.current, seconds)
    memory = replace(memory, batteries=known, soc=total_soc, current_average=average, now=now, wall=wall)
    if settings.history:
        memory = replace(memory, history=history.lived(memory.history, bank, average, total_soc, seconds, full))
    timing = settings.time_to_go
    if timing.enabled and (memory.time_to_go is None or int(now / timing.every) != int((now - seconds) / timing.every)):
        memory = replace(
            memory,
            time_to_go=flow.time_to_go(total_soc, bank.capacity, average, settings.soc.low_warning),
            time_to_soc=flow.times_to(timing.points, total_soc, bank.capacity, average),
        )
    return memory


def _low_voltage(packs: Sequence[Pack]) -> float | None:
    """Discharge voltage limit [V]: the highest of the packs' minima."""
    floors = [round(p.rules.settings.cell_voltage.min * p.reading.cells, 2) for p in packs if p.reading.cells]
    return max(floors, default=None)


def _waiting(
    packs: Sequence[Pack], total_soc: float | None, site: Site, memory: Memory, now: float, wall: float
) -> tuple[str, ...]:
    lines = [f"{pack.state.name}: {pack.loss.why}" for pack in packs if pack.loss.why]
    found = _set_point(packs, site, memory.reset_requested)
    facts = _facts([p for p in packs if _online(p)], total_soc, found[0]) if found else None
    if facts is not None:
        lines.extend(charge_state.waiting(Moment(facts, memory, site.limits, now, wall)))
    return tuple(lines)
