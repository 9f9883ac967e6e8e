"""The charge voltage of the bank: set-point, charge state machine, cell controllers.  Sheet: limits.md chapter 3.

The machine runs once, for the bank; the cell-voltage controller runs for each battery and the lowest target wins.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import add, attrgetter, sub
from typing import Final, NamedTuple

from gateway.limits import charge_state, cvl
from gateway.limits.charge_state import ABSORPTION, BULK, ERROR, FIXED, FLOAT, TRANSITION, Facts, Moment
from gateway.limits.levels import levels
from gateway.limits.memory import Memory, Voltage
from gateway.limits.pack import Pack, Whole
from gateway.limits.settings import LimitSettings
from gateway.limits.site import Site
from gateway.model import Cap, tightest
from gateway.model.records import replace

FACTS: Final = attrgetter("min_cell", "max_cell", "cells_sum", "voltage")
MOST_DROP: Final = 0.05  # V per cell that a cable may lose; more would only charge a small pack too high


class Volts(NamedTuple):
    """What became of the charge voltage."""

    volts: float | None  # V, without the voltage drop; None while no cell count is known
    caps: tuple[Cap, ...]
    mode: str
    ovp: str = "none"
    full: bool = False  # this evaluation ended a charge
    waiting: tuple[str, ...] = ()


class SetPoint(NamedTuple):
    """How high the bank may be charged, and where float is."""

    u_max: float  # V
    u_float: float  # V, never above u_max
    cap: Cap
    cells: int  # in series


def decide(
    packs: Sequence[Pack], whole: Whole, site: Site, memory: Memory, now: float, missing: Sequence[str] = ()
) -> tuple[Memory, Volts]:
    """The control voltage for `packs`, which together are `whole`; `missing` have not answered since the start."""
    point = set_point(packs, memory.reset_requested)
    unheard = {name: site.of(name) for name in missing} if missing else {}
    if point is None:
        return charge_state.blind(memory, now - memory.now), Volts(None, (), ERROR)
    fresh = [pack for pack in packs if pack.counts]
    if not fresh:
        memory = charge_state.blind(memory, now - memory.now)
        return memory, _no_more_than_float(packs, unheard, point, _last(memory, point))
    if not site.limits.charge_voltage.enabled:
        volts = Volts(point.u_max, (point.cap,), FIXED)
        return replace(memory, phase=FIXED), _no_more_than_float(packs, unheard, point, volts)
    facts = facts_of(fresh, whole, point)
    if isinstance(facts, str):
        return charge_state.blind(memory, now - memory.now), _blind(facts, point, memory)
    memory, volts = _run(packs, facts, point, site.limits, charge_state.unwatched(memory, now), now)
    return memory, _no_more_than_float(packs, unheard, point, volts)


def _run(
    packs: Sequence[Pack],
    facts: Facts,
    point: SetPoint,
    settings: LimitSettings,
    memory: Memory,
    now: float,
) -> tuple[Memory, Volts]:
    """One step of the machine, and the voltage of the state it is in."""
    before = memory
    memory = charge_state.step(Moment(facts, memory, settings, now))
    if memory.allow_max:
        memory, volts = _charging(packs, memory, before, point, settings, facts, now)
    else:
        full = before.allow_max
        if full:
            memory = charge_state.enter_float(memory, facts, settings, now)
        elif memory.phase not in (FLOAT, TRANSITION):
            memory = replace(memory, phase=FLOAT)
        memory, volts = _floating(packs, memory, point, facts, settings, full, now)
    return memory, volts._replace(waiting=charge_state.waiting(Moment(facts, memory, settings, now)))


# ---- how high


def set_point(packs: Sequence[Pack], reset: bool) -> SetPoint | None:
    """U_max and U_float of the bank: the lowest of its packs'.  None while no cell count is known."""
    known = [pack.levels for pack in packs if pack.levels]
    if not known:
        return None
    caps, floats, _, cells = zip(*known, strict=True)
    cap = tightest(caps if reset else [*caps, *_asked(packs)])
    return SetPoint(cap.value, min(*floats, cap.value), cap, min(cells))


