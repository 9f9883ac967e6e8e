"""Whole days in a closed loop: does the battery get full, how high do its cells go, how often do the limits change?

Each day is lived twice, with our defaults and with the reference's numbers; the reference also delays small reductions
of its current limits, which is imitated here so that the two can be compared.  The house: tests/limits/weather.py.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Final

from gateway.limits import LimitSettings
from gateway.limits.reference_options import from_reference
from gateway.model import Decision
from tests.limits.weather import Day, Load, Seen, Sky, live

Row = tuple[str, str, str]
AFTER: Final = 0.5  # h since it was full until the day is over: it is in float then
SMALL: Final = 0.33  # share by which the reference's limits may be too high ...
DELAY: Final = 60.0  # ... for so many s
PLAIN: Final[tuple[tuple[int, float], ...]] = (
    (4, 100.0), (4, 280.0), (8, 50.0), (8, 280.0), (15, 100.0), (16, 50.0), (16, 100.0), (16, 280.0), (16, 300.0),
)  # fmt: skip


def days() -> Iterator[Day]:
    """Every kind of day, for every size of battery that matters to it."""
    sizes = [(cells, capacity, 0.75 if capacity > 200 else 0.65) for cells, capacity in PLAIN]
    skies: tuple[Sky, ...] = ("sunny", "mixed")
    for sky, (cells, capacity, start) in product(skies, sizes):
        yield Day(sky, sky, cells=cells, capacity=capacity, start=start)
    for capacity in (100.0, 280.0):
        yield Day("cloudy", "cloudy", capacity=capacity, start=0.9)
    for sky, (cells, capacity, start) in product(skies, sizes[2::2]):
        yield Day(f"{sky}, one weak cell", sky, cells=cells, capacity=capacity, start=start, weak=0.03)
    for capacity in (100.0, 280.0):
        yield Day("sunny, 15 mV spread", capacity=capacity, start=0.75, spread=0.0015)
        yield Day("mixed, charger 50 mV short", "mixed", capacity=capacity, start=0.75, offset=-0.05)
    for cells, capacity in ((4, 100.0), (8, 100.0), (16, 50.0), (16, 280.0)):
        yield Day("sunny, charger 100 mV high", cells=cells, capacity=capacity, start=0.75, offset=0.1)
    loads: tuple[tuple[Load, str], ...] = (("steps", "big load steps"), ("fast", "fast load steps"))
    for load, words in loads:
        for cells, capacity in ((16, 50.0), (15, 100.0), (16, 280.0)):
            yield Day(f"sunny, {words}", load=load, cells=cells, capacity=capacity, start=0.75)
    for cells, capacity in ((8, 100.0), (16, 280.0)):
        worst = Day("all at once", "mixed", "steps", cells, capacity, 0.75, weak=0.04, offset=0.1, late=10.0)
        yield worst
        yield replace(worst, name="all at once, charge voltage alone", load="house", late=5.0, obeys_current=False)


class Delay:
    """The reference's throttle: a current limit that falls by less than a third waits for up to a minute."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[float, float]] = {}

    def __call__(self, decision: Decision, now: float) -> Decision:
        """`decision` as it would be published at `now` [s]."""
        limits = {name: self._limit(name, getattr(decision, name), now) for name in ("ccl", "dcl")}
        return replace(decision, **limits)

    def _limit(self, name: str, amps: float, now: float) -> float:
        before, since = self.kept.get(name, (amps, now))
        small = 0 < before - amps <= SMALL * before and amps > 0
        if not small or now - since >= DELAY:
            self.kept[name] = (amps, now)
        return self.kept[name][0]


def both(day: Day) -> tuple[Seen, Seen]:
    """Ours, and with the reference's numbers."""
    return live(day, LimitSettings(), AFTER), live(day, from_reference({}), AFTER, Delay())


def weather(folder: Path, seconds: float) -> Iterator[Row]:
    """Two lines a day: hours to absorption and to float since a cell was near full, the highest cell, changes."""
    every = list(days())
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for day, (ours, theirs) in zip(every, pool.map(both, every), strict=True):
            name = f"{day.name}, {day.cells} x {day.capacity:g} Ah"
            yield name, str(ours), "full, top <= +20 mV"
            yield f"{'':{len(name)}}", str(theirs), "the reference's numbers"
