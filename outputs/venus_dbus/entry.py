"""A row of the table of published values, and the words in which rows are written.  Pure.

Values are rounded before they are compared, so that the noise of a converter sends nothing; limits are rounded towards
the safe side.  Sheet: venus-dbus.md section 8 (rounding); limits.md 9.3 and 9.4.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from outputs.rows import Row
from outputs.values import value as value_
from outputs.values.value import nearest
from outputs.venus_dbus.tree import Kind, Text, Value, clean


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the table: what `how` makes of the fields of a View that `of` names, and of nothing else.

    So it need not be worked out again while those are what they were (outputs.rows).  `slow`: sent only now and then,
    because nobody needs it each second.  `at`: of a list it needs this element alone.
    """

    path: str
    kind: Kind
    text: Text
    of: str  # fields, dotted where they lie deeper, with spaces between
    how: Callable[..., Value]
    slow: bool = False
    at: int | None = None

    @property
    def row(self) -> Row:
        """How its value is worked out."""
        return Row(self.path, self.of, self.how, self.at)


def rounded(value: float | None, digits: int) -> float | None:
    """To so many decimals; what is no finite number is not known."""
    return None if value is None or not math.isfinite(value) else nearest(value, digits)


def down(value: float | None, digits: int) -> float | None:
    """A limit (which is sound, see outputs.view.Limits) never grows by rounding."""
    return None if value is None else value_.down(value, digits)


def up(value: float | None, digits: int) -> float | None:
    """What must not be fallen below (sound, too) never falls by rounding."""
    return None if value is None else value_.up(value, digits)


def amps(value: float | None) -> float | None:
    """10 mA steps for small currents, 0.1 A steps from 10 A."""
    return rounded(value, 2 if value is not None and abs(value) < 10.0 else 1)


def flag(value: bool | None) -> int | None:
    """1 or 0; None stays None."""
    return None if value is None else int(value)


def name(text: str | None) -> Value:
    """Of the battery, its maker and the like; an empty one is none."""
    return None if text is None else clean(text) or None


def same(value: Value) -> Value:
    """As it stands."""
    return value
