"""Recorded exchanges with expected values, and how exactly a Reading must match them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.model import Reading

HERE = Path(__file__).parent

TOLERANCE = {  # absolute; everything else is exact
    "voltage": 0.010,
    "cell_voltages": 0.001,
    "lowest_cell_voltage": 0.001,
    "highest_cell_voltage": 0.001,
    "max_battery_voltage": 0.010,
    "min_battery_voltage": 0.010,
    "current": 0.05,
    "max_charge_current": 0.05,
    "max_discharge_current": 0.05,
    "temperatures": 0.1,
    "mosfet_temperature": 0.1,
    "ambient_temperature": 0.1,
    "soc": 0.05,
    "soh": 0.05,
    "capacity": 0.01,
    "remaining_capacity": 0.01,
    "power": 0.001,
}


@dataclass(frozen=True)
class Case:
    """One file of recorded exchanges."""

    name: str
    data: Mapping[str, Any]

    def __str__(self) -> str:
        return self.name


def cases(driver: str) -> list[Case]:
    """Every recording of one driver."""
    files = sorted((HERE / driver).glob("*.json"))
    assert files, f"no vectors for {driver}"
    return [Case(file.stem, json.loads(file.read_text())) for file in files]


SOME_CELLS = re.compile(r"cell_voltages_1_to_(\d+)")  # of a recording that holds the first cells only


def is_write(case: Case) -> bool:
    """The case describes control writes rather than a Reading."""
    return not any(key in Reading.__dataclass_fields__ or SOME_CELLS.match(key) for key in case.data["expected"])


def differences(reading: Reading, expected: Mapping[str, Any]) -> list[str]:
    """What of `expected` the reading does not show; alarms not named must be 0 or absent.

    Keys that are no canonical names describe something else: writes, further packs.
    """
    found = []
    for key, want in expected.items():
        if not hasattr(reading, key) and not SOME_CELLS.match(key):
            continue
        have, key = _shown(reading, key)
        if key == "alarms":
            raised = {name: level for name, level in have.items() if level or name in want}
            same = all(raised.get(n, 0) == want.get(n, 0) for n in {*raised, *want})
        else:
            same = _close(have, want, TOLERANCE.get(key, 0.0))
        if not same:
            found.append(f"{key}: {have!r}, expected {want!r}")
    return found


def _shown(reading: Reading, key: str) -> tuple[Any, str]:
    """What the reading shows of a key of "expected", and the canonical name of it."""
    if some := SOME_CELLS.match(key):
        return reading.cell_voltages[: int(some[1])], "cell_voltages"
    return getattr(reading, key), key


def _close(have: Any, want: Any, tolerance: float) -> bool:
    if isinstance(want, list):
        return have is not None and len(have) == len(want) and all(map(_close, have, want, [tolerance] * len(want)))
    if isinstance(want, bool) or want is None or isinstance(want, str):
        return bool(have == want) and type(have) is type(want)
    return isinstance(have, int | float) and abs(have - want) <= tolerance + 1e-9
