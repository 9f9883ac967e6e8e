"""The parts that answers are made of: values to bytes and back.  All numbers big endian.

A number that does not fit its field stops at the end of it, and is noted as clamped; it never wraps.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from gateway.model import BadLength
from outputs.inverter.coder import TINY, Coder, shown
from outputs.inverter.keys import BOUNDS, Value, Values

Found = dict[str, Any]

KINDS: Final[Mapping[str, tuple[int, int, int]]] = {  # bytes, lowest, highest
    "u8": (1, 0, 0xFF), "u16": (2, 0, 0xFFFF), "s16": (2, -0x8000, 0x7FFF), "u24": (3, 0, 0xFFFFFF),
    "u32": (4, 0, 0xFFFFFFFF),
}  # fmt: skip
DIGITS: Final = {1.0: 0, 0.1: 1, 0.01: 2, 0.001: 3}
KELVIN: Final = -273.1  # °C of a raw 0 in steps of 0.1 K: 2731 is 0 °C everywhere; sheet, trap 8


class Part(Protocol):
    """Some bytes of an answer."""

    @property
    def keys(self) -> Iterable[str]:
        """Names of the values that it says."""

    def encode(self, values: Values, clamped: list[str]) -> bytes:
        """The bytes that say `values`; names of those that did not fit are added to `clamped`."""

    def size_in(self, data: bytes) -> int:
        """How many of `data` it takes."""

    def decode(self, data: bytes) -> Found:
        """What just these bytes say."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number; `negative`: its opposite is on the wire."""

    coder: Coder
    size: int
    negative: bool = False

    @property
    def keys(self) -> Iterable[str]:
        """As Part."""
        return (self.coder.key,)

    def encode(self, values: Values, clamped: list[str]) -> bytes:
        """As Part."""
        raw = self.coder.raw(values, clamped)
        raw = -raw if self.negative else raw
        return (raw % (1 << 8 * self.size)).to_bytes(self.size, "big")

    def size_in(self, data: bytes) -> int:
        """As Part."""
        return self.size

    def decode(self, data: bytes) -> Found:
        """As Part."""
        raw = int.from_bytes(data, "big", signed=self.coder.low < 0 or self.negative)
        return {self.coder.key: self.coder.value(-raw if self.negative else raw)}


def number(
    key: str, kind: str, scale: float = 1.0, *, offset: float = 0.0, unknown: int = 0, negative: bool = False
) -> Number:
    """A number of `kind` in steps of `scale`; `unknown` is the raw number that stands for what is not known.

    What the inverter must not exceed is rounded down.
    """
    size, low, high = KINDS[kind]
    rounding = "up" if key == "discharge_voltage_limit" else "down" if key in BOUNDS else "nearest"
    coder = Coder(
        key, "number", scale=scale, offset=offset, digits=DIGITS[scale], low=0 if negative else low, high=high,
        rounding=rounding, start=unknown,
    )  # fmt: skip
    return Number(coder, size, negative)


def limit(key: str, unit: float, *, negative: bool = False) -> Number:
    """A current limit [A] in steps of `unit`, in a signed word whatever its sign; no more than was decided."""
    plain = number(key, "s16", unit, negative=True)
    return Number(plain.coder, 2, negative)


def celsius(key: str) -> Number:
    """A temperature in steps of 0.1 K."""
    return number(key, "u16", 0.1, offset=KELVIN)


@dataclass(frozen=True, slots=True)
class Bits:
    """Flags, each a bit of its own; `always` are set whatever is known."""

    size: int
    flags: Mapping[int, str]
    always: int = 0

    @property
    def keys(self) -> Iterable[str]:
        """As Part."""
        return self.flags.values()

    def encode(self, values: Values, clamped: list[str]) -> bytes:
        """As Part."""
        word = self.always | sum(1 << bit for bit, key in self.flags.items() if values.get(key))
        return word.to_bytes(self.size, "big")

    def size_in(self, data: bytes) -> int:
        """As Part."""
        return self.size

    def decode(self, data: bytes) -> Found:
        """As Part; of a flag with several bits any one counts."""
        word, found = int.from_bytes(data, "big"), dict[str, Any]()
        for bit, key in self.flags.items():
            found[key] = found.get(key, 0) | word >> bit & 1
        return found


@dataclass(frozen=True, slots=True)
class Where:
    """Where an extreme is, a word: "<key>_id" as digits of `base`, else "<key>_number"; 0 = not said."""

    key: str
    base: int = 16

    @property
    def keys(self) -> Iterable[str]:
        """As Part; the text is for recordings alone."""
        return (f"{self.key}_number",)

    def encode(self, values: Values, clamped: list[str]) -> bytes:
        """As Part."""
        text, place = values.get(f"{self.key}_id"), values.get(f"{self.key}_number", 0)
        digits = isinstance(text, str) and text.isalnum() and text.isascii()
        word = int(str(text), self.base) if digits else int(place) if isinstance(place, int | float) else 0
        return (word & 0xFFFF).to_bytes(2, "big")

    def size_in(self, data: bytes) -> int:
        """As Part."""
        return 2

    def decode(self, data: bytes) -> Found:
        """As Part."""
        word = int.from_bytes(data, "big")
        return {f"{self.key}_id": f"{word:04X}" if self.base == 16 else f"{word}"}


