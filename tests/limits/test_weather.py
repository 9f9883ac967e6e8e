"""Days in a closed loop: the battery gets full, and no cell leaves its limits though the charger obeys seconds late.

The whole matrix of days, and the same with the reference's numbers: ./dev bench weather.
"""

import pytest

from gateway.limits import LimitSettings
from tests.limits.play import WIDE, settings
from tests.limits.weather import FULL, Day, House, live

MARGIN = 0.020  # V
NOON = {"begins": 10.0, "start": 0.97}

DAYS = [
    Day("sunny", **NOON),
    Day("sunny, small", capacity=50.0, **NOON),
    Day("mixed, 8 cells", "mixed", cells=8, capacity=100.0, **NOON),
    Day("one weak cell", capacity=100.0, weak=0.02, **NOON),
    Day("15 mV spread", spread=0.0015, **NOON),
    Day("4 cells, charger 100 mV high", cells=4, capacity=100.0, offset=0.1, **NOON),
    Day("charger 50 mV short", cells=15, capacity=100.0, offset=-0.05, **NOON),
    Day("big load steps", load="steps", **NOON),
    Day("fast load steps", load="fast", capacity=50.0, **NOON),
]


@pytest.mark.parametrize("day", DAYS, ids=lambda day: day.name)
def test_a_day_ends_in_float_and_every_cell_stays_at_its_maximum(day: Day) -> None:
    seen = live(day, LimitSettings(), after=0.02)
    print(day.name, seen)
    assert seen.top <= FULL + MARGIN
    assert seen.absorption is not None and seen.absorption < 1.0
    assert seen.full is not None and seen.full < 2.0
    assert seen.cvl <= 10, "changes of the charge voltage until it was full"
    assert seen.ccl / seen.hours <= 234, "changes of the charge current limit an hour"


def test_the_voltage_alone_holds_one_weak_cell_at_its_maximum() -> None:
    """No current limit helps: the table is wide open, and the charger would not listen."""
    day = Day("", "mixed", capacity=100.0, weak=0.02, obeys_current=False, **NOON)
    seen = live(day, settings(**WIDE), after=0.02)
    assert seen.full is not None
    assert FULL - 0.005 < seen.top <= FULL + MARGIN


def test_a_nearly_empty_battery_is_not_drained_below_its_minimum() -> None:
    house = House(Day("", "cloudy", "steps", capacity=100.0, start=0.13, spread=0.02, begins=18.5))
    lowest = min(min(house.volts) for _ in house.run())
    assert 2.90 - MARGIN < lowest < 3.0, "nor is the law kept by never coming near it"
