"""One evaluation: bank and memory in, decision and memory out.  Pure: time is an argument.  Sheet: limits.md chapter 1.

Order: loss and SoC of each battery, charge state machine and voltage, currents of each battery and their share of the
bank, alarms, averages and history.
"""

from collections.abc import Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, Final, NamedTuple

from gateway.limits import alarms, charge_state, flow, history, members, remote, voltage
from gateway.limits.currents import Way
from gateway.limits.loss import ALONE, Company, company_of
from gateway.limits.memory import BatteryMemory, Memory
from gateway.limits.pack import NOTHING, Pack, Whole, answering, bank_current, bank_soc, filled, look
from gateway.limits.settings import LimitSettings
from gateway.limits.site import Site
from gateway.limits.soc import high_since, starved, wants_full_charge
from gateway.limits.unheard import WHY, Unheard, as_members, unheard
from gateway.model import BankState, BatteryState, Decision, External, Health, RemoteLimit
from gateway.model.records import made, replace

HEALTH: Final = attrgetter("health")
WHY_NOT: Final = attrgetter("loss.why")
SWITCHES: Final = attrgetter("reading.charge_allowed", "reading.discharge_allowed")


class _Sight(NamedTuple):
    """The batteries of a bank, by what part they have in it now."""

    packs: list[Pack]  # contributing
    outside: list[Pack]  # kept out: nothing rests on them, but what they show is remembered for when they count
    absent: list[str]  # names of controlled ones that do not contribute
    missing: Unheard


def evaluate(
    bank: BankState, site: Site, memory: Memory, now: float, wall: float, asked: Sequence[RemoteLimit] = ()
) -> tuple[Decision, Memory]:
    """Decide for `bank`.  `now` is monotonic, `wall` the epoch, both in s; `asked`: limits from outside."""
    seconds = max(0.0, now - memory.now) if memory.date else 0.0
    memory = charge_state.due(memory.at(now, wall, looked=now - seconds), site.limits)
    seen = _sight(bank, site, memory, now)
    soc, current = bank_soc(seen.packs), bank_current(seen.packs, bank.external)
    memory, volts = voltage.decide(seen.packs, Whole(soc, current), site, memory, now, tuple(seen.missing))
    if volts.full:
        seen = seen._replace(packs=[filled(pack) for pack in seen.packs])
        soc = bank_soc(seen.packs)
    learnt_in, charge = _limit("charge", seen, site, memory, soc, asked, now)
    learnt_out, discharge = _limit("discharge", seen, site, memory, soc, asked, now)
    memory = replace(
        memory,
        batteries={**memory.batteries, **_remembered(seen, learnt_in, learnt_out)},
        remote_charge=charge.memory,
        remote_discharge=discharge.memory,
        blocked_since=_blocked_since(seen.packs, memory, now),
        force_charge=starved(soc, memory.force_charge, site.limits.force_charge),
        high_soc_at=high_since(soc, memory, site.limits.full_charge_request),
        soc=soc,
        now=now,
        **_lived(memory, seen.packs, bank, site.limits, Whole(soc, current), now, seconds, volts.full),
    )
    limits = charge.amps, discharge.amps
    memory, raised = alarms.published(memory, seen.packs, bank, site.limits, current, limits, bool(seen.missing))
    return _decision(bank, site, seen, volts, charge, discharge, raised, memory), memory


def _decision(
    bank: BankState, site: Site, seen: _Sight, volts: voltage.Volts, charge: remote.Limited,
    discharge: remote.Limited, raised: dict[str, int], memory: Memory,
) -> Decision:  # fmt: skip
    """What was worked out, as the outputs want it."""
    soc, source = memory.soc, _soc_source(bank, site.limits)
    drop = voltage.dropped(seen.packs, site.limits.voltage_drop)
    unheard_yet = [f"{name}: {WHY}" for name in seen.missing]
    return made(
        Decision,
        cvl=None if volts.volts is None else round(volts.volts + drop, 2),
        ccl=charge.amps,
        dcl=discharge.amps,
        allow_charge=charge.amps != 0,
        allow_discharge=discharge.amps != 0,
        charge_mode=volts.mode,
        soc=None if soc is None else round(soc, 3),
        soc_source=source,
        remaining_capacity=_remaining(seen.packs, bank, soc, source),
        force_charge=memory.force_charge,
        full_charge=wants_full_charge(memory, site.limits.full_charge_request),
        soc_reset=memory.reset_requested,
        cell_ovp=volts.ovp,
        low_voltage=voltage.lowest(seen.packs),
        cvl_caps=volts.caps,
        ccl_caps=charge.caps,
        dcl_caps=discharge.caps,
        waiting=(*_silences(seen.packs), *unheard_yet, *_strangers(bank), *volts.waiting),
        alarms=raised,
        notes=tuple([pack.note for pack in (*seen.packs, *seen.outside) if pack.note]),
        blocked_since=memory.blocked_since,
    )


def _remembered(
    seen: _Sight, charge: Sequence[members.Learnt], discharge: Sequence[members.Learnt]
) -> dict[str, BatteryMemory]:
    """What is remembered of each battery, with what became of its limits."""
    inside = {
        pack.state.name: replace(pack.memory, **one, **other) if one or other else pack.memory
        for pack, one, other in zip(seen.packs, charge, discharge, strict=True)
    }
    return {**{pack.state.name: pack.memory for pack in seen.outside}, **inside}


