"""Messages of a DBC file as plain tables: what is needed to read and write frames, without the library that read it.

Bits are counted as in the file: a signal begins at its lowest bit in Intel order, at its highest in Motorola order.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

FLOATS: Final = {16: "e", 32: "f", 64: "d"}
Order = Literal["little", "big"]
Place = tuple[str, int, int, int, int, float, float]
"""Of a signal of integers: name, 1 if big-endian, shift, mask, sign bit, scale and offset."""
Kind = tuple[int, ...]
"""Of a frame: its size, then what each of its multiplexors says."""


class Undecodable(ValueError):
    """A frame that the file does not explain; the text says why."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Some bits of a message, and the number that they stand for: raw * scale + offset [unit]."""

    name: str
    start: int
    length: int  # bits
    order: Order = "little"
    signed: bool = False
    floating: bool = False  # an IEEE number, no integer
    scale: float = 1
    offset: float = 0
    minimum: float | None = None
    maximum: float | None = None
    unit: str = ""
    selects: bool = False  # it tells which of the signals below are there: a multiplexor
    selected_by: str = ""  # name of such a signal; "" = it is always there
    when: tuple[int, ...] = ()  # values of that signal

    @property
    def first(self) -> int:
        """Its first bit in the order in which its bits are sent."""
        return self.start if self.order == "little" else self.start // 8 * 8 + 7 - self.start % 8

    @property
    def within(self) -> int:
        """Bytes of a frame that holds it."""
        return (self.first + self.length + 7) // 8

    @property
    def bits(self) -> frozenset[int]:
        """Its bits in a frame: eight times the byte, and the bit from the least significant one."""
        places = range(self.first, self.first + self.length)
        return frozenset(places if self.order == "little" else [p // 8 * 8 + 7 - p % 8 for p in places])

    def placed(self, raw: int, size: int) -> int:
        """`raw` at its place in the data of `size` bytes, read as a number in its order; what is too large is cut."""
        return (raw & (1 << self.length) - 1) << self.shift(size)

    def raw(self, data: bytes) -> int:
        """The integer in `data`, which is long enough."""
        bits = int.from_bytes(data, self.order) >> self.shift(len(data)) & (1 << self.length) - 1
        return bits - (1 << self.length) if self.signed and bits >> self.length - 1 else bits

    def value(self, data: bytes) -> float:
        """The number that `data` says, an int where nothing makes it another."""
        raw = self.raw(data)
        if not self.floating:
            return raw * self.scale + self.offset
        bits = raw & (1 << self.length) - 1
        (number,) = struct.unpack(">" + FLOATS[self.length], bits.to_bytes(self.length // 8, "big"))
        return float(number) * self.scale + self.offset

    def place(self, size: int) -> Place:
        """Where it is in the data of `size` bytes."""
        mask = (1 << self.length) - 1
        sign = 1 << self.length - 1 if self.signed else 0
        return self.name, int(self.order == "big"), self.shift(size), mask, sign, self.scale, self.offset

    def shift(self, size: int) -> int:
        """Bits below it in the data of `size` bytes, read as a number in its order."""
        return self.first if self.order == "little" else 8 * size - self.first - self.length


@dataclass(frozen=True)
class Message:
    """One message."""

    name: str
    id: int
    extended: bool
    length: int  # bytes
    signals: tuple[Signal, ...]
    _known: dict[Kind, tuple[Place, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def encode(self, raw: Mapping[str, int]) -> bytes:
        """The frame in which each signal is this integer; bits that belong to none are 0."""
        parts: dict[Order, int] = {"little": 0, "big": 0}
        for signal in self.signals:
            parts[signal.order] |= signal.placed(raw[signal.name], self.length)
        whole = parts["little"] | int.from_bytes(parts["big"].to_bytes(self.length, "big"), "little")
        return whole.to_bytes(self.length, "little")

    def decode(self, data: bytes) -> dict[str, int]:
        """The integers of the signals that `data` is long enough for.  Raises Undecodable."""
        return {signal.name: signal.raw(data) for signal in self._there(data)}

    def values(self, data: bytes) -> dict[str, float]:
        """As `decode`, the numbers that they stand for."""
        if not self._plain:
            return {signal.name: signal.value(data) for signal in self._there(data)}
        both = int.from_bytes(data, "little"), int.from_bytes(data, "big")
        found: dict[str, float] = {}
        for name, order, shift, mask, sign, scale, offset in self._places(data):
            bits = both[order] >> shift & mask
            found[name] = (bits - mask - 1 if bits & sign else bits) * scale + offset
        return found

    def _places(self, data: bytes) -> tuple[Place, ...]:
        """Where the signals are in a frame of that size, with multiplexors that say that; worked out once for each."""
        size = len(data)
        kind = (size, *[one.raw(data) for one in self._multiplexors if one.within <= size])
        if kind not in self._known:
            self._known[kind] = tuple(signal.place(size) for signal in self._there(data))
        return self._known[kind]

    def _there(self, data: bytes) -> Iterator[Signal]:
        """The signals that a frame holds."""
        chosen: dict[str, int] = {}
        for signal in self._ordered:
            if signal.within > len(data) or not _is_selected(signal, chosen):
                continue
            if signal.selects:
                chosen[signal.name] = self._chosen(signal, data)
            yield signal

    @cached_property
    def _multiplexors(self) -> tuple[Signal, ...]:
        return tuple(signal for signal in self.signals if signal.selects)

    @cached_property
    def _plain(self) -> bool:
        """Integers only, and no multiplexor that another one selects."""
        return not any(one.floating or (one.selects and one.selected_by) for one in self.signals)

    def _chosen(self, signal: Signal, data: bytes) -> int:
        """Which signals a multiplexor says to be there.  Raises Undecodable where it says none that there are."""
        value = signal.raw(data)
        known = {one for other in self.signals if other.selected_by == signal.name for one in other.when}
        if value not in known:
            raise Undecodable(f"{signal.name} is {value}, expected one of {', '.join(map(str, sorted(known)))}")
        return value

    @cached_property
    def _ordered(self) -> tuple[Signal, ...]:
        """What is always there first, then what others select."""
        return tuple(sorted(self.signals, key=self._depth))

    def _depth(self, signal: Signal) -> int:
        by = next((one for one in self.signals if one.name == signal.selected_by), None)
        return 0 if by is None else 1 + self._depth(by)


def _is_selected(signal: Signal, chosen: Mapping[str, int]) -> bool:
    return not signal.selected_by or chosen.get(signal.selected_by) in signal.when
