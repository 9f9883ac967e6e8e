"""A house for a day: sun and clouds, loads, sixteen cells that differ, and an inverter that obeys five seconds late.

The cells are a plain model (open-circuit voltage by charge, resistance, one slow polarisation); it shares nothing with
the rules.
"""

import random
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.limits import LimitSettings
from gateway.model import Decision
from tests.limits.play import Play
from tests.make import reading

CURVE = (  # share of the charge -> V at rest, of an LFP cell
    (-0.02, 2.20), (0.0, 2.50), (0.02, 2.85), (0.05, 3.05), (0.10, 3.20), (0.20, 3.26), (0.40, 3.295), (0.60, 3.31),
    (0.80, 3.33), (0.92, 3.340), (0.96, 3.355), (0.98, 3.385), (0.99, 3.43), (0.995, 3.48), (1.0, 3.60), (1.02, 4.20),
)  # fmt: skip
AT = [share for share, _ in CURVE]
SLOW = 60.0  # s, of the polarisation
BLEED = 0.2  # A of the balancer, above 3.40 V
LATE = 5.0  # s until the inverter obeys
STEP = 2.5  # s


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
    slow: float = 0.0  # V, polarisation

    def live(self, current: float, seconds: float) -> float:
        """V at its terminals while `current` [A] flows for `seconds`."""
        self.charge += current * seconds / 3600
        self.slow += (current * self.resistance - self.slow) * seconds / SLOW
        return rest_voltage(self.charge / self.capacity) + self.slow + current * self.resistance

    @property
    def inner(self) -> float:
        """V that does not follow the current at once."""
        return rest_voltage(self.charge / self.capacity) + self.slow


def made(share: float, capacity: float, resistance: float) -> Cell:
    """A cell [Ah, ohm] charged to a share of its capacity."""
    return Cell(capacity, share * capacity, resistance)


class House:
    """Sun, load, inverter and battery, stepped together with the limits."""

    def __init__(self, seed: int, start: float, spread: float, limits: LimitSettings | None = None) -> None:
        """`start`: share of charge in the morning; `spread`: how far single cells are from it."""
        self.dice = random.Random(seed)
        self.cells = [
            made(start + d(-spread, spread), 280 * (1 + d(-spread, spread)), d(0.1e-3, 0.4e-3))
            for d in [self.dice.uniform] * 16
        ]
        self.play = Play(limits or LimitSettings(), {"a": reading()})
        self.told: deque[tuple[float, Decision]] = deque()
        self.now, self.current, self.sun, self.load = 0.0, 0.0, 0.0, 20.0
        self.volts = [cell.inner for cell in self.cells]

    def run(self, hours: float) -> Iterator[Decision]:
        """Every decision of so many hours."""
        while self.now < hours * 3600:
            yield self.decide()
            self.current = self.inverter()
            self.volts = [
                cell.live(self.current - self.bleeding(v), STEP) for cell, v in zip(self.cells, self.volts, strict=True)
            ]
            self.now += STEP

    def decide(self) -> Decision:
        """The BMS speaks, the limits are made, the inverter will hear of them."""
        warm = 8 + 26 * min(1.0, self.now / 40000)  # °C
        soc = 100 * sum(cell.charge / cell.capacity for cell in self.cells) / len(self.cells)
        self.play.set(
            cell_voltages=tuple(round(v, 3) for v in self.volts), current=round(self.current, 1),
            soc=round(min(100.0, max(0.0, soc)), 1), temperatures=(round(warm, 1), round(warm + 2, 1)),
        )  # fmt: skip
        found = self.play.run(STEP, dt=STEP)
        self.told.append((self.now, found))
        return found

    def weather(self) -> float:
        """A that the house would like to put into the battery; negative = take out of it."""
        hour = self.now / 3600
        if self.dice.random() < STEP / 120:
            self.sun = self.dice.choice([0.0, 10.0, 50.0, 100.0, 150.0, 150.0]) if hour < 14 else 0.0
        if self.dice.random() < STEP / 300:
            self.load = self.dice.choice([5.0, 10.0, 20.0, 20.0, 60.0] if hour < 14 else [20.0, 60.0, 120.0])
        return self.sun - self.load

    def inverter(self) -> float:
        """A: constant current, then constant voltage, by the limits of a while ago."""
        while len(self.told) > 1 and self.told[1][0] <= self.now - LATE:
            self.told.popleft()
        _, decision = self.told[0]
        wanted = self.weather()
        if wanted < 0:
            return -min(-wanted, decision.dcl)
        assert decision.cvl is not None
        held = (decision.cvl - sum(cell.inner for cell in self.cells)) / sum(cell.resistance for cell in self.cells)
        return min(wanted, decision.ccl, max(held, -decision.dcl))

    def bleeding(self, volts: float) -> float:
        """A of the balancer in one cell."""
        return BLEED if volts > 3.40 and volts > min(self.volts) + 0.005 else 0.0
