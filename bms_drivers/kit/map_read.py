"""What a register map amounts to: where each value lies, which blocks are asked, and how their answers are read."""

import math
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bms_drivers.kit.declare import ONCE, Frame, Poll, Setup, Values, simple, text
from bms_drivers.kit.map_file import MOST_BITS, Bits, Map, Value, Where
from bms_drivers.kit.named import ALARM, KINDS, NUMBERED, canonical, decimals, key, typed
from bms_drivers.kit.payload import block

FORMATS: Final = {
    "u8": "B", "i8": "b", "u16": "H", "i16": "h", "u32": "I", "i32": "i", "u64": "Q", "i64": "q",
    "float": "f", "double": "d",
}  # fmt: skip
COILS: Final = (1, 2)  # functions that read bits
SPOKEN: Final = {1: "coils", 2: "inputs", 3: "registers", 4: "input registers"}
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """One value: which registers (or coils) hold it, and how it is read off their bytes."""

    name: str
    path: Path  # in the file
    function: int
    first: int
    count: int  # registers, or coils
    lane: float  # s between two questions; 0 = each poll, ONCE
    read: Callable[[bytes], Any]
    low: bool | None = None  # of a single byte: the second one of its register
    whole: bool = True  # of these registers nothing else is read: a number or text, no bit


@dataclass(slots=True)
class Block:
    """One question."""

    function: int
    first: int
    lane: float
    end: int
    places: list[Place] = field(default_factory=list)

    @property
    def name(self) -> str:
        """For people, and no other block's."""
        each = "" if not self.lane else " once" if self.lane == ONCE else f" each {self.lane:g} s"
        return f"{SPOKEN[self.function]} {self.first}..{self.end - 1}{each}"


def bits_of(type_: str) -> int:
    """Bits of a number."""
    return 8 * struct.calcsize(">" + FORMATS[type_])


def lane(where: Where) -> float:
    """s between two questions."""
    return ONCE if where.every == "once" else float(where.every or 0.0)


def places(file: Map) -> list[Place]:
    """Where everything is that is to be read, in the order of the file."""
    found = [place for name, value in file.values.items() for place in _value(file, name, value)]
    found += [place for number, word in enumerate(file.bits) for place in _word(file, number, word)]
    return [place for place in found if place.name[0] != "_"]


def told_apart(found: Sequence[Place]) -> list[Place]:
    """Alarms are numbered, as several bits may raise the same one."""
    seen: Counter[str] = Counter()
    numbered = []
    for place in found:
        if alarm := ALARM.fullmatch(place.name):
            name = f"{alarm[1]}_{alarm[2]}"
            seen[name] += 1
            place = replace(place, name=f"{name}_{seen[name]}")
        numbered.append(place)
    return numbered


def blocks(found: Sequence[Place], at_once: int, gap: int) -> list[Block]:
    """The questions: as few as the most registers of one, and the registers that may be read along, allow."""
    made: list[Block] = []
    for place in sorted(found, key=lambda place: (place.lane, place.function, place.first)):
        most = MOST_BITS if place.function in COILS else at_once
        end, last = place.first + place.count, made[-1] if made else None
        fits = last is not None and (last.function, last.lane) == (place.function, place.lane)
        if last is None or not fits or place.first > last.end + gap or max(last.end, end) - last.first > most:
            last = Block(place.function, place.first, place.lane, end)
            made.append(last)
        last.end = max(last.end, end)
        last.places.append(place)
    return made


def poll(asked: Block, file: Map) -> Poll:
    """The step of the plan that asks a block."""

    def decode(frames: Sequence[Frame], setup: Setup, known: Values) -> Values:
        cut = _bit if asked.function in COILS else _registers
        data = frames[0].payload
        return {
            key(place.name): place.read(cut(data, place.first - asked.first, place.count)) for place in asked.places
        }

    count = asked.end - asked.first
    question = block(asked.first, count, function=asked.function, timeout=file.timeout, tries=file.tries)
    gives = dict.fromkeys(name for place in asked.places if (name := canonical(place.name)))
    essential = any(place.name == "voltage" for place in asked.places)
    return Poll(asked.name, simple(question, decode), tuple(gives), every=asked.lane, essential=essential)


