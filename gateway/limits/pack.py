"""One contributing battery during one evaluation: its reading, rules, memory, and what its silence means."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.limits import loss, soc
from gateway.limits.inputs import Inputs, observe, remember
from gateway.limits.loss import Loss
from gateway.limits.memory import BatteryMemory, Memory
from gateway.limits.site import Rules, Site
from gateway.model import BatteryState, External, Health, Reading

NEW = BatteryMemory()
NOTHING = External()


@dataclass(frozen=True, slots=True)
class Pack:
    """A battery as the rules see it."""

    state: BatteryState
    reading: Reading
    rules: Rules
    memory: BatteryMemory
    loss: Loss
    soc: float | None  # %
    inputs: Inputs

    @property
    def online(self) -> bool:
        """It answers now."""
        return self.state.health is Health.ONLINE

    @property
    def capacity(self) -> float | None:
        """Ah, as last known."""
        return self.reading.capacity or self.memory.capacity


def look(state: BatteryState, site: Site, memory: Memory, now: float, external: External = NOTHING) -> Pack:
    """One battery (with a reading) with its loss judged, its SoC counted and its inputs remembered.

    `external` is what a sensor outside says of this very battery.
    """
    rules, reading = site.rules(state.name), state.reading or Reading()
    if external.current is not None:
        reading = replace(reading, current=external.current)
    settings = rules.settings
    gone, mine = loss.judge(state, memory.batteries.get(state.name, NEW), settings)
    online = state.health is Health.ONLINE
    if online and settings.soc.source == "counter":
        mine = soc.count(reading, mine, settings, now)
    charge = soc.chosen(reading, mine, settings, external.soc, full=not memory.allow_max)
    inputs = observe(reading, charge, settings.temperature_sensors, mine.seen)
    if online:
        mine = replace(
            mine,
            seen=remember(inputs, mine.seen, now),
            cells=reading.cells or mine.cells,
            capacity=reading.capacity or mine.capacity,
        )
    return Pack(state, reading, rules, mine, gone, charge, inputs)


@dataclass(frozen=True, slots=True)
class Whole:
    """All of them together."""

    soc: float | None  # %
    current: float | None  # A, + = charging


def answering(packs: Sequence[Pack]) -> list[Pack]:
    """Those that answer now, else all as last known."""
    return [pack for pack in packs if pack.online] or list(packs)


def bank_soc(packs: Sequence[Pack]) -> float | None:
    """SoC [%] weighted by capacity, of those that answer, else of all as last known; None while one is not known."""
    known = answering(packs)
    if not known or any(pack.soc is None for pack in known):
        return None
    if len(known) == 1:
        return known[0].soc
    weights = [pack.capacity or 0.0 for pack in known]
    if not all(weights):
        weights = [1.0] * len(known)
    return sum((pack.soc or 0.0) * weight for pack, weight in zip(known, weights, strict=True)) / sum(weights)


def bank_current(packs: Sequence[Pack], external: External | None = None) -> float | None:
    """A through the whole bank: by a sensor outside, else of those that answer; None while one does not know."""
    flows = [pack.reading.current for pack in packs if pack.online]
    if flows and external is not None and external.current is not None:
        return external.current
    return sum(f for f in flows if f is not None) if flows and None not in flows else None


def filled(pack: Pack) -> Pack:
    """After the full event: the counter of a battery that answers says 100 %."""
    if pack.rules.settings.soc.source != "counter" or not pack.capacity or not pack.online:
        return pack
    return replace(pack, memory=replace(pack.memory, counted_ah=pack.capacity, counted_soc=100.0), soc=100.0)
