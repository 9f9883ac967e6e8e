"""How a value must be told by a user's own file: in which unit, and how often."""

from collections.abc import Iterator
from typing import Final

from bms_drivers.kit.declare import ONCE
from bms_drivers.kit.named import ALARM, canonical, numbered
from gateway.config.explain import SAME
from gateway.model import CONTROL

UNITS: Final = {  # by the end of a name
    "voltage": "V", "protection": "V", "current": "A", "soc": "%", "soh": "%", "capacity": "Ah", "temperature": "°C",
}  # fmt: skip
SLOWEST: Final = {
    **dict.fromkeys((*CONTROL, "alarms"), 10),
    **dict.fromkeys(("max_charge_current", "max_discharge_current", "max_battery_voltage", "min_battery_voltage"), 300),
    "soc": 60,
}
"""s between two answers for what limits rest on: until the next one is due, an answer does not count as old."""


def too_seldom(name: str, every: float) -> Iterator[str]:
    """Why it is not told often enough, where it comes each `every` seconds, or once."""
    told = canonical(name) if name else ""
    if every > (most := SLOWEST.get(told, ONCE)):
        yield f"{'once' if every == ONCE else f'{every:g} s'}, but limits rest on {name}: expected {most} s at most"


def wrong_unit(name: str, unit: str) -> str:
    """Why the value of that name cannot be told in `unit`; "" = it can."""
    one = numbered(name)[0] or name
    right = "" if ALARM.fullmatch(name) else next((unit for end, unit in UNITS.items() if one.endswith(end)), "")
    return "" if SAME.get(unit, unit) == right else f"{unit!r}, but {one} is told in {right or 'no unit'}"
