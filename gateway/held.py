"""An alarm that was told stays until the BMS tells otherwise: that nobody answers does not end it.

The other values that hold something back (cells, sensors, switches, limits of the BMS) are kept for a while, and then
stop the current, where the rules look at them: limits/inputs.py.  Sheet: limits.md 4.5.
"""

from collections.abc import Mapping

from gateway.model import Reading
from gateway.model.records import replace


def held(reading: Reading, before: Mapping[str, int]) -> Reading:
    """`reading` with those alarms of `before` that were raised and of which it says nothing."""
    if not any(before.values()):
        return reading
    kept = {name: level for name, level in before.items() if level and name not in reading.alarms}
    if not kept:
        return reading
    return replace(reading, alarms={**reading.alarms, **kept}, held=tuple(sorted(kept)))
