"""One evaluation: bank and memory in, decision and memory out.  Pure: time is an argument.  Sheet: limits.md chapter 1.

Order: loss and SoC of each battery, charge state machine and voltage, currents of each battery and their share of the
bank, alarms, averages and history.
"""

from collections.abc import Sequence

from gateway.limits import alarms, charge_state, flow, history, members, remote, voltage
from gateway.limits.currents import Way
from gateway.limits.loss import company_of
from gateway.limits.memory import Memory
from gateway.limits.pack import NOTHING, Pack, Whole, answering, bank_current, bank_soc, filled, look
from gateway.limits.settings import LimitSettings
from gateway.limits.site import Site
from gateway.limits.soc import high_since, starved, wants_full_charge
from gateway.limits.unheard import WHY, Unheard, as_members, unheard
from gateway.model import BankState, Decision, RemoteLimit
from gateway.model.records import replace


def evaluate(
    bank: BankState, site: Site, memory: Memory, now: float, wall: float, asked: Sequence[RemoteLimit] = ()
) -> tuple[Decision, Memory]:
    """Decide for `bank`.  `now` is monotonic, `wall` the epoch, both in s; `asked`: limits from outside."""
    seconds = max(0.0, now - memory.now) if memory.date else 0.0
    memory = charge_state.due(replace(memory.at(now, wall), now=now - seconds), site.limits)
    packs = _look(bank, site, memory, now)
    outside = _look_outside(bank, site, memory, now)
    absent = [state.name for state in bank.batteries if state.control and not state.contributes]
    missing = unheard(bank, memory)
    soc, current = bank_soc(packs), bank_current(packs, bank.external)
    memory, volts = voltage.decide(packs, Whole(soc, current), site, memory, now, tuple(missing))
    if volts.full:
        packs = [filled(pack) for pack in packs]
        soc = bank_soc(packs)
    packs, (ccl, charge_caps, charge) = _limit("charge", packs, absent, missing, site, memory, soc, asked, now)
    packs, (dcl, discharge_caps, discharge) = _limit("discharge", packs, absent, missing, site, memory, soc, asked, now)
    memory = replace(
        memory,
        batteries={**memory.batteries, **{pack.state.name: pack.memory for pack in (*packs, *outside)}},
        remote_charge=charge,
        remote_discharge=discharge,
        blocked_since=_blocked_since(packs, memory, now),
        force_charge=starved(soc, memory.force_charge, site.limits.force_charge),
        high_soc_at=high_since(soc, memory, site.limits.full_charge_request),
        soc=soc,
        now=now,
    )
    memory = _lived(memory, packs, bank, site.limits, current, seconds, volts.full)
    memory, raised = alarms.published(memory, packs, bank, site.limits, current, (ccl, dcl))
    source = _soc_source(bank, site.limits)
    drop = voltage.dropped(packs, site.limits.voltage_drop)
    decision = Decision(
        cvl=None if volts.volts is None else round(volts.volts + drop, 2),
        ccl=ccl,
        dcl=dcl,
        allow_charge=ccl != 0,
        allow_discharge=dcl != 0,
        charge_mode=volts.mode,
        soc=None if soc is None else round(soc, 3),
        soc_source=source,
        remaining_capacity=_remaining(packs, bank, soc, source),
        force_charge=memory.force_charge,
        full_charge=wants_full_charge(memory, site.limits.full_charge_request),
        soc_reset=memory.reset_requested,
        cell_ovp=volts.ovp,
        low_voltage=voltage.lowest(packs),
        cvl_caps=volts.caps,
        ccl_caps=charge_caps,
        dcl_caps=discharge_caps,
        waiting=(*_silences(packs), *(f"{name}: {WHY}" for name in missing), *_strangers(bank), *volts.waiting),
        alarms=raised,
        notes=tuple(pack.note for pack in (*packs, *outside) if pack.note),
        blocked_since=memory.blocked_since,
    )
    return decision, memory


def _limit(
    way: Way, packs: Sequence[Pack], absent: Sequence[str], missing: Unheard, site: Site, memory: Memory,
    soc: float | None, asked: Sequence[RemoteLimit], now: float,
) -> tuple[list[Pack], remote.Limited]:  # fmt: skip
    """What the batteries together may have in this direction, and what is asked for from outside on top."""
    before, setting = (
        (memory.remote_charge, site.limits.charge_current)
        if way == "charge"
        else (memory.remote_discharge, site.limits.discharge_current)
    )
    packs, _, caps = members.limit(way, packs, absent, site, now, as_members(way, missing))
    return packs, remote.tightened(way, caps, asked, soc, before, setting, now)