def _registers(data: bytes, at: int, count: int) -> bytes:
    return data[2 * at : 2 * (at + count)]


def _bit(data: bytes, at: int, count: int) -> bytes:
    return bytes((data[at >> 3] >> (at & 7) & 1,))


# ---- entries


def _value(file: Map, name: str, value: Value) -> Iterator[Place]:
    """The places of an entry, several for a run."""
    numbered = NUMBERED.fullmatch(name)
    for n in range(value.count or 1 if numbered else 1):
        called = f"{numbered[1]}_{int(numbered[2]) + n}" if numbered else name
        yield _placed(file, called, ("values", name), value, n)


def _word(file: Map, number: int, word: Bits) -> Iterator[Place]:
    for bit, name in word.bits.items():
        one = Value(
            register_=word.register_, function=word.function, byte_order=word.byte_order, word_order=word.word_order,
            every=word.every, type=word.type, bit=int(bit),
        )  # fmt: skip
        yield _placed(file, name, ("bits", number, "bits", bit), one, 0)


def _placed(file: Map, name: str, path: Path, value: Value, n: int) -> Place:
    """The `n`-th of a run."""
    function, byte_order, word_order = file.filled(value)
    first, made = value.register_ - file.base, _made(name, value)
    if function in COILS:
        first += n + (value.bit or 0)
        return Place(name, path, function, first, 1, lane(value), lambda data: made(data[0]), whole=False)
    if value.type == "string":
        count = value.count or 1
        return Place(name, path, function, first, count, lane(value), lambda data: text(_swapped(data, byte_order)))
    order = _order(byte_order, word_order)
    if value.bit is not None:
        low, mask, width = value.bit + n, (1 << value.length) - 1, bits_of(value.type) // 16
        return Place(
            name, path, function, first, width, lane(value), whole=False,
            read=lambda data: made(int.from_bytes(order(data), "big") >> low & mask),
        )  # fmt: skip
    unpack = struct.Struct(">" + FORMATS[value.type])
    if unpack.size == 1:
        at = (value.byte == "low") + n
        return Place(
            name, path, function, first + at // 2, 1, lane(value), low=bool(at % 2),
            read=lambda data: made(unpack.unpack_from(order(data), at % 2)[0]),
        )  # fmt: skip
    width = unpack.size // 2
    return Place(
        name, path, function, first + n * width, width, lane(value),
        read=lambda data: made(unpack.unpack(order(data))[0]),
    )  # fmt: skip


def _swapped(data: bytes, byte_order: str) -> bytes:
    """The bytes of registers, high byte first."""
    if byte_order == "big":
        return data
    return bytes(data[n ^ 1] for n in range(len(data)))


def _order(byte_order: str, word_order: str) -> Callable[[bytes], bytes]:
    """Registers as they come -> the bytes of their number, high byte first."""

    def ordered(data: bytes) -> bytes:
        data = _swapped(data, byte_order)
        return data if word_order == "big" else b"".join(data[n : n + 2] for n in range(len(data) - 2, -1, -2))

    return ordered


def _made(name: str, value: Value) -> Callable[[Any], Any]:
    """From the number that is sent to the value; None = not known."""
    mask = (1 << (value.length if value.bit is not None else _width(value))) - 1
    unknown = {number & mask for number in value.invalid}
    if KINDS.get(name) == "bool" or ALARM.fullmatch(name) or name.startswith("cell_balancing_"):
        return lambda raw: None if raw & mask in unknown else typed(name, int(not raw) if value.inverted else raw)
    digits, scaled = decimals(value.scale, value.offset), (value.scale, value.offset) != (1, 0)
    low, high = (-math.inf if value.min is None else value.min), (math.inf if value.max is None else value.max)
    slot = name.startswith("cell_voltage_")  # one without a cell shows 0

    def made(raw: float) -> Any:
        if (isinstance(raw, int) and raw & mask in unknown) or not math.isfinite(raw):
            return None
        shown = round(raw * value.scale + value.offset, digits) + 0 if scaled else raw  # + 0: no negative zero
        return typed(name, shown) if low <= shown <= high or (slot and shown == 0) else None

    return made


def _width(value: Value) -> int:
    """Bits."""
    return 64 if value.type == "string" else bits_of(value.type)
