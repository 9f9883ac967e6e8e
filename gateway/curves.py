"""The limit curves of a configuration as plain data, in amperes: for `explain --curves` and the page.

Sheet: limits.md chapter 2 (how a table is read between its points).
"""

from collections.abc import Iterator
from typing import Any, Final

from gateway.limits.currents import STEP_SIDE, Way
from gateway.limits.settings import LimitSettings, Table
from gateway.limits.site import Site
from gateway.limits.tables import Curve, Side

GROUPS: Final = (  # settings key, axis, unit, range of the axis
    ("by_cell_voltage", "cell voltage", "V", (2.7, 3.6)),
    ("by_temperature", "cell temperature", "°C", (-15.0, 60.0)),
    ("by_mosfet_temperature", "MOSFET temperature", "°C", (20.0, 100.0)),
    ("by_soc", "SoC", "%", (0.0, 100.0)),
)
EDGE: Final = 1e-6  # beside a point, where a table that goes in steps jumps


def tables(limits: LimitSettings) -> Iterator[dict[str, Any]]:
    """Every table with its key and its points in amperes."""
    for key, axis, unit, _ in GROUPS:
        for way, most in ways(limits):
            table = table_of(limits, key, way)
            points = sorted(zip(table.points, table.fractions, strict=True))
            yield {
                "setting": f"limits.{key}.{way}",
                "enabled": table.enabled,
                "input": axis,
                "unit": unit,
                "points": [{"at": at, "amps": round(fraction * most, 3)} for at, fraction in points],
            }


def lines(limits: LimitSettings) -> Iterator[dict[str, Any]]:
    """Every table as the line that its rule follows from one end of the axis to the other: {..., "line": [[x, A]]}."""
    for (key, _, _, ends), (way, most) in ((group, way) for group in GROUPS for way in ways(limits)):
        table, side = table_of(limits, key, way), side_of(limits, way, key)
        curve = Curve(table.points, table.fractions)
        low, high = min(ends[0], *table.points), max(ends[1], *table.points)
        xs = sorted({low, high, *(point + edge for point in table.points for edge in (-EDGE, 0.0, EDGE))})
        line = [[round(x, 4), round(curve(x, side) * most, 2)] for x in xs if low <= x <= high]
        yield {
            "setting": f"limits.{key}.{way}", "input": key.removeprefix("by_"), "way": way, "enabled": table.enabled,
            "line": list(map(list, dict.fromkeys(map(tuple, line)))),
        }  # fmt: skip


def by_battery(site: Site) -> dict[str, list[dict[str, Any]]]:
    """The lines that hold for the bank ("") and for batteries that have limits of their own."""
    return {name: list(lines(limits)) for name, limits in {"": site.limits, **site.per_battery}.items()}


def ways(limits: LimitSettings) -> tuple[tuple[Way, float], ...]:
    """Both directions, and A at most."""
    return ("charge", limits.charge_current.max), ("discharge", limits.discharge_current.max)


def table_of(limits: LimitSettings, key: str, way: Way) -> Table:
    """One table of the settings."""
    table: Table = getattr(getattr(limits, key), way)
    return table


def side_of(limits: LimitSettings, way: Way, key: str) -> Side:
    """How the rule itself reads this table between its points."""
    return "linear" if limits.mode == "linear" else STEP_SIDE[way, key.removeprefix("by_")]
