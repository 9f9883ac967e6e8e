"""The two table functions.  Sheet: limits.md chapter 2.

A table is points X (ascending) and fractions F.  Below or on the first point the first fraction holds, above or on the
last one the last.  Between them: linear mode draws straight lines; step mode takes the left or the right point, and
which of the two is an accident of the reference that users' tables are tuned to, so each rule names its side.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Literal

Side = Literal["linear", "left", "right"]


class Curve:
    """One table, ready to be looked up; points may be given descending."""

    __slots__ = ("fractions", "points")

    def __init__(self, points: Sequence[float], fractions: Sequence[float]) -> None:
        """Both lists equally long, `points` strictly monotonic (checked by the settings)."""
        descending = points[0] > points[-1]
        self.points = tuple(reversed(points)) if descending else tuple(points)
        self.fractions = tuple(reversed(fractions)) if descending else tuple(fractions)

    def __call__(self, x: float, side: Side) -> float:
        """The fraction at `x`."""
        points, fractions = self.points, self.fractions
        if x <= points[0]:
            return fractions[0]
        if x >= points[-1]:
            return fractions[-1]
        k = bisect_right(points, x) - 1
        if side == "left":
            return fractions[k]
        if side == "right":
            return fractions[k + 1]
        share = (x - points[k]) / (points[k + 1] - points[k])
        return fractions[k] + share * (fractions[k + 1] - fractions[k])
