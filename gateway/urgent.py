"""What of a new reading cannot wait until the other batteries of the bank have answered, too.  Pure.

A bank is decided on once its batteries have answered, a second apart at most.  What forbids something, or tells of a
trouble, does not wait: an alarm, an open switch, a lower limit of the BMS, a value that is not known any more, and a
cell that moves so fast that a second matters.
"""

from operator import attrgetter
from typing import Final

from gateway.model import Reading

MOVED: Final = 0.02  # V of the highest or the lowest cell within a poll
SWITCHES: Final = attrgetter("charge_allowed", "discharge_allowed")
ASKED: Final = attrgetter("max_charge_current", "max_discharge_current", "max_battery_voltage")
KNOWN: Final = attrgetter(
    "voltage", "current", "soc", "min_cell", "max_cell", "coldest", "hottest", "mosfet_temperature"
)


def urgent(before: Reading | None, after: Reading) -> bool:
    """Is `after` to be decided on at once, by somebody who knows `before`?  The first reading is."""
    return before is None or _forbids(before, after) or _lacks(before, after) or _moves(before, after)


def _forbids(before: Reading, after: Reading) -> bool:
    """An alarm rose, a switch is another, or the BMS asks for less than before."""
    if after.alarms != before.alarms and any(n > before.alarms.get(name, 0) for name, n in after.alarms.items()):
        return True
    if SWITCHES(after) != SWITCHES(before):
        return True
    asked, before_that = ASKED(after), ASKED(before)
    return asked != before_that and any(
        now != was and (now is None or was is None or now < was)
        for now, was in zip(asked, before_that, strict=True)
    )  # fmt: skip


def _lacks(before: Reading, after: Reading) -> bool:
    """Something that was known is not known any more, or was refused."""
    if None in (now := KNOWN(after)) and any(
        value is None and was is not None for value, was in zip(now, KNOWN(before), strict=True)
    ):
        return True
    cells = None in after.cell_voltages and None not in before.cell_voltages
    sensors = None in after.temperatures and None not in before.temperatures
    return cells or sensors or after.rejected.keys() != before.rejected.keys()


def _moves(before: Reading, after: Reading) -> bool:
    """A cell goes up or down so fast that a second matters."""
    low, high, low_before, high_before = after.min_cell, after.max_cell, before.min_cell, before.max_cell
    if low is None or high is None or low_before is None or high_before is None:
        return False
    return abs(low - low_before) > MOVED or abs(high - high_before) > MOVED
