"""What the settings of one battery make of its cells: the voltages of the whole pack.  Sheet: limits.md 3.1, 3.7."""

from functools import lru_cache
from typing import NamedTuple

from gateway.limits.site import Rules
from gateway.model import Cap


class Levels(NamedTuple):
    """What the settings of one pack make of its cells."""

    cap: Cap  # U_max
    u_float: float  # V
    empty: float  # V
    cells: int  # in series


@lru_cache(maxsize=128)
def levels(rules: Rules, name: str, cells: int, reset: bool) -> Levels:
    """Of the pack called `name`; `reset`: with the higher voltage."""
    cell, volts, key = rules.settings.cell_voltage, rules.settings.cell_voltage.max, "limits.cell_voltage.max"
    if reset:
        volts, key = max(volts, rules.settings.soc_reset.cell_voltage), "limits.soc_reset.cell_voltage"
    rule, why = "soc_reset" if reset else "config", f"{volts:g} V x {cells} cells"
    cap = Cap(round(volts * cells, 2), rule, why, key, name)
    return Levels(cap, round(cell.float_ * cells, 2), round(cell.min * cells, 2), cells)
