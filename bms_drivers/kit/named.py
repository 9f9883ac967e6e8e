"""Values by the names that a file gives them, ours or a user's own: signals of a DBC, entries of a register map.

A name is that of a value of a Reading (`voltage`, `soc`, `charge_allowed`), or

    cell_voltage_3, cell_balancing_3, temperature_2    the third cell, the second sensor, counted from 1
    alarm_high_voltage, warning_high_voltage           raised when not 0: level 2, level 1
    level_high_voltage                                 0, 1 or 2 as it is
    alarm_high_voltage_2                               another bit that raises the same alarm
    _anything                                          the driver's own, or of no interest

A cell that shows exactly 0 does not exist.
"""

import functools
import re
from collections.abc import Iterable
from typing import Any, Final

from bms_drivers.kit.declare import Values
from gateway.model import ALARMS, Reading
from gateway.model.words import meant

NUMBERED: Final = re.compile(r"(cell_voltage|cell_balancing|temperature)_([1-9]\d?)")
ALARM: Final = re.compile(rf"(alarm|warning|level)_({'|'.join(ALARMS)})(_\d+)?")
LISTS: Final = {"cell_voltage": "cell_voltages", "cell_balancing": "cell_balancing", "temperature": "temperatures"}
STRUCTURED: Final = {*LISTS.values(), "alarms", "rejected", "held", "untold"}
KINDS: Final = {
    name: next(kind for kind in ("float", "int", "bool", "str") if kind in str(described.type))
    for name, described in Reading.__dataclass_fields__.items() if name not in STRUCTURED
}  # fmt: skip
"""Values that may be told by their own name, and what they are."""
NAMES: Final = (
    *KINDS, *(f"{level}_{name}" for level in ("alarm", "warning", "level") for name in ALARMS),
    *("cell_voltage_1", "cell_balancing_1", "temperature_1"),
)  # fmt: skip
"""Names, one of each kind."""
ESSENTIAL: Final = (("voltage",), ("soc", "current"))
"""What must be told, one of each group: a battery without it cannot be watched."""


def canonical(name: str) -> str:
    """The name in a Reading of what is told so; "" for the driver's own, and for a name that is none."""
    if found := NUMBERED.fullmatch(name):
        return LISTS[found[1]]
    return "alarms" if ALARM.fullmatch(name) else name if name in KINDS else ""


@functools.cache
def numbered(name: str) -> tuple[str, int]:
    """The list that a cell or sensor of that name belongs to, and its number; ("", 0) for what is none."""
    found = NUMBERED.fullmatch(name)
    return (found[1], int(found[2])) if found else ("", 0)


@functools.cache
def alarm(name: str) -> tuple[str, str]:
    """How what is called so tells an alarm (alarm, warning, level), and which; ("", "") for what is none.

    `name` is a signal's, or its `key`.
    """
    found = ALARM.fullmatch(name.removeprefix("_"))
    return (found[1], found[2]) if found else ("", "")


def suggestion(name: str) -> str:
    """What a name that is none of them may have meant."""
    return meant(name.lower(), NAMES, "expected one of those in docs/add-a-bms.md", likeness=0.5)


def lacking(names: Iterable[str]) -> list[str]:
    """What must be told and is not, as "soc or current"."""
    told = set(names)
    return [" or ".join(group) for group in ESSENTIAL if not told.intersection(group)]


@functools.cache
def key(name: str) -> str:
    """What a value is called until lists and alarms are put together: plain ones as they are, others behind "_"."""
    return name if name in KINDS or name[0] == "_" else f"_{name}"


def typed(name: str, value: Any) -> Any:
    """A number as what the value of that name is; None stays None."""
    kind = KINDS.get(name, "float")
    if value is None or kind == "float":
        return value
    return bool(value) if kind == "bool" else int(value) if kind == "int" else str(value)


def decimals(*numbers: float) -> int:
    """Digits after the point that the finest of `numbers` has, nine at most."""
    return max(len(f"{number:.9f}".rstrip("0").partition(".")[2]) for number in numbers)


def gathered(values: Values, names: tuple[str, ...]) -> Values:
    """Lists and alarms put together of their parts; of `names`, a cell or sensor that is not told now is None."""
    for part, count in _counts(names).items():
        values[LISTS[part]] = _listed([values.get(f"_{part}_{n}") for n in range(1, count + 1)], part)
    alarms = dict(values.get("alarms", {}))
    for name, value in values.items():
        how, which = alarm(name)
        if which and value is not None:
            alarms[which] = max(_level(how, value), alarms.get(which, 0))
    if alarms:
        values["alarms"] = alarms
    return values


@functools.lru_cache
def _counts(names: tuple[str, ...]) -> dict[str, int]:
    """How many parts each list has, of those that have any."""
    counts: dict[str, int] = {}
    for part, number in map(numbered, names):
        counts[part] = max(number, counts.get(part, 0))
    return {part: counts[part] for part in LISTS if part in counts}


def _listed(parts: list[Any], name: str) -> tuple[Any, ...]:
    if name == "cell_balancing":
        return tuple(map(bool, parts)) if None not in parts else ()
    while parts and parts[-1] == 0 and name == "cell_voltage":
        parts.pop()
    return tuple(part or None for part in parts) if name == "cell_voltage" else tuple(parts)


def _level(how: str, value: float) -> int:
    """0, 1 or 2."""
    if not value:
        return 0
    return 2 if how == "alarm" else 1 if how == "warning" else min(2, int(value))
