"""What of a register map cannot make a Reading, or would make one that is older than it looks; each with its key."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from bms_drivers.kit.fitting import too_seldom, wrong_unit
from bms_drivers.kit.map_file import Bits, Map, Value, Where
from bms_drivers.kit.map_read import COILS, Path, Place, bits_of, lane, places
from bms_drivers.kit.named import ALARM, KINDS, NUMBERED, canonical, lacking, suggestion

Mistakes = Iterator[tuple[Path, str]]

HIGHEST: Final = 0xFFFF  # register


def mistakes(file: Map) -> Mistakes:
    """Each key that is wrong, and why."""
    for name, value in file.values.items():
        yield from ((("values", name, *key), text) for key, text in _value(file, name, value))
    for number, word in enumerate(file.bits):
        yield from ((("bits", number, *key), text) for key, text in _word(file, word))


def mistakes_together(file: Map, line: Callable[[Path], int]) -> Mistakes:
    """As `mistakes`, of entries that are right one by one; `line` tells where in the file a key is."""
    found = places(file)
    yield from _twice(found, line)
    yield from _shared(found, line)
    for names in lacking(place.name for place in found):
        yield ("values",), f"missing, expected {names}: a battery without it cannot be watched"


# ---- one entry


def _value(file: Map, name: str, value: Value) -> Mistakes:
    if text := _unknown(name):
        yield (), text
    yield from _where(file, name, value, _long(file, name, value))
    given, function = value.given, file.filled(value)[0]
    if function in COILS:
        wrong = given & {"type", "bit", "length", "byte", "scale", "offset", "byte_order", "word_order"}
        yield from (((key,), f"does not go with function {function}, which reads bits") for key in sorted(wrong))
    elif value.type == "string":
        yield from _string(name, value, file.at_once)
    else:
        yield from _number(name, value)
    if value.count is not None and not (NUMBERED.fullmatch(name) or value.type == "string"):
        yield ("count",), "goes with cells and sensors (cell_voltage_1, temperature_1) and with type: string"
    if value.scale == 0:
        yield ("scale",), "0 makes every value the same; expected what one count is worth"
    if value.min is not None and value.max is not None and value.min > value.max:
        yield ("min",), f"{value.min:g} is above max {value.max:g}: no value is known then"
    if value.unit is not None and canonical(name) and (text := wrong_unit(name, value.unit)):
        yield ("unit",), f"{text}; choose scale so, and unit"


def _string(name: str, value: Value, at_once: int) -> Mistakes:
    if KINDS.get(name) != "str":
        yield ("type",), f"a string, but {name} is a number"
    if value.count is None:
        yield ("count",), "missing, expected how many registers the string has"
    elif value.count > at_once:
        yield ("count",), f"{value.count} registers, but at most {at_once} can be asked for at once"
    wrong = value.given & {"bit", "length", "byte", "scale", "offset", "invalid", "min", "max", "inverted"}
    yield from (((key,), "does not go with a string") for key in sorted(wrong))


def _number(name: str, value: Value) -> Mistakes:
    if value.bit is not None:
        last = value.bit + value.length - 1 + (value.count or 1) - 1
        if value.type not in ("u16", "u32", "u64"):
            yield ("type",), f"{value.type} has no bits to choose from, expected one of u16, u32, u64"
        elif last >= bits_of(value.type):
            yield ("bit",), f"bit {last} is none of a {value.type}, expected 0..{bits_of(value.type) - 1}"
        if value.length > 1 and (value.count or 1) > 1:
            yield ("length",), "does not go with count: a run is of single bits"
    elif "length" in value.given:
        yield ("length",), "goes with bit: the first of so many"
    if bits_of(value.type) == 8 and value.byte is None:
        yield ("byte",), f"missing, expected high or low: which byte of the register the {value.type} is"
    if bits_of(value.type) != 8 and value.byte is not None:
        yield ("byte",), "goes with u8 and i8"
    if value.inverted and not _is_yes_or_no(name):
        yield ("inverted",), "goes with what is yes or no"


def _word(file: Map, word: Bits) -> Mistakes:
    yield from _where(file, "", word, 1)
    for bit, name in word.bits.items():
        if not bit.isdecimal() or int(bit) >= bits_of(word.type):
            yield ("bits", bit), f"no bit of a {word.type}, expected 0..{bits_of(word.type) - 1}"
        if text := _unknown(name):
            yield ("bits", bit), text
        elif not _is_yes_or_no(name):
            yield ("bits", bit), f"{name} is a number, expected an alarm or a switch; or put it under values"
        yield from ((("every",), text) for text in too_seldom(name, lane(word)))


def _where(file: Map, name: str, where: Where, count: int) -> Mistakes:
    first = where.register_ - file.base
    if first < 0:
        yield ("register",), f"{where.register_} is before base {file.base}, the number of the first register"
    elif first + count - 1 > HIGHEST:
        yield ("register",), f"register {first + count - 1} is beyond {HIGHEST}; is base right, as 40001?"
    yield from ((("every",), text) for text in too_seldom(name, lane(where)))


def _long(file: Map, name: str, value: Value) -> int:
    """Registers, or coils, from the first to the last."""
    count = value.count or 1
    if file.filled(value)[0] in COILS or value.type == "string":
        return count
    width = bits_of(value.type) // 16
    return max(1, width) if value.bit is not None else count * width or (count + 1) // 2


def _is_yes_or_no(name: str) -> bool:
    return bool(KINDS.get(name) == "bool" or ALARM.fullmatch(name) or name.startswith(("_", "cell_balancing_")))


def _unknown(name: str) -> str:
    """Why no value is called so; "" = one is."""
    if name[:1] == "_" or canonical(name):
        return ""
    return f"no value of that name, {suggestion(name)} (with _ before it, it is not read)"


# ---- entries together


def _twice(found: Sequence[Place], line: Callable[[Path], int]) -> Mistakes:
    first: dict[str, Place] = {}
    said: set[Path] = set()
    for place in found:
        other = first.setdefault(place.name, place)
        if other is not place and not ALARM.fullmatch(place.name) and place.path not in said:
            said.add(place.path)
            yield place.path, f"{place.name} is told twice, first in line {line(other.path)}; keep one of them"


def _shared(found: Sequence[Place], line: Callable[[Path], int]) -> Mistakes:
    """Registers that are read as two things; a bit may have several meanings."""
    taken: dict[tuple[int, int], Place] = {}
    said: set[Path] = set()
    for place in sorted(found, key=lambda place: place.whole):
        for byte in _bytes(place):
            other = taken.setdefault(byte, place)
            if other.path != place.path and place.whole and place.path not in said:
                said.add(place.path)
                where = f"register {byte[1] // 2}, which is {other.name} already (line {line(other.path)})"
                yield place.path, f"{place.name} is read from {where}; a number in some of its bits has bit and length"


def _bytes(place: Place) -> Iterator[tuple[int, int]]:
    """Function and place of each byte that it is made of."""
    for n in range(2 * place.first, 2 * (place.first + place.count)):
        if place.low is None or n % 2 == place.low:
            yield place.function, n
