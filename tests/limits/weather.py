"""A house for a day: sun and clouds, loads that come and go, cells that differ, and a charger that obeys seconds late.

The cells are a plain model (voltage at rest by charge, a resistance, a quick and a slow polarisation), coarse and not
fitted to any make; it shares nothing with the rules.  The charger holds the charge voltage at its terminals at once, as
real ones do, but hears of limits and of the house's loads only after a while: when a load goes off, what it took goes
into the battery until then.
"""

import math
import random
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from gateway.limits import LimitSettings
from gateway.model import Decision
from tests.limits.play import Play
from tests.make import reading

CURVE: Final = (  # share of the charge -> V at rest, of an LFP cell
    (-0.02, 2.20), (0.0, 2.50), (0.02, 2.85), (0.05, 3.05), (0.10, 3.20), (0.20, 3.26), (0.40, 3.295), (0.60, 3.31),
    (0.80, 3.33), (0.92, 3.340), (0.96, 3.355), (0.98, 3.385), (0.99, 3.43), (0.995, 3.48), (1.0, 3.60), (1.02, 4.20),
)  # fmt: skip
AT: Final = [share for share, _ in CURVE]
RESISTANCE: Final = 0.065  # ohm x Ah of one cell; 0.23 mohm at 280 Ah
QUICK, SLOW = (0.8, 40.0), (1.1, 900.0)  # polarisations: share of the resistance, s
BLEED: Final = 0.2  # A of the balancer, above 3.40 V
NOISE: Final = 0.0004  # V of a measurement, besides its step of 1 mV
BUSY, CALM = 1.0, 10.0  # s between evaluations with a full cell, and without
FULL_CELL, EMPTY_CELL = 3.36, 3.10  # V
MORNING, EVENING = 6.0, 20.0  # h
FULL: Final = LimitSettings().cell_voltage.max  # V
NEAR: Final = 3.40  # V of the highest cell from which on the end of the charge has begun

Sky = Literal["sunny", "mixed", "cloudy"]
Load = Literal["house", "steps", "fast"]
Moods = tuple[float, tuple[float, ...]]
"""How long each lasts, on the average [s], and what there is to choose from."""

