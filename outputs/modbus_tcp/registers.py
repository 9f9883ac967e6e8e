"""Values as registers: the map is the column of the list of published values, and nothing else.  Pure.

High word first.  Not known is 0xFFFF, 0x8000 (i16), 0xFFFFFFFF, 0x80000000 (i32), and zeros for text; what is out of
range saturates beside that and never wraps.  Registers between the fields read as not known.  Sheet: face.md chapter 4.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from outputs.values import BANK, BATTERY, told
from outputs.values.value import Register, Subject, Told, Value

MARK, VERSION = 0x4247, 1
BANK_KIND, BATTERY_KIND = 1, 2
SIZE: Final = 500  # registers
GAP: Final = 0xFFFF
WORST: Final = 77  # register: the highest level of all alarms
LIFE_SIGN: Final = "sequence"  # wraps, unlike all others: it is there to change
WORDS: Final = {"u16": 1, "i16": 1, "u32": 2, "i32": 2, "bits": 1, "text": 1, "place": 1}
SIGNED: Final = ("i16", "i32")
RULES: Final = (
    "", "config", "bank_limit", "bms_limit", "bms_switch", "cell_voltage", "temperature", "mosfet_temperature", "soc",
    "recovery", "sum", "silent", "any_blocks", "no_battery", "remote",
)  # fmt: skip
"""Rules that may bind a current, by the number that registers 51 and 52 hold; 0 = another."""

Image = list[int]


def image(subject: Subject, number: Callable[[str], int | None]) -> Image:
    """All registers of the bank or of one battery; `number` of a battery by its name, from 1."""
    rows = BANK if subject.state is None else BATTERY
    registers = [GAP] * SIZE
    registers[0:3] = (MARK, VERSION, BANK_KIND if subject.state is None else BATTERY_KIND)
    values = told(subject, rows)
    for row in rows:
        if row.modbus is not None:
            words = encoded(row, row.modbus, values[row.name], subject.snapshot.wall, number)
            registers[row.modbus.address : row.modbus.address + len(words)] = words
    levels = [level for level in subject.view.alarms.values() if level is not None]
    registers[WORST] = max(levels, default=GAP)
    return registers


def encoded(
    row: Value, register: Register, value: Told, wall: float, number: Callable[[str], int | None] = lambda name: None
) -> list[int]:
    """One value's registers; `wall` in s since the epoch."""
    if register.kind == "text":
        return _text(value if isinstance(value, str) else "", register.count)
    if register.kind == "place":
        return _place(value if isinstance(value, str) else "", number)
    if register.kind == "bits":
        return _bits(value if isinstance(value, list) else [value], register.count)
    if row.name == LIFE_SIGN and isinstance(value, int | float):
        return [int(value) & 0xFFFF]
    return [word for one in _elements(row, register, value) for word in _number(_plain(row, one, wall), register)]


def _elements(row: Value, register: Register, value: Told) -> Sequence[Any]:
    """As many as the map has room for."""
    found: list[Any] = [value]
    if isinstance(value, dict):
        found = list(value.values())
    elif isinstance(value, list):
        found = value
    elif row.kind in ("list", "map"):
        found = []
    return (found + [None] * register.count)[: register.count]


def _plain(row: Value, value: Any, wall: float) -> float | None:
    """As a number: a word by its place among all words, a moment as the seconds since then."""
    if row.kind == "enum":
        return row.options.index(value) if value in row.options else None
    if row.kind == "text":
        first = str(value or "").partition(",")[0]
        return RULES.index(first) if first in RULES else 0
    if row.kind == "moment":
        return None if value is None else max(0.0, wall - value)
    return None if value is None else float(value)


def _number(value: float | None, register: Register) -> list[int]:
    """Saturated, high word first."""
    bits = 16 * WORDS[register.kind]
    least, most = (-(1 << bits - 1) + 1, (1 << bits - 1) - 1) if register.kind in SIGNED else (0, (1 << bits) - 2)
    if value is None:
        raw = 1 << bits - 1 if register.kind in SIGNED else (1 << bits) - 1
    else:
        raw = min(most, max(least, round(value * register.factor))) & (1 << bits) - 1
    return [raw >> shift & 0xFFFF for shift in range(bits - 16, -1, -16)]


def _bits(values: Sequence[Any], count: int) -> list[int]:
    """A bit each, the first one lowest; one that is not known is not set among others that are."""
    words = (count + 15) // 16
    if all(value is None for value in values):
        return [GAP] * words
    word = sum(bool(value) << n for n, value in enumerate(values[: 16 * words]))
    return [word >> 16 * n & 0xFFFF for n in range(words)]


def _text(text: str, count: int) -> list[int]:
    """UTF-8, two bytes a register, filled up with zeros, no character cut in two."""
    raw = text.encode()[: 2 * count].decode(errors="ignore").encode().ljust(2 * count, b"\0")
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, 2 * count, 2)]


def _place(where: str, number: Callable[[str], int | None]) -> list[int]:
    """ "rack-1:3" as the battery's number and the cell's."""
    name, _, cell = where.rpartition(":")
    battery = number(name or where)
    return [GAP if battery is None else battery, int(cell) if cell.isdecimal() else GAP]


def units(names: Sequence[str], given: Mapping[str, int], first: int, last: int) -> dict[str, int]:
    """Unit by battery: as given, else from `first` on by their order; one for which there is none is left out."""
    taken = set(given.values())
    free = (unit for unit in range(first, last + 1) if unit not in taken)
    found = {name: given.get(name) or next(free, 0) for name in names}
    return {name: unit for name, unit in found.items() if unit}