def _asked(packs: Sequence[Pack]) -> Iterator[Cap]:
    """What their BMSs ask for, where they are listened to (Q17); 0 V would make an inverter drain the battery."""
    for pack in packs:
        if not pack.rules.settings.use_bms_values or (asked := pack.asked("max_battery_voltage")) is None:
            continue
        known = [pack] if pack.cells else packs
        least = round(min([p.rules.settings.cell_voltage.min * cells for p in known if (cells := p.cells)]), 2)
        why = f"the BMS asks for {asked:.2f} V"
        yield Cap(max(asked, least), "bms_limit", why, "limits.use_bms_values", pack.state.name)


def _summit(packs: Sequence[Pack]) -> Cap:
    """No way down to float begins above this: settings, members and what a BMS asks for may be others meanwhile."""
    own = [
        levels(pack.rules, pack.state.name, cells, bool(pack.rules.settings.soc_reset.after_days)).cap
        for pack in packs
        if (cells := pack.cells)
    ]
    return tightest([*own, *_asked(packs)])


def lowest(packs: Sequence[Pack]) -> float | None:
    """Discharge voltage limit [V]: the highest of the packs' minima."""
    floors = []
    for pack in packs:
        if pack.levels:
            own = pack.levels.empty
            asked = pack.asked("min_battery_voltage") if pack.rules.settings.use_bms_values else None
            floors.append(own if asked is None else max(own, asked))
    return max(floors, default=None)


def dropped(packs: Sequence[Pack], drop: float) -> float:
    """`drop` [V] as it is added to the published charge voltage: no more than MOST_DROP for each cell of any pack."""
    if not drop:
        return drop
    cells = [known for pack in packs if (known := pack.reading.cells or pack.memory.cells)]
    return min(drop, MOST_DROP * min(cells)) if cells else 0.0


# ---- what is known


def facts_of(packs: Sequence[Pack], whole: Whole, point: SetPoint) -> Facts | str:
    """What the state machine looks at; a sentence when any of it is not known."""
    lows, highs, sums, voltages = zip(*[FACTS(pack.reading) for pack in packs], strict=True)
    if None in sums:
        sums = tuple([volts if own is None else own for own, volts in zip(sums, voltages, strict=True)])
    unseen = [pack.state.name for pack, volts in zip(packs, sums, strict=True) if not pack.whole or volts is None]
    if unseen:
        return f"{unseen[0]}: not all of its cell voltages are known"
    if whole.soc is None:
        return "the SoC is not known"
    mean, difference = reduce(add, sums, 0.0) / len(packs), max(0.0, *map(sub, highs, lows))
    return Facts(mean, difference, max(0.0, *highs), whole.soc, whole.current, point.u_max, point.u_float, point.cells)


# ---- the voltage of each state


def _charging(
    packs: Sequence[Pack],
    memory: Memory,
    before: Memory,
    point: SetPoint,
    settings: LimitSettings,
    facts: Facts,
    now: float,
) -> tuple[Memory, Volts]:
    """Bulk and absorption: the set-point, lowered by whatever single cell is, or last was, too high."""
    phase = BULK if memory.absorbing_since is None else ABSORPTION
    voltage = Voltage() if before.phase in (FLOAT, TRANSITION) else memory.voltage
    voltage, ovp, why = _held_back(packs, memory, voltage, facts.u_max, point.cells, settings, now)
    caps = [point.cap]
    if voltage.volts is not None and voltage.volts < facts.u_max - 1e-9:
        caps.append(Cap(round(voltage.volts, 3), "cell_voltage", why, "limits.charge_voltage.controller"))
    return replace(memory, phase=phase, voltage=voltage), Volts(voltage.volts, tuple(caps), phase, ovp)