def _limit(
    way: Way, seen: _Sight, site: Site, memory: Memory, soc: float | None, asked: Sequence[RemoteLimit], now: float
) -> tuple[Sequence[members.Learnt], remote.Limited]:
    """What the batteries together may have in this direction, and what is asked for from outside on top."""
    before, setting = (
        (memory.remote_charge, site.limits.charge_current)
        if way == "charge"
        else (memory.remote_discharge, site.limits.discharge_current)
    )
    learnt, caps = members.limit(way, seen.packs, seen.absent, site, now, as_members(way, seen.missing))
    return learnt, remote.tightened(way, caps, asked, soc, before, setting, now)


def _sight(bank: BankState, site: Site, memory: Memory, now: float) -> _Sight:
    """Look at each battery."""
    members = [state for state in bank.batteries if state.contributes]
    others = [state for state in bank.batteries if not state.contributes] if len(members) < len(bank.batteries) else []
    return _Sight(
        packs=_look(members, bank.external or NOTHING, site, memory, now),
        outside=[look(state, site, memory, now) for state in others if state.contributes_if_joined],
        absent=[state.name for state in others if state.control],
        missing=unheard(bank, memory),
    )


def _look(members: Sequence[BatteryState], external: External, site: Site, memory: Memory, now: float) -> list[Pack]:
    """Each contributing battery; a sensor outside measures the current of a battery only where it is alone."""
    if len(members) > 1 and external.current is not None:
        external = replace(external, current=None)
    company: dict[str, Company] = {}
    if list(map(HEALTH, members)).count(Health.ONLINE) < len(members):
        lost = [name for name, battery in memory.batteries.items() if battery.lost]
        company = {state.name: company_of(state, members, lost) for state in members}
    return [look(state, site, memory, now, external, company.get(state.name, ALONE)) for state in members]


def _soc_source(bank: BankState, settings: LimitSettings) -> str:
    """Whose SoC the rules use now; sheet: 5.2."""
    if bank.external is not None and bank.external.soc is not None:
        return "external"
    return settings.soc.source


def _remaining(packs: Sequence[Pack], bank: BankState, soc: float | None, source: str) -> float | None:
    """Ah by the SoC the rules use, where it is not the BMSs' own; sheet: 5.4."""
    if source == "bms" and bank.remaining_capacity is not None:
        return bank.remaining_capacity
    capacity = _capacity(packs)
    return None if capacity is None or soc is None else capacity * soc / 100


def _blocked_since(packs: Sequence[Pack], memory: Memory, now: float) -> float | None:
    """Since when no battery may do anything because all are silent."""
    if not packs or not all(pack.loss.blocked for pack in packs):
        return None
    return now if memory.blocked_since is None else memory.blocked_since


def _silences(packs: Sequence[Pack]) -> list[str]:
    """Batteries that do not take part as usual, and why."""
    lines: list[str] = []
    if not any(map(WHY_NOT, packs)) and False not in chain.from_iterable(map(SWITCHES, packs)):
        return lines  # as it mostly is
    for pack in packs:
        if pack.loss.why:
            lines.append(f"{pack.state.name}: {pack.loss.why}")
        elif len(packs) > 1:
            if pack.reading.charge_allowed is False:
                lines.append(f"{pack.state.name}: charge switch off, takes no share")
            if pack.reading.discharge_allowed is False:
                lines.append(f"{pack.state.name}: discharge switch off, takes no share")
    return lines


def _strangers(bank: BankState) -> list[str]:
    """Batteries that are no members, and why."""
    return [f"{state.name}: {state.remark}" for state in alarms.strangers(bank) if state.remark]


def _lived(
    memory: Memory,
    packs: Sequence[Pack],
    bank: BankState,
    settings: LimitSettings,
    whole: Whole,
    now: float,
    seconds: float,
    full: bool,
) -> dict[str, Any]:
    """Averages, times and history after `seconds` more as `whole`: the fields of the memory that are to be others."""
    window = flow.flowed(memory.window, whole.current, now, seconds)
    average = flow.average(window, whole.current, now)
    learnt: dict[str, Any] = {"window": window, "current_average": None if average is None else round(average, 2)}
    if settings.history:
        before, full_at = memory.history, memory.date if full else None
        if not before.begun:
            u_float = min([p.rules.settings.cell_voltage.float_ * (p.cells or 0) for p in packs], default=None)
            before = history.begun(before, bank, u_float)
        learnt["history"] = history.lived(before, bank, whole.current, average, whole.soc, seconds, full_at)
    timing = settings.time_to_go
    if not timing.enabled or (memory.timed_at is not None and now - memory.timed_at < timing.every):
        return learnt
    capacity = _capacity(packs)
    floor = settings.soc.low_warning if bank.discharge_floor is None else bank.discharge_floor
    return {
        **learnt,
        "timed_at": now,
        "time_to_go": flow.time_to_go(whole.soc, capacity, average, floor),
        "time_to_soc": flow.times_to(timing.points, whole.soc, capacity, average),
    }


def _capacity(packs: Sequence[Pack]) -> float | None:
    """Ah of the batteries that answer; None while one does not know its own."""
    known = [pack.capacity for pack in answering(packs)]
    return sum([c for c in known if c is not None]) if known and None not in known else None
