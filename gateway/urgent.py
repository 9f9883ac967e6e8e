"""What of a new reading cannot wait until the other batteries of the bank have answered, too.  Pure.

A bank is decided on once its batteries have answered, a second apart at most.  What forbids something, or tells of a
trouble, does not wait: an alarm, an open switch, a lower limit of the BMS, a value that is not known any more, and a
cell, a temperature or an SoC that moves so fast that a second matters.
"""

from collections.abc import Sequence
from itertools import compress
from math import inf
from operator import attrgetter, gt, sub
from typing import Final

from gateway.model import Reading
from gateway.model.known import are_known

MOVED: Final = {  # within a poll: so far a value moves without hurry
    "min_cell": 0.02,  # V
    "max_cell": 0.02,  # V
    "voltage": 0.32,  # V; the same of sixteen cells, for a BMS that tells none
    "coldest": 2.0,  # °C
    "hottest": 2.0,  # °C
    "mosfet_temperature": 2.0,  # °C
    "soc": 2.0,  # %
    "capacity": 5.0,  # Ah; its share of the bank follows it
    "current": inf,  # A; it may jump, but not be lost
}
SWITCH_NAMES: Final = ("charge_allowed", "discharge_allowed")
LIMIT_NAMES: Final = ("max_charge_current", "max_discharge_current", "max_battery_voltage")
SWITCHES: Final = attrgetter(*SWITCH_NAMES)
ASKED: Final = attrgetter(*LIMIT_NAMES)
TOLD: Final = attrgetter("alarms", "rejected", *SWITCH_NAMES, *LIMIT_NAMES)
KNOWN: Final = attrgetter(*MOVED)
FAR: Final = tuple(MOVED.values())


def urgent(before: Reading | None, after: Reading) -> bool:
    """Is `after` to be decided on at once, by somebody who knows `before`?  The first reading is."""
    if before is None or (TOLD(after) != TOLD(before) and _forbids(before, after)):
        return True
    return _lacks(before, after) or _moves(KNOWN(before), KNOWN(after))


def _forbids(before: Reading, after: Reading) -> bool:
    """An alarm rose, a switch is another, a value is refused that was not, or the BMS asks for less than before."""
    if after.alarms != before.alarms and any(n > before.alarms.get(name, 0) for name, n in after.alarms.items()):
        return True
    if SWITCHES(after) != SWITCHES(before) or after.rejected.keys() != before.rejected.keys():
        return True
    asked, before_that = ASKED(after), ASKED(before)
    return asked != before_that and any(
        now != was and (now is None or was is None or now < was)
        for now, was in zip(asked, before_that, strict=True)
    )  # fmt: skip


def _lacks(before: Reading, after: Reading) -> bool:
    """A cell or a sensor that was known is not known any more."""
    cells = _shrinks(before.cell_voltages, after.cell_voltages)
    return cells or _shrinks(before.temperatures, after.temperatures)


def _shrinks(before: Sequence[float | None], after: Sequence[float | None]) -> bool:
    """One of the list is not known any more, or has left it."""
    return len(after) < len(before) or (
        None in after and any(now is None and was is not None for now, was in zip(after, before, strict=False))
    )


def _moves(before: Sequence[float | None], after: Sequence[float | None]) -> bool:
    """One of KNOWN is not known any more, or moves so fast that a second matters."""
    told = are_known(before)
    was, now = tuple(compress(before, told)), tuple(compress(after, told))
    return None in now or any(map(gt, map(abs, map(sub, now, was)), compress(FAR, told)))
