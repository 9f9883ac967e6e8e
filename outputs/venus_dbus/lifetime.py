"""Rows for what a battery has lived through, what its BMS says where another SoC counts, and times to come.  Pure.

Sheet: venus-dbus.md section 4 (history); limits.md chapter 7.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

from gateway.model import Life
from outputs.values import BY_NAME
from outputs.venus_dbus.entry import Entry, rounded, same
from outputs.venus_dbus.listed import text_of, with_listed
from outputs.venus_dbus.tree import Value
from outputs.view import Own


def _gone(figure: str) -> Entry:
    """Ah that were discharged: negative here."""
    row = BY_NAME[figure]

    def negative(life: Life | None) -> Value:
        value = None if life is None else getattr(life, figure)
        return None if value is None else rounded(-value, row.digits)

    return Entry(row.dbus[0], "d", text_of(row), "life", negative, slow=row.slow)


GONE: Final = ("deepest_discharge", "last_discharge", "average_discharge", "total_ah_drawn")

HISTORY: Final = with_listed(
    (
        *map(_gone, GONE),
        Entry("/History/TimeSinceLastFullCharge", "i", text_of("last_full_charge"), "since_full", same, slow=True),
    ),
    "life",
)
"""Rows of a service for which a history is kept."""


def _consumed_of_bms(own: Own | None, capacity: float | None) -> Value:
    if own is None or own.remaining_capacity is None or capacity is None:
        return None
    return rounded(min(0.0, own.remaining_capacity - capacity), 1)


OWN: Final = with_listed(
    (Entry("/ConsumedAmphoursBms", "d", text_of("bms_remaining_capacity"), "bms capacity", _consumed_of_bms),), "bms"
)
"""Rows of a service whose SoC is counted by us or comes from a sensor outside: what the BMSs say themselves."""


@cache
def point_entries(points: tuple[float, ...]) -> tuple[Entry, ...]:
    """Rows for the SoC points whose time is told; 12.5 % is /TimeToSoC/12_5."""
    text = text_of("time_to_soc")
    return tuple(
        Entry(f"/TimeToSoC/{point:g}".replace(".", "_"), "i", text, "time_to_soc", _time_to(point), slow=True)
        for point in points
    )


def _time_to(point: float) -> Callable[[Mapping[float, int | None]], Value]:
    return lambda times: times.get(point)
