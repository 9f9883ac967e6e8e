"""Refuses what cannot be: a reading that is nonsense is dropped whole, a cell or sensor that is broken becomes unknown.

Ranges: limits.md chapter 1 (a reading outside them is "not this BMS") and Q20 (a clamped temperature hides a broken
sensor, so an impossible one counts as missing).
"""

from dataclasses import replace
from typing import Final

from gateway.model import Implausible, Reading

RANGES: Final = {  # name: (least, most, unit)
    "voltage": (0.0, 100.0, "V"),
    "current": (-1000.0, 1000.0, "A"),
    "soc": (0.0, 100.0, "%"),
    "capacity": (0.0, 5000.0, "Ah"),
}
CELL: Final = (0.5, 5.0)  # V
TEMPERATURE: Final = (-40.0, 120.0)  # °C


def plausible(reading: Reading) -> Reading:
    """`reading`, with broken cells and sensors turned into None.  Raises Implausible for one that cannot be."""
    for name, (least, most, unit) in RANGES.items():
        value = getattr(reading, name)
        if value is not None and not least <= value <= most:  # NaN fails this, too
            raise Implausible(name, value, f"{least:g}..{most:g} {unit}")
    _cells_fit(reading)
    cells, sensors = reading.cell_voltages, reading.temperatures
    changes: dict[str, object] = {}
    if any(v is None or not CELL[0] <= v <= CELL[1] for v in cells):
        changes["cell_voltages"] = tuple(v if v is not None and CELL[0] <= v <= CELL[1] else None for v in cells)
    if any(t is None or not TEMPERATURE[0] <= t <= TEMPERATURE[1] for t in sensors):
        changes["temperatures"] = tuple(_sensor(t) for t in sensors)
    for name in ("mosfet_temperature", "ambient_temperature"):
        value = getattr(reading, name)
        if value is not None and _sensor(value) is None:
            changes[name] = None
    return replace(reading, **changes) if changes else reading  # type: ignore[arg-type]


def _sensor(value: float | None) -> float | None:
    return value if value is not None and TEMPERATURE[0] <= value <= TEMPERATURE[1] else None


def _cells_fit(reading: Reading) -> None:
    """A single cell far above what is possible means a torn or shifted frame, not a cell."""
    for number, value in enumerate(reading.cell_voltages, 1):
        if value is not None and not -0.001 <= value <= 2 * CELL[1]:
            raise Implausible(f"cell_voltages[{number}]", value, f"0..{CELL[1]:g} V")
