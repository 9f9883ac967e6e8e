"""Frames that were encoded already: while nothing changed between two beats, nothing is encoded again.

What a dialect makes depends on the values, on the length of the frames, and on the beat as far as it says which frames
are due.  Values are compared as a whole, with a copy that nobody else changes; where one is another, those of each
frame by themselves: a frame that says the same again is the same object.
"""

from collections.abc import Mapping
from math import lcm
from typing import Final, NamedTuple

from outputs.can_bms.dialect import Dialect, Dlc, Frame, Layout
from outputs.inverter.keys import Value, Values

KEPT_MOST: Final = 32  # kinds of beat; a dialect with one cycle time has one


class Encoded:
    """Stands before one dialect's `encode`, with the same contract."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._round = _round(dialect)
        self._values: dict[str, Value] | None = None
        self._made: dict[tuple[Dlc, int], tuple[list[Frame], list[str]]] = {}
        self._needs = {layout.id: layout.needs for layout in dialect.layouts}
        self._single: dict[tuple[int, bool], Single] = {}  # by id, the last one
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
            self._made[key] = self._encode(self._values, dlc, beat)
        frames, outside = self._made[key]
        if clamped is not None:
            clamped.extend(outside)
        return list(frames)

    def _encode(self, values: Mapping[str, Value], dlc: Dlc, beat: int) -> tuple[list[Frame], list[str]]:
        self.encoded += 1
        found = [self._one(layout, values, dlc) for layout in self._dialect.due(beat)]
        return [one.frame for one in found if one.frame is not None], [key for one in found for key in one.outside]

    def _one(self, layout: Layout, values: Values, dlc: Dlc) -> "Single":
        """One frame, or none where it is not to be sent."""
        given = (dlc, *map(values.get, self._needs[layout.id]))
        before = self._single.get(layout.id)
        if before is not None and before.given == given:
            return before
        outside: list[str] = []
        frame = layout.encode(values, dlc, outside) if layout.wanted(values) else None
        self._single[layout.id] = made = Single(given, frame, outside)
        return made


class Single(NamedTuple):
    """A frame, what was given for it, and what of that was outside its range."""

    given: tuple[object, ...]
    frame: Frame | None
    outside: list[str]


def _copied(values: Mapping[str, Value]) -> dict[str, Value]:
    """Values and, where one is a group of flags, what is raised in it."""
    return {key: _group(value) if isinstance(value, Mapping) else value for key, value in values.items()}


def _group(group: Mapping[str, object]) -> dict[str, object]:
    return {level: list(names) if isinstance(names, list) else names for level, names in group.items()}


def _round(dialect: Dialect) -> int:
    """Beats after which the same frames are due again."""
    return lcm(*(max(1, round(layout.cycle / 1000 / dialect.period)) for layout in dialect.layouts))
