"""Values over time in memory: an hour by the second, a day by ten seconds, a month by ten minutes.  Pure.

A column costs 4 bytes a row, so 16 560 rows of 12 columns are 0.8 MB.  What is not known is NaN in here and None
outside.  Sheet: face.md chapter 5 (sizes).
"""

import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

BINS: Final = 360  # points of a plot
SPARE: Final = 1.1  # a ring grows by so much before its oldest part is cut off
Joining = Callable[[Sequence[float]], float]


def mean(values: Sequence[float]) -> float:
    """Of one value at least."""
    return sum(values) / len(values)


def last(values: Sequence[float]) -> float:
    """For words, as numbers."""
    return values[-1]


@dataclass(frozen=True, slots=True)
class Column:
    """A value that is kept: its name, how several become one, and its digits."""

    name: str
    joining: Joining = mean
    digits: int = 2


class Ring:
    """Rows of one step [s]; the newest `size` of them."""

    def __init__(self, columns: Sequence[Column], step: float, size: int) -> None:
        self.step, self.size = step, size
        self.columns = columns
        self.times = array("d")
        self.values = {column.name: array("f") for column in columns}

    def add(self, wall: float, row: Mapping[str, float]) -> None:
        """A row at `wall` [s since the epoch]; rows of a future that a clock set back has taken away go."""
        if self.times and wall <= self.times[-1]:
            self._cut(bisect_left(self.times, wall), len(self.times))
        self.times.append(wall)
        for name, values in self.values.items():
            values.append(row.get(name, math.nan))
        if len(self.times) > self.size * SPARE:
            self._cut(0, len(self.times) - self.size)

    def rows(self) -> Iterator[tuple[float, dict[str, float]]]:
        """All of them, the oldest first."""
        for number, wall in enumerate(self.times):
            yield wall, {name: values[number] for name, values in self.values.items()}

    def widen(self, columns: Sequence[Column]) -> None:
        """Have these columns from now on; what was is not known of those that are new."""
        self.columns = columns
        for column in columns:
            if column.name not in self.values:
                self.values[column.name] = array("f", [math.nan]) * len(self.times)

    def _cut(self, start: int, end: int) -> None:
        for kept in (self.times, *self.values.values()):
            del kept[start:end]

    def bins(self, column: Column, start: float, step: float, count: int) -> dict[str, list[float | None]]:
        """`count` points from `start` [s] on, `step` s each: the joined value, and lowest and highest beside it."""
        edges = [bisect_left(self.times, start + number * step) for number in range(count + 1)]
        return _binned(column, self.values[column.name], edges)


def _binned(column: Column, values: "array[float]", edges: Sequence[int]) -> dict[str, list[float | None]]:
    middle: list[float | None] = []
    low: list[float | None] = []
    high: list[float | None] = []
    for begin, end in pairwise(edges):
        known = [value for value in values[begin:end] if value == value]  # NaN is not itself
        middle.append(round(column.joining(known), column.digits) if known else None)
        low.append(round(min(known), column.digits) if known else None)
        high.append(round(max(known), column.digits) if known else None)
    return {"value": middle} if low == high else {"value": middle, "low": low, "high": high}


class Step:
    """Makes rows of a longer step out of those of a shorter one."""

    def __init__(self, columns: Sequence[Column], step: float) -> None:
        self.columns, self._step = columns, step
        self._slot: float | None = None
        self._known: dict[str, list[float]] = {}

    def add(self, wall: float, row: Mapping[str, float]) -> tuple[float, dict[str, float]] | None:
        """Take a row in; the longer one that it completes: its time [s] and values."""
        slot, done = wall // self._step, None
        if self._slot is not None and slot != self._slot:
            done = (self._slot + 1) * self._step, self._joined()
            self._known = {}
        self._slot = slot
        for name, value in row.items():
            if value == value:
                self._known.setdefault(name, []).append(value)
        return done

    def _joined(self) -> dict[str, float]:
        return {
            column.name: column.joining(self._known[column.name])
            for column in self.columns
            if column.name in self._known
        }