@dataclass(frozen=True, slots=True)
class Text:
    """Characters, filled up with `pad` and cut where there are too many."""

    key: str
    size: int
    pad: bytes = b"\0"

    @property
    def keys(self) -> Iterable[str]:
        """As Part."""
        return (self.key,)

    def encode(self, values: Values, clamped: list[str]) -> bytes:
        """As Part."""
        return shown(str(values.get(self.key, ""))).encode("ascii")[: self.size].ljust(self.size, self.pad)

    def size_in(self, data: bytes) -> int:
        """As Part."""
        return self.size

    def decode(self, data: bytes) -> Found:
        """As Part."""
        return {self.key: data.rstrip(self.pad + b"\0 ").decode("ascii", "replace")}


@dataclass(frozen=True, slots=True)
class Version:
    """Numbers with dots between, a byte each."""

    key: str
    size: int

    @property
    def keys(self) -> Iterable[str]:
        """As Part."""
        return (self.key,)

    def encode(self, values: Values, clamped: list[str]) -> bytes:
        """As Part; what is no number becomes 0."""
        words = str(values.get(self.key, "")).split(".")
        return bytes(min(int(word), 255) if word.isdecimal() else 0 for word in words[: self.size]).ljust(
            self.size, b"\0"
        )

    def size_in(self, data: bytes) -> int:
        """As Part."""
        return self.size

    def decode(self, data: bytes) -> Found:
        """As Part."""
        return {self.key: ".".join(map(str, data))}


@dataclass(frozen=True, slots=True)
class Fixed:
    """Bytes that never differ and say nothing."""

    data: bytes
    keys: Sequence[str] = ()

    def encode(self, values: Values, clamped: list[str]) -> bytes:
        """As Part."""
        return self.data

    def size_in(self, data: bytes) -> int:
        """As Part."""
        return len(self.data)

    def decode(self, data: bytes) -> Found:
        """As Part."""
        return {}


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers of one kind: counted by a byte before them, or in `places` of their own, unused ones 0."""

    key: str
    each: Number
    places: int = 0  # 0 = counted
    keys: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        """The name of the list."""
        object.__setattr__(self, "keys", (self.key,))

    def encode(self, values: Values, clamped: list[str]) -> bytes:
        """As Part."""
        numbers = listed(values.get(self.key))[: self.places or 255]
        data = b"".join(map(self._raw, numbers))
        return data.ljust(self.places * self.each.size, b"\0") if self.places else bytes((len(numbers),)) + data

    def _raw(self, value: float) -> bytes:
        """As Number, without its questions: there are many of them in every answer."""
        coder = self.each.coder
        steps = math.floor((value - coder.offset) / coder.scale + 0.5 + TINY) if math.isfinite(value) else coder.start
        raw = min(max(steps, coder.low), coder.high)
        return raw.to_bytes(self.each.size, "big", signed=coder.low < 0)

    def size_in(self, data: bytes) -> int:
        """As Part."""
        return self.places * self.each.size if self.places else 1 + (data[0] if data else 0) * self.each.size

    def decode(self, data: bytes) -> Found:
        """As Part."""
        data, size = data if self.places else data[1:], self.each.size
        raws = [data[at : at + size] for at in range(0, len(data), size)]
        return {self.key: [self.each.decode(raw)[self.each.coder.key] for raw in raws if any(raw) or not self.places]}


def series(key: str, kind: str, scale: float, *, offset: float = 0.0, places: int = 0) -> Series:
    """Numbers of `kind` in steps of `scale`."""
    return Series(key, number(f"{key}_each", kind, scale, offset=offset), places)


def listed(value: Value | None) -> Sequence[float]:
    """The numbers of a value that is a list; () for anything else."""
    return value if isinstance(value, list | tuple) else ()


class Record:
    """Parts one behind the other."""

    def __init__(self, *parts: Part) -> None:
        self.parts = parts

    @property
    def keys(self) -> Iterator[str]:
        """Names of the values that it says."""
        return (key for part in self.parts for key in part.keys)

    def encode(self, values: Values, clamped: list[str]) -> bytes:
        """The bytes that say `values`."""
        return b"".join(part.encode(values, clamped) for part in self.parts)

    def decode(self, data: bytes) -> Found:
        """What `data` say.  Raises BadLength where they are too short or too long."""
        found, at = dict[str, Any](), 0
        for part in self.parts:
            size = part.size_in(data[at:])
            if at + size > len(data):
                raise BadLength(f"{len(data)} bytes end before {', '.join(part.keys) or 'the last part'}")
            found |= part.decode(data[at : at + size])
            at += size
        if at != len(data):
            raise BadLength(f"{len(data)} bytes where {at} belong")
        return found
