"""Rows of the list of published values (outputs.values) that stand on D-Bus as they are.  Pure.

A row that is a field of the View is there under the first of its paths: type, digits, rounding, text and pace are the
list's.  What Victron wants otherwise is written out in paths.py and lifetime.py, under paths that the list knows, too.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from outputs.values import BY_NAME, VALUES
from outputs.values.value import Field, Value
from outputs.venus_dbus.entry import Entry, down, flag, name, rounded, same, up
from outputs.venus_dbus.tree import Kind, Text, fixed, plain

KINDS: Final[Mapping[str, Kind]] = {"float": "d", "int": "i", "flag": "i", "level": "i", "text": "s"}
LEAST_DIGITS: Final = {"A": 2, "Ah": 1}  # of a text, as Victron's own services write it
UNITS: Final = {"°C": "C"}
ROUND: Final = {"nearest": rounded, "down": down, "up": up}
SHAPES: Final[Mapping[str, Callable[[Any], Any]]] = {"flag": flag, "text": name}
APART: Final = ("limits", "life", "bms")
"""Fields that not every service has."""


def with_listed(own: tuple[Entry, ...], *of: str) -> tuple[Entry, ...]:
    """Rows in Victron's manner, and those of the list that are in one of these fields; () = in none that is apart."""
    taken = {entry.path for entry in own}
    return (*own, *(entry for entry in _LISTED if entry.path not in taken and _belongs(entry, of)))


def text_of(row: str | Value) -> Text:
    """How a value of the list, given or named, reads."""
    row = BY_NAME[row] if isinstance(row, str) else row
    if not row.unit:
        return plain
    return fixed(max(row.digits, LEAST_DIGITS.get(row.unit, 0)), UNITS.get(row.unit, row.unit))


def _belongs(entry: Entry, of: tuple[str, ...]) -> bool:
    root = entry.of.partition(".")[0]
    return root in of if of else root not in APART


def _entry(row: Value, field: Field) -> Entry:
    return Entry(row.dbus[0], KINDS[row.kind], text_of(row), field.of, _how(row, field), slow=row.slow)


def _how(row: Value, field: Field) -> Callable[[Any], Any]:
    shape, take = _shape(row), field.take
    return (lambda found: shape(take(found))) if field.inner else shape


def _shape(row: Value) -> Callable[[Any], Any]:
    if row.kind == "float":
        round_, digits = ROUND[row.rounding], row.digits
        return lambda value: round_(value, digits)
    return SHAPES.get(row.kind, same)


_LISTED: Final = tuple(
    _entry(row, row.field) for row in VALUES if row.dbus and row.field is not None and row.kind in KINDS
)
