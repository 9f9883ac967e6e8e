"""Frames that were encoded already: while nothing changed between two beats, nothing is encoded again.

What a dialect makes depends on the values, on the length of the frames, and on the beat as far as it says which frames
are due.  Values are compared as a whole, with a copy that nobody else changes.
"""

from collections.abc import Mapping
from math import lcm
from typing import Final

from outputs.can_bms.dialect import Dialect, Dlc, Frame
from outputs.can_bms.keys import Value

KEPT_MOST: Final = 32  # kinds of beat; a dialect with one cycle time has one


class Encoded:
    """Stands before one dialect's `encode`, with the same contract."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._round = _round(dialect)
        self._values: dict[str, Value] | None = None
        self._made: dict[tuple[Dlc, int], tuple[list[Frame], list[str]]] = {}
        self.encoded = 0  # beats

    def encode(
        self, values: Mapping[str, Value], dlc: Dlc = "8", *, beat: int = 0, clamped: list[str] | None = None
    ) -> list[Frame]:
        """As `Dialect.encode`: what was made for equal values at such a beat, or made now."""
        if self._values != values:
            self._values, self._made = _copied(values), {}
        key = dlc, beat % self._round
        if key not in self._made:
            if len(self._made) >= KEPT_MOST:
                self._made.clear()
            self._made[key] = self._encode(values, dlc, beat)
        frames, outside = self._made[key]
        if clamped is not None:
            clamped.extend(outside)
        return list(frames)

    def _encode(self, values: Mapping[str, Value], dlc: Dlc, beat: int) -> tuple[list[Frame], list[str]]:
        outside: list[str] = []
        self.encoded += 1
        return self._dialect.encode(values, dlc, beat=beat, clamped=outside), outside


def _copied(values: Mapping[str, Value]) -> dict[str, Value]:
    """Values and, where one is a group of flags, what is raised in it."""
    return {key: _group(value) if isinstance(value, Mapping) else value for key, value in values.items()}


def _group(group: Mapping[str, object]) -> dict[str, object]:
    return {level: list(names) if isinstance(names, list) else names for level, names in group.items()}


def _round(dialect: Dialect) -> int:
    """Beats after which the same frames are due again."""
    return lcm(*(max(1, round(layout.cycle / 1000 / dialect.period)) for layout in dialect.layouts))
