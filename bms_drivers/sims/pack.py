"""A pack that lives: cells that charge, discharge, drift and are balanced.

No clock inside; a seed makes it repeatable.
"""

import math
import random
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final

# Rest voltage of an LFP cell over its charge; the ends are steep, as in any maker's data sheet.
CURVE: Final = (
    (0.0, 2.60), (3.0, 2.95), (8.0, 3.15), (15.0, 3.22), (30.0, 3.27), (50.0, 3.295), (70.0, 3.325), (90.0, 3.335),
    (96.0, 3.36), (98.5, 3.42), (99.5, 3.50), (100.0, 3.60),
)  # fmt: skip
RESISTANCE: Final = 0.0005  # ohm a cell
NOISE: Final = 0.0003  # V of the measurement
LONGEST_STEP: Final = 60.0  # s; longer times are walked in such steps
BALANCE_FROM: Final = 3.40  # V
BALANCE_OVER: Final = 0.005  # V above the lowest cell
DAY: Final = 86400.0  # s


def rest_voltage(soc: float) -> float:
    """Rest voltage [V] of one cell at `soc` [%]."""
    points = [point for point, _ in CURVE]
    k = min(max(bisect_right(points, soc) - 1, 0), len(CURVE) - 2)
    (x0, y0), (x1, y1) = CURVE[k], CURVE[k + 1]
    return y0 + (soc - x0) * (y1 - y0) / (x1 - x0)


@dataclass
class Pack:
    """What a simulated BMS measures; everything may be set from outside at any time."""

    cells: list[float]  # V
    charges: list[float]  # %, of each cell
    capacity: float = 100.0  # Ah
    current: float = 10.0  # A asked for, + = charging; `flow` is what really flows
    temperatures: list[float] = field(default_factory=lambda: [22.0, 23.0])  # °C
    mosfet_temperature: float = 25.0  # °C
    charge_switch: bool = True
    discharge_switch: bool = True
    balance_switch: bool = True
    balancing: bool = False
    cycles: int = 12
    alarms: set[str] = field(default_factory=set)  # canonical names the device raises
    serial: str = "SIM0000001"
    name: str = "simulated"
    profile: str = "constant"  # or "sine": a slow day
    speed: float = 1.0  # simulated seconds a real second
    held_cells: dict[int, float] = field(default_factory=dict)  # number from 0 -> V that it is made to show
    time: float = 0.0  # s lived
    rng: random.Random = field(default_factory=random.Random)

    @classmethod
    def of(cls, seed: int, *, cells: int = 16, soc: float = 50.0, **more: object) -> "Pack":
        """A pack with small differences between its cells, the same for the same seed."""
        rng = random.Random(seed)
        charges = [min(100.0, max(0.0, soc + rng.uniform(-0.3, 0.3))) for _ in range(cells)]
        pack = cls(cells=[rest_voltage(charge) for charge in charges], charges=charges, rng=rng, **more)  # type: ignore[arg-type]
        pack.temperatures = [round(rng.uniform(20, 24), 1) for _ in pack.temperatures]
        pack.advance(0.0)
        return pack

    @property
    def soc(self) -> float:
        """%, of the whole pack."""
        return sum(self.charges) / len(self.charges)

    @soc.setter
    def soc(self, value: float) -> None:
        shift = value - self.soc
        self.charges = [min(100.0, max(0.0, charge + shift)) for charge in self.charges]
        self.advance(0.0)

    @property
    def voltage(self) -> float:
        """V, of the whole pack."""
        return sum(self.cells)

    @property
    def flow(self) -> float:
        """A that really flows: none through an open switch."""
        wanted = self.current
        if self.profile == "sine":
            wanted = self.current * math.sin(2 * math.pi * self.time / DAY)
        if (wanted > 0 and not self.charge_switch) or (wanted < 0 and not self.discharge_switch):
            return 0.0
        return wanted

    def advance(self, seconds: float) -> None:
        """Live for `seconds` of real time."""
        left = seconds * self.speed
        while left > 0:
            step = min(left, LONGEST_STEP)
            self._live(step)
            left -= step
        flow = self.flow
        for number, charge in enumerate(self.charges):
            shown = rest_voltage(charge) + flow * RESISTANCE + self.rng.gauss(0.0, NOISE)
            self.cells[number] = self.held_cells.get(number, min(max(shown, 0.0), 5.0))

    def _live(self, seconds: float) -> None:
        self.time += seconds
        gained = self.flow * seconds / 3600 / self.capacity * 100
        lowest = min(self.cells)
        high = [volts > BALANCE_FROM and volts > lowest + BALANCE_OVER for volts in self.cells]
        self.balancing = self.balance_switch and any(high)
        for number, charge in enumerate(self.charges):
            drained = 2.0 * seconds / 3600 / self.capacity * 100 if self.balancing and high[number] else 0.0
            self.charges[number] = min(101.0, max(0.0, charge + gained - drained))
        drift = 0.02 * math.sqrt(seconds / 60)
        self.temperatures = [t + self.rng.gauss(0.0, drift) for t in self.temperatures]
        self.mosfet_temperature += (25 + abs(self.flow) * 0.2 - self.mosfet_temperature) * min(1.0, seconds / 600)
