"""Alarm names and levels.  0 = ok, 1 = warning, 2 = alarm; a name that is absent is not supported by the BMS."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Final

ALARMS: Final[tuple[str, ...]] = (
    "low_voltage",
    "high_voltage",
    "low_cell_voltage",
    "high_cell_voltage",
    "low_soc",
    "cell_imbalance",
    "high_charge_current",
    "high_discharge_current",
    "low_charge_temperature",
    "high_charge_temperature",
    "low_temperature",
    "high_temperature",
    "high_internal_temperature",
    "short_circuit",
    "fuse_blown",
    "bms_cable",
    "internal_failure",
)


def worst(alarms: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The highest level per name over several sets of alarms; names that no set holds stay absent."""
    sets = tuple(alarms)
    merged = dict.fromkeys(chain.from_iterable(sets), 0)
    for levels in sets:
        if any(levels.values()):
            for name, level in levels.items():
                merged[name] = max(level, merged[name])
    return merged