def _look(bank: BankState, site: Site, memory: Memory, now: float) -> list[Pack]:
    """Each contributing battery; a sensor outside measures the current of a battery only where it is alone."""
    members = [state for state in bank.batteries if state.contributes]
    external = bank.external or NOTHING
    if len(members) > 1:
        external = replace(external, current=None)
    lost = [name for name, battery in memory.batteries.items() if battery.lost]
    return [look(state, site, memory, now, external, company_of(state, members, lost)) for state in members]


def _look_outside(bank: BankState, site: Site, memory: Memory, now: float) -> list[Pack]:
    """Batteries that are kept out now: nothing rests on them, but what they show is remembered for when they count."""
    outside = [state for state in bank.batteries if state.contributes_if_joined and not state.joined]
    return [look(state, site, memory, now) for state in outside]


def _soc_source(bank: BankState, settings: LimitSettings) -> str:
    """Whose SoC the rules use now; sheet: 5.2."""
    if bank.external is not None and bank.external.soc is not None:
        return "external"
    return settings.soc.source


def _remaining(packs: Sequence[Pack], bank: BankState, soc: float | None, source: str) -> float | None:
    """Ah by the SoC the rules use, where it is not the BMSs' own; sheet: 5.4."""
    capacity = _capacity(packs)
    if source == "bms" and bank.remaining_capacity is not None:
        return bank.remaining_capacity
    return None if capacity is None or soc is None else capacity * soc / 100


def _blocked_since(packs: Sequence[Pack], memory: Memory, now: float) -> float | None:
    """Since when no battery may do anything because all are silent."""
    if not packs or not all(pack.loss.blocked for pack in packs):
        return None
    return now if memory.blocked_since is None else memory.blocked_since


def _silences(packs: Sequence[Pack]) -> list[str]:
    """Batteries that do not take part as usual, and why."""
    lines = []
    for pack in packs:
        if pack.loss.why:
            lines.append(f"{pack.state.name}: {pack.loss.why}")
        elif len(packs) > 1:
            open_ = ((pack.reading.charge_allowed, "charge"), (pack.reading.discharge_allowed, "discharge"))
            lines += [f"{pack.state.name}: {way} switch off, takes no share" for on, way in open_ if on is False]
    return lines


def _strangers(bank: BankState) -> list[str]:
    """Batteries that are no members, and why."""
    return [f"{state.name}: {state.remark}" for state in alarms.strangers(bank) if state.remark]


def _lived(
    memory: Memory,
    packs: Sequence[Pack],
    bank: BankState,
    settings: LimitSettings,
    current: float | None,
    seconds: float,
    full: bool,
) -> Memory:
    """Averages, times and history after `seconds` more with `current` [A] flowing."""
    now = memory.now
    window = flow.flowed(memory.window, current, now, seconds)
    average = flow.average(window, current, now)
    memory = replace(memory, window=window, current_average=None if average is None else round(average, 2))
    if settings.history:
        u_float = min((p.rules.settings.cell_voltage.float_ * (p.cells or 0) for p in packs), default=None)
        lived = history.begun(memory.history, bank, u_float)
        full_at = memory.date if full else None
        memory = replace(memory, history=history.lived(lived, bank, current, average, memory.soc, seconds, full_at))
    timing = settings.time_to_go
    if not timing.enabled or (memory.timed_at is not None and now - memory.timed_at < timing.every):
        return memory
    capacity = _capacity(packs)
    floor = settings.soc.low_warning if bank.discharge_floor is None else bank.discharge_floor
    return replace(
        memory,
        timed_at=now,
        time_to_go=flow.time_to_go(memory.soc, capacity, average, floor),
        time_to_soc=flow.times_to(timing.points, memory.soc, capacity, average),
    )


def _capacity(packs: Sequence[Pack]) -> float | None:
    """Ah of the batteries that answer; None while one does not know its own."""
    known = [pack.capacity for pack in answering(packs)]
    return sum(c for c in known if c is not None) if known and None not in known else None
