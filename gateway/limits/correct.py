"""What the user knows better than the BMS: its current and its sensors corrected, once for each reading, before
anything looks at it.  Sheet: limits.md 5.1 (current), 5.4 (capacity), chapter 10 (TEMPERATURE_n_ADJUST), Q20 (never
twice).
"""

from functools import lru_cache

from gateway.limits.settings import Adjust, CurrentMap, LimitSettings
from gateway.limits.tables import Curve
from gateway.model import Reading
from gateway.model.records import replace


def correct(reading: Reading, settings: LimitSettings) -> Reading:
    """`reading` as rules and outputs are to see it; the same object where nothing differs."""
    changes: dict[str, object] = {}
    if (current := true_current(reading, settings.soc.current_map)) != reading.current:
        changes["current"] = current
    if reading.capacity is None and settings.soc.capacity is not None:
        changes["capacity"] = settings.soc.capacity
    adjust = settings.temperature_adjust
    if adjust.active:
        changes["temperatures"] = tuple(map(_adjusted, reading.temperatures, adjust.of_sensors(reading.temperatures)))
        changes["mosfet_temperature"] = _adjusted(reading.mosfet_temperature, adjust.mosfet)
    return replace(reading, **changes) if changes else reading  # type: ignore[arg-type]


def true_current(reading: Reading, table: CurrentMap) -> float | None:
    """The current [A] by the user's map, and without a flow through an open switch, which only an offset can show."""
    current = reading.current
    if current is None:
        return None
    if table.reported != table.measured:
        current = round(_curve(table.reported, table.measured)(current, "linear"), 3)
    if reading.discharge_allowed is False:
        current = max(0.0, current)
    if reading.charge_allowed is False:
        current = min(0.0, current)
    return current


@lru_cache(maxsize=64)
def _curve(reported: tuple[float, ...], measured: tuple[float, ...]) -> Curve:
    return Curve(reported, measured)


def _adjusted(value: float | None, adjust: Adjust) -> float | None:
    offset, factor = adjust
    return None if value is None else round(value * factor + offset, 1)
