"""A row of the table of published values, and the words in which rows are written.  Pure.

Values are rounded before they are compared, so that the noise of a converter sends nothing; limits are rounded towards
the safe side.  Sheet: venus-dbus.md section 8 (rounding); limits.md 9.3 and 9.4.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from outputs.venus_dbus.tree import Kind, Text, Value, fixed

VOLTS, CELL_VOLTS = fixed(2, "V"), fixed(3, "V")
AMPS, WATTS, CELSIUS, PERCENT, AMP_HOURS, SECONDS, ENERGY = (
    fixed(2, "A"), fixed(0, "W"), fixed(1, "C"), fixed(1, "%"), fixed(1, "Ah"), fixed(0, "s"), fixed(1, "kWh"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the table: what `how` makes of the fields of a View that `of` names, and of nothing else.

    So it need not be worked out again while those are what they were.  `slow`: sent only now and then, because nobody
    needs it each second.  `at`: of a list it needs this element alone.
    """

    path: str
    kind: Kind
    text: Text
    of: str  # fields, dotted where they lie deeper, with spaces between
    how: Callable[..., Value]
    slow: bool = False
    at: int | None = None

    def value(self, fields: Any) -> Value:
        """Of what `of` names: one field, or a tuple of several."""
        return self.how(*fields) if " " in self.of else self.how(fields)


def rounded(value: float | None, digits: int) -> float | None:
    """To so many decimals; what is no finite number is not known."""
    if value is None or not math.isfinite(value):
        return None
    return round(value, digits) + 0.0  # no negative zero: it would read as a change of sign


def down(value: float | None, digits: int) -> float | None:
    """Rounded towards 0: a limit (which is sound, see outputs.view.Limits) never grows by rounding."""
    if value is None:
        return None
    scale: float = 10.0**digits
    return math.floor(value * scale + 1e-6) / scale


def amps(value: float | None) -> float | None:
    """10 mA steps for small currents, 0.1 A steps from 10 A."""
    return rounded(value, 2 if value is not None and abs(value) < 10.0 else 1)


def flag(value: bool | None) -> int | None:
    """1 or 0; None stays None."""
    return None if value is None else int(value)


def to(digits: int) -> Callable[[float | None], float | None]:
    """Rounds to so many decimals."""
    return partial(rounded, digits=digits)


def down_to(digits: int) -> Callable[[float | None], float | None]:
    """The same towards 0, for limits."""
    return partial(down, digits=digits)


def same(value: Value) -> Value:
    """As it stands."""
    return value
