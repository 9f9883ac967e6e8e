"""One contributing battery during one evaluation: its reading, rules, memory, and what its silence means."""

from collections.abc import Sequence
from operator import attrgetter, mul
from typing import Final, Literal, NamedTuple

from gateway.limits import loss, soc
from gateway.limits.inputs import Inputs, observe, remember, usable
from gateway.limits.levels import Levels, levels
from gateway.limits.loss import ALONE, Company, Loss
from gateway.limits.memory import BatteryMemory, Memory
from gateway.limits.site import Rules, Site
from gateway.model import BatteryState, External, Health, Reading
from gateway.model.records import replace

NEW = BatteryMemory()
NOTHING = External()


class Pack(NamedTuple):
    """A battery as the rules see it."""

    state: BatteryState
    reading: Reading
    rules: Rules
    memory: BatteryMemory
    loss: Loss
    soc: float | None  # %
    inputs: Inputs  # what is missing counting as it was last known, for as long as it may
    online: bool  # it answers now
    counts: bool  # and its voltage is the bank's
    capacity: float | None  # Ah, as last known
    cells: int | None  # in series; a battery has no fewer than were seen of it
    levels: Levels | None  # of so many cells
    note: str  # what was learnt anew of it

    @property
    def whole(self) -> bool:
        """Every one of its cells is known now, or the lowest and the highest of all."""
        reading = self.reading
        return (
            None not in reading.cell_voltages
            and reading.min_cell is not None
            and reading.max_cell is not None
            and (reading.cells or 0) >= (self.memory.cells or 0)
        )

    def asked(self, name: Literal["max_battery_voltage", "min_battery_voltage"]) -> float | None:
        """A voltage that the BMS asks for [V], as last known."""
        value: float | None = getattr(self.reading, name)
        last = self.memory.seen.last(name) if value is None else None
        return value if last is None else last[0]


def look(
    state: BatteryState,
    site: Site,
    memory: Memory,
    now: float,
    external: External = NOTHING,
    company: Company = ALONE,
) -> Pack:
    """One battery (with a reading) with its loss judged, its SoC counted and its inputs remembered.

    `external` is what a sensor outside says of this very battery, `company` are the other members of the bank.
    """
    rules, reading = site.rules(state.name), state.reading or Reading()
    if external.current is not None:
        reading = replace(reading, current=external.current)
    settings = rules.settings
    before = memory.batteries.get(state.name, NEW)
    gone, mine = loss.judge(state, before, settings, company)
    online = state.health is Health.ONLINE
    if online and settings.soc.source == "counter":
        mine = soc.count(reading, mine, settings, now)
    charge = soc.chosen(reading, mine, settings, external.soc, full=not memory.allow_max)
    inputs = observe(reading, charge, settings.temperature_sensors, mine)
    if online:
        mine = _learnt(reading, inputs, mine, now)
    if online and mine.gone:
        back = mine.back or NEW
        anew = observe(reading, charge, settings.temperature_sensors, back)
        mine = replace(mine, back=_learnt(reading, anew, back, now))
    note = _renewed(state.name, before, mine) if before.gone and not mine.gone else ""
    inputs = usable(inputs, mine.seen, now) if inputs.missing else inputs
    cells = mine.cells or reading.cells
    known = levels(rules, state.name, cells, memory.reset_requested) if cells else None
    return Pack(
        state, reading, rules, mine, gone, charge, inputs, online, online and state.shares,
        reading.capacity or mine.capacity, cells, known, note,
    )  # fmt: skip


def _learnt(reading: Reading, inputs: Inputs, memory: BatteryMemory, now: float) -> BatteryMemory:
    """What this reading tells of the battery; a longer list of cells is not believed against the pack voltage."""
    doubtful = memory.cells is not None and "voltage" in reading.rejected
    return replace(
        memory,
        seen=remember(inputs, memory.seen, now),
        cells=memory.cells if doubtful else max(reading.cells or 0, memory.cells or 0) or None,
        sensors=max(len(reading.temperatures), memory.sensors),
        capacity=reading.capacity or memory.capacity,
    )


def _renewed(name: str, before: BatteryMemory, after: BatteryMemory) -> str:
    """What is another battery, or another half of it, than was lost, as far as that one is remembered."""
    changes = [
        f"{now if now is not None else 'unknown'} {what} instead of {then}"
        for what, then, now in (
            ("cells", before.cells, after.cells),
            ("cell sensors", before.sensors, after.sensors),
            ("Ah", before.capacity, after.capacity),
        )
        if then and then != now
    ]
    return f"{name}: it was lost and is taken as it is now: {', '.join(changes)}" if changes else ""


class Whole(NamedTuple):
    """All of them together."""

    soc: float | None  # %
    current: float | None  # A, + = charging


SOC: Final = attrgetter("soc")
CAPACITY: Final = attrgetter("capacity")


def answering(packs: Sequence[Pack]) -> list[Pack]:
    """Those that answer now and are the bank's, else any that answer, else all as last known."""
    return [pack for pack in packs if pack.counts] or [pack for pack in packs if pack.online] or list(packs)


def bank_soc(packs: Sequence[Pack]) -> float | None:
    """SoC [%] weighted by capacity, of those that answer, else of all as last known; None while one is not known."""
    known = answering(packs)
    if len(known) == 1:
        return known[0].soc
    if not known or None in map(SOC, known):
        return None
    weights = list(map(CAPACITY, known))
    if not all(weights):
        weights = [1.0] * len(known)
    return sum(map(mul, map(SOC, known), weights)) / sum(weights)  # type: ignore[no-any-return]


def bank_current(packs: Sequence[Pack], external: External | None = None) -> float | None:
    """A through the whole bank: by a sensor outside, else of those that answer; None while one does not know."""
    flows = [pack.reading.current for pack in packs if pack.online]
    if flows and external is not None and external.current is not None:
        return external.current
    return sum(flows) if flows and None not in flows else None  # type: ignore[arg-type]


def filled(pack: Pack) -> Pack:
    """After the full event: the counter of a battery that answers says 100 %."""
    if pack.rules.settings.soc.source != "counter" or not pack.capacity or not pack.online:
        return pack
    return pack._replace(memory=replace(pack.memory, counted_ah=pack.capacity, counted_soc=100.0), soc=100.0)