def _held_back(
    packs: Sequence[Pack], memory: Memory, before: Voltage, volts: float, fewest: int, settings: LimitSettings,
    now: float,
) -> tuple[Voltage, str, str]:  # fmt: skip
    """`volts`, lowered by whatever single cell is, or last was, too high; also none, limiting, ... and why.

    `before` is what became of it last time; `fewest` cells in series has a pack.
    """
    wishes, bottoms, high = [], [], False
    for pack in packs:
        if not (pack.counts or pack.whole):
            continue
        own, cells, top = pack.rules.settings, pack.cells or 0, pack.reading.max_cell
        limit = own.cell_voltage.max
        if memory.reset_requested:
            limit = max(limit, own.soc_reset.cell_voltage)
        if memory.phase == TRANSITION and cells:  # on the way down from the higher voltage
            limit = max(limit, volts / cells)
        u_min, old = own.cell_voltage.min * cells, not pack.online
        bottoms.append(u_min)
        if cvl.quiet(top, own.charge_voltage, limit):
            wishes.append((volts, ""))
            continue
        least = (own.cell_voltage.float_ + limit) / 2 * cells  # no charger measures worse than that
        high = high or (not old and cvl.over(top, own.charge_voltage, limit))
        wishes.append(cvl.target(pack.reading, own, limit, u_min, volts, before, now, old, least))
    wished, why = min(wishes)
    voltage, ovp = cvl.apply(wished, volts, before, settings.charge_voltage, now, fewest, min(bottoms))
    voltage = cvl.noting(voltage, before, high, now)
    return voltage, ovp, why if why and ovp == "limiting" else f"{ovp} after a cell was too high"


def _floating(
    packs: Sequence[Pack],
    memory: Memory,
    point: SetPoint,
    facts: Facts,
    settings: LimitSettings,
    full: bool,
    now: float,
) -> tuple[Memory, Volts]:
    """Float and the way down to it; a single cell that is too high lowers it, too."""
    memory, volts = charge_state.descend(memory, facts, settings, now)
    what = "float" if memory.phase == FLOAT else "coming down to float"
    caps = [Cap(round(volts, 3), memory.phase, f"{what} {facts.u_float:.2f} V", "limits.cell_voltage.float")]
    if volts <= point.u_max:
        caps.insert(0, point.cap)
    if memory.phase == TRANSITION and (summit := _summit(packs)).value < volts:
        volts = summit.value
        caps.append(summit)
    voltage, ovp, why = _held_back(packs, memory, memory.voltage, volts, point.cells, settings, now)
    if voltage.volts is not None and voltage.volts < volts - 1e-9:
        caps.append(Cap(round(voltage.volts, 3), "cell_voltage", why, "limits.charge_voltage.controller"))
    memory = replace(memory, voltage=voltage)
    return memory, Volts(voltage.volts, tuple(caps), memory.phase, ovp, full=full)


def _last(memory: Memory, point: SetPoint) -> Volts:
    """Nobody answers: what it was."""
    known = memory.voltage.volts
    return Volts(point.u_max if known is None else min(known, point.u_max), (point.cap,), memory.phase or ERROR)


def _blind(why: str, point: SetPoint, memory: Memory) -> Volts:
    """They answer, but not what is needed (3.8): float, or what it was where that is lower."""
    volts = min(point.u_float, _last(memory, point).volts or point.u_float)
    cap = Cap(volts, "missing_data", f"{why}: float voltage, nothing higher", "limits.cell_voltage.float")
    return Volts(volts, (point.cap, cap), ERROR, waiting=(f"missing data: {why}",))


def _no_more_than_float(
    packs: Sequence[Pack], unheard: Mapping[str, LimitSettings], point: SetPoint, volts: Volts
) -> Volts:
    """While a battery that answered before is silent, no more than float (8.2): nobody sees its cells.

    One that is `unheard` since the start has as many cells as the others, and settings of its own.
    """
    silent = [*[pack.state.name for pack in packs if pack.loss.offline], *unheard]
    if not silent or volts.volts is None:
        return volts
    own = [round(settings.cell_voltage.float_ * point.cells, 2) for settings in unheard.values()]
    most = min([point.u_float, *own])
    why = f"{', '.join(silent)} silent: no more than float"
    cap = Cap(most, "silent", why, "limits.cell_voltage.float")
    return volts._replace(volts=min(volts.volts, most), caps=(*volts.caps, cap))
