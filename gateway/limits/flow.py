"""Average current and the times that follow from it.  Sheet: limits.md 5.1 (average), chapter 6."""

from collections.abc import Sequence
from functools import reduce
from operator import add, itemgetter
from typing import Final, NamedTuple

WINDOW: Final = 300.0  # s, of the average
SLICE: Final = 10.0  # s; the window is kept in so many seconds, so that its size never depends on the pace
LONGEST_STEP: Final = 10.0  # s; over a longer gap nothing is known of the current
LEAST: Final = 0.1  # A; below it no time is worth telling
CHARGE: Final = itemgetter(1)  # of a slice
SECONDS: Final = itemgetter(2)


class Window(NamedTuple):
    """The last WINDOW seconds of a current, in slices, the last of which is still growing."""

    slices: tuple[tuple[float, float, float], ...] = ()  # end [s, monotonic], A x s, s
    charge: float = 0.0  # A x s of the growing slice
    seconds: float = 0.0


def flowed(window: Window, current: float | None, now: float, seconds: float) -> Window:
    """`window` after `current` [A] flowed for `seconds`; a gap or an unknown current adds nothing."""
    if current is None or not 0 < seconds <= LONGEST_STEP:
        return window
    charge, length = window.charge + current * seconds, window.seconds + seconds
    if length < SLICE:
        return Window(window.slices, charge, length)
    kept = tuple(slice_ for slice_ in window.slices if slice_[0] > now - WINDOW)
    return Window((*kept, (now, charge, length)))


def average(window: Window, current: float | None, now: float) -> float | None:
    """The current [A], weighted by time over WINDOW; the present one at the beginning, None without a current."""
    if current is None:
        return None
    charge, seconds = window.charge, window.seconds
    begin = now - WINDOW
    whole: Sequence[tuple[float, float, float]] = window.slices
    while whole and (within := whole[0][0] - begin) < whole[0][2]:  # the oldest slice leaves bit by bit
        (_, slice_charge, length), *whole = whole
        share = max(0.0, within / length)
        charge += share * slice_charge
        seconds += share * length
    charge, seconds = reduce(add, map(CHARGE, whole), charge), reduce(add, map(SECONDS, whole), seconds)
    return charge / seconds if seconds > 0 else current


def time_to(point: float, soc: float | None, capacity: float | None, current: float | None) -> int | None:
    """s until the SoC is `point` [%], by the average current alone; None when it will not get there."""
    if soc is None or not capacity or current is None or abs(current) <= LEAST:
        return None
    rate = current / capacity * 100 / 3600  # % a second, signed
    seconds = (point - soc) / rate
    return round(seconds) if seconds > 0 else None


def time_to_go(soc: float | None, capacity: float | None, current: float | None, floor: float) -> int | None:
    """s until full while charging, until `floor` [%] while discharging."""
    if current is None:
        return None
    return time_to(100.0 if current >= 0 else floor, soc, capacity, current)


def times_to(
    points: Sequence[float], soc: float | None, capacity: float | None, current: float | None
) -> dict[float, int | None]:
    """s to each point that lies in the direction of flow; None to the others."""
    return {point: time_to(point, soc, capacity, current) for point in points}