SKIES: Final[Mapping[Sky, Moods]] = {  # share of the sun that comes through
    "sunny": (3600.0, (1.0,)), "mixed": (240.0, (0.1, 0.3, 1.0, 1.0)), "cloudy": (900.0, (0.1, 0.2, 0.4, 0.6)),
}  # fmt: skip
LOADS: Final[Mapping[Load, Moods]] = {  # A for each Ah of the battery
    "house": (600.0, (0.01, 0.02, 0.03, 0.1, 0.2)), "steps": (240.0, (0.02, 0.02, 0.02, 0.4)),
    "fast": (20.0, (0.01, 0.03, 0.1, 0.4)),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Day:
    """What a day is like, and the battery that lives it."""

    name: str
    sky: Sky = "sunny"
    load: Load = "house"
    cells: int = 16
    capacity: float = 280.0  # Ah
    start: float = 0.6  # share of charge when it begins
    spread: float = 0.0005  # share of charge by which cells are apart, at most
    weak: float = 0.0  # share of its capacity that one cell lacks
    offset: float = 0.0  # V by which the charger holds more than it is told
    late: float = 5.0  # s until the charger knows of a limit or of a load
    obeys_current: bool = True  # False = it follows the charge voltage alone, as solar chargers that feed a grid do
    begins: float = MORNING  # h
    seed: int = 1


def rest_voltage(share: float) -> float:
    """V at rest."""
    k = min(max(bisect_right(AT, share), 1), len(AT) - 1)
    (x0, y0), (x1, y1) = CURVE[k - 1], CURVE[k]
    return y0 + (y1 - y0) * (share - x0) / (x1 - x0)


@dataclass(slots=True)
class Cell:
    """One cell."""

    capacity: float  # Ah
    charge: float  # Ah
    resistance: float  # ohm
    quick: float = 0.0  # V, polarisation
    slow: float = 0.0  # V

    def live(self, current: float, seconds: float) -> None:
        """`current` [A] flows for `seconds`."""
        self.charge += current * seconds / 3600
        drop = current * self.resistance
        self.quick += (drop * QUICK[0] - self.quick) * min(1.0, seconds / QUICK[1])
        self.slow += (drop * SLOW[0] - self.slow) * min(1.0, seconds / SLOW[1])

    @property
    def inner(self) -> float:
        """V that does not follow the current at once."""
        return rest_voltage(self.charge / self.capacity) + self.quick + self.slow


def battery(day: Day, dice: random.Random) -> list[Cell]:
    """Its cells when the day begins; the last one is the weak one."""
    cells = []
    for number in range(day.cells):
        capacity = day.capacity * (1 - (day.weak if number == day.cells - 1 else 0.0))
        share = day.start + dice.uniform(-day.spread, day.spread)
        cells.append(Cell(capacity, share * capacity, RESISTANCE / day.capacity * dice.uniform(0.85, 1.15)))
    return cells


class House:
    """Sun, loads, charger and battery, stepped together with the limits."""

    def __init__(self, day: Day, limits: LimitSettings | None = None) -> None:
        self.day, self.noise = day, random.Random(day.seed)
        self.dice = random.Random(day.seed)  # of its own, so that a day is the same whatever the limits
        self.cells = battery(day, self.noise)
        self.play = Play(limits or LimitSettings(), {"a": reading(capacity=day.capacity)})
        self.told: deque[tuple[float, Decision, float]] = deque()  # when, limits, A of the loads
        self.now = day.begins * 3600
        self.current = self.load = 0.0  # A
        self.clear = 1.0  # share of the sun that clouds let through
        self.volts = [cell.inner for cell in self.cells]
        self.changes_at: dict[str, float] = {}

    def run(self, until: float = EVENING) -> Iterator[Decision]:
        """Every decision until that hour."""
        while self.now < until * 3600:
            step = self.step()
            yield self.decide(step)
            self.weather()
            self.flow(step)
            self.now += step

    def step(self) -> float:
        """s to the next evaluation; there is little to see while no cell is anywhere near full or empty."""
        return BUSY if max(self.volts) > FULL_CELL or min(self.volts) < EMPTY_CELL else CALM

    def decide(self, step: float) -> Decision:
        """The BMS speaks, the limits are made, the charger will hear of them."""
        soc = 100 * sum(cell.charge / cell.capacity for cell in self.cells) / len(self.cells)
        self.play.set(
            cell_voltages=tuple(round(v + self.noise.gauss(0, NOISE), 3) for v in self.volts),
            current=round(self.current, 1), soc=round(min(100.0, max(0.0, soc)), 1),
        )  # fmt: skip
        found = self.play.run(step, dt=step)
        self.told.append((self.now, found, self.load))
        return found

    def tell(self, decision: Decision) -> None:
        """The charger is told something else than what was decided last."""
        self.told[-1] = (self.now, decision, self.load)

    def weather(self) -> None:
        """Clouds and loads come and go."""
        sky, load, dice = SKIES[self.day.sky], LOADS[self.day.load], self.dice
        if self.due("clouds", sky[0]):
            self.clear = dice.choice(sky[1])
        if self.due("load", load[0]):
            self.load = dice.choice(load[1]) * self.day.capacity

    def due(self, what: str, every: float) -> bool:
        """Is the next change of this kind due, on the average after `every` seconds?"""
        if self.now < self.changes_at.get(what, 0.0):
            return False
        self.changes_at[what] = self.now + self.dice.expovariate(1 / every)
        return True

    def sun(self) -> float:
        """A that the panels could give."""
        height = math.sin(math.pi * (self.now / 3600 - MORNING) / (EVENING - MORNING))
        return 0.35 * self.day.capacity * self.clear * max(0.0, height)

    def flow(self, step: float) -> None:
        """Current into the battery, and what the cells make of it."""
        while len(self.told) > 1 and self.told[1][0] <= self.now - self.day.late:
            self.told.popleft()
        _, decision, load = self.told[0]
        assert decision.cvl is not None
        charger = min(self.sun(), decision.ccl + load if self.day.obeys_current else math.inf)
        held = (decision.cvl + self.day.offset - sum(cell.inner for cell in self.cells)) / self.resistance
        self.current = max(min(charger - self.load, held), -min(self.load, decision.dcl))
        bleeding = self.bleeding()
        self.volts = []
        for cell, bled in zip(self.cells, bleeding, strict=True):
            cell.live(self.current - bled, step)
            self.volts.append(cell.inner + self.current * cell.resistance)

    @property
    def resistance(self) -> float:
        """ohm of all cells."""
        return sum(cell.resistance for cell in self.cells)

    def bleeding(self) -> list[float]:
        """A of the balancer in each cell."""
        least = min(self.volts)
        return [BLEED if volts > 3.40 and volts > least + 0.005 else 0.0 for volts in self.volts]


@dataclass(slots=True)
class Seen:
    """What became of a day; times in h since a cell was first NEAR full."""

    near: float | None = None  # h of the day
    absorption: float | None = None
    full: float | None = None
    top: float = 0.0  # V
    over: float = 0.0  # s with a cell more than 10 mV above its maximum
    cvl: int = 0  # changes, but for the way down to float
    ccl: int = 0
    hours: float = 0.0
    last: Decision | None = field(default=None, repr=False)

    def look(self, house: House, decision: Decision, step: float) -> None:
        """Take note of one decision."""
        hour, top = house.now / 3600, max(house.volts)
        self.top = max(self.top, top)
        self.over += step if top > FULL + 0.010 else 0.0
        if self.near is None:
            self.near = hour if top > NEAR else None
            return
        self.hours = hour - self.near
        if self.absorption is None and decision.charge_mode == "absorption":
            self.absorption = self.hours
        if self.full is None and decision.charge_mode == "float_transition":
            self.full = self.hours
        if self.last is not None:
            coming_down = decision.charge_mode == "float_transition"
            self.cvl += decision.cvl != self.last.cvl and not coming_down
            self.ccl += decision.ccl != self.last.ccl
        self.last = decision

    def __str__(self) -> str:
        hours = max(self.hours, 1e-9)
        reached = [f"{'-':>5}" if at is None else f"{at:5.2f}" for at in (self.absorption, self.full)]
        return (
            f"{reached[0]} {reached[1]} h, top {1000 * (self.top - FULL):+4.0f} mV ({self.over:4.0f} s > 10),"
            f" CVL {self.cvl / hours:5.1f}/h, CCL {self.ccl / hours:5.0f}/h"
        )


def live(
    day: Day, limits: LimitSettings, after: float, told: Callable[[Decision, float], Decision] | None = None
) -> Seen:
    """One day, until `after` hours since it was full; `told`: what the charger hears of a decision at a time [s]."""
    house, seen, before = House(day, limits), Seen(), day.begins * 3600
    for decision in house.run():
        if told is not None:
            decision = told(decision, house.now)
            house.tell(decision)
        seen.look(house, decision, house.now - before)
        before = house.now
        if seen.full is not None and seen.hours - seen.full > after:
            break
    return seen
