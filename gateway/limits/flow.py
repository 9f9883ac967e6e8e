"""Average current and the times that follow from it.  Sheet: limits.md 5.1 (average), chapter 6."""

import math
from collections.abc import Sequence
from typing import Final

WINDOW: Final = 300.0  # s
LEAST: Final = 0.1  # A; below it no time is worth telling


def averaged(average: float | None, current: float | None, seconds: float) -> float | None:
    """The average current [A], weighted by time, exponentially over WINDOW; None without a current."""
    if current is None:
        return None
    if average is None or seconds <= 0:
        return current if average is None else average
    share = 1 - math.exp(-seconds / WINDOW)
    return average + share * (current - average)


def time_to(point: float, soc: float | None, capacity: float | None, average: float | None) -> int | None:
    """s until the SoC is `point` [%], by the average current alone; None when it will not get there."""
    if soc is None or not capacity or average is None or abs(average) <= LEAST:
        return None
    rate = average / capacity * 100 / 3600  # % a second, signed
    seconds = (point - soc) / rate
    return int(seconds) if seconds > 0 else None


def time_to_go(soc: float | None, capacity: float | None, average: float | None, floor: float) -> int | None:
    """s until full while charging, until `floor` [%] while discharging."""
    if average is None:
        return None
    return time_to(100.0 if average >= 0 else floor, soc, capacity, average)


def times_to(
    points: Sequence[float], soc: float | None, capacity: float | None, average: float | None
) -> dict[float, int]:
    """s to each point that lies in the direction of flow."""
    times = {point: time_to(point, soc, capacity, average) for point in points}
    return {point: seconds for point, seconds in times.items() if seconds is not None}
